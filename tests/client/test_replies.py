"""Error responses: the class and attributes of the error, for bodies of any shape."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_client import APIConnectionError, APIStatusError, APITimeoutError, RateLimitError, errors
from fine_tuning_client.effects import Failure, RawResponse
from fine_tuning_client.errors import error_class
from fine_tuning_client.models import check_response, status_error

MISSING = {
    "message": "Could not find fine tune: ftjob-1",
    "type": "invalid_request_error",
    "param": "fine_tune_id",
    "code": "fine_tune_not_found",
}
FASTAPI = {"detail": [{"loc": ["body", "model"], "msg": "field required", "type": "missing"}]}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (302, "APIStatusError"),
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (408, "APIStatusError"),
        (409, "ConflictError"),
        (418, "APIStatusError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (599, "InternalServerError"),
    ],
)
def test_status_decides_the_class(status: int, name: str) -> None:
    """Each error status is raised as its own class."""
    assert error_class(status).__name__ == name
    with pytest.raises(getattr(errors, name)):
        check_response(RawResponse(status))


def test_an_error_carries_what_the_service_said() -> None:
    """The error has message, type, param, code, status, request id and provider."""
    error = status_error(RawResponse(404, {"x-request-id": "req_1"}, json.dumps({"error": MISSING}).encode()))
    assert (error.type, error.param, error.code) == (MISSING["type"], MISSING["param"], MISSING["code"])
    assert (error.status_code, error.request_id, error.provider) == (404, "req_1", "openai")
    assert str(error) == "openai answered 404: Could not find fine tune: ftjob-1 (request req_1)"
    assert error.body == {"error": MISSING}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps({"error": "plain"}).encode(), "plain"),
        (json.dumps({"detail": "Not Found"}).encode(), "Not Found"),
        (json.dumps(FASTAPI).encode(), "field required"),
        (json.dumps({"code": "DeploymentNotFound", "message": "no such"}).encode(), "no such"),
        (json.dumps({"error": {"message": {"message": "nested"}}}).encode(), "nested"),
        (json.dumps({"error": None}).encode(), '{"error": null}'),
        (json.dumps({"error": {}}).encode(), '{"error": {}}'),
        (b"<html>\n<body>502 Bad Gateway</body>", "<html> <body>502 Bad Gateway</body>"),
        (b"", "no message"),
        (b'{"error": {"mess', '{"error": {"mess'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 999, "x" * 200 + "…"),
        (b'{"message":' * 900 + b"1" + b"}" * 900, ('{"message":' * 19)[:200] + "…"),
        (b'{"x":' * 900 + b"1" + b"}" * 900, '{"x":' * 40 + "…"),
    ],
)
def test_bodies_of_any_shape_have_a_message(content: bytes, message: str) -> None:
    """The message is found in every known shape of error body."""
    assert str(status_error(RawResponse(500, {}, content))) == f"openai answered 500: {message}"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["error", "message", "detail", "code"]), each),
)


@given(JSON)
def test_reporting_never_raises(body: Any) -> None:
    """An error response with any JSON becomes an APIStatusError."""
    error = status_error(RawResponse(400, {}, json.dumps(body).encode()))
    assert type(error.code) in {str, type(None)}


@given(st.binary())
def test_reporting_never_raises_on_bytes(body: bytes) -> None:
    """An error response with any bytes becomes an APIStatusError."""
    assert status_error(RawResponse(400, {}, body)).status_code == 400


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """`retry_after` is read from seconds, milliseconds or either form of date."""
    error = status_error(RawResponse(429, headers))
    assert isinstance(error, RateLimitError)
    assert error.retry_after == seconds


def test_no_answer_is_a_connection_error_with_its_cause() -> None:
    """A request without a response raises an APIConnectionError whose cause is the transport's error."""
    cause = OSError("refused")
    with pytest.raises(APIConnectionError, match="no answer from azure: refused") as caught:
        check_response(Failure(cause, provider="azure"))
    assert caught.value.__cause__ is cause
    with pytest.raises(APITimeoutError):
        check_response(Failure(OSError(), timed_out=True))


def test_errors_can_be_pickled() -> None:
    """An error keeps all its attributes when pickled or copied."""
    error = status_error(RawResponse(404, {}, json.dumps({"error": MISSING}).encode()))
    late = pickle.loads(pickle.dumps(errors.WaitTimeout("late", job=None)))
    assert (str(late), late.job) == ("late", None)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert isinstance(twin, APIStatusError)
        assert (str(twin), vars(twin)) == (str(error), vars(error))
