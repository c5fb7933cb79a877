"""Stores that fail: a clear error or a wait, and nothing lost, doubled or halved."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from pathlib import Path
from urllib.parse import unquote
from uuid import uuid4

import pytest

from account_histories import request, run, send, upload
from fine_tuning_fakeserver.stores import Store, StoreError, open_store
from stores.test_stored_world import begun, two_servers


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


def test_a_database_that_drops_all_connections(store_url: str) -> None:
    """Requests after a restart of the database are answered on new connections, as if nothing had happened."""
    if not store_url.startswith("postgresql"):
        pytest.skip("SQLite has no connections")
    import psycopg

    # connections of other tests, in other processes of the run, are left alone
    store_url += f"&application_name={(name := uuid4().hex)}"
    with two_servers(store_url) as (first, second), psycopg.connect(store_url, autocommit=True) as control:
        one, other = first.account("main", begun()), second.account("main", begun())
        ids = list[str]()
        for number in range(1, 4):
            run((one, other)[number % 2], ids, [upload])
            control.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = %s AND pid <> pg_backend_pid()",
                (name,),
            )
            for each in (one, other):
                assert len(json.loads(send(each, "GET", "/files").body)["data"]) == number
        assert len(set(ids)) == len(ids) == 3
