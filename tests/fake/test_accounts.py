"""Many accounts on one server: where they are, when they begin and end, and who may get at them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import openai
import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account import named_accounts as registry
from fine_tuning_fakeserver.account.named_accounts import name_of_key
from fine_tuning_fakeserver.clock import Pace
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS, OPEN_TO_ALL
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app, transport
from strategies import BORN, FORM, KEY, ROWS, form

UPLOAD = form(ROWS.encode())
SEED_FILE = json.dumps({"content": ROWS}).encode()
CONTROL = [each for each in CONTROL_OPERATIONS if each.path not in OPEN_TO_ALL]


def server(**settings: Any) -> FakeAccounts:
    """A server without a socket, whose time stands still."""
    return FakeAccounts(**{"start": BORN, "pace": "manual", **settings})


def send(
    accounts: FakeAccounts, method: str, path: str, body: bytes = b"", key: str | None = "any", **headers: str
) -> InProcessResponse:
    """Send one request to a server."""
    named = {**({"authorization": f"Bearer {key}"} if key else {}), **headers}
    return call_app(
        accounts.asgi_app,
        method,
        path.encode(),
        [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        body,
    )


def upload(accounts: FakeAccounts, root: str, key: str | None = "any") -> InProcessResponse:
    """Upload a file to the API at *root*."""
    return send(accounts, "POST", f"{root}/files", UPLOAD, key, content_type=FORM[1].decode())


def usage_error(answer: InProcessResponse, status: int = 400) -> str:
    """Check that an answer is the fake's own error; return its text."""
    assert answer.status == status, answer.body
    return str(json.loads(answer.body)["fake_error"])


def test_each_name_is_an_account() -> None:
    """`/v1` and `/accounts/main/v1` are one account, and `/accounts/NAME/v1` is another for each name."""
    accounts = server()
    for root in ("/v1", "/accounts/main/v1", "/accounts/a/v1", "/accounts/A/v1", "/accounts/a/v1"):
        assert upload(accounts, root).status == 200

    assert accounts.names == ["main", "A", "a"]
    assert [len(accounts.account(name).files) for name in accounts.names] == [2, 1, 2]
    assert len(accounts.main.files) == 2


@pytest.mark.parametrize(
    "path",
    ["//accounts///a//v1/files", "/%61ccounts/a/v1/files", "http://fake/accounts/a/v1/files", "/accounts/%61/v1/files"],
)
def test_every_spelling_of_a_path_leads_to_the_account(path: str) -> None:
    """Doubled slashes, encoded letters and absolute targets lead to the account, and its log has the API's path."""
    accounts = server()
    send(accounts, "POST", path, UPLOAD, content_type=FORM[1].decode())

    assert accounts.names == ["main", "a"]
    logged = accounts.account("a").requests[0]
    assert (logged.operation, logged.path, logged.raw_path) == ("upload_file", "/v1/files", b"/v1/files") or (
        path.startswith("//") and logged.raw_path == b"//v1/files"
    )


@pytest.mark.parametrize(
    "name", ["a/b", "x" * 65, "x" * 10_000, "..", ".a", "-a", "a b", "a\0b", "ä", "a%b", "a;b", "a?b"]
)
@pytest.mark.parametrize("rest", ["v1/files", "_fake/reset"])
def test_a_name_is_refused_that_no_account_can_have(name: str, rest: str) -> None:
    """A name with a slash, too long, or of other characters is refused by each route, and makes no account."""
    accounts = server()
    said = usage_error(send(accounts, "POST", f"/accounts/{quote(name, safe='')}/{rest}", UPLOAD))

    assert said.startswith("account name must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or")
    assert len(said) < 400
    assert accounts.names == ["main"]
    assert usage_error(send(accounts, "DELETE", f"/_fake/accounts/{quote(name, safe='')}")) == said
    with pytest.raises(FakeUsageError, match="account name must be"):
        accounts.account(name)


