"""Class and module names are used once."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURES = runpy.run_path(str(ROOT / "scripts" / "figures.py"))
PATHS: list[Path] = FIGURES["modules"](ROOT)

PARALLEL = {"errors", "models", "operations"}
"""Module names that several packages have for the same thing, each for its own part of it."""


def test_no_class_name_stands_for_two_classes() -> None:
    """No class name is used twice in the product."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PATHS}

    assert FIGURES["class_names"](trees) == {}


def test_no_module_name_stands_for_two_modules() -> None:
    """No module name is used twice in a package, and only parallel packages share names."""
    doubled = FIGURES["module_names"](PATHS)

    assert sorted(set(doubled) - PARALLEL) == []
    for name in doubled:
        packages = [path.relative_to(ROOT).parts[1] for path in doubled[name]]
        assert len(set(packages)) == len(packages), f"{name} is used twice in one package"
