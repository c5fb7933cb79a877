"""A line chart in braille characters, each two dots wide and four high."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import fsum, isfinite, nan

BLANK = 0x2800
DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""The bit of each dot in a braille character: by column, then by row from the bottom."""


def draw_chart(values: Sequence[float | None], first: str, last: str, width: int = 64, height: int = 7) -> list[str]:
    """Draw *values* on *width* × *height* characters, with axes around them, and texts below the ends.

    None and numbers that are not finite leave a gap; without two finite ones there is no chart, and no line.
    """
    numbers = [nan if value is None else value for value in values]
    finite = [number for number in numbers if isfinite(number)]
    if len(finite) < 2:
        return []
    labels = [f"{max(finite):.2f}", *[""] * (height - 2), f"{min(finite):.2f}"]
    margin = max(map(len, labels))
    rows = zip(labels, draw_line(numbers, width, height), strict=True)
    lines = [f"{label:>{margin}} {'┤' if label else '│'}{row}" for label, row in rows]
    return [*lines, f"{'':{margin}} └{'─' * width}", f"{'':{margin}}  {first}{last:>{width - len(first)}}"]


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
    low, span = min(finite), max(finite) - min(finite)
    previous: int | None = None
    for x in range(width):
        # A column shows the mean of its share of the values; with fewer values than columns they repeat.
        start, end = x * len(values) // width, (x + 1) * len(values) // width
        share = values[start : max(end, start + 1)]
        value = fsum(share) / len(share)
        if not isfinite(value):
            previous = None
            yield range(0)
            continue
        y = round((value - low) / span * (height - 1)) if span else 0
        neighbour = y if previous is None else previous
        yield range(min(y, neighbour + 1), max(y, neighbour - 1) + 1)
        previous = y
