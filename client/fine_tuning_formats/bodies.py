"""Bodies of requests and responses: decompress them, parse and write multipart forms."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.message import Message
from email.parser import HeaderParser
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

MEDIA_TYPE = "multipart/form-data"


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


def _decompress_zstd(body: bytes) -> bytes:
    library = _import_first("compression.zstd", "backports.zstd", "zstandard")
    if library.__name__ != "zstandard":
        return bytes(library.decompress(body))
    content = b""
    while body:  # zstandard reads one frame of several, and takes one that was cut short
        frame = library.ZstdDecompressor().decompressobj()
        content += frame.decompress(body)
        if not frame.eof:
            raise ValueError("it was cut short")
        body = frame.unused_data
    return content


def _import_first(*names: str) -> Any:
    """Import the first of several libraries that is installed: whichever the client that asked for a coding has.

    Raises:
        ModuleNotFoundError: none is.
    """
    for name in names:
        with suppress(ModuleNotFoundError):
            return import_module(name)
    raise ModuleNotFoundError(f"none of {', '.join(names)} is installed")


_CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.decompress,
    "x-gzip": gzip.decompress,
    "deflate": _inflate,
    "br": lambda body: _import_first("brotli", "brotlicffi").decompress(body),
    "zstd": _decompress_zstd,
}


class MultipartPart(NamedTuple):
    """One part of a form; only files have a ``filename``."""

    name: str
    filename: str | None
    content: bytes


def multipart_boundary(content_type: str) -> str | None:
    """Return the boundary that a Content-Type names; None for anything but a form with one."""
    boundary = _parse_headers(f"content-type: {content_type}").get_boundary()
    return boundary if boundary and content_type.lower().startswith(MEDIA_TYPE) else None


def parse_multipart(content_type: str, body: bytes) -> tuple[MultipartPart, ...] | None:
    """Return the parts of a form in their order; None if *content_type* or *body* is not one."""
    boundary = multipart_boundary(content_type)
    if boundary is None:
        return None
    # A boundary is at the beginning of a line, and the line end before it is not content.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        return None
    parts = []
    for piece in pieces[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        headers = _parse_headers(head.decode("utf-8", "replace").strip("\r\n"))  # names may be UTF-8 as they are
        name = headers.get_param("name", "", "content-disposition")
        filename = headers.get_filename()
        if filename is not None and not isinstance(headers.get_param("filename", None, "content-disposition"), tuple):
            filename = unquote(filename)  # browsers, and httpx, escape quotes so; an extended name is decoded by now
        parts.append(MultipartPart(str(name[-1] if isinstance(name, tuple) else name), filename, content))
    return tuple(parts)


def write_multipart(parts: Iterable[MultipartPart], boundary: str) -> bytes:
    """Return the body that `parse_multipart` reads; a file name that is not plain is written as an extended one."""
    delimiter = b"--" + boundary.encode("latin-1")
    lines: list[bytes] = []
    for name, filename, content in parts:
        disposition = f'Content-Disposition: form-data; name="{name}"'
        if filename is not None and filename.isascii() and filename.isprintable() and not set('"\\%') & set(filename):
            disposition += f'; filename="{filename}"'
        elif filename is not None:
            disposition += f"; filename*=utf-8''{quote(filename, safe='')}"
        lines += [delimiter, disposition.encode(), b"", content]
    return b"\r\n".join([*lines, delimiter + b"--", b""])


def _parse_headers(text: str) -> Message:
    return HeaderParser().parsestr(text)
