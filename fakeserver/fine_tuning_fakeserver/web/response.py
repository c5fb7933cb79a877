"""Answers as bytes: two-space indentation, floats spelt as the service spells them, headers as recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Send

from ..account.account import Account
from ..api_errors import ApiError
from ..domain import ids
from .operation import CONTROL, GATEWAY, Header, RouteGroup

JSON_TYPE = (b"content-type", b"application/json")


@dataclass(slots=True)
class Response:
    """What a request gets: a status, headers, and a body in one piece or in many."""

    status: int
    headers: list[Header]
    body: bytes | Iterator[bytes]
    family: RouteGroup | None = None
    """Where it is not its route's own: an answer of the gateway, which never asked the route."""

    async def send(self, send: Send) -> None:
        """Send the answer as plain ASGI messages."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        if isinstance(self.body, bytes):
            await send({"type": "http.response.body", "body": self.body})
            return
        for chunk in self.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def dump(value: Any, newline: bool = False) -> bytes:
    """JSON as the service writes it; small floats are spelt as orjson spells them, too, and not as Python does.

    Source: recording GetCheckpoints, ``4.76837158203125e-6`` and ``0.00001180739673145581``; only with these is its
    body as long as its Content-Length says.
    """
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | (orjson.OPT_APPEND_NEWLINE if newline else 0))


def json_response(value: Any, family: RouteGroup, status: int = 200) -> Response:
    """An answer with a JSON body."""
    body = dump(value, family.newline)
    return Response(status, [JSON_TYPE, (b"content-length", b"%d" % len(body))], body)


def error_response(error: ApiError, group: RouteGroup, *, detail: bool = True) -> Response:
    """Return the answer for an error of the API; *detail* is False where no group repeats it under ``detail``."""
    if error.status == 401:
        return _gateway_error(error)
    body: dict[str, Any] = {"error": error.body()}
    if group.error_detail and detail:
        body["detail"] = {"message": error.message, "code": error.code}
    return json_response(body, group, error.status)


def _gateway_error(error: ApiError) -> Response:
    """The gateway's refusal to let a request in: the same on every route (recording of 2023-08)."""
    body = json.dumps({"error": error.body()}, indent=error.indent, ensure_ascii=False).encode() + b"\n"
    length = (b"content-length", b"%d" % len(body))
    return Response(
        error.status, [JSON_TYPE, length, (b"www-authenticate", b'Basic realm="OpenAI API"')], body, GATEWAY
    )


def usage_error_response(message: str, status: int = 400) -> Response:
    """An error of the fake's own user, which no service would send; ``message`` is where SDKs look for a text."""
    return json_response({"fake_error": message, "message": f"fake-fine-tuning: {message}"}, CONTROL, status)


def is_usage_error(body: bytes) -> bool:
    """Whether *body*, or its beginning, is that of a usage answer."""
    return b'"fake_error"' in body[:32]


def add_request_id(answer: Response, family: RouteGroup, account: Account, ordinal: int) -> None:
    """Add the headers that name the service's version, the account and the request."""
    if family is CONTROL:
        return
    request, noise = ids.request_id(account.settings.seed, ordinal)
    spent = b"%d" % (20 + noise % 400)  # milliseconds, derived: same seed, same bytes
    headers = answer.headers
    if family.identity:
        headers.append((b"openai-organization", account.settings.organization.encode()))
        headers.append((b"openai-project", account.project.encode()))
    headers.append((b"openai-processing-ms", spent))
    headers.append((b"openai-version", b"2020-10-01"))
    headers.append((b"x-content-type-options", b"nosniff"))
    if family.upstream:
        headers.append((b"x-envoy-upstream-service-time", spent))
    headers.append((b"x-request-id", request.encode()))
    headers.extend(family.headers)
