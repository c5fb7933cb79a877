"""Threads that the test starts belong to it, from their start to their end; those of a pool while they work for it.

A pool's thread without work waits in C, where nobody sees it.
"""

from __future__ import annotations

import concurrent.futures.thread as pool_threads
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from . import scheduler
from .callers import is_real_target
from .scheduler import PoolLoad, VirtualTime

_real_start = threading.Thread.start
_real_bootstrap: Callable[[threading.Thread], None] = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

_VIRTUAL_TIME = "_fine_tuning_virtual_time"


def start(thread: threading.Thread) -> None:
    """Start a thread, which belongs to the test if one of its threads starts it."""
    virtual = scheduler.for_caller()
    target = getattr(thread, "_target", None)
    if (
        virtual is None
        or getattr(target, "__func__", target) in POOL_TARGETS
        or is_real_target(target)
        or is_real_target(type(thread).run)
    ):
        return _real_start(thread)
    with virtual.lock:
        virtual.about_to_begin += 1
    thread.__dict__[_VIRTUAL_TIME] = virtual
    try:
        _real_start(thread)
    except BaseException:  # too many threads, or started twice
        if thread.__dict__.pop(_VIRTUAL_TIME, None) is not None:
            with virtual.lock:
                virtual.about_to_begin -= 1
        raise


def bootstrap(thread: threading.Thread) -> None:
    """Run a thread, as `threading.Thread._bootstrap_inner` does."""
    virtual: VirtualTime | None = thread.__dict__.pop(_VIRTUAL_TIME, None)
    if virtual is None:
        return _real_bootstrap(thread)
    with virtual.lock:
        virtual.managed.add(threading.get_ident())
        virtual.about_to_begin -= 1
    try:
        _real_bootstrap(thread)
    finally:
        with virtual.lock:
            virtual.managed.discard(threading.get_ident())


POOL_TARGETS: set[Any] = {pool_threads._worker}
"""What the threads of pools run."""
_WorkItem: Any = pool_threads._WorkItem
_real_submit = ThreadPoolExecutor.submit
_real_init, _real_run = _WorkItem.__init__, _WorkItem.run
_submitting = threading.local()


class _Call:
    """A call that the test has given a pool."""

    def __init__(self, virtual: VirtualTime, pool: ThreadPoolExecutor) -> None:
        self._virtual = virtual
        self._is_waiting = True
        with virtual.lock:
            self._load = virtual.pools.setdefault(pool, PoolLoad(pool._max_workers))
            self._load.waiting += 1

    def begin(self) -> None:
        """Note that a thread works on it."""
        with self._virtual.lock:
            self._load.waiting -= self._is_waiting
            self._is_waiting = False
            self._load.running += 1
            self._virtual.managed.add(threading.get_ident())

    def end(self) -> None:
        """Note that the thread has done with it."""
        with self._virtual.lock:
            self._load.running -= 1
            self._virtual.managed.discard(threading.get_ident())

    def note_cancelled(self, future: Future[Any]) -> None:
        """Expect no thread to begin with it."""
        if future.cancelled():
            with self._virtual.lock:
                self._load.waiting -= self._is_waiting
                self._is_waiting = False


def submit(pool: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    """Give a pool a call, in the place of its own method."""
    virtual = scheduler.active
    _submitting.call = _Call(virtual, pool) if virtual is not None and virtual.belongs_here() else None
    try:
        return _real_submit(pool, function, *args, **kwargs)
    except BaseException:  # the pool is shut down
        if call := _submitting.call:
            cancelled: Future[Any] = Future()
            cancelled.cancel()
            call.note_cancelled(cancelled)
        raise
    finally:
        _submitting.call = None


def init_work_item(item: Any, *args: Any, **kwargs: Any) -> None:
    """Make a pool's work item, which remembers the call that it is."""
    _real_init(item, *args, **kwargs)
    if call := getattr(_submitting, "call", None):
        item.__dict__[_VIRTUAL_TIME] = call
        item.future.add_done_callback(call.note_cancelled)


def run_work_item(item: Any, *args: Any) -> None:
    """Run a pool's work item; the result is out before the thread counts as idle."""
    call: _Call | None = item.__dict__.pop(_VIRTUAL_TIME, None)
    if call is None:
        return _real_run(item, *args)  # type: ignore[no-any-return]
    call.begin()
    try:
        _real_run(item, *args)
    finally:
        call.end()


PATCHES: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (threading.Thread, "start", start),
    (threading.Thread, "_bootstrap_inner", bootstrap),
    (ThreadPoolExecutor, "submit", submit),
    (_WorkItem, "__init__", init_work_item),
    (_WorkItem, "run", run_work_item),
)
