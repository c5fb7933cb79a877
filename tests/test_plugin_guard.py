"""The guard: no request to a provider leaves the process, whoever makes it."""

from __future__ import annotations

import asyncio
import socket
import sys
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

from fine_tuning_client import FineTuningClient
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from pytest_fine_tuning import guard as guards
from pytest_fine_tuning.guard import StrayRequestError, guarding
from pytest_fine_tuning.hosts import Hosts, placed

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
    """A fake that no socket leads to, before the usual hosts."""
    fake = FakeFineTuning()
    with fake.reached_at("http://fake-fine-tuning.invalid/v1"), guarding(fake, Hosts()):
        yield fake


@LIBRARIES
def test_a_blocking_request_to_a_provider_is_answered_by_the_fake(fake: FakeFineTuning, library: ModuleType) -> None:
    """A request of either library, also by a client's stream, ends in the log of the fake."""
    with library.Client(headers=HEADERS) as client:
        assert client.get(f"{OPENAI}/models").json()["object"] == "list"
        with client.stream("GET", "https://eu.api.openai.com/v1/files") as answer:
            assert answer.read()

    assert [call.operation for call in fake.calls] == ["list_models", "list_files"]


@LIBRARIES
def test_an_async_request_to_a_provider_is_answered_by_the_fake(fake: FakeFineTuning, library: ModuleType) -> None:
    """So is one of either library's async client."""

    async def ask() -> int:
        async with library.AsyncClient(headers=HEADERS) as client:
            answer = await client.get(f"{OPENAI}/models")
            return int(answer.status_code)

    assert asyncio.run(ask()) == 200
    assert [call.operation for call in fake.calls] == ["list_models"]


def test_clients_of_the_sdk_that_are_older_than_the_guard_train_a_model(fake: FakeFineTuning) -> None:
    """Upload, creation and looks of clients made at import time, blocking and async, come to the fake."""

    async def look(job: str) -> str:
        return (await EARLY_ASYNC.fine_tuning.jobs.retrieve(job)).status

    file = EARLY.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
    job = EARLY.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")

    assert [asyncio.run(look(job.id)) for _ in range(3)] == ["queued", "running", "succeeded"]
    assert fake.jobs[0]["id"] == job.id


def test_our_client_with_an_address_of_its_own_asks_the_fake(fake: FakeFineTuning) -> None:
    """A client of this package that goes to the provider, as without any redirect, ends at the fake."""
    with FineTuningClient("openai", api_key=KEY, base_url=OPENAI) as client:
        assert len(client.list_jobs().data) == 0
    fake.assert_called("list_jobs", times=1)


def test_a_key_that_costs_money_is_not_kept(fake: FakeFineTuning) -> None:
    """Neither the log nor the description of the account has the key of a request that was caught."""
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
    """Paths and keys as Azure has them come to the same account, whether it speaks Azure's dialect or not."""
    fake = FakeFineTuning(dialect=dialect)
    with fake.reached_at("http://fake-fine-tuning.invalid/v1"), guarding(fake, Hosts()):
        file = client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
        assert client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini-2024-07-18").id
    assert [(call.operation, call.accepted) for call in fake.calls] == [("upload_file", True), ("create_job", True)]


@LIBRARIES
def test_a_transport_that_was_given_is_left_alone(fake: FakeFineTuning, library: ModuleType) -> None:
    """A client with a transport of its own is answered by that, whatever host it asks."""
    transport = library.MockTransport(lambda request: library.Response(418))
    with library.Client(transport=transport) as client:
        assert client.get(f"{OPENAI}/models").status_code == 418
    fake.assert_nothing_called()


