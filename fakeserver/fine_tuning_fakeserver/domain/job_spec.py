"""A script: a plan made exact for one job, from request, data and seed. Decided once, when the job is created."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache

from . import training_files
from .durations import parse_seconds
from .plan import JobError, Plan
from .training_files import Material
from .training_methods import (
    MADE_FOR,
    METHODS,
    GraderRef,
    Hyperparameters,
    TrainingRequest,
    resolve_hyperparameters,
    steps_per_epoch,
)

EXAMPLES_AT_LEAST = {"training": 10, "validation": 1}
"""Rows that a file must have. Printed output of 2024-12 for training; inferred for validation."""


@dataclass(frozen=True, slots=True)
class PhaseDurations:
    """How long each phase of a job takes, in seconds; the names are the plan's."""

    validating: float
    queued: float
    starting: float
    seconds_per_step: float
    finishing: float

    @classmethod
    def of(cls, plan: Plan, scale: float = 1.0) -> PhaseDurations:
        """The lengths that *plan* wants, all of them times *scale*; jobs of one plan share them."""
        return _lengths(plan, scale)


@lru_cache(maxsize=64)
def _lengths(plan: Plan, scale: float) -> PhaseDurations:
    return PhaseDurations(*(parse_seconds(getattr(plan, field.name)) * scale for field in fields(PhaseDurations)))


@dataclass(frozen=True, slots=True)
class JobSpec:
    """All that is decided about a job's life before anybody disturbs it.

    `curves` are (first step, curve) pairs in rising order; `error` is set when the job will fail,
    `fail_step` when it will fail in training.
    """

    plan: Plan
    lengths: PhaseDurations
    method: str
    hyperparameters: Hyperparameters
    n_epochs: int
    steps_per_epoch: int
    tokens: int
    seed: int
    validation_examples: int | None
    curves: tuple[tuple[int, str], ...]
    judges: tuple[GraderRef, ...] = ()
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
        """The curve that *step* follows: a name, or CSV."""
        return next(name for first, name in reversed(self.curves) if step >= first)


def build_job_spec(
    plan: Plan, order: TrainingRequest, seed: int, training: Material, validation: Material | None = None
) -> JobSpec:
    """Make *plan* exact: numbers for every "auto", and the failure that the files themselves call for."""
    numbers = resolve_hyperparameters(order, training.data.examples)
    script = JobSpec(
        plan=plan,
        lengths=PhaseDurations.of(plan),
        method=order.method,
        hyperparameters=numbers,
        n_epochs=int(numbers.n_epochs),
        steps_per_epoch=steps_per_epoch(training.data.examples, numbers.batch_size),
        tokens=training.data.tokens,
        seed=seed,
        validation_examples=validation.data.examples if validation else None,
        curves=((1, plan.curve),),
        judges=order.judges,
    )
    found = file_error(order, training) or (file_error(order, validation, "validation") if validation else None)
    return with_outcome(script, plan, found)


def with_outcome(script: JobSpec, plan: Plan, found: JobError | None) -> JobSpec:
    """*script* with the ending that *plan* wants; an error *found* in the data comes first."""
    in_training = plan.fail_step is not None and found is None
    fail_step = min(plan.fail_step, script.steps) if in_training and plan.fail_step else None
    return replace(script, plan=plan, lengths=PhaseDurations.of(plan), error=found or plan.failure, fail_step=fail_step)


def file_error(order: TrainingRequest, file: Material, role: str = "training") -> JobError | None:
    """The failure that a file calls for; None for one that can be trained on, or validated by (*role*).

    A file in another method's format comes first: a real dpo job on a chat file of 7 rows was told of its format
    (printed output of 2024-12).
    """
    data = file.data
    if text := _wrong_format(order, file):
        return _file_error("invalid_training_file", role, f"The job failed due to an invalid {role} file. {text}")
    if fault := data.faults.get(order.reads):
        text = f"The job failed due to a file format error in the {role} file. Invalid file format. {fault}"
        return _file_error("invalid_file_format", role, text)  # printed outputs of 2025
    if data.examples < EXAMPLES_AT_LEAST[role]:
        wanted = f"must have at least {EXAMPLES_AT_LEAST[role]} examples"
        text = f"{role.capitalize()} file has {data.examples} example(s), but {wanted}"
        return _file_error("invalid_n_examples", role, text)  # printed output of 2024-12
    return None


def _wrong_format(order: TrainingRequest, file: Material) -> str | None:
    """What is said of a file in a format that is not the job's; None where its rows are judged one by one."""
    given = file.data.format
    owner = MADE_FOR.get(given)
    if owner and given != METHODS[order.method].takes:  # printed output of 2024-12, trailing space too
        return (
            f"Invalid file format. Input file {file.id} is in the {given} format, but the specified fine-tuning job "
            f"is not using '{owner}' as the training method (provided method={order.method}). "
        )
    if given == training_files.UNKNOWN and order.method == "supervised":  # printed outputs of 2023 and 2024
        return "Unexpected file format, expected either prompt/completion pairs or chat messages."
    return None


def _file_error(code: str, role: str, text: str) -> JobError:
    """The error with the file's role as its param; a validation file has one code for all (inferred)."""
    return JobError(code if role == "training" else "invalid_validation_file", text, f"{role}_file")
