"""Jobs: check a request and decide all about its job; list, retrieve, cancel, pause, resume, events, checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fine_tuning_formats.job_rules import base_model
from fine_tuning_formats.token_estimate import ESTIMATE, TokenCounter
from fine_tuning_formats.training_file import MIN_EXAMPLES

from ..account.account import NO_METADATA, Account, next_id
from ..account.blobs import MUCH_BYTES
from ..account.indexes import OrderedIds, UnknownCursorError
from ..account.looks import shows
from ..account.records import JobCreated, JobIntervened
from ..account.service import Service, operation
from ..api_errors import (
    already_completed,
    fine_tuning_closed,
    illegal_state,
    model_not_available,
    server_error,
    too_few_examples,
    too_many_jobs,
    too_many_jobs_today,
    unknown_cursor,
    unknown_file_of_job,
    unknown_job,
)
from ..domain import ids
from ..domain.job import Job
from ..domain.job_spec import JobFile, JobSpec, build_job_spec
from ..domain.plan import FIELDS, Plan
from ..domain.timeline import TERMINAL, Cancel, Intervention, Pause, Resume
from ..domain.training_methods import TrainingRequest
from ..usage_errors import unknown_name
from .response_objects import Json, checkpoint_objects, event_object, job_object, page_object, page_object_after

if TYPE_CHECKING:
    from .request_models import CreateJobBody

T = TypeVar("T")


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
    answer = job_object(job, now, service.account.dialect, created=True)
    service.commit(JobCreated(job))
    return answer


@operation
def retrieve(service: Service, now: float, identifier: str) -> Json:
    """Return one job. At the pace "polls" this moves time to its next milestone first."""
    job = find_job(service.account, identifier)
    if service.looks_matter:
        service.count_look("retrieve_job", _unfinished([job], now))
    if service.polling_advances_time:
        now = _advance_to_next_milestone(service, [job], now)
    shown = job_object(job, now, service.account.dialect)
    service.account.note_shown([job], [shown])
    return shown


def _unfinished(jobs: Iterable[Job], now: float) -> dict[str, str]:
    """Return the statuses of those *jobs* that are not over, by id."""
    return {job.id: status for job in jobs if (status := job.timeline().status(now)) not in TERMINAL}


def _advance_to_next_milestone(service: Service, jobs: Iterable[Job], now: float) -> float:
    """Move time to the first milestone that is ahead of any of *jobs*; return the new time."""
    ahead = [at for job in jobs if (at := job.timeline().next_milestone(now)) is not None]
    return service.advance_clock(min(ahead)) if ahead else now


def _look_by_list(
    service: Service,
    now: float,
    operation: str,
    query: tuple[Any, ...],
    jobs: Sequence[Job],
    show: Callable[[float], T],
    *,
    until_last_event: bool = False,
) -> T:
    """Count a look at *jobs* by a list; return what it shows.

    At the pace "polls" a list that was answered before moves time, if it would show nothing new: a loop that only
    lists ends, too, and one that also retrieves its job ends no sooner.

    Args:
        service: the account.
        now: when the request came.
        operation: the operation's name.
        query: what tells this request from others for the operation.
        jobs: the jobs that the list shows.
        show: returns what the list shows at a time.
        until_last_event: whether a job that is over moves time as well, to its last events.
    """
    shown = show(now)
    if not service.looks_matter:
        return shown
    unfinished = _unfinished(jobs, now)
    service.count_look(operation, unfinished)
    if service.polling_advances_time:
        request = (operation, query)
        if service.looks.is_repeated(request, shown):
            ahead = [job for job in jobs if until_last_event or job.id in unfinished]
            now = _advance_to_next_milestone(service, ahead, now)
            shown = show(now)
        service.remember(operation, query, shown, now)
    return shown


@shows("list_jobs")
def _shown_jobs(account: Account, at: float, after: str | None, limit: int, *pairs: tuple[str, str]) -> list[Json]:
    identifiers = _jobs_with_metadata(account, pairs) if pairs else account.job_shelf
    page, _ = identifiers.page(after, limit)
    return [job_object(account.jobs[each], at, account.dialect) for each in page]


@shows("list_job_events")
def _shown_events(account: Account, at: float, identifier: str, after: str | None, limit: int) -> tuple[str, int]:
    timeline = account.jobs[identifier].timeline()
    return timeline.status(at), timeline.event_count(at)


@shows("list_job_checkpoints")
def _shown_status(account: Account, at: float, identifier: str, after: str | None, limit: int) -> str:
    return account.jobs[identifier].timeline().status(at)


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
    listed = list(map(account.jobs.__getitem__, page))

    def show(at: float) -> list[Json]:
        return [job_object(job, at, account.dialect) for job in listed]

    shown = _look_by_list(service, now, "list_jobs", (after, limit, *pairs), listed, show)
    account.note_shown(listed, shown)
    return page_object([*shown], has_more)  # a dialect changes the page


def _jobs_with_metadata(account: Account, pairs: Sequence[tuple[str, str]]) -> OrderedIds:
    """Return the jobs that have all *pairs*; only those with the rarest pair are compared."""
    rarest = account.jobs_by_metadata.ids(min(pairs, key=account.jobs_by_metadata.count))
    if len(pairs) == 1:
        return rarest
    return rarest.where(lambda identifier: set(pairs) <= set((account.jobs[identifier].metadata or {}).items()))


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
        if verb == "cancel":  # it is over: a job in any other status can be cancelled
            raise already_completed()
        raise illegal_state(verb, identifier, status)
    service.commit(JobIntervened(identifier, act))
    return job_object(service.account.jobs[identifier], now, service.account.dialect)


@operation
def list_events(service: Service, now: float, identifier: str, *, after: str | None, limit: int) -> Json:
    """Return one page of a job's events, newest first."""
    job = find_job(service.account, identifier)
    timeline = job.timeline()
    ordinal = None if after is None else job.event_ordinal(after)
    if after is not None and (ordinal is None or ordinal >= timeline.event_count(now)):
        raise unknown_cursor()
    _, visible = _look_by_list(
        service,
        now,
        "list_job_events",
        (identifier, after, limit),
        [job],
        lambda at: (timeline.status(at), timeline.event_count(at)),
        until_last_event=True,
    )
    end = visible if ordinal is None else ordinal
    # Ordinals count from the oldest event, pages from the newest.
    page = range(end - 1, max(end - 1 - limit, -1), -1)
    return page_object([event_object(job, timeline, ordinal) for ordinal in page], end > limit)


