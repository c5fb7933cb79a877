"""Deeply nested JSON, and JSON with thousands of wrong members, is refused quickly with a clear message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account.armed_faults import FAULTS_AT_MOST
from fine_tuning_fakeserver.api.inference_bodies import ChatBody, CompletionBody
from fine_tuning_fakeserver.api.request_models import CreateJobBody, CreatePermissionsBody
from fine_tuning_fakeserver.control.seeding import FileSeed, JobSeed
from fine_tuning_fakeserver.grading.body_types import ClosedModel
from fine_tuning_fakeserver.grading.grader_models import RunGraderBody
from fine_tuning_fakeserver.settings import WEBHOOKS_AT_MOST
from fine_tuning_fakeserver.usage_errors import did_you_mean
from fine_tuning_fakeserver.web.control_bodies import RepliesBody
from fine_tuning_formats.text import repr_start, show_value
from strategies import BORN, Http

CHECK = {"type": "string_check", "name": "same", "input": "{{item.a}}", "reference": "b", "operation": "eq"}
RUN = {"grader": CHECK, "item": {"a": "b"}, "model_sample": "x"}
PLAN = "/_fake/jobs/{job}/plan"
DEEP_PLACES: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/chat/completions", {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": 0}]}, "messages"),
    ("POST", "/chat/completions", {"model": "gpt-4o-mini", "messages": [{"content": [{"text": 0}]}]}, "messages"),
    ("POST", "/chat/completions", {"model": "gpt-4o-mini", "messages": [{"tool_calls": [{"id": 0}]}]}, "messages"),
    ("POST", "/chat/completions", {"model": 0, "messages": [{}]}, "model"),
    ("POST", "/completions", {"model": "babbage-002", "prompt": 0}, "prompt"),
    ("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": "file-x", "metadata": 0}, "metadata"),
    ("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": "file-x", "more": 0}, "more"),
    ("POST", "/fine_tuning/alpha/graders/run", {**RUN, "item": {"a": 0}}, "item"),
    ("POST", "/fine_tuning/alpha/graders/validate", {"grader": 0}, "grader"),
    ("POST", "/uploads", {"filename": 0, "purpose": "fine-tune", "bytes": 1, "mime_type": "text/jsonl"}, "filename"),
    ("PUT", "/_fake/plan", {"outcome": 0}, "outcome"),
    ("PUT", "/_fake/plan", {"more": 0}, "more"),
    ("POST", "/_fake/plans", {"when": 0}, "when"),
    ("POST", "/_fake/plans", {"when": {"metadata": 0}}, "when"),
    ("PUT", PLAN, {"error": 0}, "error"),
    ("POST", "/_fake/faults", {"status": 0}, "status"),
    ("POST", "/_fake/faults", {"kind": 0}, "kind"),
    ("POST", "/_fake/reset", {"plan": {"queued": 0}}, "plan"),
    ("POST", "/_fake/reset", {"faults": [{"kind": 0}]}, "faults"),
    ("POST", "/_fake/reset", {"webhooks": 0}, "webhooks"),
    ("PATCH", "/_fake/clock", {"pace": 0}, "pace"),
    ("PUT", "/_fake/dialect", {"dialect": 0}, "dialect"),
    ("POST", "/_fake/clock/advance", {"seconds": 0}, "seconds"),
    ("POST", "/_fake/files", {"content": 0}, "content"),
    ("POST", "/_fake/jobs", {"training_file": "file-x", "error": 0}, "error"),
    ("POST", "/_fake/next", {"kind": 0, "id": "x"}, "kind"),
    ("PUT", "/_fake/replies", {"replies": 0}, "replies"),
    ("PUT", "/_fake/graders", {"scores": 0}, "scores"),
    ("POST", "/_fake/webhooks", {"url": 0}, "url"),
]


@pytest.fixture(scope="module")
def http() -> Http:
    """Raw requests to a fake that no test here changes."""
    return Http(FakeFineTuning(start=BORN, pace="manual"))


@pytest.mark.parametrize("depth", [260, 990])
@pytest.mark.parametrize(("method", "path", "body", "field"), DEEP_PLACES)
def test_a_value_nested_very_deep(
    http: Http, method: str, path: str, body: dict[str, Any], field: str, depth: int
) -> None:
    """A value nested too deeply for repr or for a response is refused by the member's name."""
    path = path.format(job=http.fake.add_job(http.fake.add_file(EXAMPLES)["id"], status="running")["id"])
    deep = json.dumps(body).replace("0", "[" * depth + "]" * depth, 1)

    reply = http.send(method, path, deep.encode())

    assert reply.status == 400
    error = json.loads(reply.body)
    message = error["fake_error"] if "fake_error" in error else error["error"]["message"]
    assert field in message
    assert len(message) < 500


EXAMPLES = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 10

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abcäöü \n", max_size=300),
    lambda values: st.lists(values, max_size=5) | st.dictionaries(st.text("ab", max_size=3), values, max_size=5),
)


