"""Drivers and transport: both clients, on a mock transport, on httpx2, and on a real socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx
import httpx2
import pytest

from fine_tuning_client import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncFineTuning,
    AsyncFineTuningClient,
    AuthenticationError,
    ConfigurationError,
    FineTuning,
    FineTuningClient,
    UnsupportedOperationError,
    configure,
    testing,
)

JOB = {"id": "ftjob-1", "status": "running", "model": "m", "training_file": "f", "created_at": 1}
KEY = "sk-secret-0123456789"
Answer = Callable[[Any], Any]


def blocking(answer: Answer, **given: Any) -> FineTuningClient:
    """Make a blocking client whose requests a function answers."""
    http = httpx.Client(transport=httpx.MockTransport(answer))
    return FineTuningClient("openai", api_key=KEY, http_client=http, **given)


def awaited(answer: Answer, **given: Any) -> AsyncFineTuningClient:
    """Make an async client whose requests a function answers."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return AsyncFineTuningClient("openai", api_key=KEY, http_client=http, **given)


def retrieve_blocking(answer: Answer, **given: Any) -> Any:
    """Retrieve a job with the blocking client."""
    return blocking(answer, **given).retrieve_job("ftjob-1")


def retrieve_awaited(answer: Answer, **given: Any) -> Any:
    """Retrieve a job with the async client."""
    return asyncio.run(awaited(answer, **given).retrieve_job("ftjob-1"))


@pytest.fixture(params=[retrieve_blocking, retrieve_awaited])
def retrieve(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Retrieve a job with the blocking or with the async client."""
    return cast("Callable[..., Any]", request.param)


def test_a_request_carries_key_and_headers(retrieve: Callable[..., Any]) -> None:
    """Key, organization, project, default headers and query, and the timeout are on each request."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=JOB)

    own: dict[str, Any] = {"default_headers": {"X-Own": "1"}, "default_query": {"v": "2"}}
    retrieve(answer, organization="org-1", project="proj-1", timeout=7.0, **own)
    headers = seen[0].headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"], headers["X-Own"]) == ("org-1", "proj-1", "1")
    assert str(seen[0].url) == "https://api.openai.com/v1/fine_tuning/jobs/ftjob-1?v=2"
    assert set(seen[0].extensions["timeout"].values()) == {7.0}


def test_retries_sleep_with_the_given_sleep(retrieve: Callable[..., Any]) -> None:
    """A refused GET is repeated after Retry-After seconds, slept with the client's own `sleep`."""
    answers = [httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(200, json=JOB)]
    naps: list[float] = []
    assert retrieve(lambda request: answers.pop(0), sleep=naps.append).id == "ftjob-1"
    assert naps == [3.0]


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (httpx.ConnectError("refused"), APIConnectionError),
        (httpx.ReadTimeout("slow"), APITimeoutError),
        (httpx.RemoteProtocolError("cut off"), APIConnectionError),
        (httpx2.ReadTimeout("slow"), APITimeoutError),
    ],
)
def test_transport_errors_become_ours(retrieve: Callable[..., Any], trouble: Exception, error: type[Exception]) -> None:
    """An error of httpx or httpx2 is raised after the retries as a FineTuningError with the original as its cause."""
    tries: list[object] = []

    def answer(request: object) -> Any:
        tries.append(request)
        raise trouble

    with pytest.raises(error) as caught:
        retrieve(answer, sleep=lambda seconds: None)
    assert (type(caught.value), caught.value.__cause__, len(tries)) == (error, trouble, 3)


def test_other_errors_go_up_unchanged(retrieve: Callable[..., Any]) -> None:
    """An exception that is not a transport error is raised unchanged."""

    def answer(request: object) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        retrieve(answer)


@pytest.mark.parametrize("trouble", [httpx.ReadTimeout("slow"), httpx.Response(500)])
def test_an_ambiguous_create_is_not_repeated(trouble: Any) -> None:
    """A create that may have been accepted is not sent again, since that could make a second job."""
    tries: list[object] = []

    def answer(request: object) -> Any:
        tries.append(request)
        if isinstance(trouble, Exception):
            raise trouble
        return trouble

    with pytest.raises((APIConnectionError, APIStatusError)):
        blocking(answer).create_job("f", "m")
    assert len(tries) == 1


def test_a_redirect_is_not_followed(retrieve: Callable[..., Any]) -> None:
    """A redirect is an error, since following it could send the key to another host."""
    location = {"Location": "http://elsewhere/v1"}
    with pytest.raises(APIStatusError, match="307"):
        retrieve(lambda request: httpx.Response(307, headers=location))


def test_a_key_quoted_back_is_not_shown(retrieve: Callable[..., Any]) -> None:
    """A key that the service quotes in a refusal is not shown in the error."""
    with pytest.raises(AuthenticationError) as caught:
        retrieve(lambda request: httpx.Response(401, json={"error": {"message": f"bad key {KEY}"}}))
    assert KEY not in f"{caught.value} {caught.value.body} {caught.value!r}"


