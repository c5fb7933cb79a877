"""Jobs: create, list, retrieve, cancel, pause, resume, events, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..account.account import NO_METADATA, Account, OrderedIds, UnknownCursorError
from ..account.records import JobCreated, JobIntervened
from ..account.service import Service, operation
from ..api_errors import illegal_state, unknown_cursor, unknown_job
from ..domain.job import Job
from ..domain.timeline import Cancel, Intervention, Pause, Resume
from .job_creation import prepare_job
from .request_models import CreateJobBody
from .response_objects import Json, checkpoint_objects, event_object, job_object, page_object, page_object_after


@operation
def create(service: Service, now: float, body: CreateJobBody, own: Mapping[str, Any] | None = None) -> Json:
    """Accept a job; what its files hold is judged later, in the job.

    Args:
        own: members that only its dialect has.

    Raises:
        ApiError, FakeUsageError: as `prepare_job`.
    """
    job = prepare_job(service.account, now, body)
    if own:
        job = replace(job, extra_members=own)
    answer = job_object(job, now, created=True)
    service.commit(JobCreated(job))
    return answer


@operation
def retrieve(service: Service, now: float, identifier: str) -> Json:
    """Return one job. At the pace "polls" this moves time to its next milestone first."""
    job = find_job(service.account, identifier)
    if service.polling_advances_time:
        now = _advance_to_next_milestone(service, job, now)
    return job_object(job, now)


def _advance_to_next_milestone(service: Service, job: Job, now: float) -> float:
    milestone = job.timeline().next_milestone(now)
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
) -> Json:
    """Return one page of jobs, newest first; of those whose metadata has every pair of *metadata*."""
    account = service.account
    pairs = [NO_METADATA] if without_metadata else list((metadata or {}).items())
    identifiers = _jobs_with_metadata(account, pairs) if pairs else account.job_shelf
    try:
        page, has_more = identifiers.page(after, limit)
    except UnknownCursorError:
        raise unknown_cursor() from None
    return page_object([job_object(account.jobs[each], now) for each in page], has_more)


def _jobs_with_metadata(account: Account, pairs: list[tuple[str, str]]) -> OrderedIds:
    """Return the jobs that have all *pairs*; only those with the rarest pair are looked at."""
    rarest = min((account.jobs_by_metadata.get(pair, OrderedIds()) for pair in pairs), key=len)
    if len(pairs) == 1:
        return rarest
    matching = OrderedIds()
    for identifier in rarest:
        job = account.jobs[identifier]
        if set(pairs) <= set((job.metadata or {}).items()):
            matching.add(identifier, job.created_at)
    return matching


@operation
def cancel(service: Service, now: float, identifier: str) -> Json:
    """End a job that is not over."""
    active = frozenset({"validating_files", "queued", "running", "paused"})
    return _intervene(service, now, identifier, "cancel", active, Cancel(now))


@operation
def pause(service: Service, now: float, identifier: str) -> Json:
    """Pause a running job (vendor text: it must be running)."""
    return _intervene(service, now, identifier, "pause", frozenset({"running"}), Pause(now))


@operation
def resume(service: Service, now: float, identifier: str) -> Json:
    """Let a paused job go on: it queues again (spec: the example answers ``queued``)."""
    return _intervene(service, now, identifier, "resume", frozenset({"paused"}), Resume(now))


def _intervene(
    service: Service, now: float, identifier: str, verb: str, allowed: frozenset[str], act: Intervention
) -> Json:
    status = find_job(service.account, identifier).timeline().status(now)
    if status not in allowed:
        raise illegal_state(verb, identifier, status)
    service.commit(JobIntervened(identifier, act))
    return job_object(service.account.jobs[identifier], now)


@operation
def list_events(service: Service, now: float, identifier: str, *, after: str | None, limit: int) -> Json:
    """Return one page of a job's events, newest first.

    At the pace "polls", a second look that would find nothing new moves time as a retrieve does: a loop that only
    reads events ends, too.
    """
    job = find_job(service.account, identifier)
    timeline = job.timeline()
    visible = timeline.event_count(now)
    if after is None:
        if service.polling_advances_time:
            if service.events_seen.get(identifier) == visible:
                visible = timeline.event_count(_advance_to_next_milestone(service, job, now))
            service.events_seen[identifier] = visible
        end = visible
    else:
        ordinal = job.event_ordinal(after)
        if ordinal is None or ordinal >= visible:
            raise unknown_cursor()
        end = ordinal
    # Ordinals count from the oldest event, pages from the newest.
    page = range(end - 1, max(end - 1 - limit, -1), -1)
    return page_object([event_object(job, timeline, ordinal) for ordinal in page], end > limit)


@operation
def list_checkpoints(service: Service, now: float, identifier: str, *, after: str | None, limit: int) -> Json:
    """Return one page of a job's checkpoints, newest first; none before it has succeeded (inferred)."""
    job = find_job(service.account, identifier)
    timeline = job.timeline()
    checkpoints = checkpoint_objects(job, timeline) if timeline.status(now) == "succeeded" else []
    return page_object_after(checkpoints, after, limit)


@operation
def snapshot(service: Service, now: float) -> list[Json]:
    """Return all jobs, newest first; this moves no time at any pace."""
    account = service.account
    newest_first = reversed(list(account.job_shelf))
    return [job_object(account.jobs[identifier], now) for identifier in newest_first]


@operation
def snapshot_of(service: Service, now: float, identifier: str) -> Json:
    """Return one job; unlike `retrieve` this moves no time at any pace."""
    return job_object(find_job(service.account, identifier), now)


def find_job(account: Account, identifier: str) -> Job:
    """Return the job with this id.

    Raises:
        ApiError: no job has this id.
    """
    if identifier not in account.jobs:
        raise unknown_job(identifier)
    return account.jobs[identifier]
