"""Per-client timeouts, retries and providers, and what clients share."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import pytest

from fine_tuning_client import (
    APIError,
    APIStatusError,
    AsyncFineTuning,
    AsyncFineTuningClient,
    ConfigurationError,
    FineTuning,
    FineTuningClient,
    configure,
    testing,
)

KEY = "sk-secret/0123456789"
OTHER = "gateway-token-42"
JOB = {"id": "ftjob-1", "status": "succeeded", "model": "m", "training_file": "f", "created_at": 1}
FILE = {"id": "file-1", "filename": "a.jsonl", "bytes": 3, "created_at": 1, "purpose": "fine-tune"}
GONE = {"id": "x", "deleted": True}
PAGE = {"object": "list", "data": [], "has_more": False}

# One call of every verb of one kind or the other.
CALLS: dict[str, tuple[Any, ...]] = {
    "create_job": ("f", "m"),
    "list_jobs": (),
    "retrieve_job": ("ftjob-1",),
    "cancel_job": ("ftjob-1",),
    "pause_job": ("ftjob-1",),
    "resume_job": ("ftjob-1",),
    "list_job_events": ("ftjob-1",),
    "list_job_checkpoints": ("ftjob-1",),
    "upload_file": (b"{}",),
    "list_files": (),
    "retrieve_file": ("file-1",),
    "delete_file": ("file-1",),
    "download_file": ("file-1",),
    "list_models": (),
    "retrieve_model": ("m",),
    "delete_model": ("m",),
    "iter_jobs": (),
    "iter_job_events": ("ftjob-1",),
    "iter_job_checkpoints": ("ftjob-1",),
    "wait_for_job": ("ftjob-1",),
    "follow_job_events": ("ftjob-1",),
    "result_metrics": ("ftjob-1",),
}
BAD_TIMEOUTS = [0, -1, float("inf"), float("nan"), "5", None]
BAD_RETRIES = [-1, 1.5, "2", None]


class Service:
    """A transport handler that records requests and sends a fitting or a fixed response."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response] | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer or usual

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Record the request and return the response."""
        self.requests.append(request)
        return self._answer(request)


def usual(request: httpx.Request) -> httpx.Response:
    """Return a successful response to any request."""
    path = request.url.path.removeprefix("/v1")
    if request.method == "DELETE":
        return httpx.Response(200, json=GONE)
    if path.endswith(("/jobs", "/events", "/checkpoints", "/files", "/models")) and request.method == "GET":
        return httpx.Response(200, json=PAGE)
    return httpx.Response(200, json=FILE if path.startswith("/files") else {"id": "m"} | JOB)


def call_blocking(service: Service, verb: str, options: Any = None, **given: Any) -> Any:
    """Call a method of a blocking client and exhaust its result."""
    with httpx.Client(transport=httpx.MockTransport(service)) as http:
        client = FineTuningClient("openai", api_key=KEY, http_client=http, sleep=lambda seconds: None, **given)
        result = getattr(client.with_options(**(options or {})), verb)(*CALLS[verb])
        return list(result) if inspect.isgenerator(result) else result


def call_awaited(service: Service, verb: str, options: Any = None, **given: Any) -> Any:
    """Call a method of an async client and exhaust its result."""

    async def call() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as http:
            client = AsyncFineTuningClient("openai", api_key=KEY, http_client=http, sleep=lambda seconds: None, **given)
            result = getattr(client.with_options(**(options or {})), verb)(*CALLS[verb])
            return [each async for each in result] if inspect.isasyncgen(result) else await result

    return asyncio.run(call())


@pytest.fixture(params=[call_blocking, call_awaited])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call a method of the blocking or of the async client."""
    return cast("Callable[..., Any]", request.param)


@pytest.mark.parametrize("verb", CALLS)
def test_every_operation_takes_a_timeout(call: Callable[..., Any], verb: str) -> None:
    """Each request of each method has the client's timeout to connect, read and write."""
    service = Service()
    call(service, verb, {"timeout": 2.5}, timeout=9.0)
    found = {seconds for request in service.requests for seconds in request.extensions["timeout"].values()}
    assert found == {2.5}


@pytest.mark.parametrize("verb", CALLS)
def test_no_operation_goes_without_a_timeout(call: Callable[..., Any], verb: str) -> None:
    """Without a timeout option each request has a timeout of 60 seconds."""
    service = Service()
    call(service, verb)
    assert service.requests
    assert {seconds for each in service.requests for seconds in each.extensions["timeout"].values()} == {60.0}


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_retries_can_be_chosen(call: Callable[..., Any], retries: int) -> None:
    """A request is repeated `max_retries` times."""
    service = Service(lambda request: httpx.Response(500))
    with pytest.raises(APIStatusError):
        call(service, "retrieve_job", {"max_retries": retries})
    assert len(service.requests) == retries + 1


