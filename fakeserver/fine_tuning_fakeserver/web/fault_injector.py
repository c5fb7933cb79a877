"""The faults that are armed, and which of them a call meets: decided here, carried out in `breaking`."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..domain.fault_spec import FaultSpec
from ..usage_errors import FakeUsageError
from .endpoints import OPERATIONS

PATHS = {operation.name: operation.path for operation in OPERATIONS}
"""The operations that can be made to fail, with their paths; control is none of them."""


@dataclass(slots=True, eq=False)
class Fault:
    """A fault that was armed, and what came of it.

    Args:
        number: its place in the order of arming, from 1.
        spec: what goes wrong, and when.
        ends_at: when an outage is over, in virtual Unix seconds.
        matched: how many calls there were that it is for, whether it hit them or not.
        fired: how many calls it has hit.
        requests: their numbers in the request log.
        over: whether its time has run out.
    """

    number: int
    spec: FaultSpec
    ends_at: float | None = None
    matched: int = 0
    fired: int = 0
    requests: list[int] = field(default_factory=list)
    over: bool = False

    @property
    def kind(self) -> str:
        """What goes wrong: one of `domain.faults.KINDS`."""
        return self.spec.kind

    @property
    def exhausted(self) -> bool:
        """Whether it will never fire again: it has fired often enough, its call has been, or its time is up."""
        spent = self.spec.times is not None and self.fired >= self.spec.times
        return self.over or spent or (self.spec.nth is not None and self.matched >= self.spec.nth)

    def as_json(self) -> dict[str, Any]:
        """The fault as the control API shows it."""
        came = {"fired": self.fired, "requests": list(self.requests), "exhausted": self.exhausted}
        return {"number": self.number, **self.spec.as_json(), **came}

    def expire(self, now: float) -> None:
        """Be over if it is time."""
        self.over = self.over or (self.ends_at is not None and now >= self.ends_at)

    def meets(self, operation: str, job: str | None, now: float, seed: int) -> bool:
        """Count the call if it is one that this is for; whether it should be hit."""
        self.expire(now)
        if self.over or not self.spec.matches(operation, job):
            return False
        self.matched += 1
        return self.spec.strikes(self.matched, f"{seed}/{self.number}")


class Faults:
    """What is armed, oldest first. Of several that a call meets, the oldest hits it, and no other does."""

    def __init__(self, given: Iterable[object] = (), now: float = 0.0) -> None:
        self._born_with = self.parsed(given)
        self._lock = threading.Lock()
        self.live: list[Fault] = []
        """Those that are not exhausted: all that a request has to look at."""
        self.begin_again(self._born_with, now)

    def parsed(self, given: Iterable[object] | None) -> list[FaultSpec]:
        """Faults from mappings of their fields; those it was born with for None.

        Raises:
            FakeUsageError: one of them makes no sense.
        """
        if given is None:
            return self._born_with
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise FakeUsageError(f"faults is {given!r}: a collection of mappings is wanted")
        return [FaultSpec.of(each, PATHS) for each in given]

    def be_born_with(self, specs: list[FaultSpec]) -> None:
        """Let `parsed` have these for None from now on."""
        self._born_with = specs

    def begin_again(self, specs: Iterable[FaultSpec], now: float) -> None:
        """Forget all faults and arm these."""
        with self._lock:
            self._armed: list[Fault] = []
            self._spared: list[Fault] = []
            self.live = []
        for spec in specs:
            self.arm(spec, now)

    def disarm(self, now: float) -> None:
        """Forget all faults; but those that have hit nothing are still `unfired`."""
        unfired = self.unfired(now)
        self.begin_again((), now)
        self._spared = unfired

    def unfired(self, now: float) -> list[Fault]:
        """Faults that have hit nothing, disarmed ones too."""
        return [*self._spared, *(fault for fault in self.armed(now) if not fault.fired)]

    def arm(self, spec: FaultSpec, now: float) -> Fault:
        """Let this go wrong from now on, in virtual Unix seconds."""
        ends_at = None if spec.duration is None else now + spec.duration
        with self._lock:
            fault = Fault(len(self._armed) + 1, spec, ends_at)
            self._armed.append(fault)
            self.live = [*self.live, fault]
        return fault

    def once(self, fields: object) -> Fault:
        """A fault that hits the call at hand, and is never armed."""
        [spec] = self.parsed([fields])
        return Fault(0, spec, fired=1)

    def next(self, operation: str, job: str | None, now: float, seed: int) -> Fault | None:
        """The fault that hits this call, which is counted; None for none.

        Args:
            operation: the operation's name.
            job: the id of the job that the call is about, if any.
            now: virtual Unix seconds.
            seed: the account's.
        """
        with self._lock:
            met = [fault for fault in self.live if fault.meets(operation, job, now, seed)]
            if met:
                met[0].fired += 1
            self.live = [fault for fault in self.live if not fault.exhausted]
        return met[0] if met else None

    def armed(self, now: float) -> list[Fault]:
        """All faults that were armed, exhausted ones too."""
        with self._lock:
            for fault in self._armed:
                fault.expire(now)
            return list(self._armed)
