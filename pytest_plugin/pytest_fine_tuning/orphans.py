"""Cassettes that no test has any more: its name, or that of its module, was changed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_cassettes import CassetteError
from fine_tuning_cassettes.cassette import read_metadata
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import printable

from .cassette_paths import cassette_folder, cassette_path
from .markers import COLLECTED

LIKENESS = 0.4
"""How alike the names of a missing cassette and of an orphan must be, from 0 to 1, so that the one may be the other."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A cassette, and the test that recorded it and is not there now."""

    path: Path
    test: str

    def __str__(self) -> str:
        return f"{shown_path(self.path)} (recorded by {printable(self.test)})"


_ORPHANS: pytest.StashKey[dict[Path, list[Orphan]]] = pytest.StashKey()


def find_orphans(item: pytest.Item) -> list[Orphan]:
    """Return the orphans in the folder of cassettes beside the file of *item*; it is searched once in a run.

    Only cassettes that name their test count, in the folder of its module: others may be anybody's. Where only some
    tests of a module were collected, a function that is still there keeps its cassettes.
    """
    folder = cassette_folder(item)
    found = item.config.stash.setdefault(_ORPHANS, {})
    if folder not in found:
        found[folder] = list(_search(item, folder)) if folder.is_dir() else []
    return found[folder]


def renaming_hint(item: pytest.Item, path: Path) -> str:
    """Return which orphan may be the missing cassette at *path*, as a line for an error; empty if none may."""
    orphan = None if path.exists() else _find_renamed(item, path)
    if orphan is None:
        return ""
    old, new = shown_path(orphan.path), shown_path(path)
    return (
        f"\n{old} was recorded by {printable(orphan.test)}, which is no longer there. If that is this test under "
        f"another name, rename the file, too: {shlex.join(['mv', old, new])}"
    )


def shown_path(path: Path) -> str:
    """Return *path* as the user at the terminal may write it."""
    with suppress(ValueError):  # another drive
        return printable(os.path.relpath(path))
    return printable(str(path))


def _find_renamed(item: pytest.Item, path: Path) -> Orphan | None:
    """Return the orphan that is called most like *path*."""
    folder = cassette_folder(item)
    missing = os.path.relpath(path, folder)
    likeness = {
        orphan: SequenceMatcher(None, missing, str(orphan.path.relative_to(folder))).ratio()
        for orphan in find_orphans(item)
    }
    nearest = max(likeness, key=lambda orphan: likeness[orphan], default=None)
    return nearest if nearest and likeness[nearest] >= LIKENESS else None


def _search(item: pytest.Item, folder: Path) -> Iterator[Orphan]:
    items = [each for each in item.config.stash.get(COLLECTED, []) if cassette_folder(each) == folder]
    used = set(_paths(items))
    for module in sorted(each for each in folder.iterdir() if each.is_dir()):
        tests = [each for each in items if each.path.stem == module.name]
        for path in sorted(module.rglob("*.yaml")):
            test = "" if path in used else read_metadata(path).test
            place = test.partition("::")[0]
            if not test or Path(place).stem != module.name:
                continue
            is_there = (item.path.parent / f"{module.name}.py").exists() or (item.config.rootpath / place).exists()
            if not is_there or (tests and not _may_be_collected(test, tests)):
                yield Orphan(path, test)


def _paths(items: list[pytest.Item]) -> Iterator[Path]:
    for item in items:
        with suppress(CassetteError, ValueError):  # an invalid mark, which is reported elsewhere
            yield cassette_path(item)


def _may_be_collected(test: str, items: list[pytest.Item]) -> bool:
    """Return whether *test* may be one that this run has left out of the module that has *items*."""
    config = items[0].config
    if not (any("::" in str(argument) for argument in config.args) or config.getoption("lf", False)):
        return False
    found: Any = getattr(items[0], "module", None)
    for name in test.partition("[")[0].split("::")[1:]:
        found = getattr(found, name, None)
    return found is not None