@pytest.mark.parametrize("kind", [FineTuningClient, AsyncFineTuningClient])
def test_options_that_cannot_be(kind: Any) -> None:
    """A timeout that is not a finite positive number, or an invalid max_retries, is refused at once."""
    for timeout in BAD_TIMEOUTS:
        with pytest.raises(ValueError, match=r"timeout must be .* got"):
            kind("fake", timeout=timeout)
    for retries in BAD_RETRIES:
        with pytest.raises(ValueError, match=r"max_retries must be .* got"):
            kind("fake", max_retries=retries)
    with pytest.raises(ValueError, match="timeout must be"):
        kind("fake").with_options(timeout=0)
    with pytest.raises(ValueError, match="max_retries must be"):
        kind("fake").with_options(max_retries=-1)


def test_options_leave_the_client_as_it_was(call: Callable[..., Any]) -> None:
    """`with_options` copies all other options to the new client and leaves the first one unchanged."""
    service = Service()
    with httpx.Client(transport=httpx.MockTransport(service)) as http:
        client = FineTuningClient("openai", api_key=KEY, organization="org-1", timeout=9.0, http_client=http)
        other = client.with_options(timeout=2.0).with_options(max_retries=0)
        for each in (other, client):
            each.retrieve_job("ftjob-1")
        assert repr(other) == repr(client)
    assert [set(each.extensions["timeout"].values()) for each in service.requests] == [{2.0}, {9.0}]
    assert {each.headers["OpenAI-Organization"] for each in service.requests} == {"org-1"}
    assert {each.headers["Authorization"] for each in service.requests} == {f"Bearer {KEY}"}


def test_the_facades_take_options() -> None:
    """`FineTuning.with_options` returns a client of the default provider and leaves the facade unchanged."""
    service = Service()
    transport = httpx.MockTransport(service)
    with httpx.Client(transport=transport) as http, testing.redirect("http://fake/v1", http_client=http):
        FineTuning.with_options(timeout=5).retrieve_job("ftjob-1")
        FineTuning.with_options(timeout=4).using("azure").retrieve_job("ftjob-1")
        FineTuning.retrieve_job("ftjob-1")

    async def retrieved() -> None:
        async with httpx.AsyncClient(transport=transport) as http:
            with testing.redirect("http://fake/v1", async_http_client=http):
                await AsyncFineTuning.with_options(timeout=3).retrieve_job("ftjob-1")

    asyncio.run(retrieved())
    assert [each.extensions["timeout"]["read"] for each in service.requests] == [5, 4, 60.0, 3]
    assert FineTuning.with_options(timeout=4).using("azure")._timeout == 4


def test_both_clients_and_facades_take_the_same_options() -> None:
    """`with_options` and `using` take the same arguments on both clients and facades."""
    owners = (FineTuning, AsyncFineTuning, FineTuningClient("fake"), AsyncFineTuningClient("fake"))
    for name in ("with_options", "using"):
        shown = {str(inspect.signature(getattr(owner, name)).replace(return_annotation="")) for owner in owners}
        assert len(shown) == 1


def test_connections_are_shared_and_closed_by_their_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client made by `with_options` uses its origin's open connections and does not close them."""
    opened: list[httpx.Client] = []

    def open_http(url: str) -> httpx.Client:
        opened.append(httpx.Client(transport=httpx.MockTransport(Service())))
        return opened[-1]

    monkeypatch.setattr("fine_tuning_client.client.open_http", open_http)
    client = FineTuningClient("fake")
    other = client.with_options(timeout=1)
    with client:
        with other as entered:
            entered.with_options(max_retries=0).retrieve_job("ftjob-1")
        other.close()
        client.retrieve_job("ftjob-1")
        assert [each.is_closed for each in opened] == [False]
    other.retrieve_job("ftjob-1")
    assert [each.is_closed for each in opened] == [True, True]


def test_async_connections_are_shared_and_closed_by_their_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """An async client made by `with_options` shares its origin's connections in the same way."""
    opened: list[httpx.AsyncClient] = []

    def open_http(url: str) -> httpx.AsyncClient:
        opened.append(httpx.AsyncClient(transport=httpx.MockTransport(Service())))
        return opened[-1]

    monkeypatch.setattr("fine_tuning_client.client.open_http_async", open_http)

    async def session() -> None:
        client = AsyncFineTuningClient("fake")
        other = client.with_options(timeout=1)
        async with client:
            async with other:
                await other.retrieve_job("ftjob-1")
            assert [each.is_closed for each in opened] == [False]
        await other.retrieve_job("ftjob-1")

    asyncio.run(session())
    assert [each.is_closed for each in opened] == [True, True]


PROVIDERS = [f"provider{number}" for number in range(4)]
ROUNDS = 25


def echoing(request: httpx.Request) -> httpx.Response:
    """Return a job whose model names the request's host and key."""
    key = request.headers["Authorization"]
    return httpx.Response(200, json=JOB | {"model": f"{request.url.host} {key}"})


@pytest.fixture
def providers() -> Any:
    """Several providers, each with its own key."""
    entry = {"driver": "openai_compatible"}
    entries = {name: {**entry, "url": f"http://{name}/v1", "api_key": f"key-of-{name}"} for name in PROVIDERS}
    configure(default_for_fine_tuning=PROVIDERS[0], providers=entries)
    yield PROVIDERS
    configure()


