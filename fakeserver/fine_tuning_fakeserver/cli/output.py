"""Output of commands: lines, tables, charts. Safe for a terminal; a closed stderr is not a failure."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import fsum, isfinite, nan
from textwrap import wrap
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
    """Print a line to stderr; a closed or broken stderr is not a failure."""
    with suppress(OSError):
        if sys.stderr is not None:  # it is None if it was closed before the process began
            print(printable(text) + "\n", end="", file=sys.stderr, flush=True)  # in one piece, beside other threads


def print_error(text: object, code: int = 2) -> int:
    """Print a line to stderr, after the name of the command that runs; return the exit code."""
    print_note(f"{click.get_current_context().command_path}: {text}")
    return code


def discard(stream: TextIO) -> None:
    """Send what was and will be written to a broken *stream* nowhere, so that the interpreter's last flush succeeds."""
    with suppress(OSError):  # a stream without a file holds nothing back
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def display_width(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # only names in some scripts need it

    return cell_len(text)


INDENT = 2
"""Columns before what continues a row on a further line; and between the cells of a line."""


class Writer:
    """Writes results to stdout: columns and colours in a terminal, tabs elsewhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream or io.StringIO()  # stdout is None if it was closed before the process began
        if isinstance(self.stream, io.TextIOWrapper):
            self.stream.reconfigure(errors="backslashreplace")  # names that not every terminal can show
        self.is_terminal = self.stream.isatty()
        self.columns = shutil.get_terminal_size().columns
        self._has_colours = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def row(self, cells: Sequence[object], widths: Sequence[int] = (), **style: Any) -> None:
        """Write a row of cells, in a terminal each at least as wide as *widths* says, on as many lines as it takes."""
        texts = [cell_text(cell) for cell in cells]
        if not self.is_terminal:
            click.echo("\t".join(texts), self.stream)
            return
        for line in self._lines(texts, widths):
            echoed, end = "", 0
            for column, text in line:
                colours = style or ({"fg": COLOURS[text]} if text in COLOURS else {"reset": False})
                echoed += " " * (column - end) + click.style(text, **colours)
                end = column + display_width(text)
            click.echo(echoed, self.stream, color=self._has_colours)

    def _lines(self, texts: Sequence[str], widths: Sequence[int]) -> Iterator[list[tuple[int, str]]]:
        """Yield the lines of a row, each as its texts with the columns where they begin. Only spaces are broken at."""
        line: list[tuple[int, str]] = []
        column = 0
        for text, at_least in zip(texts, [*widths, *[0] * len(texts)], strict=False):
            width = max(display_width(text), at_least)
            if line and column + width > self.columns:
                yield line
                line, column = [], INDENT
            pieces = [text]
            if column + width > self.columns:
                pieces = wrap(text, self.columns - INDENT, break_long_words=False, break_on_hyphens=False) or pieces
            for piece in pieces[:-1]:
                yield [*line, (column, piece)]
                line, column = [], INDENT
            line.append((column, pieces[-1]))
            column += width + INDENT
        yield line

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write rows under a header; where they do not fit beside each other, the last columns of each go below."""
        widths = [max(display_width(cell_text(cell)) for cell in column) for column in zip(header, *rows, strict=True)]
        self.row(header, widths, bold=True)
        for row in rows:
            self.row(row, widths)

    def json(self, raw: Mapping[str, Any]) -> None:
        """Write an object of the service as one line of ASCII."""
        from json import dumps  # other commands start without it

        click.echo(dumps(raw), self.stream)


BLANK = 0x2800
DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""The bit of each dot in a braille character: by column, then by row from the bottom."""

WIDEST = 64
"""Characters of the widest chart: in more, a curve looks flat."""


def draw_chart(values: Sequence[float | None], first: str, last: str, columns: int = 80, height: int = 7) -> list[str]:
    """Draw *values* as *height* rows, with axes around them, and texts below the ends; at most *columns* wide.

    None and numbers that are not finite leave a gap; without two finite ones there is no chart, and no line.
    """
    numbers = [nan if value is None else value for value in values]
    finite = [number for number in numbers if isfinite(number)]
    if len(finite) < 2:
        return []
    labels = [_label(max(finite)), *[""] * (height - 2), _label(min(finite))]
    margin = max(map(len, labels))
    width = min(WIDEST, columns - margin - len(" ┤"))
    if width <= len(first) + len(last):
        return []
    rows = zip(labels, draw_line(numbers, width, height), strict=True)
    lines = [f"{label:>{margin}} {'┤' if label else '│'}{row}" for label, row in rows]
    return [*lines, f"{'':{margin}} └{'─' * width}", f"{'':{margin}}  {first}{last:>{width - len(first)}}"]


def _label(number: float) -> str:
    return f"{number:.2f}" if abs(number) < 1e9 else f"{number:.2e}"


def draw_line(values: Sequence[float], width: int, height: int) -> list[str]:
    """Draw *values* from the lowest to the highest on *width* × *height* characters, from the top row down."""
    cells = [[BLANK] * width for _ in range(height)]
    for x, dots in enumerate(_columns(values, 2 * width, 4 * height)):
        for y in dots:
            cells[-1 - y // 4][x // 2] |= DOTS[x % 2][y % 4]
    # A blank is a space: some fonts show an empty braille character as eight circles.
    return ["".join(map(chr, row)).replace(chr(BLANK), " ").rstrip() for row in cells]


def _columns(values: Sequence[float], width: int, height: int) -> Iterator[range]:
    """Yield the dots of each column, joined to those of the column before."""
    finite = [value for value in values if isfinite(value)]
    low, span = min(finite) / 2, max(finite) / 2 - min(finite) / 2  # halves: the difference of two floats may be none
    previous: int | None = None
    for x in range(width):
        # A column shows the mean of its share of the values; with fewer values than columns they repeat.
        start, end = x * len(values) // width, (x + 1) * len(values) // width
        share = values[start : max(end, start + 1)]
        value = fsum(value / len(share) for value in share)
        if not isfinite(value):
            previous = None
            yield range(0)
            continue
        y = round((value / 2 - low) / span * (height - 1)) if span else 0
        neighbour = y if previous is None else previous
        yield range(min(y, neighbour + 1), max(y, neighbour - 1) + 1)
        previous = y


def export_lines(variables: Mapping[str, str]) -> list[str]:
    """Return the lines that set *variables* in a shell; those about proxies, which are long, come last."""
    names = sorted(variables, key=lambda name: name.upper() == "NO_PROXY")
    return [f"export {name}={shlex.quote(variables[name])}" for name in names]
