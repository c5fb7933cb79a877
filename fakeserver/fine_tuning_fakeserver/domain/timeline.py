"""A job's life in time: a short list of segments, indexed and never generated.

A script gives the course of an undisturbed job; interventions cut it, hold it and shift it. Which events are
visible at a time, and what the k-th one is, are arithmetic over the segments: ten million steps cost what ten do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from fine_tuning_formats.job_rules import TERMINAL_STATUSES

from .checkpoint_choice import kept_steps
from .job_spec import JobSpec
from .plan import JobError


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens at one time; `what` is a key of `KINDS`."""

    at: float
    what: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class TrainingSegment:
    """Training steps `first` .. `last`; step k is done at ``origin + k * seconds``."""

    origin: float
    seconds: float
    first: int
    last: int

    def at(self, step: int) -> float:
        """When *step* is done."""
        return self.origin + step * self.seconds

    def done(self, now: float) -> int:
        """The last step done at *now*; ``first - 1`` when none is."""
        # a search, not a division: a float's last bit may be on either side
        return self.first - 1 + bisect_right(range(self.first, self.last + 1), now, key=self.at)


Segment: TypeAlias = Event | TrainingSegment


@dataclass(frozen=True, slots=True)
class EventKind:
    """What a moment means: the status from then on, and the event it shows (no `text`: none)."""

    status: str | None = None
    text: str | None = None
    level: str = "info"
    data: bool = True
    """Whether the event's ``data`` is ``{}``; otherwise it is null."""


# printed outputs of 2024-02 .. 2025-04 for the way to success, in that order; the rest is inferred, except that a
# cancelled job's newest event can still be the validation's (recording: GetJobEvents), so its own comes later.
KINDS: dict[str, EventKind] = {
    "created": EventKind("validating_files", "Created fine-tuning job: {job}"),
    "validating": EventKind(None, "Validating training file: {files}"),
    "read": EventKind(),
    "validated": EventKind("queued", "Files validated, moving job to queued state"),
    "started": EventKind("running", "Fine-tuning job started", data=False),
    "trained": EventKind(),
    "checkpoint": EventKind(None, "Checkpoint created at step {step} with Snapshot ID: {checkpoint}"),
    "model": EventKind(None, "New fine-tuned model created: {model}"),
    "completed": EventKind("succeeded", "The job has successfully completed"),
    "failed": EventKind("failed", "{error}", "error"),
    "cancelled": EventKind("cancelled"),
    "stopping": EventKind(None, "Fine tuning process stopping due to job cancellation", "warn", data=False),
    "paused": EventKind("paused", "Fine-tuning job paused"),
    "resumed": EventKind("queued", "Fine-tuning job resumed, moving job to queued state"),
    "restarted": EventKind("running", "Fine-tuning job started", data=False),
}
TERMINAL = TERMINAL_STATUSES

# printed output of 2024-08: events "checkpoint" and "model" 2 s after finished_at, "completed" 7 s after it.
MODEL_AFTER, COMPLETED_AFTER = 2.0, 7.0
CANCEL_EVENT_AFTER = 1.0
READ_BEFORE_VALIDATED = 0.1
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
    """A file that the job still needs is deleted at this time."""

    at: float
    error: JobError


@dataclass(frozen=True, slots=True)
class Replan:
    """What is still ahead at this time goes by another script."""

    at: float
    script: JobSpec


Intervention: TypeAlias = Pause | Resume | Cancel | FileLost | Replan


