"""Charts in the terminal."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver.cli.output import draw_chart, draw_line

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50)


def test_a_falling_line() -> None:
    """A falling line is drawn from the upper left to the lower right."""
    assert draw_line([3, 2, 1, 0], width=2, height=1) == ["⠑⢄"]


def test_a_jump_is_joined() -> None:
    """Columns far apart in height are joined to a line."""
    assert draw_line([1, 0], width=1, height=2) == ["⢱", "⢸"]


def test_equal_values_are_a_flat_line() -> None:
    """Equal values are drawn as a flat line along the bottom."""
    assert draw_line([5, 5, 5, 5], width=2, height=2) == ["", "⣀⣀"]


def test_many_values_share_a_column() -> None:
    """More values than columns are averaged by column."""
    assert draw_line([3, 3, 0, 0], width=1, height=1) == draw_line([3, 0], width=1, height=1)


def test_what_is_not_finite_is_a_gap() -> None:
    """A NaN or infinite value leaves its column empty."""
    assert draw_line([1, nan, inf, 1], width=2, height=1) == ["⡀⢀"]


@pytest.mark.parametrize("values", [[], [1.0], [nan, nan], [nan, 2.0]])
def test_nothing_to_draw(values: list[float]) -> None:
    """Fewer than two finite values give no chart."""
    assert draw_chart(values, "1", "9", columns=20, height=3) == []


@given(st.lists(FINITE, min_size=2, max_size=50), st.integers(30, 120), st.integers(2, 8))
def test_it_keeps_to_its_size(values: list[float], columns: int, height: int) -> None:
    """A chart has the requested rows plus two for the axis, and fits into the columns."""
    lines = draw_chart(values, "step 1", "90", columns, height)

    assert len(lines) == height + 2
    assert max(map(len, lines)) == len(lines[-2]) <= columns


@pytest.mark.parametrize("columns", [80, 60])
def test_it_fills_a_narrow_terminal(columns: int) -> None:
    """A chart is as wide as a narrow terminal, and at most 64 characters wide beside its labels."""
    assert len(draw_chart([3.5, 0.5], "step 1", "90", columns)[-2]) == min(columns, 4 + 2 + 64)


def test_there_is_no_chart_without_room() -> None:
    """A terminal too narrow for the axis labels gives no chart."""
    assert draw_chart([3, 0], "step 1", "90", columns=12) == []


@given(NUMBERS)
def test_the_labels_are_the_extremes(values: list[float]) -> None:
    """The highest value labels the top row, the lowest the bottom one."""
    lines = draw_chart(values, "1", "9", columns=40, height=4)

    assert lines[0].split("┤")[0].strip() == f"{max(values):.2f}"
    assert lines[3].split("┤")[0].strip() == f"{min(values):.2f}"