@LIBRARIES
def test_a_proxy_is_not_asked(fake: FakeFineTuning, library: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that goes through a proxy does not come that far."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert library.get(f"{OPENAI}/models", headers=HEADERS).status_code == 200
    fake.assert_called("list_models")


@LIBRARIES
@pytest.mark.parametrize("url", ["https://example.com/x", f"{OPENAI}/models"])
def test_other_hosts_and_allowed_ones_are_asked(library: ModuleType, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to a host that is no provider's, or is allowed, goes on as it would have gone."""
    monkeypatch.setattr(library.HTTPTransport, "handle_request", lambda transport, request: library.Response(418))
    fake = FakeFineTuning()
    with fake.reached_at("http://x.invalid/v1"), guarding(fake, Hosts(allowed=["*.openai.com"])):
        assert library.get(url).status_code == 418
    fake.assert_nothing_called()


@LIBRARIES
def test_other_hosts_are_asked_by_async_clients(library: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does the request of an async client."""

    async def teapot(transport: Any, request: Any) -> Any:
        return library.Response(418)

    async def ask() -> int:
        async with library.AsyncClient() as client:
            return int((await client.get("https://example.com/x")).status_code)

    monkeypatch.setattr(library.AsyncHTTPTransport, "handle_async_request", teapot)
    fake = FakeFineTuning()
    with fake.reached_at("http://x.invalid/v1"), guarding(fake, Hosts()):
        assert asyncio.run(ask()) == 418
    fake.assert_nothing_called()


def test_a_library_that_is_not_there_needs_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where httpx2 is not installed, requests of httpx are answered all the same."""
    monkeypatch.setitem(sys.modules, "httpx2", None)  # Python's own way to say: not there
    fake = FakeFineTuning()
    with fake.reached_at("http://x.invalid/v1"), guarding(fake, Hosts()):
        assert httpx.get(f"{OPENAI}/models", headers=HEADERS).status_code == 200


@LIBRARIES
def test_the_address_of_the_fake_itself_needs_no_socket(library: ModuleType) -> None:
    """A request to where the fake says it is is answered in this process, while nobody listens there."""
    fake = FakeFineTuning()
    with fake.reached_at("http://127.0.0.1:1/v1"), guarding(fake, Hosts()):
        assert library.get("http://127.0.0.1:1/v1/models", headers=HEADERS).status_code == 200
    fake.assert_called("list_models")


def test_the_innermost_guard_answers() -> None:
    """Of two guards it is the younger one whose fake is asked, and then the older one's again."""
    older, younger = FakeFineTuning(), FakeFineTuning()
    with older.reached_at("http://a.invalid/v1"), guarding(older, Hosts()):
        with younger.reached_at("http://b.invalid/v1"), guarding(younger, Hosts()):
            EARLY.models.list()
        EARLY.files.list()

    assert [call.operation for call in younger.calls] == ["list_models"]
    assert [call.operation for call in older.calls] == ["list_files"]


def places() -> list[Any]:
    """What a guard puts something else in the place of."""
    return [
        *(library.HTTPTransport.handle_request for library in (httpx, httpx2)),
        *(library.AsyncHTTPTransport.handle_async_request for library in (httpx, httpx2)),
        socket.getaddrinfo,
    ]


def test_everything_is_put_back() -> None:
    """After a guard, and after two that end in the wrong order, all is the same object as before."""
    before, fake = places(), FakeFineTuning()
    with fake.reached_at("http://a.invalid/v1"):
        first, second = guarding(fake, Hosts()), guarding(fake, Hosts())
        first.__enter__()
        second.__enter__()
        assert not set(before) & set(places())
        first.__exit__(None, None, None)
        assert not set(before) & set(places())
        second.__exit__(None, None, None)

    assert places() == before


def test_what_somebody_else_patched_on_top_is_theirs_to_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch that is taken away after the guard leaves its detour, which leads past no guard and is lifted later."""
    before, fake = places(), FakeFineTuning()
    with fake.reached_at("http://a.invalid/v1"), monkeypatch.context() as patch:
        with guarding(fake, Hosts()):
            patch.setattr(httpx.HTTPTransport, "handle_request", lambda transport, request: httpx.Response(418))
            assert httpx.get(f"{OPENAI}/models").status_code == 418
        assert httpx.get(f"{OPENAI}/models").status_code == 418
    assert places() != before
    guards.lift()

    assert places() == before
    fake.assert_nothing_called()


def test_a_cassette_in_the_test_plays_first(fake: FakeFineTuning, tmp_path: Path) -> None:
    """What a cassette of vcrpy has is played; what it has not is not recorded from the real service."""
    path = tmp_path / "models.yaml"
    request = f"- request: {{body: '', headers: {{}}, method: GET, uri: '{OPENAI}/models'}}"
    response = "  response: {body: {string: played}, headers: {}, status: {code: 200, message: OK}}"
    path.write_text(f"interactions:\n{request}\n{response}\nversion: 1\n")

    with vcr.use_cassette(str(path), record_mode="new_episodes"):
        assert httpx.get(f"{OPENAI}/models").text == "played"
        with pytest.raises(StrayRequestError):
            httpx.get(f"{OPENAI}/files")
    fake.assert_nothing_called()


async def connect() -> None:
    """Connect as aiohttp does."""
    await asyncio.open_connection("api.openai.com", 443)


ELSE: dict[str, Callable[[str], object]] = {
    "urllib": lambda url: urllib.request.urlopen(url),
    "requests": lambda url: requests.get(url, timeout=1),
    "sockets": lambda url: socket.create_connection(("api.openai.com", 443)),
    "bytes": lambda url: socket.getaddrinfo(b"API.openai.com.", 443),
    "asyncio": lambda url: asyncio.run(connect()),
}


@pytest.mark.parametrize("library", ELSE)
def test_other_libraries_are_refused(fake: FakeFineTuning, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is neither httpx nor httpx2 gets an error that names the host, the address to use, and the way out."""
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    with pytest.raises(StrayRequestError, match=r"(?i)api\.openai\.com.*OPENAI_BASE_URL.*invalid/v1.*allowed_hosts"):
        ELSE[library](f"{OPENAI}/models")


def test_names_that_are_nobodys_business_are_looked_up(fake: FakeFineTuning) -> None:
    """This machine is found, by name, by address and by nothing, with any of the arguments."""
    assert socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    assert socket.getaddrinfo(None, 80)


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
    """Those of the table and those added are, those allowed and all others are not."""
    assert (host in Hosts(guarded=["*.example.org"], allowed=["except.example.org"])) is guarded


@pytest.mark.parametrize("pattern", ["https://api.example.com", "api.example.com:443", "a/b", "", 7, None])
def test_what_is_no_host_is_refused(pattern: Any) -> None:
    """A URL, a port, nothing and no text name no host; the error shows what would."""
    with pytest.raises(FakeUsageError, match=r"allowed_hosts has .*the name of a host is wanted"):
        Hosts(allowed=[pattern])


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
    """Only the root at the beginning is changed; escapes and the query stay as they are."""
    assert placed(target) == under_v1


def test_a_proxy_is_no_way_around_the_guard(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment, other libraries are refused all the same, and it is never asked."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    pytester.makepyfile(
        """
        import urllib.request, pytest

        def test_asks(fake_fine_tuning):
            for host in ("api.openai.com", "mine.openai.azure.com"):
                with pytest.raises(Exception, match="would have left this process"):
                    urllib.request.urlopen(f"https://{host}/v1/models")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
