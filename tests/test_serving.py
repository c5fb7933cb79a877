"""The server on a socket: what clients send that is unusual, and how it stops."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from worlds import BORN


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is logged or printed, whatever comes."""
    caplog.set_level(logging.WARNING)
    yield
    assert caplog.records == []
    assert tuple(capfd.readouterr()) == ("", "")


def connected(url: str) -> socket.socket:
    """A connection to what serves there."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), 10)


def said(url: str, request: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to a request that ends its connection."""
    with connected(url) as connection:
        connection.sendall(request)
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_an_offer_of_http_2_loses_no_body() -> None:
    """A POST that offers an upgrade, as Java's client sends it, is answered as any other, with its body read."""
    body = json.dumps({"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "text/jsonl"}).encode()
    head = (
        b"POST /v1/uploads HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nHost: x\r\nAuthorization: Bearer any\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with FakeFineTuning(start=BORN).serving() as url:
        status, answer = said(url, head + body)

    assert (status, json.loads(answer)["filename"]) == (200, "a")
