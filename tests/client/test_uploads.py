"""Uploads: progress, sources and HTTP clients, without holding the file in memory."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, cast

import httpx
import httpx2
import pytest

from fine_tuning_client import AsyncFineTuningClient, FineTuningClient
from fine_tuning_fakeserver import FakeFineTuning
from strategies import ROWS

CHUNK = 65536
LARGE = 20_000_000
FILE = {"id": "file-1", "filename": "a.jsonl", "bytes": 3, "created_at": 1, "purpose": "fine-tune"}

Upload = Callable[..., Any]


def upload_blocking(http: Any, url: str, *arguments: Any, **given: Any) -> Any:
    """Upload with the blocking client."""
    with http.Client() as opened:
        client = FineTuningClient("fake", base_url=url, http_client=opened, sleep=lambda seconds: None)
        return client.upload_file(*arguments, **given)


def upload_awaited(http: Any, url: str, *arguments: Any, **given: Any) -> Any:
    """Upload with the async client."""

    async def upload() -> Any:
        async with http.AsyncClient() as opened:
            client = AsyncFineTuningClient("fake", base_url=url, http_client=opened, sleep=lambda seconds: None)
            return await client.upload_file(*arguments, **given)

    return asyncio.run(upload())


@pytest.fixture(params=[upload_blocking, upload_awaited])
def upload(request: pytest.FixtureRequest) -> Upload:
    """Upload with the blocking or with the async client."""
    return cast(Upload, request.param)


class Sink:
    """What a server on a real socket has received, without keeping it."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.received: list[int] = []
        self.ends: list[bytes] = []


class Swallow(BaseHTTPRequestHandler):
    """A request handler that reads a body of any size, chunked or not, and keeps only its end."""

    protocol_version = "HTTP/1.1"
    sink: Sink

    def do_POST(self) -> None:
        """Send a file object, or the next error status."""
        count, end = 0, b""
        for chunk in self._body():
            count, end = count + len(chunk), (end + chunk)[-200:]
        self.sink.received.append(count)
        self.sink.ends.append(end)
        status = self.sink.statuses.pop(0) if self.sink.statuses else 200
        answer = json.dumps(FILE).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _body(self) -> Iterator[bytes]:
        if (length := self.headers["Content-Length"]) is not None:
            left = int(length)
            while left and (chunk := self.rfile.read(min(left, CHUNK))):
                left -= len(chunk)
                yield chunk
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    """A server that ignores clients that disconnect."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error."""


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server for uploads on a free port."""
    sink = Sink()
    server = Server(("127.0.0.1", 0), type("Bound", (Swallow,), {"sink": sink}))
    sink.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield sink
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file much larger than a chunk."""
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


@pytest.mark.parametrize("http", [httpx, httpx2])
@pytest.mark.parametrize("kind", ["path", "text", "bytes", "object"])
def test_progress_is_told(upload: Upload, sink: Sink, http: Any, kind: str, tmp_path: Path) -> None:
    """Progress goes in chunks from 0 to the file's size, from any source and by either HTTP client."""
    content = b"x" * (3 * CHUNK + 5)
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    source: Any = {"path": path, "text": str(path), "bytes": content, "object": BytesIO(content)}[kind]
    told: list[tuple[int, int | None]] = []
    upload(http, sink.url, source, on_progress=lambda sent, total: told.append((sent, total)))
    assert told == [(sent, len(content)) for sent in (0, CHUNK, 2 * CHUNK, 3 * CHUNK, len(content))]


def test_progress_of_an_empty_file(upload: Upload, sink: Sink) -> None:
    """An empty file reports progress once, as 0 of 0."""
    told: list[Any] = []
    upload(httpx, sink.url, b"", on_progress=lambda *progress: told.append(progress))
    assert told == [(0, 0)]


def test_a_file_is_sent_from_its_beginning(upload: Upload, sink: Sink) -> None:
    """A file object that was partly read is sent, and counted, from its beginning."""
    source, told = BytesIO(b"abc"), list[Any]()
    source.read(2)
    upload(httpx, sink.url, source, on_progress=lambda *progress: told.append(progress))
    assert told == [(0, 3), (3, 3)]
    assert b"\r\n\r\nabc\r\n" in sink.ends[0]


def test_progress_starts_anew_on_a_retry(upload: Upload, sink: Sink) -> None:
    """Progress restarts at 0 when an upload is retried."""
    sink.statuses = [429]
    told: list[Any] = []
    upload(httpx, sink.url, b"abc", on_progress=lambda *progress: told.append(progress))
    assert told == [(0, 3), (3, 3), (0, 3), (3, 3)]


