"""A store in an SQLite file, for the processes of one machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fine_tuning_formats.atomic_files import replacing

from ..clock import real_time
from ..usage_errors import FakeUsageError, wrong_value
from ..version import VERSION
from .sql_store import SCHEMA_VERSION, TABLES, Connections, SqlStore
from .store import CHUNK_BYTES, ENTRIES_AT_MOST, WAIT_AT_MOST_S, Head, StoreError

SYNCHRONOUS = ("full", "normal")
UNUSED_FOR_S = 3600.0
"""How old bytes are that no account uses when they are dropped: until then a request may be about to use them."""

LOG_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    account TEXT NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (account, generation, number)
);
"""
FORGOTTEN_AT_ONCE = 100
"""So many entries of a request log are forgotten together, which is cheaper."""


HEAD = (
    "SELECT generation, (SELECT max(seq) FROM record WHERE account = name AND record.generation = account.generation) "
    "FROM account WHERE name = ?"
)
ADD_ENTRY = (
    "INSERT INTO entry SELECT :account, :generation, coalesce(max(number), 0) + 1, :line FROM entry "
    "WHERE account = :account AND generation = :generation RETURNING number"
)
FORGET_ENTRIES = "DELETE FROM entry WHERE account = ? AND generation = ? AND number <= ?"
NEWEST_ENTRIES = (
    "SELECT number, body FROM entry WHERE account = ? AND generation = ? AND number > ? ORDER BY number DESC LIMIT ?"
)


