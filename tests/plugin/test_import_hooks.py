"""Functions that are called with a module once it is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from fine_tuning_fakeserver.import_hook import ImportHook


def test_every_hook_of_a_module_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several hooks for one module, as of fakes of a module and of a test, each is called once, the oldest first."""
    (tmp_path / "imported_late.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    called: list[str] = []

    def note_as(name: str) -> Callable[[ModuleType], None]:
        return lambda module: called.append(f"{name} {module.VALUE}")

    hooks = [ImportHook({"imported_late": note_as(name)}) for name in ("outer", "inner", "ended")]
    hooks[2].end()
    try:
        import_module("imported_late")
    finally:
        for hook in hooks:
            hook.end()
        sys.modules.pop("imported_late", None)

    assert called == ["outer 1", "inner 1"]
