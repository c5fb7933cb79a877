"""A line drawn in braille: each character is two dots wide and four high."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from statistics import fmean

BLANK = 0x2800
DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""The bit of each dot in a braille character: by column, then by row from the bottom."""


def chart(values: Sequence[float], ends: tuple[str, str], width: int, height: int) -> list[str]:
    """Draw *values* on *width* × *height* characters, and axes around them; *ends* are the texts below.

    Values that are not finite leave a gap. There is nothing to draw without two finite ones: an empty list.
    """
    finite = [value for value in values if isfinite(value)]
    if len(finite) < 2:
        return []
    labels = [f"{max(finite):.2f}", *[""] * (height - 2), f"{min(finite):.2f}"]
    margin = max(map(len, labels))
    drawn = zip(labels, braille(values, width, height), strict=True)
    rows = [f"{label:>{margin}} {'┤' if label else '│'}{row}" for label, row in drawn]
    first, last = ends
    return [*rows, f"{'':{margin}} └{'─' * width}", f"{'':{margin}}  {first}{last:>{width - len(first)}}"]


def braille(values: Sequence[float], width: int, height: int) -> list[str]:
    """Draw *values* from the lowest to the highest on *width* × *height* characters, from the top row down."""
    cells = [[BLANK] * width for _ in range(height)]
    for x, dots in enumerate(_columns(values, 2 * width, 4 * height)):
        for y in dots:
            cells[-1 - y // 4][x // 2] |= DOTS[x % 2][y % 4]
    # A blank is a space: some fonts show an empty braille character as eight circles.
    return ["".join(map(chr, row)).replace(chr(BLANK), " ").rstrip() for row in cells]


def _columns(values: Sequence[float], width: int, height: int) -> Iterator[range]:
    """The dots of each column, joined to those of the column before."""
    finite = [value for value in values if isfinite(value)]
    low, span = min(finite), max(finite) - min(finite)
    before: int | None = None
    for value in _stretched(values, width):
        if not isfinite(value):
            before = None
            yield range(0)
            continue
        y = round((value - low) / span * (height - 1)) if span else 0
        reached = y if before is None else before
        yield range(min(y, reached + 1), max(y, reached - 1) + 1)
        before = y


def _stretched(values: Sequence[float], width: int) -> Iterator[float]:
    """As many values as there are columns: repeated, or each the mean of its share."""
    for x in range(width):
        first = x * len(values) // width
        end = (x + 1) * len(values) // width
        yield fmean(values[first : max(end, first + 1)])
