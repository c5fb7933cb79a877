"""Jobs: create, list, retrieve, cancel, pause, resume, events, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..account.account import NO_METADATA, Account, OrderedIds, UnknownCursorError
from ..account.records import JobCreated, JobIntervened
from ..account.service import Service, operation
from ..api_errors import illegal_state, unknown_cursor, unknown_job
from ..domain.jobs import Job
from ..domain.timeline import Cancel, Intervention, Pause, Resume
from . import response_objects
from .job_creation import create_job_record
from .request_models import CreateJobBody


@operation
def create(
    service: Service, now: float, body: CreateJobBody, own: Mapping[str, Any] | None = None
) -> response_objects.Json:
    """Accept a job; what its files hold is judged later, in the job. *own* is its dialect's. Raises as `admitted`."""
    job = create_job_record(service.account, now, body)
    if own:
        job = replace(job, own=own)
    answer = response_objects.job(job, now, created=True)
    service.commit(JobCreated(job))
    return answer


@operation
def retrieve(service: Service, now: float, identifier: str) -> response_objects.Json:
    """One job. At the pace "polls" this moves time to its next milestone first."""
    job = find(service.account, identifier)
    if service.polling_advances_time:
        now = _to_next_milestone(service, job, now)
    return response_objects.job(job, now)


def _to_next_milestone(service: Service, job: Job, now: float) -> float:
    life = job.timeline()
    milestone = life.next_milestone(now)
    return service.advance_clock(milestone) if milestone is not None else now


@operation
def list_jobs(
    service: Service,
    now: float,
    *,
    after: str | None,
    limit: int,
    metadata: Mapping[str, str] | None = None,
    without_metadata: bool = False,
) -> response_objects.Json:
    """One page of jobs, newest first; of those whose metadata has every pair of *metadata*."""
    account = service.account
    pairs = [NO_METADATA] if without_metadata else list((metadata or {}).items())
    if not pairs:
        page, has_more = _page(account.job_shelf, after, limit)
    else:
        page, has_more = _filtered(account, pairs, after, limit)
    return response_objects.page([response_objects.job(account.jobs[identifier], now) for identifier in page], has_more)


def _page(shelf: OrderedIds, after: str | None, limit: int) -> tuple[list[str], bool]:
    try:
        return shelf.page(after, limit)
    except UnknownCursorError:
        raise unknown_cursor() from None


def _filtered(account: Account, pairs: list[tuple[str, str]], after: str | None, limit: int) -> tuple[list[str], bool]:
    """A page of the jobs with all *pairs*; only the rarest pair's jobs are looked at."""
    shelf = min((account.jobs_by_metadata.get(pair, OrderedIds()) for pair in pairs), key=len)
    if len(pairs) == 1:
        return _page(shelf, after, limit)
    wanted = OrderedIds()
    for identifier in shelf:
        job = account.jobs[identifier]
        if set(pairs) <= set((job.metadata or {}).items()):
            wanted.add(identifier, job.created_at)
    return _page(wanted, after, limit)


@operation
def cancel(service: Service, now: float, identifier: str) -> response_objects.Json:
    """End a job that is not over."""
    active = frozenset({"validating_files", "queued", "running", "paused"})
    return _intervene(service, now, identifier, "cancel", active, Cancel(now))


@operation
def pause(service: Service, now: float, identifier: str) -> response_objects.Json:
    """Hold a running job (vendor text: it must be running)."""
    return _intervene(service, now, identifier, "pause", frozenset({"running"}), Pause(now))


@operation
def resume(service: Service, now: float, identifier: str) -> response_objects.Json:
    """Let a held job go on: it queues again (spec: the example answers ``queued``)."""
    return _intervene(service, now, identifier, "resume", frozenset({"paused"}), Resume(now))


def _intervene(
    service: Service, now: float, identifier: str, name: str, allowed: frozenset[str], act: Intervention
) -> response_objects.Json:
    status = find(service.account, identifier).timeline().status(now)
    if status not in allowed:
        raise illegal_state(name, identifier, status)
    service.commit(JobIntervened(identifier, act))
    return response_objects.job(service.account.jobs[identifier], now)


@operation
def list_events(
    service: Service, now: float, identifier: str, *, after: str | None, limit: int
) -> response_objects.Json:
    """One page of a job's events, newest first.

    At the pace "polls", a second look that would find nothing new moves time as a retrieve does: a loop that only
    reads events ends, too.
    """
    job = find(service.account, identifier)
    life = job.timeline()
    visible = life.events(now)
    if after is None and service.polling_advances_time:
        if service.events_seen.get(identifier) == visible:
            visible = life.events(_to_next_milestone(service, job, now))
        service.events_seen[identifier] = visible
    first = visible if after is None else _ordinal(job, after, visible)
    page = range(first - 1, max(first - 1 - limit, -1), -1)
    return response_objects.page([response_objects.event(job, life, ordinal) for ordinal in page], first > limit)


def _ordinal(job: Job, after: str, visible: int) -> int:
    ordinal = job.event_ordinal(after)
    if ordinal is None or ordinal >= visible:
        raise unknown_cursor()
    return ordinal


@operation
def list_checkpoints(
    service: Service, now: float, identifier: str, *, after: str | None, limit: int
) -> response_objects.Json:
    """One page of a job's checkpoints, newest first; there are none before it has succeeded (inferred)."""
    job = find(service.account, identifier)
    life = job.timeline()
    points = response_objects.checkpoints(job, life) if life.status(now) == "succeeded" else []
    known = [point["id"] for point in points]
    if after is not None and after not in known:
        raise unknown_cursor()
    first = 0 if after is None else known.index(after) + 1
    page = points[first : first + limit]
    return response_objects.page_with_ids(page, first + limit < len(points))


@operation
def snapshot(service: Service, now: float) -> list[response_objects.Json]:
    """All jobs, newest first; unlike `retrieve` this moves no time at any pace."""
    account = service.account
    return [response_objects.job(account.jobs[identifier], now) for identifier in reversed(list(account.job_shelf))]


@operation
def snapshot_of(service: Service, now: float, identifier: str) -> response_objects.Json:
    """One job; unlike `retrieve` this moves no time at any pace."""
    return response_objects.job(find(service.account, identifier), now)


def find(account: Account, identifier: str) -> Job:
    """The job with this id.

    Raises:
        ApiError: there is none.
    """
    if identifier not in account.jobs:
        raise unknown_job(identifier)
    return account.jobs[identifier]