@pytest.mark.parametrize("path", ["/accounts/a", "/accounts/", "/accounts/a/", "/accounts//v1"])
def test_a_path_that_ends_with_the_name_is_no_route(path: str) -> None:
    """A path below `/accounts` without a route of an account is refused, and says where the routes are."""
    assert "/accounts/NAME/v1" in usage_error(send(server(), "GET", path), 404)


def test_an_account_is_in_no_other() -> None:
    """An account's own paths have no accounts, and its control API no list of them."""
    accounts = server()
    upload(accounts, "/accounts/a/v1")

    for path in ("/accounts/a/accounts/b/v1/files", "/accounts/a/_fake/accounts", "/accounts/main/_fake/accounts"):
        assert "unknown route" in usage_error(send(accounts, "GET", path), 404)
    assert usage_error(send(accounts, "DELETE", "/accounts/a/_fake/accounts/a"), 404)
    assert accounts.names == ["main", "a"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["v1/fine_tuning/jobs", "v1/models", "v1/files/file-x", "_fake", "_fake/requests"])
@pytest.mark.parametrize("pace", ["manual", "polls"])  # at the latter it is recorded what a list has shown
def test_looking_makes_no_account(method: str, path: str, pace: Pace) -> None:
    """What only looks at an account that is not there is answered as by a fresh one, and makes none."""
    accounts, lone = server(pace=pace), FakeFineTuning(start=BORN, pace=pace)
    expected = call_app(lone.asgi_app, method, f"/{path}".encode(), [KEY], b"")

    for _ in range(2):
        answer = send(accounts, method, f"/accounts/a/{path}")
        assert (answer.status, answer.headers, answer.body) == (expected.status, expected.headers, expected.body)
    assert accounts.names == ["main"]


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("POST", "v1/files", None),
        ("POST", "v1/files", "wrong"),
        ("POST", "v1/fine_tuning/jobs", "right"),
        ("DELETE", "v1/files/file-x", "right"),
        ("POST", "v1/nothing", "right"),
        ("POST", "v1/embeddings", "right"),
        ("POST", "v1/fine_tuning/jobs/", "right"),
        ("PUT", "_fake/plan", None),
        ("PUT", "v1/files", "right"),
    ],
)
def test_a_refused_request_makes_no_account(method: str, path: str, key: str | None) -> None:
    """A request that is refused, for its key, its body, its route or its method, makes no account."""
    accounts = server(api_keys=["right"])
    answer = send(accounts, method, f"/accounts/a/{path}", b"[]", key)

    assert answer.status >= 300
    assert accounts.names == ["main"]


def test_a_refused_request_makes_no_account_where_accounts_do_not_begin_empty(tmp_path: Path) -> None:
    """What an account begins with, by a setup file or by the server's faults, is nothing that a request has changed."""
    setup = tmp_path / "setup.json"
    setup.write_text(json.dumps({"file": [{"content": ROWS}]}))
    fault = {"kind": "fail", "on": "list_jobs"}
    for accounts in (FakeAccounts.around(FakeFineTuning.from_setup(setup)), server(faults=[fault])):
        assert upload(accounts, "/accounts/a/v1", key=None).status == 401
        assert send(accounts, "POST", "/accounts/a/_fake/clock/advance", b'{"seconds": "x"}').status == 400

        assert accounts.names == ["main"]


def test_control_makes_an_account() -> None:
    """A control request that is accepted makes the account, with the server's settings but for its own."""
    accounts = server(seed=7, organization="acme")
    state = json.loads(send(accounts, "POST", "/accounts/a/_fake/reset", b'{"pace": "instant"}').body)

    assert (state["account"]["seed"], state["account"]["organization"]) == (7, "acme")
    assert (accounts.account("a").pace, accounts.main.pace) == ("instant", "manual")


