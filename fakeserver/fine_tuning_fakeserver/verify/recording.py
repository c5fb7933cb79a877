"""A recorded exchange, whatever the format it was recorded in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

Json: TypeAlias = dict[str, Any]

ROOT = "/v1/"


class RecordingError(Exception):
    """A recording cannot be read; the message names the file, and what would be right."""


class NotARecordingError(RecordingError):
    """A file is sound, and no recording."""


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """One request with its answer; header names are in lower case.

    Args:
        request_body: None where the recording has lost it.
        body: the answer's bytes, decompressed.
        answer: the body parsed; None where it is no JSON.
        end_is_known: whether the recording tells if a line feed ends the body.
    """

    number: int
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes | None
    status: int
    headers: Mapping[str, str]
    body: bytes
    answer: Any
    end_is_known: bool = True

    @property
    def path(self) -> str:
        """The path from the API's version on; the whole path where there is none."""
        path = urlsplit(self.url).path
        return path[path.index(ROOT) :] if ROOT in path else path

    @property
    def target(self) -> str:
        """Path and query, as they are asked for."""
        query = urlsplit(self.url).query
        return f"{self.path}?{query}" if query else self.path

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def asked(self) -> Json:
        """The request's members; none where it has no JSON object."""
        value = parsed(self.request_body or b"")
        return value if isinstance(value, dict) else {}

    @property
    def members(self) -> Json:
        """The answer's members; none where it is no JSON object."""
        return self.answer if isinstance(self.answer, dict) else {}

    @property
    def error(self) -> Json:
        """What the answer's ``error`` tells; nothing where there is none."""
        error = self.members.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def items(self) -> list[Json]:
        """What the answer lists, in its order."""
        data = self.members.get("data")
        return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []

    @property
    def length(self) -> int | None:
        """How many bytes the body had, where the answer says so and the body was not compressed."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() and "content-encoding" not in self.headers else None


@dataclass(frozen=True, slots=True)
class Recording:
    """The exchanges of one file, in order."""

    path: Path
    format: str
    exchanges: tuple[RecordedExchange, ...]


def answer_of(body: bytes, headers: Mapping[str, str]) -> Any:
    """What a body with these headers says; None where it is no JSON."""
    return parsed(body) if "json" in headers.get("content-type", "json") else None


def parsed(body: bytes) -> Any:
    """*body* as JSON; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def headers_of(pairs: Iterable[tuple[object, object]]) -> dict[str, str]:
    """Headers with their names in lower case; of several values the last counts."""
    single = ((name, value[-1] if isinstance(value, list) and value else value) for name, value in pairs)
    return {str(name).lower(): str(value) for name, value in single}
