"""What commands write: nothing that harms a terminal, and no failure because nobody reads stderr."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

import click

from fine_tuning_formats.text import printable

INTERRUPTED = 130
STATUS_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
COLOURS = {**STATUS_COLOURS, "error": "red", "warn": "yellow"}  # the latter are levels of events


def cell_text(value: object) -> str:
    """Return *value* as printable text, never as none at all: columns would be miscounted."""
    return "-" if value is None or value == "" else printable(str(value))


def format_time(at: Any) -> str:
    """Return a time in Unix seconds as UTC; any other value of a service as it is."""
    if not isinstance(at, int | float) or isinstance(at, bool):
        return cell_text(at)
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    except (ValueError, OverflowError, OSError):
        return cell_text(at)


def print_note(text: str) -> None:
    """Print a line to stderr; a stderr that is closed or broken is no failure."""
    with suppress(OSError):
        if sys.stderr is not None:  # it is None if it was closed before the process began
            print(printable(text), file=sys.stderr, flush=True)


def print_error(text: object, code: int = 2) -> int:
    """Print a line to stderr, after the name of the command that runs; return the exit code."""
    print_note(f"{click.get_current_context().command_path}: {text}")
    return code


def discard(stream: TextIO) -> None:
    """Send what was and will be written to a broken *stream* nowhere, so that the interpreter's last flush succeeds."""
    with suppress(OSError):  # a stream without a file holds nothing back
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Writer:
    """Writes results to stdout: columns and colours in a terminal, tabs elsewhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream or io.StringIO()  # stdout is None if it was closed before the process began
        if isinstance(self.stream, io.TextIOWrapper):
            self.stream.reconfigure(errors="backslashreplace")  # names that not every terminal can show
        self.is_terminal = self.stream.isatty()
        self._has_colours = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def row(self, cells: Sequence[object], widths: Sequence[int] = (), **style: Any) -> None:
        """Write a line of cells, in a terminal all but the last one of these *widths*."""
        texts = [cell_text(cell) for cell in cells]
        if self.is_terminal:
            padding = [" " * max(width - len(text), 0) for width, text in zip(widths, texts, strict=False)] + [""]
            styles = (style or ({"fg": COLOURS[text]} if text in COLOURS else {"reset": False}) for text in texts)
            styled = map(lambda text, style: click.style(text, **style), texts, styles)
            texts = [text + space for text, space in zip(styled, padding, strict=False)]
        click.echo(("  " if self.is_terminal else "\t").join(texts), self.stream, color=self._has_colours)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write rows under a header."""
        widths = [max(len(cell_text(cell)) for cell in column) for column in zip(header, *rows, strict=True)]
        self.row(header, widths[:-1], bold=True)
        for row in rows:
            self.row(row, widths[:-1])

    def json(self, raw: Mapping[str, Any]) -> None:
        """Write an object of the service as one line of ASCII."""
        from json import dumps  # other commands start without it

        click.echo(dumps(raw), self.stream)
