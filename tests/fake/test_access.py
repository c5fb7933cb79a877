"""Access over a socket: by peer address and token, and for web pages by Origin and Host."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.page.page_routes import PAGE_OPERATIONS, VIEWS
from fine_tuning_fakeserver.web.access import Access, HostGuard, new_access
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.in_process import transport
from fine_tuning_fakeserver.web.operations import OPERATIONS
from strategies import BORN, everything

KEY = {"authorization": "Bearer any"}
JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain"}
STEERING = [(each.method, each.path) for each in (*CONTROL_OPERATIONS, *VIEWS) if not each.is_open]
ROUTES = [(each.method, each.path) for each in (*OPERATIONS, *CONTROL_OPERATIONS, *PAGE_OPERATIONS)]
RUN = "/v1/fine_tuning/alpha/graders/run"
PYTHON = {"grader": {"type": "python", "source": "def grade(sample, item): return 1"}, "model_sample": "x", "item": {}}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeFineTuning]:
    """A fake on loopback whose time stands still."""
    with FakeFineTuning(start=BORN, pace="manual", run_python_graders=True) as serving:
        yield serving


@pytest.fixture(scope="module")
def client(fake: FakeFineTuning) -> Iterator[httpx.Client]:
    """An HTTP client for its socket."""
    with httpx.Client(base_url=fake.base_url.removesuffix("/v1"), trust_env=False) as client:
        yield client


def refusal(answer: httpx.Response, status: int = 403) -> str:
    """Check that a response is the fake's own error; return its text."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["message"] == f"fake-fine-tuning: {body['fake_error']}"
    return str(body["fake_error"])


@pytest.mark.parametrize(("method", "path"), STEERING, ids=lambda value: value)
@pytest.mark.parametrize(
    "page",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
    ],
    ids=lambda page: "-".join(page.values()),
)
def test_pages_of_another_origin_cannot_steer(
    fake: FakeFineTuning, client: httpx.Client, page: dict[str, str], method: str, path: str
) -> None:
    """A web page of another origin is refused by each control route, and changes nothing."""
    before = everything(fake)

    for media_type in (TEXT, JSON):
        answer = client.request(method, path, headers={**page, **media_type}, content=b"{}")
        said = refusal(answer)
        assert said.startswith(f"{path.partition('{')[0]}")
        assert "must not be requested by a web page of another origin" in said
    assert everything(fake) == before


@pytest.mark.parametrize("path", ["/_fake//reset", "/%5ffake/reset", "/_fake/reset?x=1"])
def test_no_spelling_of_a_path_lets_a_page_in(fake: FakeFineTuning, client: httpx.Client, path: str) -> None:
    """A web page of another origin is refused however it spells a control route's path."""
    before = everything(fake)

    answer = client.post(path, headers={"origin": "http://evil.example", **TEXT}, content=b'{"seed": 5}')

    assert answer.status_code == 403
    assert everything(fake) == before


def test_a_page_of_the_fake_itself_must_send_json(client: httpx.Client) -> None:
    """A web page of the fake's own origin may only send JSON."""
    own = {"origin": f"http://{client.base_url.netloc.decode()}", "sec-fetch-site": "same-origin"}

    said = refusal(client.post("/_fake/clock/advance", headers={**own, **TEXT}, content=b'{"seconds": 1}'), 400)
    assert said == "the content type of a web page's request must be application/json, got 'text/plain'"
    assert client.post("/_fake/clock/advance", headers={**own, **JSON}, content=b'{"seconds": 1}').status_code == 200
    assert client.get("/_fake", headers=own).status_code == 200


@pytest.mark.parametrize("media_type", ["", "application/x-www-form-urlencoded", "text/plain"])
def test_a_client_that_is_no_browser_may_send_any_type(client: httpx.Client, media_type: str) -> None:
    """A request without an Origin header may have any content type."""
    headers = {"content-type": media_type} if media_type else {}

    assert client.post("/_fake/clock/advance", headers=headers, content=b'{"seconds": 1}').status_code == 200


