"""The guard: no request to a provider leaves the process, whichever library sends it."""

from __future__ import annotations

import _socket
import asyncio
import contextlib
import http.client
import http.server
import os
import socket
import ssl
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import openai
import pytest
import requests
import vcr  # type: ignore[import-untyped]  # vcrpy has no types

from downstream_project import WITHOUT_OURS
from fine_tuning_client import FineTuningClient
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from pytest_fine_tuning import network_guard as guards
from pytest_fine_tuning.network_guard import BlockedRequestError, install_guard, to_v1_target
from pytest_fine_tuning.provider_hosts import ProviderHosts

pytestmark = pytest.mark.slow

KEY = "sk-a-key-that-costs-money"
HEADERS = {"Authorization": f"Bearer {KEY}"}
OPENAI = "https://api.openai.com/v1"
ROWS = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 10
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])

# As in a module that makes its clients when it is imported.
EARLY = openai.OpenAI(base_url=OPENAI, api_key=KEY, max_retries=0)
EARLY_ASYNC = openai.AsyncOpenAI(base_url=OPENAI, api_key=KEY, max_retries=0)


@pytest.fixture
def fake() -> Iterator[FakeFineTuning]:
    """A fake without a socket, behind a guard for the default hosts."""
    fake = FakeFineTuning()
    with fake.reached_at("http://fake-fine-tuning.invalid/v1"), install_guard(fake, ProviderHosts()):
        yield fake


@LIBRARIES
def test_a_blocking_request_to_a_provider_is_answered_by_the_fake(fake: FakeFineTuning, library: ModuleType) -> None:
    """A blocking request to a provider by httpx or httpx2, streamed or not, is answered by the fake."""
    with library.Client(headers=HEADERS) as client:
        assert client.get(f"{OPENAI}/models").json()["object"] == "list"
        with client.stream("GET", "https://eu.api.openai.com/v1/files") as answer:
            assert answer.read()

    assert [call.operation for call in fake.calls] == ["list_models", "list_files"]


@LIBRARIES
def test_an_async_request_to_a_provider_is_answered_by_the_fake(fake: FakeFineTuning, library: ModuleType) -> None:
    """An async request to a provider by httpx or httpx2 is answered by the fake."""

    async def ask() -> int:
        async with library.AsyncClient(headers=HEADERS) as client:
            answer = await client.get(f"{OPENAI}/models")
            return int(answer.status_code)

    assert asyncio.run(ask()) == 200
    assert [call.operation for call in fake.calls] == ["list_models"]


def test_clients_of_the_sdk_that_are_older_than_the_guard_train_a_model(fake: FakeFineTuning) -> None:
    """Upload, creation and polls by SDK clients made before the guard reach the fake, blocking and async."""

    async def look(job: str) -> str:
        return (await EARLY_ASYNC.fine_tuning.jobs.retrieve(job)).status

    file = EARLY.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
    job = EARLY.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")

    assert [asyncio.run(look(job.id)) for _ in range(3)] == ["queued", "running", "succeeded"]
    assert fake.jobs[0]["id"] == job.id


def test_our_client_with_an_address_of_its_own_asks_the_fake(fake: FakeFineTuning) -> None:
    """A client of this package that is configured for the provider reaches the fake."""
    with FineTuningClient("openai", api_key=KEY, base_url=OPENAI) as client:
        assert len(client.list_jobs().data) == 0
    fake.assert_called("list_jobs", times=1)


def test_a_key_that_costs_money_is_not_kept(fake: FakeFineTuning) -> None:
    """Neither the log nor the description of the account has the key of a caught request."""
    EARLY.models.list()
    openai.AzureOpenAI(
        api_key=KEY, azure_endpoint="https://mine.openai.azure.com", api_version="2025-04-01-preview"
    ).fine_tuning.jobs.list()

    assert len(fake.requests) == 2
    assert KEY not in f"{fake.requests}{fake.describe()}{[each.as_json() for each in fake.requests]}"


