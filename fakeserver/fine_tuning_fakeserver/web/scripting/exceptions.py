"""Turn a scripted exception into the HTTP answer that makes a client raise it.

Clients differ in their classes, and agree in their names: those of openai-python, which ours follows. So a test may
script an exception of the client it uses, and every other client gets the same answer.
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
    """A connection that fails instead of an answer.

    Args:
        fault: the fault that hits the client, as a mapping of its fields.
        names: the names of the scripted exception's class and its bases; in process, httpx and httpx2 raise the first
            of these that they have.
        text: its message.
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
    """An error answer that a test has prepared.

    Attributes:
        retry_after: its Retry-After header.
        page: media type and body of the answer, where they are not the service's.
    """

    retry_after: float | str | None = None
    page: tuple[bytes, bytes] | None = None


def response_for_exception(error: BaseException | type[BaseException]) -> ApiError | ConnectionFailure:
    """Return the answer that makes a client raise *error*, or an error of this class.

    Raises:
        FakeUsageError: no answer makes a client raise it.
    """
    if isinstance(error, ApiError):
        return error
    kind = error if isinstance(error, type) else type(error)
    names = [each.__name__ for each in kind.__mro__]
    if broken := next((_BROKEN[name] for name in _BROKEN if name in names), None):
        return replace(broken, names=tuple(names), text="" if isinstance(error, type) else str(error))
    response = getattr(error, "response", None)
    status: Any = getattr(error, "status_code", 0) or getattr(response, "status_code", 0)
    status = status or next((_STATUSES[name] for name in names if name in _STATUSES), 0)
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise FakeUsageError(
            f"the script raises {error!r}{_place(error)}, which no answer of a service makes a client raise: an "
            f"exception of a client's is wanted, such as {', '.join(_STATUSES)}, APITimeoutError or APIConnectionError"
        )
    scripted = _scripted_error(error, status)
    scripted.retry_after, scripted.page = _wait(error), _page(error)
    return scripted


def _page(error: object) -> tuple[bytes, bytes] | None:
    """Return media type and body of the error's own response, unless the error has a parsed body."""
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
    """Return where it was raised, if it was: a script's function may have a bug."""
    trace = None if isinstance(error, type) else error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace else ""


def _wait(error: object) -> float | str | None:
    """Return the error's `retry_after`, or that header of its response.

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
    raise FakeUsageError(f"the script raises {error!r}, whose retry_after must be seconds from 0, got {wait!r}")


def _scripted_error(error: BaseException | type[BaseException], status: int) -> ScriptedError:
    body = getattr(error, "body", None)
    fields: Any = body.get("error", body) if isinstance(body, Mapping) else {}
    members: dict[str, str | None] = {}
    for name in ("message", "type", "param", "code"):  # of the error's body, or attributes of the error
        value = fields.get(name) if isinstance(fields, Mapping) else None
        value = value if value is not None else getattr(error, name, None)
        members[name] = value if isinstance(value, str) and value else None
    text = "" if isinstance(error, type) else str(error)
    message = members["message"] or text or f"scripted: {status}"
    return ScriptedError(
        status,
        message.encode(errors="replace").decode(),
        type=members["type"] or (INVALID if status < 500 else "server_error"),
        param=members["param"],
        code=members["code"],
    )
