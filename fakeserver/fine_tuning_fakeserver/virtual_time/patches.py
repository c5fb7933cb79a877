"""What is replaced while a test has virtual time; each replacement calls the original where a wait is real."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from weakref import WeakSet

from . import event_loop, locks, scheduler, threads
from .callers import REAL_CALLERS, package_of
from .scheduler import AccountClock, VirtualTime, real_monotonic, real_sleep

_real_monotonic_ns = time.monotonic_ns


def sleep(seconds: float, /) -> None:
    """Wait, in the place of `time.sleep`."""
    virtual = scheduler.for_caller()
    if virtual is None or not isinstance(seconds, int | float) or not seconds > 0:
        return real_sleep(seconds)
    return virtual.sleep(seconds)


def monotonic() -> float:
    """Return seconds, in the place of `time.monotonic`."""
    virtual = _for_reader()
    return real_monotonic() if virtual is None else virtual.read()


def monotonic_ns() -> int:
    """Return nanoseconds, in the place of `time.monotonic_ns`."""
    virtual = _for_reader()
    return _real_monotonic_ns() if virtual is None else round(virtual.read() * 1e9)


def _for_reader() -> VirtualTime | None:
    """Return the virtual time that a patched function's caller reads; in `real_time` it goes on."""
    virtual = scheduler.active
    return virtual if virtual is not None and virtual.is_for_caller() else None


_ORIGINALS: dict[Any, Any] = {sleep: real_sleep, monotonic: real_monotonic, monotonic_ns: _real_monotonic_ns}
_BY_ORIGINAL = {original: ours for ours, original in _ORIGINALS.items()}
_PATCHES: list[tuple[Any, str, Callable[..., Any]]] = [
    (time, "sleep", sleep),
    (time, "monotonic", monotonic),
    (time, "monotonic_ns", monotonic_ns),
    *event_loop.PATCHES,
    *threads.PATCHES,
    *locks.PATCHES,
    (threading, "_time", monotonic),  # of conditions and barriers
    (queue, "time", monotonic),
]
_NOT_SEARCHED = REAL_CALLERS | {"asyncio", "concurrent", "fine_tuning_client", "selectors", "threading", "time"}
_NOT_SEARCHED |= {"freezegun", "looptime", "time_machine", "trio"}  # which have their own ways, and keep originals
_without_imports: WeakSet[ModuleType] = WeakSet()
"""Modules that were searched, and have imported nothing by name that is patched."""


def _all_patches() -> list[tuple[Any, str, Callable[..., Any]]]:
    """Return what to patch; trio's parts where it is installed, as a test may import it late."""
    if not _TRIO and find_spec("trio"):
        from . import trio_clock

        _TRIO.extend(trio_clock.PATCHES)
    return [*_PATCHES, *_TRIO]


_TRIO: list[tuple[Any, str, Callable[..., Any]]] = []


@contextmanager
def virtual_time(fake: AccountClock, *, wall_clock: bool = False) -> Generator[VirtualTime, None, None]:
    """Make waits of this thread, and of those that it starts, virtual while the context lasts.

    Args:
        fake: whose clock moves by what is waited.
        wall_clock: whether `time.time` and `datetime` are the fake's clock, too.

    Raises:
        FakeUsageError: time-machine, which the wall clock needs, is not installed.
    """
    with ExitStack() as stack:
        virtual = VirtualTime(fake)
        fake.bind_waits(virtual)
        stack.callback(fake.bind_waits, None)
        for owner, name, ours in _all_patches():
            if getattr(owner, name) is not ours:
                _ORIGINALS[ours] = getattr(owner, name)
                setattr(owner, name, ours)
        stack.callback(remove_patches)
        replaced = list(_replace_imported_names())
        stack.callback(_restore, replaced)
        scheduler.active = virtual
        stack.callback(_deactivate)  # before all else is undone
        stack.callback(virtual.end)
        if wall_clock:
            from .wall_clock import wall_clock as enter_wall_clock

            stack.enter_context(enter_wall_clock(virtual, fake))
        yield virtual


def _deactivate() -> None:
    scheduler.active = None


def remove_patches() -> None:
    """Restore what is patched, unless somebody has patched it on top of ours; a later call then restores it.

    A test's `monkeypatch` that is undone after us puts ours back; without virtual time it calls the original.
    """
    if scheduler.active is None:
        for owner, name, ours in [*_PATCHES, *_TRIO]:
            if getattr(owner, name) is ours:
                setattr(owner, name, _ORIGINALS[ours])


def _replace_imported_names() -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Replace what modules have imported by name, as in ``from time import sleep``; yield what to restore."""
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType) or module in _without_imports:
            continue
        if package_of(module.__dict__.get("__name__")) in _NOT_SEARCHED:
            continue
        has_none = True
        for name, value in list(module.__dict__.items()):
            ours = _BY_ORIGINAL.get(value) if callable(value) and isinstance(value, _BUILTIN) else None
            if ours is not None:
                has_none = False
                module.__dict__[name] = ours
                yield module.__dict__, name, value
        if has_none:
            _without_imports.add(module)


_BUILTIN = type(real_sleep)


def _restore(replaced: list[tuple[dict[str, Any], str, Any]]) -> None:
    for names, name, original in replaced:
        if names.get(name) is _BY_ORIGINAL[original]:
            names[name] = original


if hasattr(os, "register_at_fork"):  # a forked child has a copy of the account only; its waits are its own
    os.register_at_fork(after_in_child=_deactivate)
