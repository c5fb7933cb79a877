"""A job as the account holds it: the request, the spec, and the interventions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cache, lru_cache
from math import inf
from typing import Any

from fine_tuning_formats.job_rules import base_model
from fine_tuning_formats.lazy_dataclass import dataclass

from . import ids
from .dialects.dialect import RECORDED, Dialect, EventStyle
from .job_spec import JobSpec
from .metrics import kept_steps
from .plan import JobError
from .timeline import MODEL_AFTER_S, Event, FileLost, Intervention, Pause, Replan, Segment, Timeline, build_segments
from .training_methods import Hyperparameters


@dataclass(frozen=True, slots=True)
class CheckpointOverride:
    """A checkpoint of a seeded job, instead of a derived one."""

    id: str
    created_at: int
    step_number: int
    model: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overrides:
    """Given ids, names and numbers of a seeded job, in place of derived ones."""

    fine_tuned_model: str | None = None
    result_file: str | None = None
    trained_tokens: int | None = None
    finished_at: int | None = None
    checkpoints: Sequence[CheckpointOverride] = ()
    event_ids: Mapping[int, str] = field(default_factory=dict)
    """Event ids by ordinal, oldest first from 0."""
    models: Mapping[int, str] = field(default_factory=dict)
    """Models by the step of their checkpoint, where no more is known of that."""
    result_created_at: int | None = None
    result_bytes: int | None = None
    estimated_finish: int | None = None


NO_OVERRIDES = Overrides()


@dataclass(frozen=True, slots=True)
class Objective:
    """The grader of a reinforcement job and the form of its answers, as they were sent."""

    grader: Mapping[str, Any]
    response_format: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One fine-tuning job; `created_at` is in Unix seconds. Changing it means replacing it.

    Two jobs are equal only if they are the same object, so that what is derived from a job can be cached by it.
    `dialect` is that of its creation: its events, ids and models are of it, whatever the account answers in later.
    `extra_members` are those that only its dialect has, or has otherwise. `number` is how many jobs the account had
    before; None in what was saved before jobs were counted.
    """

    id: str
    created_at: float
    model: str
    training_file: str
    validation_file: str | None
    suffix: str | None
    seed: int
    requested: Hyperparameters
    metadata: Mapping[str, str] | None
    integrations: Sequence[Mapping[str, Any]]
    organization: str
    owner: str
    spec: JobSpec
    objective: Objective | None = None
    overrides: Overrides = NO_OVERRIDES
    interventions: tuple[Intervention, ...] = ()
    dialect: Dialect = RECORDED
    extra_members: Mapping[str, Any] | None = None
    number: int | None = None

    def timeline(self) -> Timeline:
        """The job's timeline as far as it is known."""
        return _timeline(self)

    @property
    def current_spec(self) -> JobSpec:
        """The job's current spec: that of its last replan."""
        replans = (act.spec for act in reversed(self.interventions) if isinstance(act, Replan))
        return next(replans, self.spec)

    @property
    def error(self) -> JobError | None:
        """Why the job failed, or will fail; a lost file comes before the spec's error."""
        lost = (act.error for act in self.interventions if isinstance(act, FileLost))
        return next(lost, self.current_spec.error)

    @property
    def result_file(self) -> str:
        """The id its result file has, once it has succeeded."""
        return self.overrides.result_file or ids.derived_id("file", "result", self.id, shapes=self.dialect.ids)

    @property
    def eval_id(self) -> str | None:
        """The id of the eval that is made for a reinforcement job (vendor text; its form is inferred)."""
        return ids.timed_id("eval_", self.created_at, self.id) if self.objective else None

    @property
    def is_unresolved(self) -> bool:
        """Whether its automatic hyperparameters are never shown."""
        return self.base_model in self.dialect.unresolved_models

    def shown_style(self, dialect: Dialect) -> EventStyle:
        """Return how an answer in *dialect* shows its times and numbers."""
        return dialect.event_style if dialect is self.dialect else _retold(self.dialect, dialect)

    def own_members(self, dialect: Dialect) -> Mapping[str, Any] | None:
        """Return its extra members in an answer in *dialect*: none where jobs have other members."""
        return self.extra_members if dialect.objects is self.dialect.objects else None

    def event_id(self, ordinal: int) -> str:
        """Return the id of its event with this ordinal."""
        if known := self.overrides.event_ids.get(ordinal):
            return known
        shape = self.dialect.ids["event"]
        if self.dialect.event_style.timed_step_ids and (event := self.timeline().event(ordinal)).kind == "step":
            return ids.ticks_id(shape, ids.ticks(event.at, ordinal))
        return ids.event_id(self.id, ordinal, shape)

    def event_ordinal(self, event_id: str) -> int | None:
        """Return the ordinal of its event with this id; None if it has no such event."""
        overrides = (ordinal for ordinal, known in self.overrides.event_ids.items() if known == event_id)
        ordinal = next(overrides, ids.event_ordinal(self.id, event_id, self.dialect.ids["event"]))
        return self._timed_ordinal(event_id) if ordinal is None and self.dialect.event_style.timed_step_ids else ordinal

    def _timed_ordinal(self, event_id: str) -> int | None:
        """Return the ordinal of the event of a training step whose id is made of its time."""
        timeline, at = self.timeline(), ids.ticks_of(self.dialect.ids["event"], event_id)
        if at is None:
            return None
        ordinals = range(timeline.event_count(inf))
        ordinal = bisect_left(ordinals, at, key=lambda each: ids.ticks(timeline.event(each).at, each))
        return ordinal if ordinal in ordinals and self.event_id(ordinal) == event_id else None

    def model_at(self, step: int, models_at: float) -> str:
        """Return the model that the checkpoint of *step* names; the last step's is the job's own.

        *models_at* is when the models came into being: all at once, at the end of the job.
        """
        is_last = step == self.spec.steps
        if is_last and self.overrides.fine_tuned_model:
            return self.overrides.fine_tuned_model
        overrides = (point.model for point in self.overrides.checkpoints if point.step_number == step)
        if model := next(overrides, self.overrides.models.get(step)):
            return model
        if template := self.dialect.event_style.model_name:
            dashed = f"-{self.suffix}" if self.suffix else ""
            name = template.format(base=self.base_model, hex=self.id.partition("-")[2], dashed=dashed)
        else:
            token = ids.model_token(models_at, self._model_noise(step, is_last=is_last))
            name = f"ft:{self.base_model}:{self.owner}:{self.suffix or ''}:{token}"
        return name if is_last else f"{name}:ckpt-step-{step}"

    @property
    def has_given_names(self) -> bool:
        """Whether its models may have other names than those made of times and job numbers."""
        given = self.overrides.fine_tuned_model or self.overrides.models or self.overrides.checkpoints
        return bool(given or self.dialect.event_style.model_name) or self.number is None

    def _model_noise(self, step: int, *, is_last: bool) -> int:
        if self.number is None:
            return ids.derived_number("model", self.id, step)
        return ids.model_noise(self.number, self.organization, None if is_last else step)

    @property
    def base_model(self) -> str:
        """The dated base model in the names of its models."""
        return base_model(self.model)


