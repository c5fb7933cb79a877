"""The timeline of a job: a short list of segments, indexed and never generated.

A spec gives the segments of an undisturbed job; interventions cut, hold and shift them. How many events are visible at
a time, and what the k-th one is, are arithmetic over the segments: ten million steps cost what ten do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TypeAlias

from fine_tuning_formats.job_rules import TERMINAL_STATUSES
from fine_tuning_formats.lazy_dataclass import dataclass

from .dialects.dialect import EVENT_KINDS, EventKind
from .job_spec import JobSpec
from .metrics import kept_steps
from .plan import JobError


@dataclass(slots=True, unsafe_hash=True)  # not frozen, though nothing changes it: that takes thrice as long to make
class Event:
    """Something that happens at one time; `kind` is a key of the dialect's event kinds, or ``step``."""

    at: float
    kind: str
    step: int = 0

    @property
    def start(self) -> float:
        """When it happens."""
        return self.at

    @property
    def end(self) -> float:
        """When it happens."""
        return self.at

    def shifted(self, seconds: float) -> Event:
        """Return the event so much later."""
        return replace(self, at=self.at + seconds)


@dataclass(frozen=True, slots=True)
class TrainingSegment:
    """Training steps `first` .. `last`; step k is done at ``origin + k * seconds``."""

    origin: float
    seconds_per_step: float
    first: int
    last: int

    def completion_time(self, step: int) -> float:
        """Return when *step* is done."""
        return self.origin + step * self.seconds_per_step

    def last_done(self, now: float) -> int:
        """Return the last step done at *now*; ``first - 1`` if no step is done."""
        # a search, not a division: a float's last bit may be on either side
        return self.first - 1 + bisect_right(range(self.first, self.last + 1), now, key=self.completion_time)

    @property
    def start(self) -> float:
        """When the first step is done."""
        return self.completion_time(self.first)

    @property
    def end(self) -> float:
        """When the last step is done."""
        return self.completion_time(self.last)

    def shifted(self, seconds: float) -> TrainingSegment:
        """Return the segment so much later."""
        return replace(self, origin=self.origin + seconds)


Segment: TypeAlias = Event | TrainingSegment

TERMINAL = TERMINAL_STATUSES

# printed output of 2024-08: events "checkpoint" and "model" 2 s after finished_at, "completed" 7 s after it.
MODEL_AFTER_S, COMPLETED_AFTER_S = 2.0, 7.0
CANCEL_EVENT_AFTER_S = 1.0
READ_SHARE_BEFORE_VALIDATED = 0.1
"""The part of validation that is left when the hyperparameters get their numbers (inferred)."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The job is held at this time."""

    at: float


@dataclass(frozen=True, slots=True)
class Resume:
    """The held job goes back to the queue at this time, and on from there."""

    at: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """The job ends at this time."""

    at: float


@dataclass(frozen=True, slots=True)
class FileLost:
    """A file that the job needs is deleted at this time: it fails, at the end of its validation if that is ahead."""

    at: float
    error: JobError


@dataclass(frozen=True, slots=True)
class Replan:
    """From this time on, what is ahead goes by another spec."""

    at: float
    spec: JobSpec


Intervention: TypeAlias = Pause | Resume | Cancel | FileLost | Replan


def build_segments(spec: JobSpec, created_at: float, interventions: Iterable[Intervention] = ()) -> tuple[Segment, ...]:
    """Return the segments of a job, as far as they are known now; times are Unix seconds.

    An event due exactly at an intervention's time has happened: it may have been seen.
    """
    past: list[Segment] = []
    ahead = tuple(undisturbed_segments(spec, created_at))
    held: tuple[Segment, ...] = ()
    is_lost = False
    for act in interventions:
        before, ahead = _cut(ahead, act.at)
        past.extend(before)
        match act:
            case Pause():
                past.append(Event(act.at, "paused"))
                held, ahead = ahead, ()
                paused_at = act.at
            case Resume():
                past.append(Event(act.at, "resumed"))
                restart = act.at + spec.durations.queued
                rest = (segment.shifted(restart - paused_at) for segment in held)
                ahead, held = (Event(restart, "restarted"), *rest), ()
            case Cancel():
                past.append(Event(act.at, "cancelled"))
                held, ahead = (), (Event(act.at + CANCEL_EVENT_AFTER_S, "stopping"),)
            case FileLost():
                at, is_lost = _validation_end(ahead), True
                failed = Event(act.at if at is None else at, "failed")
                (past, ahead) = ([*past, failed], ()) if at is None else (past, (failed,))
            case Replan():
                spec = act.spec
                if is_lost:
                    continue
                if held:
                    held = _replanned(spec, past, paused_at)
                else:
                    ahead = _replanned(spec, past, act.at)
    return (*past, *ahead)


