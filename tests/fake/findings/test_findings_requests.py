"""Findings about pages, cursors and retries: sessions with and without the flaw."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import openai
import pytest

from clients import MODEL, Code, found, numbers, official, set_request_interval
from fine_tuning_client import FineTuning, RateLimitError
from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.findings.repeated_requests import REFUSALS_TOO_MANY
from strategies import ROWS

JOBS = "/fine_tuning/jobs"


def many_jobs(fake: FakeFineTuning) -> None:
    """Add more jobs than a default page holds."""
    file = fake.add_file(ROWS)["id"]
    for _ in range(25):
        fake.add_job(file, status="succeeded")


# ignored_has_more


def test_a_first_page_taken_for_all_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Reading only the first page of a list that has more is found."""
    many_jobs(fake)
    code.send("GET", JOBS)

    (finding,) = fake.findings
    assert (finding.code, finding.requests) == ("ignored_has_more", (1,))
    assert finding.message.startswith("list_jobs was answered with 20 jobs and has_more")


def test_a_page_of_the_official_client_taken_for_all_is_found(fake: FakeFineTuning) -> None:
    """Reading only `.data` of the SDK's page is found, and iterating over the page is not."""
    many_jobs(fake)
    with official(fake) as client:
        assert len(client.fine_tuning.jobs.list().data) == 20
        assert found(fake) == [("ignored_has_more", (1,))]
        assert len(list(client.fine_tuning.jobs.list())) == 25

    assert found(fake) == []


@pytest.mark.usefixtures("own")
def test_walks_and_peeks_are_fine(code: Code, fake: FakeFineTuning) -> None:
    """Walking all pages, leaving a walk half-way, and reading the newest job with a limit of 1 cause no finding.

    A loop that is left on the first page cannot be told from one that reads only that page.
    """
    many_jobs(fake)
    code.send("GET", f"{JOBS}?limit=1")
    code.send("GET", f"{JOBS}?limit=20")
    assert len(list(FineTuning.iter_jobs(page_size=7))) == 25
    page = code.send("GET", JOBS)
    code.send("GET", f"{JOBS}?after={page['data'][-1]['id']}")
    with official(fake) as client:
        next(iter(client.fine_tuning.jobs.list(limit=1)))
        assert found(fake) == []
        next(iter(client.fine_tuning.jobs.list(limit=5)))
        next(iter(client.fine_tuning.jobs.list()))

    assert found(fake) == [("ignored_has_more", (10, 11))]


def test_a_page_of_another_list_is_no_rest(code: Code, fake: FakeFineTuning) -> None:
    """Walking the list with another filter does not count, and one list is one finding."""
    many_jobs(fake)
    for _ in range(3):
        code.send("GET", JOBS)
    code.send("GET", f"{JOBS}?metadata[owner]=me")

    assert found(fake) == [("ignored_has_more", (1, 2, 3))]


@pytest.mark.parametrize("used", [0, 1, 2])
def test_a_page_with_what_was_sought_is_fine(code: Code, fake: FakeFineTuning, used: int) -> None:
    """Using one job of a first page causes no finding, and using two causes one."""
    many_jobs(fake)
    page = code.send("GET", JOBS)["data"]
    for job, model in zip(page[:used], ("id", "fine_tuned_model"), strict=False):
        code.send("GET", f"/models/{job[model]}" if model != "id" else f"{JOBS}/{job['id']}")

    assert found(fake) == ([] if used == 1 else [("ignored_has_more", (1,))])


def test_a_gap_that_the_fake_makes_is_fine(code: Code, fake: FakeFineTuning) -> None:
    """Events missed because a poll at the pace "polls" moved time cause no finding."""
    fake.pace, fake.plan = "polls", {"starting": 0, "seconds_per_step": 1}
    job = code.create(training_file=fake.add_file(ROWS * 5)["id"])
    for _ in range(5):
        code.about(job, "/events", "GET")
        code.look(job)

    assert found(fake) == []