@given(value=JSON_VALUES, most=st.integers(1, 300))
@example(value=[[], {}, [{}], {"a": []}], most=300)
def test_a_value_is_shown_as_python_shows_it(value: Any, most: int) -> None:
    """A shown value is the start of its repr, followed by an ellipsis if it is cut."""
    whole = repr(value)

    assert repr_start(value, most) == whole[:most]
    assert show_value(value, most) == (whole if len(whole) <= most else f"{whole[:most]}…")


def test_no_more_of_a_value_is_read_than_is_shown() -> None:
    """A value that contains itself, is too deep for repr in another container, or has too many digits, is shown."""
    endless: list[Any] = [1]
    endless.append(endless)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    assert show_value(endless, 10) == "[1, [1, [1…"
    assert show_value(deep, 4) == "[[[[…"
    assert show_value((deep,)) == "..."
    assert show_value(10**5000) == "..."


def test_a_name_that_is_megabytes_long_is_compared_with_none() -> None:
    """A suggestion is made for a short misspelt name, and not for a very long one."""
    assert did_you_mean("seeds", ["seed"]) == " (did you mean 'seed'?)"
    assert did_you_mean("seed" * 100, ["seed" * 99 + "see"]) == ""


MANY = 5000
MANY_WRONG = [1] * MANY
MANY_MEMBERS = {f"k{number}": 1 for number in range(MANY)}
SCORE = {"type": "score_model", "name": "judge", "model": "o3"}


@pytest.mark.parametrize(
    ("model", "body", "place"),
    [
        (ChatBody, {"model": "x", "messages": MANY_WRONG}, ("messages", 0)),
        (CompletionBody, {"model": "x", "prompt": [*["x"] * 9, *MANY_WRONG]}, ("prompt", "list[str]", 9)),
        (CreatePermissionsBody, {"project_ids": MANY_WRONG}, ("project_ids", 0)),
        (CreateJobBody, {"model": "x", "training_file": "x", **MANY_MEMBERS}, ("k0",)),
        (CreateJobBody, {"model": "x", "training_file": "x", "metadata": MANY_MEMBERS}, ("metadata", "k0")),
        (RepliesBody, {"replies": MANY_WRONG}, ("replies", 0)),
        (FileSeed, {"content": "x", **MANY_MEMBERS}, ("k0",)),
        (JobSeed, {"training_file": "x", "event_ids": MANY_WRONG}, ("event_ids", 0)),
        (RunGraderBody, {**RUN, "grader": {**SCORE, "input": MANY_WRONG}}, ("grader", "score_model", "input", 0)),
        (
            RunGraderBody,
            {**RUN, "grader": {"type": "multi", "calculate_output": "a", "graders": MANY_MEMBERS}},
            ("grader", "multi", "graders", "map", "k0"),
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_thousands_of_wrong_members(model: type[BaseModel], body: dict[str, Any], place: tuple[Any, ...]) -> None:
    """Validation of thousands of wrong members stops early, and reports the first."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)

    assert caught.value.error_count() <= 20
    assert place in [error["loc"] for error in caught.value.errors()]


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """All core schemas within a pydantic core schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for name, each in schema.items():
            if name not in ("metadata", "serialization"):
                yield from _schemas(each)
    elif isinstance(schema, list | tuple):
        for each in schema:
            yield from _schemas(each)


def _all_models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _all_models(model)


def test_no_list_of_a_request_collects_all_errors() -> None:
    """Each list in a request model stops at its first wrong member."""
    models: list[type[BaseModel]] = [*_all_models(ClosedModel), ChatBody, CompletionBody]
    lists = [
        (model.__name__, schema)
        for model in models
        for schema in _schemas(model.__pydantic_core_schema__)
        if schema["type"] == "list"
    ]

    assert len(lists) > 20
    assert {name for name, schema in lists if not schema.get("fail_fast")} == set()


def test_metadata_is_still_counted(http: Http) -> None:
    """Too many metadata pairs are refused for their number."""
    body = {"model": "gpt-4o-mini", "training_file": "file-x", "metadata": {f"k{n}": "v" for n in range(99)}}

    message = http.json("POST", "/fine_tuning/jobs", body, 400)["error"]["message"]

    assert message.endswith("dictionary should have at most 16 items after validation, not more")


def test_more_faults_and_webhooks_than_can_be_compared() -> None:
    """Too many faults or webhooks are refused before any of them is validated."""
    with pytest.raises(FakeUsageError, match=f"faults must be at most {FAULTS_AT_MOST}, got {FAULTS_AT_MOST + 1}"):
        FakeFineTuning(faults=[{}] * (FAULTS_AT_MOST + 1))
    with pytest.raises(FakeUsageError, match=f"webhooks must be at most {WEBHOOKS_AT_MOST}, got "):
        FakeFineTuning(webhooks=["nowhere"] * (WEBHOOKS_AT_MOST + 1))
