"""Make misfortunes happen in one run, count its requests, and end it where it goes on for too long."""

from __future__ import annotations

import contextlib
import ctypes
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from fine_tuning_formats.lazy_dataclass import dataclass

from ...account.world import DisturbedRequest, World
from ...api_errors import ApiError
from ...control import steering
from ...usage_errors import FakeUsageError, unknown_name, wrong_value
from .misfortunes import MISFORTUNES, Event, Misfortune, Situation, situation_of

TURNS_TO_ARRIVE = 1000
"""Turns of a loop after which an exception for this thread has surely been raised."""


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
        aftermaths: the account after each of them was answered; of the undisturbed run only.
        happened: the occurrences that have come about.
        unlearned: the numbers in the request log of those whose answers the process did not live to learn.
        cut_short: the number of the request at which the run was ended; 0 if it was not.
    """

    def __init__(
        self, world: World, combination: Combination | None = None, requests_at_most: int | None = None
    ) -> None:
        self.situations: list[Situation] = []
        self.aftermaths: dict[int, Situation] = {}
        self.happened: list[Occurrence] = []
        self.unlearned: list[int] = []
        self.cut_short = 0
        self.combination = combination
        self._world = world
        self._occurrences: Sequence[Occurrence] = combination.occurrences if combination else ()
        self._requests_at_most = requests_at_most
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._is_over = False
        self._hitting: dict[int, Occurrence] = {}
        """Whose fault is to hit a request, by its number."""
        self._until: dict[Occurrence, float] = {}
        """When what goes on for some time is over, in virtual seconds."""

    def before_request(self, operation: str, *, in_callers_thread: bool) -> DisturbedRequest:
        """Count a request; return it, with the fault that is to hit it.

        Raises:
            RunEndedError: the run ends here; elsewhere than in the caller's thread it is raised in that of the run.
        """
        with self._lock:
            self.situations.append(situation_of(self._world, operation))
            number = len(self.situations)
        request = DisturbedRequest(number, operation, in_callers_thread)
        if self._requests_at_most is not None and number > self._requests_at_most:
            return self._end_run(RequestLimitError, request)
        fault = None
        for occurrence in self._occurrences:
            if self._is_to_end(occurrence, number):
                self.happened.append(occurrence)
                return self._end_run(ProcessEndedError, request)
            own = self._fault_of(occurrence, request)
            if own and not fault:
                fault, self._hitting[number] = own, occurrence
        return replace(request, fault=fault) if fault else request

    def hit(self, request: DisturbedRequest) -> None:
        """Note that the fault of a misfortune hits the request."""
        occurrence = self._hitting.get(request.number)
        if occurrence and occurrence not in self.happened:
            self.happened.append(occurrence)

    def after_request(self, request: DisturbedRequest) -> None:
        """Let happen what is due after the request.

        Raises:
            ProcessEndedError: the process ends before it learns the answer.
        """
        if self._is_over:  # over a socket the run may end with its last answer
            return
        if self.combination is None:
            self.aftermaths[request.number] = situation_of(self._world, request.operation)
        for occurrence in self._occurrences:
            misfortune = occurrence.misfortune
            if request.number == occurrence.boundary and misfortune.event:
                self._let_happen(occurrence, misfortune.event)
            elif request.number == occurrence.boundary + 1 and misfortune.after and occurrence in self.happened:
                misfortune.after(self._world)
                self._note_change()
            elif request.number == occurrence.boundary and misfortune.loses_answer and request.in_callers_thread:
                self.happened.append(occurrence)
                self.unlearned.append(self._world.requests.count)
                raise ProcessEndedError

    def end(self) -> None:
        """Let nothing happen any more, and no end of the run reach its thread."""
        self._is_over = True
        if not self.cut_short:
            return
        # An end that is still to come is taken here. To withdraw it by SetAsyncExc(…, None) leaves CPython 3.11 with a
        # flag that nobody clears: every function is slower from then on, and hangs while it is traced or profiled.
        with contextlib.suppress(RunEndedError):
            for _ in range(TURNS_TO_ARRIVE):
                pass

    @property
    def keeps_out(self) -> bool:
        """Whether the service is out of reach, and not for one request only."""
        lasting = [each for each in self.happened if each.misfortune.later and each.misfortune.hits is None]
        return any(self._world.now < self._until[each] for each in lasting)

    @property
    def has_hit_once_and_last(self) -> bool:
        """Whether the only misfortune was one at a request, and that request was the last."""
        happened = [each for each in self.happened if each.misfortune.is_at_request]
        return len(self._occurrences) == len(happened) == 1 and happened[0].boundary == len(self.situations)

    def _is_to_end(self, occurrence: Occurrence, number: int) -> bool:
        """Whether the process ends instead of sending request *number*."""
        is_next = number == occurrence.boundary + 1
        return is_next and occurrence.misfortune.needs_restart and occurrence not in self.happened

    def _fault_of(self, occurrence: Occurrence, request: DisturbedRequest) -> Mapping[str, Any] | None:
        """Return the fault that *occurrence* has for the request.

        Over a socket, where a delay is real, time passes at once.
        """
        misfortune, number = occurrence.misfortune, request.number
        if misfortune.later and number > occurrence.boundary:
            now = self._world.now
            until = self._until.setdefault(occurrence, now + misfortune.lasts_s)
            is_hit = now < until and (misfortune.hits is None or request.operation in misfortune.hits)
            return misfortune.later if is_hit else None
        fault = misfortune.fault if number == occurrence.boundary else None
        if fault and fault["kind"] == "delay" and not request.in_callers_thread:
            if not fault.get("applied"):  # else nothing but the client's own timeout ends this
                steering.advance(self._world.service, fault["seconds"])
                self._note_change()
                self.happened.append(occurrence)
            return None
        return fault

    def _let_happen(self, occurrence: Occurrence, event: Event) -> None:
        try:
            event(self._world)
        except (ApiError, FakeUsageError, StopIteration):
            return  # this run went another way, and there is nothing to do it to
        self.happened.append(occurrence)
        self._note_change()

    def _note_change(self) -> None:
        """Let virtual time and the webhook sender see a changed account."""
        if self._world.virtual_waits:
            self._world.virtual_waits.catch_up()
        self._world.sender.wake()

    def _end_run(self, error: type[RunEndedError], request: DisturbedRequest) -> DisturbedRequest:
        self.cut_short = request.number
        if request.in_callers_thread:
            raise error
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(error))
        return replace(request, fault={"kind": "refuse"})