def follow(code: Code, fake: FakeFineTuning, query: str = "", looks: int = 3) -> None:
    """Follow a job's events by the newest page, with a minute of training between pages."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(looks):
        fake.advance("60s")
        code.send("GET", f"{JOBS}/{job['id']}/events{query}")


def test_events_that_fell_between_two_pages_are_found(code: Code, fake: FakeFineTuning) -> None:
    """Following events by the newest page only, and so missing some, is found."""
    fake.plan = {"starting": 0, "seconds_per_step": 1}
    follow(code, fake)

    assert [code for code, _ in found(fake)] == ["ignored_has_more"]


@pytest.mark.parametrize(("query", "looks", "step"), [("?limit=1", 3, 1), ("", 2, 1), ("", 3, 10)])
def test_newest_events_are_fine(code: Code, fake: FakeFineTuning, query: str, looks: int, step: int) -> None:
    """The newest events by a limit, one or two reads, and overlapping pages cause no finding."""
    fake.plan = {"starting": 0, "seconds_per_step": step}
    follow(code, fake, query, looks)

    assert found(fake) == []


@pytest.mark.usefixtures("own")
def test_our_client_follows_without_a_gap(fake: FakeFineTuning) -> None:
    """Our own client follows and iterates all events without a finding."""
    fake.plan = {"seconds_per_step": 1}
    job = FineTuning.create_job(fake.add_file(ROWS)["id"], MODEL)
    events = list(FineTuning.follow_job_events(job.id, poll_interval=60))
    assert len(events) == len(list(FineTuning.iter_job_events(job.id)))

    assert found(fake) == []


# cursor_by_time


@pytest.mark.parametrize(
    "after", ["1700000000", "1700000000.5", "1.76e+09", "2026-01-01T00:00:00Z", "2026-01-01", "file-x", "ft:x"]
)
def test_a_cursor_that_is_no_cursor_is_found(code: Code, fake: FakeFineTuning, after: str) -> None:
    """A time or an id of another kind as a cursor is found, in every list with pages."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for path in (JOBS, f"{JOBS}/{job['id']}/events", f"{JOBS}/{job['id']}/checkpoints"):
        code.send("GET", path, params={"after": after})

    assert found(fake) == [("cursor_by_time", (number,)) for number in (1, 2, 3)]


def test_a_cursor_that_is_tried_again_is_one_finding(code: Code, fake: FakeFineTuning) -> None:
    """The same wrong cursor type at the same list is one finding."""
    for after in ("1700000000", "1700000001"):
        code.send("GET", JOBS, params={"after": after})

    assert found(fake) == [("cursor_by_time", (1, 2))]


def test_cursors_of_the_right_kind_are_fine(code: Code, fake: FakeFineTuning) -> None:
    """A cursor of the list's own kind causes no finding, even if the fake refuses it."""
    many_jobs(fake)
    job = fake.jobs[3]["id"]
    code.send("GET", f"{JOBS}?after={job}")
    code.send("GET", f"{JOBS}?after=ftjob-made-up")
    code.send("GET", f"/files?after={fake.add_file(ROWS)['id']}")
    code.send("GET", f"{JOBS}?after=")

    assert found(fake) == []


# create_retried_blindly


@pytest.mark.parametrize(
    "go_wrong",
    [
        lambda fake: fake.fail(500, on="create_job", retry_after=0.001),
        lambda fake: fake.fail(503, on="create_job", retry_after=0.001, applied=True),
        lambda fake: fake.fail(408, on="create_job", retry_after=0.001),
    ],
)
def test_automatic_retries_of_the_official_client_are_found(fake: FakeFineTuning, go_wrong: Any) -> None:
    """The official SDK's automatic retry of a create that may have succeeded is found."""
    go_wrong(fake)
    file = fake.add_file(ROWS)["id"]
    with official(fake) as client:
        client.fine_tuning.jobs.create(model=MODEL, training_file=file)

    assert found(fake) == [("create_retried_blindly", (1, 2))]
    assert "OpenAI(max_retries=0)" in fake.findings[0].hint


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "malformed"])
def test_a_create_again_after_a_lost_answer_is_found(code: Code, fake: FakeFineTuning, fault: str) -> None:
    """Repeating a create after a lost or unreadable response is found."""
    getattr(fake, fault)(on="create_job")
    body = {"training_file": fake.add_file(ROWS)["id"], "model": MODEL}
    with pytest.raises((httpx.TransportError, ValueError)):
        code.send("POST", JOBS, json=body)
    code.send("POST", JOBS, json=body)

    assert found(fake) == [("create_retried_blindly", (1, 2))]


def test_retries_of_several_creates_at_once_are_found(code: Code, fake: FakeFineTuning) -> None:
    """Interleaved retries of several creates are each found, even if another client lists jobs in between."""
    fake.fail(500, on="create_job", times=3)
    files = [fake.add_file(ROWS)["id"] for _ in range(3)]
    with Code(fake, "another") as other:
        for file in (*files, *files):
            code.create(training_file=file)
            other.send("GET", f"{JOBS}?limit=1")

    assert found(fake) == [("create_retried_blindly", (number, number + 6)) for number in (1, 3, 5)]