@operation
def list_checkpoints(service: Service, now: float, identifier: str, *, after: str | None, limit: int) -> Json:
    """Return one page of a job's checkpoints, newest first; none before it has succeeded (inferred)."""
    job = find_job(service.account, identifier)
    timeline = job.timeline()
    # a job that another look has brought on has changed, be there checkpoints or not
    query = (identifier, after, limit)
    status = _look_by_list(service, now, "list_job_checkpoints", query, [job], timeline.status)
    checkpoints = checkpoint_objects(job, timeline, service.account.dialect) if status == "succeeded" else []
    return page_object_after(checkpoints, after, limit)


@operation
def snapshot(service: Service, now: float) -> list[Json]:
    """Return all jobs, newest first; this moves no time at any pace."""
    account = service.account
    newest_first = reversed(list(account.job_shelf))
    return [job_object(account.jobs[identifier], now, account.dialect) for identifier in newest_first]


@operation
def snapshot_of(service: Service, now: float, identifier: str) -> Json:
    """Return one job; unlike `retrieve` this moves no time at any pace."""
    return job_object(find_job(service.account, identifier), now, service.account.dialect)


def find_job(account: Account, identifier: str) -> Job:
    """Return the job with this id.

    Raises:
        ApiError: no job has this id.
    """
    if identifier not in account.jobs or identifier in account.deleted:
        raise unknown_job(identifier)
    return account.jobs[identifier]


METADATA_PREFIX = "fake_"
"""Metadata keys with this prefix change the job's plan: ``fake_outcome``, ``fake_error``, ``fake_queued`` …"""


