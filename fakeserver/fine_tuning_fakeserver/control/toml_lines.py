"""The lines of a TOML document on which its tables and keys are, which the standard library's parser does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Where a value is in a document: the names of tables and keys, and places in lists from 0."""

_HEADER = re.compile(r"\s*\[")
_LONG_STRING = re.compile(r'"""|\'\'\'')


def line_of(text: str, path: Path) -> int | None:
    """Return the line, from 1, of a key or table of a valid document; of what it is in, if it is not there itself."""
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _statements(text.split("\n")):
        value = tomllib.loads(statement)
        if _HEADER.match(statement):
            table = _table_of(value, lines)
            lines.setdefault(table, number)
        else:
            for place in _places(value, table):
                lines.setdefault(place, number)
    for length in range(len(path), 0, -1):
        if line := lines.get(path[:length]) or lines.get((*path[:length], 0)):
            return line
    return None


def _statements(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield each header, and each key with its value, with the number of the line on which it begins."""
    first = 0
    while first < len(lines):
        end = first + 1
        delimiter = _LONG_STRING.search(lines[first])
        while not _is_whole("\n".join(lines[first:end])):
            end += 1
            while end < len(lines) and not _may_end(lines[end - 1], delimiter and delimiter[0]):
                end += 1
            if end > len(lines):  # of no valid document
                return
        if lines[first].strip() and not lines[first].lstrip().startswith("#"):
            yield first + 1, "\n".join(lines[first:end])
        first = end


def _may_end(line: str, delimiter: str | None) -> bool:
    """Return whether a value of several lines may end on *line*; to try each of a long one would take minutes."""
    return delimiter in line if delimiter else "]" in line or "}" in line


def _is_whole(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _table_of(header: Mapping[str, Any], lines: Mapping[Path, int]) -> Path:
    """Return where the table of a header is, after the tables so far."""
    table: Path = ()
    value: Any = header
    while value:
        if isinstance(value, list):  # [[name]] begins one more
            return (*table, _count(table, lines))
        ((name, value),) = value.items()
        table = (*table, name)
        if isinstance(value, Mapping) and (count := _count(table, lines)):
            table = (*table, count - 1)  # in the last one so far
    return (*table, _count(table, lines)) if isinstance(value, list) else table


def _count(array: Path, lines: Mapping[Path, int]) -> int:
    """Return how many tables there are of an array of tables."""
    count = 0
    while (*array, count) in lines:
        count += 1
    return count


def _places(value: Any, at: Path) -> Iterator[Path]:
    """Yield the places of all that is in *value*."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, member in pairs:
        yield (*at, name)
        yield from _places(member, (*at, name))
