"""Multipart forms, read into parts; and whatever is no JSON, which counts as a file."""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import Message
from email.parser import HeaderParser
from urllib.parse import unquote

from .messages import FormPart, Request, header, parsed

FORM = "multipart/form-data"


_JSON = re.compile(r"(application|text)/([\w.-]+\+)?json|")
_FIELDS = "application/x-www-form-urlencoded"


def opened(asked: Request) -> Request:
    """A request with its form as parts; what is neither a form, nor its like in a URL, nor JSON counts as one file."""
    kind = header(asked.headers, "content-type")
    media = kind.partition(";")[0].strip().lower()
    if asked.form is not None or not asked.body.strip():
        return asked
    if media == _FIELDS or (_JSON.fullmatch(media) and parsed(asked.body) is not None):
        return asked
    return replace(asked, body=b"", form=parts_of(kind, asked.body) or (FormPart("", "", asked.body),))


def parts_of(content_type: str, body: bytes) -> tuple[FormPart, ...] | None:
    """The parts of a form in their order; None where *content_type* speaks of no form, or *body* is none."""
    boundary = _message(f"content-type: {content_type}").get_boundary()
    if not content_type.lower().startswith(FORM) or not boundary:
        return None
    # A boundary is at the beginning of a line, and the line end before it is not content.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"))
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        return None
    return tuple(_part(piece) for piece in pieces[1:-1])


def form_of(parts: tuple[FormPart, ...], boundary: str) -> bytes:
    """*parts* as a body again; of those whose content was not kept there is only the name."""
    lines: list[bytes] = []
    for part in parts:
        named = f'; filename="{part.filename}"' if part.filename is not None else ""
        head = f'Content-Disposition: form-data; name="{part.name}"{named}'.encode()
        lines += [b"--" + boundary.encode(), head, b"", part.content or b""]
    return b"\r\n".join([*lines, b"--" + boundary.encode() + b"--", b""])


def _part(piece: bytes) -> FormPart:
    head, _, content = piece.partition(b"\r\n\r\n")
    # Names may be UTF-8 as they are; the parser wants text.
    told = _message(head.decode("utf-8", "replace").strip("\r\n"))
    name = told.get_param("name", "", "content-disposition")
    filename = told.get_filename()
    return FormPart(_plain(name), unquote(filename) if filename is not None else None, content)


def _plain(value: object) -> str:
    return str(value[-1] if isinstance(value, tuple) else value)


def _message(text: str) -> Message:
    return HeaderParser().parsestr(text)
