"""Class and module names are used once."""

from __future__ import annotations

import ast
import runpy
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = runpy.run_path(str(ROOT / "scripts" / "figures.py"))
PATHS: list[Path] = FIGURES["modules"](ROOT)


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    """All modules of the product, parsed."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PATHS}


PARALLEL = {"errors", "models", "operations"}
"""Module names that several packages have for the same thing, each for its own part of it."""


def test_no_class_name_stands_for_two_classes(trees: dict[Path, ast.Module]) -> None:
    """No class name is used twice in the product."""
    assert FIGURES["class_names"](trees) == {}


def test_no_module_name_stands_for_two_modules() -> None:
    """No module name is used twice in a package, and only parallel packages share names."""
    doubled = FIGURES["module_names"](PATHS)

    assert sorted(set(doubled) - PARALLEL) == []
    for name in doubled:
        packages = [path.relative_to(ROOT).parts[1] for path in doubled[name]]
        assert len(set(packages)) == len(packages), f"{name} is used twice in one package"


def _bound_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_no_module_binds_a_name_twice(trees: dict[Path, ast.Module]) -> None:
    """A module's constant, function or class is not replaced by a later one of the same name."""
    for path, tree in trees.items():
        names = Counter(name for statement in tree.body for name in _bound_names(statement))
        assert [name for name, times in names.items() if times > 1] == [], path
