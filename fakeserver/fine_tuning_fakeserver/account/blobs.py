"""The bytes of a file: in memory while small, on disk past a threshold."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator

from fine_tuning_formats.row_rules import OPENAI_DATA, DataRules
from fine_tuning_formats.token_estimate import ESTIMATE, TokenCounter
from fine_tuning_formats.training_file import MAX_LINE_BYTES, NotJsonlError

from ..domain.job_spec import Dataset, count_tokens, read_dataset
from ..usage_errors import FakeUsageError

IN_MEMORY_AT_MOST = 1024 * 1024
CHUNK_BYTES = 256 * 1024
MUCH_BYTES = 64 * 1024
"""From this size on a file takes long enough to read (some ms) that others should not have to wait for it."""


class StorageError(OSError):
    """A blob could not be put on disk; it has the number and the text of the system's error."""


class DroppedContentError(FakeUsageError, LookupError):
    """The bytes are not there any more; only their number is."""


class Blob:
    """Bytes that can be read any number of times; made by `BlobWriter.seal` or `Blob.of`.

    Its memory, or its disk and descriptor, are free once nothing refers to it.
    """

    __slots__ = ("__weakref__", "_bytes", "_descriptor", "_parsed", "_tokens", "size")

    def __init__(self, data: bytes, descriptor: int | None = None, size: int | None = None) -> None:
        self._bytes = data
        self._descriptor = descriptor
        self.size = len(data) if size is None else size
        self._parsed: tuple[DataRules, Dataset | str] | None = None
        self._tokens: dict[TokenCounter, int] = {}

    @classmethod
    def of(cls, data: bytes) -> Blob:
        """Return a blob of *data*, in memory."""
        return cls(data)

    @classmethod
    def dropped(cls, size: int) -> Blob:
        """Return what is left of a blob of *size* bytes whose content was dropped: it cannot be read."""
        return cls(b"", size=size)

    @property
    def is_dropped(self) -> bool:
        """Whether its bytes are gone, and only their number is left."""
        return self._descriptor is None and len(self._bytes) < self.size

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Yield all bytes, in pieces of at most *size*.

        Raises:
            DroppedContentError: they were dropped.
        """
        if self.is_dropped:
            raise DroppedContentError(
                f"the {self.size} bytes were dropped when their file or upload ended, or when the account was saved"
            )
        for offset in range(0, self.size, size):
            if self._descriptor is None:
                yield self._bytes[offset : offset + size]
            else:
                yield os.pread(self._descriptor, size, offset)

    def read(self) -> bytes:
        """Return all bytes at once."""
        return b"".join(self.chunks())

    def blocks(self, at_most: int) -> Iterator[bytes]:
        """Yield the lines, several at a time: those that end in one chunk, without the last line feed.

        A line longer than *at_most* bytes is cut, and the last.
        """
        rest = b""
        for chunk in self.chunks():
            whole, feed, rest = (rest + chunk).rpartition(b"\n")
            if feed:
                yield whole
            if len(rest) > at_most:
                break
        if rest:
            yield rest

    def lines(self, at_most: int) -> Iterator[bytes]:
        """Yield the lines, without their line feeds; one longer than *at_most* bytes is cut, and the last."""
        for block in self.blocks(at_most):
            yield from block.split(b"\n")

    def dataset(self, rules: DataRules = OPENAI_DATA) -> Dataset:
        """Return the content as a training file; it is parsed once by the same rules, which needs no lock.

        The tokens of a large one are left to `count_tokens`, which takes several times as long.

        Raises:
            NotJsonlError: it is not a training file.
        """
        if self._parsed is None or self._parsed[0] != rules:
            counter = ESTIMATE if self.size < MUCH_BYTES else None
            try:
                self._parsed = (rules, read_dataset(self.blocks(MAX_LINE_BYTES), rules, counter))
            except NotJsonlError as error:
                self._parsed = (rules, str(error))  # the exception itself would refer, by its traceback, to this blob
        _, parsed = self._parsed
        if isinstance(parsed, str):
            raise NotJsonlError(parsed)
        return parsed

    def count_tokens(self, counter: TokenCounter) -> int:
        """Return the tokens of a training file; they are counted once by the same counter, which needs no lock.

        Raises:
            DroppedContentError: the bytes were dropped.
        """
        if counter not in self._tokens:
            self._tokens[counter] = count_tokens(self.blocks(MAX_LINE_BYTES), counter)
        return self._tokens[counter]

    def has_counted(self, counter: TokenCounter) -> bool:
        """Return whether the tokens were counted by this counter."""
        return counter in self._tokens


class BlobWriter:
    """Collects bytes, in memory or, past `IN_MEMORY_AT_MOST`, in an unnamed file on disk."""

    def __init__(self) -> None:
        self.size = 0
        self._memory = bytearray()
        self._descriptor: int | None = None
        self._release: weakref.finalize[[int], BlobWriter] | None = None

    def write(self, data: bytes) -> None:
        """Append *data*.

        Raises:
            StorageError: the disk has no room for it.
        """
        self.size += len(data)
        self._memory += data
        if len(self._memory) > IN_MEMORY_AT_MOST:
            self._flush()

    def _flush(self) -> None:
        try:
            if self._descriptor is None:
                with tempfile.TemporaryFile() as file:
                    self._descriptor = os.dup(file.fileno())
                self._release = weakref.finalize(self, os.close, self._descriptor)
            view = memoryview(self._memory)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise StorageError(error.errno, error.strerror) from None
        self._memory = bytearray()

    def seal(self) -> Blob:
        """Return what was written; the writer cannot be used any more.

        Raises:
            StorageError: the disk has no room for it.
        """
        if self._descriptor is None:
            return Blob.of(bytes(self._memory))
        self._flush()
        content = Blob(b"", self._descriptor, self.size)
        if self._release:
            self._release.detach()
        weakref.finalize(content, os.close, self._descriptor)
        return content