@pytest.mark.parametrize("dialect", ["openai-2025-09", "azure-2025"])
@pytest.mark.parametrize(
    "client",
    [
        openai.AzureOpenAI(
            api_key=KEY, azure_endpoint="https://mine.openai.azure.com", api_version="2025-04-01-preview"
        ),
        openai.OpenAI(api_key=KEY, base_url="https://mine.openai.azure.com/openai/v1/"),
        openai.OpenAI(api_key=KEY, base_url="https://mine.services.ai.azure.com/api/projects/mine/openai/v1"),
    ],
    ids=["dated", "v1", "project"],
)
def test_a_client_of_azure_reaches_the_account_in_any_dialect(client: openai.OpenAI, dialect: str) -> None:
    """A request in Azure's form reaches the account, whether the fake's dialect is Azure's or not."""
    fake = FakeFineTuning(dialect=dialect)
    with fake.reached_at("http://fake-fine-tuning.invalid/v1"), install_guard(fake, ProviderHosts()):
        file = client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
        assert client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini-2024-07-18").id
    assert [(call.operation, call.accepted) for call in fake.calls] == [("upload_file", True), ("create_job", True)]


@LIBRARIES
def test_a_transport_that_was_given_is_left_alone(fake: FakeFineTuning, library: ModuleType) -> None:
    """A client with its own transport is not redirected, whatever host it requests."""
    transport = library.MockTransport(lambda request: library.Response(418))
    with library.Client(transport=transport) as client:
        assert client.get(f"{OPENAI}/models").status_code == 418
    fake.assert_nothing_called()


