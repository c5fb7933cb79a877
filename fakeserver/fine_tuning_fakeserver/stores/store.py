"""What an account needs of the place in which it is kept: an append-only list of records, and the bytes beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ..usage_errors import FakeUsageError

ENTRIES_AT_MOST = 1000
"""How many entries of an account's request log are kept."""

CHUNK_BYTES = 256 * 1024
"""How many bytes of a content are read at once."""

WAIT_AT_MOST_S = 10.0
"""How many real seconds a store may be locked by others, or unreachable, before it is an error."""


class StoreError(FakeUsageError):
    """The store does not answer, has no room, or what it has cannot be read."""

    status = 503


class HeadMovedError(Exception):
    """Another process has changed the account since its head was read."""


class Head(NamedTuple):
    """How far the records of an account go.

    Args:
        generation: which of its generations they belong to, from 1; 0: the store has no account of this name.
        seq: how many records it has.
        time: the store's time in Unix seconds.
    """

    generation: int
    seq: int
    time: float


class Store(Protocol):
    """Keeps accounts by name. Each has generations: a reset begins one, which replaces the one before.

    A call that changes something has done so, for good, when it returns; within `exclusive`, when that is left. All may
    be called in any thread. Each raises StoreError where the store does not answer within `WAIT_AT_MOST_S`, or has no
    room.
    """

    @property
    def suspends(self) -> bool:
        """Whether a look at the head takes so long that an event loop should not wait for it."""
        ...

    def head(self, account: str) -> Head:
        """Return how far the account's records go."""
        ...

    def header(self, account: str, generation: int) -> bytes:
        """Return what the generation began with.

        Raises:
            HeadMovedError: it is over.
        """
        ...

    def read(self, account: str, generation: int, after: int = 0) -> list[bytes]:
        """Return the records of a generation but the first *after*.

        Raises:
            HeadMovedError: it is over.
        """
        ...

    def append(self, account: str, generation: int, seq: int, lines: Sequence[bytes]) -> None:
        """Add records after the first *seq*, all or none.

        Raises:
            HeadMovedError: there are more than *seq*, or the generation is over.
        """
        ...

    def begin(self, account: str, generation: int, header: bytes, lines: Iterable[bytes]) -> int:
        """Begin a generation after *generation*, 0 for the first, with these records; return its number.

        No other generation of any account has this number, not even of one that was deleted.

        Raises:
            HeadMovedError: another has begun.
        """
        ...

    def exclusive(self, account: str) -> AbstractContextManager[None]:
        """Keep others from changes of the account, while the context lasts; an exception takes back its changes."""
        ...

    def accounts(self) -> list[str]:
        """Return the names of all accounts, in order."""
        ...

    def delete(self, account: str) -> None:
        """Forget an account, if there is one."""
        ...

    def put_blob(self, digest: str, chunks: Iterable[bytes]) -> None:
        """Keep bytes by their digest; without a use they may be dropped after an hour."""
        ...

    def has_blob(self, digest: str) -> bool:
        """Return whether these bytes are kept."""
        ...

    def get_blob(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes, in pieces of at most `CHUNK_BYTES`.

        Raises:
            StoreError: they are not kept.
        """
        ...

    def use_blobs(self, account: str, uses: Iterable[tuple[str, str]]) -> None:
        """Note what an account needs: pairs of a file's or upload's id, and the digest of bytes that it has."""
        ...

    def drop_blobs(self, account: str, owners: Iterable[str] | None = None) -> None:
        """Note that these files and uploads need no bytes any more, by default all; drop what no account needs."""
        ...

    def add_entry(self, account: str, generation: int, line: bytes) -> int:
        """Add an entry to the request log, and forget the oldest if there are too many; return its number, from 1.

        What was added last may be lost if the machine, or the database, ends without a warning.
        """
        ...

    def put_entry(self, account: str, generation: int, number: int, line: bytes) -> None:
        """Add or replace the entry of this number."""
        ...

    def entries(self, account: str, generation: int, after: int = 0) -> list[tuple[int, bytes]]:
        """Return the entries with a higher number than *after*, with their numbers, in order."""
        ...

    def take_lease(self, account: str, name: str, holder: str, seconds: float) -> bool:
        """Let *holder* have *name* to itself for so many seconds, unless another has it; return whether it has it."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...
