"""What two servers of one store do to the accounts of each other, and what a damaged one does to the rest."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.stores import StoreError, open_store
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import BORN, FORM, ROWS, form

KEY = (b"authorization", b"Bearer any")
JSON = (b"content-type", b"application/json")


def server(url: str, worker: int = 0, **settings: Any) -> FakeAccounts:
    """A server of the store."""
    main = FakeFineTuning(**{"start": BORN, "pace": "manual", **settings})
    return FakeAccounts.around(main, store=open_store(url), worker=worker)


@pytest.fixture
def two(store_url: str) -> Iterator[tuple[FakeAccounts, FakeAccounts]]:
    """Two servers of a store."""
    servers = server(store_url), server(store_url, 1)
    yield servers
    for each in servers:
        each.close()


def ask(accounts: FakeAccounts, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the JSON of an answer."""
    raw, kind = (body, FORM) if isinstance(body, bytes) else (b"" if body is None else json.dumps(body).encode(), JSON)
    reply = call_app(accounts.asgi_app, method, path.encode(), [KEY, kind], raw)
    return reply.status, json.loads(reply.body)


def names(accounts: FakeAccounts) -> list[str]:
    """The accounts that a server lists."""
    return [each["name"] for each in ask(accounts, "GET", "/_fake/accounts")[1]["accounts"]]


def test_accounts_are_made_forgotten_and_copied(two: tuple[FakeAccounts, FakeAccounts]) -> None:
    """A server cannot make, copy or forget an account of a store, or another server does not notice."""
    first, second = two
    assert ask(first, "PUT", "/_fake/accounts/mine")[0] == 200
    assert ask(second, "POST", "/accounts/mine/v1/files", form(ROWS.encode()))[0] == 200
    assert ask(first, "POST", "/accounts/mine/_fake/fork", {"name": "copy"})[0] == 200
    assert [len(ask(second, "GET", f"/accounts/{name}/v1/files")[1]["data"]) for name in ("mine", "copy")] == [1, 1]
    assert ask(first, "DELETE", "/_fake/accounts/mine")[0] == 200
    assert names(second) == names(first) == ["main", "copy"]


@pytest.mark.parametrize("settings", [{"pace": "polls"}, {"faults": [{"kind": "fail", "on": "create_job"}]}])
def test_looking_makes_no_account(store_url: str, settings: dict[str, Any]) -> None:
    """A look at an account makes it, whatever accounts begin with."""
    accounts = server(store_url, **settings)
    for path in ("/v1/models", "/v1/fine_tuning/jobs", "/_fake/clock"):
        assert ask(accounts, "GET", f"/accounts/mine{path}")[0] == 200
    assert names(accounts) == ["main"]
    accounts.close()


def test_what_begins_an_account_is_shared(two: tuple[FakeAccounts, FakeAccounts]) -> None:
    """Scripts that are the first of an account are unknown to another server."""
    first, second = two
    assert ask(first, "POST", "/accounts/mine/_fake/scripts", {"responses": {"list_jobs": [["queued"]]}})[0] == 200
    assert len(ask(second, "GET", "/accounts/mine/_fake/scripts")[1]["scripts"]) == 1
    (job,) = ask(second, "GET", "/accounts/mine/v1/fine_tuning/jobs")[1]["data"]
    assert job["status"] == "queued"


def test_a_wait_moves_the_time_of_all_servers(store_url: str) -> None:
    """Time that a client of one server waits for is behind on another, or goes back there."""
    servers = server(store_url, pace=1000.0), server(store_url, 1, pace=1000.0)
    first, second = (each.main._world for each in servers)
    assert ask(servers[0], "POST", "/_fake/clock/sleep", {"seconds": 100_000})[0] == 200
    assert ask(servers[1], "GET", "/_fake/clock")[0] == 200
    assert second.service.awaited_until == first.service.awaited_until
    before = first.now
    ask(servers[1], "POST", "/v1/files", form(ROWS.encode()))
    assert ask(servers[0], "GET", "/_fake/clock")[1]["now"] >= before
    for each in servers:
        each.close()


def test_an_answer_counts_without_its_entry_in_the_log(
    two: tuple[FakeAccounts, FakeAccounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was changed is answered with an error, so that a client does it twice, where the log cannot be written."""

    def fail(*_: object) -> None:
        raise StoreError("the log is locked")

    monkeypatch.setattr(type(two[0].main._world.requests), "add", fail)
    assert ask(two[0], "POST", "/v1/files", form(ROWS.encode()))[0] == 200
    assert len(ask(two[1], "GET", "/v1/files")[1]["data"]) == 1


def test_a_damaged_account_leaves_the_others(tmp_path: Path) -> None:
    """Because of one account that cannot be read, others are not answered or not listed."""
    url = f"sqlite:///{tmp_path}/accounts.db"
    accounts = server(url)
    ask(accounts, "POST", "/accounts/mine/v1/files", form(ROWS.encode()))
    accounts.close()
    connection = sqlite3.connect(tmp_path / "accounts.db")
    with connection:
        connection.execute("UPDATE record SET body = '{}' WHERE account = 'mine'")
    connection.close()
    accounts = server(url)
    assert ask(accounts, "GET", "/accounts/mine/v1/files")[0] == 503
    assert ask(accounts, "GET", "/v1/files")[0] == 200
    listed = ask(accounts, "GET", "/_fake/accounts")[1]["accounts"]
    assert listed[1]["name"] == "mine"
    assert "record 1 of the account mine cannot be read" in listed[1]["error"]
    accounts.deliver_webhooks(0.1)
    accounts.close()


def test_files_of_a_store_are_their_owners(tmp_path: Path) -> None:
    """Another user of the machine can read what a store keeps."""
    folder = tmp_path / "a b#c%41?d"
    from fine_tuning_fakeserver.cli.commands import sqlite_url

    server(sqlite_url(str(folder))).close()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes[folder.name] == modes["blobs"] == 0o700
    assert {mode for name, mode in modes.items() if ".db" in name} == {0o600}


@pytest.mark.parametrize("url", ["postgresql://u:s3cret%zz@h/db", "postgresql://u:[s3cret@h/db", "mysql://u:s3cret@h"])
def test_a_password_is_in_no_message(url: str) -> None:
    """A URL that cannot be used is refused with its password."""
    with pytest.raises(FakeUsageError) as raised:
        open_store(url)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None