def prepare_job(account: Account, now: float, body: CreateJobBody) -> Job:
    """Check a request and decide all about the job that it makes; the account stays as it is.

    Raises:
        ApiError: the request is refused. Files are checked before the model (seen in a client's live tests).
        FakeUsageError: control metadata makes no plan.
    """
    if account.is_closed(now):  # before the request itself is looked at (inferred)
        raise fine_tuning_closed() if account.settings.closed_status == 403 else server_error()
    training = _require_file(account, "training_file", body.training_file)
    validation = None
    if body.validation_file is not None:
        validation = _require_file(account, "validation_file", body.validation_file)
    request = requested_training(account, body, _require_trainable_model(account, now, body))
    least, examples = MIN_EXAMPLES["training"], training.data.examples
    if account.dialect.checks_count_at_creation and examples < least:
        raise too_few_examples(training.id, examples, least)
    _require_free_slot(account, now, request.model)
    training = counted_file(account, training, request.model)

    identifier = new_job_id(account)
    reserved = account.named["job"][0] if account.named["job"] else None
    seed = reserved.seed if reserved and body.seed is None else body.seed
    plan = plan_from_metadata(next_plan(account, body, request.model), body.metadata)
    spec = build_job_spec(plan, request, job_seed(identifier, seed), training, validation)
    job = build_job(account, identifier, now, body, request, spec)
    return replace(job, overrides=reserved.overrides) if reserved else job


def _require_file(account: Account, param: str, identifier: str) -> JobFile:
    file = account.files.get(identifier)
    if file is None or file.dataset is None:  # of another purpose: the same answer (inferred)
        raise unknown_file_of_job(param, identifier)
    return JobFile(file.id, file.dataset)


def counted_file(account: Account, file: JobFile, model: str) -> JobFile:
    """Return the training file of a job on *model* with its tokens, which are kept with the job."""
    counter = _token_counter(account, file, model)
    if counter is None:
        return file
    return replace(file, data=replace(file.data, tokens=account.files[file.id].content.count_tokens(counter)))


def count_ahead(account: Account, training_file: object, model: object) -> Callable[[], int] | None:
    """Return a function that counts the tokens of a large file for a job, without the lock; None if none are to be."""
    file = account.files.get(training_file) if isinstance(training_file, str) else None
    if file is None or file.dataset is None or file.content.size < MUCH_BYTES or not isinstance(model, str):
        return None
    counter = _token_counter(account, JobFile(file.id, file.dataset), account.snapshots.get(model, model))
    return None if counter is None or file.content.has_counted(counter) else partial(file.content.count_tokens, counter)


def _token_counter(account: Account, file: JobFile, model: str) -> TokenCounter | None:
    """Return what counts the tokens of *file*; None if what is known of them is enough."""
    if account.settings.tokens == "exact":
        from fine_tuning_formats.exact_tokens import exact_counter, vocabulary_of

        return exact_counter(vocabulary_of(base_model(model)))
    return ESTIMATE if file.data.tokens is None else None


def _require_trainable_model(account: Account, now: float, body: CreateJobBody) -> str:
    """Return the dated name of the model.

    One that does not learn by the job's method is refused as one that cannot be trained at all (inferred).
    """
    model = account.snapshots.get(body.model, body.model)
    base = account.base_models.get(base_model(model))
    known = model in account.base_models or account.takes_any_model or account.job_of_model(model) is not None
    if not known or account.is_shut_down(model, now) or (base and body.method_name not in base.methods):
        raise model_not_available(body.model)
    return model


DAY_S = 24 * 3600


def _require_free_slot(account: Account, now: float, model: str) -> None:
    settings = account.settings
    if (limit := settings.max_active_jobs) is not None:
        running, pending = _active_jobs(account, now, model)
        if running + pending >= limit:
            raise too_many_jobs(limit, running, pending, model)
    if (limit := settings.max_jobs_per_day) is not None:
        created = (job for job in account.jobs.values() if job.model == model and job.created_at > now - DAY_S)
        if sum(1 for _ in created) >= limit:
            raise too_many_jobs_today(limit, model)