def build_segments(
    script: JobSpec, created_at: float, interventions: Iterable[Intervention] = ()
) -> tuple[Segment, ...]:
    """The whole life of a job, as far as it is known now; times are Unix seconds.

    An event due exactly at an intervention's time has happened: it may have been seen.
    """
    past: list[Segment] = []
    ahead = tuple(segments(script, created_at))
    held: tuple[Segment, ...] = ()
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
                restart = act.at + script.lengths.queued
                ahead, held = (Event(restart, "restarted"), *_shift(held, restart - paused_at)), ()
            case Cancel():
                past.append(Event(act.at, "cancelled"))
                held, ahead = (), (Event(act.at + CANCEL_EVENT_AFTER, "stopping"),)
            case FileLost():
                past.append(Event(act.at, "failed"))
                ahead = ()
            case Replan():
                script = act.script
                if held:
                    held = _replanned(script, past, paused_at)
                else:
                    ahead = _replanned(script, past, act.at)
    return (*past, *ahead)


def segments(script: JobSpec, created_at: float) -> Iterator[Segment]:
    """The segments of an undisturbed job."""
    lengths = script.lengths
    validated = created_at + lengths.validating
    yield Event(created_at, "created")
    yield Event(created_at, "validating")
    if script.error and script.fail_step is None:
        yield Event(validated, "failed")
        return
    yield Event(validated - READ_BEFORE_VALIDATED * (validated - created_at), "read")
    yield Event(validated, "validated")
    started = validated + lengths.queued
    yield Event(started, "started")
    run = TrainingSegment(started + lengths.starting, lengths.seconds_per_step, 1, script.fail_step or script.steps)
    yield run
    yield from _ending(script, run.at(run.last))


def _ending(script: JobSpec, last_step_at: float) -> Iterator[Segment]:
    if script.error:
        yield Event(last_step_at, "failed")
        return
    finished = last_step_at + script.lengths.finishing
    yield Event(finished, "trained")
    for step in kept_steps(script):
        if step != script.steps:
            yield Event(finished + MODEL_AFTER, "checkpoint", step)
    yield Event(finished + MODEL_AFTER, "model")
    yield Event(finished + COMPLETED_AFTER, "completed")


