"""Do something with a module as soon as it is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


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
