"""Replace functions of other packages while a test runs, also in modules that are imported later, and restore them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
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


class ImportHook(MetaPathFinder):
    """Calls a function with a module, by its name, as soon as it is imported."""

    def __init__(self, actions: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._actions = {name: then for name, then in actions.items() if name not in sys.modules}
        self._is_over = False
        if self._actions:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find an awaited module as usual, and call its function after it is executed; ignore other modules."""
        then = self._actions.pop(name, None)  # popped first: `find_spec` asks this finder as well
        if then is None:
            return None
        spec = find_spec(name)
        loader: Any = spec and spec.loader
        execute = loader and loader.exec_module  # perhaps that of an older hook, which `find_spec` has asked, too

        def exec_module(module: ModuleType) -> None:
            loader.exec_module = execute
            execute(module)
            if not self._is_over:
                then(module)

        if loader is not None:
            loader.exec_module = exec_module
        return spec

    def end(self) -> None:
        """Remove the hook, and ignore an import that is under way."""
        self._is_over = True
        if self in sys.meta_path:
            sys.meta_path.remove(self)
