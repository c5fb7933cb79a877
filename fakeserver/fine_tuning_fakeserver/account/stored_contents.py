"""Contents of files in a store, and the journal that notes which of them are needed no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from weakref import WeakKeyDictionary

from ..stores import Store, StoreError
from .blobs import CHUNK_BYTES, Blob, DroppedContentError
from .service import MemoryJournal


class StoredBlob(Blob):
    """Bytes in a store."""

    __slots__ = ("_digest", "_store")

    def __init__(self, store: Store, digest: str, size: int) -> None:
        super().__init__(b"", size=size)
        self._store, self._digest = store, digest

    @property
    def is_dropped(self) -> bool:
        """Whether its bytes are gone, and only their number is left."""
        return not self._store.has_blob(self._digest)

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Yield all bytes, in pieces of at most *size*.

        Raises:
            DroppedContentError: they were dropped.
            StoreError: the store has another number of them.
        """
        if self.is_dropped:
            raise DroppedContentError(f"the {self.size} bytes were dropped when their file or upload ended")
        found = 0
        for chunk in self._store.get_blob(self._digest):
            found += len(chunk)
            for offset in range(0, len(chunk), size):
                yield chunk[offset : offset + size]
        if found != self.size:
            raise StoreError(f"the store has {found} bytes of the contents {self._digest}, which are {self.size}")


class StoredJournal(MemoryJournal):
    """A journal whose records are also in a store, and which notes what the store need not keep any more.

    Attributes:
        dropped: the files and uploads whose contents were dropped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[str] = []

    def drop_contents(self, owners: Iterable[str]) -> None:
        """Drop the contents of these files and uploads, which are over, but for their sizes."""
        over = list(owners)
        super().drop_contents(over)
        self.dropped += over


class StoredContents:
    """Writes and reads the contents of records in a store, for `record_format`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._digests: WeakKeyDictionary[Blob, str] = WeakKeyDictionary()

    def put(self, content: Blob) -> str:
        """Keep the bytes, if they are not there yet; return their sha256 in hexadecimal digits."""
        if isinstance(content, StoredBlob):
            return content._digest
        if known := self._digests.get(content):
            return known
        digest = sha256()
        for chunk in content.chunks():
            digest.update(chunk)
        name = digest.hexdigest()
        if not self._store.has_blob(name):
            self._store.put_blob(name, content.chunks())
        self._digests[content] = name
        return name

    def put_again(self, digest: str, content: Blob) -> None:
        """Keep bytes again that were put and dropped."""
        self._store.put_blob(digest, content.chunks())

    def get(self, digest: str, size: int) -> Blob:
        """Return the bytes; they are read when they are needed."""
        return StoredBlob(self._store, digest, size)