def test_clients_do_not_show_their_key() -> None:
    """The repr of a client shows the provider only."""
    assert repr(FineTuningClient("openai", api_key=KEY)) == "FineTuningClient('openai')"


def test_a_fetched_key_is_fetched_for_each_request() -> None:
    """A key given as a function is fetched anew for each request, retries included."""
    keys = iter(["one", "two"])
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200 if len(seen) == 2 else 503, json=JOB)

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = FineTuningClient("openai", api_key=lambda: next(keys), http_client=http, sleep=lambda seconds: None)
    client.retrieve_job("ftjob-1")
    assert seen == ["Bearer one", "Bearer two"]


def test_clients_of_httpx2_serve_as_well() -> None:
    """Both clients accept httpx2 clients."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=JOB))
    with httpx2.Client(transport=transport) as http:
        job = FineTuningClient("fake", http_client=http).retrieve_job("ftjob-1")

    async def retrieved() -> object:
        async with httpx2.AsyncClient(transport=transport) as http:
            return await AsyncFineTuningClient("fake", http_client=http).retrieve_job("ftjob-1")

    assert asyncio.run(retrieved()) == job


def test_nothing_is_sent_without_a_key_or_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is an error at the first call, and a missing capability before anything is sent."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError):
        FineTuningClient("openai").retrieve_job("ftjob-1")
    entry = {"driver": "openai_compatible", "url": "http://h/v1", "capabilities": ["list"]}
    configure(providers={"small": entry})
    try:
        with pytest.raises(UnsupportedOperationError):
            FineTuning.using("small").pause_job("ftjob-1")
    finally:
        configure()


def test_using_leaves_nothing_behind() -> None:
    """`using` changes neither the facade nor the client it is called on."""
    client = FineTuningClient("openai", api_key=KEY, timeout=3.0)
    other = client.using("fake")
    assert (repr(client), repr(other)) == ("FineTuningClient('openai')", "FineTuningClient('fake')")
    with pytest.raises(ConfigurationError):
        FineTuning.using("nobody")
    assert repr(AsyncFineTuning.using("azure")) == "AsyncFineTuningClient('azure')"


class Site:
    """The response that a local server sends, and what it has received."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, json.dumps(JOB).encode())
        self.bodies: list[bytes] = []
        self.connections: set[object] = set()


@contextmanager
def serving() -> Iterator[Site]:
    """Serve from a thread on a free port."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.connections.add(self.client_address)
            site.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            status, headers, content = site.answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    """A local HTTP server."""
    with serving() as site:
        yield site


def test_over_a_real_socket(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facades reach a server named by an environment variable, and ignore HTTP_PROXY."""
    monkeypatch.setenv("OPENAI_BASE_URL", site.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert FineTuning.retrieve_job("ftjob-1") == asyncio.run(AsyncFineTuning.retrieve_job("ftjob-1"))


def test_an_entered_client_keeps_its_connection(site: Site) -> None:
    """A client used as a context manager keeps one connection; otherwise each operation opens its own."""
    client = FineTuningClient("fake", base_url=site.url)
    with client:
        for _ in range(3):
            client.retrieve_job("ftjob-1")
    assert len(site.connections) == 1
    client.retrieve_job("ftjob-1")
    assert len(site.connections) == 2

    async def twice() -> None:
        async with AsyncFineTuningClient("fake", base_url=site.url) as client:
            await client.retrieve_job("ftjob-1")
            await client.retrieve_job("ftjob-1")

    asyncio.run(twice())
    assert len(site.connections) == 3


def test_entering_a_client_leaves_a_given_http_client_open() -> None:
    """A client that was given an HTTP client uses it and does not close it."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=JOB))
    with httpx.Client(transport=transport) as http:
        with FineTuningClient("fake", http_client=http) as client:
            client.retrieve_job("ftjob-1")
        assert not http.is_closed

    async def entered() -> bool:
        async with httpx.AsyncClient(transport=transport) as http:
            async with AsyncFineTuningClient("fake", http_client=http) as client:
                await client.retrieve_job("ftjob-1")
            return http.is_closed

    assert not asyncio.run(entered())


def test_async_clients_sleep_by_the_event_loop() -> None:
    """An async client without a `sleep` of its own awaits asyncio's."""
    answers = [httpx.Response(503, headers={"Retry-After": "0"}), httpx.Response(200, json=JOB)]
    assert retrieve_awaited(lambda request: answers.pop(0)).id == "ftjob-1"


def test_the_async_facade_walks(site: Site) -> None:
    """The async facade iterates over all pages."""
    site.answer = (200, {}, json.dumps({"object": "list", "data": [JOB], "has_more": False}).encode())

    async def walked() -> list[str]:
        with testing.redirect(site.url):
            return [job.id async for job in AsyncFineTuning.iter_jobs()]

    assert asyncio.run(walked()) == ["ftjob-1"]


def test_a_truncated_body_is_a_connection_error(site: Site) -> None:
    """A body shorter than its Content-Length is an APIConnectionError."""
    site.answer = (200, {"Content-Length": "999", "Connection": "close"}, b'{"id": "ftj')
    client = FineTuningClient("fake", base_url=site.url, max_retries=0)
    with pytest.raises(APIConnectionError):
        client.retrieve_job("ftjob-1")


def test_a_body_that_is_not_what_it_says_is_a_connection_error(site: Site) -> None:
    """A body that cannot be decompressed is an APIConnectionError, and is not requested again."""
    site.answer = (200, {"Content-Encoding": "gzip"}, b"not gzip")
    with pytest.raises(APIConnectionError):
        FineTuningClient("fake", base_url=site.url).retrieve_job("ftjob-1")
    assert len(site.bodies) == 1
    site.answer = (200, {}, gzip.compress(b"x"))
    assert FineTuningClient("fake", base_url=site.url).download_file("file-1") == site.answer[2]


def test_nobody_listening_is_a_connection_error() -> None:
    """A closed port is an APIConnectionError after all retries."""
    with serving() as site:
        url = site.url
    naps: list[float] = []
    with pytest.raises(APIConnectionError, match="no answer from fake"):
        FineTuningClient("fake", base_url=url, sleep=naps.append).create_job("f", "m")
    assert len(naps) == 2


FILE = {"id": "file-1", "filename": "a.jsonl", "bytes": 3, "created_at": 1, "purpose": "fine-tune"}


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "object"])
def test_a_file_is_uploaded(site: Site, tmp_path: Path, kind: str) -> None:
    """A path, bytes or an open file is sent as one form part with its name, and an open file stays open."""
    site.answer = (200, {}, json.dumps(FILE).encode())
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n")
    stream = BytesIO(b"{}\n")
    stream.read()
    source: Any = {"path": path, "text": str(path), "bytes": b"{}\n", "object": stream}[kind]
    file = FineTuningClient("fake", base_url=site.url).upload_file(source, filename="a.jsonl")
    assert file.id == "file-1"
    assert not stream.closed
    assert b'name="file"; filename="a.jsonl"' in site.bodies[0]
    assert b'name="purpose"\r\n\r\nfine-tune\r\n' in site.bodies[0]
    assert b"\r\n\r\n{}\n\r\n" in site.bodies[0]


