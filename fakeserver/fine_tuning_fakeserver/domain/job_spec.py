"""The spec of a job: a plan made exact from request, data and seed. Decided once, when the job is created."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache

from . import training_files
from .durations import parse_seconds
from .loss_curves import Losses, TrainingPoint, loss_curve, training_point
from .plan import JobError, Plan
from .training_files import Material
from .training_methods import (
    METHOD_OF_FORMAT,
    METHODS,
    GraderRef,
    Hyperparameters,
    TrainingRequest,
    resolve_hyperparameters,
    steps_per_epoch,
)

MIN_EXAMPLES = {"training": 10, "validation": 1}
"""Rows that a file must have. Printed output of 2024-12 for training; inferred for validation."""


@dataclass(frozen=True, slots=True)
class PhaseDurations:
    """How long each phase of a job takes, in seconds; the names are the plan's."""

    validating: float
    queued: float
    starting: float
    seconds_per_step: float
    finishing: float

    @staticmethod
    @lru_cache(maxsize=64)
    def for_plan(plan: Plan, scale: float = 1.0) -> PhaseDurations:
        """Return the durations of *plan*, each times *scale*; jobs of one plan share them."""
        names = (field.name for field in fields(PhaseDurations))
        return PhaseDurations(*(parse_seconds(getattr(plan, name)) * scale for name in names))


@dataclass(frozen=True, slots=True)
class JobSpec:
    """All that is decided about a job before any intervention.

    `curves` are (first step, curve) pairs in rising order; `error` is set when the job will fail,
    `fail_step` when it will fail in training.
    """

    plan: Plan
    durations: PhaseDurations
    method: str
    hyperparameters: Hyperparameters
    n_epochs: int
    steps_per_epoch: int
    tokens: int
    seed: int
    validation_examples: int | None
    curves: tuple[tuple[int, str], ...]
    graders: tuple[GraderRef, ...] = ()
    error: JobError | None = None
    fail_step: int | None = None

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation file to measure by."""
        return self.validation_examples is not None

    @property
    def steps(self) -> int:
        """How many training steps the whole job has."""
        return self.n_epochs * self.steps_per_epoch

    def curve_at(self, step: int) -> str:
        """Return the curve that *step* follows: a name, or CSV."""
        return next(name for first, name in reversed(self.curves) if step >= first)

    def training_point(self, step: int) -> TrainingPoint:
        """Return how far the training is at *step*, and the numbers that are drawn for it."""
        return training_point(step, self.steps, self.seed)

    def losses(self, step: int, point: TrainingPoint) -> Losses:
        """Return the losses at *step*, which is at *point*, by the job's curve."""
        return loss_curve(self.curve_at(step))(point)


def build_job_spec(
    plan: Plan, request: TrainingRequest, seed: int, training: Material, validation: Material | None = None
) -> JobSpec:
    """Make *plan* exact: numbers for every "auto", and the failure that the files themselves call for."""
    numbers = resolve_hyperparameters(request, training.data.examples)
    spec = JobSpec(
        plan=plan,
        durations=PhaseDurations.for_plan(plan),
        method=request.method,
        hyperparameters=numbers,
        n_epochs=int(numbers.n_epochs),
        steps_per_epoch=steps_per_epoch(training.data.examples, numbers.batch_size),
        tokens=training.data.tokens,
        seed=seed,
        validation_examples=validation.data.examples if validation else None,
        curves=((1, plan.curve),),
        graders=request.graders,
    )
    error = file_error(request, training) or (file_error(request, validation, "validation") if validation else None)
    return with_outcome(spec, plan, error)


def with_outcome(spec: JobSpec, plan: Plan, file_error: JobError | None) -> JobSpec:
    """Return *spec* with the outcome of *plan*; an error in the files comes first."""
    in_training = plan.fail_step is not None and file_error is None
    fail_step = min(plan.fail_step, spec.steps) if in_training and plan.fail_step else None
    error = file_error or plan.failure
    return replace(spec, plan=plan, durations=PhaseDurations.for_plan(plan), error=error, fail_step=fail_step)


def file_error(request: TrainingRequest, file: Material, role: str = "training") -> JobError | None:
    """Return the failure that a file calls for; None if it can be trained on, or validated by (*role*).

    A file in another method's format comes first: a real dpo job on a chat file of 7 rows was told of its format
    (printed output of 2024-12).
    """
    data = file.data
    if text := _wrong_format(request, file):
        return _file_error("invalid_training_file", role, f"The job failed due to an invalid {role} file. {text}")
    if fault := data.faults.get(request.row_format):
        text = f"The job failed due to a file format error in the {role} file. Invalid file format. {fault}"
        return _file_error("invalid_file_format", role, text)  # printed outputs of 2025
    if data.examples < MIN_EXAMPLES[role]:
        text = f"{role.capitalize()} file has {data.examples} example(s), but must have at least {MIN_EXAMPLES[role]} "
        return _file_error("invalid_n_examples", role, text + "examples")  # printed output of 2024-12
    return None


def _wrong_format(request: TrainingRequest, file: Material) -> str | None:
    """Return the text about a file in a format of another method; None if its rows are checked one by one."""
    found = file.data.format
    owner = METHOD_OF_FORMAT.get(found)
    if owner and found != METHODS[request.method].file_format:  # printed output of 2024-12, trailing space too
        return (
            f"Invalid file format. Input file {file.id} is in the {found} format, but the specified fine-tuning job "
            f"is not using '{owner}' as the training method (provided method={request.method}). "
        )
    if found == training_files.UNKNOWN and request.method == "supervised":  # printed outputs of 2023 and 2024
        return "Unexpected file format, expected either prompt/completion pairs or chat messages."
    return None


def _file_error(code: str, role: str, text: str) -> JobError:
    """Return the error with the file's role as its param; a validation file has one code for all (inferred)."""
    return JobError(code if role == "training" else "invalid_validation_file", text, f"{role}_file")
