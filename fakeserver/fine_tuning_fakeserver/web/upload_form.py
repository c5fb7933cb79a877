"""Read multipart forms synchronously, chunk by chunk; large files go to disk as they come."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fine_tuning_formats.lazy_dataclass import dataclass

from ..account.blobs import Blob, BlobWriter, StorageError
from ..api_errors import bad_multipart, not_multipart, too_large

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD_BYTES_AT_MOST = 64 * 1024
FILE_PARTS = ("file", "data")
"""Parts that are files with or without a file name (inferred: a client may leave it out)."""
PARTS_AT_MOST = 64

_SILENT = logging.Logger("silent", logging.CRITICAL + 1)
_EXTENDED_NAME = re.compile(r"filename\*=(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)


@dataclass(slots=True)
class UploadPart:
    """One part of a form, with its file name, if any."""

    name: str
    filename: str | None
    content: Blob


@dataclass(slots=True)
class UploadForm:
    """The parts of a form by name; of several with one name the last counts."""

    parts: dict[str, UploadPart] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a part as text; empty if it was not sent."""
        part = self.parts.get(name)
        return part.content.read().decode(errors="replace") if part else ""


class FormReader:
    """Reads one form: `feed` it all chunks, then `finish`.

    After an error the rest is read and dropped, so that the client gets the answer. A form whose Content-Type names no
    boundary has no parts (printed, 2024-10).

    Raises:
        ApiError: the Content-Type is another, or the boundary is impossible.
    """

    def __init__(self, content_type: str, file_bytes_at_most: int) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise not_multipart(content_type)
        boundary = options.get(b"boundary", b"")
        self._has_parts = bool(boundary)
        self._delimiter = b"\n--" + boundary
        self._preamble = b"\n"
        self._started = False
        self._builder = _FormBuilder(file_bytes_at_most)
        try:
            self._parser = MultipartParser(boundary, self._builder.callbacks())
            self._parser.logger = _SILENT
        except FormParserError:
            raise bad_multipart() from None

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk."""
        if self._builder.refuse or not self._has_parts:
            return
        if not self._started:
            # a form may begin with text for people (RFC 2046, 5.1.1)
            self._preamble += chunk
            start = self._preamble.find(self._delimiter) + 1
            self._started = start > 0
            chunk = self._preamble[start:] if self._started else b""
            self._preamble = b"" if self._started else self._preamble[-len(self._delimiter) :]
        try:
            self._parser.write(chunk)
        except FormParserError:
            self._builder.stop(bad_multipart)
        except StorageError as error:
            self._builder.stop(partial(StorageError, *error.args))

    def finish(self) -> UploadForm:
        """Return the whole form.

        Raises:
            ApiError: the form is malformed, incomplete or too large.
            StorageError: there was no room for it.
        """
        if self._builder.refuse:
            raise self._builder.refuse()
        if self._has_parts and not self._builder.is_complete:
            raise bad_multipart()
        return self._builder.form


class _FormBuilder:
    """Makes a form of what the parser finds.

    The parser holds its methods, and it must not hold the parser: what was received would stay in the cycle, on disk,
    until Python's garbage collector comes by. The error, for the same reason, is made where it is raised.

    Attributes:
        form: the parts so far.
        is_complete: whether the closing boundary has come.
        refuse: makes the error of a form that is refused.
    """

    def __init__(self, file_bytes_at_most: int) -> None:
        self.form = UploadForm()
        self.is_complete = False
        self.refuse: Callable[[], Exception] | None = None
        self._file_limit = file_bytes_at_most
        self._limit = FIELD_BYTES_AT_MOST
        self._headers: dict[str, bytes] = {}
        self._options: dict[bytes, bytes] = {}
        self._name = self._value = b""
        self._writer = BlobWriter()

    def callbacks(self) -> MultipartCallbacks:
        """Return what the parser calls."""
        return {
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def stop(self, refuse: Callable[[], Exception]) -> None:
        """Take no more, and let go of what has come."""
        self.refuse = refuse
        self.form = UploadForm()
        self._writer = BlobWriter()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        _, self._options = parse_options_header(self._headers.get("content-disposition", b""))
        is_file = self._filename() is not None or self._part_name() in FILE_PARTS
        self._limit = self._file_limit if is_file else FIELD_BYTES_AT_MOST

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self.refuse:
            return
        self._writer.write(data[start:end])
        if self._writer.size > self._limit:
            self.stop(partial(too_large, self._limit))

    def _end_part(self) -> None:
        if self.refuse:
            return
        if len(self.form.parts) == PARTS_AT_MOST:
            self.stop(bad_multipart)
            return
        name = self._part_name()
        self.form.parts[name] = UploadPart(name, self._filename(), self._writer.seal())
        self._headers = {}
        self._writer = BlobWriter()

    def _end(self) -> None:
        self.is_complete = True

    def _part_name(self) -> str:
        return self._options.get(b"name", b"").decode(errors="replace")

    def _filename(self) -> str | None:
        """Return the part's file name; the extended form, which some clients send, comes before the plain one."""
        disposition = self._headers.get("content-disposition", b"").decode("latin-1")
        if extended := _EXTENDED_NAME.search(disposition):
            return unquote(extended[2], encoding=extended[1], errors="replace")
        plain = self._options.get(b"filename")
        return None if plain is None else plain.decode(errors="replace")
