"""The file of an upload, as the HTTP client reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, UnsupportedOperation
from typing import BinaryIO

from fine_tuning_client.arguments import in_bytes
from fine_tuning_client.effects import FilePart, OnProgress


@contextmanager
def opened(part: FilePart) -> Iterator[ProgressReader]:
    """Open what *part* names; a file that somebody else opened stays open."""
    source = part.source
    if isinstance(source, bytes):
        yield ProgressReader(BytesIO(source), part.on_progress)
    elif isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            yield ProgressReader(file, part.on_progress)
    else:
        yield ProgressReader(source, part.on_progress)


class ProgressReader:
    """A file that tells how much of it was sent.

    The HTTP client asks for the next chunk once it has handed on the one before, so what it has got
    when it asks is what was sent. It has no ``fileno``: the size of a pipe must not be asked of the
    system, which says 0.
    """

    def __init__(self, source: BinaryIO, on_progress: OnProgress | None) -> None:
        self._source = source
        self._on_progress = on_progress
        self._sent = 0
        self._total = self._size()

    def read(self, size: int = -1) -> bytes:
        """Give the next chunk."""
        if self._on_progress is not None:
            self._on_progress(self._sent, self._total)
        chunk = in_bytes(self._source.read(size))
        self._sent += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere else: to the beginning for each attempt, and to the end to learn the size."""
        if not hasattr(self._source, "seek") or (hasattr(self._source, "seekable") and not self._source.seekable()):
            raise UnsupportedOperation("a stream without seek")  # an unbuffered pipe would say OSError
        self._sent = self._source.seek(offset, whence)
        return self._sent

    def tell(self) -> int:
        """Say where the file is."""
        return self._source.tell()

    def _size(self) -> int | None:
        try:
            here = self.tell()
            size = self.seek(0, os.SEEK_END)
            self.seek(here)
        except (AttributeError, OSError):
            return None
        return size
