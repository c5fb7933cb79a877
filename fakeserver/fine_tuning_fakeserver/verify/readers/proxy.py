"""Recordings of the Azure SDK's test proxy: JSON bodies are kept parsed, in wire order, numbers as they were spelt."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

import orjson

from ..recording import Json, RecordedExchange, answer_of, headers_of


def exchanges(document: Json, text: str) -> Iterator[RecordedExchange]:
    """The exchanges of the recording whose *text* was parsed into *document*."""
    # Numbers are read a second time, as text: the proxy keeps their spelling, and parsing loses it.
    spelt = json.loads(text, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
    for number, (entry, literal) in enumerate(zip(document["Entries"], spelt["Entries"], strict=True)):
        yield _exchange(number, entry, literal)


def _exchange(number: int, entry: Json, literal: Json) -> RecordedExchange:
    asked, headers = headers_of(entry["RequestHeaders"].items()), headers_of(entry["ResponseHeaders"].items())
    length = headers.get("content-length")
    body = _body(literal.get("ResponseBody"), headers)
    if length == str(len(body) + 1):
        body += b"\n"
    return RecordedExchange(
        number=number,
        method=entry["RequestMethod"].upper(),
        url=entry["RequestUri"],
        request_headers=asked,
        request_body=_asked(entry.get("RequestBody"), asked),
        status=int(entry["StatusCode"]),
        headers=headers,
        body=body,
        answer=answer_of(body, headers),
        end_is_known=length == str(len(body)),
    )


def _asked(value: Any, headers: dict[str, str]) -> bytes | None:
    """The request's body, written as that client writes it; None for one that was not kept."""
    if value is None:
        return None if headers.get("content-length", "0") != "0" else b""
    if isinstance(value, str):
        return _text(value, headers)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _body(value: Any, headers: dict[str, str]) -> bytes:
    """The answer's body: what was kept parsed is written as the service writes it."""
    if value is None:
        return b""
    if isinstance(value, str):
        return _text(value, headers)
    if isinstance(value, list) and "json" not in headers.get("content-type", "json"):
        return "".join(value).encode()  # text is kept as its lines
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def _text(value: str, headers: dict[str, str]) -> bytes:
    """Text as it is; of other content the proxy keeps base64."""
    kind = headers.get("content-type", "")
    if kind.startswith("text/") or "json" in kind:
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return value.encode()