def test_a_page_cannot_run_code(fake: FakeFineTuning, client: httpx.Client) -> None:
    """With python graders enabled, a web page of another origin cannot run one, even with a key."""
    page = {**KEY, **JSON, "origin": "http://evil.example"}
    graded = client.post(RUN, headers={**KEY, **JSON}, json=PYTHON)

    assert "must not be requested by a web page" in refusal(client.post(RUN, headers=page, json=PYTHON))
    assert graded.json()["reward"] == 1


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 403), ("fake", 200), ("127.0.0.1", 200), ("localhost", 200)]
)
def test_a_rebound_page_cannot_run_code_on_any_address(host: str, status: int) -> None:
    """Where other machines are served, a page may run python graders only by an address or an allowed host."""
    fake = FakeFineTuning(run_python_graders=True)
    with fake.serving(host="0.0.0.0", allowed_hosts=["fake"]) as url:
        port = httpx.URL(url).port
        page = {**KEY, **JSON, "host": f"{host}:{port}", "origin": f"http://{host}:{port}"}
        answer = httpx.post(f"http://127.0.0.1:{port}{RUN}", headers=page, json=PYTHON, trust_env=False)

    assert answer.status_code == status


def test_a_page_may_use_graders_that_run_no_code(fake: FakeFineTuning) -> None:
    """With python graders disabled, the API answers a web page as the service does."""
    with FakeFineTuning() as off:
        page = {**KEY, "origin": "http://app.example"}
        answer = httpx.post(off.base_url + RUN.removeprefix("/v1"), headers=page, json=PYTHON, trust_env=False)

    assert "run_python_graders" in refusal(answer, 400)


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda value: value)
def test_a_foreign_host_is_refused(fake: FakeFineTuning, client: httpx.Client, method: str, path: str) -> None:
    """On loopback every route refuses a foreign Host header, as after DNS rebinding."""
    before, logged = everything(fake), len(fake.requests)

    said = refusal(client.request(method, path, headers={**KEY, "host": "evil.example:4355"}))

    assert said.startswith("the Host header must name this machine or an allowed host, got 'evil.example:4355'")
    assert "--allowed-host" in said
    assert (everything(fake), len(fake.requests)) == (before, logged)


