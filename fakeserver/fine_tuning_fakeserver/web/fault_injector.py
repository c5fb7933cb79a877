"""The faults that are armed, and which of them a call meets: decided here, carried out in `breaking`."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fine_tuning_formats.api_paths import API_PATHS

from ..domain.fault_spec import FaultSpec
from ..usage_errors import FakeUsageError

PATHS = {each.operation: each.path for each in API_PATHS}
"""The operations that can be made to fail, with their paths; control is none of them."""


@dataclass(slots=True, eq=False)
class ArmedFault:
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

    def matches(self, operation: str, job: str | None, now: float, seed: int) -> bool:
        """Count the call if it is one that this is for; whether it should be hit."""
        self.expire(now)
        if self.over or not self.spec.matches(operation, job):
            return False
        self.matched += 1
        return self.spec.fires_at(self.matched, f"{seed}/{self.number}")


class ArmedFaults:
    """What is armed, oldest first. Of several that a call meets, the oldest hits it, and no other does."""

    def __init__(self, given: Iterable[object] = (), now: float = 0.0) -> None:
        self._born_with = self.parse(given)
        self._lock = threading.Lock()
        self.active: list[ArmedFault] = []
        """Those that are not exhausted: all that a request has to look at."""
        self.reset(self._born_with, now)

    def parse(self, given: Iterable[object] | None) -> list[FaultSpec]:
        """Faults from mappings of their fields; those it was born with for None.

        Raises:
            FakeUsageError: one of them makes no sense.
        """
        if given is None:
            return self._born_with
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise FakeUsageError(f"faults is {given!r}: a collection of mappings is wanted")
        return [FaultSpec.parse(each, PATHS) for each in given]

    def set_defaults(self, specs: list[FaultSpec]) -> None:
        """Let `parsed` have these for None from now on."""
        self._born_with = specs

    def reset(self, specs: Iterable[FaultSpec], now: float) -> None:
        """Forget all faults and arm these."""
        with self._lock:
            self._all: list[ArmedFault] = []
            self._spared: list[ArmedFault] = []
            self.active = []
        for spec in specs:
            self.arm(spec, now)

    def disarm(self, now: float) -> None:
        """Forget all faults; but those that have hit nothing are still `unfired`."""
        unfired = self.unfired(now)
        self.reset((), now)
        self._spared = unfired

    def unfired(self, now: float) -> list[ArmedFault]:
        """Faults that have hit nothing, disarmed ones too."""
        return [*self._spared, *(fault for fault in self.all(now) if not fault.fired)]

    def arm(self, spec: FaultSpec, now: float) -> ArmedFault:
        """Let this go wrong from now on, in virtual Unix seconds."""
        ends_at = None if spec.duration is None else now + spec.duration
        with self._lock:
            fault = ArmedFault(len(self._all) + 1, spec, ends_at)
            self._all.append(fault)
            self.active = [*self.active, fault]
        return fault

    def unarmed_fault(self, fields: object) -> ArmedFault:
        """A fault that hits the call at hand, and is never armed."""
        [spec] = self.parse([fields])
        return ArmedFault(0, spec, fired=1)

    def next_for(self, operation: str, job: str | None, now: float, seed: int) -> ArmedFault | None:
        """The fault that hits this call, which is counted; None for none.

        Args:
            operation: the operation's name.
            job: the id of the job that the call is about, if any.
            now: virtual Unix seconds.
            seed: the account's.
        """
        with self._lock:
            met = [fault for fault in self.active if fault.matches(operation, job, now, seed)]
            if met:
                met[0].fired += 1
            self.active = [fault for fault in self.active if not fault.exhausted]
        return met[0] if met else None

    def all(self, now: float) -> list[ArmedFault]:
        """All faults that were armed, exhausted ones too."""
        with self._lock:
            for fault in self._all:
                fault.expire(now)
            return list(self._all)
