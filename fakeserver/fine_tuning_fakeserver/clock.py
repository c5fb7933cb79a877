"""The virtual clock and the pace at which it runs; the one place that reads real time."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from asyncio import sleep as _asyncio_sleep  # by name: a test may put the fake's own sleep in its place
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf
from typing import Any, Literal, TypeAlias

from .usage_errors import wrong_value

Pace: TypeAlias = Literal["polls", "manual", "instant"] | float
PACES = ("polls", "manual", "instant")


def parse_pace(value: Any, name: str = "pace") -> Pace:
    """Return *value*, or the number that it spells, as a pace.

    Raises:
        FakeUsageError: it is neither a word of `PACES` nor a positive number.
    """
    pace: Pace = value
    if isinstance(value, str) and value not in PACES:
        try:
            pace = float(value)
        except ValueError:
            pass  # the message below names it
    if pace in PACES or (isinstance(pace, int | float) and not isinstance(pace, bool) and 0 < pace < 1e9):
        return pace
    wanted = "'polls', 'manual', 'instant', or a positive number of virtual seconds a real second"
    raise wrong_value(name, wanted, pace)


def real_now() -> float:
    """Return the Unix time, cut to a whole second: where an account starts by default."""
    return float(int(time.time()))


def real_time() -> float:
    """Return the Unix time, in seconds."""
    return time.time()


def elapsed() -> float:
    """Return real seconds since some moment; only differences count."""
    return time.monotonic()


def steady() -> float:
    """Return real seconds since some moment, also in a test that freezes time, except on Windows."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) if sys.platform != "win32" else time.monotonic()


def wait(seconds: float) -> None:
    """Let real time pass, also where a test has replaced `time.sleep`: by the fake's sleep, which calls this."""
    threading.Event().wait(seconds)


async def async_wait(seconds: float) -> None:
    """Let real time pass, and other tasks run, even for 0 seconds; under asyncio and trio.

    Also where a test has replaced `asyncio.sleep` or `anyio.sleep`: by the fake's sleep, which calls this.
    """
    if _is_in_asyncio_task():
        await _asyncio_sleep(seconds)
        return
    import anyio  # httpx needs it anyway, and few tests are async

    with anyio.move_on_after(seconds):
        await anyio.Event().wait()


ClockMark: TypeAlias = tuple[float, float, float, float]
"""The state of a clock."""


def _is_in_asyncio_task() -> bool:
    """Whether asyncio runs this code; not if trio does as a guest of its loop."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:  # no loop of asyncio's runs in this thread
        return False


_this_thread = threading.local()


@contextmanager
def own_thread() -> Generator[None, None, None]:
    """Mark this thread as the fake's own while the context lasts: its waits are never a client's."""
    _this_thread.is_own = True
    try:
        yield
    finally:
        _this_thread.is_own = False


def is_own_thread() -> bool:
    """Whether this thread is one of the fake's own."""
    return getattr(_this_thread, "is_own", False)


class VirtualClock:
    """Virtual time: ``base + rate * (real - real_base)``. A rate of 0 stands still.

    A clock that is faster than real time idles once nothing is ahead: from then on it goes with real time.

    Args:
        start: Unix seconds.
        rate: virtual seconds a real second.
        real: seconds of real time; only differences count.
    """

    def __init__(self, start: float, rate: float = 0.0, real: Callable[[], float] = steady) -> None:
        self._real = real
        self._base, self._real_base, self._rate = start, real(), rate
        self._idle_from = inf

    def now(self) -> float:
        """Return virtual Unix seconds."""
        return self.at(self._real()) if self._rate else self._base

    def at(self, real_s: float) -> float:
        """Return virtual Unix seconds at a moment of real time."""
        if not self._rate:
            return self._base
        passed_s = max(real_s - self._real_base, 0.0)  # the real time of a store may be set back
        at = self._base + self._rate * passed_s
        if at <= self._idle_from or self._rate <= 1:
            return at
        idle_from = max(self._idle_from, self._base)
        return idle_from + max(passed_s - (idle_from - self._base) / self._rate, 0.0)

    def real_seconds_until(self, at: float) -> float:
        """Return how much real time passes until *at*, in virtual Unix seconds, unless something moves the clock."""
        left_s = max(at - (now := self.now()), 0.0)
        if self._rate <= 1:
            return left_s / self._rate if self._rate else inf
        at_rate_s = min(left_s, max(self._idle_from - now, 0.0))
        return at_rate_s / self._rate + left_s - at_rate_s

    def mark(self) -> ClockMark:
        """Return the state of the clock, for `return_to`."""
        return self._base, self._real_base, self._rate, self._idle_from

    def return_to(self, mark: ClockMark) -> None:
        """Undo all changes of the clock since *mark*."""
        self._base, self._real_base, self._rate, self._idle_from = mark

    def idle_from(self, at: float) -> None:
        """Let the clock idle from *at* on, in virtual Unix seconds, or from now on if that has passed."""
        if at != self._idle_from:
            real_s = self._real()
            self._base, self._real_base, self._idle_from = self.at(real_s), real_s, at

    def move_to(self, at: float) -> None:
        """Jump forward to *at*; a time that has passed changes nothing."""
        self._base, self._real_base = max(at, self.now()), self._real()

    def anchor(self, at: float, real_s: float) -> None:
        """Let it be *at* when it is, or was, *real_s* in real time, and go on from there at the same rate."""
        self._base, self._real_base = at, real_s

    def run_at(self, rate: float) -> None:
        """Go on from now at another rate."""
        self._base, self._real_base = self.now(), self._real()
        self._rate = rate
