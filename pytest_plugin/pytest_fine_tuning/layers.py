"""The fakes that fixtures of several scopes provide at one time: clients are directed to the innermost.

A fixture of a larger scope may be set up while one of a smaller scope is in use already. It then goes below that one:
what directs clients to the inner fakes ends, and begins again above it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

import pytest

from fine_tuning_client.testing import redirect

from .environment import EnvironmentPatch
from .network_guard import renew_guard, suspend_guards

SCOPES = ("session", "module", "function")
"""Scopes of fixtures, the outermost first."""

Direction = Callable[[], AbstractContextManager[EnvironmentPatch]]
"""Directs clients to a fake while the context lasts, and provides what it changed in the environment."""


class Layer:
    """One fake, to which clients are directed unless there is a layer further in.

    Args:
        run: the run of pytest, which may be inside of another.
        depth: the index of its scope in `SCOPES`.
        direction: directs clients there.
    """

    def __init__(self, run: pytest.Config, depth: int, direction: Direction) -> None:
        self.run, self.depth = run, depth
        self._direction = direction
        self.begin()

    def begin(self) -> None:
        """Direct clients here."""
        self._context = self._direction()
        self.environment = self._context.__enter__()

    def end(self) -> None:
        """Direct clients here no longer."""
        self._context.__exit__(None, None, None)


_layers: list[Layer] = []
"""The outermost first."""
_ended: list[EnvironmentPatch] = []
"""What layers changed in the environment that ended since the last test, the innermost first."""


@contextmanager
def layer(run: pytest.Config, scope: str, direction: Direction) -> Generator[None, None, None]:
    """Direct clients to a fake of *scope* while the context lasts, except where one of a smaller scope is in use."""
    depth = SCOPES.index(scope)
    with _without_layers_within(run, depth):
        own = Layer(run, depth, direction)
        _layers.append(own)
    try:
        yield
    finally:
        with _without_layers_within(run, depth):
            own.end()
            _layers.remove(own)
        _ended.append(own.environment)


@contextmanager
def _without_layers_within(run: pytest.Config, depth: int) -> Generator[None, None, None]:
    """End the layers further in than *depth* while the context lasts."""
    inner = []
    while _layers and _layers[-1].run is run and _layers[-1].depth > depth:
        inner.append(_layers.pop())
        inner[-1].end()
    try:
        yield
    finally:
        for other in reversed(inner):
            other.begin()
            _layers.append(other)


@contextmanager
def without_fakes(run: pytest.Config) -> Generator[None, None, None]:
    """Direct clients to no fake for the rest of a test, as if no fixture of a larger scope was in use."""
    if not _layers:
        yield
        return
    with layer(run, "function", _no_direction):
        yield


@contextmanager
def _no_direction() -> Generator[EnvironmentPatch, None, None]:
    originals: dict[str, str | None] = {}
    for other in reversed(_layers):
        originals |= other.environment.changes_to_undo(originals)
    environment = EnvironmentPatch(originals)
    try:
        with suspend_guards(), redirect(None):
            yield environment
    finally:
        environment.restore()


def restore_after_test() -> None:
    """Restore once more what a `monkeypatch` that outlived a fake put back, and functions that others patched."""
    renew_guard()
    for environment in _ended:
        environment.restore_again()
    _ended.clear()