def _validation_end(ahead: Iterable[Segment]) -> float | None:
    """Return when validation will be over, one way or the other; None if it is."""
    if any(_kind(segment) == "started" for segment in ahead) and not any(_kind(each) == "validated" for each in ahead):
        return None
    return next((each.at for each in ahead if isinstance(each, Event) and each.kind in ("validated", "failed")), None)


def undisturbed_segments(spec: JobSpec, created_at: float) -> Iterator[Segment]:
    """Yield the segments of a job without interventions."""
    durations = spec.durations
    validated = created_at + durations.validating
    yield Event(created_at, "created")
    yield Event(created_at, "validating")
    if spec.error and spec.fail_step is None:
        yield Event(validated, "failed")
        return
    yield Event(validated - READ_SHARE_BEFORE_VALIDATED * (validated - created_at), "read")
    yield Event(validated, "validated")
    started = validated + durations.queued
    yield Event(started, "started")
    training = TrainingSegment(
        started + durations.starting, durations.seconds_per_step, 1, spec.fail_step or spec.steps
    )
    yield training
    if spec.error:
        yield Event(training.end, "failed")
        return
    finished = training.end + durations.finishing
    yield Event(finished, "trained")
    for step in kept_steps(spec):
        if step != spec.steps:
            yield Event(finished + MODEL_AFTER_S, "checkpoint", step)
    yield Event(finished + MODEL_AFTER_S, "model")
    yield Event(finished + COMPLETED_AFTER_S, "completed")


