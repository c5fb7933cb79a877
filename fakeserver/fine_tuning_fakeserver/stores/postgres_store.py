"""A store in PostgreSQL, for servers on several machines."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, TypeVar

import psycopg

from ..clock import wait
from ..usage_errors import FakeUsageError
from ..version import VERSION
from .sql_store import SCHEMA_VERSION, TABLES, SqlStore
from .store import ENTRIES_AT_MOST, WAIT_AT_MOST_S, Head, StoreError

T = TypeVar("T")

OTHER_TABLES = """
CREATE TABLE IF NOT EXISTS blob (
    digest TEXT NOT NULL, part INTEGER NOT NULL, body BYTEA NOT NULL, kept_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (digest, part)
);
CREATE UNLOGGED TABLE IF NOT EXISTS entry_count (
    account TEXT NOT NULL, generation BIGINT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (account, generation)
);
CREATE UNLOGGED TABLE IF NOT EXISTS entry (
    account TEXT NOT NULL, generation BIGINT NOT NULL, number BIGINT NOT NULL, body BYTEA NOT NULL,
    PRIMARY KEY (account, generation, number)
);
"""
RETRY_AFTER_S = 0.1
CONNECT_WITHIN_S = 5

_UNUSED = "NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_use.digest = blob.digest)"


def _lock_key(name: str) -> int:
    """Return the key of an advisory lock: PostgreSQL has one space of 64-bit numbers for a database."""
    return int.from_bytes(blake2b(f"fake-fine-tuning/{name}".encode(), digest_size=8).digest(), signed=True)


_SCHEMA, _BLOBS = _lock_key("schema"), _lock_key("blobs")


class PostgresStore(SqlStore):
    """Accounts in a PostgreSQL database, of version 12 or newer.

    Tables are made in the first schema of the search path. The request log is in unlogged tables, which are empty after
    a crash of the database.

    Args:
        url: the database's, as libpq reads it.

    Raises:
        FakeUsageError: the database does not answer, or a newer version has made its tables.
    """

    suspends = True
    errors = (psycopg.Error,)
    integrity_error = psycopg.errors.UniqueViolation
    _head_sql = (
        "SELECT generation, (SELECT seq FROM record WHERE account = %(account)s "
        "AND record.generation = known.generation ORDER BY seq DESC LIMIT 1), "
        "extract(epoch FROM clock_timestamp())::float8 "
        "FROM (SELECT (SELECT generation FROM account WHERE name = %(account)s) AS generation) AS known"
    )

    def __init__(self, url: str) -> None:
        super().__init__()
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            text = "store must be a URL as libpq reads it, got one that it does not (not shown: it may have a password)"
            raise FakeUsageError(text) from None
        self._url = url
        try:
            with self._transaction() as connection:
                self._make_tables(connection)
            with self._transaction() as connection:
                connection.execute(f"SELECT pg_advisory_xact_lock({_BLOBS})")
                connection.execute(f"DELETE FROM blob WHERE {_UNUSED} AND kept_at < now() - interval '1 hour'")
        except FakeUsageError:
            self.close()
            raise

    def _make_tables(self, connection: Any) -> None:
        """Make the tables, if they are not there: to make one again, even with IF NOT EXISTS, locks out its users."""
        connection.execute(f"SELECT pg_advisory_xact_lock({_SCHEMA})")
        if connection.execute("SELECT to_regclass('meta')").fetchone()[0] is not None:
            (version,) = connection.execute("SELECT max(version) FROM meta").fetchone()
            if version is not None and version > SCHEMA_VERSION:
                raise FakeUsageError(f"a newer fake-fine-tuning has written the store, this is {VERSION}: upgrade it")
            return
        connection.execute(TABLES.format(bytes="BYTEA") + OTHER_TABLES)
        connection.execute(f"INSERT INTO meta VALUES ({SCHEMA_VERSION}, 0)")

    def _connect(self) -> Any:
        return self._patiently(self._try_to_connect)

    def _try_to_connect(self) -> Any:
        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_WITHIN_S,
            tcp_user_timeout=int(WAIT_AT_MOST_S * 1000),  # a peer that is gone without a word
            keepalives_idle=int(WAIT_AT_MOST_S),
        )

    def _is_alive(self, connection: Any) -> bool:
        """Return whether nothing has come from the database meanwhile: it says nothing unasked but that it goes."""
        return not connection.closed and not _has_input(connection.fileno())

    def _patiently(self, work: Callable[[], T]) -> T:
        """Return the result of *work*, which changes nothing; try again while the database is gone, not for ever."""
        until = time.monotonic() + WAIT_AT_MOST_S
        while True:
            try:
                return work()
            except (psycopg.OperationalError, StoreError) as error:
                cause = error.__cause__ if isinstance(error, StoreError) else error
                if not isinstance(cause, psycopg.OperationalError) or time.monotonic() > until:
                    raise
            self._connections.close_idle()  # they are probably gone, too
            wait(RETRY_AFTER_S)

    def _begin_turn(self, account: str) -> Any:
        return self._patiently(lambda: self._try_to_begin(account))

    def _try_to_begin(self, account: str) -> Any:
        connection = self._connections.take() or self._try_to_connect()
        try:  # in one round trip
            connection.execute(
                f"BEGIN; SET LOCAL lock_timeout = '{WAIT_AT_MOST_S:g}s'; "
                f"SELECT pg_advisory_xact_lock({_lock_key('account/' + account)})"
            )
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _explain(self, error: Exception) -> str:
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return f"has an account that another server keeps locked for more than {WAIT_AT_MOST_S:g} seconds"
        if isinstance(error, psycopg.OperationalError):
            return f"does not answer: {_first_line(error)}"
        return f"cannot be used: {_first_line(error)}"

    def _sql(self, statement: str) -> str:
        return _with_placeholders(statement)

    def head(self, account: str) -> Head:
        """Return how far the account's records go."""
        is_in_turn = getattr(self._turn, "connection", None) is not None
        return self._head(account) if is_in_turn else self._patiently(lambda: self._head(account))

    def _head(self, account: str) -> Head:
        with self._session() as connection:
            generation, seq, now = connection.execute(self._head_sql, {"account": account}).fetchone()
        return Head(generation or 0, seq or 0, now)

    # ---- contents

    def put_blob(self, digest: str, chunks: Iterable[bytes]) -> None:
        """Keep bytes by their digest; without a use they may be dropped after an hour."""
        statement = "INSERT INTO blob (digest, part, body) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
        with self._transaction() as connection:
            empty = True
            for part, chunk in enumerate(chunks):
                connection.execute(statement, (digest, part, chunk))
                empty = False
            if empty:
                connection.execute(statement, (digest, 0, b""))

    def has_blob(self, digest: str) -> bool:
        """Return whether these bytes are kept."""
        with self._session() as connection:
            return connection.execute("SELECT 1 FROM blob WHERE digest = %s LIMIT 1", (digest,)).fetchone() is not None

    def get_blob(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes, in pieces of at most `CHUNK_BYTES`.

        Raises:
            StoreError: they are not kept.
        """
        part, statement = 0, "SELECT body FROM blob WHERE digest = %s AND part = %s"
        while True:
            with self._session() as connection:
                row = connection.execute(statement, (digest, part)).fetchone()
            if row is None and part == 0:
                raise StoreError(f"the store has no contents {digest}")
            if row is None:
                return
            yield bytes(row[0])
            part += 1

    def use_blobs(self, account: str, uses: Iterable[tuple[str, str]]) -> None:
        """Note what an account needs: pairs of a file's or upload's id, and the digest of bytes that it has."""
        if pairs := list(uses):
            with self._transaction() as connection:
                connection.execute(f"SELECT pg_advisory_xact_lock_shared({_BLOBS})")  # see _drop_unused_blobs
                super().use_blobs(account, pairs)

    def _drop_unused_blobs(self, digests: Sequence[str]) -> None:
        with self._transaction() as connection:
            connection.execute(f"SELECT pg_advisory_xact_lock({_BLOBS})")  # nobody begins to use one meanwhile
            connection.execute(f"DELETE FROM blob WHERE digest = ANY(%s) AND {_UNUSED}", (list(digests),))

    # ---- the request log

    def add_entry(self, account: str, generation: int, line: bytes) -> int:
        """Add an entry to the request log, and forget the oldest if there are too many; return its number, from 1."""
        statement = (
            "WITH next AS (INSERT INTO entry_count VALUES (%(account)s, %(generation)s, 1) "
            "ON CONFLICT (account, generation) DO UPDATE SET count = entry_count.count + 1 RETURNING count), "
            "old AS (DELETE FROM entry WHERE account = %(account)s AND generation = %(generation)s "
            f"AND number <= (SELECT count - {ENTRIES_AT_MOST} FROM next)) "
            "INSERT INTO entry SELECT %(account)s, %(generation)s, count, %(line)s FROM next RETURNING number"
        )
        values = {"account": account, "generation": generation, "line": line}
        with self._session() as connection:
            return int(connection.execute(statement, values).fetchone()[0])

    def put_entry(self, account: str, generation: int, number: int, line: bytes) -> None:
        """Add or replace the entry of this number."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO entry_count VALUES (%s, %s, %s) ON CONFLICT (account, generation) "
                "DO UPDATE SET count = greatest(entry_count.count, excluded.count)",
                (account, generation, number),
            )
            connection.execute(
                "INSERT INTO entry VALUES (%s, %s, %s, %s) ON CONFLICT (account, generation, number) "
                "DO UPDATE SET body = excluded.body",
                (account, generation, number, line),
            )

    def entries(self, account: str, generation: int, after: int = 0) -> list[tuple[int, bytes]]:
        """Return the entries with a higher number than *after*, with their numbers, in order."""
        statement = (
            "SELECT number, body FROM entry WHERE account = %s AND generation = %s AND number > %s ORDER BY number"
        )
        with self._session() as connection:
            return [
                (number, bytes(body)) for number, body in connection.execute(statement, (account, generation, after))
            ]

    def _forget_entries(self, account: str) -> None:
        with self._transaction() as connection:
            for table in ("entry", "entry_count"):
                connection.execute(f"DELETE FROM {table} WHERE account = %s", (account,))


@cache
def _with_placeholders(statement: str) -> str:
    return statement.replace("?", "%s")


def _has_input(descriptor: int) -> bool:
    """Return whether there is something to read, or the end of it, without waiting."""
    if not hasattr(select, "poll"):  # Windows, where descriptors of sockets have no limit here
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _first_line(error: Exception) -> str:
    """Return what the library says, without a password that could be in it."""
    return str(error).strip().partition("\n")[0]
