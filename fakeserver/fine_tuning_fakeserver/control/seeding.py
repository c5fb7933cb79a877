"""Put files and jobs into an account, under ids and in a state of the caller's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypedDict

from pydantic import Field, ValidationError

from fine_tuning_formats.text import show_value

from ..account.account import Account
from ..account.blobs import Blob
from ..account.records import NAMED, JobCreated, JobIntervened, NextIdReserved
from ..account.service import Service, operation
from ..api import files
from ..api.jobs import build_job, counted_file, job_seed, new_job_id, next_plan, requested_training
from ..api.request_models import CreateJobBody, Metadata, MethodBody, Suffix, usage_error
from ..api.response_objects import Json, job_object
from ..api_errors import ApiError
from ..domain.job import NO_OVERRIDES, CheckpointOverride, Job, Overrides
from ..domain.job_spec import JobFile, PhaseDurations, build_job_spec
from ..domain.metrics import kept_steps
from ..domain.plan import PlanFields
from ..domain.timeline import TERMINAL, Cancel, Intervention, Pause
from ..grading.body_types import ClosedModel, ShortCircuitDict, ShortCircuitList
from ..usage_errors import FakeUsageError, wrong_value
from .steering import require_status

MODELS = {
    "supervised": "gpt-4o-mini-2024-07-18",
    "dpo": "gpt-4.1-mini-2025-04-14",
    "reinforcement": "o4-mini-2025-04-16",
}
"""The model of a seeded job that names none, by its method."""


class _Seed(ClosedModel):
    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Return the seed with these fields.

        Raises:
            FakeUsageError: a field is unknown, or its value does not fit.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise usage_error(error, fields, cls.model_fields, "seed field") from None


Identifier = Annotated[str, Field(pattern=r"^[^\s/?#%]+$")]
"""An id that a path can hold."""
Second = Annotated[int, Field(ge=0, le=100_000_000_000)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class FileSeed(_Seed):
    """A file to put into the account; `created_at` is in Unix seconds, by default now."""

    id: Identifier | None = None
    filename: str = "seeded.jsonl"
    purpose: str = "fine-tune"
    content: str
    created_at: Second | None = None


class CheckpointSeed(_Seed):
    """A checkpoint of a seeded job, as the service lists it."""

    id: str
    created_at: int
    step_number: int
    fine_tuned_model_checkpoint: str
    metrics: ShortCircuitDict[str, int | float | str | None]


class HyperparametersSeed(_Seed):
    """The hyperparameters of a seeded job: numbers, or "auto"."""

    n_epochs: Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"] = "auto"
    learning_rate_multiplier: Annotated[int | float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] = "auto"


class JobSeed(_Seed):
    """A job to put into the account. What is left out is derived, as for a created job.

    Members are those of the service's job object, `suffix` besides; `created_at` and `finished_at` are in Unix
    seconds, as is `estimated_finish`, which only Azure shows. `event_ids` are the ids of its first events, oldest
    first; `result_created_at` and `result_bytes` are of its result file.
    """

    id: Identifier | None = None
    model: str | None = None
    training_file: str
    status: str = "succeeded"
    created_at: Second | None = None
    finished_at: Second | None = None
    validation_file: str | None = None
    suffix: Suffix | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    hyperparameters: HyperparametersSeed | None = None
    method: MethodBody | None = None
    metadata: Metadata | None = None
    error: dict[str, Any] | str | None = None
    fine_tuned_model: str | None = None
    result_files: ShortCircuitList[str] = Field([])
    trained_tokens: Count | None = None
    checkpoints: ShortCircuitList[CheckpointSeed] = Field([])
    event_ids: ShortCircuitList[str | None] = Field([])
    result_created_at: Second | None = None
    result_bytes: Count | None = None
    estimated_finish: Second | None = None
    plan: dict[str, Any] = Field({})

    def overrides(self) -> Overrides:
        """Return the values of the job that are not derived."""
        return Overrides(
            fine_tuned_model=self.fine_tuned_model,
            result_file=self.result_files[0] if self.result_files else None,
            trained_tokens=self.trained_tokens,
            finished_at=self.finished_at,
            checkpoints=tuple(
                CheckpointOverride(
                    point.id, point.created_at, point.step_number, point.fine_tuned_model_checkpoint, point.metrics
                )
                for point in self.checkpoints
            ),
            event_ids={ordinal: event_id for ordinal, event_id in enumerate(self.event_ids) if event_id},
            result_created_at=self.result_created_at,
            result_bytes=self.result_bytes,
            estimated_finish=self.estimated_finish,
        )


class FileSeedFields(TypedDict, total=False):
    """The keywords of `FakeFineTuning.add_file`: the fields of `FileSeed` but for its content."""

    id: str | None
    filename: str
    purpose: str
    created_at: int | None


class JobSeedFields(TypedDict, total=False):
    """The keywords of `FakeFineTuning.add_job`: the fields of `JobSeed` but for its training file."""

    id: str | None
    model: str | None
    status: str
    created_at: int | None
    finished_at: int | None
    validation_file: str | None
    suffix: str | None
    seed: int | None
    hyperparameters: Mapping[str, float | Literal["auto"]] | None
    method: Mapping[str, Any] | None
    metadata: Mapping[str, str] | None
    error: Mapping[str, str | None] | str | None
    fine_tuned_model: str | None
    result_files: Sequence[str]
    trained_tokens: int | None
    checkpoints: Sequence[Mapping[str, Any]]
    event_ids: Sequence[str | None]
    result_created_at: int | None
    result_bytes: int | None
    estimated_finish: int | None
    plan: PlanFields


def seed_file(service: Service, seed: FileSeed) -> Json:
    """Put a file into the account; it is checked as an upload is.

    Raises:
        FakeUsageError: its id is taken, or the service would refuse it.
    """
    _require_free_file_id(service.account, seed.id)
    upload = files.NewFile(Blob.of(seed.content.encode()), seed.filename, seed.purpose)
    try:
        dataset = files.check_new_file(upload, service.account.dialect)
    except ApiError as error:
        raise FakeUsageError(f"the service would refuse this file: {error.message}") from None
    return files.store_file(service, upload, dataset, seed.id, seed.created_at)


@operation
def reserve_next_id(
    service: Service,
    now: float,
    kind: str,
    identifier: str,
    seed: int | None = None,
    overrides: Overrides = NO_OVERRIDES,
) -> None:
    """Give the next thing of a *kind* this id.

    Args:
        seed: the seed of a job that requests none.
        overrides: the values of a job that are not derived.

    Raises:
        FakeUsageError: the id is taken, or *kind* is not "file", "job", "upload" or "part".
    """
    if not isinstance(identifier, str) or not identifier:
        raise wrong_value("id", "a non-empty string", identifier)
    if kind not in NAMED:
        raise wrong_value("kind", f"one of {', '.join(NAMED)}", kind)
    account = service.account
    reserved = {name.id for names in account.named.values() for name in names}
    if any(identifier in taken for taken in (account.files, account.jobs, account.uploads, reserved)):
        raise _taken(kind, identifier)
    service.commit(NextIdReserved(kind, identifier, seed, overrides))


def _require_free_file_id(account: Account, identifier: str | None) -> None:
    if identifier is not None and (identifier in account.files or account.file_shelf.job_of(identifier)):
        raise _taken("file", identifier)


def _taken(kind: str, identifier: str | None) -> FakeUsageError:
    return FakeUsageError(
        f"there is a {kind} {show_value(identifier)} already; choose another id, or reset the account"
    )


@operation
def seed_job(
    service: Service, now: float, seed: JobSeed, over_for_s: float = 0.0, own: Mapping[str, Any] | None = None
) -> Json:
    """Put a job into the account, in the requested state.

    A seed names a status and perhaps times; a job is a course in time. So the job is decided as a created one would
    be, then shifted in time until it has its status *now*.

    Args:
        over_for_s: how long a job that is over has been so, in seconds; where that is not 0, no webhook announces it.
        own: members that only its dialect has, or has otherwise.

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
    job = _shift_to_status(
        _undisturbed_job(account, now, seed), seed, now - over_for_s if seed.status in TERMINAL else now
    )
    interventions: tuple[Intervention, ...] = ()
    if seed.status == "cancelled":
        interventions = (Cancel(job.created_at),)
    elif seed.status == "paused":
        interventions = (Pause(min(now, job.timeline().time_of("started") or now)),)
    if own:
        job = replace(job, extra_members=own)
    reached = replace(job, interventions=interventions).timeline().status(now)
    if reached != seed.status:
        raise FakeUsageError(f"a job created at {int(job.created_at)} is {reached} by now, not {seed.status}")
    service.commit(JobCreated(job), *(JobIntervened(job.id, intervention) for intervention in interventions))
    account.materialize(now)
    return job_object(account.jobs[job.id], now, account.dialect)


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
    request = requested_training(account, body, account.snapshots.get(body.model, body.model))
    if seed.hyperparameters:
        changes = seed.hyperparameters.model_dump(exclude_unset=True)
        request = replace(request, hyperparameters=replace(request.hyperparameters, **changes))
    identifier = seed.id or new_job_id(account)
    plan = next_plan(account, body, request.model).changed(seed.plan)
    if seed.status == "failed":
        plan = plan.changed({"outcome": "failed"} if seed.error is None else {"error": seed.error})
    elif seed.status == "succeeded":
        plan = plan.changed({"outcome": "succeeded"})
    training, validation = _job_files(account, seed)
    training = counted_file(account, training, request.model)
    spec = build_job_spec(plan, request, job_seed(identifier, seed.seed), training, validation)
    kept = kept_steps(spec)
    for point in seed.checkpoints:
        if point.step_number not in kept and not account.dialect.event_style.keeps_paused_steps:
            raise FakeUsageError(f"no checkpoint of step {point.step_number} is kept: this job keeps those of {kept}")
    return replace(build_job(account, identifier, now, body, request, spec), overrides=seed.overrides())


