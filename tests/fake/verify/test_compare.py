"""When two responses count as exact, of the same shape, or different."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver.verify.compare import API_HEADERS, Comparison, compare, json_differences
from fine_tuning_fakeserver.verify.recording import RecordedExchange, parse_answer
from fine_tuning_fakeserver.web.in_process import InProcessResponse

JSON_TYPE = "application/json"


def recorded(body: bytes, status: int = 200, end_is_known: bool = True, **headers: str) -> RecordedExchange:
    """An exchange with this response; `_` in a header's name is a dash."""
    named = {"content-type": JSON_TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = parse_answer(body, named)
    return RecordedExchange(0, "GET", "https://x/v1/models", {}, b"", status, named, body, answer, end_is_known)


def fake_reply(body: bytes, status: int = 200, kind: str = JSON_TYPE, *names: str) -> InProcessResponse:
    """A response of the fake."""
    headers = [(b"content-type", kind.encode()), *((name.encode(), b"x") for name in names)]
    return InProcessResponse(status, headers, [body])


def compare_json(expected: Any, got: Any) -> Comparison:
    """Compare two JSON responses."""
    return compare(recorded(json.dumps(expected).encode()), fake_reply(json.dumps(got).encode()))


def test_equal_bytes_are_exact() -> None:
    """Responses of equal status and bytes are exact."""
    assert compare(recorded(b'{"a": 1}'), fake_reply(b'{"a": 1}')) == Comparison("exact")


SAME_SHAPE = [
    ({"id": "file-a"}, {"id": "file-b"}, "$.id"),
    ({"data": [{"created_at": 1}]}, {"data": [{"created_at": 2}]}, "$.data[0].created_at"),
    ({"metrics": {"train_loss": 0.5}}, {"metrics": {"train_loss": 0.25}}, "$.metrics.train_loss"),
    ({"result_files": ["file-a"]}, {"result_files": ["file-b"]}, "$.result_files[0]"),
    (
        {"message": "Step 3/100: training loss=0.52"},
        {"message": "Step 3/100: training loss=1.7e-05"},
        "$.message",
    ),
    ({"message": "No such File object: file-a1"}, {"message": "No such File object: file-b2"}, "$.message"),
]


@pytest.mark.parametrize(("expected", "got", "path"), SAME_SHAPE)
def test_volatile_values_keep_the_shape(expected: Any, got: Any, path: str) -> None:
    """Different ids, times, seeds, figures, and names and numbers in messages are the same shape."""
    found = compare_json(expected, got)

    assert found.verdict == "same shape"
    assert found.difference is not None
    assert found.difference.path == path


DIFFERS = [
    ({"status": "queued"}, {"status": "running"}, "$.status", "queued", "running"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "$, order of members", ["a", "b"], ["b", "a"]),
    ({"a": 1}, {"a": 1, "b": 2}, "$, members of one only", [], ["b"]),
    ({"x": {"a": 1, "c": 3}}, {"x": {"a": 1, "b": 2}}, "$.x, members of one only", ["c"], ["b"]),
    ({"finished_at": None}, {"finished_at": 3}, "$.finished_at", None, 3),
    ({"n": 2}, {"n": 2.0}, "$.n", 2, 2.0),
    ({"n": 1}, {"n": True}, "$.n", 1, True),
    ({"data": [1, 2]}, {"data": [1]}, "$.data.length", 2, 1),
    ({"id": []}, {"id": ["a"]}, "$.id.length", 0, 1),
    ({"message": "It was so."}, {"message": "It was not."}, "$.message", "It was so.", "It was not."),
    ({"id": "a", "status": "x"}, {"id": "b", "status": "y"}, "$.status", "x", "y"),
    ([], {}, "$", [], {}),
]


@pytest.mark.parametrize(("expected", "got", "path", "was", "is_"), DIFFERS)
def test_all_else_differs(expected: Any, got: Any, path: str, was: Any, is_: Any) -> None:
    """Different members, order, types, lengths or other values differ, and the first one is shown."""
    found = compare_json(expected, got)

    assert found.verdict == "differs"
    assert found.difference is not None
    assert (found.difference.path, found.difference.expected, found.difference.got) == (path, was, is_)


def test_another_status_differs() -> None:
    """A different status differs, with the fake's message as a note."""
    refusal = b'{"error": {"message": "No such File object: x"}}'
    found = compare(recorded(b"{}"), fake_reply(refusal, 404))

    assert found.verdict == "differs"
    assert found.difference is not None
    assert (found.difference.path, found.difference.expected, found.difference.got) == ("status", 200, 404)
    assert found.notes == ("the fake says: No such File object: x",)


@pytest.mark.parametrize("body", [b'{"fake_error": "no"}', b"[]", b'{"error": "text"}', b""])
def test_refusals_of_any_kind_are_shown(body: bytes) -> None:
    """The fake's own error is noted, and any other body is not."""
    notes = compare(recorded(b"{}"), fake_reply(body, 400)).notes

    assert notes == (("the fake says: no",) if b"fake_error" in body else ())


def test_other_spacing_is_the_same_shape() -> None:
    """The same JSON in other bytes is the same shape, with the place of the difference."""
    found = compare(recorded(b'{"a": 1}\n'), fake_reply(b'{"a": 1}'))

    assert found.verdict == "same shape"
    assert found.difference is not None
    assert found.difference.path == "body, byte 8"
    assert (found.difference.expected, found.difference.got) == ('{"a": 1}\n', '{"a": 1}')


def test_an_unknown_end_is_not_held_against_the_fake() -> None:
    """If a recording does not show whether the body ended with a newline, either is exact."""
    assert compare(recorded(b"{}", end_is_known=False), fake_reply(b"{}\n")).verdict == "exact"


def test_a_contradicting_length_is_never_exact() -> None:
    """A body that contradicts its recorded Content-Length is not exact."""
    found = compare(recorded(b"{}", content_length="7"), fake_reply(b"{}"))

    assert found.verdict == "same shape"
    assert found.difference is not None
    assert (found.difference.path, found.difference.expected, found.difference.got) == ("content-length", 7, 2)


def test_the_length_of_a_compressed_body_says_nothing() -> None:
    """The Content-Length of a compressed body is not compared."""
    found = compare(recorded(b"{}", content_length="7", content_encoding="gzip"), fake_reply(b"{}"))

    assert found == Comparison("exact")


@pytest.mark.parametrize(
    ("body", "verdict"), [(b"abc", "exact"), (b"xyz", "same shape"), (b"longer", "same shape"), (b"", "differs")]
)
def test_content_is_free(body: bytes, verdict: str) -> None:
    """Content that is not JSON is exact or of the same shape."""
    exchange = recorded(b"abc", content_type="application/octet-stream")

    assert verdict == compare(exchange, fake_reply(body, 200, "application/octet-stream")).verdict


def test_another_media_type_differs() -> None:
    """Another media type differs, whatever the body."""
    found = compare(recorded(b"{}", content_type="application/octet-stream; x=y"), fake_reply(b"{}"))

    assert found.verdict == "differs"
    assert found.difference is not None
    assert found.difference.path == "content-type"


def test_headers_of_the_api_are_noted() -> None:
    """Headers of the API on one side only are noted, and do not affect the verdict."""
    exchange = recorded(b"{}", openai_version="2020-10-01", x_request_id="r")
    found = compare(exchange, fake_reply(b"{}", 200, JSON_TYPE, "x-request-id", "openai-project", "server"))

    assert found.verdict == "exact"
    assert found.notes == (
        "headers of the recorded answer only: openai-version",
        "headers of the fake's answer only: openai-project",
    )


def test_recordings_without_headers_are_not_blamed() -> None:
    """A recording without headers of the API has no missing ones."""
    assert compare(recorded(b"{}"), fake_reply(b"{}", 200, JSON_TYPE, *API_HEADERS)) == Comparison("exact")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["id", "created_at", "status", "message", "x"]), inner)
    ),
)


@given(values)
def test_what_is_equal_does_not_differ(value: Any) -> None:
    """A value does not differ from itself."""
    assert not list(json_differences(value, json.loads(json.dumps(value))))


@given(values, values)
def test_what_differs_differs_both_ways(one: Any, other: Any) -> None:
    """Comparison is symmetric."""
    there = [is_free for _, is_free in json_differences(one, other)]
    back = [is_free for _, is_free in json_differences(other, one)]

    assert bool(there) == bool(back) == (json.dumps(one) != json.dumps(other))
    assert all(there) == all(back)
