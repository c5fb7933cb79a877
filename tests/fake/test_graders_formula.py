"""calculate_output, the formula of a multi grader: its values and its failures."""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver.grading import formula
from fine_tuning_fakeserver.grading.result import GradingError

REWARDS = {"a": 0.5, "b": 1.0, "zero": 0.0, "min": 0.25, "class": 0.125, "größe": 2.0, "_0": 3.0}


def value(text: str) -> float:
    """The formula's value with the rewards above."""
    return formula.parse_formula(text).value(REWARDS)


def flag(text: str) -> str:
    """The error flag of the formula with the rewards above."""
    with pytest.raises(GradingError) as caught:
        value(text)
    return caught.value.flag


VALUES = [
    ("a", 0.5),
    ("0.5 * a + 0.5 * b", 0.75),
    ("a+b*2", 2.5),
    ("(a+b)*2", 3.0),
    ("a - b - 1", -1.5),
    ("b / a / 2", 1.0),
    ("-a^2", -0.25),
    ("2^3^2", 512.0),
    ("2**-1", 0.5),
    ("a ^ 2 + 1", 1.25),
    ("--a", 0.5),
    ("+a", 0.5),
    ("min(a, b, 2)", 0.5),
    ("max(a)", 0.5),
    ("abs(-3) + floor(2.7) + ceil(2.1)", 8.0),
    ("exp(0) + sqrt(16) + log(exp(2))", 7.0),
    ("min + min(min, 1)", 0.5),  # a name before a parenthesis is a function, elsewhere a grader
    ("class + größe", 2.125),
    ("_0", 3.0),
    (" .5e1\n+ 1. ", 6.0),
    ("007", 7.0),
]


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_a_formula_has_a_value(text: str, expected: float) -> None:
    """Each operator and function has its arithmetic meaning and precedence."""
    assert value(text) == pytest.approx(expected)


FLAGS = {
    "formula_parse_error": [
        *("", " ", "a +", "(a", "a)", "a b", "1 2", "a,b", "()", "a()b", "2a", "1.2.3", "a.b", "a[0]", "'a'", "a=b"),
        *(
            "a == b",
            "a % b",
            "a // b",
            "a * * b",
            "a if b else a",
            "a and b",
            "lambda: 1",
            "[a]",
            "{a}",
            "a; b",
            "a #b",
        ),
        *("foo(a)", "sqrt()", "sqrt(a, b)", "min()", "min(*a)", "min(**a)", "max(a=b)", "(min)(a)(b)", "a(b)", "1(2)"),
        *(
            "__import__('os')",
            "0x10",
            "1_000",
            "1j",
            "a\\",
            "é\u0301 ♥",
            "(" * 300 + "a" + ")" * 300,
            "-" * 10_000 + "a",
        ),
        *("+".join(["a"] * 10_000), "9" * 5000 + "x", "(" * 100_000),
    ],
    "invalid_variable_error": ["c", "A", "a + c", "min(a, sqrt)", "True", "None", "nan", "inf"],
    "other_error": [
        *("1/0", "a / zero", "0^-1", "sqrt(-1)", "log(0)", "(-8)^(1/3)", "exp(1000)", "9^9^9^9", "10^400"),
        *("1e999", "1e999 - 1e999", "9" * 5000, "1e308 * 10", "floor(1e999)"),
    ],
}


@pytest.mark.parametrize(("text", "expected"), [(text, name) for name, texts in FLAGS.items() for text in texts])
def test_a_formula_without_a_value(text: str, expected: str) -> None:
    """A formula that is invalid, names an unknown grader or has no finite value raises its flag."""
    assert flag(text) == expected


def test_a_long_formula_is_walked() -> None:
    """A formula of the greatest accepted length is evaluated."""
    assert value("+".join(["a"] * (formula.TOKENS_AT_MOST // 2))) == formula.TOKENS_AT_MOST // 2 * 0.5


def test_with_little_room_left() -> None:
    """A long formula near the recursion limit raises a flag instead of crashing."""

    def deeper(frames: int) -> str:
        return deeper(frames - 1) if frames else flag("+".join(["a"] * 200))

    assert deeper(sys.getrecursionlimit() - len(inspect.stack()) - 80) == "formula_parse_error"


numbers = st.floats(0, 100).map(lambda number: f"{number:.3f}")
leaves = numbers | st.sampled_from(["a", "b", "zero"])
expressions = st.recursive(
    leaves,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "^", "**"]), inner).map(" ".join)
        | inner.map("({})".format)
        | inner.map("-{}".format)
        | st.tuples(st.sampled_from(sorted(formula.OF_ONE)), inner).map("{0[0]}({0[1]})".format)
        | st.tuples(st.sampled_from(["min", "max"]), inner, inner).map("{0[0]}({0[1]}, {0[2]})".format)
    ),
    max_leaves=12,
)


def real(function: Any) -> Any:
    """Make *function* take and return floats."""
    return lambda *numbers: float(function(*map(float, numbers)))


FUNCTIONS = {name: real(function) for name, function in formula.OF_ONE.items()} | {"min": real(min), "max": real(max)}


@given(expressions)
def test_it_agrees_with_python(text: str) -> None:
    """A formula's value equals Python's for the same expression, or both fail."""
    try:
        expected = eval(text.replace("^", "**"), {"__builtins__": {}}, {**REWARDS, **FUNCTIONS})
    except (ArithmeticError, ValueError, TypeError):
        expected = math.nan
    if isinstance(expected, complex) or not math.isfinite(expected):
        assert flag(text) == "other_error"
    else:
        assert value(text) == pytest.approx(expected, rel=1e-12)


@given(st.text() | st.text("ab01.e+-*/^(), minsqrt\n_", max_size=40))
def test_any_text_is_answered(text: str) -> None:
    """Any text has a finite value or raises a flag."""
    try:
        found: float | str = value(text)
    except GradingError as error:
        found = error.flag

    assert found in FLAGS or math.isfinite(float(found))