def _job_files(account: Account, seed: JobSeed) -> tuple[JobFile, JobFile | None]:
    """Return the job's files; a validation file that is not in the account is taken to be like the training file."""
    training = account.files.get(seed.training_file)
    if training is None or training.dataset is None:
        raise wrong_value("training_file", "a fine-tune file of the account", seed.training_file, "seed it first")
    if seed.validation_file is None:
        return JobFile(training.id, training.dataset), None
    validation = account.files.get(seed.validation_file)
    dataset = validation.dataset if validation else None
    return JobFile(training.id, training.dataset), JobFile(seed.validation_file, dataset or training.dataset)


def _shift_to_status(job: Job, seed: JobSeed, now: float) -> Job:
    """Shift the job in time so that it has its status *now*, or starts and ends at the times of *seed*."""
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
    if seed.finished_at is not None and seed.status != "cancelled" and (trained := timeline.time_of("trained")):
        scale = (seed.finished_at - seed.created_at) / ((trained - job.created_at) or 1.0)
    if scale <= 0:
        raise wrong_value("finished_at", f"after created_at {seed.created_at}", seed.finished_at)
    if seed.created_at > latest_start and scale == 1.0:
        text = f"a job created at {seed.created_at} is not yet {seed.status}"
        raise FakeUsageError(f"{text}; say {int(latest_start)} or earlier, or leave it out")
    spec = replace(job.spec, durations=PhaseDurations.for_plan(job.spec.plan, scale))
    return replace(job, created_at=float(seed.created_at), spec=spec)