def test_a_fault_of_the_server_does_not_keep_an_account_from_being_made() -> None:
    """A request that has taken effect makes the account although a fault has spoilt its answer."""
    accounts = server(faults=[{"kind": "fail", "applied": True, "on": "upload_file"}])

    assert upload(accounts, "/accounts/a/v1").status == 500
    assert len(accounts.account("a").files) == 1
    assert [fault.fired for fault in accounts.main.faults] == [0]


def test_first_requests_at_the_same_time_are_all_kept() -> None:
    """Of many first requests for one account, sent at the same time, none is lost."""
    with server() as accounts, httpx.Client(trust_env=False, headers={"authorization": "Bearer any"}) as client:
        url = accounts.main.base_url.replace("/v1", "/accounts/a/v1/files")

        def send_one(number: int) -> int:
            files = {"purpose": (None, "fine-tune"), "file": (f"{number}.jsonl", ROWS)}
            return client.post(url, files=files).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(send_one, range(24))) == {200}
        assert {file["filename"] for file in accounts.account("a").files} == {f"{n}.jsonl" for n in range(24)}


def test_the_list_of_accounts_shows_no_key_and_counts_as_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """`GET /_fake/accounts` lists each account with its clock, counts and idle time; listing is no use of it."""
    now = 100.0
    monkeypatch.setattr(registry, "steady", lambda: now)
    accounts = server()
    upload(accounts, "/accounts/a/v1")
    now = 103.5
    send(accounts, "GET", "/_fake/accounts")
    now = 107.0
    listed = json.loads(send(accounts, "GET", "/_fake/accounts").body)["accounts"]

    main = {"name": "main", "now": BORN, "pace": "manual", "files": 0, "jobs": 0, "requests": 0, "idle_seconds": None}
    assert listed == [main, {**main, "name": "a", "files": 1, "requests": 1, "idle_seconds": 7.0}]


def test_a_forgotten_account_begins_anew() -> None:
    """`DELETE /_fake/accounts/NAME` forgets the account; the next request for its name finds a fresh one."""
    accounts = server()
    upload(accounts, "/accounts/a/v1")
    upload(accounts, "/accounts/b/v1")

    assert json.loads(send(accounts, "DELETE", "/_fake/accounts/a").body) == {"name": "a", "deleted": True}
    assert accounts.names == ["main", "b"]
    assert json.loads(send(accounts, "GET", "/accounts/a/v1/files").body)["data"] == []
    assert usage_error(send(accounts, "DELETE", "/_fake/accounts/a")) == "there is no account 'a'"
    assert "reset it instead" in usage_error(send(accounts, "DELETE", "/_fake/accounts/main"))


