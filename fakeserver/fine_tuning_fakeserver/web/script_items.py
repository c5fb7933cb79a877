"""Parse script items: what a test may prepare as the answer to an operation.

Among these are exceptions of clients, each turned into the answer that makes a client raise it. Clients differ in their
classes, and agree in their names: those of openai-python, which ours follows. So a test may script an exception of the
client it uses, and every other client gets the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ..api_errors import INVALID, ApiError, ScriptedError
from ..control.steering import STATUSES
from ..usage_errors import FakeUsageError, did_you_mean
from .operations import operation_named

Json: TypeAlias = dict[str, Any]

JOB = "fine_tuning.job"

ScriptItem: TypeAlias = (
    "StatusItem | ObjectItem | PageItem | FileItem | ApiError | ConnectionFailure | Callable[[Any], Any] | None"
)


class InvalidScriptItem(FakeUsageError):
    """A script's next item, or the result of its function, does not fit the operation that was called."""


@dataclass(frozen=True, slots=True)
class StatusItem:
    """A job, by its status."""

    status: str


@dataclass(frozen=True, slots=True)
class ObjectItem:
    """An object, by some of its members; the fake fills in the rest."""

    values: Json


@dataclass(frozen=True, slots=True)
class PageItem:
    """A page of a list: its items, and its other members."""

    items: tuple[ScriptItem, ...]
    page: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileItem:
    """The bytes of a file."""

    body: bytes


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


def parse_item(item: Any, operation: str) -> ScriptItem:
    """Parse *item* as the answer to *operation*.

    Raises:
        InvalidScriptItem: it does not fit the operation.
    """
    if item is None or isinstance(item, ConnectionFailure):  # the latter from a script that was stored
        return item
    if isinstance(item, BaseException) or (isinstance(item, type) and issubclass(item, BaseException)):
        return response_for_exception(item)
    if iscoroutinefunction(item):
        raise FakeUsageError(f"the script has {item!r}, which is async: a plain function is wanted, it is not awaited")
    if callable(item):
        function: Callable[[Any], Any] = item
        return function
    declared = operation_named(operation)
    if declared.response is None:
        if not isinstance(item, str | bytes):
            raise _mismatch(item, operation, "text or bytes")
        return FileItem(item.encode() if isinstance(item, str) else item)
    if declared.lists:
        return _page(item, operation, declared.lists.kind)
    return _single(item, operation, declared.response.kind or None)


def _page(item: Any, operation: str, kind: str) -> PageItem:
    if isinstance(item, Sequence) and not isinstance(item, str | bytes) and not hasattr(item, "to_dict"):
        return PageItem(tuple(_listed_item(each, operation, kind) for each in item))
    page = as_json(item)
    if page is None or not isinstance(page.get("data"), list):
        raise _mismatch(item, operation, f"a list of {kind} items, or a list object")
    items = tuple(_listed_item(each, operation, kind) for each in page["data"])
    return PageItem(items, {name: value for name, value in page.items() if name != "data"})


def _listed_item(item: Any, operation: str, kind: str) -> ScriptItem:
    if kind == "fine_tuning.job.event" and isinstance(item, str):
        return ObjectItem({"message": item})
    return _single(item, operation, kind)


def _single(item: Any, operation: str, kind: str | None) -> ScriptItem:
    if isinstance(item, str) and kind == JOB:
        # a status may be one that the fake does not know, but no misspelling
        if item not in (*STATUSES, "canceled") and (meant := did_you_mean(item, STATUSES, likeness=0.85)):
            raise FakeUsageError(f"the script has the status {item!r}{meant}")
        return StatusItem(item)
    values = as_json(item)
    if values is None or ("data" in values and kind != "list" and values.get("object") == "list"):
        or_status = ", a dict of its members, or a status" if kind == JOB else " or a dict"
        wanted = f"a {kind or 'JSON'} object{or_status}"
        raise _mismatch(item, operation, wanted)
    own_kind = values.get("object", kind)
    if kind is not None and own_kind is not None and own_kind != kind:
        raise _mismatch(item, operation, f"a {kind} object, not a {own_kind}")
    return ObjectItem(values)


def as_json(item: Any) -> Json | None:
    """Return *item* as a JSON object if it is a mapping, or an object of a client's or an SDK's; None otherwise.

    Members of such an object that are None are left out: its class has None for whatever the service left out.
    """
    if isinstance(item, Mapping):
        return dict(item)
    write = getattr(item, "to_dict", None)
    if isinstance(item, type) or not callable(write):
        return None
    written: Mapping[str, Any] = write()
    return {name: value for name, value in written.items() if value is not None}


def _mismatch(item: Any, operation: str, wanted: str) -> InvalidScriptItem:
    shown = repr(item)
    shown = shown if len(shown) <= 80 else shown[:79] + "…"
    return InvalidScriptItem(f"{operation} wants {wanted}, and the script's next answer is {shown}")


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
        trace = None if isinstance(error, type) else error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        # where it was raised, since a script's function may have a bug
        place = f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace else ""
        raise FakeUsageError(
            f"the script raises {error!r}{place}, which no answer of a service makes a client raise: an "
            f"exception of a client's is wanted, such as {', '.join(_STATUSES)}, APITimeoutError or APIConnectionError"
        )
    scripted = _scripted_error(error, status)
    scripted.retry_after, scripted.page = _retry_after(error), _response_body(error)
    return scripted


def _response_body(error: object) -> tuple[bytes, bytes] | None:
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


def _retry_after(error: object) -> float | str | None:
    """Return the error's `retry_after`, or that header of its response.

    Raises:
        FakeUsageError: it is not a time.
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
