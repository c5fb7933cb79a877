"""What the page is made of: small, whole, from nowhere else; and how it is opened."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning, page
from fine_tuning_fakeserver.web import is_page_path
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import BORN, ROWS

STATIC = Path(page.__file__).parent / "static"
OWN = [path for path in STATIC.iterdir() if path.suffix in (".js", ".css", ".html", ".svg")]
BYTES_AT_MOST = 150_000
TABLES = [STATIC / "vendored" / "VENDORED.md", Path(__file__).parents[2] / "vendored" / "VENDORED.md"]
DOCUMENTATION = Path(__file__).parents[3] / "docs"


def test_the_page_is_small() -> None:
    """The page without the library for curves is at most 150 kB, before compression; a screenshot at most 60 kB."""
    whole = sum(path.stat().st_size for path in (*OWN, STATIC / "vendored" / "htm-preact.js"))
    assert whole <= BYTES_AT_MOST
    assert all(path.stat().st_size <= 60_000 for path in (DOCUMENTATION / "images").glob("page-*.png"))


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.parent.parent.name)
def test_vendored_files_are_as_their_table_says(table: Path) -> None:
    """Every vendored file is in the table with its hash, and no other; types for the checker are the project's own."""
    rows = re.findall(
        r"^\| (\S+) \| \S+ \| [\d.]+ \| \S+ \| [^|]+ \| ([0-9a-f]{64}) \|$", table.read_text(), re.MULTILINE
    )
    known = dict(rows)
    found = {path.name for path in table.parent.iterdir() if not path.name.endswith((".md", ".d.ts"))}

    assert found == set(known)
    assert {name: hashlib.sha256((table.parent / name).read_bytes()).hexdigest() for name in known} == known


def test_the_page_asks_no_other_host_and_makes_no_markup_of_text() -> None:
    """The page's own files name no other host, and use nothing that reads text as markup or as a program."""
    for path in OWN:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|\b(innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|eval)\b", text), path
        assert path.suffix != ".html" or not re.search(r"<script>|\son\w+=|\sstyle=", text), path


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        ("/_fake/ui/", True),
        ("/accounts/alice/_fake/ui/data/jobs", True),
        ("/v1/models/_fake/ui/", False),
        ("/accounts/alice/v1/_fake/ui/", False),
        ("/_fake", False),
    ],
)
def test_only_the_page_is_left_out_of_access_logs(path: str, is_page: bool) -> None:
    """A path is the page's if the page begins it, or follows an account's root; others are logged."""
    assert is_page_path(path) is is_page


def test_open_serves_the_account_and_shows_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """`open` opens the page of a fake that is served; one that is not is served first, and once."""
    opened: list[str] = []
    ends: list[Callable[[], object]] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("atexit.register", ends.append)
    fake = FakeFineTuning()
    first = fake.open()
    count = len(ends)  # other modules register ends, too
    assert fake.open() == first == f"{fake.base_url.removesuffix('/v1')}/_fake/ui/"
    assert opened == [first, first]
    assert len(ends) == count
    ends[-1]()
    with FakeAccounts() as accounts:
        accounts.account("alice").open()
        assert opened[-1].endswith("/accounts/alice/_fake/ui/")
        with FakeFineTuning.connect(accounts.base_url) as remote:
            assert remote.open() == opened[-1] == opened[-2].replace("/accounts/alice", "")


def post(accounts: FakeAccounts, path: str, body: object) -> tuple[int, dict[str, str]]:
    """Send JSON in process; return status and answer."""
    answer = call_app(accounts.asgi_app, "POST", path.encode(), [], json.dumps(body).encode())
    return answer.status, json.loads(answer.body)


def test_an_account_is_forked_to_another_name() -> None:
    """`POST /_fake/fork` copies an account, a named one too; a name that is taken or cannot be is refused."""
    accounts = FakeAccounts(start=BORN, pace="manual")
    main = accounts.main
    job = main.add_job(main.add_file(ROWS)["id"], status="running")["id"]

    assert post(accounts, "/_fake/fork", {"name": "copy"}) == (200, {"name": "copy"})
    assert post(accounts, "/accounts/copy/_fake/fork", {"name": "again"})[0] == 200
    accounts.account("copy").cancel_job(job)
    statuses = {name: accounts.account(name).jobs[0]["status"] for name in accounts.names}
    assert statuses == {"main": "running", "again": "running", "copy": "cancelled"}
    for name, words in {
        "copy": "of no account yet",
        "main": "of no account yet",
        "../x": "account name must be",
    }.items():
        status, answer = post(accounts, "/_fake/fork", {"name": name})
        assert status == 400
        assert words in answer["fake_error"]
    main(["running"])
    main([lambda call: None])
    assert post(accounts, "/_fake/fork", {"name": "third"})[0] == 400
    assert "third" not in accounts.names