def test_idle_accounts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `account_ttl` an account is forgotten after as much real time without a request, and main never."""
    now = 0.0
    monkeypatch.setattr(registry, "steady", lambda: now)
    accounts = server(account_ttl="1m")
    upload(accounts, "/accounts/a/v1")
    upload(accounts, "/accounts/b/v1")
    upload(accounts, "/v1")
    now = 59.0
    send(accounts, "GET", "/accounts/a/v1/files")  # looking is use
    now = 61.0
    assert accounts.names == ["main", "a"]
    now = 120.0
    assert json.loads(send(accounts, "GET", "/accounts/a/v1/files").body)["data"] == []
    assert accounts.names == ["main"]
    assert len(accounts.main.files) == 1


def test_too_many_accounts_are_refused() -> None:
    """With `max_accounts` one more account is refused, says what to do, and changes nothing; looking goes on."""
    accounts = server(max_accounts=2)
    for name in ("a", "b"):
        assert upload(accounts, f"/accounts/{name}/v1").status == 200

    for path in ("v1/files", "_fake/reset"):
        said = usage_error(send(accounts, "POST", f"/accounts/c/{path}", UPLOAD))
        assert said.startswith(
            "this server keeps at most 2 accounts besides main, and has them; forget one with DELETE"
        )
    assert send(accounts, "GET", "/accounts/c/v1/files").status == 200
    assert upload(accounts, "/accounts/b/v1").status == 200
    accounts.forget("a")
    assert upload(accounts, "/accounts/c/v1").status == 200
    assert accounts.names == ["main", "b", "c"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"account_ttl": "soon"}, "account_ttl must be a number of seconds"),
        ({"max_accounts": -1}, "max_accounts must be a whole number from 0"),
        ({"account_per_key": 1}, "account_per_key must be True or False"),
        ({"sed": 1}, "unknown setting 'sed'"),
        ({"faults": [{"kind": "fial"}]}, "fial"),
    ],
)
def test_a_wrong_argument_is_refused(argument: dict[str, Any], said: str) -> None:
    """A value that does not fit is refused when the server is made."""
    with pytest.raises(FakeUsageError, match=said):
        FakeAccounts(**argument)


def test_each_key_has_an_account(caplog: pytest.LogCaptureFixture) -> None:
    """With `account_per_key` each API key has an account of its own under /v1, named by a digest, and no list or log
    has the key."""
    caplog.set_level(logging.DEBUG)
    accounts = server(account_per_key=True)
    keys = ["sk-alice-0123456789", "sk-bob-0123456789"]
    for key in (*keys, keys[1]):
        assert upload(accounts, "/v1", key).status == 200

    names = [name_of_key(key) for key in keys]
    assert accounts.names == ["main", *sorted(names)]
    assert [len(accounts.account(name).files) for name in names] == [1, 2]
    assert accounts.main.requests == []
    shown = [send(accounts, "GET", path).body for path in ("/_fake/accounts", "/_fake", "/_fake/requests")]
    shown += [send(accounts, "GET", f"/accounts/{name}/_fake/requests").body for name in names]
    text = b"\n".join(shown).decode() + caplog.text + "".join(accounts.account(name).describe() for name in names)
    assert not any(key in text for key in keys)


def test_a_key_counts_as_its_check_reads_it() -> None:
    """With `account_per_key` basic authentication, and Azure's own header, belong to the same account as the bearer."""
    import base64

    accounts = server(account_per_key=True)
    basic = base64.b64encode(b"user:mine").decode()
    upload(accounts, "/v1", "mine")
    listed = send(accounts, "GET", "/v1/files", key=None, authorization=f"Basic {basic}")
    assert len(json.loads(listed.body)["data"]) == 1

    azure = server(account_per_key=True, dialect="azure-2025")
    upload(azure, "/openai/v1", "mine")
    listed = send(azure, "GET", "/openai/v1/files", key=None, api_key="mine")
    assert len(json.loads(listed.body)["data"]) == 1


def test_a_refused_key_has_no_account() -> None:
    """With `account_per_key` a key that is not accepted, or none at all, gets its 401 and no account."""
    accounts = server(account_per_key=True, api_keys=["right"])

    assert [upload(accounts, "/v1", key).status for key in ("wrong", None, "right")] == [401, 401, 200]
    assert accounts.names == ["main", name_of_key("right")]


def test_a_dialect_has_its_root_below_the_name() -> None:
    """With another dialect the account's API is at the dialect's root below its name, also in a Location."""
    with server(dialect="azure-2025") as accounts:
        handle = accounts.account("a")
        assert handle.base_url == accounts.main.base_url.replace("/openai", "/accounts/a/openai")
        with httpx.Client(base_url=f"{handle.base_url}/", headers={"api-key": "any"}, trust_env=False) as client:
            files = {"purpose": (None, "fine-tune"), "file": ("t.jsonl", ROWS)}
            made = client.post("files", files=files)
            assert made.status_code == 201
            assert client.get(made.headers["location"]).json()["id"] == made.json()["id"]


