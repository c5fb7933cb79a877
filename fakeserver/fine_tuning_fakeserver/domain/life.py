"""Questions about a timeline: what is visible at a time, what the k-th event is, what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .timeline import KINDS, Kind, Moment, Run, Segment


@dataclass(frozen=True, slots=True)
class Life:
    """A job's timeline, oldest segment first.

    Args:
        segments: what happens.
        kinds: what a moment means.
        every: there is an event of every so many training steps.
        after: the first of these; 0: it is step *every*.
    """

    segments: tuple[Segment, ...]
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS, repr=False, compare=False)
    every: int = 1
    after: int = 0
    milestones: tuple[tuple[float, str], ...] = field(init=False)
    """Each change of status with its time, oldest first."""

    def __post_init__(self) -> None:
        kinds = self.kinds
        changes = ((segment.at, kinds[segment.what].status) for segment in self.segments if isinstance(segment, Moment))
        object.__setattr__(self, "milestones", tuple((at, status) for at, status in changes if status))

    def events(self, now: float) -> int:
        """How many events are visible at *now*."""
        count = 0
        for segment in self.segments:
            if isinstance(segment, Run):
                count += self._told(segment.done(now)) - self._told(segment.first - 1)
            elif segment.at <= now and self.kinds[segment.what].text:
                count += 1
        return count

    def event(self, ordinal: int) -> Moment:
        """The event with this ordinal, from 0, oldest first; a training step is a moment called "step".

        Raises:
            IndexError: there is no such event.
        """
        left = ordinal
        for segment in self.segments:
            length = self._events(segment)
            if left < length:
                return segment if isinstance(segment, Moment) else self._step(segment, left)
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
        return last.at if isinstance(last, Moment) else last.at(last.last)

    def time_of(self, what: str) -> float | None:
        """When the moment called *what* comes for the last time; None when it never does."""
        return next((s.at for s in reversed(self.segments) if isinstance(s, Moment) and s.what == what), None)

    def happened(self, what: str, now: float) -> bool:
        """Whether the moment called *what* has come by *now*."""
        return any(isinstance(s, Moment) and s.what == what and s.at <= now for s in self.segments)

    def time_of_step(self, step: int) -> float | None:
        """When training *step* is done; None when it never is."""
        runs = (segment for segment in self.segments if isinstance(segment, Run))
        return next((run.at(step) for run in runs if run.first <= step <= run.last), None)

    def steps_done(self, now: float) -> int:
        """The last training step done at *now*; 0 before the first."""
        done = (segment.done(now) for segment in self.segments if isinstance(segment, Run))
        return max((step for step in done), default=0)

    def _events(self, segment: Segment) -> int:
        if isinstance(segment, Run):
            return self._told(segment.last) - self._told(segment.first - 1)
        return 1 if self.kinds[segment.what].text else 0

    def _step(self, run: Run, ordinal: int) -> Moment:
        step = (self._told(run.first - 1) + 1 + ordinal) * self.every - self._ahead
        return Moment(run.at(step), "step", step)

    def _told(self, step: int) -> int:
        """How many of the steps up to *step* have an event."""
        return (step + self._ahead) // self.every

    @property
    def _ahead(self) -> int:
        """By how many steps the events are ahead of those of every so many."""
        return self.every - self.after if self.after else 0