def _cut(segments: Sequence[Segment], at: float) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Split into what has happened by *at*, that instant included, and what is ahead."""
    past: list[Segment] = []
    ahead: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Event):
            (past if segment.at <= at else ahead).append(segment)
            continue
        done = segment.last_done(at)
        if done >= segment.first:
            past.append(replace(segment, last=done))
        if done < segment.last:
            ahead.append(replace(segment, first=done + 1))
    return tuple(past), tuple(ahead)


_PHASE_STARTS = frozenset({"validating", "validated", "started"})


def _replanned(spec: JobSpec, past: Sequence[Segment], at: float) -> tuple[Segment, ...]:
    """Return what is ahead at *at* under another spec, from where the job stands.

    The phase under way keeps the time it has had; where its new length is over already, it ends at *at*.
    """
    anchor = next(
        segment for segment in reversed(past) if isinstance(segment, TrainingSegment) or segment.kind in _PHASE_STARTS
    )
    fresh = tuple(undisturbed_segments(spec, 0.0))
    position = next(n for n, segment in enumerate(fresh) if _kind(segment) == _kind(anchor))
    counterpart, rest = fresh[position], fresh[position + 1 :]
    reached = counterpart.end
    if isinstance(anchor, TrainingSegment) and isinstance(counterpart, TrainingSegment):
        reached = counterpart.completion_time(anchor.last)
        if anchor.last < counterpart.last:
            rest = (replace(counterpart, first=anchor.last + 1), *rest)
    happened = {segment.kind for segment in past if isinstance(segment, Event)}
    rest = tuple(segment for segment in rest if _kind(segment) not in happened)
    delay = max(anchor.end - reached, at - rest[0].start)
    return tuple(segment.shifted(delay) for segment in rest)


def _kind(segment: Segment) -> str:
    return segment.kind if isinstance(segment, Event) else "training"


@dataclass(frozen=True, slots=True)
class Timeline:
    """A job's timeline, oldest segment first.

    Args:
        segments: what happens.
        kinds: the status and the event of each kind.
        step_interval: there is an event of every so many training steps.
        first_step: the first of these; 0: it is step *step_interval*.
        also_first_step: whether there is one of the first step besides.
    """

    segments: tuple[Segment, ...]
    kinds: Mapping[str, EventKind] = field(default_factory=lambda: EVENT_KINDS, repr=False, compare=False)
    step_interval: int = 1
    first_step: int = 0
    also_first_step: bool = False
    milestones: tuple[tuple[float, str], ...] = field(init=False)
    """Each change of status with its time, oldest first."""

    def __post_init__(self) -> None:
        kinds = self.kinds
        events = [segment for segment in self.segments if isinstance(segment, Event)]
        milestones = [(event.at, status) for event in events if (status := kinds[event.kind].status)]
        object.__setattr__(self, "milestones", tuple(milestones))

    def event_count(self, now: float) -> int:
        """Return how many events are visible at *now*."""
        count = 0
        for segment in self.segments:
            if isinstance(segment, TrainingSegment):
                count += self._events_up_to(segment.last_done(now)) - self._events_up_to(segment.first - 1)
            elif segment.at <= now and self.kinds[segment.kind].text:
                count += 1
        return count

    def message_ordinals(self, now: float) -> list[int]:
        """Return the ordinals of the events visible at *now* that are no training step's, oldest first."""
        ordinals: list[int] = []
        count = 0
        for segment in self.segments:
            if isinstance(segment, TrainingSegment):
                count += self._events_up_to(segment.last_done(now)) - self._events_up_to(segment.first - 1)
            elif segment.at <= now and self.kinds[segment.kind].text:
                ordinals.append(count)
                count += 1
        return ordinals

    def event(self, ordinal: int) -> Event:
        """Return the event with this ordinal, from 0, oldest first; that of a training step is of the kind "step".

        Raises:
            IndexError: the event does not exist.
        """
        left = ordinal
        for segment in self.segments:
            if isinstance(segment, Event):
                if self.kinds[segment.kind].text:
                    if not left:
                        return segment
                    left -= 1
                continue
            before = self._events_up_to(segment.first - 1)
            count = self._events_up_to(segment.last) - before
            if left < count:
                number = before + 1 + left - self.also_first_step
                step = number * self.step_interval - self._lead if number else 1
                return Event(segment.completion_time(step), "step", step)
            left -= count
        raise IndexError(ordinal)

    def _events_up_to(self, step: int) -> int:
        """Return how many of the steps up to *step* have an event."""
        return (step + self._lead) // self.step_interval + (self.also_first_step and step > 0)

    @property
    def _lead(self) -> int:
        """By how many steps the events come before each multiple of `step_interval`."""
        return self.step_interval - self.first_step if self.first_step else 0

    def status(self, now: float) -> str:
        """Return the status at *now*; a job is seen from its creation on."""
        for at, status in reversed(self.milestones):  # loops: every job of a list asks, and generators cost
            if at <= now:
                return status
        return "validating_files"

    def next_milestone(self, now: float) -> float | None:
        """Return when the status changes next; if it never does again, when the last event comes; None after that."""
        later = [at for at, _ in self.milestones if at > now]
        return later[0] if later else (self.end if self.end > now else None)

    @property
    def end(self) -> float:
        """When the last thing that is known to happen happens."""
        return self.segments[-1].end

    def time_of(self, kind: str) -> float | None:
        """Return when the last event of this *kind* comes; None if it never does."""
        for segment in reversed(self.segments):
            if isinstance(segment, Event) and segment.kind == kind:
                return segment.at
        return None

    def has_happened(self, kind: str, now: float) -> bool:
        """Return whether an event of this *kind* has come by *now*."""
        for segment in self.segments:
            if isinstance(segment, Event) and segment.kind == kind and segment.at <= now:
                return True
        return False

    def time_of_step(self, step: int) -> float | None:
        """Return when training *step* is done; None if it never is."""
        runs = (segment for segment in self.segments if isinstance(segment, TrainingSegment))
        return next((run.completion_time(step) for run in runs if run.first <= step <= run.last), None)

    def steps_done(self, now: float) -> int:
        """Return the last training step done at *now*; 0 before the first."""
        runs = (segment for segment in self.segments if isinstance(segment, TrainingSegment))
        return max((run.last_done(now) for run in runs), default=0)