class SqliteStore(SqlStore):
    """Accounts in an SQLite file, their contents as files in the folder ``blobs`` beside it.

    The request log is in a file of its own, ``requests.db``, which is not flushed to the disk.

    Args:
        path: the file; its folder is made.
        synchronous: ``full``: what is committed outlasts a power cut; ``normal``: the last commits may not, which is
            faster.

    Raises:
        FakeUsageError: the file cannot be opened, is something else, or a newer version has made it.
    """

    errors = (sqlite3.Error,)
    integrity_error = sqlite3.IntegrityError

    def __init__(self, path: str | os.PathLike[str], synchronous: str = "full") -> None:
        super().__init__()
        self._path, self._synchronous = Path(path), synchronous
        self._blobs = self._path.parent / "blobs"
        self._log = Connections()
        try:
            self._blobs.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._blobs.mkdir(mode=0o700, exist_ok=True)
            with self._session() as connection:
                self._make_tables(connection)
            with self._log_session() as connection:
                connection.executescript(LOG_TABLES)
        except OSError as error:
            raise FakeUsageError(
                f"the folder of the store cannot be used: {self._path.parent}: {error.strerror}"
            ) from None
        except FakeUsageError:
            self.close()
            raise
        self._sweep()

    @classmethod
    def of_url(cls, url: str) -> SqliteStore:
        """Open the file of a URL, ``sqlite:///PATH``."""
        parts = urlsplit(url)
        path = unquote(parts.path).removeprefix("/") if parts.path.startswith("//") else unquote(parts.path)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        synchronous = options.pop("synchronous", "full")
        if parts.netloc or parts.fragment or path in ("", "/") or options:
            raise wrong_value("store", "sqlite:///PATH, with ?synchronous=normal or nothing", url)
        if synchronous not in SYNCHRONOUS:
            raise wrong_value("synchronous of the store", " or ".join(SYNCHRONOUS), synchronous)
        return cls(path, synchronous)

    def _connect(self) -> Any:
        return self._open(self._path, self._synchronous)

    def _open(self, path: Path, synchronous: str) -> sqlite3.Connection:
        # secrets of webhooks and training data are in it: what SQLite puts beside it has the same mode
        with suppress(FileExistsError, OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(path, timeout=WAIT_AT_MOST_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: Any) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                (version,) = connection.execute("SELECT max(version) FROM meta").fetchone()
                if version is not None and version > SCHEMA_VERSION:
                    raise FakeUsageError(
                        f"a newer fake-fine-tuning has written the store {self._path}, this is {VERSION}: upgrade it"
                    )
            for statement in TABLES.format(bytes="BLOB").split(";\n"):
                connection.execute(statement)
            if not connection.execute("SELECT 1 FROM meta").fetchone():
                connection.execute("INSERT INTO meta VALUES (?, 0)", (SCHEMA_VERSION,))
        except BaseException:
            self._roll_back(connection)
            raise
        connection.execute("COMMIT")

    def _begin_turn(self, account: str) -> Any:
        connection = self._connections.take() or self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _transaction(self) -> Generator[Any, None, None]:
        if getattr(self._turn, "connection", None) is not None:
            with self._explained():
                yield self._turn.connection
            return
        with self.exclusive(""), self._explained():
            yield self._turn.connection

    def _explain(self, error: Exception) -> str:
        if "locked" in str(error):
            return f"{self._path} is locked by another process for more than {WAIT_AT_MOST_S:g} seconds"
        return f"{self._path} cannot be used: {error}"

    def head(self, account: str) -> Head:
        """Return how far the account's records go."""
        connection = getattr(self._turn, "connection", None)
        try:
            if connection is not None:
                row = connection.execute(HEAD, (account,)).fetchone()
            else:  # each request does this
                connection = self._connections.take() or self._connect()
                row = connection.execute(HEAD, (account,)).fetchone()
                self._connections.give_back(connection)
        except sqlite3.Error as error:
            raise StoreError(f"the store {self._explain(error)}") from error
        return Head(row[0], row[1] or 0, real_time()) if row else Head(0, 0, real_time())

    # ---- contents

    def _blob(self, digest: str) -> Path:
        return self._blobs / digest

    def put_blob(self, digest: str, chunks: Iterable[bytes]) -> None:
        """Keep bytes by their digest; without a use they may be dropped after an hour."""
        try:
            with replacing(self._blob(digest)) as file:
                for chunk in chunks:
                    file.write(chunk)
        except OSError as error:
            raise StoreError(f"the store {self._path} cannot keep contents: {error.strerror}") from None

    def has_blob(self, digest: str) -> bool:
        """Return whether these bytes are kept."""
        return self._blob(digest).is_file()

    def get_blob(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes, in pieces of at most `CHUNK_BYTES`.

        Raises:
            StoreError: they are not kept.
        """
        try:
            with self._blob(digest).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise StoreError(f"the store {self._path} has no contents {digest}: {error.strerror}") from None

    def _drop_unused_blobs(self, digests: Sequence[str]) -> None:
        with self.exclusive(""):  # so that nobody begins to use one meanwhile
            for digest in set(digests):
                statement = "SELECT 1 FROM blob_use WHERE digest = ?"
                if not self._turn.connection.execute(statement, (digest,)).fetchone():
                    self._blob(digest).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Drop what a process has left behind that ended while it kept contents."""
        before = real_time() - UNUSED_FOR_S
        names = []
        for path in self._blobs.iterdir():
            with suppress(OSError):  # another process may do the same
                if path.stat().st_mtime < before:
                    names.append(path.name)
        if names:
            self._drop_unused_blobs(names)

    # ---- the request log

    @contextmanager
    def _log_session(self) -> Generator[Any, None, None]:
        with self._explained():
            connection = self._log.take() or self._open(self._path.parent / "requests.db", "off")
            is_usable = False
            try:
                yield connection
                is_usable = True
            finally:
                if is_usable:
                    self._log.give_back(connection)
                else:
                    connection.close()

    def add_entry(self, account: str, generation: int, line: bytes) -> int:
        """Add an entry to the request log, and forget the oldest if there are too many; return its number, from 1."""
        values = {"account": account, "generation": generation, "line": line}
        with self._log_session() as connection:
            (number,) = connection.execute(ADD_ENTRY, values).fetchone()
            if number % FORGOTTEN_AT_ONCE == 0:
                connection.execute(FORGET_ENTRIES, (account, generation, number - ENTRIES_AT_MOST))
        return int(number)

    def put_entry(self, account: str, generation: int, number: int, line: bytes) -> None:
        """Add or replace the entry of this number."""
        with self._log_session() as connection:
            connection.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", (account, generation, number, line))

    def entries(self, account: str, generation: int, after: int = 0) -> list[tuple[int, bytes]]:
        """Return the entries with a higher number than *after*, with their numbers, in order."""
        with self._log_session() as connection:
            found = list(connection.execute(NEWEST_ENTRIES, (account, generation, after, ENTRIES_AT_MOST)))
        newest = found[0][0] if found else 0
        return [entry for entry in reversed(found) if entry[0] > newest - ENTRIES_AT_MOST]

    def _forget_entries(self, account: str) -> None:
        with self._log_session() as connection:
            connection.execute("DELETE FROM entry WHERE account = ?", (account,))

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._log.close()
