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
from .store import CHUNK_BYTES, ENTRIES_AT_MOST, WAIT_AT_MOST_S, StoreError

SYNCHRONOUS = ("full", "normal")
UNUSED_FOR_S = 3600.0
"""How old bytes are that no account uses when they are dropped: until then a request may be about to use them."""

LOG_TABLES = """
CREATE TABLE IF NOT EXISTS entry_count (
    account TEXT NOT NULL, generation INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (account, generation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    account TEXT NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (account, generation, number)
);
"""


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
    head_sql = (
        "SELECT (SELECT generation FROM account WHERE name = :account), (SELECT seq FROM record "
        "WHERE account = :account AND generation = (SELECT generation FROM account WHERE name = :account) "
        "ORDER BY seq DESC LIMIT 1), unix_time()"
    )

    def __init__(self, path: str | os.PathLike[str], synchronous: str = "full") -> None:
        super().__init__()
        self._path, self._synchronous = Path(path), synchronous
        self._blobs = self._path.parent / "blobs"
        self._log = Connections()
        try:
            self._blobs.mkdir(parents=True, exist_ok=True)
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
        if parts.netloc or path in ("", "/") or options:
            raise wrong_value("store", "sqlite:///PATH, with ?synchronous=normal or nothing", url)
        if synchronous not in SYNCHRONOUS:
            raise wrong_value("synchronous of the store", " or ".join(SYNCHRONOUS), synchronous)
        return cls(path, synchronous)

    def _connect(self) -> Any:
        return self._open(self._path, self._synchronous)

    def _open(self, path: Path, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=WAIT_AT_MOST_S, isolation_level=None, check_same_thread=False)
        try:
            connection.create_function("unix_time", 0, real_time)
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
            for statement in TABLES.format(bytes="BLOB", clustered=" WITHOUT ROWID").split(";\n"):
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
        with self._log_session() as connection:
            connection.execute("BEGIN IMMEDIATE")
            (number,) = connection.execute(
                "INSERT INTO entry_count VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
                (account, generation),
            ).fetchone()
            connection.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", (account, generation, number, line))
            if number > ENTRIES_AT_MOST:
                oldest = (account, generation, number - ENTRIES_AT_MOST)
                connection.execute("DELETE FROM entry WHERE account = ? AND generation = ? AND number <= ?", oldest)
            connection.execute("COMMIT")
        return int(number)

    def put_entry(self, account: str, generation: int, number: int, line: bytes) -> None:
        """Add or replace the entry of this number."""
        with self._log_session() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "INSERT INTO entry_count VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
                (account, generation, number),
            )
            connection.execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", (account, generation, number, line))
            connection.execute("COMMIT")

    def entries(self, account: str, generation: int, after: int = 0) -> list[tuple[int, bytes]]:
        """Return the entries with a higher number than *after*, with their numbers, in order."""
        statement = "SELECT number, body FROM entry WHERE account = ? AND generation = ? AND number > ? ORDER BY number"
        with self._log_session() as connection:
            return list(connection.execute(statement, (account, generation, after)))

    def _forget_entries(self, account: str) -> None:
        with self._log_session() as connection:
            for table in ("entry", "entry_count"):
                connection.execute(f"DELETE FROM {table} WHERE account = ?", (account,))

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._log.close()
