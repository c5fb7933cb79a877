"""Parse script items: what a test may prepare as the answer to an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from ...api_errors import ApiError
from ...control.steering import STATUSES
from ...usage_errors import FakeUsageError, did_you_mean
from ..operations import BY_NAME
from .exceptions import ConnectionFailure, response_for_exception

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


def parse_item(item: Any, operation: str) -> ScriptItem:
    """Parse *item* as the answer to *operation*.

    Raises:
        InvalidScriptItem: it does not fit the operation.
    """
    if item is None:
        return None
    if isinstance(item, BaseException) or (isinstance(item, type) and issubclass(item, BaseException)):
        return response_for_exception(item)
    if iscoroutinefunction(item):
        raise FakeUsageError(f"the script has {item!r}, which is async: a plain function is wanted, it is not awaited")
    if callable(item):
        function: Callable[[Any], Any] = item
        return function
    declared = BY_NAME[operation]
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