HOSTS = {
    "localhost": 200,
    "LocalHost:80": 200,
    "localhost.": 200,
    "127.0.0.1:4355": 200,
    "127.8.8.8": 200,
    "[::1]:4355": 200,
    "fake": 200,
    "FAKE:4355": 200,
    "[fd00::1]:9": 200,
    "fake.example": 403,
    "localhost.evil.example": 403,
    "127.0.0.1.evil.example": 403,
    "[::1].evil.example": 403,
    "127.0.0.1@evil.example": 403,
    "localhost:80@evil.example": 403,
    "0.0.0.0:4355": 403,
    "10.0.0.1": 403,
    "[::2]": 403,
}


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_of_this_machine_and_allowed_ones(host: str) -> None:
    """Names and addresses of this machine and allowed hosts pass, in any case and with any port; others do not."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await guard({**scope, "client": ("127.0.0.1", 1)}, receive, send)

    guard = HostGuard(FakeFineTuning().asgi_app, new_access(True, ["fake", "[FD00::1]"]))
    with httpx.Client(transport=transport(serve), base_url="http://x") as client:
        paths = ("/health", "/v1/models", "/_fake")
        answers = {path: client.get(path, headers={**KEY, "host": host}).status_code for path in paths}

    assert answers == dict.fromkeys(paths, HOSTS[host])


def test_a_request_without_a_host() -> None:
    """An HTTP/1.0 request without a Host header is answered."""
    with FakeFineTuning() as fake, socket.create_connection(("127.0.0.1", httpx.URL(fake.base_url).port or 0)) as raw:
        raw.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert raw.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("value", ["fake", ["http://fake"], ["fake:80"], [""], ["a b"], [None], 5])
def test_allowed_hosts_are_names(value: Any) -> None:
    """An invalid allowed_hosts is refused before anything is served."""
    message = "allowed_hosts must be a collection of host names without scheme and port, got "
    with pytest.raises(FakeUsageError) as caught, FakeFineTuning().serving(allowed_hosts=value):
        pass

    assert str(caught.value) == f"{message}{value!r}"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"port": "4355"}, "port must be a whole number from 0 to 65535, got '4355'"),
        ({"port": 70_000}, "port must be a whole number from 0 to 65535, got 70000"),
        ({"port": True}, "port must be a whole number from 0 to 65535, got True"),
        ({"host": None}, "host must be a string, got None"),
        ({"control_token": 4355}, "control_token must be printable ASCII without spaces"),
        ({"control_token": b"secret"}, "control_token must be printable ASCII without spaces"),
        ({"control_token": 0}, "control_token must be printable ASCII without spaces"),
    ],
    ids=str,
)
def test_where_to_serve_is_checked(wrong: dict[str, Any], message: str) -> None:
    """An address, a port or a token that is none is refused by its name before anything is served."""
    with pytest.raises(FakeUsageError) as caught, FakeFineTuning().serving(**wrong):
        pass

    assert str(caught.value) == message


def test_in_process_nobody_is_refused() -> None:
    """In process, Host, Origin and content type are not checked."""
    fake = FakeFineTuning()
    page = {"host": "evil.example", "origin": "http://evil.example", "sec-fetch-site": "cross-site", **TEXT}
    with httpx.Client(transport=fake.transport(), base_url="http://x", headers=page) as client:
        assert client.post("/_fake/reset", content=b'{"seed": 5}').status_code == 200
    assert fake.settings.seed == 5


TOKENS = {
    "Bearer secret": (200, ""),
    "bearer  secret": (200, ""),
    "Bearer other": (403, "wrong token"),
    "Bearer secret2": (403, "wrong token"),
    "Basic eDp5": (403, "wrong token"),
    "secret": (403, "wrong token"),
    "": (403, "control routes need the control token; send it as Authorization: Bearer TOKEN"),
}


@pytest.mark.parametrize("sent", TOKENS)
@pytest.mark.parametrize("peer", ["172.18.0.3", "127.0.0.1"])
def test_elsewhere_control_needs_the_token(sent: str, peer: str) -> None:
    """If other machines can connect, the control API needs the token, and a wrong one is named as wrong."""
    status, words = TOKENS[sent]
    fake = FakeFineTuning(seed=1)
    guard = HostGuard(fake.asgi_app, Access(is_local=False, control_token="secret"))

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await guard({**scope, "client": (peer, 1234)}, receive, send)

    with httpx.Client(transport=transport(serve), base_url="http://fake:4355") as client:
        answer = client.post("/_fake/reset", json={"seed": 2}, headers={"authorization": sent} if sent else {})
        listed = client.get("/v1/models", headers=KEY)

    assert (answer.status_code, fake.settings.seed) == (status, 2 if status == 200 else 1)
    assert words in answer.text
    assert "--control-token" not in answer.text
    assert listed.status_code == 200


def test_a_page_does_not_get_in_with_the_token() -> None:
    """A web page of another origin is refused even with the token."""
    with FakeFineTuning().serving("0.0.0.0", control_token="secret") as url:
        control = url.replace("0.0.0.0", "127.0.0.1").replace("/v1", "/_fake")
        token = {"authorization": "Bearer secret"}
        page = httpx.get(control, headers={**token, "origin": "http://evil.example"}, trust_env=False)
        other_host = httpx.get(control, headers={**token, "host": "fake:4355"}, trust_env=False)

    assert (page.status_code, other_host.status_code) == (403, 200)


def test_elsewhere_nobody_steers_without_a_token() -> None:
    """A server for other machines without a token refuses control, and says how to set one."""
    with FakeFineTuning().serving("0.0.0.0") as url:
        here = url.replace("0.0.0.0", "127.0.0.1")
        said = refusal(httpx.get(here.replace("/v1", "/_fake"), trust_env=False))
        listed = httpx.get(f"{here}/models", headers={**KEY, "host": "fake:4355"}, trust_env=False)

    assert "set one with --control-token, in Python serving(control_token=…)" in said
    assert json.loads(listed.content)["object"] == "list"
