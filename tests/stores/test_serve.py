"""`serve` with a store: options that do not fit, restarts, workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from fine_tuning_fakeserver.cli import main
from serve_process import KEY, end, line, started
from strategies import ROWS

FORM: dict[str, Any] = {"files": {"file": ("a.jsonl", ROWS.encode())}, "data": {"purpose": "fine-tune"}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--workers 2", "--workers needs --data or --store: accounts in the memory of one process cannot be shared"),
        ("--data DIR --store sqlite:///x.db", "--data is a store in SQLite, and --store any: give one of them"),
        ("--store mysql://x", "--store: store must be sqlite:///PATH or postgresql://…, got 'mysql:…'"),
        ("--data DIR --workers 2 --metrics", "--metrics counts the requests of one process: leave out --workers"),
        ("--data DIR --workers 0", "--workers must be a whole number from 1 to 64, got '0'"),
        ("--data DIR --account-ttl 5m", "--account-ttl must be None for accounts in a store, got '5m'"),
        ("--data DIR/taken", "--data: the folder of the store cannot be used: "),
        ("--data DIR/other", "accounts.db cannot be used: file is not a database"),
    ],
)
def test_options_that_do_not_fit(words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that make no store, or none that can be shared, are refused before anything listens."""
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/accounts.db").write_text("something else" * 100)

    assert main(["serve", "--port", "0", *words.replace("DIR", str(tmp_path)).split()]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "other/accounts.db").read_text() == "something else" * 100


def test_psycopg_that_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without psycopg a store in PostgreSQL is refused with what to install."""
    monkeypatch.setattr("fine_tuning_fakeserver.stores.store_url.find_spec", lambda name: None)

    assert main(["serve", "--port", "0", "--store", "postgresql://127.0.0.1/x"]) == 2
    assert "pip install 'fake-fine-tuning[postgres]'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_restart_goes_on(store_url: str, tmp_path: Path) -> None:
    """A server that is started again has the files it had, in each account, and says that a setup is left out."""
    setup = tmp_path / "setup.toml"
    setup.write_text('[settings]\nseed = 5\npace = "manual"\n')
    options = ("--port", "0", "--store", store_url, "--setup", str(setup))
    with started(*options) as process:
        url = line(process.stdout)
        for root in ("/v1", "/accounts/mine/v1"):
            assert httpx.post(f"{url.removesuffix('/v1')}{root}/files", headers=KEY, **FORM).status_code == 200
        process.send_signal(signal.SIGINT)
        assert "left out" not in end(process)
    with started(*options) as process:
        url = line(process.stdout)
        for root in ("/v1", "/accounts/mine/v1"):
            files = httpx.get(f"{url.removesuffix('/v1')}{root}/files", headers=KEY).json()["data"]
            assert [file["filename"] for file in files] == ["a.jsonl"]
        accounts = httpx.get(f"{url.removesuffix('/v1')}/_fake/accounts").json()["accounts"]
        assert [account["name"] for account in accounts] == ["main", "mine"]
        process.send_signal(signal.SIGINT)
        assert "--setup is left out: the store has the account main already" in end(process)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="serve --workers needs fork")
def test_workers_are_watched(tmp_path: Path) -> None:
    """A worker that ends is started again, SIGTERM ends all of them, and none outlives the first process."""
    with started("--port", "0", "--data", str(tmp_path), "--workers", "2", "--quiet") as process:
        url = line(process.stdout)
        first = _workers(process.pid)
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        assert process.stderr
        assert process.stderr.readline() == "worker 0 has ended (SIGKILL); starting another\n"
        assert httpx.post(f"{url}/files", headers=KEY, **FORM).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert [each for each in first if Path(f"/proc/{each}").exists()] == []


def _workers(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
