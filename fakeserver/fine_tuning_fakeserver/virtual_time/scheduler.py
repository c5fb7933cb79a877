"""The rule of virtual time: who is waiting, and when time may jump."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import duration_words

from ..account.world import VirtualWaits
from ..web.server import are_all_idle
from .callers import is_real_caller, place_of

real_sleep, real_monotonic, new_lock = time.sleep, time.monotonic, threading.Lock
"""The originals, whatever is patched."""

READS_WITHOUT_WAIT = 10_000
"""After so many looks at the clock without a wait time flows at the real rate: a busy loop comes to its deadline."""
NAPS_S = (0.0002, 0.005)
"""How long a waiting thread really waits before it looks again, at first and at most."""
NOTED_FROM_S = 1.0
"""Real seconds from which a wait is listed."""
STUCK_AFTER_S = 2.0
"""Real seconds after which a test whose every thread waits for ever is stuck, where virtual time is limited."""
NEGLIGIBLE_S = 1e-6
"""What Unix seconds cannot resolve as floats."""


class WaitLimitError(BaseException):
    """The code under test waits longer than it may; no `Exception`, so that no retry takes it for an error.

    Args:
        message: how long it has waited.
        quantity: what there is too much of: virtual seconds, or waits; None where every thread waits for ever.
    """

    def __init__(self, message: str, quantity: Literal["seconds", "waits"] | None = None) -> None:
        super().__init__(message)
        self.quantity = quantity


class AccountClock(Protocol):
    """The clock of a fake's account, as `FakeFineTuning` has it."""

    @property
    def now(self) -> float:
        """Virtual time, in Unix seconds."""
        ...

    @property
    def born(self) -> float:
        """When the account began, in virtual Unix seconds."""
        ...

    @property
    def is_sending(self) -> bool:
        """Whether a webhook is being delivered, or about to be."""
        ...

    def bind_waits(self, waits: VirtualWaits | None) -> None:
        """Take *waits* for what makes waits of this process virtual."""
        ...

    def pass_waited_time(self, seconds: float) -> None:
        """Move time by what was waited."""
        ...


@dataclass(frozen=True, slots=True)
class RealWait:
    """A wait that took real time.

    Args:
        seconds: real seconds.
        thread: the thread's name.
        place: file and line.
    """

    seconds: float
    thread: str
    place: str

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s at {self.place} ({self.thread})"


@dataclass(frozen=True, slots=True)
class _ThreadWait:
    """One thread's wait: until when, in virtual seconds, and whether what it waits for has certainly not come."""

    deadline: float
    is_quiet: Callable[[], bool]


@dataclass(slots=True)
class _Nap:
    """The wait of a thread that looks again after each nap.

    Args:
        deadline: when it ends, in virtual seconds.
        began: when it began, in virtual seconds.
        real_began: the same in real seconds.
        seconds: how long the next nap is.
    """

    deadline: float
    began: float
    real_began: float
    seconds: float


@dataclass(slots=True)
class PoolLoad:
    """What the test has given a thread pool to do.

    Args:
        workers: how many threads the pool may have.
        waiting: how many calls have not begun.
        running: how many have.
    """

    workers: int
    waiting: int = 0
    running: int = 0

    @property
    def has_work_ahead(self) -> bool:
        """Whether a call is about to begin: some wait, and not all threads have one."""
        return self.waiting > 0 and self.running < self.workers


