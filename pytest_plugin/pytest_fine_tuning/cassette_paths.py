"""Which file is the cassette of a test: by its mark, or by its own name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from .markers import CASSETTE_MARK


def mark_arguments(item: pytest.Item) -> tuple[list[str], dict[str, Any]]:
    """Return the names and the keyword arguments in the marks of *item*, the closest first.

    Raises:
        ValueError: there is something else in them, or two names where one is wanted.
    """
    names: list[str] = []
    arguments: dict[str, Any] = {}
    named: dict[object, str] = {}
    for node, mark in item.iter_markers_with_node(CASSETTE_MARK):
        if len(mark.args) > 1 or not all(isinstance(name, str) and name for name in mark.args):
            raise ValueError(f"arguments must be at most one name, and keywords, got {mark.args!r}")
        for name in mark.args:
            if named.setdefault(node, name) != name:
                raise ValueError(f"a test must have one cassette, got marks for {name!r} and {named[node]!r}")
        names += mark.args
        arguments = {**mark.kwargs, **arguments}
    return names, arguments


def cassette_path(item: pytest.Item, names: Sequence[str] | None = None) -> Path:
    """Return ``cassettes/{module}/{name}.yaml`` beside the test's file; a name that is a path stays one.

    Args:
        item: the test.
        names: the names in its marks, the closest first, if they are known.

    Raises:
        ValueError: the name leads out of the folder.
    """
    names = mark_arguments(item)[0] if names is None else names
    name = names[0] if names else None
    if name and name.endswith((".yaml", ".yml")):
        return item.path.parent / name
    if name and ".." in name.split("/"):
        raise ValueError(f"name must stay in the folder of cassettes, got {name!r}")
    if name:
        stem = "/".join(_shorten(_safe_name(part), part) for part in name.split("/"))
    else:
        test = ".".join([*(node.name for node in item.listchain() if isinstance(node, pytest.Class)), item.name])
        stem = _safe_name(test)
        if not _PLAIN_NAME.fullmatch(test):  # the file of another test may be called so, too: a digest keeps it unique
            stem += f"-{_digest(test)[:8]}"
        stem = _shorten(stem, test)
    return cassette_folder(item) / item.path.stem / f"{stem or 'unnamed'}.yaml"


def cassette_folder(item: pytest.Item) -> Path:
    """Return the folder of cassettes beside the test's file."""
    return item.path.parent / (item.config.getini("fine_tuning_cassette_dir") or "cassettes")


_PLAIN_NAME = re.compile(r"[\w.]+(\[[\w.-]*[\w.]\])?")
"""A test whose name, with a hyphen in place of the bracket, is that of no other test."""
MAX_STEM = 255 - len(".yaml") - len("..0123456789ab.tmp")
"""Bytes in the name of a cassette, so that the file that is written first has a name that file systems take."""


def _shorten(stem: str, name: str) -> str:
    """Return *stem*, cut if it is too long for the name of a file; a digest of *name* then keeps it unique."""
    if len(stem.encode()) <= MAX_STEM:
        return stem
    end = f"-{_digest(name)[:16]}"
    return stem.encode()[: MAX_STEM - len(end)].decode("utf-8", "ignore") + end


def _safe_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
