"""Waits of threads for each other: conditions, on which events, queues and futures stand, and joins."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from . import scheduler
from .scheduler import new_lock

_real_wait = threading.Condition.wait
_real_join = threading.Thread.join


class _Waiter:
    """In the place of the lock by which a condition wakes one waiting thread; remembers that it was woken.

    The lock alone cannot tell: the thread that wakes takes it again before it goes on.
    """

    __slots__ = ("_lock", "is_notified")

    def __init__(self) -> None:
        self._lock = new_lock()
        self._lock.acquire()
        self.is_notified = False

    def release(self) -> None:
        """Wake the thread, as `threading.Condition.notify` does."""
        self.is_notified = True
        self._lock.release()

    def wait(self, real_s: float) -> bool:
        """Wait so many real seconds to be woken; return whether that is so."""
        return self._lock.acquire(timeout=real_s)


def wait(condition: Any, timeout: float | None = None) -> bool:
    """Wait for a condition, in the place of its own method."""
    virtual = scheduler.for_caller()
    if virtual is None or (timeout is not None and not timeout > 0) or not condition._is_owned():
        return _real_wait(condition, timeout)
    waiter = _Waiter()
    condition._waiters.append(waiter)
    saved = condition._release_save()
    is_woken = False

    def poke(real_s: float) -> bool:
        nonlocal is_woken
        is_woken = is_woken or waiter.wait(real_s)
        return is_woken

    try:
        deadline = math.inf if timeout is None else virtual.now + timeout
        return virtual.wait_until(deadline, poke, lambda: not waiter.is_notified)
    finally:
        condition._acquire_restore(saved)
        if not is_woken:
            try:
                condition._waiters.remove(waiter)
            except ValueError:
                pass  # woken since


def join(thread: threading.Thread, timeout: float | None = None) -> None:
    """Replace `Thread.join`. A join of a thread that does not belong to the test counts as work, not as a wait."""
    virtual = scheduler.for_caller()
    is_wait = (timeout is None or timeout > 0) and thread.is_alive() and thread is not threading.current_thread()
    if virtual is None or not is_wait:
        return _real_join(thread, timeout)
    managed = virtual.managed

    def poke(real_s: float) -> bool:
        _real_join(thread, real_s)
        return not thread.is_alive()

    deadline = math.inf if timeout is None else virtual.now + timeout
    virtual.wait_until(deadline, poke, lambda: thread.is_alive() and thread.ident in managed)
    return None


PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (threading.Condition, "wait", wait),
    (threading.Thread, "join", join),
)
