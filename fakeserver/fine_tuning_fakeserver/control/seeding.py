"""Put files and jobs into an account under given ids, in a given state."""

from __future__ import annotations

from dataclasses import replace

from ..account.account import Account
from ..account.blobs import Blob
from ..account.records import NAMED, JobCreated, JobIntervened, NextIdReserved
from ..account.service import Service, operation
from ..api import files
from ..api.job_creation import build_job, job_seed, new_job_id, next_plan
from ..api.request_models import CreateJobBody
from ..api.response_objects import Json, job_object
from ..api_errors import ApiError
from ..domain.base_models import snapshot_name
from ..domain.job import NO_OVERRIDES, CheckpointOverride, Job, Overrides
from ..domain.job_spec import PhaseDurations, build_job_spec
from ..domain.metrics import kept_steps
from ..domain.timeline import TERMINAL, Cancel, Intervention, Pause
from ..domain.training_files import JobFile
from ..usage_errors import FakeUsageError, wrong_value
from .seeds import FileSeed, JobSeed
from .steering import require_status

MODELS = {
    "supervised": "gpt-4o-mini-2024-07-18",
    "dpo": "gpt-4.1-mini-2025-04-14",
    "reinforcement": "o4-mini-2025-04-16",
}
"""The model of a seeded job that names none, by its method."""


def seed_file(service: Service, seed: FileSeed) -> Json:
    """Put a file into the account; it is checked as an upload is.

    Raises:
        FakeUsageError: its id is taken, or the service would refuse it.
    """
    _require_free_file_id(service.account, seed.id)
    upload = files.NewFile(Blob.of(seed.content.encode()), seed.filename, seed.purpose)
    try:
        dataset = files.check_new_file(upload)
    except ApiError as error:
        raise FakeUsageError(f"the service would refuse this file: {error.message}") from None
    return files.store_file(service, upload, dataset, seed.id, seed.created_at)


@operation
def reserve_next_id(
    service: Service, now: float, kind: str, identifier: str, seed: int | None = None, given: Overrides = NO_OVERRIDES
) -> None:
    """Give the next thing of a *kind* this id.

    Args:
        seed: the seed of a job that requests none.
        given: what else of a job is not derived.

    Raises:
        FakeUsageError: the id is taken, or *kind* is none of "file", "job", "upload" and "part".
    """
    if not isinstance(identifier, str) or not identifier:
        raise wrong_value("id", "a non-empty string", identifier)
    if kind not in NAMED:
        raise wrong_value("kind", f"one of {', '.join(NAMED)}", kind)
    account = service.account
    reserved = {name.id for names in account.named.values() for name in names}
    if any(identifier in taken for taken in (account.files, account.jobs, account.uploads, reserved)):
        raise _taken(kind, identifier)
    service.commit(NextIdReserved(kind, identifier, seed, given))


def _require_free_file_id(account: Account, identifier: str | None) -> None:
    if identifier in account.files or identifier in account.results:
        raise _taken("file", identifier)


def _taken(kind: str, identifier: str | None) -> FakeUsageError:
    return FakeUsageError(f"there is a {kind} {identifier!r} already; choose another id, or reset the account")


@operation
def seed_job(service: Service, now: float, seed: JobSeed) -> Json:
    """Put a job into the account, in the requested state.

    A seed names a status and perhaps times; a job is a course in time. So the job is decided as a created one would
    be, then shifted in time until it has its status *now*.

    Raises:
        FakeUsageError: its id is taken, its file is missing, or it cannot be in that state.
    """
    account = service.account
    if seed.finished_at is not None and seed.created_at is None:
        raise FakeUsageError("finished_at needs created_at: give both, or neither")
    require_status(seed.status)
    for result in seed.result_files:
        _require_free_file_id(account, result)
    if seed.id in account.jobs:
        raise _taken("job", seed.id)
    job = _shift_to_status(_undisturbed_job(account, now, seed), seed, now)
    interventions: tuple[Intervention, ...] = ()
    if seed.status == "cancelled":
        interventions = (Cancel(job.created_at),)
    elif seed.status == "paused":
        interventions = (Pause(min(now, job.timeline().time_of("started") or now)),)
    reached = replace(job, interventions=interventions).timeline().status(now)
    if reached != seed.status:
        raise FakeUsageError(f"a job created at {int(job.created_at)} is {reached} by now, not {seed.status}")
    service.commit(JobCreated(job), *(JobIntervened(job.id, intervention) for intervention in interventions))
    account.materialize(now)
    return job_object(account.jobs[job.id], now)


