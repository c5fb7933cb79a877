"""What the command writes: columns and colours for a person, tabs for a pipe, and nothing that harms a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from fine_tuning_formats.text import printable

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "error": "red",
    "warn": "yellow",
    "info": "dim",
}
"""Of statuses, and of the levels of events."""

NOTHING = "-"
"""What stands in a cell of which the service said nothing: with an empty one, columns would be miscounted."""


def plain(value: object) -> str:
    """*value* as text that moves no cursor and breaks no line: whatever cannot be printed is escaped.

    The service's words are not to be trusted in a terminal: an escape sequence could rewrite what stands there.
    """
    return printable(NOTHING if value is None or value == "" else str(value))


def moment(at: Any) -> str:
    """A time in Unix seconds, in UTC; whatever else the service gave for one as it is."""
    if not isinstance(at, int | float) or isinstance(at, bool):
        return plain(at)
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return plain(at)


def note(text: str) -> None:
    """Write a line for a person to stderr; that nobody reads it is no reason to fail."""
    if sys.stderr is None:  # closed before the process began
        return
    try:
        print(plain(text), file=sys.stderr, flush=True)
    except OSError:
        pass


class Output:
    """Results, on stdout, or nowhere where that was closed before the process began."""

    def __init__(self, out: TextIO | None) -> None:
        out = io.StringIO() if out is None else out
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="backslashreplace")  # names that not every terminal can show
        self._out = out
        self.is_terminal = out.isatty()

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console  # not for pipes, and slow to import

        return Console(file=self._out, highlight=False)

    def line(self, value: object, style: str = "") -> None:
        """Write a line."""
        self.row((value,), (), style)

    def row(self, cells: Sequence[object], widths: Sequence[int], style: str = "") -> None:
        """Write a line of cells: in a terminal as wide as told, the last one as wide as it is."""
        texts = [plain(cell) for cell in cells]
        if not self.is_terminal:
            print("\t".join(texts), file=self._out, flush=True)
            return
        from rich.cells import cell_len
        from rich.text import Text

        line = Text()
        for text, width in zip(texts, (*widths, 0), strict=False):
            line.append(text, style or COLOURS.get(text, ""))
            line.append(" " * (max(width - cell_len(text), 0) + 2 if width else 0))
        self._console.print(line, soft_wrap=True)  # not broken: names in it can be copied

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write rows under a header."""
        columns = zip(header, *rows, strict=True)
        widths = [max(len(plain(cell)) for cell in column) for column in columns][:-1]
        self.row(header, widths, "bold")
        for row in rows:
            self.row(row, widths)

    def csv(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write rows under a header, as spreadsheets read them."""
        writer = csv.writer(self._out, lineterminator="\n")
        writer.writerow(map(plain, header))
        writer.writerows(rows)

    def json(self, raw: Mapping[str, Any]) -> None:
        """Write what the service said as one line of ASCII."""
        print(json.dumps(raw), file=self._out, flush=True)

    def flush(self) -> None:
        """Get out what is still to be written, while it can be told that nobody reads it."""
        self._out.flush()

    def abandon(self) -> None:
        """Nothing can be written any more: let what still would be, at the end of the process too, go nowhere."""
        with suppress(OSError):  # what is no file holds nothing back
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
