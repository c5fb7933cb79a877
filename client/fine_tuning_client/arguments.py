"""Check arguments, and build paths, queries and bodies from them, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from inspect import iscoroutinefunction
from io import TextIOBase
from math import isfinite, isnan
from os import PathLike, fspath
from os.path import basename
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import quote

from fine_tuning_client.effects import FilePart, OnProgress
from fine_tuning_formats.text import show_value


class NotGiven(Enum):
    """The type of `NOT_GIVEN`: a field left out, where None would be sent as null."""

    NOT_GIVEN = "NOT_GIVEN"

    def __repr__(self) -> str:
        return self.value


NOT_GIVEN: Final = NotGiven.NOT_GIVEN

T = TypeVar("T")

MAX_SHOWN = 60  # characters of a wrong value
MAX_ID = 500  # far longer than any, and short enough for a path


def require_name(what: str, value: object) -> str:
    """Return *value*, a name or an id.

    Raises:
        ValueError: It is not a string, or is empty.
    """
    if not isinstance(value, str) or not value.strip():
        hint = f"; pass {type(value).__name__}.id" if isinstance(getattr(value, "id", None), str) else ""
        raise ValueError(f"{what} must be a non-empty string, got {show_value(value, MAX_SHOWN)}{hint}")
    return value


def reject_async(what: str, value: T) -> T:
    """Return *value* unless calling it would have to be awaited.

    Raises:
        TypeError: It is an async function, or an object that is called as one.
    """
    if is_async(value):
        raise TypeError(f"{what} must not be async: it is called and never awaited")
    return value


def is_async(value: object) -> bool:
    """Return whether the result of calling *value* must surely be awaited."""
    return iscoroutinefunction(value) or iscoroutinefunction(getattr(type(value), "__call__", None))  # noqa: B004


def path_segment(what: str, value: object) -> str:
    """Encode an id as one segment of a path.

    Raises:
        ValueError: The id would lead to another path than the one meant, or is too long for one.
    """
    name = require_name(what, value)
    if "/" in name or name in {".", ".."}:
        raise ValueError(f"{what} must be a plain id, got {show_value(name, MAX_SHOWN)}")
    if len(name) > MAX_ID:
        raise ValueError(f"{what} must be an id of at most {MAX_ID} characters, got {len(name)}")
    return quote(name, safe=":")


def check_positive_seconds(what: str, value: float) -> float:
    """Return *value*, a positive and finite number of seconds.

    Raises:
        ValueError: It is not one.
    """
    if not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ValueError(f"{what} must be a finite number of seconds above 0, got {value!r}")
    return value


def check_seconds(what: str, value: float) -> float:
    """Return *value*, a number of seconds from 0 that may be infinite.

    Raises:
        ValueError: It is not one.
    """
    if not isinstance(value, int | float) or isnan(value) or value < 0:
        raise ValueError(f"{what} must be a number of seconds from 0, got {show_value(value, MAX_SHOWN)}")
    return value


def check_whole_number(what: str, value: int) -> int:
    """Return *value*, a whole number from 0.

    Raises:
        ValueError: It is not one.
    """
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{what} must be a whole number from 0, got {value!r}")
    return value


def merge_options(options: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Unite *keywords* and the *options* mapping, without those that are `NOT_GIVEN`.

    Raises:
        TypeError: *options* is not a mapping, or an option is unknown or also a keyword.
    """
    if not isinstance(options, Mapping | None):
        raise TypeError(f"options must be a mapping, got {show_value(options, MAX_SHOWN)}")
    values = {name: value for name, value in keywords.items() if value is not NOT_GIVEN}
    for name, value in (options or {}).items():
        if name not in keywords:
            hint = "; a field of your own goes into extra_body" if "suffix" in keywords else ""
            raise TypeError(f"unknown option {name!r}; expected one of: {', '.join(keywords)}{hint}")
        if name in values:
            raise TypeError(f"{name!r} is given twice, as a keyword and in options")
        values[name] = value
    return values


def none_as_not_given(**keywords: Any) -> dict[str, Any]:
    """Replace None by `NOT_GIVEN`, as the options of a list mean it."""
    return {name: NOT_GIVEN if value is None else value for name, value in keywords.items()}


def require_bytes(chunk: object) -> bytes:
    """Return what was read from a file, as bytes.

    Raises:
        TypeError: The file is open for reading text.
    """
    if not isinstance(chunk, bytes | bytearray):
        raise TypeError(f"file must be open for reading bytes, got {type(chunk).__name__}")
    return bytes(chunk)


def build_query(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return list options as a query; a cursor or limit of None is left out.

    Raises:
        ValueError: The cursor is not an id.

    Source:
        spec: /fine_tuning/jobs › metadata: ``metadata[k]=v``, or ``metadata=null`` for jobs without any.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if name == "metadata" and isinstance(value, Mapping):
            pairs += [(f"{name}[{key}]", str(each)) for key, each in value.items()]
        elif name == "metadata" and value is None:
            pairs.append((name, "null"))
        elif value is not None:
            pairs.append((name, require_name(name, value) if name == "after" else str(value)))
    return tuple(pairs)


def make_file_part(
    source: bytes | str | PathLike[str] | BinaryIO, filename: str | None, on_progress: OnProgress | None = None
) -> FilePart:
    """Return the file of an upload, called *filename*, as on disk, or as the service would like it.

    Raises:
        TypeError: *source* is not a source of bytes, or *on_progress* is async.
        ValueError: *filename* is empty.
    """
    if isinstance(source, TextIOBase) or not (isinstance(source, bytes | str | PathLike) or hasattr(source, "read")):
        raise TypeError(f"file must be a path, bytes, or a file open for reading bytes, got {source!r:.80}")
    reject_async("on_progress", on_progress)
    if filename is not None:
        require_name("filename", filename)
    if filename is None and isinstance(source, str | PathLike):
        filename = basename(fspath(source))
    if filename is None and isinstance(name := getattr(source, "name", None), str):
        filename = basename(name)
    return FilePart(source, filename or "training.jsonl", on_progress)  # OpenAI insists on the ending