def test_a_redirect_stays_in_the_account() -> None:
    """The redirect of a list with a slash at its end leads to the same account."""
    answer = send(server(), "GET", "/accounts/a/v1/fine_tuning/jobs/?limit=1", host="fake")

    assert (answer.status, dict(answer.headers)[b"location"]) == (
        307,
        b"http://fake/accounts/a/v1/fine_tuning/jobs?limit=1",
    )


def test_an_sdk_has_an_account_by_its_base_url() -> None:
    """A client that only takes a base URL works in an account of its own, and `env` of the handle has that URL."""
    with server(pace="polls") as accounts:
        mine = accounts.account("mine")
        assert (
            mine.env["OPENAI_BASE_URL"] == mine.base_url == accounts.main.base_url.replace("/v1", "/accounts/mine/v1")
        )
        with openai.OpenAI(base_url=mine.base_url, api_key="any", max_retries=0) as client:
            file = client.files.create(file=("t.jsonl", ROWS.encode()), purpose="fine-tune")
            job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
        mine.assert_job_created(training_file=file.id)
        assert [each["id"] for each in mine.jobs] == [job.id]
        assert accounts.main.jobs == []
    with pytest.raises(FakeUsageError, match="not serving"):
        assert mine.base_url


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeAccounts, httpx.Client]]:
    """A server on loopback with an account "a", and an HTTP client for it."""
    with server() as accounts:
        accounts.account("a")
        with httpx.Client(base_url=accounts.main.base_url.removesuffix("/v1"), trust_env=False) as client:
            yield accounts, client


CONTROL_ROUTES = [
    *((each.method, f"/accounts/a{each.path}") for each in CONTROL),
    ("GET", "/_fake/accounts"),
    ("DELETE", "/_fake/accounts/a"),
]


@pytest.mark.parametrize(("method", "path"), CONTROL_ROUTES, ids=lambda value: value)
def test_the_rules_of_control_hold_for_each_account(
    served: tuple[FakeAccounts, httpx.Client], method: str, path: str
) -> None:
    """A page of another origin, and a foreign Host, are refused by the control routes of an account as by `/_fake`."""
    accounts, client = served
    page = client.request(method, path, headers={"origin": "http://evil.example", "content-type": "text/plain"})
    rebound = client.request(method, path, headers={"host": "evil.example"})

    assert "must not be requested by a web page of another origin" in page.json()["fake_error"]
    assert "the Host header must name this machine" in rebound.json()["fake_error"]
    assert (page.status_code, rebound.status_code) == (403, 403)
    assert accounts.names == ["main", "a"]


@pytest.mark.parametrize(("method", "path"), CONTROL_ROUTES, ids=lambda value: value)
def test_other_machines_need_the_token_for_each_account(method: str, path: str) -> None:
    """On another address than loopback the control routes of an account want the token, and a new one is not made."""
    from fine_tuning_fakeserver.web.access import HostGuard, new_access

    accounts = server()
    accounts.account("a")
    for name, answered in (("a", {"a"}), ("b", {"a"})):
        app = HostGuard(accounts.asgi_app, new_access(False, (), "secret"))
        answer = call_app(app, method, path.replace("/a/", f"/{name}/").encode(), [], b"")
        said = json.loads(answer.body)["fake_error"]
        assert (answer.status, "control token" in said) == (403, True)
        assert set(accounts.names) == {"main", *answered}


def test_in_process_threads_share_a_server() -> None:
    """Threads that call one server in process, each with accounts of its own, lose none."""
    accounts = server()

    def work(thread: int) -> None:
        with httpx.Client(transport=transport(accounts.asgi_app), headers={"authorization": "Bearer any"}) as client:
            for number in range(20):
                root = f"http://fake/accounts/t{thread}-{number}"
                assert client.post(f"{root}/_fake/files", content=SEED_FILE).status_code == 200
                assert len(client.get(f"{root}/v1/files").json()["data"]) == 1
                if number % 2:
                    assert client.delete(f"http://fake/_fake/accounts/t{thread}-{number}").status_code == 200

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(accounts.names) == 1 + 6 * 10
