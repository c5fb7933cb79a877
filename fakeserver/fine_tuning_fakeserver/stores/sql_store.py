"""What stores in SQL databases have in common: tables, statements, and connections that threads take turns with."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from .store import Head, HeadMovedError, StoreError

SCHEMA_VERSION = 1
"""Of the tables; a store of a newer version is refused."""

TABLES = """
CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL, generations BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, generation BIGINT NOT NULL, header {bytes} NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    account TEXT NOT NULL, generation BIGINT NOT NULL, seq BIGINT NOT NULL, body {bytes} NOT NULL,
    PRIMARY KEY (account, generation, seq)
);
CREATE TABLE IF NOT EXISTS blob_use (
    digest TEXT NOT NULL, account TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY KEY (digest, account, owner)
);
CREATE INDEX IF NOT EXISTS blob_use_of_account ON blob_use (account, owner);
CREATE TABLE IF NOT EXISTS lease (
    account TEXT NOT NULL, name TEXT NOT NULL, holder TEXT NOT NULL, until DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (account, name)
);
"""


LEASES_KEPT_S = 3600.0
"""How many seconds after its end a lease is forgotten."""


class Connections:
    """Connections that threads take turns with; each is used by one thread at a time.

    Args:
        is_alive: tells whether one that was idle can still be used.
    """

    def __init__(self, is_alive: Callable[[Any], bool] = lambda connection: True) -> None:
        self._is_alive = is_alive
        self._idle: list[Any] = []
        self._is_closed = False

    def take(self) -> Any:
        """Return a connection that is idle; None if all are in use."""
        while self._idle:
            if self._is_alive(connection := self._idle.pop()):
                return connection
            connection.close()
        return None

    def give_back(self, connection: Any) -> None:
        """Let others use it."""
        if self._is_closed:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close all, those in use when they are given back."""
        self._is_closed = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop().close()


