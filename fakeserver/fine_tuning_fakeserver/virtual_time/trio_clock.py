"""trio: the clock that runs have by default is virtual, and lets time jump when nothing is under way.

It is patched where it is, for `trio.run`, anyio and pytest plugins alike: a clock given to `trio.run` stays as it is.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any

import trio._core._run as trio_run
import trio._core._thread_cache as trio_threads

from ..web.protocols import pending_bytes
from ..web.server import is_idle
from . import scheduler
from .event_loop import ends_of
from .scheduler import VirtualTime
from .threads import POOL_TARGETS

_SystemClock: Any = trio_run.SystemClock
_real_current_time = _SystemClock.current_time
_real_sleep_time = _SystemClock.deadline_to_sleep_time
_real_start_thread_soon: Any = trio_threads.ThreadCache.start_thread_soon

ROUNDING_S = 1e-6
"""How far a deadline may be from where time has jumped to, as the two clocks count from different moments."""

POOL_TARGETS.add(trio_threads.WorkerThread._work)


def _active() -> VirtualTime | None:
    virtual = scheduler.active
    return virtual if virtual is not None and virtual.belongs_here() else None


def current_time(clock: Any) -> float:
    """Return trio's time, in the place of its clock's own method."""
    virtual = _active()
    if virtual is None:
        real: float = _real_current_time(clock)
        return real
    virtual.end_nap()
    return _shift(clock, virtual) + virtual.read()


def deadline_to_sleep_time(clock: Any, deadline: float) -> float:
    """Return how long trio is to wait in real time before it looks again; 0 where *deadline* has come."""
    virtual = _active()
    if virtual is None or not virtual.is_virtual:
        real: float = deadline - current_time(clock) if virtual else _real_sleep_time(clock, deadline)
        return real
    runner = trio_run.GLOBAL_RUN_CONTEXT.runner
    until = deadline - _shift(clock, virtual)
    if until <= virtual.now and current_time(clock) < deadline:
        until = virtual.now + ROUNDING_S
    return virtual.nap(until, lambda: _may_go_on(runner))


def _shift(clock: Any, virtual: VirtualTime) -> float:
    """Return what trio's time is ahead of virtual time, so that it goes on from where it was before the test."""
    shift: float = clock.offset + virtual.real_began - virtual.began
    return shift


def _may_go_on(runner: Any) -> bool:
    """Whether a task may run soon: it can already, or something is under way on a connection that one waits for."""
    try:
        if runner.runq or runner.waiting_for_idle:
            return True
        io = runner.io_manager
        own = runner.entry_queue.wakeup.wakeup_sock.fileno()
        for fd, waiters in list(io._registered.items()):
            if waiters.write_task is not None or pending_bytes(fd, "FIONREAD"):
                return True
            if waiters.read_task is not None and fd != own and not is_idle(*ends_of(fd)):
                return True
        ready = select.poll()
        ready.register(io._epoll.fileno(), select.POLLIN)
        return bool(ready.poll(0))
    except (AttributeError, OSError, RuntimeError, ValueError):  # another system, or it has changed meanwhile
        return True


def start_thread_soon(
    cache: Any, function: Callable[[], Any], deliver: Callable[[Any], object], name: str | None = None
) -> None:
    """Run *function* in a thread, which belongs to the test until the result is delivered; idle ones wait in C."""
    virtual = _active()
    if virtual is None:
        return _real_start_thread_soon(cache, function, deliver, name)  # type: ignore[no-any-return]
    with virtual.lock:
        virtual.about_to_begin += 1

    def work() -> Any:
        with virtual.lock:
            virtual.managed.add(threading.get_ident())
            virtual.about_to_begin -= 1
        return function()

    def deliver_and_leave(result: Any) -> None:
        try:
            deliver(result)
        finally:
            with virtual.lock:
                virtual.managed.discard(threading.get_ident())

    return _real_start_thread_soon(cache, work, deliver_and_leave, name)  # type: ignore[no-any-return]


PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (_SystemClock, "current_time", current_time),
    (_SystemClock, "deadline_to_sleep_time", deadline_to_sleep_time),
    (trio_threads.ThreadCache, "start_thread_soon", start_thread_soon),
)
