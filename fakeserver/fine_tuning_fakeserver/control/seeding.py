"""Put files and jobs into an account under given ids, in a given state."""

from __future__ import annotations

from dataclasses import replace

from ..account.account import Account
from ..account.blobs import Blob
from ..account.records import NAMED, JobCreated, JobIntervened, NextIdReserved
from ..account.service import Service, operation
from ..api import files, response_objects
from ..api.job_creation import build_job, new_job_id, next_plan
from ..api.request_models import CreateJobBody
from ..api_errors import ApiError
from ..domain import ids
from ..domain.base_models import dated
from ..domain.checkpoint_choice import kept_steps
from ..domain.job_spec import PhaseDurations, build_job_spec
from ..domain.jobs import NOTHING_GIVEN, CheckpointOverride, Job, Overrides
from ..domain.plan import Plan
from ..domain.timeline import TERMINAL, Cancel, Intervention, Pause
from ..domain.training_files import JobFile
from ..domain.training_methods import TrainingRequest
from ..usage_errors import FakeUsageError
from .seeds import FileSeed, JobSeed
from .steering import STATUSES

MODELS = {
    "supervised": "gpt-4o-mini-2024-07-18",
    "dpo": "gpt-4.1-mini-2025-04-14",
    "reinforcement": "o4-mini-2025-04-16",
}
"""The model of a seeded job that names none, by its method."""


def seed_file(service: Service, seed: FileSeed) -> response_objects.Json:
    """Put a file into the account; it is checked as an upload is.

    Raises:
        FakeUsageError: its id is taken, or the service would not have taken it.
    """
    _check_free(service.account, seed.id)
    upload = files.NewFile(Blob.of(seed.content.encode()), seed.filename, seed.purpose)
    try:
        found = files.check_new_file(upload)
    except ApiError as error:
        raise FakeUsageError(f"the service would refuse this file: {error.message}") from None
    return files.store_file(service, upload, found, seed.id, seed.created_at)


def _check_free(account: Account, file: str | None) -> None:
    if file in account.files or file in account.results:
        raise FakeUsageError(f"there is a file {file!r} already: choose another id, or reset the account")


@operation
def seed_job(service: Service, now: float, seed: JobSeed) -> response_objects.Json:
    """Put a job into the account, in the state asked for.

    Raises:
        FakeUsageError: its id is taken, its file is missing, or it cannot be in that state.
    """
    account = service.account
    if seed.finished_at is not None and seed.created_at is None:
        raise FakeUsageError("finished_at says nothing without created_at: give both, or neither")
    if seed.status not in STATUSES:
        raise FakeUsageError(f"status is {seed.status!r}: one of {', '.join(STATUSES)}")
    for result in seed.result_files:
        _check_free(account, result)
    if seed.id in account.jobs:
        raise FakeUsageError(f"there is a job {seed.id!r} already: choose another id, or reset the account")
    job = _shift_to_status(_without_interventions(account, now, seed), seed, now)
    acts = _interventions(job, seed, now)
    reached = replace(job, interventions=acts).timeline().status(now)
    if reached != seed.status:
        raise FakeUsageError(f"a job created at {int(job.created_at)} is {reached} by now, not {seed.status}")
    service.commit(JobCreated(job), *(JobIntervened(job.id, act) for act in acts))
    account.materialize(now)
    return response_objects.job(account.jobs[job.id], now)


@operation
def name_next(
    service: Service, now: float, kind: str, identifier: str, seed: int | None = None, given: Overrides = NOTHING_GIVEN
) -> None:
    """Give the next thing of a kind that is made this id; a job this seed, if it asks for none, and what is *given*.

    Raises:
        FakeUsageError: the id is taken, or *kind* is none of "file", "job", "upload" and "part".
    """
    if not isinstance(identifier, str) or not identifier:
        raise FakeUsageError(f"id is {identifier!r}: a text is wanted")
    if kind not in NAMED:
        raise FakeUsageError(f"kind is {kind!r}: one of {', '.join(NAMED)}")
    account = service.account
    waiting = {each.id for names in account.named.values() for each in names}
    if any(identifier in taken for taken in (account.files, account.jobs, account.uploads, waiting)):
        raise FakeUsageError(f"there is a {kind} {identifier!r} already: choose another id, or reset the account")
    service.commit(NextIdReserved(kind, identifier, seed, given))


def _interventions(job: Job, seed: JobSeed, now: float) -> tuple[Intervention, ...]:
    if seed.status == "cancelled":
        return (Cancel(job.created_at),)
    if seed.status == "paused":
        return (Pause(min(now, job.timeline().time_of("started") or now)),)
    return ()


