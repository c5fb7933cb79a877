"""A recorded exchange, whatever the format it was recorded in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from fine_tuning_formats.lazy_dataclass import dataclass

from ..web.dialect_adapter import DIALECT_PATH
from ..web.operation import Operation
from ..web.operations import OPERATIONS

Json: TypeAlias = dict[str, Any]

ROOT = "/v1/"
AZURE_HEADERS = frozenset({"apim-request-id", "x-ms-region"})
"""Headers of answers that only Azure sends."""

_AZURE_HOST = re.compile(r"(^|\.)(azure\.(com|us|cn)|azure\.openai\.com|cognitive\.microsoft\.(com|us))$")
_SLASHES = re.compile("/{2,}")
_PATTERNS = tuple((re.compile(re.sub(r"\{\w+\}", "[^/]+", each.path)), each) for each in OPERATIONS)


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
        json: the body parsed; None if it is not JSON.
        end_is_known: whether the recording shows if a line feed ends the body.
        is_reparsed: whether the recorder kept the body parsed, so that the order of its members, and its bytes, are
            not those of the wire.
        unreadable: why the answer's body is not known; empty if it is.
    """

    number: int
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes | None
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any
    end_is_known: bool = True
    is_reparsed: bool = False
    unreadable: str = ""

    @property
    def is_azures(self) -> bool:
        """Whether nobody but Azure can have answered: by its host, its path, or a header that only it has."""
        url = urlsplit(self.url)
        own = DIALECT_PATH.fullmatch(url.path)
        has_own_path = own is not None and not (own["version"] and url.path.startswith("/openai/"))  # others have that
        return (
            has_own_path
            or _AZURE_HOST.search(url.hostname or "") is not None
            or not AZURE_HEADERS.isdisjoint(self.headers)
        )

    @property
    def has_azure_path(self) -> bool:
        """Whether it was sent to one of Azure's paths, which gateways may have, too."""
        return DIALECT_PATH.fullmatch(urlsplit(self.url).path) is not None

    @property
    def path(self) -> str:
        """The path from the API's version on, Azure's as OpenAI's; the whole path without a version."""
        path = urlsplit(self.url).path
        if own := DIALECT_PATH.fullmatch(path):
            return f"/v1{own['rest']}"
        return path[path.index(ROOT) :] if ROOT in path else path

    @property
    def target(self) -> str:
        """Path and query, as they are sent."""
        query = urlsplit(self.url).query
        return f"{self.path}?{query}" if query else self.path

    @property
    def azure_target(self) -> str:
        """Path and query as they are sent to Azure, on its own path."""
        url = urlsplit(self.url)
        return urlunsplit(("", "", url.path, url.query, "")) if self.has_azure_path else self.target

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def operations(self) -> list[Operation]:
        """The operations at its path, whatever their method."""
        path = _SLASHES.sub("/", self.path).rstrip("/")  # recordings of 2023 have more slashes
        return [operation for pattern, operation in _PATTERNS if pattern.fullmatch(path)]

    @property
    def operation(self) -> str:
        """The name of the operation that was called; empty where the fake has no such route."""
        return next((operation.name for operation in self.operations if operation.method == self.method), "")

    @property
    def request_members(self) -> Json:
        """The request's members; none unless it is a JSON object."""
        value = parse_json(self.request_body or b"")
        return value if isinstance(value, dict) else {}

    @property
    def members(self) -> Json:
        """The answer's members; none unless it is a JSON object."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def error(self) -> Json:
        """The members of the answer's ``error``."""
        error = self.members.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def items(self) -> list[Json]:
        """The objects that the answer lists, in its order."""
        data = self.members.get("data")
        return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []

    @property
    def length(self) -> int | None:
        """The body's length by its header, if there is one and the body was not compressed."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() and "content-encoding" not in self.headers else None


@dataclass(frozen=True, slots=True)
class Recording:
    """The exchanges of one file, in order."""

    path: Path
    format: str
    exchanges: tuple[RecordedExchange, ...]


def parse_answer(body: bytes, headers: Mapping[str, str]) -> Any:
    """Parse the body of an answer with these headers; return None if it is not JSON."""
    return parse_json(body) if "json" in headers.get("content-type", "json") else None


def parse_json(body: bytes) -> Any:
    """Parse *body*; return None if it is not JSON, or has half of a surrogate pair, which no answer can have."""
    try:
        value = json.loads(body)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value