def test_a_create_again_with_the_file_uploaded_anew_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Repeating upload and create after a 500 is one finding."""
    fake.fail(500, on="create_job", times=2)
    for _ in range(3):
        code.create(training_file=code.upload())
    assert found(fake) == [("leaked_file", (*numbers(1, 4), 6)), ("create_retried_blindly", (2, 4, 6))]

    fake.reset()
    fake.fail(500, on="create_job")
    one, other = code.upload(), code.upload()
    code.create(training_file=one)
    code.create(training_file=other)
    assert [each for each, _ in found(fake)] == ["leaked_file"]


def test_two_that_ask_once_each_do_not_retry(code: Code, fake: FakeFineTuning) -> None:
    """The same create by two clients is not a retry."""
    fake.fail(500, on="create_job")
    file = fake.add_file(ROWS)["id"]
    with Code(fake, "another") as other:
        for each in (code, other):
            each.create(training_file=file)

    assert found(fake) == []


@pytest.mark.parametrize("way", ["listed", "another", "refused", "limited", "no connection", "in time"])
def test_creates_that_are_not_blind(code: Code, fake: FakeFineTuning, way: str) -> None:
    """A list in between, another body, or a failure before the job was created make it no blind retry."""
    faults: dict[str, Any] = {
        "refused": lambda: fake.fail(400, on="create_job"),
        "limited": lambda: fake.rate_limit(on="create_job", retry_after=None),
        "no connection": lambda: fake.refuse(on="create_job"),
        "in time": lambda: fake.delay(1, on="create_job"),
    }
    faults.get(way, lambda: fake.fail(500, on="create_job"))()
    body = {"training_file": fake.add_file(ROWS)["id"], "model": MODEL}
    if way == "no connection":
        with pytest.raises(httpx.ConnectError):
            code.send("POST", JOBS, json=body)
    else:
        code.http.post(JOBS, json=body)
    if way == "listed":
        code.send("GET", f"{JOBS}?limit=1")
    code.send("POST", JOBS, json={**body, "seed": 2} if way == "another" else body)

    assert found(fake) == []


@pytest.mark.usefixtures("own")
def test_our_client_does_not_retry_blindly(fake: FakeFineTuning) -> None:
    """Our own client's retries have no finding."""
    fake.rate_limit(on="create_job", retry_after=20, times=2)
    fake.fail(500, on="retrieve_job", times=2)
    fake.rate_limit(on="retrieve_job", retry_after=30)
    job = FineTuning.create_job(fake.add_file(ROWS)["id"], MODEL)
    assert FineTuning.wait_for_job(job.id).is_completed()

    assert found(fake) == []


# hot_loop_on_429


def test_a_retry_after_that_is_not_kept_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Repeating a request before the 429's Retry-After is over is found, with the time waited."""
    fake.rate_limit(on="list_jobs", retry_after=20, times=2)
    code.send("GET", JOBS)
    fake.advance(19)
    code.send("GET", JOBS)
    fake.advance(20)
    code.send("GET", JOBS)

    (finding,) = fake.findings
    assert (finding.code, finding.requests) == ("hot_loop_on_429", (1, 2))
    assert "after 19 s; the 429 had asked for 20 s" in finding.message


@pytest.mark.parametrize("pace", ["manual", "polls"])
def test_a_look_that_is_repeated_too_early_is_found_at_any_pace(code: Code, fake: FakeFineTuning, pace: Any) -> None:
    """Time that the response itself moves, as at the pace "polls", does not count as waiting."""
    fake.pace = pace
    job = fake.add_job(fake.add_file(ROWS)["id"], status="validating_files")
    fake.rate_limit(on="retrieve_job", retry_after=20)
    code.look(job)
    code.look(job)

    assert found(fake) == [("hot_loop_on_429", (1, 2))]


