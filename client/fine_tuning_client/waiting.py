"""Operations of many requests: walking lists, waiting for a job, following what happens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isinf
from typing import TypeVar, cast

from fine_tuning_client.arguments import NOT_GIVEN, NotGiven, named, plain_function, seconds
from fine_tuning_client.effects import Emit, Flow, Outcome, Request, Sleep, Stream, now
from fine_tuning_client.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    InternalServerError,
    JobCancelled,
    JobFailed,
    RateLimitError,
    WaitTimeout,
)
from fine_tuning_client.models import (
    FileResponse,
    FineTuningCheckpointResponse,
    FineTuningEventResponse,
    FineTuningJobResponse,
    Item,
    Page,
)
from fine_tuning_client.operations import list_files, list_job_checkpoints, list_job_events, list_jobs, retrieve_job

F = TypeVar("F")
T = TypeVar("T", bound=Item)

LONGEST_INTERVAL_S = 60.0
GROWTH = 1.2
PATIENCE_S = 600.0  # of failed looks in a row, by the clock or by what was slept: a clock may stand still
LONGEST_ASKED_S = 120.0  # whoever asks for more by Retry-After is looked at again before that
MOST_FAILURES = 600  # reached first only where neither moves
LAST_WORDS_S = 2.0  # recording: the event of a cancellation is not there yet when the status is
PASSING = (APIConnectionError, APIResponseError, RateLimitError, InternalServerError)


def iter_jobs(
    *, page_size: int | None = 100, metadata: Mapping[str, str] | NotGiven | None = NOT_GIVEN
) -> Stream[FineTuningJobResponse]:
    """Walk all jobs, newest first, a page at a time."""
    yield from _walk(lambda after: list_jobs(limit=page_size, after=after, metadata=metadata))


def iter_job_events(job_id: str, *, page_size: int | None = 100) -> Stream[FineTuningEventResponse]:
    """Walk all that has happened to a job so far, newest first, a page at a time."""
    yield from _walk(lambda after: list_job_events(job_id, limit=page_size, after=after))


def iter_job_checkpoints(job_id: str, *, page_size: int | None = None) -> Stream[FineTuningCheckpointResponse]:
    """Walk all checkpoints of a job, newest first, a page at a time."""
    yield from _walk(lambda after: list_job_checkpoints(job_id, limit=page_size, after=after))


def iter_files(
    *, page_size: int | None = None, purpose: str | None = None, order: str | None = None
) -> Stream[FileResponse]:
    """Walk all files, newest first unless *order* is ``"asc"``, a page at a time."""
    yield from _walk(lambda after: list_files(limit=page_size, purpose=purpose, order=order, after=after))


def _walk(fetch: Callable[[str | None], Flow[Page[T]]]) -> Stream[T]:
    after: str | None = None
    asked = {after}
    while True:
        page = yield from fetch(after)
        for item in page:
            yield Emit(item)
        after = page.last_id
        if not page.has_more or after in asked:  # a server may ignore our cursor
            return
        asked.add(after)


def wait_for_job(
    job_id: str,
    *,
    timeout: float | None = None,
    poll_interval: float = 5.0,
    on_update: Callable[[FineTuningJobResponse], object] | None = None,
    until_paused: bool = False,
    raise_on_failure: bool = False,
) -> Flow[FineTuningJobResponse]:
    """Look at a job until it has finished, however it ends.

    Interrupting the wait leaves the job alone. Failed looks end it once they have failed for ten minutes in a row.

    Args:
        job_id: The job.
        timeout: Seconds after which to give up, once a request that is under way is over; None waits for ever.
        poll_interval: Seconds between the first two looks; grows to 60.
        on_update: Called, and never awaited, with the job whenever it has changed.
        until_paused: Let a pause end the wait, too.
        raise_on_failure: Raise unless the job has succeeded.

    Raises:
        WaitTimeout: The job goes on, but *timeout* has passed; caused by the last look's error, if it failed.
        JobFailed: With *raise_on_failure*.
        JobCancelled: With *raise_on_failure*.
        TypeError: *on_update* is async.
        ValueError: *timeout* or *poll_interval* is no time.
    """
    plain_function("on_update", on_update)
    watch = _Wait(poll_interval, timeout, started_s=(yield from now()))
    while True:
        job = yield from watch.attempt(lambda: retrieve_job(job_id))
        if job is not None:
            if on_update is not None and (watch.job is None or job.raw != watch.job.raw):
                on_update(job)
            watch.job = job
            if job.is_finished() or (until_paused and job.is_paused()):
                return _judged(job) if raise_on_failure else job
        yield from watch.sleep(job_id)


def follow_job_events(
    job_id: str,
    *,
    since: str | None = None,
    poll_interval: float = 5.0,
    timeout: float | None = None,
) -> Stream[FineTuningEventResponse]:
    """Yield what happens to a job, oldest first and each event once, until it has finished.

    Args:
        job_id: The job.
        since: Id of the last event already seen; the ones after it follow.
        poll_interval: Seconds between the first two looks; grows to 60.
        timeout: Seconds after which to give up; None follows for ever.

    Raises:
        WaitTimeout: The job goes on, but *timeout* has passed.
        ValueError: *timeout* or *poll_interval* is no time.
    """
    watch = _Wait(poll_interval, timeout, started_s=(yield from now()))
    known = set() if since is None else {named("since", since)}
    is_last = False
    while True:
        fresh = yield from watch.attempt(lambda: _news(watch, job_id, known))
        for event in reversed(fresh or []):
            known.add(event.id)
            yield Emit(event)
        if fresh is not None and watch.job is not None and watch.job.is_finished():
            if is_last or not watch.job.was_cancelled():
                return
            is_last = True
            yield Sleep(LAST_WORDS_S)
        else:
            yield from watch.sleep(job_id)


def _news(watch: _Wait, job_id: str, known: set[str]) -> Flow[list[FineTuningEventResponse]]:
    """Fetch the job, then its events: but for a cancellation's, they land no later than the last status."""
    watch.job = yield from retrieve_job(job_id)
    return (yield from _unseen(job_id, known))


