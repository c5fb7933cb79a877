"""A script: a plan made exact for one job, from request, data and seed. Decided once, when the job is created."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache

from fine_tuning_formats.training_file import RowFault, job_problems

from .durations import parse_seconds
from .plan import JobError, Plan
from .training_files import JobFile
from .training_methods import (
    GraderRef,
    Hyperparameters,
    TrainingRequest,
    resolve_hyperparameters,
    steps_per_epoch,
)


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
    plan: Plan, order: TrainingRequest, seed: int, training: JobFile, validation: JobFile | None = None
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


def file_error(order: TrainingRequest, file: JobFile, role: str = "training") -> JobError | None:
    """Return the failure of a job on *file*, which it trains or validates (*role*) with; None for a sound one."""
    data, fault = file.data, file.data.faults.get(order.reads)
    problems = job_problems(
        method=order.method,
        format=data.format,
        faults=[RowFault(fault)] if fault else [],
        examples=data.examples,
        file_name=file.id,
        role=role,
    )
    first = next(problems, None)
    return first and JobError(first.code, first.message, f"{role}_file")
