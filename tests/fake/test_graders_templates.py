"""Templates in graders: filled-in placeholders and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver.grading import templates
from fine_tuning_fakeserver.grading.result import GradingError
from fine_tuning_fakeserver.grading.templates import GradingInput
from fine_tuning_fakeserver.usage_errors import FakeUsageError

ITEM = {"x": "X", "a": {"b": ["first", {"c": 1.5}], "d-e": True, "größe": 3}, "n": 5, "no": None, "odd key": "odd"}
ANSWER = json.dumps({"city": "Rome", "tags": ["a", "b"]})


def fill_template(template: str, text: str = ANSWER) -> str:
    """Fill in the template with the item above and this sample."""
    return GradingInput.of(ITEM, text).fill(template)


FILLED = [
    ("no places", "no places"),
    ("{{item.x}}", "X"),
    ("<{{ item.x }}|{{item . x}}|{{\titem.x\n}}>", "<X|X|X>"),
    ("{{item.a.b[0]}}", "first"),
    ("{{item.a.b[1].c}}", "1.5"),
    ("{{item['odd key']}} {{item[\"x\"]}} {{ item.a['b'][ 0 ] }}", "odd X first"),
    ("{{item.a.d-e}} {{item.a.größe}} {{item.n}}", "true 3 5"),
    ("{{item.a.b}}", '["first",{"c":1.5}]'),
    ("{{sample.output_text}}", ANSWER),
    ("{{sample.output_json.city}} {{sample.output_json.tags[1]}}", "Rome b"),
    ("{{sample.output_json}}", '{"city":"Rome","tags":["a","b"]}'),
    ("{{ sample.output_tools }}", "[]"),
    ("{{sample.choices[0].message.content}}", ANSWER),
    ("{item.x} {{ }", "{item.x} {{ }"),
    ("{{{item.x}}}", "{X}"),
]


@pytest.mark.parametrize(("template", "expected"), FILLED)
def test_places_are_filled(template: str, expected: str) -> None:
    """A string is filled in unchanged, other values as JSON, and other braces are kept."""
    assert fill_template(template) == expected


UNKNOWN = ["{{item.y}}", "{{item.no}}", "{{item.a.b[2]}}", "{{item.x.y}}", "{{item.x[0]}}", "{{item.a[0]}}"]
UNKNOWN += ["{{sample.output_json.country}}", "{{sample.text}}", "{{sample.output_tools[0].function.name}}"]
NO_PATHS = ["{{}}", "{{x}}", "{{item}}", "{{sample}}", "{{items.x}}", "{{item.}}", "{{item.x + 1}}", "{{item.x|upper}}"]
NO_PATHS += ["{{item.a.b[-1]}}", "{{item.a.b[x]}}", "{{item..x}}", "{{other.x}}", "{{item.a.b[9999999999]}}"]


@pytest.mark.parametrize("template", UNKNOWN + NO_PATHS)
def test_a_place_without_a_value(template: str) -> None:
    """A variable that is missing, null or unparsable is an invalid variable."""
    with pytest.raises(GradingError) as caught:
        fill_template(f"{{{{item.x}}}} {template}")

    assert caught.value.flag == "invalid_variable_error"
    assert template.strip("{}").strip() in caught.value.details


@pytest.mark.parametrize("template", UNKNOWN + NO_PATHS)
def test_a_path_is_checked_without_a_case(template: str) -> None:
    """A variable that cannot be parsed is found without filling in the template."""
    if template in UNKNOWN:
        templates.check_template(template)
        return
    with pytest.raises(GradingError):
        templates.check_template(template)


@pytest.mark.parametrize("text", ["", "plain", "{", "[1,]", "NaN", "{'a': 1}"])
def test_a_sample_that_is_no_json(text: str) -> None:
    """output_json of a sample that is not JSON is a parse error of the sample."""
    with pytest.raises(GradingError) as caught:
        fill_template("{{sample.output_json.city}}", text)

    assert caught.value.flag == "sample_parse_error"


def test_the_size_is_limited() -> None:
    """A filled-in template over the size limit is refused with the fake's own error."""
    with pytest.raises(FakeUsageError, match="must have at most 1000000 characters"):
        GradingInput.of({"x": "x" * 100_000}, "").fill("{{item.x}}" * 100)


def test_braces_without_end_take_no_time() -> None:
    """A long text of opening braces is processed in linear time."""
    assert fill_template("{{" * 200_000) == "{{" * 200_000


def test_a_value_nested_past_writing() -> None:
    """A deeply nested value is an error of the grader, not a crash."""
    deep: Any = "x"
    for _ in range(600):
        deep = [deep]

    with pytest.raises(GradingError) as caught:
        GradingInput.of({"x": deep}, "").fill("{{item.x}}")
    assert caught.value.flag == "other_error"


@given(st.text() | st.text("{}itemsample.ouput_json[0]'\" ", max_size=40), st.text(max_size=10))
def test_any_template_is_answered(template: str, text: str) -> None:
    """Any template is filled in or raises a flag."""
    try:
        found = fill_template(template, text)
    except GradingError as error:
        found = error.flag

    assert isinstance(found, str)
