"""Operations of many requests: iterate over lists, wait for a job, follow its events, fetch its metrics."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isinf
from typing import Any, TypeVar

from fine_tuning_client.arguments import NOT_GIVEN, NotGiven, check_seconds, reject_async, require_name
from fine_tuning_client.effects import Emit, Flow, Request, Sleep, Stream, now
from fine_tuning_client.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    FineTuningError,
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
from fine_tuning_client.operations import (
    download_file,
    list_files,
    list_job_checkpoints,
    list_job_events,
    list_jobs,
    retrieve_job,
)
from fine_tuning_formats.lazy_dataclass import dataclass

F = TypeVar("F")
T = TypeVar("T", bound=Item)

MetricsRow = dict[str, float | None]

MAX_INTERVAL_S = 60.0
GROWTH = 1.2
PATIENCE_S = 600.0  # of failed polls in a row, by the clock or by the time slept: a clock may stand still
MAX_RETRY_AFTER_S = 120.0  # the job is polled again after that, whatever the service says
MAX_FAILURES = 600  # upper bound if neither the clock nor the slept time advances
LAST_EVENTS_S = 2.0  # recording: the cancellation event appears up to 2 s after the status
TRANSIENT_ERRORS = (APIConnectionError, APIResponseError, RateLimitError, InternalServerError)


def iter_jobs(
    *, page_size: int | None = 100, metadata: Mapping[str, str] | NotGiven | None = NOT_GIVEN
) -> Stream[FineTuningJobResponse]:
    """Iterate over all jobs, newest first, a page at a time."""
    yield from _emit_pages(lambda after: list_jobs(limit=page_size, after=after, metadata=metadata))


def iter_job_events(job_id: str, *, page_size: int | None = 100) -> Stream[FineTuningEventResponse]:
    """Iterate over all events of a job so far, newest first, a page at a time."""
    yield from _emit_pages(lambda after: list_job_events(job_id, limit=page_size, after=after))


def iter_job_checkpoints(job_id: str, *, page_size: int | None = None) -> Stream[FineTuningCheckpointResponse]:
    """Iterate over all checkpoints of a job, newest first, a page at a time."""
    yield from _emit_pages(lambda after: list_job_checkpoints(job_id, limit=page_size, after=after))


def iter_files(
    *, page_size: int | None = None, purpose: str | None = None, order: str | None = None
) -> Stream[FileResponse]:
    """Iterate over all files, newest first unless *order* is ``"asc"``, a page at a time."""
    yield from _emit_pages(lambda after: list_files(limit=page_size, purpose=purpose, order=order, after=after))


def _emit_pages(fetch: Callable[[str | None], Flow[Page[T]]]) -> Stream[T]:
    after: str | None = None
    cursors = {after}
    while True:
        page = yield from fetch(after)
        for item in page:
            yield Emit(item)
        after = page.last_id
        if not page.has_more or after in cursors:  # a server may ignore our cursor
            return
        cursors.add(after)


def wait_for_job(
    job_id: str,
    *,
    timeout: float | None = None,
    poll_interval: float = 5.0,
    on_update: Callable[[FineTuningJobResponse], object] | None = None,
    until_paused: bool = False,
    raise_on_failure: bool = False,
) -> Flow[FineTuningJobResponse]:
    """Poll a job until it has finished, however it ends.

    Interrupting the wait leaves the job alone. Polls that fail for a passing reason (no connection, 408, 429, 5xx) are
    repeated for ten minutes; other errors are raised at once.

    Args:
        job_id: The job.
        timeout: Seconds after which to give up, once a request that is under way is over; None waits for ever.
        poll_interval: Seconds between the first two polls; grows to 60, if it is shorter.
        on_update: Called, and never awaited, with the job whenever it has changed.
        until_paused: Let a pause end the wait, too.
        raise_on_failure: Raise unless the job has succeeded.

    Raises:
        WaitTimeout: The job goes on, but *timeout* has passed; caused by the last poll's error, if it failed.
        APIError: A poll failed for good.
        JobFailed: With *raise_on_failure*.
        JobCancelled: With *raise_on_failure*.
        TypeError: *on_update* is async.
        ValueError: *timeout* or *poll_interval* is not a time.
    """
    reject_async("on_update", on_update)
    wait = _Wait(poll_interval, timeout, started_s=(yield from now()))
    while True:
        job = yield from wait.poll(lambda: retrieve_job(job_id))
        if job is not None:
            if on_update is not None and (wait.job is None or job.raw != wait.job.raw):
                on_update(job)
            wait.job = job
            if job.is_finished() or (until_paused and job.is_paused()):
                if raise_on_failure and job.has_failed():
                    reason = job.error.get("message") if isinstance(job.error, dict) else job.error
                    raise JobFailed(f"job {job.id} has failed: {reason or 'no reason given'}", job=job)
                if raise_on_failure and job.was_cancelled():
                    raise JobCancelled(f"job {job.id} was cancelled", job=job)
                return job
        yield from wait.sleep(job_id)


def follow_job_events(
    job_id: str,
    *,
    since: str | None = None,
    poll_interval: float = 5.0,
    timeout: float | None = None,
) -> Stream[FineTuningEventResponse]:
    """Yield the events of a job, oldest first and each once, until it has finished.

    Args:
        job_id: The job.
        since: Id of the last event already seen; the ones after it follow.
        poll_interval: Seconds between the first two polls; grows to 60.
        timeout: Seconds after which to give up; None follows for ever.

    Raises:
        WaitTimeout: The job goes on, but *timeout* has passed.
        ValueError: *timeout* or *poll_interval* is not a time.
    """
    wait = _Wait(poll_interval, timeout, started_s=(yield from now()))
    seen = set() if since is None else {require_name("since", since)}

    def poll() -> Flow[list[FineTuningEventResponse]]:
        # The job comes first: but for a cancellation's, its events land no later than the last status.
        wait.job = yield from retrieve_job(job_id)
        return (yield from _list_new_events(job_id, seen))

    is_last = False
    while True:
        events = yield from wait.poll(poll)
        for event in reversed(events or []):
            seen.add(event.id)
            yield Emit(event)
        if events is not None and wait.job is not None and wait.job.is_finished():
            if is_last or not wait.job.was_cancelled():
                return
            is_last = True
            yield Sleep(LAST_EVENTS_S)
        else:
            yield from wait.sleep(job_id)


def _list_new_events(job_id: str, seen: set[str]) -> Flow[list[FineTuningEventResponse]]:
    """Fetch events, newest first, back to the first one that was seen."""
    events: dict[str, FineTuningEventResponse] = {}
    after: str | None = None
    cursors = {after}
    while True:
        page = yield from list_job_events(job_id, limit=100, after=after)
        for event in page:
            if event.id in seen:
                return list(events.values())
            events[event.id] = event
        after = page.last_id
        if not page.has_more or after in cursors:
            return list(events.values())
        cursors.add(after)


@dataclass(slots=True)
class _Wait:
    """One wait: when it ends, how often it polls, and what it saw last."""

    interval_s: float
    timeout_s: float | None
    started_s: float
    retry_after_s: float = 0.0
    failures: int = 0  # in a row
    failing_since_s: float = 0.0
    slept_s: float = 0.0  # since then
    error: APIError | None = None  # of the last poll, if it failed
    job: FineTuningJobResponse | None = None

    def __post_init__(self) -> None:
        if isinf(check_seconds("poll_interval", self.interval_s)):
            raise ValueError("poll_interval must be finite, got inf")
        if self.timeout_s is not None:
            check_seconds("timeout", self.timeout_s)

    def poll(self, flow: Callable[[], Flow[F]]) -> Flow[F | None]:
        """Run a flow; return None for an error that may pass by itself, for a while."""
        try:
            result = yield from self._in_time(flow())
        except APIError as error:
            self.error, error.job = error, self.job
            is_transient = isinstance(error, TRANSIENT_ERRORS) or error.status_code == 408
            if not is_transient:
                raise
            time_s = yield from now()
            if not self.failures:
                self.failing_since_s, self.slept_s = time_s, 0.0
            self.failures += 1
            if self.failures > MAX_FAILURES or max(time_s - self.failing_since_s, self.slept_s) >= PATIENCE_S:
                raise
            self.retry_after_s = min(getattr(error, "retry_after", None) or 0.0, MAX_RETRY_AFTER_S)
            return None
        self.failures, self.retry_after_s, self.error = 0, 0.0, None
        return result

    def _in_time(self, flow: Flow[F]) -> Flow[F]:
        """Let no request of a poll be repeated after the wait is over."""
        if self.timeout_s is None:
            return (yield from flow)
        until = self.started_s + self.timeout_s
        outcome: Any = None
        while True:
            try:
                command = flow.send(outcome)
            except StopIteration as done:
                result: F = done.value
                return result
            outcome = yield replace(command, until=until) if isinstance(command, Request) else command

    def sleep(self, job_id: str) -> Flow[None]:
        """Sleep until the next poll, or give up if there is no time for one."""
        pause = max(self.interval_s, self.retry_after_s)
        if self.timeout_s is not None:
            left = self.started_s + self.timeout_s - (yield from now())
            if left <= 0:
                state = f"is {self.job.status}" if self.job else "was never seen"
                why = f"; the last look failed: {self.error}" if self.error else ""
                message = f"job {job_id} {state} after {self.timeout_s:g} s{why}"
                raise WaitTimeout(message, job=self.job) from self.error
            pause = min(pause, left)
        self.interval_s = max(self.interval_s, min(MAX_INTERVAL_S, self.interval_s * GROWTH))
        self.slept_s += pause
        yield Sleep(pause)


def result_metrics(job_id: str) -> Flow[list[MetricsRow]]:
    """Fetch a job's metrics, one row a step; empty while the job has no result file.

    Returns:
        For instance ``[{"step": 1.0, "train_loss": 3.6, "valid_loss": None}, …]``; None where the
        step was not measured.

    Raises:
        FineTuningError: The result file is not a table of numbers.
    """
    job = yield from retrieve_job(job_id)
    rows: list[MetricsRow] = []
    files = job.result_files or []
    if not isinstance(files, list):
        raise FineTuningError(f"result_files of job {job.id} must be a list, got {files!r:.80}", job=job)
    for file_id in files:
        try:
            rows += parse_metrics((yield from download_file(file_id)))
        except (ValueError, csv.Error) as error:
            raise FineTuningError(f"result file {file_id} cannot be read: {error}", job=job) from error
        except FineTuningError as error:
            error.job = job
            raise
    return rows


def parse_metrics(content: bytes) -> list[MetricsRow]:
    """Parse a CSV of numbers, wrapped in base64 or not.

    Raises:
        ValueError: It is neither; or csv.Error.

    Source:
        recording: plain in 2023, base64 without any sign of it in 2024; both are still met.
    """
    if b"," not in content:  # no letter of base64, and in every CSV worth the name
        content = base64.b64decode(b"".join(content.split()), validate=True)
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row has more or fewer cells than the header")
    return [{name: float(cell) if cell.strip() else None for name, cell in row.items()} for row in rows]