def _unseen(job_id: str, known: set[str]) -> Flow[list[FineTuningEventResponse]]:
    """Fetch events, newest first, back to the first one that is known."""
    fresh: dict[str, FineTuningEventResponse] = {}
    after: str | None = None
    asked = {after}
    while True:
        page = yield from list_job_events(job_id, limit=100, after=after)
        for event in page:
            if event.id in known:
                return list(fresh.values())
            fresh[event.id] = event
        after = page.last_id
        if not page.has_more or after in asked:
            return list(fresh.values())
        asked.add(after)


def _judged(job: FineTuningJobResponse) -> FineTuningJobResponse:
    if job.has_failed():
        reason = job.error.get("message") if isinstance(job.error, dict) else job.error
        raise JobFailed(f"job {job.id} has failed: {reason or 'no reason given'}", job=job)
    if job.was_cancelled():
        raise JobCancelled(f"job {job.id} was cancelled", job=job)
    return job


def _may_pass(error: APIError) -> bool:
    return isinstance(error, PASSING) or getattr(error, "status_code", None) == 408


@dataclass(slots=True)
class _Wait:
    """One wait: when it ends, how often it looks, and what it saw last."""

    interval_s: float
    timeout_s: float | None
    started_s: float
    asked_s: float = 0.0  # by a Retry-After
    failures: int = 0  # in a row
    failing_since_s: float = 0.0
    slept_s: float = 0.0  # since then
    error: APIError | None = None  # of the last look, if it failed
    job: FineTuningJobResponse | None = None

    def __post_init__(self) -> None:
        if isinf(seconds("poll_interval", self.interval_s)):
            raise ValueError("poll_interval must be finite, not inf")
        if self.timeout_s is not None:
            seconds("timeout", self.timeout_s)

    def attempt(self, flow: Callable[[], Flow[F]]) -> Flow[F | None]:
        """Run a flow, forgiving what may pass by itself, for a while."""
        try:
            result = yield from self._in_time(flow())
        except APIError as error:
            self.error, error.job = error, self.job
            if not _may_pass(error) or (yield from self._has_lost_patience()):
                raise
            self.asked_s = min(getattr(error, "retry_after", None) or 0.0, LONGEST_ASKED_S)
            return None
        self.failures, self.asked_s, self.error = 0, 0.0, None
        return result

    def _in_time(self, flow: Flow[F]) -> Flow[F]:
        """Let no request of a look be repeated after the wait is over."""
        if self.timeout_s is None:
            return (yield from flow)
        until, outcome = self.started_s + self.timeout_s, cast(Outcome, None)
        while True:
            try:
                command = flow.send(outcome)
            except StopIteration as done:
                return cast(F, done.value)
            outcome = yield replace(command, until=until) if isinstance(command, Request) else command

    def _has_lost_patience(self) -> Flow[bool]:
        time_s = yield from now()
        if not self.failures:
            self.failing_since_s, self.slept_s = time_s, 0.0
        self.failures += 1
        return self.failures > MOST_FAILURES or max(time_s - self.failing_since_s, self.slept_s) >= PATIENCE_S

    def sleep(self, job_id: str) -> Flow[None]:
        """Sleep until the next look, or give up if there is no time for one."""
        pause = max(self.interval_s, self.asked_s)
        if self.timeout_s is not None:
            left = self.started_s + self.timeout_s - (yield from now())
            if left <= 0:
                raise self._too_late(job_id, self.timeout_s) from self.error
            pause = min(pause, left)
        self.interval_s = max(self.interval_s, min(LONGEST_INTERVAL_S, self.interval_s * GROWTH))
        self.slept_s += pause
        yield Sleep(pause)

    def _too_late(self, job_id: str, timeout_s: float) -> WaitTimeout:
        seen = f"is {self.job.status}" if self.job else "was never seen"
        why = f"; the last look failed: {self.error}" if self.error else ""
        return WaitTimeout(f"job {job_id} {seen} after {timeout_s:g} s{why}", job=self.job)