def _cut(segments: Sequence[Segment], at: float) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Split into what has happened by *at*, that instant included, and what is ahead."""
    past: list[Segment] = []
    ahead: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Event):
            (past if segment.at <= at else ahead).append(segment)
            continue
        done = segment.done(at)
        if done >= segment.first:
            past.append(replace(segment, last=done))
        if done < segment.last:
            ahead.append(replace(segment, first=done + 1))
    return tuple(past), tuple(ahead)


def _shift(segments: Iterable[Segment], by: float) -> Iterator[Segment]:
    for segment in segments:
        if isinstance(segment, Event):
            yield replace(segment, at=segment.at + by)
        else:
            yield replace(segment, origin=segment.origin + by)


def _replanned(script: JobSpec, past: Sequence[Segment], at: float) -> tuple[Segment, ...]:
    """What is ahead at *at* under another script, from where the job stands.

    The phase under way keeps the time it has had; where its new length is over already, it ends at *at*.
    """
    anchor = next(
        segment for segment in reversed(past) if isinstance(segment, TrainingSegment) or segment.what in _PHASES
    )
    fresh = tuple(segments(script, 0.0))
    position = next(n for n, segment in enumerate(fresh) if _matches(segment, anchor))
    counterpart, rest = fresh[position], fresh[position + 1 :]
    reached = _end(counterpart)
    if isinstance(anchor, TrainingSegment) and isinstance(counterpart, TrainingSegment):
        reached = counterpart.at(anchor.last)
        if anchor.last < counterpart.last:
            rest = (replace(counterpart, first=anchor.last + 1), *rest)
    had = {segment.what for segment in past if isinstance(segment, Event)}
    rest = tuple(segment for segment in rest if isinstance(segment, TrainingSegment) or segment.what not in had)
    by = _end(anchor) - reached
    return tuple(_shift(rest, max(by, at - _start(rest[0]))))


_PHASES = frozenset({"validating", "validated", "started"})


def _matches(segment: Segment, anchor: Segment) -> bool:
    if isinstance(segment, TrainingSegment) or isinstance(anchor, TrainingSegment):
        return isinstance(segment, TrainingSegment) and isinstance(anchor, TrainingSegment)
    return segment.what == anchor.what


def _start(segment: Segment) -> float:
    return segment.at if isinstance(segment, Event) else segment.at(segment.first)


def _end(segment: Segment) -> float:
    return segment.at if isinstance(segment, Event) else segment.at(segment.last)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A job's timeline, oldest segment first.

    Args:
        segments: what happens.
        kinds: what a moment means.
        every: there is an event of every so many training steps.
        after: the first of these; 0: it is step *every*.
    """

    segments: tuple[Segment, ...]
    kinds: Mapping[str, EventKind] = field(default_factory=lambda: KINDS, repr=False, compare=False)
    every: int = 1
    after: int = 0
    milestones: tuple[tuple[float, str], ...] = field(init=False)
    """Each change of status with its time, oldest first."""

    def __post_init__(self) -> None:
        kinds = self.kinds
        changes = ((segment.at, kinds[segment.what].status) for segment in self.segments if isinstance(segment, Event))
        object.__setattr__(self, "milestones", tuple((at, status) for at, status in changes if status))

    def events(self, now: float) -> int:
        """How many events are visible at *now*."""
        count = 0
        for segment in self.segments:
            if isinstance(segment, TrainingSegment):
                count += self._told(segment.done(now)) - self._told(segment.first - 1)
            elif segment.at <= now and self.kinds[segment.what].text:
                count += 1
        return count

    def event(self, ordinal: int) -> Event:
        """The event with this ordinal, from 0, oldest first; a training step is a moment called "step".

        Raises:
            IndexError: there is no such event.
        """
        left = ordinal
        for segment in self.segments:
            length = self._events(segment)
            if left < length:
                return segment if isinstance(segment, Event) else self._step(segment, left)
            left -= length
        raise IndexError(ordinal)

    def status(self, now: float) -> str:
        """The status at *now*; a job is seen from its creation on."""
        return next((status for at, status in reversed(self.milestones) if at <= now), "validating_files")

    def next_milestone(self, now: float) -> float | None:
        """When the status changes next; where it never does again, when the last event comes; None after that."""
        later = [at for at, _ in self.milestones if at > now]
        return later[0] if later else (self.end if self.end > now else None)

    @property
    def end(self) -> float:
        """When the last thing that is known to happen happens."""
        last = self.segments[-1]
        return last.at if isinstance(last, Event) else last.at(last.last)

    def time_of(self, what: str) -> float | None:
        """When the moment called *what* comes for the last time; None when it never does."""
        return next((s.at for s in reversed(self.segments) if isinstance(s, Event) and s.what == what), None)

    def event_count(self, what: str, now: float) -> bool:
        """Whether the moment called *what* has come by *now*."""
        return any(isinstance(s, Event) and s.what == what and s.at <= now for s in self.segments)

    def time_of_step(self, step: int) -> float | None:
        """When training *step* is done; None when it never is."""
        runs = (segment for segment in self.segments if isinstance(segment, TrainingSegment))
        return next((run.at(step) for run in runs if run.first <= step <= run.last), None)

    def steps_done(self, now: float) -> int:
        """The last training step done at *now*; 0 before the first."""
        done = (segment.done(now) for segment in self.segments if isinstance(segment, TrainingSegment))
        return max((step for step in done), default=0)

    def _events(self, segment: Segment) -> int:
        if isinstance(segment, TrainingSegment):
            return self._told(segment.last) - self._told(segment.first - 1)
        return 1 if self.kinds[segment.what].text else 0

    def _step(self, run: TrainingSegment, ordinal: int) -> Event:
        step = (self._told(run.first - 1) + 1 + ordinal) * self.every - self._ahead
        return Event(run.at(step), "step", step)

    def _told(self, step: int) -> int:
        """How many of the steps up to *step* have an event."""
        return (step + self._ahead) // self.every

    @property
    def _ahead(self) -> int:
        """By how many steps the events are ahead of those of every so many."""
        return self.every - self.after if self.after else 0
