"""`fake-fine-tuning accounts`: a store's, and a running server's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.cli import main
from fine_tuning_fakeserver.stores import open_store
from strategies import BORN, Http


def rows(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """What was printed, without the head."""
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]


def test_accounts_of_a_store(store_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An account of a store is a file that another account of it is made of, once."""
    accounts = FakeAccounts.around(FakeFineTuning(start=BORN), store=open_store(store_url))
    http = Http(accounts.account("mine"))
    identifier, path = http.file(), str(tmp_path / "mine.zip")

    def run(*words: str) -> int:
        return main(["accounts", "--store", store_url, *words])

    assert run("export", "mine", path) == run("import", "copy", path) == 0
    assert run("import", "copy", path) == 1
    assert "there is an account 'copy' already" in capsys.readouterr().err
    assert run("list") == 0
    assert rows(capsys) == [["copy", "1", "0", "1"], ["main", "0", "0", "0"], ["mine", "1", "0", "1"]]
    assert Http(accounts.account("copy")).json("GET", f"/files/{identifier}")["filename"] == "train.jsonl"
    assert run("delete", "mine") == 0
    assert run("delete", "mine") == run("export", "mine", path) == 1
    assert capsys.readouterr().err.count("there is no account 'mine'") == 2
    assert [each["name"] for each in json.loads(http_of_main(accounts))["accounts"]] == ["main", "copy"]
    accounts.close()


def http_of_main(accounts: FakeAccounts) -> bytes:
    """What a server of these accounts lists."""
    from fine_tuning_fakeserver.web.in_process import call_app

    return call_app(accounts.asgi_app, "GET", b"/_fake/accounts", [], b"").body


def test_accounts_of_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The accounts of a running server are listed, exported, imported and deleted from outside."""
    path = str(tmp_path / "mine.zip")
    with FakeAccounts(start=BORN) as accounts:
        Http(accounts.account("mine")).file()
        url = accounts.main.base_url

        def run(*words: str) -> int:
            return main(["accounts", "--url", url, *words])

        assert run("export", "mine", path) == run("import", "copy", path) == run("delete", "mine") == run("list") == 0
        assert rows(capsys) == [["main", "0", "0", "0"], ["copy", "1", "0", "1"]]
        assert run("export", "mine", path) == run("import", "copy", path) == 1
    errors = capsys.readouterr().err
    assert "there is no account 'mine'" in errors
    assert "the account must be empty for an import" in errors


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--data a --store sqlite:///b list", 2, "give one of --url, --data and --store"),
        ("--store mysql://b list", 1, "store must be sqlite:///PATH or postgresql://…, got 'mysql:…'"),
        ("--data DIR import x/y FILE", 1, "account name must be 1 to 64 letters, digits"),
        ("--data DIR import mine FILE", 1, "the file must be a whole zip of a saved account"),
        ("--data DIR import mine DIR/none", 1, "No such file or directory"),
        ("--url http://127.0.0.1:1 list", 1, "no fake answers at http://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_done(
    words: str, code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store, a name or a file that does not fit is refused, and nothing is made."""
    (tmp_path / "file").write_text("no zip")
    filled = words.replace("FILE", str(tmp_path / "file")).replace("DIR", str(tmp_path))

    assert main(["accounts", *filled.split()]) == code
    assert message in capsys.readouterr().err
