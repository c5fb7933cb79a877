"""Read replies: into responses, or into the error that says why not."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, TypeVar

from fine_tuning_client.effects import Failure, RawResponse
from fine_tuning_client.errors import APIConnectionError, APIResponseError, APIStatusError, APITimeoutError, error_class
from fine_tuning_client.models import Response

R = TypeVar("R", bound=Response)

SNIPPET = 200  # characters of an unreadable body that go into a message
SENTENCES = ("message", "detail", "msg", "error", "errors", "title")  # where services put theirs, the likeliest first


def check_response(outcome: RawResponse | Failure) -> RawResponse:
    """Let a good reply through.

    Raises:
        APIConnectionError: There is no reply.
        APIStatusError: The reply is a refusal.
    """
    if isinstance(outcome, Failure):
        raise connection_error(outcome) from outcome.cause
    if not 200 <= outcome.status < 300:
        raise status_error(outcome)
    return outcome


def parse_response(kind: type[R], reply: RawResponse) -> R:
    """Read the body of a good reply.

    Raises:
        APIResponseError: It is no JSON, or lacks a required field.
    """
    try:
        return kind.from_dict(json.loads(reply.content))
    except (ValueError, RecursionError) as error:  # json gives up on deep nesting with the latter
        raise response_error(reply, str(error)) from error


def response_error(reply: RawResponse, why: str) -> APIResponseError:
    """Make the error for a good status with a useless body."""
    kind = reply.hiding(reply.headers.get("content-type", "")) or "of no content type"
    came = f"{why}; it is {kind}: {_shortened(reply.text) or 'empty'}"
    text = f"{reply.provider} answered {reply.status} with a body that cannot be used: {came}{_reference(reply)}"
    return APIResponseError(text, **_answer(reply))


def _answer(reply: RawResponse) -> dict[str, Any]:
    body = _json_or_text(reply.text)
    return {"provider": reply.provider, "request_id": reply.request_id, "status_code": reply.status, "body": body}


def connection_error(failure: Failure) -> APIConnectionError:
    """Make the error for a request without an answer."""
    kind = APITimeoutError if failure.timed_out else APIConnectionError
    why = str(failure.cause) or type(failure.cause).__name__
    return kind(f"no answer from {failure.provider}: {why}", provider=failure.provider)


def status_error(reply: RawResponse) -> APIStatusError:
    """Make the error for a refusal, whatever its body looks like."""
    answer = _answer(reply)
    body = answer["body"]
    error = body.get("error", body) if isinstance(body, dict) else body
    fields = error if isinstance(error, dict) else {}
    message = _message(error) or _shortened(reply.text) or _moved(reply) or "no message"
    text = f"{reply.provider} answered {reply.status}: {message}"
    return error_class(reply.status)(
        text + _reference(reply),
        **answer,
        code=_text(fields.get("code")),
        type=_text(fields.get("type")),
        param=_text(fields.get("param")),
        retry_after=retry_after(reply),
    )


def _reference(reply: RawResponse) -> str:
    return f" (request {reply.request_id})" if reply.request_id else ""


def _moved(reply: RawResponse) -> str:
    place = reply.hiding(reply.headers.get("location", ""))
    return f"it is at {place}, and the key goes nowhere but to the base URL" if place else ""


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _message(error: Any, depth: int = 4) -> str:
    """Find the sentence for a person: OpenAI's, FastAPI's, or a gateway's."""
    if depth == 0:  # what is nested deeper is no sentence
        return ""
    if isinstance(error, dict):
        return _message(next((error[name] for name in SENTENCES if error.get(name)), None), depth - 1)
    if isinstance(error, list):  # FastAPI lists what is wrong, each with its place
        return "; ".join(_message(each, depth - 1) for each in error[:5])
    return _shortened(str(error)) if error is not None else ""


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SNIPPET else words[:SNIPPET] + "…"


def retry_after(reply: RawResponse) -> float | None:
    """Read how many seconds the service asks to be left alone, if it does."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(reply.headers.get(name))
        if seconds is not None and seconds >= 0:
            return seconds * unit
    return _until(reply.headers.get("retry-after"), reply.headers.get("date"))


def _until(then: str | None, now: str | None) -> float | None:
    """Subtract two HTTP dates: both are by the service's clock, so ours need not be right."""
    from email.utils import parsedate_to_datetime  # slow to import, seldom needed

    try:
        wait = parsedate_to_datetime(then or "") - parsedate_to_datetime(now or "")
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) else None
