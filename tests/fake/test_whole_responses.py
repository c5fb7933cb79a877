"""Responses that are written in one piece: the bytes are those that uvicorn and h11 would write."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web import protocols, server
from fine_tuning_fakeserver.web.httptools_protocol import FastProtocol
from strategies import BORN

pytestmark = pytest.mark.slow

KEY = "Host: localhost\r\nAuthorization: Bearer any\r\n"
BODY = '{"model": "gpt-4o-mini", "training_file": "file-none"}'
REQUESTS = {
    "a list": f"GET /v1/fine_tuning/jobs HTTP/1.1\r\n{KEY}\r\n",
    "a refusal": f"GET /v1/fine_tuning/jobs/none HTTP/1.1\r\n{KEY}\r\n",
    "no key": "GET /v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a head": f"HEAD /v1/models HTTP/1.1\r\n{KEY}\r\n",
    "a body": f"POST /v1/fine_tuning/jobs HTTP/1.1\r\n{KEY}Content-Length: {len(BODY)}\r\n\r\n{BODY}",
    "a body that waits": (
        f"POST /v1/fine_tuning/jobs HTTP/1.1\r\n{KEY}Expect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
    ),
    "a redirect": f"GET /v1/fine_tuning/jobs/?a=b HTTP/1.1\r\n{KEY}\r\n",
    "HTTP/1.0": f"GET /v1/models HTTP/1.0\r\n{KEY}\r\n",
    "HTTP/1.0 that stays": f"GET /v1/models HTTP/1.0\r\nConnection: keep-alive\r\n{KEY}\r\n",
    "a last request": f"GET /v1/models HTTP/1.1\r\nConnection: close\r\n{KEY}\r\n",
    "a last request, spelt oddly": f"GET /v1/models HTTP/1.1\r\nConnection: Close, TE\r\n{KEY}\r\n",
    "requests in a row": f"GET /v1/models HTTP/1.1\r\n{KEY}\r\n" * 3,
    "requests that ask to stay": f"GET /v1/models HTTP/1.1\r\nConnection: keep-alive\r\n{KEY}\r\n" * 2,
    "an offer of HTTP/2": (
        f"POST /v1/fine_tuning/jobs HTTP/1.1\r\n{KEY}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        f"HTTP2-Settings: AAEAAEAA\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
    ),
    "a control request": "GET /_fake/clock HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a foreign host": "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "no request": "NONSENSE\r\n\r\n",
}
LAST = f"DELETE /v1/files/none HTTP/1.1\r\nConnection: close\r\n{KEY}\r\n"


@pytest.fixture(autouse=True, params=[protocols.Protocol, FastProtocol])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[protocols.LimitedProtocol]:
    """Serve by h11, then by httptools."""
    chosen: type[protocols.LimitedProtocol] = request.param
    monkeypatch.setattr(server, "Protocol", chosen)
    return chosen


def answers(request: str) -> bytes:
    """All bytes that a new fake answers to *request* and to a last one, but for the date."""
    with FakeFineTuning(start=BORN).serving() as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), 10) as connection:
            connection.sendall((request + LAST).encode())
            received = b"".join(_pieces(connection))
    return re.sub(rb"date: [^\r]*", b"date: some", received)


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    try:
        yield from iter(lambda: connection.recv(65536), b"")
    except ConnectionResetError:  # closed with the last request unread
        pass


@pytest.mark.parametrize("what", REQUESTS)
def test_the_bytes_are_the_same(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response in one piece has the bytes of uvicorn's, and leaves the connection in the same state."""
    whole = answers(REQUESTS[what])
    monkeypatch.setattr(protocols, "write_whole", lambda *response: False)
    assert whole == answers(REQUESTS[what])
    assert whole.startswith(b"HTTP/1.1 ")


def test_requests_that_overlap_in_one_piece() -> None:
    """A request whose beginning came with the one before it is answered like one that came alone."""
    whole = REQUESTS["a body"] * 3 + LAST
    expected = answers(REQUESTS["a body"] * 3)
    cuts = range(len(REQUESTS["a body"]) - 3, len(whole), 97)
    with FakeFineTuning(start=BORN).serving() as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), 10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for begin, end in pairwise((0, *cuts, len(whole))):
                connection.sendall(whole[begin:end].encode())
            received = b"".join(_pieces(connection))
    assert re.sub(rb"date: [^\r]*", b"date: some", received) == expected


@pytest.mark.parametrize("protocol", [protocols.Protocol], indirect=True)
@pytest.mark.parametrize("what", sorted(set(REQUESTS) - {"no request"}))
def test_both_protocols_answer_the_same(
    what: str, protocol: type[protocols.LimitedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of a response tell by a capital letter alone whether h11 or httptools has read the request."""
    found = answers(REQUESTS[what]).replace(b"\r\nConnection: close\r\n", b"\r\nconnection: close\r\n")
    monkeypatch.setattr(server, "Protocol", FastProtocol)
    assert found == answers(REQUESTS[what])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-length", b"3")],
        [(b"content-length", b"2"), (b"x-a", b"a\r\nx-b: b")],
        [(b"content-length", b"2"), (b"x-a", b" a")],
        [(b"content-length", b"2"), (b"connection", b"close")],
        [(b"content-length", b"2"), (b"content-length", b"2")],
        [(b"transfer-encoding", b"chunked")],
        [(b"content-length", b"2"), (b"x a", b"a")],
    ],
    ids=str,
)
def test_unusual_headers_are_left_to_uvicorn(
    headers: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A response that h11 refuses, or frames in its own way, is refused or framed as ever."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    def answer() -> bytes:
        with server.serving(app) as url:
            parts = urlsplit(url)
            with socket.create_connection((parts.hostname, parts.port), 10) as connection:
                connection.sendall(LAST.encode())
                return re.sub(rb"date: [^\r]*", b"", b"".join(_pieces(connection)))

    found = answer()
    monkeypatch.setattr(protocols, "write_whole", lambda *response: False)
    assert found == answer()


def test_a_response_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response whose length is known is handed to the socket in one piece."""
    written: list[bool] = []
    write_whole = protocols.write_whole

    def noting(*response: object) -> bool:
        written.append(write_whole(*response))  # type: ignore[arg-type]
        return written[-1]

    monkeypatch.setattr(protocols, "write_whole", noting)
    answers(REQUESTS["a list"])

    assert written == [True, True]