@LIBRARIES
def test_a_proxy_is_not_asked(fake: FakeFineTuning, library: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client configured with a proxy reaches the fake instead of the proxy."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert library.get(f"{OPENAI}/models", headers=HEADERS).status_code == 200
    fake.assert_called("list_models")


@LIBRARIES
@pytest.mark.parametrize("url", ["https://example.com/x", f"{OPENAI}/models"])
def test_other_hosts_and_allowed_ones_are_asked(library: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to a host that is not guarded, or is allowed, is sent as usual."""
    monkeypatch.setattr(library.HTTPTransport, "handle_request", lambda transport, request: library.Response(418))
    fake = FakeFineTuning()
    with fake.reached_at("http://x.invalid/v1"), install_guard(fake, ProviderHosts(allowed=["*.openai.com"])):
        assert library.get(url).status_code == 418
    fake.assert_nothing_called()


@LIBRARIES
def test_other_hosts_are_asked_by_async_clients(library: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """An async request to a host that is not guarded is sent as usual."""

    async def teapot(transport: Any, request: Any) -> Any:
        return library.Response(418)

    async def ask() -> int:
        async with library.AsyncClient() as client:
            return int((await client.get("https://example.com/x")).status_code)

    monkeypatch.setattr(library.AsyncHTTPTransport, "handle_async_request", teapot)
    fake = FakeFineTuning()
    with fake.reached_at("http://x.invalid/v1"), install_guard(fake, ProviderHosts()):
        assert asyncio.run(ask()) == 418
    fake.assert_nothing_called()


def test_a_library_that_is_not_there_needs_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without httpx2 installed, requests of httpx are still guarded."""
    monkeypatch.setitem(sys.modules, "httpx2", None)  # Python's own way to say: not there
    fake = FakeFineTuning()
    with fake.reached_at("http://x.invalid/v1"), install_guard(fake, ProviderHosts()):
        assert httpx.get(f"{OPENAI}/models", headers=HEADERS).status_code == 200


@LIBRARIES
def test_the_address_of_the_fake_itself_needs_no_socket(library: ModuleType) -> None:
    """A request to the fake's own address is answered in process, without a listening socket."""
    fake = FakeFineTuning()
    with fake.reached_at("http://127.0.0.1:1/v1"), install_guard(fake, ProviderHosts()):
        assert library.get("http://127.0.0.1:1/v1/models", headers=HEADERS).status_code == 200
    fake.assert_called("list_models")


def test_the_innermost_guard_answers() -> None:
    """Of two nested guards the inner one answers, and after it the outer one again."""
    older, younger = FakeFineTuning(), FakeFineTuning()
    with older.reached_at("http://a.invalid/v1"), install_guard(older, ProviderHosts()):
        with younger.reached_at("http://b.invalid/v1"), install_guard(younger, ProviderHosts()):
            EARLY.models.list()
        EARLY.files.list()

    assert [call.operation for call in younger.calls] == ["list_models"]
    assert [call.operation for call in older.calls] == ["list_files"]


def places() -> list[Any]:
    """The functions that a guard replaces."""
    return [
        *(library.HTTPTransport.handle_request for library in (httpx, httpx2)),
        *(library.AsyncHTTPTransport.handle_async_request for library in (httpx, httpx2)),
        http.client.HTTPConnection.putrequest,
        http.client.HTTPConnection.set_tunnel,
        *(getattr(module, name) for module in (_socket, socket) for name in ("getaddrinfo", "gethostbyname")),
        *(getattr(module, name) for module in (_socket, socket) for name in ("gethostbyname_ex", "gethostbyaddr")),
        *(getattr(socket.socket, name) for name in ("bind", "connect", "connect_ex", "sendto")),
        ssl.SSLContext.wrap_socket,
        ssl.SSLContext.wrap_bio,
    ]


def test_everything_is_put_back() -> None:
    """After a guard, and after two that end in the wrong order, all patched functions are the originals again."""
    before, fake = places(), FakeFineTuning()
    with fake.reached_at("http://a.invalid/v1"):
        first, second = install_guard(fake, ProviderHosts()), install_guard(fake, ProviderHosts())
        first.__enter__()
        second.__enter__()
        assert not set(before) & set(places())
        first.__exit__(None, None, None)
        assert not set(before) & set(places())
        second.__exit__(None, None, None)

    assert places() == before


def test_what_somebody_else_patched_on_top_is_theirs_to_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that others patched on top of the guard is restored later, and guards nothing until then."""
    before, fake = places(), FakeFineTuning()
    with fake.reached_at("http://a.invalid/v1"), monkeypatch.context() as patch:
        with install_guard(fake, ProviderHosts()):
            patch.setattr(httpx.HTTPTransport, "handle_request", lambda transport, request: httpx.Response(418))
            assert httpx.get(f"{OPENAI}/models").status_code == 418
        assert httpx.get(f"{OPENAI}/models").status_code == 418
    assert places() != before
    guards.remove_guard()

    assert places() == before
    fake.assert_nothing_called()


def test_a_cassette_in_the_test_plays_first(fake: FakeFineTuning, tmp_path: Path) -> None:
    """A cassette of vcrpy replays its recordings, and other requests are answered by the fake."""
    path = tmp_path / "models.yaml"
    request = f"- request: {{body: '', headers: {{}}, method: GET, uri: '{OPENAI}/models'}}"
    response = "  response: {body: {string: played}, headers: {}, status: {code: 200, message: OK}}"
    path.write_text(f"interactions:\n{request}\n{response}\nversion: 1\n")

    with vcr.use_cassette(str(path), record_mode="new_episodes"):
        assert httpx.get(f"{OPENAI}/models").text == "played"
        assert httpx.get(f"{OPENAI}/files", headers={"authorization": "Bearer any"}).json()["data"] == []
    assert len(fake.requests) == 1


def test_a_cassette_around_the_guard_is_no_way_around_it(tmp_path: Path) -> None:
    """A guard entered while a vcrpy cassette is open still refuses requests, and is removed after it."""
    before, fake = places(), FakeFineTuning()
    with (
        fake.reached_at("http://a.invalid/v1"),
        vcr.use_cassette(str(tmp_path / "x.yaml"), record_mode="all"),
        install_guard(fake, ProviderHosts()),
        pytest.raises(BlockedRequestError),
    ):
        requests.get(f"{OPENAI}/models", proxies={"https": "http://127.0.0.1:9"})
    assert places() == before


TAKEN_BEFORE = socket.getaddrinfo


async def connect() -> None:
    """Connect as aiohttp does."""
    await asyncio.open_connection("api.openai.com", 443)


ELSE: dict[str, Callable[[str], object]] = {
    "urllib": lambda url: urllib.request.urlopen(url),
    "requests": lambda url: requests.get(url, timeout=1),
    "sockets": lambda url: socket.create_connection(("api.openai.com", 443)),
    "bytes": lambda url: socket.getaddrinfo(b"API.openai.com.", 443),
    "asyncio": lambda url: asyncio.run(connect()),
    "proxied": lambda url: requests.get(url, proxies={"https": "http://127.0.0.1:9"}, timeout=1),
    "http proxied": lambda url: requests.get(
        url.replace("https", "http"), proxies={"http": "http://127.0.0.1:9"}, timeout=1
    ),
    "by name": lambda url: socket.gethostbyname("api.openai.com"),
    "by name, all": lambda url: socket.gethostbyname_ex("api.openai.com"),
    "taken before": lambda url: TAKEN_BEFORE("api.openai.com", 443),
}


@pytest.mark.parametrize("library", ELSE)
def test_other_libraries_are_refused(fake: FakeFineTuning, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request by another library is refused with the host, the address to use, and how to allow it."""
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    with pytest.raises(BlockedRequestError, match=r"(?i)api\.openai\.com.*OPENAI_BASE_URL.*invalid/v1.*allowed_hosts"):
        ELSE[library](f"{OPENAI}/models")


def test_names_that_are_nobodys_business_are_looked_up(fake: FakeFineTuning) -> None:
    """Local host names, addresses and empty names can still be resolved."""
    assert socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert socket.getaddrinfo(None, 80)
    assert socket.gethostbyname("localhost")
    assert socket.gethostbyname("")


@pytest.fixture
def answering() -> Iterator[int]:
    """The port of a local server that responds 204 to everything."""

    class Answering(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_connection_that_was_open_before_is_refused(answering: int) -> None:
    """A requests session cannot use a kept-alive connection to a guarded host."""
    fake, url = FakeFineTuning(), f"http://localhost:{answering}/v1/models"
    with requests.Session() as session, fake.reached_at("http://a.invalid/v1"):
        session.get(url)
        with install_guard(fake, ProviderHosts(guarded=["localhost"])), pytest.raises(BlockedRequestError):
            session.get(url)
        assert session.get(url).status_code == 204


def test_a_refusal_is_not_forgotten(fake: FakeFineTuning) -> None:
    """A refused request is reported once among the usage errors, even if its exception was swallowed."""
    for _ in range(2):
        with contextlib.suppress(BlockedRequestError):
            requests.get(f"{OPENAI}/models")
    assert "api.openai.com would have left" in fake.describe()
    (told,) = fake.take_usage_errors()
    assert "api.openai.com would have left" in told
    assert fake.take_usage_errors() == []


@pytest.mark.parametrize(
    ("host", "guarded"),
    [
        ("api.openai.com", True),
        ("API.OpenAI.com.", True),
        ("us.api.openai.com", True),
        ("mine.openai.azure.com", True),
        ("mine.services.ai.azure.com", True),
        ("bedrock-mantle.us-west-2.api.aws", True),
        ("api.tokenfactory.nebius.com", True),
        ("openai.com", False),
        ("api.openai.com.example.com", False),
        ("notapi.openai.com", False),
        ("bedrock.us-west-2.api.aws", False),
        ("127.0.0.1", False),
        ("mine.example.org", True),
        ("except.example.org", False),
    ],
)
def test_which_hosts_are_guarded(host: str, guarded: bool) -> None:
    """The default and added hosts are guarded, and allowed and other hosts are not."""
    assert (host in ProviderHosts(guarded=["*.example.org"], allowed=["except.example.org"])) is guarded


@pytest.mark.parametrize("pattern", ["https://api.example.com", "api.example.com:443", "a/b", "", 7, None])
def test_what_is_no_host_is_refused(pattern: Any) -> None:
    """A URL, a port, an empty string or a non-string is not accepted as a host name."""
    with pytest.raises(FakeUsageError, match="allowed_hosts must be host names"):
        ProviderHosts(allowed=[pattern])


@pytest.mark.parametrize(
    ("target", "under_v1"),
    [
        (b"/openai/fine_tuning/jobs?api-version=2025-04-01", b"/v1/fine_tuning/jobs?api-version=2025-04-01"),
        (b"/openai/v1/files/openai/v1", b"/v1/files/openai/v1"),
        (b"/api/projects/mine/openai/v1/models/a%2Fb", b"/v1/models/a%2Fb"),
        (b"/v1/models/openai/v1", b"/v1/models/openai/v1"),
        (b"/openai", b"/openai"),
    ],
)
def test_paths_of_azure_are_put_under_v1(target: bytes, under_v1: bytes) -> None:
    """Azure's root path becomes /v1, and escapes and the query are kept."""
    assert to_v1_target(target) == under_v1


def test_a_proxy_is_no_way_around_the_guard(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment, other libraries are still refused, and the proxy is not contacted."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    pytester.makepyfile(
        """
        import urllib.request, pytest

        def test_asks(fake_fine_tuning):
            for host in ("api.openai.com", "mine.openai.azure.com"):
                with pytest.raises(Exception, match="would have left this process"):
                    urllib.request.urlopen(f"https://{host}/v1/models")
            assert len(fake_fine_tuning.take_usage_errors()) == 2
        """
    )
    pytester.runpytest_subprocess(*WITHOUT_OURS).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("guarded", "allowed", "unproxied", "proxied"),
    [
        ((), (), {"api.openai.com", ".api.openai.com", ".openai.azure.com"}, {".api.aws", ".example.com"}),
        ((), ("eu.api.openai.com",), {"api.openai.com"}, {".api.openai.com"}),
        ((), ("*.openai.com",), {".openai.azure.com"}, {"api.openai.com", ".api.openai.com"}),
        (("llm-*.example.com", "One.Example.com"), (), {"one.example.com"}, {".example.com"}),
    ],
)
def test_which_hosts_no_proxy_is_asked_for(
    guarded: tuple[str, ...], allowed: tuple[str, ...], unproxied: set[str], proxied: set[str]
) -> None:
    """NO_PROXY lists the guarded hosts that it can name without naming others, and none that is allowed."""
    names = set(ProviderHosts(guarded=guarded, allowed=allowed).unproxied)
    assert unproxied <= names
    assert not proxied & names


def test_no_proxy_for_anybody_stays_so(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``NO_PROXY`` of ``*`` stays as it is under the fixture, and a list keeps its entries."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "mine.example.com")
    pytester.makepyfile(
        """
        import os

        def test_spared(fake_fine_tuning):
            assert os.environ["NO_PROXY"] == "*"
            assert {"127.0.0.1", "mine.example.com", "api.openai.com"} <= set(os.environ["no_proxy"].split(","))
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert os.environ["NO_PROXY"] == "*"


FORKING = """
import multiprocessing
import httpx
import httpx2
import openai
import pytest
from concurrent.futures import ProcessPoolExecutor
from fine_tuning_client import AsyncFineTuning, FineTuning

ROWS = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10
HEADERS = {"Authorization": "Bearer any"}
OPENAI = "https://api.openai.com/v1"


def official():
    return openai.OpenAI().fine_tuning.jobs.list().object


def elsewhere():
    return openai.OpenAI(base_url=OPENAI).models.list().object


def old():
    return httpx.get(f"{OPENAI}/models", headers=HEADERS).json()["object"]


def ours():
    return FineTuning.upload_file(ROWS).purpose


def awaited():
    import asyncio

    async def ask():
        async with httpx2.AsyncClient(headers=HEADERS) as client:
            answer = await client.get(f"{OPENAI}/models")
        return answer.json()["object"], (await AsyncFineTuning.list_jobs()).jobs
    return asyncio.run(ask())


@pytest.mark.parametrize(("work", "said", "operations"), [
    (official, "list", ["list_jobs"]), (elsewhere, "list", ["list_models"]), (old, "list", ["list_models"]),
    (ours, "fine-tune", ["upload_file"]), (awaited, ("list", ()), ["list_models", "list_jobs"])])
def test_forked(fake_fine_tuning, work, said, operations):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        assert pool.submit(work).result(timeout=30) == said
    assert [call.operation for call in fake_fine_tuning.calls] == operations
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
def test_a_forked_process_asks_the_account_of_its_parent(pytester: pytest.Pytester) -> None:
    """Requests from a forked process, by any client, are in the parent fake's log."""
    pytester.makepyfile(FORKING)
    pytester.runpytest_subprocess(*WITHOUT_OURS, timeout=60).assert_outcomes(passed=5)
