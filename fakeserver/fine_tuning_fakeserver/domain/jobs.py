"""A job as the account holds it: what was asked, what was decided, and who disturbed it when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fine_tuning_formats.hyperparameters import base_model

from . import ids
from .checkpoint_choice import kept_steps
from .dialects.dialect import RECORDED, Dialect
from .job_spec import JobSpec
from .plan import JobError
from .timeline import MODEL_AFTER, Event, FileLost, Intervention, Replan, Segment, Timeline, build_segments
from .training_methods import Hyperparameters


@dataclass(frozen=True, slots=True)
class CheckpointOverride:
    """A checkpoint put into the account as it is, instead of a derived one."""

    id: str
    created_at: int
    step_number: int
    model: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a seeded job has that is not derived: ids, names and numbers of another world."""

    fine_tuned_model: str | None = None
    result_file: str | None = None
    trained_tokens: int | None = None
    finished_at: int | None = None
    checkpoints: Sequence[CheckpointOverride] = ()
    event_ids: Mapping[int, str] = field(default_factory=dict)
    """Event ids by ordinal, oldest first from 0."""
    result_created_at: int | None = None
    result_bytes: int | None = None


NOTHING_GIVEN = Overrides()


@dataclass(frozen=True, slots=True)
class Objective:
    """What a reinforcement job learns by: its grader and the form of answers, as they were sent."""

    grader: Mapping[str, Any]
    response_format: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One fine-tuning job; `created_at` is in Unix seconds. Changing it means replacing it.

    Two jobs are equal only when they are the same: what is derived from a job can be kept by the job itself.
    `own` are the members that only its dialect has, or has otherwise.
    """

    id: str
    created_at: float
    model: str
    training_file: str
    validation_file: str | None
    suffix: str | None
    seed: int
    asked: Hyperparameters
    metadata: Mapping[str, str] | None
    integrations: Sequence[Mapping[str, Any]]
    organization: str
    owner: str
    spec: JobSpec
    objective: Objective | None = None
    overrides: Overrides = NOTHING_GIVEN
    interventions: tuple[Intervention, ...] = ()
    dialect: Dialect = RECORDED
    own: Mapping[str, Any] | None = None

    def timeline(self) -> Timeline:
        """The job's timeline as far as it is known."""
        return _life(self)

    @property
    def current(self) -> JobSpec:
        """The script that the job goes by now: the last one that it was given."""
        replans = (act.script for act in reversed(self.interventions) if isinstance(act, Replan))
        return next(replans, self.spec)

    @property
    def error(self) -> JobError | None:
        """Why the job failed, or will fail; a lost file comes before what its script says."""
        lost = (act.error for act in self.interventions if isinstance(act, FileLost))
        return next(lost, self.current.error)

    @property
    def result_file(self) -> str:
        """The id its result file has, once it has succeeded."""
        return self.overrides.result_file or ids.derived_id("file", "result", self.id, shapes=self.dialect.ids)

    @property
    def eval_id(self) -> str | None:
        """The id of the eval that is made for a reinforcement job (vendor text; its form is inferred)."""
        return ids.timed_id("eval_", self.created_at, self.id) if self.objective else None

    def event_id(self, ordinal: int) -> str:
        """The id of its event with this ordinal."""
        return self.overrides.event_ids.get(ordinal) or ids.event_id(self.id, ordinal, self.dialect.ids["event"])

    def event_ordinal(self, event_id: str) -> int | None:
        """The ordinal of its event with this id; None when there is none."""
        given = (ordinal for ordinal, known in self.overrides.event_ids.items() if known == event_id)
        return next(given, ids.event_ordinal(self.id, event_id, self.dialect.ids["event"]))

    def model_at(self, step: int, models_at: float) -> str:
        """The model that the checkpoint of *step* names; the last step's is the job's own.

        *models_at* is when the models came into being: all at once, at the end of the job.
        """
        last = step == self.spec.steps
        if last and self.overrides.fine_tuned_model:
            return self.overrides.fine_tuned_model
        given = (point.model for point in self.overrides.checkpoints if point.step_number == step)
        return next(given, None) or self._derived_model(step, models_at, last)

    def _derived_model(self, step: int, models_at: float, last: bool) -> str:
        token = ids.model_token(models_at, self.id, step)
        name = f"ft:{self.model_base}:{self.owner}:{self.suffix or ''}:{token}"
        if other := self.dialect.event_style.model:
            dashed = f"-{self.suffix}" if self.suffix else ""
            name = other.format(base=self.model_base, hex=self.id.partition("-")[2], dashed=dashed)
        return name if last else f"{name}:ckpt-step-{step}"

    @property
    def model_base(self) -> str:
        """The dated base model in the names of its models."""
        return base_model(self.model)


@lru_cache(maxsize=512)
def _life(job: Job) -> Timeline:
    segments, course = build_segments(job.spec, job.created_at, job.interventions), job.dialect.event_style
    told = _with_also(segments, course.also) if course.also else segments
    return Timeline(told, course.kinds, course.every, course.after)


def _with_also(segments: Iterable[Segment], also: Mapping[str, tuple[str, ...]]) -> tuple[Segment, ...]:
    """*segments*, with what else happens when a moment comes."""
    found: list[Segment] = []
    for segment in segments:
        found.append(segment)
        if isinstance(segment, Event):
            found.extend(Event(segment.at, what) for what in also.get(segment.what, ()))
    return tuple(found)


def checkpoint_steps(job: Job) -> tuple[int, ...]:
    """The steps whose checkpoints are kept, rising."""
    return tuple(sorted(point.step_number for point in job.overrides.checkpoints)) or kept_steps(job.current)


def finished_at(job: Job, life: Timeline) -> int:
    """When training was over; models, result file and last events come some seconds later."""
    return job.overrides.finished_at or int(life.time_of("trained") or 0)


def models_at(job: Job, life: Timeline) -> float:
    """When the job's models came into being: the second written in their ids (recordings: +1, +2)."""
    return finished_at(job, life) + MODEL_AFTER - 1


def fine_tuned_model(job: Job, life: Timeline) -> str:
    """The name of the model that a succeeded job has made."""
    return job.model_at(job.spec.steps, models_at(job, life))


def trained_tokens(job: Job) -> int:
    """How many tokens a succeeded job was trained on."""
    return job.overrides.trained_tokens or job.spec.tokens * job.spec.n_epochs
