"""Build requests: paths, queries and bodies from arguments, checked before anything is sent."""

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


class NotGiven(Enum):
    """The type of `NOT_GIVEN`: a field left out, where None would be sent as null."""

    NOT_GIVEN = "NOT_GIVEN"

    def __repr__(self) -> str:
        return self.value


NOT_GIVEN: Final = NotGiven.NOT_GIVEN

T = TypeVar("T")

LONGEST_SHOWN = 60  # characters of a wrong value
LONGEST_ID = 500  # far longer than any, and short enough for a path


def named(what: str, value: object) -> str:
    """Check that *value* can name a thing.

    Raises:
        ValueError: It is no string, or an empty one.
    """
    if not isinstance(value, str) or not value.strip():
        hint = f"; pass {type(value).__name__}.id" if isinstance(getattr(value, "id", None), str) else ""
        raise ValueError(f"{what} must be a non-empty string, not {_brief(value)}{hint}")
    return value


def _brief(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + "…"


def plain_function(what: str, value: T) -> T:
    """Check that *value* is nothing that would have to be awaited.

    Raises:
        TypeError: It is an async function, or an object that is called as one.
    """
    if is_async(value):
        raise TypeError(f"{what} must not be async: it is called and never awaited")
    return value


def is_async(value: object) -> bool:
    """Tell whether calling *value* is sure to give something to await."""
    return iscoroutinefunction(value) or iscoroutinefunction(getattr(type(value), "__call__", None))  # noqa: B004


def segment(what: str, value: object) -> str:
    """Encode an id as one segment of a path.

    Raises:
        ValueError: The id would lead to another path than the one meant, or is too long for one.
    """
    name = named(what, value)
    if "/" in name or name in {".", ".."}:
        raise ValueError(f"{what} must be a plain id, not {_brief(name)}")
    if len(name) > LONGEST_ID:
        raise ValueError(f"{what} must be an id of at most {LONGEST_ID} characters: it has {len(name)}")
    return quote(name, safe=":")


def positive_seconds(what: str, value: float) -> float:
    """Check that *value* is a time that ends.

    Raises:
        ValueError: It is no number above 0, or without end.
    """
    if not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise ValueError(f"{what} must be a finite number of seconds above 0, not {value!r}")
    return value


def seconds(what: str, value: float) -> float:
    """Check that *value* is a length of time, which may be endless.

    Raises:
        ValueError: It is no number from 0.
    """
    if not isinstance(value, int | float) or isnan(value) or value < 0:
        raise ValueError(f"{what} must be a number of seconds from 0, not {_brief(value)}")
    return value


def whole_number(what: str, value: int) -> int:
    """Check that *value* can count something.

    Raises:
        ValueError: It is no integer, or below 0.
    """
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{what} must be a whole number from 0, not {value!r}")
    return value


def merged(options: Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Unite keywords and the *options* mapping, leaving out what was not given.

    Raises:
        TypeError: *options* is no mapping, or an option is unknown or also given as a keyword.
    """
    if not isinstance(options, Mapping | None):
        raise TypeError(f"options must be a mapping, not {_brief(options)}")
    values = {name: value for name, value in given.items() if value is not NOT_GIVEN}
    for name, value in (options or {}).items():
        if name not in given:
            hint = "; a field of your own goes into extra_body" if "suffix" in given else ""
            raise TypeError(f"unknown option {name!r}, expected one of {', '.join(given)}{hint}")
        if name in values:
            raise TypeError(f"{name!r} is given twice, as a keyword and in options")
        values[name] = value
    return values


def unless_none(**given: Any) -> dict[str, Any]:
    """Take None for not given, as the options of a list mean it."""
    return {name: NOT_GIVEN if value is None else value for name, value in given.items()}


def in_bytes(chunk: object) -> bytes:
    """Check that what was read from a file is bytes.

    Raises:
        TypeError: The file is open for reading text.
    """
    if not isinstance(chunk, bytes | bytearray):
        raise TypeError(f"file must be open for reading bytes: it gave {type(chunk).__name__}")
    return bytes(chunk)


def query(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Write list options as a query; a cursor or limit of None is left out.

    Raises:
        ValueError: The cursor is no id.

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
            pairs.append((name, named(name, value) if name == "after" else str(value)))
    return tuple(pairs)


def file_part(
    source: bytes | str | PathLike[str] | BinaryIO, filename: str | None, on_progress: OnProgress | None = None
) -> FilePart:
    """Name the file of an upload: as told, as on disk, or as the service would like it.

    Raises:
        TypeError: *source* is nothing that gives bytes, or *on_progress* is async.
        ValueError: *filename* is given, and empty.
    """
    if isinstance(source, TextIOBase) or not (isinstance(source, bytes | str | PathLike) or hasattr(source, "read")):
        raise TypeError(f"file must be a path, bytes, or a file open for reading bytes, not {source!r:.80}")
    plain_function("on_progress", on_progress)
    if filename is not None:
        named("filename", filename)
    if filename is None and isinstance(source, str | PathLike):
        filename = basename(fspath(source))
    if filename is None and isinstance(name := getattr(source, "name", None), str):
        filename = basename(name)
    return FilePart(source, filename or "training.jsonl", on_progress)  # OpenAI insists on the ending