def test_threads_use_a_provider_each(providers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that choose different providers with `using` each reach their own, with its key."""
    transport = httpx.MockTransport(echoing)
    monkeypatch.setattr("fine_tuning_client.client.open_http", lambda url: httpx.Client(transport=transport))
    barrier = threading.Barrier(len(providers))

    def work(name: str) -> set[tuple[str, str | None]]:
        barrier.wait(5)
        jobs = [FineTuning.using(name).retrieve_job("ftjob-1") for _ in range(ROUNDS)]
        return {(job.model, job.provider) for job in jobs}

    with ThreadPoolExecutor(len(providers)) as pool:
        found = list(pool.map(work, providers))
    assert found == [{(f"{name} Bearer key-of-{name}", name)} for name in providers]


def test_tasks_use_a_provider_each(providers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent tasks that choose different providers with `using` each reach their own, with its key."""

    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return echoing(request)

    transport = httpx.MockTransport(slow)
    monkeypatch.setattr("fine_tuning_client.client.open_http_async", lambda url: httpx.AsyncClient(transport=transport))

    async def work(name: str) -> set[tuple[str, str | None]]:
        jobs = [await AsyncFineTuning.using(name).retrieve_job("ftjob-1") for _ in range(ROUNDS)]
        return {(job.model, job.provider) for job in jobs}

    async def all_of_them() -> list[set[tuple[str, str | None]]]:
        return await asyncio.gather(*map(work, providers))

    assert asyncio.run(all_of_them()) == [{(f"{name} Bearer key-of-{name}", name)} for name in providers]


@pytest.mark.parametrize("facade", [FineTuning, AsyncFineTuning])
def test_a_failed_choice_changes_nothing(facade: Any, providers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After `using` has failed for an unknown provider the default is unchanged."""
    transport = httpx.MockTransport(echoing)
    monkeypatch.setattr("fine_tuning_client.client.open_http", lambda url: httpx.Client(transport=transport))
    with pytest.raises(ConfigurationError, match="'nope'"):
        facade.using("nope")
    with pytest.raises(ConfigurationError, match="'nope'"):
        facade.with_options(timeout=1).using("nope")
    assert FineTuning.retrieve_job("ftjob-1").provider == providers[0]


def test_a_key_is_in_no_repr_log_or_message(call: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """Neither errors and their causes, nor logs at any level, nor reprs show the key."""
    caplog.set_level(logging.DEBUG)
    answers: list[Callable[[httpx.Request], httpx.Response]] = [
        lambda request: httpx.Response(302, text=f"moved {KEY}", headers={"Location": f"http://h/?key={KEY}"}),
        lambda request: httpx.Response(401, text=f"bad {KEY}", headers={"x-request-id": "req_1"}),
        lambda request: httpx.Response(502, text=f"<html>{KEY}</html>"),
        lambda request: httpx.Response(200, text="<html>"),
        lambda request: httpx.Response(200, text=f"<html>{KEY}"),
        lambda request: httpx.Response(401, text=json.dumps({"error": KEY}).replace("/", "\\/")),
        lambda request: httpx.Response(401, text=f"who is {OTHER}?", headers={"x-request-id": KEY}),
        lambda request: httpx.Response(200, json=[KEY]),
        lambda request: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")),
        _refuse,
    ]
    for answer in answers:
        with pytest.raises(APIError) as caught:
            call(Service(answer), "retrieve_job", default_headers={"X-Gateway-Token": OTHER})
        chain: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
        shown = [repr(each) + str(each) + repr(getattr(each, "request", "")) for each in chain]
        told = f"{shown} {caught.value.body} {caught.value.request_id}"
        assert KEY not in told
        assert KEY.replace("/", "\\/") not in told
        assert OTHER not in told
    client = FineTuningClient("openai", api_key=KEY)
    assert KEY not in f"{client!r} {client.with_options(timeout=1)!r} {client._destination()[0]!r} {caplog.text}"
    assert caplog.text


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def redirecting(status: int) -> Callable[[httpx.Request], httpx.Response]:
    """Return a handler that redirects every request."""
    return lambda request: httpx.Response(status, headers={"Location": "http://h/"})


def test_a_redirect_takes_the_key_nowhere(call: Callable[..., Any]) -> None:
    """No redirect is followed, even if the HTTP client would follow it."""
    for status in (301, 302, 303, 307, 308):
        service = Service(redirecting(status))
        for verb in ("retrieve_job", "create_job", "upload_file", "delete_file"):
            with pytest.raises(APIStatusError, match=f"openai answered {status}"):
                call(service, verb)
        assert {each.url.host for each in service.requests} == {"api.openai.com"}
        assert len(service.requests) == 4
    service = Service(redirecting(307))
    with httpx.Client(transport=httpx.MockTransport(service), follow_redirects=True) as http:
        client = FineTuningClient("openai", api_key=KEY, http_client=http)
        with pytest.raises(APIStatusError):
            client.retrieve_job("ftjob-1")
    assert len(service.requests) == 1
