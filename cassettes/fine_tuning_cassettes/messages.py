"""Recorded requests and responses as plain values, decompressed, their forms split into parts.

What is compressed, or in one piece with a form's boundary, can be neither matched nor searched for secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

from fine_tuning_formats.bodies import ContentEncodingError, decompress, parse_multipart
from fine_tuning_formats.lazy_dataclass import dataclass

from .errors import CassetteError

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of a lower-case name and a value; a name may occur more than once."""

FIELDS_TYPE = "application/x-www-form-urlencoded"
_JSON_TYPE = re.compile(r"(application|text)/([\w.-]+\+)?json|")
_TEXT_SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of a form: its content, or the digests that are kept in place of it.

    Args:
        rows: a digest for each row of a JSONL file.
        digest: one digest for any other file.
    """

    name: str
    filename: str | None = None
    content: bytes | None = None
    rows: tuple[str, ...] = ()
    digest: str = ""

    @property
    def is_file(self) -> bool:
        """Whether the part is a file: it has a file name, or the name of a member that takes a file."""
        return self.filename is not None or self.name in ("file", "data")


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request with a body, or with the parts of a form.

    Args:
        original_key: the matching key of the request as it was sent, where redaction has changed that key.
    """

    method: str
    uri: str
    headers: Headers = ()
    body: bytes = b""
    form: tuple[FormPart, ...] | None = None
    original_key: str = ""


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """A response; its body is not compressed."""

    status: int
    reason: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request and its response."""

    request: RecordedRequest
    response: RecordedResponse


def header_value(headers: Headers, name: str) -> str:
    """Return the last value of a header, or an empty string."""
    return dict(headers).get(name, "")


def fix_content_length(response: RecordedResponse) -> RecordedResponse:
    """Correct the content-length header after a change of the body, if there is one."""
    length = str(len(response.body))
    headers = tuple((name, length if name == "content-length" else value) for name, value in response.headers)
    return replace(response, headers=headers)


def parse_json(text: bytes | str, parse_float: Callable[[str], Any] | None = None) -> Any:
    """Parse JSON; return None if *text* is not JSON."""
    try:
        return json.loads(text, parse_float=parse_float)
    except (ValueError, RecursionError):
        return None


def unescape_json(text: str) -> str:
    """Return the string that *text* spells between the quotes of JSON; *text* itself if it spells none."""
    value = parse_json(f'"{text}"')
    return value if isinstance(value, str) else text


def texts_in(value: Any) -> Iterator[str]:
    """Yield the strings in a JSON value, without the names of members."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)


def decode_response(response: RecordedResponse, url: str) -> RecordedResponse:
    """Decompress the body of a response, and correct its headers.

    Raises:
        CassetteError: it is compressed in a way that nothing installed can undo.
    """
    codings = header_value(response.headers, "content-encoding")
    if not codings:
        return response
    body = response.body
    with suppress(UnicodeDecodeError):
        # urllib3 decompresses a body and leaves its header; what is compressed does not begin as text
        if body.decode()[:_TEXT_SAMPLE].translate(dict.fromkeys(map(ord, "\t\r\n"))).isprintable():
            return replace(response, headers=_without(response.headers, "content-encoding"))
    try:
        body = decompress(body, codings)
    except ContentEncodingError as error:
        if error.is_known:
            message = f"the response of {url} must be {error.coding}, as its header says: {error.reason}"
        else:
            message = (
                f"the response of {url} is compressed by {error.coding!r} and cannot be searched for secrets: "
                f"{error.reason}; nothing is written. Record with the request header accept-encoding: gzip"
            )
        raise CassetteError(message) from None
    headers = _without(response.headers, "content-encoding", "content-length")
    return replace(response, headers=(*headers, ("content-length", str(len(body)))), body=body)


def decode_request(request: RecordedRequest) -> RecordedRequest:
    """Decompress the body of a request and split its form into parts.

    A body that is not JSON, nor a form of either kind, counts as one file. So does one that cannot be decompressed.
    """
    if request.form is not None or not request.body.strip():
        return request
    with suppress(CassetteError):
        decoded = decode_response(RecordedResponse(0, "", request.headers, request.body), request.uri)
        request = replace(request, headers=decoded.headers, body=decoded.body)
    content_type = header_value(request.headers, "content-type")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == FIELDS_TYPE or (_JSON_TYPE.fullmatch(media_type) and parse_json(request.body) is not None):
        return request
    parts = parse_multipart(content_type, request.body) or [("", "", request.body)]
    return replace(request, body=b"", form=tuple(FormPart(*part) for part in parts))


def _without(headers: Headers, *names: str) -> Headers:
    return tuple((name, value) for name, value in headers if name not in names)
