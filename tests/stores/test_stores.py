"""What every store does."""

from __future__ import annotations

from pathlib import Path

import pytest

from fine_tuning_fakeserver.stores import HeadMovedError, Store, StoreError, open_store
from fine_tuning_fakeserver.stores.store import ENTRIES_AT_MOST
from fine_tuning_fakeserver.usage_errors import FakeUsageError


def test_an_account_is_what_was_appended(store: Store, store_url: str) -> None:
    """Records are read in order, whole, and by whoever opens the store again."""
    first = store.begin("main", 0, b"header", [b"1", b"2"])
    store.append("main", first, 2, [b"3", bytes(range(256))])
    other = open_store(store_url)
    assert other.head("main")[:2] == (first, 4)
    assert other.header("main", first) == b"header"
    assert other.read("main", first) == [b"1", b"2", b"3", bytes(range(256))]
    assert other.read("main", first, 3) == [bytes(range(256))]
    other.close()


def test_an_unknown_account_has_nothing(store: Store) -> None:
    """An account that the store does not have is of generation 0."""
    assert store.head("main")[:2] == (0, 0)
    with pytest.raises(HeadMovedError):
        store.read("main", 1)
    assert store.accounts() == []


def test_only_the_first_of_two_appends_succeeds(store: Store) -> None:
    """Records are appended after a head that has not moved, all or none."""
    generation = store.begin("main", 0, b"", [b"1"])
    store.append("main", generation, 1, [b"2"])
    with pytest.raises(HeadMovedError):
        store.append("main", generation, 1, [b"late", b"later"])
    with pytest.raises(HeadMovedError):
        store.append("main", generation, 0, [b"late"])
    assert store.read("main", generation) == [b"1", b"2"]


def test_a_new_generation_ends_the_one_before(store: Store) -> None:
    """After a reset nobody can append to, or read, what was there before."""
    old = store.begin("main", 0, b"old", [b"1"])
    new = store.begin("main", old, b"new", [b"2"])
    with pytest.raises(HeadMovedError):
        store.append("main", old, 1, [b"3"])
    for read in (store.header, store.read):
        with pytest.raises(HeadMovedError):
            read("main", old)
    for generation in (0, old):
        with pytest.raises(HeadMovedError):
            store.begin("main", generation, b"", [])
    assert store.read("main", new) == [b"2"]
    assert store.read("main", new, 1) == []


def test_a_deleted_account_is_never_taken_for_a_new_one(store: Store) -> None:
    """A generation has a number that none has had before, also after its account was deleted."""
    first = store.begin("main", 0, b"", [b"1"])
    store.delete("main")
    assert store.head("main")[:2] == (0, 0)
    assert store.begin("main", 0, b"", []) > first


def test_accounts_are_apart(store: Store) -> None:
    """What one account has, no other has."""
    one, other = store.begin("one", 0, b"", [b"1"]), store.begin("other", 0, b"", [b"2"])
    store.add_entry("one", one, b"entry")
    store.delete("one")
    assert store.accounts() == ["other"]
    assert store.read("other", other) == [b"2"]
    assert store.entries("one", one) == store.entries("other", other) == []


def test_an_exception_takes_back_what_was_done_exclusively(store: Store) -> None:
    """Of what is done while others are kept out, all counts or nothing."""
    generation = store.begin("main", 0, b"", [b"1"])

    def fail() -> None:
        with store.exclusive("main"):
            store.append("main", generation, 1, [b"2"])
            assert store.head("main").seq == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.head("main").seq == 1
    with store.exclusive("main"):
        store.append("main", generation, 1, [b"2"])
    assert store.read("main", generation) == [b"1", b"2"]


def test_bytes_are_kept_as_long_as_anything_needs_them(store: Store) -> None:
    """Contents are dropped with the last file that has them, of whatever account."""
    chunks = [b"a" * 300_000, b"b" * 10]
    store.put_blob("digest", chunks)
    store.put_blob("digest", chunks)
    store.use_blobs("one", [("file-1", "digest"), ("file-2", "digest")])
    store.use_blobs("other", [("file-1", "digest")])
    store.drop_blobs("one", ["file-1", "file-2", "file-3"])
    assert b"".join(store.get_blob("digest")) == b"".join(chunks)
    store.drop_blobs("other")
    assert not store.has_blob("digest")
    with pytest.raises(StoreError, match="digest"):
        next(store.get_blob("digest"))


def test_empty_bytes_are_kept(store: Store) -> None:
    """A content of no bytes is there."""
    store.put_blob("digest", [])
    assert store.has_blob("digest")
    assert b"".join(store.get_blob("digest")) == b""


def test_the_request_log_has_the_newest(store: Store) -> None:
    """Entries are numbered from 1, and the oldest forgotten; one can be replaced."""
    generation = store.begin("main", 0, b"", [])
    numbers = [store.add_entry("main", generation, b"%d" % number) for number in range(1, 4)]
    store.put_entry("main", generation, 2, b"two")
    assert numbers == [1, 2, 3]
    assert store.entries("main", generation) == [(1, b"1"), (2, b"two"), (3, b"3")]
    store.put_entry("main", generation, ENTRIES_AT_MOST + 2, b"last")
    assert store.add_entry("main", generation, b"new") == ENTRIES_AT_MOST + 3
    assert store.entries("main", generation) == [(ENTRIES_AT_MOST + 2, b"last"), (ENTRIES_AT_MOST + 3, b"new")]


def test_one_of_many_has_a_lease(store: Store) -> None:
    """A lease is one holder's until it runs out."""
    assert store.take_lease("main", "delivery", "me", 60)
    assert not store.take_lease("main", "delivery", "you", 60)
    assert store.take_lease("main", "delivery", "me", 0)
    assert store.take_lease("other", "delivery", "you", 60)
    assert store.take_lease("main", "other", "you", 60)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/db", "store must be sqlite:///PATH or postgresql://…, got 'mysql:…'"),
        ("sqlite://", "store must be sqlite:///PATH"),
        ("sqlite:///x.db?synchronous=off", "synchronous of the store must be full or normal, got 'off'"),
        ("sqlite:///x.db?mode=ro", "store must be sqlite:///PATH"),
    ],
)
def test_a_url_of_no_store(url: str, message: str) -> None:
    """A URL that names no store is refused with what would be one."""
    with pytest.raises(FakeUsageError) as raised:
        open_store(url)
    assert str(raised.value).startswith(message)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A file of something else is refused, and left as it is."""
    path = tmp_path / "accounts.db"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(StoreError, match="cannot be used: file is not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"something else" * 1000


def test_a_store_of_a_newer_version(store: Store, store_url: str) -> None:
    """A store that a newer version has written is refused."""
    with store.exclusive("main"):
        store._turn.connection.execute("UPDATE meta SET version = 99")  # type: ignore[attr-defined]
    with pytest.raises(FakeUsageError, match="a newer fake-fine-tuning has written the store"):
        open_store(store_url)
