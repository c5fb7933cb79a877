"""The server on a socket: unusual requests, and stopping."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web import protocols, server
from fine_tuning_fakeserver.web.httptools_protocol import FastProtocol
from strategies import BORN

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Check that nothing is logged or printed."""
    caplog.set_level(logging.WARNING)
    yield
    assert caplog.records == []
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.fixture(autouse=True)
def _brief_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server wait for clients that hold it up only as long as a test needs."""
    monkeypatch.setattr(server, "GRACE_S", 0.1)


def connected(url: str) -> socket.socket:
    """Connect to the server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), 10)


def response_to(url: str, request: bytes) -> tuple[int, bytes]:
    """Status and body of the response to a request that closes its connection."""
    with connected(url) as connection:
        connection.sendall(request)
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


UPLOAD = json.dumps({"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "text/jsonl"}).encode()
OFFER = (
    b"POST /v1/uploads HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nHost: localhost\r\nAuthorization: Bearer any\r\n"
    b"Content-Type: application/json\r\n"
)
OFFERS = {
    "of known length": OFFER + b"Content-Length: %d\r\n\r\n%s" % (len(UPLOAD), UPLOAD),
    "chunked": OFFER + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(UPLOAD), UPLOAD),
}
PROTOCOLS = [protocols.Protocol, FastProtocol]


@pytest.mark.parametrize("size", [1, 100, 10_000])
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_offer_of_http_2_loses_no_body(
    protocol: type[asyncio.Protocol], offer: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A POST that offers an upgrade to HTTP/2, as Java's client sends it, is answered normally, and so is the next."""
    monkeypatch.setattr(server, "Protocol", protocol)
    request = offer + OFFER.replace(b"POST /v1/uploads", b"GET /v1/files") + b"\r\n" + offer
    last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with FakeFineTuning(start=BORN).serving() as url, connected(url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin in range(0, len(request), size):
            connection.sendall(request[begin : begin + size])
        connection.sendall(last)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1 ") == 4
    assert answer.count(b'"filename": "a"') == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/files HTTP/1.1\r\n",
        b"GET /v1/files HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        b"GET /v1/files HTTP/1.1\r\nHost: localhost\r\nX-Long: %s\r\n" % (b"a" * (1 << 20)),
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n",
        b"GET /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked, identity\r\n",
    ],
    ids=["no host", "two hosts", "too long", "no header", "two lengths"],
)
def test_what_is_no_request_is_refused(
    protocol: type[asyncio.Protocol], head: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A head that HTTP forbids, or one without an end, is answered with 400, and the connection closed."""
    monkeypatch.setattr(server, "Protocol", protocol)
    with FakeFineTuning(start=BORN).serving() as url, connected(url) as connection:
        with contextlib.suppress(ConnectionError):  # closed before all of it was sent
            connection.sendall(head + b"\r\n")
        with contextlib.suppress(ConnectionError):
            assert connection.recv(12) == b"HTTP/1.1 400"
    assert {record.message for record in caplog.records} == {"Invalid HTTP request received."}
    caplog.clear()


@pytest.mark.parametrize("path", ["/v1/files", "/v1/fine_tuning/jobs", "/v1/nothing"])
def test_the_server_stops_though_a_body_never_comes(path: str) -> None:
    """An incomplete request delays the server's stop only briefly, and nothing is logged."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\nContent-Length: 1073741824\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\n\r\n-"
    )
    fake = FakeFineTuning(start=BORN)
    with contextlib.ExitStack() as stack:
        with fake.serving() as url:
            connection = stack.enter_context(connected(url))
            connection.sendall(head.encode())
            assert response_to(url, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0] == 200
        assert connection.recv(1) == b""
    assert fake.requests == []


def test_the_server_stops_though_an_answer_is_not_taken() -> None:
    """A client that does not read its response delays the server's stop only briefly."""
    fake = FakeFineTuning(start=BORN)
    file = fake.add_file("x" * (64 << 20), purpose="batch")
    with contextlib.ExitStack() as stack, fake.serving() as url:
        connection = stack.enter_context(connected(url))
        target = f"/v1/files/{file['id']}/content"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_target_with_its_origin() -> None:
    """An absolute request target, as sent to a proxy, is answered normally."""
    headers = b"Host: localhost\r\nAuthorization: Bearer any\r\nConnection: close\r\n\r\n"
    request = b"GET http://%s/v1/models/gpt-4o-mini HTTP/1.1\r\n" + headers
    with FakeFineTuning(start=BORN).serving() as url:
        status, answer = response_to(url, request % urlsplit(url).netloc.encode())

    assert (status, json.loads(answer)["id"]) == (200, "gpt-4o-mini")


HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_the_server_never_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server starts, answers and stops without a sleep: it need not wait for a tick, nor is a fake sleep called."""
    sleeps = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    with FakeFineTuning(start=BORN).serving() as url, connected(url) as connection:
        connection.sendall(HEALTH)
        assert connection.recv(12) == b"HTTP/1.1 200"

    assert sleeps == []


def test_what_came_before_the_stop_is_answered() -> None:
    """Requests that clients have sent are answered although the server is told to stop before it has accepted them."""
    fake = FakeFineTuning(start=BORN)
    with contextlib.ExitStack() as stack:
        with fake.serving() as url:
            connections = [stack.enter_context(connected(url)) for _ in range(20)]
            for connection in connections:
                connection.sendall(HEALTH)
        heads = [connection.recv(12) for connection in connections]

    assert set(heads) == {b"HTTP/1.1 200"}


def test_the_stop_waits_for_an_answer_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose answer has begun gets all of it, and the server has stopped once its block is over."""
    monkeypatch.setattr(server, "GRACE_S", 60.0)  # for a busy machine; a client that reads is not waited for
    fake = FakeFineTuning(start=BORN)
    file = fake.add_file("x" * (8 << 20), purpose="batch")
    request = f"GET /v1/files/{file['id']}/content HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\n\r\n"
    received = bytearray()

    def receive() -> None:
        for piece in iter(lambda: connection.recv(1 << 20), b""):
            received.extend(piece)

    with contextlib.ExitStack() as stack:
        with fake.serving() as url:
            connection = stack.enter_context(connected(url))
            connection.sendall(request.encode())
            received.extend(connection.recv(12))
            reader = threading.Thread(target=receive)
            reader.start()
        with pytest.raises(ConnectionRefusedError):
            connected(url)
        reader.join()

    assert received.endswith(b"x\r\n0\r\n\r\n")