class Twice(httpx.Auth):
    """An authentication flow that sends each request twice, as some gateways need."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request twice."""
        yield request
        yield request


def test_progress_starts_anew_when_the_http_client_repeats(sink: Sink) -> None:
    """Progress restarts at 0 when the HTTP client itself repeats the upload."""
    told: list[Any] = []
    with httpx.Client(auth=Twice()) as http:
        client = FineTuningClient("fake", base_url=sink.url, http_client=http)
        client.upload_file(b"abc", on_progress=lambda *progress: told.append(progress))
    assert told == [(0, 3), (3, 3), (0, 3), (3, 3)]


@pytest.mark.parametrize("has_progress", [True, False])
def test_a_pipe_is_sent_though_its_size_is_unknown(upload: Upload, sink: Sink, has_progress: bool) -> None:
    """A pipe is sent whole, and its progress has None for the total."""
    reading, writing = os.pipe()
    os.write(writing, b"x" * 1000)
    os.close(writing)
    told: list[Any] = []
    with os.fdopen(reading, "rb") as pipe:
        upload(httpx, sink.url, pipe, on_progress=(lambda *each: told.append(each)) if has_progress else None)
    assert told == ([(0, None), (1000, None)] if has_progress else [])
    assert b"x\r\n--" in sink.ends[0]
    assert sink.received[0] > 1000


def test_an_unbuffered_pipe_is_sent(upload: Upload, sink: Sink) -> None:
    """An unbuffered pipe, whose seek raises OSError, is sent whole."""
    reading, writing = os.pipe()
    os.write(writing, b"x" * 1000)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        assert upload(httpx, sink.url, pipe).id == "file-1"
    assert sink.received[0] > 1000


def test_whatever_can_be_read_is_sent_once(upload: Upload, sink: Sink) -> None:
    """An object that only has `read` is sent once, and not retried."""

    class Source:
        content = b"abc"

        def read(self, size: int) -> bytes:
            chunk, self.content = self.content, b""
            return chunk

    sink.statuses = [429]
    with pytest.raises(Exception, match="429"):
        upload(httpx, sink.url, Source())
    assert len(sink.received) == 1
    assert b"abc\r\n" in sink.ends[0]


@pytest.mark.parametrize("has_progress", [True, False])
def test_a_large_file_is_never_held(upload: Upload, sink: Sink, large: Path, has_progress: bool) -> None:
    """An upload uses less than a tenth of the file's size in memory."""
    upload(httpx, sink.url, b"")  # imports and certificates
    tracemalloc.start()
    try:
        upload(httpx, sink.url, large, on_progress=(lambda sent, total: None) if has_progress else None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sink.received[-1] > LARGE
    assert peak < LARGE / 10


def test_what_progress_raises_ends_the_upload(upload: Upload, sink: Sink, large: Path) -> None:
    """An exception raised by `on_progress` ends the upload unchanged."""

    def stop(sent: int, total: int | None) -> None:
        if sent:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        upload(httpx, sink.url, large, on_progress=stop)


@pytest.mark.parametrize("http", [httpx, httpx2])
def test_progress_in_process(http: Any) -> None:
    """Uploads to a fake without a socket report progress, too."""
    told: list[Any] = []
    fake = FakeFineTuning()
    with http.Client(transport=fake.transport(http)) as opened:
        client = FineTuningClient("fake", http_client=opened)
        client.upload_file(ROWS.encode(), on_progress=lambda *progress: told.append(progress))
    assert told == [(0, len(ROWS)), (len(ROWS), len(ROWS))]


@pytest.mark.parametrize("source", [None, 7, ["a"], StringIO("{}"), bytearray(b"{}")])
def test_what_is_no_file_is_refused(upload: Upload, sink: Sink, source: Any) -> None:
    """A source that cannot supply bytes is a TypeError that lists what can, and nothing is sent."""
    with pytest.raises(TypeError, match="file must be a path, bytes, or a file open for reading bytes"):
        upload(httpx, sink.url, source)
    assert not sink.received


@pytest.mark.parametrize("given", [{"purpose": ""}, {"purpose": 7}, {"filename": " "}, {"filename": 7}])
def test_an_upload_needs_names(upload: Upload, sink: Sink, given: dict[str, Any]) -> None:
    """An empty or non-string purpose or filename is a ValueError, and nothing is sent."""
    with pytest.raises(ValueError, match="must be a non-empty string"):
        upload(httpx, sink.url, b"{}", **given)
    assert not sink.received