def test_an_open_file_goes_by_its_own_name(site: Site, tmp_path: Path) -> None:
    """A file opened from disk is sent under its name on disk."""
    site.answer = (200, {}, json.dumps(FILE).encode())
    path = tmp_path / "b.jsonl"
    path.write_bytes(b"{}\n")
    with path.open("rb") as source:
        FineTuningClient("fake", base_url=site.url).upload_file(source)
    assert b'filename="b.jsonl"' in site.bodies[0]


def test_a_large_file_is_not_read_at_once(site: Site, tmp_path: Path) -> None:
    """A file is read in chunks while it is sent."""

    class Counting(BytesIO):
        largest = 0

        def read(self, size: int | None = -1) -> bytes:
            chunk = super().read(size)
            self.largest = max(self.largest, len(chunk))
            return chunk

    site.answer = (200, {}, json.dumps(FILE).encode())
    source = Counting(b"x" * 5_000_000)
    FineTuningClient("fake", base_url=site.url).upload_file(source)

    async def upload() -> None:
        await AsyncFineTuningClient("fake", base_url=site.url).upload_file(source)

    asyncio.run(upload())
    assert source.largest <= 100_000
    assert [len(body) > 5_000_000 for body in site.bodies] == [True, True]


def test_a_file_that_cannot_be_sent_raises_before_anything_is(site: Site, tmp_path: Path) -> None:
    """A missing file or a file opened as text raises Python's own error, and nothing is sent."""
    client = FineTuningClient("fake", base_url=site.url)
    with pytest.raises(FileNotFoundError):
        client.upload_file(tmp_path / "missing.jsonl")
    with pytest.raises(TypeError):
        client.upload_file(cast(BinaryIO, StringIO("{}")))
    assert not site.bodies


def test_a_body_that_is_no_json_raises_before_anything_is_sent(site: Site) -> None:
    """A value that JSON cannot represent is refused, and nothing is sent."""
    client = FineTuningClient("fake", base_url=site.url)
    with pytest.raises(TypeError):
        client.create_job("f", "m", metadata=cast(Any, {"a": object()}))
    with pytest.raises(ValueError, match="JSON"):
        client.create_job("f", "m", hyperparameters={"beta": float("nan")})
    assert not site.bodies


def test_a_redirect_for_tests_reaches_a_socket(site: Site) -> None:
    """`testing.redirect` without an HTTP client sends over the network."""
    with testing.redirect(site.url):
        assert FineTuningClient("azure").retrieve_job("ftjob-1").provider == "azure"
