"""Armed faults: which requests they hit, and how often they did. What a fault does to a response is in `web`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fine_tuning_formats.text import show_value

from ..domain.fault_spec import FaultSpec
from ..usage_errors import FakeUsageError
from .forking import renew_after_fork


@dataclass(slots=True, eq=False)
class ArmedFault:
    """A fault that was armed, and what it has hit.

    Args:
        number: its place in the order of arming, from 1.
        spec: what goes wrong, and when.
        ends_at: when an outage is over, in virtual Unix seconds.
        matched: how many calls it was for, whether it hit them or not.
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
        """What goes wrong: one of `domain.fault_spec.KINDS`."""
        return self.spec.kind

    @property
    def exhausted(self) -> bool:
        """Whether it will never fire again: it has fired often enough, its call has passed, or its time is up."""
        spent = self.spec.times is not None and self.fired >= self.spec.times
        return self.over or spent or (self.spec.nth is not None and self.matched >= self.spec.nth)

    def as_json(self) -> dict[str, Any]:
        """Return the fault as the control API shows it."""
        counts = {"fired": self.fired, "requests": list(self.requests), "exhausted": self.exhausted}
        return {"number": self.number, **self.spec.as_json(), **counts}

    def expire(self, now: float) -> None:
        """End the fault if its time is up."""
        self.over = self.over or (self.ends_at is not None and now >= self.ends_at)

    def matches(self, operation: str, job: str | None, now: float, seed: int) -> bool:
        """Count a call that the fault is for; return whether it is to be hit."""
        self.expire(now)
        if self.over or not self.spec.matches(operation, job):
            return False
        self.matched += 1
        return self.spec.fires_at(self.matched, f"{seed}/{self.number}")


FAULTS_AT_MOST = 10_000
"""How many faults can be armed at once: every request is compared with each."""


def parse_faults(faults: object, paths: Mapping[str, str]) -> list[FaultSpec]:
    """Parse faults that are given as mappings of their fields.

    Args:
        faults: a collection of mappings.
        paths: the path of each operation that can be made to fail, by its name.

    Raises:
        FakeUsageError: they are not a collection, or one of them is invalid.
    """
    if isinstance(faults, str | bytes) or not isinstance(faults, Iterable):
        raise FakeUsageError(f"faults must be a collection of mappings, got {show_value(faults)}")
    given = list(faults)
    if len(given) > FAULTS_AT_MOST:
        raise FakeUsageError(f"faults must be at most {FAULTS_AT_MOST}, got {len(given)}")
    return [FaultSpec.parse(fault, paths) for fault in given]


def _armed(ordinal: int, spec: FaultSpec, now: float) -> ArmedFault:
    return ArmedFault(ordinal, spec, None if spec.duration is None else now + spec.duration)


class ArmedFaults:
    """The faults of an account, oldest first. A call is hit by the oldest fault that matches it.

    Args:
        paths: the path of each operation that can be made to fail, by its name.
        specs: the faults that are armed at *now*.
        now: virtual Unix seconds.
    """

    def __init__(self, paths: Mapping[str, str], specs: Iterable[FaultSpec] = (), now: float = 0.0) -> None:
        self._paths = paths
        self.renew_locks()
        renew_after_fork(self)
        self._all = [_armed(ordinal, spec, now) for ordinal, spec in enumerate(specs, 1)]
        self._spared: list[ArmedFault] = []
        """Faults that were disarmed before they hit anything."""
        self.active = [*self._all]
        """Faults that are not exhausted: all that a request has to be compared with."""

    def renew_locks(self) -> None:
        """Replace the lock, in a forked child."""
        self._lock = threading.Lock()

    def arm(self, fault: object, now: float) -> ArmedFault:
        """Arm a fault, given as a mapping of its fields.

        Raises:
            FakeUsageError: it makes no sense.
        """
        spec = FaultSpec.parse(fault, self._paths)
        with self._lock:
            armed = _armed(len(self._all) + 1, spec, now)
            self._all.append(armed)
            self.active = [*self.active, armed]
        return armed

    def disarm(self, now: float) -> None:
        """Forget all faults; those that have hit nothing are still `unfired`."""
        unfired = self.unfired(now)
        with self._lock:
            self._all, self.active, self._spared = [], [], unfired

    def unfired(self, now: float) -> list[ArmedFault]:
        """Return the faults that have hit nothing, disarmed ones too."""
        return [*self._spared, *(fault for fault in self.all(now) if not fault.fired)]

    def unarmed_fault(self, fault: object) -> ArmedFault:
        """Return a fault that hits the call at hand without being armed."""
        return ArmedFault(0, FaultSpec.parse(fault, self._paths), fired=1)

    def next_for(self, operation: str, job: str | None, now: float, seed: int) -> ArmedFault | None:
        """Return the fault that hits this call, or None; the call is counted.

        Args:
            operation: the operation's name.
            job: the id of the job in the call's path, if any.
            now: virtual Unix seconds.
            seed: the account's.
        """
        with self._lock:
            matches = [fault for fault in self.active if fault.matches(operation, job, now, seed)]
            if matches:
                matches[0].fired += 1
            self.active = [fault for fault in self.active if not fault.exhausted]
        return matches[0] if matches else None

    def all(self, now: float) -> list[ArmedFault]:
        """Return all faults that were armed, exhausted ones too."""
        with self._lock:
            for fault in self._all:
                fault.expire(now)
            return list(self._all)
