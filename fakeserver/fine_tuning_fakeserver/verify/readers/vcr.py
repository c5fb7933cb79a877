"""VCR cassettes, as vcrpy and our own cassettes (`interactions`) and Ruby's VCR (`http_interactions`) write them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from ..recording import Json, RecordedExchange, answer_of, headers_of
from .decoding import bytes_of, unpacked

NAMES = ("interactions", "http_interactions")
BOUNDARY = b"cassette"
"""What our own cassettes say of each form."""


def exchanges(document: Json, text: str) -> Iterator[RecordedExchange]:
    """The exchanges of a cassette."""
    listed = next(document[name] for name in NAMES if name in document)
    for number, each in enumerate(listed):
        yield _exchange(number, each["request"], each["response"])


def _exchange(number: int, request: Json, response: Json) -> RecordedExchange:
    headers = headers_of((response.get("headers") or {}).items())
    # vcrpy kept httpx's answers under names of their own until version 6
    status = response["status"]["code"] if "status" in response else response["status_code"]
    body = unpacked(_bytes(response.get("body", response.get("content"))), headers)
    return RecordedExchange(
        number=number,
        method=request["method"].upper(),
        url=request["uri"],
        request_headers=headers_of((request.get("headers") or {}).items()),
        request_body=_form(request["form"]) if "form" in request else _bytes(request.get("body")),
        status=int(status),
        headers=headers,
        body=body,
        answer=answer_of(body, headers),
    )


def _form(parts: list[Json]) -> bytes | None:
    """A form of our own cassettes, written again; None where digests stand for a file's content."""
    if not all("content" in part for part in parts):
        return None
    lines: list[bytes] = []
    for part in parts:
        named = f'; filename="{part["filename"]}"' if "filename" in part else ""
        head = f'Content-Disposition: form-data; name="{part["name"]}"{named}'
        lines += [b"--" + BOUNDARY, head.encode(), b"", _bytes(part["content"])]
    return b"\r\n".join([*lines, b"--" + BOUNDARY + b"--", b""])


def _bytes(body: Any) -> bytes:
    if not isinstance(body, dict):
        return bytes_of(body)
    if "base64_string" in body:
        return base64.b64decode(body["base64_string"])
    return bytes_of(body.get("string"))
