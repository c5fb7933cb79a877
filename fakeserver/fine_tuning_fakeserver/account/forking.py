"""Forked processes: a child gets locks of its own, and whole accounts.

A lock that another thread holds while a process forks stays locked in the child for ever, as that thread is not there.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

WAIT_AT_MOST_S = 1.0
"""How long a fork waits for an account that another thread is changing. Where that thread waits for the forking one
in turn, the child gets the account as it is."""


class HasLocks(Protocol):
    """An object with locks."""

    def renew_locks(self) -> None:
        """Replace its locks, in a forked child, by new ones that are not held."""
        ...


_owners: weakref.WeakSet[HasLocks] = weakref.WeakSet()
_states: weakref.WeakSet[HasAccountLock] = weakref.WeakSet()
_held = threading.local()


class HasAccountLock(HasLocks, Protocol):
    """An object whose lock guards what a child must find whole."""

    lock: threading.RLock


def renew_after_fork(owner: HasLocks) -> None:
    """Let a forked child call `renew_locks` of *owner*, for as long as there is one."""
    _owners.add(owner)


def complete_before_fork(owner: HasAccountLock) -> None:
    """Let a fork wait until no other thread holds the lock of *owner*; a child renews it."""
    renew_after_fork(owner)
    _states.add(owner)


def _before_fork() -> None:
    locks = [owner.lock for owner in list(_states)]
    _held.locks = [lock for lock in locks if lock.acquire(timeout=WAIT_AT_MOST_S)]


def _after_fork_in_parent() -> None:
    while _held.locks:
        _held.locks.pop().release()


def _after_fork_in_child() -> None:
    _held.locks = []
    for owner in list(_owners):
        owner.renew_locks()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