def _without_interventions(account: Account, now: float, seed: JobSeed) -> Job:
    body = CreateJobBody(
        model=seed.model or MODELS[seed.method.type if seed.method else "supervised"],
        training_file=seed.training_file,
        validation_file=seed.validation_file,
        suffix=seed.suffix,
        metadata=seed.metadata,
        method=seed.method,
    )
    identifier = seed.id or new_job_id(account)
    number = ids.draw("job-seed", identifier) % 2**31 if seed.seed is None else seed.seed
    order = _order(account, body, seed)
    script = build_job_spec(_plan(next_plan(account), seed), order, number, *_materials(account, seed))
    kept = kept_steps(script)
    for point in seed.checkpoints:
        if point.step_number not in kept:
            raise FakeUsageError(f"no checkpoint of step {point.step_number} is kept: this job keeps those of {kept}")
    return replace(build_job(account, identifier, now, body, order, script), overrides=_overrides(seed))


def _order(account: Account, body: CreateJobBody, seed: JobSeed) -> TrainingRequest:
    order = body.order(dated(body.model, account.dialect.dated))
    if seed.hyperparameters is None:
        return order
    return replace(order, numbers=replace(order.numbers, **seed.hyperparameters.model_dump(exclude_unset=True)))


def _materials(account: Account, seed: JobSeed) -> tuple[JobFile, JobFile | None]:
    """What the job reads; a validation file that is not in the account is taken to be as the training file is."""
    training = account.files.get(seed.training_file)
    if training is None or training.dataset is None:
        raise FakeUsageError(f"training_file {seed.training_file!r} is no fine-tune file of the account: seed it first")
    material = JobFile(training.id, training.dataset)
    if seed.validation_file is None:
        return material, None
    validation = account.files.get(seed.validation_file)
    found = validation.dataset if validation else None
    return material, JobFile(seed.validation_file, found or training.dataset)


def _plan(plan: Plan, seed: JobSeed) -> Plan:
    wished = plan.changed(seed.plan)
    if seed.status == "failed":
        return wished.changed({"outcome": "failed"} if seed.error is None else {"error": seed.error})
    return wished.changed({"outcome": "succeeded"}) if seed.status == "succeeded" else wished


def _overrides(seed: JobSeed) -> Overrides:
    points = tuple(
        CheckpointOverride(each.id, each.created_at, each.step_number, each.fine_tuned_model_checkpoint, each.metrics)
        for each in seed.checkpoints
    )
    return Overrides(
        fine_tuned_model=seed.fine_tuned_model,
        result_file=seed.result_files[0] if seed.result_files else None,
        trained_tokens=seed.trained_tokens,
        finished_at=seed.finished_at,
        checkpoints=points,
        event_ids={ordinal: given for ordinal, given in enumerate(seed.event_ids) if given},
        result_created_at=seed.result_created_at,
        result_bytes=seed.result_bytes,
    )


def _shift_to_status(job: Job, seed: JobSeed, now: float) -> Job:
    """*job* moved in time so that it has the status now, or began when it is said to have begun."""
    wanted = {"paused": "running", "cancelled": "validating_files"}.get(seed.status, seed.status)
    life = job.timeline()
    at = next((at for at, status in life.milestones if status == wanted), None)
    if at is None:
        raise FakeUsageError(f"a job with this file and plan never is {seed.status}: {_path_to_status(job)}")
    reach = (life.end if seed.status in TERMINAL else at) - job.created_at
    begun = now - (0 if seed.status == "cancelled" else reach)
    if seed.created_at is not None:
        job, begun = _scale_to_status(job, seed, seed.created_at, begun), float(seed.created_at)
    return replace(job, created_at=begun)


def _scale_to_status(job: Job, seed: JobSeed, created_at: int, latest: float) -> Job:
    """*job* with its phases stretched so that it ends at `finished_at`, or has got to its status by now."""
    life = job.timeline()
    if seed.finished_at is not None and (trained := life.time_of("trained")):
        scale = (seed.finished_at - created_at) / ((trained - job.created_at) or 1.0)
    else:
        scale = 1.0
    if scale <= 0:
        raise FakeUsageError(f"finished_at {seed.finished_at} is not after created_at {created_at}")
    script = replace(job.spec, lengths=PhaseDurations.of(job.spec.plan, scale))
    if created_at > latest and scale == 1.0:
        raise FakeUsageError(
            f"a job created at {created_at} is not yet {seed.status}: say {int(latest)} or earlier, or leave it out"
        )
    return replace(job, spec=script)


def _path_to_status(job: Job) -> str:
    return " → ".join(status for _, status in job.timeline().milestones)
