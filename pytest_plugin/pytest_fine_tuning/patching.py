"""Replace functions of other packages while a test runs, and restore them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

Function = Callable[..., Any]


_originals: WeakKeyDictionary[Function, Function] = WeakKeyDictionary()
"""The original of each function that was replaced, by its replacement."""


class Patch:
    """A function of another package that can be replaced and restored, as often as tests need it.

    Args:
        owner: the module or class that has the function.
        name: its name there.
        detour: returns the replacement of an original; called again only if somebody else has changed the function.
    """

    def __init__(self, owner: Any, name: str, detour: Callable[[Function], Function]) -> None:
        self._owner, self._name, self._detour = owner, name, detour
        self._original: Function | None = None
        self._replacement: Function | None = None

    def replace(self) -> None:
        """Replace the function, unless it is replaced already."""
        current = getattr(self._owner, self._name)
        if current is not self._original:
            # pytest-socket must find its own function in `socket` again to remove it, and that one blocks everything
            is_pytest_socket = isinstance(self._owner, ModuleType) and current.__module__ == "pytest_socket"
            if current in _originals or is_pytest_socket:
                return
            self._original, self._replacement = current, self._detour(current)
            _originals[self._replacement] = current
        setattr(self._owner, self._name, self._replacement)

    def restore(self) -> None:
        """Restore the original, unless somebody else patched the function meanwhile.

        What they patched stays; a later call restores the original, once that patch is gone.
        """
        current = getattr(self._owner, self._name)
        if current is self._original:
            return
        if current is self._replacement:  # as after most tests
            setattr(self._owner, self._name, self._original)
            return
        while current is not self._original and current in _originals:
            current = _originals[current]
            setattr(self._owner, self._name, current)