def _undisturbed_job(account: Account, now: float, seed: JobSeed) -> Job:
    """Decide the job as a created one would be, without interventions."""
    body = CreateJobBody(
        model=seed.model or MODELS[seed.method.type if seed.method else "supervised"],
        training_file=seed.training_file,
        validation_file=seed.validation_file,
        suffix=seed.suffix,
        metadata=seed.metadata,
        method=seed.method,
    )
    request = body.training_request(snapshot_name(body.model, account.dialect.snapshots))
    if seed.hyperparameters:
        changes = seed.hyperparameters.model_dump(exclude_unset=True)
        request = replace(request, hyperparameters=replace(request.hyperparameters, **changes))
    identifier = seed.id or new_job_id(account)
    plan = next_plan(account).changed(seed.plan)
    if seed.status == "failed":
        plan = plan.changed({"outcome": "failed"} if seed.error is None else {"error": seed.error})
    elif seed.status == "succeeded":
        plan = plan.changed({"outcome": "succeeded"})
    training, validation = _materials(account, seed)
    spec = build_job_spec(plan, request, job_seed(identifier, seed.seed), training, validation)
    kept = kept_steps(spec)
    for point in seed.checkpoints:
        if point.step_number not in kept:
            raise FakeUsageError(f"no checkpoint of step {point.step_number} is kept: this job keeps those of {kept}")
    return replace(build_job(account, identifier, now, body, request, spec), overrides=_overrides(seed))


def _materials(account: Account, seed: JobSeed) -> tuple[JobFile, JobFile | None]:
    """Return the job's files; a validation file that is not in the account is taken to be like the training file."""
    training = account.files.get(seed.training_file)
    if training is None or training.dataset is None:
        raise wrong_value("training_file", "a fine-tune file of the account", seed.training_file, "seed it first")
    if seed.validation_file is None:
        return JobFile(training.id, training.dataset), None
    validation = account.files.get(seed.validation_file)
    dataset = validation.dataset if validation else None
    return JobFile(training.id, training.dataset), JobFile(seed.validation_file, dataset or training.dataset)


def _overrides(seed: JobSeed) -> Overrides:
    """Return what of the job is given, not derived."""
    checkpoints = tuple(
        CheckpointOverride(each.id, each.created_at, each.step_number, each.fine_tuned_model_checkpoint, each.metrics)
        for each in seed.checkpoints
    )
    return Overrides(
        fine_tuned_model=seed.fine_tuned_model,
        result_file=seed.result_files[0] if seed.result_files else None,
        trained_tokens=seed.trained_tokens,
        finished_at=seed.finished_at,
        checkpoints=checkpoints,
        event_ids={ordinal: event_id for ordinal, event_id in enumerate(seed.event_ids) if event_id},
        result_created_at=seed.result_created_at,
        result_bytes=seed.result_bytes,
    )


def _shift_to_status(job: Job, seed: JobSeed, now: float) -> Job:
    """Shift the job in time so that it has its status *now*, or starts and ends at the given times."""
    timeline = job.timeline()
    # What comes by an intervention is reached from here.
    status = {"paused": "running", "cancelled": "validating_files"}.get(seed.status, seed.status)
    at = next((at for at, reached in timeline.milestones if reached == status), None)
    if at is None:
        path = " → ".join(reached for _, reached in timeline.milestones)
        raise FakeUsageError(f"a job with this file and plan never is {seed.status}: {path}")
    if seed.status == "cancelled":
        latest_start = now
    else:
        latest_start = now - ((timeline.end if seed.status in TERMINAL else at) - job.created_at)
    if seed.created_at is None:
        return replace(job, created_at=latest_start)
    scale = 1.0
    if seed.finished_at is not None and (trained := timeline.time_of("trained")):
        scale = (seed.finished_at - seed.created_at) / ((trained - job.created_at) or 1.0)
    if scale <= 0:
        raise wrong_value("finished_at", f"after created_at {seed.created_at}", seed.finished_at)
    if seed.created_at > latest_start and scale == 1.0:
        text = f"a job created at {seed.created_at} is not yet {seed.status}"
        raise FakeUsageError(f"{text}; say {int(latest_start)} or earlier, or leave it out")
    spec = replace(job.spec, durations=PhaseDurations.for_plan(job.spec.plan, scale))
    return replace(job, created_at=float(seed.created_at), spec=spec)
