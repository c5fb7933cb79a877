"""What `fake-fine-tuning jobs` writes is harmless, and numbers in it lose nothing."""

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
    """Whatever the service says ends as text that can be printed, and not as nothing."""
    assert cell_text(value)
    assert cell_text(value).isprintable()


@given(st.text(st.characters(max_codepoint=0x2FF)).filter(str.isprintable).filter(bool))
def test_printable_text_stays_as_it_is(text: str) -> None:
    """What can be printed is not touched."""
    assert cell_text(text) == text


@given(st.lists(ANYTHING, min_size=1, max_size=4))
def test_a_row_is_a_line_of_as_many_cells(cells: list[object]) -> None:
    """In a pipe no cell can break its line, or make it look like more cells."""
    out = StringIO()
    Writer(out).row(cells)

    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\t") == len(cells) - 1


class Terminal(StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_wide_letters_are_counted_as_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal columns stay aligned beside letters that take two columns each."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    Writer(out).table(("NAME", "N"), [("日本", 1), ("four", 2), ("Zürich", 3)])

    assert out.getvalue().splitlines() == ["NAME    N", "日本    1", "four    2", "Zürich  3"]


@given(st.lists(st.text().filter(lambda text: text.strip()), min_size=1, max_size=4), st.lists(st.integers(0, 90)))
def test_a_row_in_a_terminal_loses_nothing(cells: list[str], widths: list[int]) -> None:
    """However many lines a row takes in a terminal, only spaces at their ends are missing."""
    out = Terminal()
    writer = Writer(out)
    writer.row(cells, widths[: len(cells)], fg="red")

    assert "".join(click.unstyle(out.getvalue()).split()) == "".join("".join(map(cell_text, cells)).split())


@given(st.floats())
def test_a_number_loses_nothing(number: float) -> None:
    """A number reads back as the same number."""
    again = float(format_number(number))

    assert again == number or (math.isnan(again) and math.isnan(number))


@pytest.mark.parametrize(
    ("number", "text"), [(1.0, "1"), (0.25, "0.25"), (-0.5, "-0.5"), (1e300, "1e+300"), (None, "")]
)
def test_a_number_is_short(number: float | None, text: str) -> None:
    """A whole number is written without a point; what was not measured is nothing."""
    assert format_number(number) == text


@given(st.integers() | st.floats() | st.text() | st.booleans() | st.none())
def test_any_time_is_text(at: object) -> None:
    """Whatever a service gives for a time can be shown."""
    assert format_time(at).isprintable()
