"""Turn raw responses into typed ones, or into the error of the reply."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, TypeVar

from fine_tuning_client.effects import Failure, RawResponse
from fine_tuning_client.errors import APIConnectionError, APIResponseError, APIStatusError, APITimeoutError, error_class
from fine_tuning_client.models import Response

R = TypeVar("R", bound=Response)

MAX_SNIPPET = 200  # characters of an unreadable body that go into a message
MESSAGE_KEYS = ("message", "detail", "msg", "error", "errors", "title")  # where services put theirs, likeliest first
MAX_DEPTH = 4  # below which no message is expected


def check_response(outcome: RawResponse | Failure) -> RawResponse:
    """Return a successful response.

    Raises:
        APIConnectionError: There is no response.
        APIStatusError: The service refused.
    """
    if isinstance(outcome, Failure):
        kind = APITimeoutError if outcome.timed_out else APIConnectionError
        why = str(outcome.cause) or type(outcome.cause).__name__
        raise kind(f"no answer from {outcome.provider}: {why}", provider=outcome.provider) from outcome.cause
    if not 200 <= outcome.status < 300:
        raise status_error(outcome)
    return outcome


def parse_response(kind: type[R], response: RawResponse) -> R:
    """Parse the body of a successful response.

    Raises:
        APIResponseError: It is not JSON, or lacks a required field.
    """
    try:
        return kind.from_dict(json.loads(response.content))
    except (ValueError, RecursionError) as error:  # json gives up on deep nesting with the latter
        media_type = response.redact(response.headers.get("content-type", "")) or "of no content type"
        body = f"{error}; it is {media_type}: {_shorten(response.text) or 'empty'}"
        message = f"{response.provider} answered {response.status} with a body that cannot be used: {body}"
        raise APIResponseError(message + _reference(response), **_error_fields(response)) from error


def status_error(response: RawResponse) -> APIStatusError:
    """Return the error for a refusal, whatever its body looks like."""
    common = _error_fields(response)
    body = common["body"]
    error = body.get("error", body) if isinstance(body, dict) else body
    members = error if isinstance(error, dict) else {}
    message = find_message(error) or _shorten(response.text)
    if not message and (location := response.redact(response.headers.get("location", ""))):
        message = f"it is at {location}, and the key goes nowhere but to the base URL"
    return error_class(response.status)(
        f"{response.provider} answered {response.status}: {message or 'no message'}{_reference(response)}",
        **common,
        **{name: str(members[name]) for name in ("code", "type", "param") if members.get(name) not in (None, "")},
        retry_after=retry_after(response),
    )


def _error_fields(response: RawResponse) -> dict[str, Any]:
    body: Any = response.text
    try:
        body = json.loads(body)
    except (ValueError, RecursionError):
        pass  # then it is text
    return {
        "provider": response.provider,
        "request_id": response.request_id,
        "status_code": response.status,
        "body": body,
    }


def _reference(response: RawResponse) -> str:
    return f" (request {response.request_id})" if response.request_id else ""


def find_message(error: Any, depth: int = MAX_DEPTH) -> str:
    """Return the sentence for a person in an error: OpenAI's, FastAPI's, or a gateway's."""
    if depth == 0 or error is None:
        return ""
    if isinstance(error, dict):
        return find_message(next((error[name] for name in MESSAGE_KEYS if error.get(name)), None), depth - 1)
    if isinstance(error, list):  # FastAPI lists what is wrong, each with its place
        return "; ".join(find_message(each, depth - 1) for each in error[:5])
    return _shorten(str(error))


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_SNIPPET else words[:MAX_SNIPPET] + "…"


def retry_after(response: RawResponse) -> float | None:
    """Return how many seconds the service asks to wait, if it does."""
    headers = response.headers
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if isfinite(seconds) and seconds >= 0:
            return seconds * unit

    from email.utils import parsedate_to_datetime  # slow to import, seldom needed

    try:  # both dates are by the service's clock, so ours need not be right
        wait = parsedate_to_datetime(headers.get("retry-after", "")) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
