"""The request log of an account in a store: what all servers have answered, in one order."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from ..stores import Store
from .log_format import read_entry, write_entry
from .request_log import ENTRIES_AT_MOST, LogEntry, RequestLog, StoredLog, secrets_of


class StoredRequestLog(RequestLog):
    """The last `ENTRIES_AT_MOST` requests to an account, whatever server has answered them.

    An entry gets its number when it is put into the store, before it is answered. The ids of requests are derived from
    a count of this server's own. How far usage errors were read, and what was slept, each server knows for itself.

    Args:
        store: the store.
        account: the account's name there.
        generation: its generation.
        worker: the number of this server among those of one command, from 0.
        stored: entries that the generation begins with.
    """

    def __init__(
        self, store: Store, account: str, generation: int, worker: int = 0, stored: StoredLog | None = None
    ) -> None:
        super().__init__()
        self._store, self._account, self._generation, self._worker = store, account, generation, worker
        if stored:
            self._go_on_from(stored)
            for entry in stored.entries:
                store.put_entry(account, generation, entry.number, self._write(entry))
        self._read_to = 0
        self._ordinal = self.count

    def _write(self, entry: LogEntry) -> bytes:
        return write_entry(entry, secrets_of([entry]))

    def next_number(self) -> int:
        """Return 0: the number comes from the store."""
        return 0

    def request_ordinal(self, entry: LogEntry) -> int | str:
        """Return what the id of the next request is derived from: a count, and a worker after the first."""
        with self._lock:
            self._ordinal += 1
            return f"{self._worker}/{self._ordinal}" if self._worker else self._ordinal

    def add(self, entry: LogEntry) -> None:
        """Put an entry into the store, which gives it its number."""
        entry.number = self._store.add_entry(self._account, self._generation, self._write(entry))

    def update(self, entry: LogEntry) -> None:
        """Put an entry into the store again, with what was added to it."""
        self._store.put_entry(self._account, self._generation, entry.number, self._write(entry))

    @property
    def count(self) -> int:
        """How many requests have come in."""
        self._refresh()
        return self._count

    @property
    def completed(self) -> int:
        """How many requests were answered, by whatever server."""
        return self.count

    @property
    def forgotten(self) -> int:
        """How many requests are not kept any more."""
        self._refresh()
        return self._forgotten

    def store(self) -> StoredLog:
        """Return what is in the log."""
        self._refresh()
        return super().store()

    def find(self, operation: str | None = None, status: int | None = None, limit: int | None = None) -> list[LogEntry]:
        """Return the newest *limit* entries of an operation, with a status; newest last."""
        self._refresh()
        return super().find(operation, status, limit)

    def _refresh(self) -> None:
        """Read what is new in the store; entries whose answer was pending are read again."""
        with self._lock:
            known = deque((entry for entry in self._entries if entry.number <= self._read_to), ENTRIES_AT_MOST)
            found = self._store.entries(self._account, self._generation, self._read_to)
            for number, line in found:
                known.append(replace(read_entry(line, 0.0), number=number))
            self._entries = known
            if known:
                self._count = known[-1].number
                self._forgotten = self._count - len(known)
                pending = (entry.number for entry in known if entry.timing is None)
                self._read_to = next(pending, self._count + 1) - 1
