"""Waiting, following and iterating, against a small service with its own clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from fine_tuning_client import (
    APIConnectionError,
    AsyncFineTuningClient,
    FineTuningClient,
    FineTuningJobResponse,
    InternalServerError,
    JobCancelled,
    JobFailed,
    NotFoundError,
    RateLimitError,
    WaitTimeout,
)

JOB = {"id": "ftjob-1", "model": "m", "training_file": "f", "created_at": 1, "error": {"message": "bad file"}}


class Service:
    """A service that sends the next status of a list, repeats the last, and has three more events after each poll."""

    def __init__(self, *statuses: Any) -> None:
        self.statuses = list(statuses)
        self.now = 0.0
        self.naps: list[float] = []
        self.lines: list[str] = []
        self.looks = 0
        self.broken_events = 0
        self.retry_after = "90"
        self.extra: Callable[[int], dict[str, Any]] = lambda looks: {}

    def sleep(self, seconds: float) -> None:
        """Advance virtual time."""
        self.naps.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Advance virtual time."""
        self.sleep(seconds)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return a job, or its events or checkpoints in pages of two, newest first."""
        self.lines.append(request.url.path)
        if request.url.path.endswith(("/events", "/checkpoints", "/jobs")):
            return self.page(str(request.url))
        status = self.statuses[min(self.looks, len(self.statuses) - 1)]
        self.looks += 1
        if isinstance(status, Exception):
            raise status
        if isinstance(status, int):
            return httpx.Response(status, headers={"retry-after": self.retry_after} if status == 429 else {})
        return httpx.Response(200, json=JOB | {"status": status} | self.extra(self.looks))

    def page(self, url: str) -> httpx.Response:
        """Return two items after the cursor."""
        if self.broken_events:
            self.broken_events -= 1
            return httpx.Response(500)
        after = parse_qs(urlsplit(url).query).get("after", [str(self.looks * 3)])[0]
        ordinals = list(range(int(after) - 1, -1, -1))
        items = [JOB | {"id": str(each), "message": "", "status": "", "step_number": 1} for each in ordinals[:2]]
        return httpx.Response(200, json={"data": items, "has_more": len(ordinals) > 2})

    def client(self) -> FineTuningClient:
        """Make a blocking client of this service, without retries."""
        return FineTuningClient(
            "fake",
            max_retries=0,
            http_client=httpx.Client(transport=httpx.MockTransport(self.answer)),
            sleep=self.sleep,
            clock=lambda: self.now,
        )

    def async_client(self) -> AsyncFineTuningClient:
        """Make an async client of this service, without retries."""
        return AsyncFineTuningClient(
            "fake",
            http_client=httpx.AsyncClient(transport=httpx.MockTransport(self.answer)),
            sleep=self.sleep_async,
            clock=lambda: self.now,
        )


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_wait_ends_with_the_job(end: str) -> None:
    """A wait continues through every other status, even unknown or paused, and returns at any final one."""
    service = Service("validating_files", "queued", "who_knows", "paused", "canceling", "running", end)
    assert service.client().wait_for_job("ftjob-1").status == end
    assert service.looks == 7


def test_wait_looks_less_and_less_often() -> None:
    """The poll interval grows from its initial value to 60 seconds."""
    service = Service(*["running"] * 30, "succeeded")
    service.client().wait_for_job("ftjob-1", poll_interval=5)
    assert service.naps[:2] == [5, 6.0]
    assert service.naps == sorted(service.naps)
    assert service.naps[-1] == 60.0


def test_wait_keeps_an_interval_longer_than_a_minute() -> None:
    """A poll interval longer than a minute is kept."""
    service = Service("running", "running", "succeeded")
    service.client().wait_for_job("ftjob-1", poll_interval=120)
    assert service.naps == [120, 120]


def test_wait_times_out_with_a_last_look_at_the_deadline() -> None:
    """A wait that takes too long raises WaitTimeout exactly at the deadline, with the last known job."""
    service = Service("running")
    with pytest.raises(WaitTimeout, match="job ftjob-1 is running after 12 s") as caught:
        service.client().wait_for_job("ftjob-1", timeout=12)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.job is not None
    assert service.naps == [5.0, 6.0, 1.0]


def test_wait_reports_each_change() -> None:
    """`on_update` is called whenever the job has changed, and only then."""
    seen: list[str] = []

    def note(job: FineTuningJobResponse) -> None:
        seen.append(job.status)

    Service("queued", "queued", "running", "succeeded").client().wait_for_job("ftjob-1", on_update=note)
    assert seen == ["queued", "running", "succeeded"]


def test_a_pause_ends_a_wait_if_asked() -> None:
    """`until_paused` ends a wait at a pause."""
    assert Service("running", "paused").client().wait_for_job("ftjob-1", until_paused=True).is_paused()


@pytest.mark.parametrize(("status", "error"), [("failed", JobFailed), ("cancelled", JobCancelled)])
def test_failure_is_raised_if_asked(status: str, error: type[Exception]) -> None:
    """`raise_on_failure` raises for a failed or cancelled job, with the job and its reason."""
    with pytest.raises(error, match="bad file" if status == "failed" else "cancelled") as caught:
        Service(status).client().wait_for_job("ftjob-1", raise_on_failure=True)
    assert getattr(caught.value, "job").status == status  # noqa: B009  # either class has it


@pytest.mark.parametrize(
    ("error", "reason"),
    [({}, "no reason given"), (None, "no reason given"), ("text", "text"), ({"code": "x"}, "no reason given")],
)
def test_failure_is_explained_whatever_the_error_is(monkeypatch: pytest.MonkeyPatch, error: Any, reason: str) -> None:
    """A failed job with any form of `error` raises JobFailed."""
    monkeypatch.setitem(JOB, "error", error)
    with pytest.raises(JobFailed, match=f"job ftjob-1 has failed: {reason}"):
        Service("failed").client().wait_for_job("ftjob-1", raise_on_failure=True)


def test_success_is_returned_even_if_failure_is_to_be_raised() -> None:
    """`raise_on_failure` returns a succeeded job."""
    assert Service("succeeded").client().wait_for_job("ftjob-1", raise_on_failure=True).is_completed()


@pytest.mark.parametrize("trouble", [500, 503, 408, 429, httpx.ReadError("lost"), httpx.ConnectTimeout("slow")])
def test_passing_trouble_does_not_end_a_wait(trouble: Any) -> None:
    """A wait survives failed polls for less than ten minutes, counted anew after each successful one."""
    service = Service(*[trouble] * 7, "running", *[trouble] * 7, "succeeded")
    assert service.client().wait_for_job("ftjob-1").is_completed()


def test_lasting_trouble_ends_a_wait() -> None:
    """Polls that fail for ten minutes in a row end a wait with an error that has the last known job."""
    service = Service("running", httpx.ReadError("lost"))
    with pytest.raises(APIConnectionError) as caught:
        service.client().wait_for_job("ftjob-1")
    assert caught.value.job is not None
    assert 600 <= service.now - service.naps[0] < 600 + 60


@pytest.mark.parametrize("poll_interval", [0, 5])
def test_lasting_trouble_ends_a_wait_where_time_stands_still(poll_interval: float) -> None:
    """Failing polls end a wait even if the clock never advances or the interval is 0."""
    service = Service(500)
    client = service.client()
    client._clock = lambda: 0.0
    with pytest.raises(InternalServerError):
        client.wait_for_job("ftjob-1", poll_interval=poll_interval)
    assert service.looks == (601 if poll_interval == 0 else 21)


def test_lasting_trouble_goes_on_until_a_timeout() -> None:
    """If all polls fail and the timeout is under ten minutes, WaitTimeout is raised at the timeout."""
    service = Service(500)
    with pytest.raises(WaitTimeout, match="job ftjob-1 was never seen after 300 s; the last look failed") as caught:
        service.client().wait_for_job("ftjob-1", timeout=300)
    assert service.now == 300
    assert isinstance(caught.value.__cause__, InternalServerError)


def test_a_timeout_of_a_job_that_was_seen_blames_no_look() -> None:
    """A WaitTimeout after a successful poll has no cause."""
    service = Service(500, "running")
    with pytest.raises(WaitTimeout, match=r"job ftjob-1 is running after 12 s$") as caught:
        service.client().wait_for_job("ftjob-1", timeout=12)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("ask", ["wait_for_job", "follow_job_events"])
def test_no_request_is_repeated_after_a_wait_is_over(ask: str) -> None:
    """A Retry-After that ends after the timeout does not delay the timeout."""
    service = Service(429)  # which asks for 90 s
    service.retry_after = "30"
    client = service.client().with_options(max_retries=5)
    with pytest.raises(WaitTimeout):
        list(getattr(client, ask)("ftjob-1", timeout=70) or ())
    assert service.now == 70


def test_a_wait_is_not_put_off_for_hours() -> None:
    """A Retry-After of a day or more is cut to two minutes, and the wait fails after five of them."""
    for asked in ("86400", "1e18"):
        service = Service(429)
        service.retry_after = asked
        with pytest.raises(RateLimitError):
            service.client().wait_for_job("ftjob-1")
        assert service.naps == [120.0] * 5


def test_every_change_is_an_update() -> None:
    """A change in an unknown field is reported to `on_update`."""
    service = Service("running", "running", "running", "succeeded")
    service.extra = lambda looks: {"trained_steps": looks // 2}
    seen: list[Any] = []
    service.client().wait_for_job("ftjob-1", on_update=lambda job: seen.append(job.extra["trained_steps"]))
    assert seen == [0, 1, 2]


def test_a_missing_job_ends_a_wait_at_once() -> None:
    """A 404 ends a wait at the first poll."""
    service = Service(404)
    with pytest.raises(NotFoundError):
        service.client().wait_for_job("ftjob-1")
    assert service.looks == 1


def test_a_wait_leaves_the_service_alone_as_long_as_asked() -> None:
    """A Retry-After longer than the poll interval is waited for once."""
    service = Service(429, "running", "succeeded")
    service.client().wait_for_job("ftjob-1")
    assert service.naps == [90.0, 6.0]


def test_follow_yields_each_event_once_oldest_first() -> None:
    """Following yields every event once and in order, across pages and polls, up to the last."""
    service = Service("running", "running", "succeeded")
    events = [event.id for event in service.client().follow_job_events("ftjob-1")]
    assert events == [str(each) for each in range(9)]


def test_follow_resumes_after_an_event() -> None:
    """Following `since` an event yields the events after it."""
    service = Service("running", "running", "succeeded")
    service.looks = 1
    events = service.client().follow_job_events("ftjob-1", since="3")
    assert [event.id for event in events] == ["4", "5", "6", "7", "8"]


def test_follow_survives_passing_trouble() -> None:
    """Events that could not be fetched, even of a finished job, are fetched at the next poll."""
    service = Service("running", "succeeded")
    service.broken_events = 3
    events = [event.id for event in service.client().follow_job_events("ftjob-1")]
    assert events == [str(each) for each in range(service.looks * 3)]


def test_follow_gives_up_on_lasting_trouble() -> None:
    """Following fails after ten minutes in which events cannot be fetched, even if the job can."""
    service = Service("running")
    service.broken_events = 99
    with pytest.raises(Exception, match="500"):
        list(service.client().follow_job_events("ftjob-1"))
    assert 600 <= service.now < 600 + 60


def test_follow_times_out() -> None:
    """Following raises WaitTimeout after its timeout."""
    with pytest.raises(WaitTimeout):
        list(Service("running").client().follow_job_events("ftjob-1", timeout=10))


WALKS: list[Callable[[Any], Any]] = [
    lambda client: client.iter_jobs(page_size=2),
    lambda client: client.iter_job_events("ftjob-1"),
    lambda client: client.iter_job_checkpoints("ftjob-1"),
]


@pytest.mark.parametrize("walk", WALKS)
def test_walks_are_lazy_and_complete(walk: Callable[[Any], Any]) -> None:
    """Iterating fetches a page only when it is needed, and yields each item once."""
    service = Service()
    service.looks = 2
    items = walk(service.client())
    assert not service.lines
    assert [next(items).id, next(items).id] == ["5", "4"]
    assert len(service.lines) == 1
    assert [each.id for each in items] == ["3", "2", "1", "0"]


@pytest.mark.parametrize("walk", WALKS)
def test_walks_are_the_same_async(walk: Callable[[Any], AsyncIterator[Any]]) -> None:
    """Async iteration yields the same items as blocking iteration."""
    service = Service()
    service.looks = 2

    async def walked() -> list[str]:
        return [each.id async for each in walk(service.async_client())]

    assert asyncio.run(walked()) == ["5", "4", "3", "2", "1", "0"]


def test_a_service_that_ignores_cursors_does_not_keep_a_walk_going() -> None:
    """Iteration ends when a page repeats the page before it."""
    pages = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal pages
        pages += 1
        return httpx.Response(200, content=json.dumps({"data": [JOB | {"status": "queued"}], "has_more": True}))

    client = FineTuningClient("fake", http_client=httpx.Client(transport=httpx.MockTransport(answer)))
    assert len(list(client.iter_jobs())) == pages == 2


def test_waiting_and_following_are_the_same_async() -> None:
    """An async client waits and follows as a blocking one does."""
    waited, followed = Service("running", "succeeded"), Service("running", "succeeded")

    async def both() -> tuple[str, list[str]]:
        job = await waited.async_client().wait_for_job("ftjob-1")
        return job.status, [each.id async for each in followed.async_client().follow_job_events("ftjob-1")]

    assert asyncio.run(both()) == ("succeeded", ["0", "1", "2", "3", "4", "5"])
    assert waited.naps == followed.naps == [5.0]
