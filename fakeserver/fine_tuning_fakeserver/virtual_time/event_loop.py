"""asyncio: a loop's time is virtual, and its selector lets time jump when the loop waits and nothing is under way."""

from __future__ import annotations

import _socket
import asyncio
import math
import selectors
from typing import Any

from ..web.protocols import pending_bytes
from ..web.server import is_idle
from . import scheduler

_real_time: Any = asyncio.BaseEventLoop.time
_real_run_forever: Any = asyncio.BaseEventLoop.run_forever

TIMER_RESOLUTION_S = 1e-6
"""How exact a loop's timers are: a jump hits a timer's time exactly, to which 1 ns cannot be added after 194 days."""


class VirtualSelector:
    """In the place of a loop's selector while the loop runs."""

    def __init__(self, loop: Any, selector: selectors.BaseSelector) -> None:
        self._loop, self._selector = loop, selector
        self._wakeup_fd = loop._ssock.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for what is registered, or for the loop's next timer."""
        virtual = scheduler.active
        is_wait = timeout is None or timeout > 0
        if virtual is None or not is_wait or not virtual.belongs_here() or not virtual.is_virtual:
            return self._selector.select(timeout)
        events: list[tuple[selectors.SelectorKey, int]] = []

        def poke(real_s: float) -> bool:
            if not events:
                events.extend(self._selector.select(real_s))
            return bool(events)

        deadline = math.inf
        if timeout is not None:  # the timer's own time: asyncio waits for a day at most, and differences are not exact
            timers = self._loop._scheduled
            deadline = timers[0]._when if timers else virtual.now + timeout
        virtual.wait_until(deadline, poke, self._is_quiet)
        return events

    def _is_quiet(self) -> bool:
        """Whether nothing is under way on any connection of the loop; nobody knows that of one to somebody else."""
        try:
            return all(self._is_idle(key) for key in list(self._selector.get_map().values()))
        except (OSError, RuntimeError):  # closed, or changed meanwhile
            return False

    def _is_idle(self, key: selectors.SelectorKey) -> bool:
        if pending_bytes(key.fd, "FIONREAD"):
            return False
        return key.fd == self._wakeup_fd or (not key.events & selectors.EVENT_WRITE and is_idle(*ends_of(key.fd)))


def ends_of(fd: int) -> tuple[Any, Any]:
    """Return the addresses of both ends of a connected socket.

    Raises:
        OSError: it is something else.
    """
    sock = _socket.socket(fileno=fd)  # not `socket.socket`, which tests may have replaced
    try:
        return sock.getsockname(), sock.getpeername()
    finally:
        sock.detach()


def loop_time(loop: asyncio.BaseEventLoop) -> float:
    """Return a loop's time, in the place of its own method."""
    virtual = scheduler.active
    if virtual is None or not virtual.belongs_here():
        real: float = _real_time(loop)
        return real
    return virtual.read()


def run_forever(loop: Any) -> None:
    """Run a loop with a `VirtualSelector`, in the place of its own method."""
    selector = getattr(loop, "_selector", None)
    if scheduler.active is None or selector is None or not hasattr(loop, "_ssock"):
        return _real_run_forever(loop)  # type: ignore[no-any-return]
    resolution = loop._clock_resolution
    loop._selector = VirtualSelector(loop, selector)
    loop._clock_resolution = max(resolution, TIMER_RESOLUTION_S)
    try:
        return _real_run_forever(loop)  # type: ignore[no-any-return]
    finally:
        loop._selector, loop._clock_resolution = selector, resolution


PATCHES = (
    (asyncio.BaseEventLoop, "time", loop_time),
    (asyncio.BaseEventLoop, "run_forever", run_forever),
)