def test_a_loop_of_refusals_without_a_pause_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Three refusals in a row without a pause are found even without Retry-After; two are not."""
    fake.reset(max_active_jobs=0)
    file = fake.add_file(ROWS)["id"]
    for _ in range(REFUSALS_TOO_MANY - 1):
        code.create(training_file=file)
    assert found(fake) == []

    code.create(training_file=file)
    assert found(fake) == [("hot_loop_on_429", numbers(1, REFUSALS_TOO_MANY))]


@pytest.mark.parametrize("paths", [("/models", "/files", JOBS), (JOBS, "/files")])
def test_a_loop_over_several_requests_is_found(code: Code, fake: FakeFineTuning, paths: tuple[str, ...]) -> None:
    """Three refusals of the same request are found once per request, even with others in between."""
    fake.rate_limit(times=None, retry_after=20)
    for _ in range(REFUSALS_TOO_MANY):
        assert found(fake) == []
        for path in paths:
            code.send("GET", path)

    each = len(paths)
    assert found(fake) == [("hot_loop_on_429", numbers(1, 3 * each)[first::each]) for first in range(each)]
    assert "again 2 times, the first after 0.00" in fake.findings[0].message


def test_tasks_that_ask_at_once_are_fine(code: Code, fake: FakeFineTuning) -> None:
    """Five concurrent requests that are all refused cause no finding."""
    fake.rate_limit(on="list_jobs", times=None, retry_after=20)

    async def session() -> None:
        headers = {"authorization": "Bearer any"}
        transport = fake.transport()
        async with httpx.AsyncClient(transport=transport, base_url="http://fake/v1", headers=headers) as http:
            await asyncio.gather(*(http.get(JOBS) for _ in range(5)))

    asyncio.run(session())
    assert len(fake.calls) == 5
    assert found(fake) == []


def test_refusals_of_different_requests_are_fine(code: Code, fake: FakeFineTuning) -> None:
    """After a 429, other requests and the same requests after a pause cause no finding."""
    fake.rate_limit(on="list_jobs", retry_after=20)
    for path in (JOBS, "/models", JOBS):
        code.send("GET", path)
    assert found(fake) == []

    fake.reset(max_active_jobs=0)
    file = fake.add_file(ROWS)["id"]
    for seed in range(REFUSALS_TOO_MANY):
        code.create(training_file=file, seed=seed)
    for _ in range(REFUSALS_TOO_MANY):
        fake.advance(1)
        code.create(training_file=file)

    assert found(fake) == []


@pytest.mark.parametrize("pace", ["manual", "polls"])
def test_a_retry_after_that_the_fake_sleeps_is_kept(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch, pace: Any
) -> None:
    """Sleeping for Retry-After with the fake's sleep causes no finding."""
    monkeypatch.setattr("time.sleep", fake.sleep)
    fake.pace = pace
    fake.rate_limit(on="list_jobs", retry_after=20, times=5)
    for _ in range(6):
        code.send("GET", JOBS)
        time.sleep(20)

    assert found(fake) == []


def test_a_stopped_clock_hides_how_long_was_waited(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a frozen real clock an early retry is not found."""
    set_request_interval(monkeypatch, 0)
    fake.rate_limit(on="list_jobs", retry_after=20, times=5)
    for _ in range(6):
        code.send("GET", JOBS)

    assert found(fake) == []


def test_retries_of_the_official_client_wait(fake: FakeFineTuning) -> None:
    """The official SDK's own retries cause no finding, even if a test replaces its sleep."""
    fake.rate_limit(on="list_jobs", retry_after=0.2, times=2)
    with official(fake) as client:
        client._sleep_for_retry = lambda **_: None  # type: ignore[method-assign]
        client.fine_tuning.jobs.list(limit=1)

    assert [call.retry for call in fake.calls] == [0, 1, 2]
    assert found(fake) == []


@pytest.mark.usefixtures("own")
def test_our_client_gives_up_when_it_would_take_too_long(fake: FakeFineTuning) -> None:
    """A Retry-After longer than our client waits raises RateLimitError without a further request."""
    fake.rate_limit(on="list_jobs", retry_after=600)
    with pytest.raises(RateLimitError):
        FineTuning.list_jobs()

    assert found(fake) == []


def test_a_loop_around_the_official_client_is_found(fake: FakeFineTuning) -> None:
    """Calling the official SDK again at once after its RateLimitError is found."""
    fake.rate_limit(on="list_jobs", retry_after=30)
    with official(fake, max_retries=0) as client:
        with pytest.raises(openai.RateLimitError):
            client.fine_tuning.jobs.list(limit=1)
        client.fine_tuning.jobs.list(limit=1)

    assert found(fake) == [("hot_loop_on_429", (1, 2))]


@pytest.mark.usefixtures("own")
def test_our_client_with_a_sleep_of_its_own_is_fine(fake: FakeFineTuning) -> None:
    """Our own client with a custom sleep has no finding."""
    fake.rate_limit(on="list_jobs", retry_after=30, times=2)
    with httpx.Client(transport=fake.transport()) as http, redirect("http://fake/v1", http_client=http, sleep=str):
        FineTuning.list_jobs(limit=1)

    assert len(fake.calls) == 3
    assert found(fake) == []
