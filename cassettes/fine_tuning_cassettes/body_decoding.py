"""Bodies without their compression: what is compressed can be neither searched nor read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module

from .errors import CassetteError
from .messages import Request, Response, header

SAMPLE = 4096
"""How many characters are looked at."""


def decode_body(answer: Response, url: str) -> Response:
    """*answer* with its body as it is meant, and headers that say so.

    Raises:
        CassetteError: it is compressed in a way that nothing installed can undo.
    """
    if _is_text(answer.body):  # some libraries hand over what they have undone, and the header as it was
        return replace(answer, headers=tuple(each for each in answer.headers if each[0] != "content-encoding"))
    codings = [each.strip().lower() for each in header(answer.headers, "content-encoding").split(",") if each.strip()]
    body = answer.body
    for coding in reversed(codings):
        body = _without(coding, body, url)
    if not codings:
        return answer
    headers = tuple(each for each in answer.headers if each[0] not in ("content-encoding", "content-length"))
    return replace(answer, headers=(*headers, ("content-length", str(len(body)))), body=body)


def decode_request_body(asked: Request) -> Request:
    """*asked* with its body as it is meant; what cannot be undone stays, and will count as a file."""
    answer = Response(0, "", asked.headers, asked.body)
    with suppress(CassetteError):
        answer = decode_body(answer, asked.uri)
    return replace(asked, headers=answer.headers, body=answer.body)


def _is_text(body: bytes) -> bool:
    """Whether *body* is plain text: what is compressed is not, from its first bytes on."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each in "\t\r\n" for each in text[:SAMPLE])


def _without(coding: str, body: bytes, url: str) -> bytes:
    undo = _UNDO.get(coding)
    try:
        if undo is not None:
            return undo(body)
    except ModuleNotFoundError:
        pass  # nothing installed can undo it
    except Exception as error:  # each library has errors of its own
        raise CassetteError(f"the answer of {url} says that it is {coding}, and it is not: {error}") from None
    raise CassetteError(
        f"the answer of {url} is compressed by {coding!r}, and cannot be searched for secrets: nothing is written. "
        "Record with the request header accept-encoding: gzip"
    )


def _inflate(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return zlib.decompress(body, -zlib.MAX_WBITS)  # without the header that RFC 9110 wants, as some servers send it


def _brotli(body: bytes) -> bytes:
    plain: bytes = import_module("brotli").decompress(body)
    return plain


_UNDO: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": lambda body: zlib.decompress(body, zlib.MAX_WBITS | 16),
    "x-gzip": lambda body: zlib.decompress(body, zlib.MAX_WBITS | 16),
    "deflate": _inflate,
    "br": _brotli,
}
