"""HAR files, as browsers and debugging proxies write them. Source: HAR 1.2."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from ..recording import Json, RecordedExchange, answer_of, headers_of
from .decoding import bytes_of


def exchanges(document: Json, text: str) -> Iterator[RecordedExchange]:
    """The exchanges of a HAR file; one that got no answer (status 0) is left out."""
    answered = [entry for entry in document["log"]["entries"] if entry["response"]["status"]]
    for number, entry in enumerate(answered):
        yield _exchange(number, entry["request"], entry["response"])


def _exchange(number: int, request: Json, response: Json) -> RecordedExchange:
    content: Json = response.get("content") or {}
    text = content.get("text") or ""
    body = base64.b64decode(text) if content.get("encoding") == "base64" else bytes_of(text)
    headers = _headers(response)
    return RecordedExchange(
        number=number,
        method=request["method"].upper(),
        url=request["url"],
        request_headers=_headers(request),
        request_body=_asked(request.get("postData")),
        status=int(response["status"]),
        headers=headers,
        body=body,
        answer=answer_of(body, headers),
    )


def _headers(message: Json) -> dict[str, str]:
    return headers_of((each["name"], each["value"]) for each in message.get("headers") or ())


def _asked(posted: Any) -> bytes | None:
    """The request's body; None for a form, whose file a browser does not write down."""
    if not posted:
        return b""
    text = posted.get("text")
    if "multipart" in posted.get("mimeType", "") and (not text or posted.get("params")):
        return None
    return bytes_of(text)
