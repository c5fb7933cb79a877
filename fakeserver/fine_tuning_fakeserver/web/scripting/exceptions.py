"""What a scripted exception is over HTTP: the answer that makes a client raise it.

Clients differ in their classes, and agree in their names: those of openai-python's tree, which ours follows. So a test
may script an exception of the client it uses, and every other client is told the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...api_errors import INVALID, ApiError
from ...usage_errors import FakeUsageError

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


@dataclass(frozen=True, slots=True)
class ConnectionFailure:
    """No plain answer.

    Args:
        fault: what a client is to meet, as a mapping of a fault's fields.
        names: what the scripted exception is called, and its bases; in process, httpx and httpx2 raise the first of
            these that they have.
        text: what it says.
    """

    fault: Mapping[str, Any]
    names: tuple[str, ...] = ()
    text: str = ""


HUNG_UP = ConnectionFailure({"kind": "disconnect"})
REFUSED = ConnectionFailure({"kind": "refuse"})
SILENCE = ConnectionFailure({"kind": "delay", "seconds": 3600})
"""Longer than clients wait: the official SDK gives up after ten minutes."""

_BROKEN: Mapping[str, ConnectionFailure] = {
    **dict.fromkeys(("APITimeoutError", "TimeoutException", "TimeoutError", "Timeout"), SILENCE),
    **dict.fromkeys(("ConnectError", "ConnectionRefusedError", "NewConnectionError"), REFUSED),
    **dict.fromkeys(("APIConnectionError", "TransportError", "ConnectionError"), HUNG_UP),
}
"""By the name of an exception's class, or of a base of it; the first that fits counts."""


class ScriptedError(ApiError):
    """A refusal that a test has prepared.

    Attributes:
        retry_after: what its header of that name says.
        page: media type and body of the answer, where they are not the service's.
    """

    retry_after: float | str | None = None
    page: tuple[bytes, bytes] | None = None


def response_for_exception(error: BaseException | type[BaseException]) -> ApiError | ConnectionFailure:
    """What has to come over the wire so that a client raises *error*, or one of this class.

    Raises:
        FakeUsageError: nothing that a service does makes a client raise it.
    """
    if isinstance(error, ApiError):
        return error
    kind = error if isinstance(error, type) else type(error)
    names = [each.__name__ for each in kind.__mro__]
    if broken := next((_BROKEN[name] for name in _BROKEN if name in names), None):
        return replace(broken, names=tuple(names), text="" if isinstance(error, type) else str(error))
    status = _status(error) or next((_STATUSES[name] for name in names if name in _STATUSES), 0)
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise FakeUsageError(
            f"the script raises {error!r}{_place(error)}, which no answer of a service makes a client raise: an "
            f"exception of a client's is wanted, such as {', '.join(_STATUSES)}, APITimeoutError or APIConnectionError"
        )
    refusal = _refusal(error, status)
    refusal.retry_after, refusal.page = _wait(error), _page(error)
    return refusal


def _status(error: object) -> Any:
    """The status that the error says, or the answer that it came of."""
    return getattr(error, "status_code", 0) or getattr(getattr(error, "response", None), "status_code", 0)


def _page(error: object) -> tuple[bytes, bytes] | None:
    """Media type and body of the answer that the error came of, where it says nothing of them itself."""
    response = getattr(error, "response", None)
    if response is None or hasattr(error, "body"):
        return None
    try:
        content = response.content
    except Exception:  # it was never read
        return None
    media = response.headers.get("content-type", "text/plain; charset=utf-8")
    return (media.encode("latin-1", "replace"), content) if isinstance(content, bytes) and content else None


def _place(error: BaseException | type[BaseException]) -> str:
    """Where it was raised, if it was: a function of a script may have a bug."""
    trace = None if isinstance(error, type) else error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace else ""


def _wait(error: object) -> float | str | None:
    """What the error says of waiting, or the answer that it came of.

    Raises:
        FakeUsageError: it is no time.
    """
    headers = getattr(getattr(error, "response", None), "headers", {})
    wait = getattr(error, "retry_after", None)
    wait = headers.get("retry-after") if wait is None else wait
    if wait is None or (isinstance(wait, str) and wait.isascii() and wait.isprintable() and wait):
        return wait
    if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 <= wait < 10**9:
        return float(wait)
    raise FakeUsageError(f"the script raises {error!r}, whose retry_after is {wait!r}: seconds from 0 are wanted")


def _refusal(error: BaseException | type[BaseException], status: int) -> ScriptedError:
    body = getattr(error, "body", None)
    fields: Any = body.get("error", body) if isinstance(body, Mapping) else {}
    said = {name: _said(error, fields, name) for name in ("message", "type", "param", "code")}
    words = "" if isinstance(error, type) else str(error)
    message = said["message"] or words or f"scripted: {status}"
    return ScriptedError(
        status,
        message.encode(errors="replace").decode(),
        type=said["type"] or (INVALID if status < 500 else "server_error"),
        param=said["param"],
        code=said["code"],
    )


def _said(error: object, fields: Any, name: str) -> str | None:
    """The member of the error's body, or the error's attribute."""
    value = fields.get(name) if isinstance(fields, Mapping) else None
    value = value if value is not None else getattr(error, name, None)
    return value if isinstance(value, str) and value else None
