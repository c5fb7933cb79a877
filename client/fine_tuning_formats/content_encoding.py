"""Bodies without the compression that their Content-Encoding names."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from importlib import import_module


class ContentEncodingError(ValueError):
    """A body that cannot be decompressed, by its ``coding``; ``is_known`` tells whether anything installed could."""

    def __init__(self, coding: str, reason: str, *, is_known: bool) -> None:
        super().__init__(f"cannot undo content-encoding {coding!r}: {reason}")
        self.coding = coding
        self.reason = reason
        self.is_known = is_known


def decompress(body: bytes, content_encoding: str) -> bytes:
    """Undo the codings of a Content-Encoding header, the last first.

    Raises:
        ContentEncodingError: A coding is unknown, or the body is not compressed by it.
    """
    for coding in reversed([each.strip().lower() for each in content_encoding.split(",") if each.strip()]):
        undo = _CODINGS.get(coding)
        if undo is None:
            raise ContentEncodingError(coding, "it is unknown", is_known=False)
        try:
            body = undo(body)
        except ModuleNotFoundError as error:
            raise ContentEncodingError(coding, str(error), is_known=False) from None
        except Exception as error:  # each library has errors of its own
            raise ContentEncodingError(coding, str(error), is_known=True) from None
    return body


def _inflate(body: bytes) -> bytes:
    try:
        return zlib.decompress(body)
    except zlib.error:
        return zlib.decompress(body, -zlib.MAX_WBITS)  # without the header that RFC 9110 wants, as some servers send it


def _brotli(body: bytes) -> bytes:
    plain: bytes = import_module("brotli").decompress(body)
    return plain


_CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.decompress,
    "x-gzip": gzip.decompress,
    "deflate": _inflate,
    "br": _brotli,
}
