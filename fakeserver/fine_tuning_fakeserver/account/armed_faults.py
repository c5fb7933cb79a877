"""Armed faults: which requests they hit, and how often they did. What a fault does to a response is in `web`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import show_value

from ..domain.fault_spec import FaultSpec
from ..usage_errors import FakeUsageError
from .forking import renew_after_fork
from .records import FaultArmed, FaultHit, FaultsDisarmed, FaultsMatched, Record


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

    def is_for(self, operation: str, job: str | None, now: float) -> bool:
        """Return whether it matches a call; whether it hits one that it matches, `FaultSpec.fires_at` decides."""
        self.expire(now)
        return not self.over and self.spec.matches(operation, job)


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


class ArmedFaults:
    """The faults of an account, oldest first. A call is hit by the oldest fault that matches it.

    What happens to them is recorded, and `apply` is all that changes them.

    Args:
        paths: the path of each operation that can be made to fail, by its name.
        specs: the faults that are armed at *now*.
        now: virtual Unix seconds.
        commit: appends a record to the account's.
    """

    def __init__(
        self,
        paths: Mapping[str, str],
        specs: Iterable[FaultSpec] = (),
        now: float = 0.0,
        commit: Callable[[Record], object] = lambda record: None,
    ) -> None:
        self._paths = paths
        self._commit = commit
        self.renew_locks()
        renew_after_fork(self)
        self._all: list[ArmedFault] = []
        self._spared: list[ArmedFault] = []
        """Faults that were disarmed before they hit anything."""
        self.active: list[ArmedFault] = []
        """Faults that are not exhausted: all that a request has to be compared with."""
        for spec in specs:
            self._arm(spec, now)

    def renew_locks(self) -> None:
        """Replace the lock, in a forked child."""
        self._lock = threading.Lock()

    def arm(self, fault: object, now: float) -> ArmedFault:
        """Arm a fault, given as a mapping of its fields.

        Raises:
            FakeUsageError: it makes no sense.
        """
        return self._arm(FaultSpec.parse(fault, self._paths), now)

    def _arm(self, spec: FaultSpec, now: float) -> ArmedFault:
        with self._lock:
            self._apply(record := FaultArmed(now, len(self._all) + 1, spec))
            armed = self._all[-1]
        self._commit(record)  # without the lock: who holds the account's may be waiting for this one
        return armed

    def disarm(self, now: float) -> None:
        """Forget all faults; those that have hit nothing are still `unfired`."""
        self.apply(record := FaultsDisarmed(now))
        self._commit(record)

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
            concerned = [fault for fault in self.active if fault.is_for(operation, job, now)]
            if not concerned:
                self.active = [fault for fault in self.active if not fault.over]
                return None
            fires = (each for each in concerned if each.spec.fires_at(each.matched + 1, f"{seed}/{each.number}"))
            hit = next(fires, None)
            record = FaultsMatched(now, tuple(fault.number for fault in concerned), hit.number if hit else None)
            self._apply(record)
        self._commit(record)
        return hit

    def add_hit(self, fault: ArmedFault, request: int) -> None:
        """Note the number of the request that a fault has hit."""
        fault.requests.append(request)
        if fault.number:  # else it was never armed
            self._commit(FaultHit(fault.number, request))

    def apply(self, record: Record) -> None:
        """Change the faults by a record; it never refuses."""
        with self._lock:
            self._apply(record)

    def _apply(self, record: Record) -> None:
        match record:
            case FaultArmed(at, number, spec):
                ends_at = None if spec.duration is None else at + spec.duration
                self._all.append(armed := ArmedFault(number, spec, ends_at))
                self.active = [*self.active, armed]
            case FaultsMatched(at, numbers, hit):
                for fault in self._all:
                    fault.matched += fault.number in numbers
                    fault.fired += fault.number == hit
                    fault.expire(at)
                self.active = [fault for fault in self.active if not fault.exhausted]
            case FaultHit(number, request):
                for fault in self._all:
                    if fault.number == number:
                        fault.requests.append(request)
            case FaultsDisarmed(at):
                self._spared = [*self._spared, *(fault for fault in self._all if not fault.fired)]
                self._all, self.active = [], []

    def all(self, now: float) -> list[ArmedFault]:
        """Return all faults that were armed, exhausted ones too."""
        with self._lock:
            for fault in self._all:
                fault.expire(now)
            return list(self._all)
