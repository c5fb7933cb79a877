"""The chart in the terminal: what is drawn where."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver.cli.output import draw_chart, draw_line

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50)


def test_a_falling_line() -> None:
    """A falling line goes from the upper left to the lower right."""
    assert draw_line([3, 2, 1, 0], width=2, height=1) == ["⠑⢄"]


def test_a_jump_is_joined() -> None:
    """Columns far apart in height are joined: a line, not a cloud."""
    assert draw_line([1, 0], width=1, height=2) == ["⢱", "⢸"]


def test_equal_values_are_a_flat_line() -> None:
    """Values that are all equal are a line along the bottom."""
    assert draw_line([5, 5, 5, 5], width=2, height=2) == ["", "⣀⣀"]


def test_many_values_share_a_column() -> None:
    """More values than columns are averaged, each share for itself."""
    assert draw_line([3, 3, 0, 0], width=1, height=1) == draw_line([3, 0], width=1, height=1)


def test_what_is_not_finite_is_a_gap() -> None:
    """A loss that is no number leaves its column empty."""
    assert draw_line([1, nan, inf, 1], width=2, height=1) == ["⡀⢀"]


@pytest.mark.parametrize("values", [[], [1.0], [nan, nan], [nan, 2.0]])
def test_nothing_to_draw(values: list[float]) -> None:
    """Without two numbers there is no chart."""
    assert draw_chart(values, "1", "9", width=10, height=3) == []


@given(NUMBERS, st.integers(2, 40), st.integers(2, 8))
def test_it_keeps_to_its_size(values: list[float], width: int, height: int) -> None:
    """A chart has as many rows as asked for and two for the axis, and no line is wider than the axis."""
    lines = draw_chart(values, "1", "9", width, height)

    assert len(lines) == height + 2
    assert max(map(len, lines)) == len(lines[-2])


@given(NUMBERS)
def test_the_labels_are_the_extremes(values: list[float]) -> None:
    """The highest value labels the top row, the lowest the bottom one."""
    lines = draw_chart(values, "1", "9", width=20, height=4)

    assert lines[0].split("┤")[0].strip() == f"{max(values):.2f}"
    assert lines[3].split("┤")[0].strip() == f"{min(values):.2f}"