@cache
def _retold(made_in: Dialect, dialect: Dialect) -> EventStyle:
    """Return the style of *dialect* for jobs of another: what goes by an event that they do not have goes by theirs."""
    theirs, style = made_in.event_style, dialect.event_style
    return replace(
        style,
        resolved_by=style.resolved_by if style.resolved_by in theirs.kinds else theirs.resolved_by,
        results_from=style.results_from if style.results_from in theirs.kinds else theirs.results_from,
    )


@lru_cache(maxsize=512)
def _timeline(job: Job) -> Timeline:
    style = job.dialect.event_style
    segments = build_segments(job.spec, job.created_at, job.interventions)
    if style.followed_by or style.before_training:
        segments = tuple(_with_more_events(segments, style))
    if style.of_validation and not job.validation_file:
        left_out = style.of_validation
        segments = tuple(each for each in segments if not isinstance(each, Event) or each.kind not in left_out)
    return Timeline(segments, style.kinds, style.step_interval, style.first_step, style.also_first_step)


def _with_more_events(segments: Iterable[Segment], style: EventStyle) -> Iterator[Segment]:
    """Yield the segments, with the events that a dialect has besides."""
    for segment in segments:
        if isinstance(segment, Event):
            yield segment
            yield from (Event(segment.at, kind) for kind in style.followed_by.get(segment.kind, ()))
            continue
        if segment.first == 1:
            yield from (Event(segment.start, kind) for kind in style.before_training)
        yield segment


def checkpoint_steps(job: Job) -> tuple[int, ...]:
    """Return the steps whose checkpoints are kept, rising."""
    if job.overrides.checkpoints:
        return tuple(sorted(point.step_number for point in job.overrides.checkpoints))
    kept = kept_steps(job.current_spec)
    if not job.dialect.event_style.keeps_paused_steps:
        return kept
    timeline = job.timeline()
    paused = (timeline.steps_done(act.at) for act in job.interventions if isinstance(act, Pause))
    return tuple(sorted({*kept, *(step for step in paused if step)}))


def finished_at(job: Job, timeline: Timeline) -> int:
    """Return when training was over; models, result file and last events come some seconds later."""
    return job.overrides.finished_at or int(timeline.time_of("trained") or 0)


def models_at(job: Job, timeline: Timeline) -> float:
    """Return when the job's models came into being: the second written in their ids (recordings: +1, +2)."""
    return finished_at(job, timeline) + MODEL_AFTER_S - 1


def fine_tuned_model(job: Job, timeline: Timeline) -> str:
    """Return the name of the model that a succeeded job has made."""
    return job.model_at(job.spec.steps, models_at(job, timeline))


def trained_tokens(job: Job) -> int:
    """Return how many tokens a succeeded job shows that it was trained on.

    Where the epochs stay unknown they are -1 in this, too (recording of an open-source model on Azure: -672).
    """
    epochs = -1 if job.is_unresolved and job.requested.n_epochs == "auto" else job.spec.n_epochs
    return job.overrides.trained_tokens or job.spec.tokens * epochs
