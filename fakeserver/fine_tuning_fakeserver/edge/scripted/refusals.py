"""What a scripted exception is over HTTP: the answer that makes a client raise it.

Clients differ in their classes, and agree in their names: those of openai-python's tree, which ours follows. So a test
may script an exception of the client it uses, and every other client is told the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...domain.usage import FakeUsageError
from ...errors import INVALID, ApiError

_STATUSES = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "ConflictError": 409,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "InternalServerError": 500,
}
_TIMEOUTS = {"APITimeoutError", "TimeoutException", "TimeoutError"}
_CONNECTIONS = {"APIConnectionError", "TransportError", "ConnectionError"}


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """No plain answer: the fault that a client is to meet, as a mapping of its fields."""

    fault: Mapping[str, Any]


HUNG_UP = BrokenOff({"kind": "disconnect"})
SILENCE = BrokenOff({"kind": "delay", "seconds": 3600})
"""Longer than clients wait: the official SDK gives up after ten minutes."""


def as_cause(error: BaseException) -> ApiError | BrokenOff:
    """What has to come over the wire so that a client raises *error*.

    Raises:
        FakeUsageError: nothing that a service does makes a client raise it.
    """
    if isinstance(error, ApiError):
        return error
    names = [each.__name__ for each in type(error).__mro__]
    if _TIMEOUTS & set(names):
        return SILENCE
    if _CONNECTIONS & set(names):
        return HUNG_UP
    status = getattr(error, "status_code", 0) or next((_STATUSES[name] for name in names if name in _STATUSES), 0)
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise FakeUsageError(
            f"the script raises {error!r}, which no answer of a service makes a client raise: an exception of a "
            f"client's is wanted, such as {', '.join(_STATUSES)}, APITimeoutError or APIConnectionError"
        ) from error
    refusal = _refusal(error, status)
    wait = getattr(error, "retry_after", None)
    if wait is None:
        return refusal
    said = {"message": refusal.message, "code": refusal.code, "retry_after": wait}
    return BrokenOff({"kind": "fail", "status": status, **said})


def _refusal(error: BaseException, status: int) -> ApiError:
    body = getattr(error, "body", None)
    fields: Any = body.get("error", body) if isinstance(body, Mapping) else {}
    said = {name: _said(error, fields, name) for name in ("message", "type", "param", "code")}
    return ApiError(
        status,
        said["message"] or str(error) or f"scripted: {status}",
        type=said["type"] or (INVALID if status < 500 else "server_error"),
        param=said["param"],
        code=said["code"],
    )


def _said(error: BaseException, fields: Any, name: str) -> str | None:
    """The member of the error's body, or the error's attribute."""
    value = fields.get(name) if isinstance(fields, Mapping) else None
    value = value if value is not None else getattr(error, name, None)
    return value if isinstance(value, str) and value else None