class VirtualTime:
    """The virtual time of one test.

    Args:
        fake: the fake whose clock moves by what is waited.

    Attributes:
        waited_s: virtual seconds that were waited.
        jumps: how many times time has jumped.
        began: where its clock began.
        real_began: the same moment by `time.perf_counter`.
        real_waits: the waits that took more than a second of real time.
        limit_s: how many virtual seconds may be waited in all; None for no limit. Then a wait raises `WaitLimitError`.
        jumps_at_most: how often time may jump; likewise.
    """

    def __init__(self, fake: AccountClock) -> None:
        self.waited_s, self.jumps = 0.0, 0
        self.real_waits: list[RealWait] = []
        self.limit_s: float | None = None
        self.jumps_at_most: int | None = None
        self.on_move: Callable[[], object] = lambda: None
        self.managed = {threading.get_ident()}
        """The threads that belong to the test."""
        self.lock = new_lock()
        self.about_to_begin = 0
        """How many threads have been started and do not run yet."""
        self.pools: dict[Any, PoolLoad] = {}
        """The load of each thread pool that the test has given work."""
        self._fake = fake
        self._waits: dict[int, _ThreadWait] = {}
        self._naps: dict[int, _Nap] = {}
        # whole seconds, close to the real clock: deadlines from before the test keep their meaning, sums are exact
        self._now = self.began = float(int(real_monotonic()))
        self.real_began = time.perf_counter()
        self._fake_now = fake.now
        self._account_born = fake.born
        self._origin = self._now, self._fake_now
        self._reads = 0
        self._flows_since: float | None = None
        self._steps_out = 0
        self._real_since: float | None = None

    @property
    def is_virtual(self) -> bool:
        """Whether waits are virtual now, outside of `real_time`."""
        return self._real_since is None

    @property
    def now(self) -> float:
        """What `time.monotonic` returns to the code under test."""
        self.catch_up()
        since = self._real_since
        return self._now if since is None else self._now + real_monotonic() - since

    def read(self) -> float:
        """Return `now` to code under test that looks at the clock."""
        self._reads += 1
        if self._reads > READS_WITHOUT_WAIT:
            self._flow()
        return self.now

    def belongs_here(self) -> bool:
        """Whether this thread is one of the test's."""
        return threading.get_ident() in self.managed

    def is_for_caller(self) -> bool:
        """Whether a patched function's caller, the code of a test's thread, has this time for its own."""
        return self.belongs_here() and not is_real_caller(sys._getframe(1))

    @contextmanager
    def real_time(self) -> Generator[None, None, None]:
        """Let waits of the whole process be real, and its clock go on, while the context lasts; the fake's stands."""
        with self.lock:
            self._steps_out += 1
            if self._real_since is None:
                self._real_since = real_monotonic()
        try:
            yield
        finally:
            with self.lock:
                self._steps_out -= 1
                if not self._steps_out and self._real_since is not None:
                    self._now += real_monotonic() - self._real_since
                    self._real_since = None
                    self._origin = self._now, self._fake_now

    def end(self) -> None:
        """Let the waits of threads that outlive the test be real from now on."""
        with self.lock:
            self._steps_out += 1
            self._real_since = self._real_since or real_monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, as `time.sleep` does."""
        self.wait_until(self.now + seconds, _sleep_and_go_on)

    def wait_until(
        self, deadline: float, poke: Callable[[float], bool], is_quiet: Callable[[], bool] = lambda: True
    ) -> bool:
        """Wait until *deadline*, in virtual seconds, or until what is waited for has come; return whether it has.

        Args:
            deadline: infinite where the wait has no end of its own.
            poke: wait for so many real seconds, which may be 0; return whether what is waited for has come.
            is_quiet: whether it has certainly not come, and the thread is not about to go on; asked by other threads.
        """
        if poke(0):
            return True
        me, began, at = threading.get_ident(), real_monotonic(), self.now
        nap, longest = NAPS_S
        self._reads, self._flows_since = 0, None
        with self.lock:
            self._waits[me] = _ThreadWait(deadline, is_quiet)
        try:
            while True:
                if self.now >= deadline or self._try_to_jump(deadline, poke):
                    return poke(0)
                if poke(nap):
                    return True
                if self.limit_s is not None and real_monotonic() - began > STUCK_AFTER_S:
                    self._check_stuck()
                if deadline < math.inf and self.is_virtual and real_monotonic() - began >= deadline - at:
                    with self.lock:
                        self._move_to(deadline)  # it took real time after all
                nap = min(2 * nap, longest)
        finally:
            with self.lock:
                del self._waits[me]
            self._note(real_monotonic() - began)

    def nap(self, deadline: float, may_go_on: Callable[[], bool]) -> float:
        """Wait for a loop that does so in its own way: by naps, after each of which it asks again.

        The thread counts as waiting until `end_nap`.

        Args:
            deadline: in virtual seconds.
            may_go_on: whether the loop may have something to do soon.

        Returns:
            How many real seconds to nap; 0 if *deadline* has come, perhaps by a jump.
        """
        me, real = threading.get_ident(), real_monotonic()
        self._reads, self._flows_since = 0, None
        nap = self._naps.get(me)
        if nap is None or nap.deadline != deadline:
            nap = self._naps[me] = _Nap(deadline, self.now, real, NAPS_S[0])
        with self.lock:
            self._waits[me] = _ThreadWait(deadline, lambda: not may_go_on())
        if self.now < deadline and not self._try_to_jump(deadline, lambda _: may_go_on()):
            if real - nap.real_began < deadline - nap.began:
                seconds, nap.seconds = nap.seconds, min(2 * nap.seconds, NAPS_S[1])
                return seconds
            with self.lock:
                self._move_to(deadline)  # it took real time after all
        self.end_nap()
        del self._naps[me]
        self._note(real - nap.real_began)
        return 0.0

    def end_nap(self) -> None:
        """Count this thread as at work again."""
        if threading.get_ident() in self._waits:
            with self.lock:
                self._waits.pop(threading.get_ident(), None)

    def _try_to_jump(self, deadline: float, poke: Callable[[float], bool]) -> bool:
        """Jump to *deadline* if it is the earliest and nobody is at work; return whether time jumped."""
        if deadline == math.inf or not self.is_virtual:
            return False
        with self.lock:
            if self.about_to_begin or any(load.has_work_ahead for load in self.pools.values()):
                return False
            if not self.managed <= self._waits.keys():
                return False
            if any(wait.deadline < deadline for wait in self._waits.values()):
                return False
            if self._fake.is_sending or not are_all_idle():
                return False
            if not all(wait.is_quiet() for wait in self._waits.values()) or poke(0):
                return False
            self._move_to(deadline)
            return True

    def _check_stuck(self) -> None:
        """Raise if no thread of the test will ever go on by itself.

        Raises:
            WaitLimitError: each of them waits without a timeout, and nothing is under way.
        """
        with self.lock:
            waits = [self._waits.get(thread) for thread in self.managed]
            if all(wait and wait.deadline == math.inf and wait.is_quiet() for wait in waits) and are_all_idle():
                raise WaitLimitError("every thread waits for something that never comes")

    def _move_to(self, to: float) -> None:
        """Move both clocks; the lock is held."""
        seconds = to - self._now
        if seconds <= 0:
            return
        if self.limit_s is not None and self.waited_s + seconds > self.limit_s:
            raise WaitLimitError(f"waited for more than {duration_words(self.limit_s)} of virtual time", "seconds")
        if self.jumps_at_most is not None and self.jumps >= self.jumps_at_most:
            raise WaitLimitError(f"waited more than {self.jumps_at_most:,} times", "waits")
        self._reads, self._flows_since = 0, None
        self.waited_s += seconds
        self.jumps += 1
        began, fake_began = self._origin  # from there, and not from step to step: sums of fractions stay exact
        wanted = fake_began + (to - began)
        self._fake.pass_waited_time(max(wanted - self._fake.now, 0.0))
        self._now, self._fake_now = to, self._fake.now
        if abs(self._fake_now - wanted) > NEGLIGIBLE_S:
            self._origin = self._now, self._fake_now
        self.on_move()

    def catch_up(self) -> None:
        """Move by what the fake's clock was moved otherwise: by `advance`, by a fault in process."""
        if self._fake.now == self._fake_now and self._fake.born == self._account_born:
            return
        with self.lock:
            now, born = self._fake.now, self._fake.born
            if born == self._account_born:
                self._now += max(now - self._fake_now, 0.0)
            self._fake_now, self._account_born = now, born
            self._origin = self._now, now
            self.on_move()

    def _flow(self) -> None:
        """Let time pass at the real rate."""
        real = real_monotonic()
        with self.lock:
            since, reads = self._flows_since or real, self._reads
            self._move_to(self._now + real - since)
            self._flows_since, self._reads = real, reads

    def _note(self, seconds: float) -> None:
        if seconds > NOTED_FROM_S and self.is_virtual:
            self.real_waits.append(RealWait(seconds, threading.current_thread().name, place_of(sys._getframe(2))))


def _sleep_and_go_on(seconds: float) -> bool:
    if seconds:
        real_sleep(seconds)
    return False


active: VirtualTime | None = None
"""The virtual time of the test that runs, if it has one."""


def for_caller() -> VirtualTime | None:
    """Return the virtual time that a wait of the patched function's caller passes; None where it is real."""
    return active if active is not None and active.is_virtual and active.is_for_caller() else None
