"""The output of `fake-fine-tuning jobs` is printable, and its numbers are exact."""

from __future__ import annotations

import math
from io import StringIO

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver.cli.jobs.show import format_number
from fine_tuning_fakeserver.cli.output import Writer, cell_text, format_time

ANYTHING = st.text() | st.none() | st.integers() | st.lists(st.text()) | st.text(st.characters(categories=["Cs", "Cc"]))


@given(ANYTHING)
def test_any_text_becomes_printable(value: object) -> None:
    """Any value becomes non-empty printable text."""
    assert cell_text(value)
    assert cell_text(value).isprintable()


@given(st.text(st.characters(max_codepoint=0x2FF)).filter(str.isprintable).filter(bool))
def test_printable_text_stays_as_it_is(text: str) -> None:
    """Printable text is unchanged."""
    assert cell_text(text) == text


@given(st.lists(ANYTHING, min_size=1, max_size=4))
def test_a_row_is_a_line_of_as_many_cells(cells: list[object]) -> None:
    """In a pipe a row is one line with exactly its number of cells."""
    out = StringIO()
    Writer(out).row(cells)

    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\t") == len(cells) - 1


class Terminal(StringIO):
    """A stdout that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_wide_letters_are_counted_as_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal columns stay aligned beside double-width letters."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    Writer(out).table(("NAME", "N"), [("日本", 1), ("four", 2), ("Zürich", 3)])

    assert out.getvalue().splitlines() == ["NAME    N", "日本    1", "four    2", "Zürich  3"]


@given(st.lists(st.text().filter(lambda text: text.strip()), min_size=1, max_size=4), st.lists(st.integers(0, 90)))
def test_a_row_in_a_terminal_loses_nothing(cells: list[str], widths: list[int]) -> None:
    """A row that is wrapped in a terminal loses only spaces."""
    out = Terminal()
    writer = Writer(out)
    writer.row(cells, widths[: len(cells)], fg="red")

    assert "".join(click.unstyle(out.getvalue()).split()) == "".join("".join(map(cell_text, cells)).split())


@given(st.floats())
def test_a_number_loses_nothing(number: float) -> None:
    """A formatted number parses to the same number."""
    again = float(format_number(number))

    assert again == number or (math.isnan(again) and math.isnan(number))


@pytest.mark.parametrize(
    ("number", "text"), [(1.0, "1"), (0.25, "0.25"), (-0.5, "-0.5"), (1e300, "1e+300"), (None, "")]
)
def test_a_number_is_short(number: float | None, text: str) -> None:
    """A whole number has no decimal point, and NaN is empty."""
    assert format_number(number) == text


@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none())
def test_any_time_is_text(at: object) -> None:
    """Any timestamp becomes printable text."""
    assert format_time(at).isprintable()
