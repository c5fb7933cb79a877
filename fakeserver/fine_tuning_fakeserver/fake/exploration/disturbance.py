"""Make misfortunes happen in one run, count its requests, and end it where it goes on for too long."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ...account.world import World
from ...api_errors import ApiError
from ...control import steering
from ...usage_errors import FakeUsageError, unknown_name, wrong_value
from .misfortunes import MISFORTUNES, Misfortune, Situation, situation_of


class RunEndedError(BaseException):
    """Ends the code under test from outside; no `Exception`, so that nothing takes it for an error of its own."""


class ProcessEndedError(RunEndedError):
    """The misfortune "restart": what the process has in memory is lost."""


class RequestLimitError(RunEndedError):
    """The code under test sends more requests than it may."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One misfortune at one place.

    Args:
        misfortune: what goes wrong.
        boundary: the number of the request that it happens to, or after which it happens, from 1.
    """

    misfortune: Misfortune
    boundary: int

    def __str__(self) -> str:
        return f"{self.misfortune.name}@{self.boundary}"

    @property
    def text(self) -> str:
        """What happens, and where."""
        where = "request" if self.misfortune.is_at_request else "after request"
        return f"{where} {self.boundary}: {self.misfortune.text}"


@dataclass(frozen=True, slots=True)
class Combination:
    """What goes wrong in one run: one misfortune, or two."""

    occurrences: tuple[Occurrence, ...]

    def __str__(self) -> str:
        return "+".join(map(str, self.occurrences))

    @property
    def needs_restart(self) -> bool:
        """Whether the program must be started again."""
        return any(each.misfortune.needs_restart for each in self.occurrences)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text such as ``cancelled@7`` or ``500@2+paused@5`` means.

        Raises:
            FakeUsageError: it is not of that form, or names an unknown misfortune.
        """
        occurrences = []
        for part in text.split("+"):
            if not (match := re.fullmatch(r"([a-z0-9-]+)@([1-9][0-9]{0,5})", part.strip())):
                raise wrong_value("combination", "misfortunes at numbers of requests, as in 'cancelled@7'", text)
            if match[1] not in MISFORTUNES:
                raise unknown_name("misfortune", match[1], MISFORTUNES)
            occurrences.append(Occurrence(MISFORTUNES[match[1]], int(match[2])))
        return cls(tuple(occurrences))


class RunDisturbance:
    """The disturbance of one run, made in the thread that the code under test runs in.

    Args:
        world: the account's.
        combination: what goes wrong; None for nothing.
        requests_at_most: how many requests the run may send; None for any number.

    Attributes:
        combination: what goes wrong.
        situations: the account at each request so far.
        happened: the occurrences that have come about.
        cut_short: the number of the request at which the run was ended; 0 if it was not.
    """

    def __init__(
        self, world: World, combination: Combination | None = None, requests_at_most: int | None = None
    ) -> None:
        self.situations: list[Situation] = []
        self.happened: list[Occurrence] = []
        self.cut_short = 0
        self.combination = combination
        self._world = world
        self._occurrences: Sequence[Occurrence] = combination.occurrences if combination else ()
        self._requests_at_most = requests_at_most
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._until: dict[Occurrence, float | None] = {}
        """When what goes on for some time is over, in virtual seconds."""

    def before_request(self, operation: str, *, in_callers_thread: bool) -> Mapping[str, Any] | None:
        """Return the fault that is to hit the request, after what has happened to the account.

        Raises:
            RunEndedError: the run ends here; elsewhere than in the caller's thread it is raised in that of the run.
        """
        with self._lock:
            self.situations.append(situation_of(self._world, operation))
            number = len(self.situations)
        if self._requests_at_most is not None and number > self._requests_at_most:
            return self._end_run(RequestLimitError, number, in_callers_thread)
        fault = None
        for occurrence in self._occurrences:
            misfortune = occurrence.misfortune
            if misfortune.needs_restart and number == occurrence.boundary + 1 and occurrence not in self.happened:
                self.happened.append(occurrence)
                return self._end_run(ProcessEndedError, number, in_callers_thread)
            if misfortune.is_at_request:
                if number == occurrence.boundary:
                    fault = self._fault_of(occurrence, in_callers_thread) or fault
            else:
                fault = self._between(occurrence, number, operation) or fault
        return fault

    def end(self) -> None:
        """Let no end of the run reach its thread any more."""
        if self.cut_short:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), None)

    def _fault_of(self, occurrence: Occurrence, in_callers_thread: bool) -> Mapping[str, Any] | None:
        """Return the fault of a misfortune at a request; over a socket, where a delay is real, time passes at once."""
        fault = occurrence.misfortune.fault
        if fault and fault["kind"] == "delay" and not in_callers_thread:
            if fault.get("applied"):
                return None  # nothing but the client's own timeout ends this
            steering.advance(self._world.service, fault["seconds"])
            self._note_change()
            fault = None
        self.happened.append(occurrence)
        return fault

    def _between(self, occurrence: Occurrence, number: int, operation: str) -> Mapping[str, Any] | None:
        """Let happen what is due before request *number*; return the fault that hits it, if one does."""
        misfortune, now = occurrence.misfortune, self._world.now
        if number == occurrence.boundary + 1:
            try:
                if misfortune.event:
                    misfortune.event(self._world)
            except (ApiError, FakeUsageError, StopIteration):
                return None  # this run went another way, and there is nothing to do it to
            self._note_change()
            self._until[occurrence] = None if misfortune.lasts_s is None else now + misfortune.lasts_s
            if misfortune.event:
                self.happened.append(occurrence)
        elif number == occurrence.boundary + 2 and misfortune.after and occurrence in self.happened:
            misfortune.after(self._world)
            self._note_change()
        if misfortune.later is None or occurrence not in self._until:
            return None
        until = self._until[occurrence]
        is_hit = (until is None or now < until) and (misfortune.hits is None or operation in misfortune.hits)
        if is_hit and occurrence not in self.happened:
            self.happened.append(occurrence)
        return misfortune.later if is_hit else None

    def _note_change(self) -> None:
        """Let virtual time and the webhook sender see a changed account."""
        if self._world.virtual_waits:
            self._world.virtual_waits.catch_up()
        self._world.sender.wake()

    def _end_run(self, error: type[RunEndedError], number: int, in_callers_thread: bool) -> Mapping[str, Any]:
        self.cut_short = number
        if in_callers_thread:
            raise error
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(error))
        return {"kind": "refuse"}
