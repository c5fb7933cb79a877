"""Stores that fail: a clear error or a wait, and nothing lost, doubled or halved."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import pytest

from account_histories import request, run, send, upload
from fine_tuning_fakeserver.account.stored_contents import StoredBlob
from fine_tuning_fakeserver.stores import Store, StoreError, open_store
from stores.test_stored_world import begun, two_servers

STORE_OPERATIONS: dict[str, Callable[[Store, int], object]] = {
    "head": lambda store, generation: store.head("main"),
    "header": lambda store, generation: store.header("main", generation),
    "read": lambda store, generation: store.read("main", generation),
    "append": lambda store, generation: store.append("main", generation, 1, [b"another"]),
    "begin": lambda store, generation: store.begin("main", generation, b"header", []),
    "accounts": lambda store, generation: store.accounts(),
    "delete": lambda store, generation: store.delete("main"),
    "put_blob": lambda store, generation: store.put_blob("other", [b"bytes"]),
    "get_blob": lambda store, generation: list(store.get_blob("digest")),
    "has_blob": lambda store, generation: store.has_blob("digest"),
    "use_blobs": lambda store, generation: store.use_blobs("main", [("file", "digest")]),
    "drop_blobs": lambda store, generation: store.drop_blobs("main"),
    "add_entry": lambda store, generation: store.add_entry("main", generation, b"entry"),
    "put_entry": lambda store, generation: store.put_entry("main", generation, 1, b"entry"),
    "entries": lambda store, generation: store.entries("main", generation),
    "take_lease": lambda store, generation: store.take_lease("main", "webhook", "holder", 1),
}


def damage_last_record(store: Store) -> None:
    """Cut the last record of all accounts in half, as no server ever does."""
    with store.exclusive("main"):
        store._turn.connection.execute(  # type: ignore[attr-defined]
            "UPDATE record SET body = substr(body, 1, length(body) / 2) WHERE seq = (SELECT max(seq) FROM record)"
        )


def test_a_corrupt_last_record(store_url: str) -> None:
    """A record that cannot be read is an error that names it; other accounts are answered for, and nothing changes."""
    with two_servers(store_url) as (first, second):
        run(
            first.account("main", begun()),
            [],
            [upload, upload, request("POST", "/_fake/clock/advance", {"seconds": 5})],
        )
        head = first.store.head("main")
        damage_last_record(first.store)
        with pytest.raises(StoreError, match=rf"record {head.seq} of the account main cannot be read"):
            second.account("main", begun())
        assert run(second.account("other", begun()), [], [upload])[0][0] == 200
        assert second.store.head("main")[:2] == head[:2]


def test_a_record_that_was_damaged_under_a_running_server(store_url: str) -> None:
    """A server that cannot read what another has added answers 503, and names the record."""
    with two_servers(store_url) as (first, second):
        one, other = first.account("main", begun()), second.account("main", begun())
        run(one, [], [upload])
        seq = first.store.head("main").seq
        damage_last_record(first.store)
        for method, path in (("GET", "/files"), ("POST", "/_fake/clock/advance")):
            answer = send(other, method, path, {"seconds": 1} if method == "POST" else None)
            assert answer.status == 503
            assert f"record {seq} of the account main cannot be read" in json.loads(answer.body)["message"]
        assert second.store.head("main").seq == seq


def test_a_full_disk(tmp_path: Path) -> None:
    """What finds no room is refused whole, and taken once there is some."""
    with two_servers(f"sqlite:///{tmp_path}/accounts.db") as (first, second):
        one, other = first.account("main", begun()), second.account("main", begun())
        run(one, ids := list[str](), [upload])
        connection = first.store._connections._idle[-1]  # type: ignore[attr-defined]
        assert len(first.store._connections._idle) == 1  # type: ignore[attr-defined]
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        job = {"model": "gpt-4o-mini", "training_file": ids[0], "metadata": {f"name{n}": "x" * 512 for n in range(16)}}
        answer = send(one, "POST", "/fine_tuning/jobs", job)
        assert (answer.status, b"database or disk is full" in answer.body) == (503, True)
        assert first.store.head("main")[:2] == second.store.head("main")[:2]
        for each in (one, other):
            assert json.loads(send(each, "GET", "/fine_tuning/jobs").body)["data"] == []
        created = json.loads(send(one, "POST", "/fine_tuning/jobs", job).body)  # on a new connection, without the limit
        assert json.loads(send(other, "GET", "/fine_tuning/jobs").body)["data"][0]["id"] == created["id"]


def test_a_file_that_another_program_locks(tmp_path: Path) -> None:
    """A change waits for the end of another program's transaction."""
    store = open_store(f"sqlite:///{tmp_path}/accounts.db")
    generation = store.begin("main", 0, b"", [])
    other = sqlite3.connect(tmp_path / "accounts.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
    store.append("main", generation, 0, [b"1"])
    assert store.read("main", generation) == [b"1"]
    other.close()
    store.close()


def test_a_database_that_is_gone_for_a_while(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request waits for a database that comes back, and is answered once; one that stays away is an error."""
    host = re.search("host=([^&]+)", store_url)
    if not store_url.startswith("postgresql") or not host:
        pytest.skip("needs a database that is reached by a socket in a folder")
    way = tmp_path / "way"
    way.symlink_to(unquote(host[1]))

    def block() -> None:
        way.unlink()
        first.store._connections.close_idle()  # type: ignore[attr-defined]

    with two_servers(store_url.replace(host[0], f"host={way}")) as (first, _):
        one = first.account("main", begun())
        run(one, ids := list[str](), [upload])
        block()
        threading.Timer(0.3, lambda: way.symlink_to(unquote(host[1]))).start()
        assert run(one, ids, [upload])[0][0] == 200
        block()
        monkeypatch.setattr("fine_tuning_fakeserver.stores.postgres_store.WAIT_AT_MOST_S", 0.2)
        for method, path in (("GET", "/files"), ("POST", "/_fake/clock/advance")):
            answer = send(one, method, path, {"seconds": 1} if method == "POST" else None)
            assert (answer.status, b"the store does not answer" in answer.body) == (503, True)
        way.symlink_to(unquote(host[1]))
        assert {each["id"] for each in json.loads(send(one, "GET", "/files").body)["data"]} == set(ids)


@contextmanager
def dropping_connections(store_url: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Return a URL of the store, and what drops the connections that were made by it; not those of other tests."""
    import psycopg

    name = uuid4().hex
    statement = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(store_url, autocommit=True) as control:
        yield f"{store_url}&application_name={name}", lambda: control.execute(statement, (name,))


@pytest.mark.parametrize("operation", STORE_OPERATIONS)
def test_each_operation_after_connections_were_dropped(store_url: str, operation: str) -> None:
    """An operation of the store fails when the connections that were idle are gone."""
    if not store_url.startswith("postgresql"):
        pytest.skip("SQLite has no connections")
    with dropping_connections(store_url) as (url, drop), closing(open_store(url)) as store:
        generation = store.begin("main", 0, b"header", [b"record"])
        store.put_blob("digest", [b"bytes"])
        drop()
        STORE_OPERATIONS[operation](store, generation)


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_contents_that_are_not_whole(store_url: str) -> None:
    """The bytes of a file that the store has only in part are sent as if they were whole."""
    import psycopg

    with closing(open_store(store_url)) as store, psycopg.connect(store_url) as control:
        store.put_blob("digest", [b"first", b"second"])
        control.execute("DELETE FROM blob WHERE part = 1")
        control.commit()
        with pytest.raises(StoreError, match="the store has 5 bytes of the contents digest, which are 11"):
            StoredBlob(store, "digest", 11).read()


def test_a_database_that_drops_all_connections(store_url: str) -> None:
    """Requests after a restart of the database are answered on new connections, as if nothing had happened."""
    if not store_url.startswith("postgresql"):
        pytest.skip("SQLite has no connections")
    with dropping_connections(store_url) as (url, drop), two_servers(url) as (first, second):
        one, other = first.account("main", begun()), second.account("main", begun())
        ids = list[str]()
        for number in range(1, 4):
            run((one, other)[number % 2], ids, [upload])
            drop()
            for each in (one, other):
                assert len(json.loads(send(each, "GET", "/files").body)["data"]) == number
        assert len(set(ids)) == len(ids) == 3