class SqlStore(ABC):
    """A store in a database that takes SQL."""

    suspends = False
    errors: tuple[type[Exception], ...]
    """What the database's library raises."""
    integrity_error: type[Exception]
    """Which of these stands for a key that is there already."""

    def __init__(self) -> None:
        self._connections = Connections(self._is_alive)
        self._turn = threading.local()

    @abstractmethod
    def _connect(self) -> Any:
        """Return a new connection, which commits each statement by itself."""

    def _is_alive(self, connection: Any) -> bool:
        """Return whether a connection that was idle can still be used, as far as this side knows."""
        return True

    @abstractmethod
    def _begin_turn(self, account: str) -> Any:
        """Return a connection with a transaction in which no other process changes the account."""

    @abstractmethod
    def _explain(self, error: Exception) -> str:
        """Return what went wrong, as a part of a sentence."""

    @abstractmethod
    def _drop_unused_blobs(self, digests: Sequence[str]) -> None:
        """Drop those of these bytes that no account uses."""

    def _sql(self, statement: str) -> str:
        """Return a statement with the database's own placeholders."""
        return statement

    @contextmanager
    def _session(self) -> Generator[Any, None, None]:
        """Use a connection: in `exclusive`, that one."""
        if (connection := getattr(self._turn, "connection", None)) is not None:
            with self._explained():
                yield connection
            return
        with self._explained():
            connection = self._connections.take() or self._connect()
        is_usable = True
        try:
            with self._explained():
                yield connection
        except StoreError:
            is_usable = False
            raise
        finally:
            self._let_go(connection, is_usable=is_usable)

    def _let_go(self, connection: Any, *, is_usable: bool) -> None:
        if is_usable:
            self._connections.give_back(connection)
        else:
            connection.close()

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        """Raise what the library raises as errors of ours."""
        try:
            yield
        except self.errors as error:
            raise StoreError(f"the store {self._explain(error)}") from error

    @contextmanager
    def _transaction(self) -> Generator[Any, None, None]:
        """Use a connection for statements of which all take effect, or none."""
        if (connection := getattr(self._turn, "connection", None)) is not None:
            with self._explained():
                yield connection
            return
        with self._session() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            except BaseException:
                self._roll_back(connection)
                raise
            connection.execute("COMMIT")

    def _roll_back(self, connection: Any) -> None:
        try:
            connection.execute("ROLLBACK")
        except self.errors:  # it is gone, or the database has done so by itself
            pass

    @contextmanager
    def exclusive(self, account: str) -> Generator[None, None, None]:
        """Keep others from changes of the account, while the context lasts; an exception takes back its changes."""
        if getattr(self._turn, "connection", None) is not None:
            raise RuntimeError("a thread can have one account to itself at a time")
        with self._explained():
            connection = self._begin_turn(account)
        self._turn.connection, self._turn.unused = connection, []
        is_usable = True
        try:
            yield
            with self._explained():
                connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back(connection)
            is_usable = not isinstance(error, StoreError)
            raise
        finally:
            unused, self._turn.connection = self._turn.unused, None
            self._let_go(connection, is_usable=is_usable)
        if unused:
            with suppress(StoreError, OSError):  # what has changed is kept; what is left here, the next start drops
                self._drop_unused_blobs(unused)

    # ---- records

    @abstractmethod
    def head(self, account: str) -> Head:
        """Return how far the account's records go."""

    def header(self, account: str, generation: int) -> bytes:
        """Return what the generation began with.

        Raises:
            HeadMovedError: it is over.
        """
        statement = self._sql("SELECT header FROM account WHERE name = ? AND generation = ?")
        with self._session() as connection:
            row = connection.execute(statement, (account, generation)).fetchone()
        if row is None:
            raise HeadMovedError
        return bytes(row[0])

    def read(self, account: str, generation: int, after: int = 0) -> list[bytes]:
        """Return the records of a generation but the first *after*.

        Raises:
            HeadMovedError: it is over.
        """
        statement = self._sql("SELECT body FROM record WHERE account = ? AND generation = ? AND seq > ? ORDER BY seq")
        known = self._sql("SELECT 1 FROM account WHERE name = ? AND generation = ?")
        with self._session() as connection:
            lines = [row[0] for row in connection.execute(statement, (account, generation, after))]
            # a generation ends with all of its records at once: what was found is whole
            if not lines and not connection.execute(known, (account, generation)).fetchone():
                raise HeadMovedError
        return lines

    def append(self, account: str, generation: int, seq: int, lines: Sequence[bytes]) -> None:
        """Add records after the first *seq*, all or none.

        Raises:
            HeadMovedError: there are more than *seq*, or the generation is over.
        """
        with self._transaction() as connection:
            self._insert(connection, account, generation, seq, lines)

    def _insert(self, connection: Any, account: str, generation: int, seq: int, lines: Iterable[bytes]) -> None:
        statement = self._sql(
            "INSERT INTO record (account, generation, seq, body) "
            "SELECT name, generation, ?, ? FROM account WHERE name = ? AND generation = ?"
        )
        rows = [(seq + place, line, account, generation) for place, line in enumerate(lines, 1)]
        if not rows:
            return
        try:
            cursor = connection.cursor()
            if len(rows) == 1:  # psycopg takes a pipeline for more, which is slower for one
                cursor.execute(statement, rows[0])
            else:
                cursor.executemany(statement, rows)
        except self.integrity_error:
            raise HeadMovedError from None
        if cursor.rowcount != len(rows):
            raise HeadMovedError

    def begin(self, account: str, generation: int, header: bytes, lines: Iterable[bytes]) -> int:
        """Begin a generation after *generation*, 0 for the first, with these records; return its number.

        Raises:
            HeadMovedError: another has begun.
        """
        with self._transaction() as connection:
            # a number is never used twice, so that nobody takes a new account for a deleted one
            (new,) = connection.execute(
                "UPDATE meta SET generations = generations + 1 RETURNING generations"
            ).fetchone()
            if generation:
                statement = "UPDATE account SET generation = ?, header = ? WHERE name = ? AND generation = ?"
                values: tuple[Any, ...] = (new, header, account, generation)
            else:
                statement = "INSERT INTO account (generation, header, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
                values = (new, header, account)
            if connection.execute(self._sql(statement), values).rowcount != 1:
                raise HeadMovedError
            connection.execute(self._sql("DELETE FROM record WHERE account = ?"), (account,))
            self._insert(connection, account, new, 0, lines)
        self._forget_entries(account)
        return int(new)

    def accounts(self) -> list[str]:
        """Return the names of all accounts, in order."""
        with self._session() as connection:
            return [row[0] for row in connection.execute("SELECT name FROM account ORDER BY name")]

    def delete(self, account: str) -> None:
        """Forget an account, if there is one."""
        with self.exclusive(account), self._session() as connection:
            for statement in (
                "DELETE FROM account WHERE name = ?",
                "DELETE FROM record WHERE account = ?",
                "DELETE FROM lease WHERE account = ?",
            ):
                connection.execute(self._sql(statement), (account,))
            self.drop_blobs(account)
        self._forget_entries(account)

    @abstractmethod
    def _forget_entries(self, account: str) -> None:
        """Forget the entries of older generations of an account's request log."""

    # ---- contents

    def use_blobs(self, account: str, uses: Iterable[tuple[str, str]]) -> None:
        """Note what an account needs: pairs of a file's or upload's id, and the digest of bytes that it has."""
        statement = self._sql("INSERT INTO blob_use (digest, account, owner) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        rows = [(digest, account, owner) for owner, digest in uses]
        if rows:
            with self._transaction() as connection:
                connection.cursor().executemany(statement, rows)

    def drop_blobs(self, account: str, owners: Iterable[str] | None = None) -> None:
        """Note that these files and uploads need no bytes any more, by default all; drop what no account needs."""
        which: list[str | None] = [None] if owners is None else list(owners)
        digests: list[str] = []
        with self._transaction() as connection:
            for owner in which:
                condition = "account = ?" if owner is None else "account = ? AND owner = ?"
                values = (account,) if owner is None else (account, owner)
                statement = self._sql(f"DELETE FROM blob_use WHERE {condition} RETURNING digest")
                digests += [row[0] for row in connection.execute(statement, values).fetchall()]
        if getattr(self._turn, "connection", None) is not None:
            self._turn.unused += digests  # once it is certain
        elif digests:
            self._drop_unused_blobs(digests)

    # ---- leases

    def take_lease(self, account: str, name: str, holder: str, seconds: float) -> bool:
        """Let *holder* have *name* to itself for so many seconds, unless another has it; return whether it has it."""
        statement = self._sql(
            "INSERT INTO lease (account, name, holder, until) VALUES (?, ?, ?, ?) ON CONFLICT (account, name) "
            "DO UPDATE SET holder = excluded.holder, until = excluded.until "
            "WHERE lease.until < ? OR lease.holder = excluded.holder"
        )
        with self._transaction() as connection:
            now = self.head(account).time
            values = (account, name, holder, now + seconds, now)
            old = self._sql("DELETE FROM lease WHERE account = ? AND until < ?")
            connection.execute(old, (account, now - LEASES_KEPT_S))
            return bool(connection.execute(statement, values).rowcount)

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()