def _active_jobs(account: Account, now: float, model: str) -> tuple[int, int]:
    """Return how many jobs of *model* are running, those of other projects among them, and how many are pending."""
    jobs = (account.jobs[identifier] for identifier in account.active)
    statuses = [job.timeline().status(now) for job in jobs if job.model == model]
    running = statuses.count("running")
    active = sum(status not in TERMINAL for status in statuses)
    return running + account.settings.other_jobs, active - running


@operation
def model_limits(service: Service, now: float) -> Json:
    """Return the limits of each model that can be trained, and how many jobs count towards them."""
    account, settings = service.account, service.account.settings
    names = (model.id for model in account.base_models.values() if model.methods)
    dated = (name for name in names if account.snapshots.get(name, name) == name)
    return {
        name: {
            "max_total_jobs": settings.max_jobs_per_day,
            "max_concurrent_jobs": settings.max_active_jobs,
            "active_jobs": sum(_active_jobs(account, now, name)),
        }
        for name in dated
        if not account.is_shut_down(name, now)
    }


def requested_training(account: Account, body: CreateJobBody, model: str) -> TrainingRequest:
    """Return the training of *model* that is requested, with the learning rate that its dialect chooses for "auto"."""
    request = body.training_request(model)
    if not account.dialect.multipliers:
        return request
    numbers, multiplier = request.hyperparameters, account.dialect.multiplier(base_model(model))
    if multiplier is None or numbers.learning_rate_multiplier != "auto":
        return request
    return replace(request, hyperparameters=replace(numbers, learning_rate_multiplier=multiplier))


def next_plan(account: Account, body: CreateJobBody, model: str) -> Plan:
    """Return the plan of the job that *body* makes, unless its own metadata changes it; *model* is the dated name."""
    if account.next_plans:
        return account.next_plans[0]
    for rule in account.plan_rules:
        if rule.when.matches((body.model, model), body.suffix, body.metadata):
            return rule.plan
    return account.plan


def new_job_id(account: Account) -> str:
    """Return the id of the next job."""
    seed, shapes = account.settings.seed, account.dialect.ids
    return next_id(
        account, "job", lambda n: ids.derived_id("job", seed, n, shapes=shapes), account.jobs, len(account.jobs)
    )


def job_seed(identifier: str, seed: int | None) -> int:
    """Return the requested *seed*, or one derived from the job's id."""
    return ids.derived_number("job-seed", identifier) % 2**31 if seed is None else seed


def build_job(
    account: Account, identifier: str, created_at: float, body: CreateJobBody, request: TrainingRequest, spec: JobSpec
) -> Job:
    """Build a job from its request and what was decided about it."""
    style = account.dialect.event_style
    if (style.first_validation, style.full_validation) != (spec.first_validation, spec.full_validation):
        spec = replace(spec, first_validation=style.first_validation, full_validation=style.full_validation)
    return Job(
        id=identifier,
        created_at=created_at,
        model=request.model,
        training_file=sys.intern(body.training_file),  # many jobs have the same
        validation_file=body.validation_file,
        suffix=body.suffix,
        seed=spec.seed,
        requested=request.hyperparameters,
        metadata=body.metadata,
        integrations=tuple(integration.model_dump(mode="json") for integration in body.integrations or ()),
        organization=account.organization_id,
        owner=account.settings.organization,
        spec=spec,
        objective=body.objective,
        dialect=account.dialect,
        number=len(account.jobs),
    )


def plan_from_metadata(plan: Plan, metadata: Mapping[str, str] | None) -> Plan:
    """Return *plan* as changed by the job's own metadata.

    Raises:
        FakeUsageError: a key starts with ``fake_`` and is not a field of a plan, or its value is wrong.
    """
    changes: dict[str, str | int] = {
        key.removeprefix(METADATA_PREFIX): value
        for key, value in (metadata or {}).items()
        if key.startswith(METADATA_PREFIX)
    }
    if unknown := sorted(set(changes) - set(FIELDS)):
        raise unknown_name(
            "control key of metadata", METADATA_PREFIX + unknown[0], [METADATA_PREFIX + field for field in FIELDS]
        )
    step = str(changes.get("fail_at", ""))
    if step.isdecimal():  # values of metadata are strings
        changes["fail_at"] = int(step)
    return plan.changed(changes) if changes else plan
