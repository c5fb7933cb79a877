"""The spec of a job: a plan made exact from request, data and seed. Decided once, when the job is created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, fields, replace
from functools import lru_cache

import orjson

from fine_tuning_formats.job_rules import base_model, sees_images
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.row_rules import OPENAI_DATA, UNKNOWN, DataRules
from fine_tuning_formats.token_estimate import ESTIMATE, TokenCounter
from fine_tuning_formats.training_file import NotJsonlError, RowFault, TrainingFileScan, job_problems

from .checks import parse_seconds
from .loss_curves import Losses, TrainingPoint, loss_curve, training_point
from .plan import JobError, Plan
from .training_methods import (
    GraderRef,
    Hyperparameters,
    TrainingRequest,
    resolve_hyperparameters,
    steps_per_epoch,
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training file as far as a job needs to know it.

    `format` is judged by the first row. `faults` has, for each format that the file is not sound in, what is wrong
    with the first row that breaks it: "Example N…" in the service's words. So the file is read once, at upload,
    whichever method reads it later: rows of messages are a chat file to one and prompts to another.
    `tokens` are None while they are not counted, as those of a large file are only for a job.
    """

    examples: int = 0
    tokens: int | None = 0
    format: str = UNKNOWN
    faults: Mapping[str, str] = field(default_factory=dict)
    has_images: bool = False


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job: its id, and what it holds."""

    id: str
    data: Dataset


def read_dataset(
    blocks: Iterable[bytes], rules: DataRules = OPENAI_DATA, counter: TokenCounter | None = ESTIMATE
) -> Dataset:
    """Read a training file by the rules of its provider; blank lines are passed over.

    Args:
        blocks: Its lines, with a line feed between those of one block.
        rules: What the provider accepts.
        counter: What counts the tokens; None leaves them uncounted.

    Raises:
        NotJsonlError: A line is not a JSON object, or is too long.
    """
    scan = TrainingFileScan(orjson.loads, rules=rules, counter=counter)
    for block in blocks:
        for refusal in scan.add_lines(block):
            raise NotJsonlError(refusal)
    faults = {name: kept[0].text for name, kept in scan.faults.items()}
    return Dataset(scan.examples, scan.tokens if counter else None, scan.format, faults, scan.has_images)


def count_tokens(blocks: Iterable[bytes], counter: TokenCounter) -> int:
    """Count the tokens of a training file that was accepted, whatever the rules were then."""
    scan = TrainingFileScan(orjson.loads, formats=(), rules=DataRules(byte_order_mark=True), counter=counter)
    for block in blocks:
        for _ in scan.add_lines(block):
            pass  # an upload in parts takes what is not JSONL, too, and no job trains on it
    return scan.tokens


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


VALIDATED_EVERY = 10
"""Steps between two looks at validation data (printed outputs: steps 60, 200, 240, 300; not the last, 303)."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """All that is decided about a job before any intervention.

    `curves` are (first step, curve) pairs in rising order; `error` is set when the job will fail,
    `fail_step` when it will fail in training. `first_validation` is the first step that is measured by validation data,
    as is every tenth after it; with `full_validation` also the end of each epoch is, by all of that data.
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
    first_validation: int = VALIDATED_EVERY
    full_validation: bool = True

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
    plan: Plan, request: TrainingRequest, seed: int, training: JobFile, validation: JobFile | None = None
) -> JobSpec:
    """Make *plan* exact: numbers for every "auto", and the failure that the files themselves call for."""
    assert training.data.tokens is not None  # counted for this job, if not before
    numbers = resolve_hyperparameters(request, training.data.examples)
    n_epochs, epoch_steps = int(numbers.n_epochs), steps_per_epoch(training.data.examples, numbers.batch_size)
    error = file_error(request, training) or (file_error(request, validation, "validation") if validation else None)
    error, fail_step = _outcome(plan, n_epochs * epoch_steps, error)
    return JobSpec(
        plan=plan,
        durations=PhaseDurations.for_plan(plan),
        method=request.method,
        hyperparameters=numbers,
        n_epochs=n_epochs,
        steps_per_epoch=epoch_steps,
        tokens=training.data.tokens,
        seed=seed,
        validation_examples=validation.data.examples if validation else None,
        curves=_one_curve(plan.curve),
        graders=request.graders,
        error=error,
        fail_step=fail_step,
    )


@lru_cache(maxsize=64)
def _one_curve(curve: str) -> tuple[tuple[int, str], ...]:
    return ((1, curve),)  # jobs share it


def with_outcome(spec: JobSpec, plan: Plan, file_error: JobError | None) -> JobSpec:
    """Return *spec* with the outcome of *plan*; an error in the files comes first."""
    error, fail_step = _outcome(plan, spec.steps, file_error)
    return replace(spec, plan=plan, durations=PhaseDurations.for_plan(plan), error=error, fail_step=fail_step)


def _outcome(plan: Plan, steps: int, file_error: JobError | None) -> tuple[JobError | None, int | None]:
    """Return the error that a job of so many steps ends with, and the step at which it does."""
    in_training = plan.fail_step is not None and file_error is None
    return file_error or plan.failure, min(plan.fail_step, steps) if in_training and plan.fail_step else None


def file_error(request: TrainingRequest, file: JobFile, role: str = "training") -> JobError | None:
    """Return the failure of a job that reads *file* in this *role*; None if the file is sound."""
    fault = file.data.faults.get(request.row_format)
    problems = job_problems(
        method=request.method,
        format=file.data.format,
        faults=[RowFault(fault)] if fault else [],
        examples=file.data.examples,
        file_name=file.id,
        role=role,
        is_blind=file.data.has_images and not sees_images(base_model(request.model)),
    )
    first = next(problems, None)
    return first and JobError(first.code, first.message, f"{role}_file")
