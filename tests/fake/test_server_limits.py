"""The server's limits: incomplete requests, and connections that cannot be accepted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web import server
from fine_tuning_fakeserver.web.httptools_protocol import FastProtocol
from fine_tuning_fakeserver.web.protocols import Protocol
from fine_tuning_fakeserver.web.server import LoopErrors, bind, config, serving
from strategies import BORN

pytestmark = pytest.mark.slow

HEAD = b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\nContent-Length: 9\r\n\r\n"


def connected(url: str) -> socket.socket:
    """Connect to the server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), 10)


def everything(connection: socket.socket) -> bytes:
    """Everything that the server sends until it closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("sent", "status"), [(b"", b""), (HEAD[:20], b"408"), (HEAD[:-1], b"408"), (HEAD, b"408"), (HEAD + b"{", b"408")]
)
def test_a_request_that_does_not_come_whole(sent: bytes, status: bytes) -> None:
    """An incomplete request is closed after the timeout, with a 408 if it had begun."""
    fake = FakeFineTuning(start=BORN)
    with serving(fake.asgi_app, request_timeout_s=0.05) as url, connected(url) as connection:
        connection.sendall(sent)
        head, _, body = everything(connection).partition(b"\r\n\r\n")

    assert head.partition(b" ")[2][:3] == status
    assert not status or "did not come within 0.05 s" in json.loads(body)["fake_error"]
    assert fake.requests == []


@dataclass
class HandLoop:
    """An event loop driven by hand, with its time and timers."""

    now: float = 0.0
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    def time(self) -> float:
        """The loop's time."""
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        """Call *callback* when it is due, unless the returned handle is cancelled."""
        timer = (self.now + delay, callback)
        self.timers.append(timer)

        class Handle:
            """A handle that can cancel the timer."""

            def cancel(self, timers: list[Any] = self.timers) -> None:
                if timer in timers:
                    timers.remove(timer)

        return Handle()

    def create_task(self, request: Any) -> Any:
        """Keep a request for later."""
        self.requests.append(request)
        return asyncio.Future(loop=cast(Any, self))

    def create_future(self) -> Any:
        """Return a future of this loop."""
        return asyncio.Future(loop=cast(Any, self))

    def call_exception_handler(self, context: object) -> None:
        """Do nothing."""

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def pass_time(self, seconds: float) -> None:
        """Advance time and call what is due."""
        end = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= end), key=lambda timer: timer[0]):
            self.timers.remove(due[0])
            self.now, callback = due[0]
            callback()
        self.now = end


class HandTransport:
    """A transport driven by hand."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Keep the data."""
        self.written += data

    def close(self) -> None:
        """Record the closing."""
        self.is_closed = True

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.is_closed

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def get_extra_info(self, name: str) -> None:
        """Return None."""


@dataclass
class HandConnection:
    """A connection to an app, driven by hand, with a limit of 30 seconds."""

    kind: type[Any] = Protocol
    loop: HandLoop = field(default_factory=HandLoop)
    transport: HandTransport = field(default_factory=HandTransport)

    def __post_init__(self) -> None:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        self.protocol = self.kind(config(answer, 30.0), ServerState(), {}, cast(Any, self.loop))
        self.protocol.connection_made(cast(asyncio.Transport, self.transport))

    def respond(self) -> None:
        """Let the app answer the complete request."""
        request: Awaitable[None] = self.loop.requests.pop()
        with pytest.raises(StopIteration):
            next(request.__await__())

    def send(self, data: bytes, after: float = 0.0) -> bool:
        """Send *data* after some seconds; return whether the connection is still open."""
        self.loop.pass_time(after)
        if not self.transport.is_closed:
            self.protocol.data_received(data)
        return not self.transport.is_closed


@pytest.fixture(params=[Protocol, FastProtocol])
def connection(request: pytest.FixtureRequest) -> Iterator[HandConnection]:
    """A new connection, by h11 and by httptools."""
    connection = HandConnection(request.param)
    yield connection
    for unanswered in connection.loop.requests:
        unanswered.close()


def test_a_head_that_trickles_in_has_one_limit(connection: HandConnection) -> None:
    """A head sent in pieces must be complete within one time limit."""
    assert connection.send(b"GET / HT", after=29)
    assert connection.send(b"TP/1.1\r\n", after=29)
    assert not connection.send(b"Host: x\r\n", after=2)
    assert connection.transport.written.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_goes_on_may_take_its_time(connection: HandConnection) -> None:
    """Each piece of a body has its own time limit, and a complete request has none."""
    assert connection.send(HEAD)
    assert all(connection.send(b"x", after=29) for _ in range(9))
    connection.loop.pass_time(3600)
    assert not connection.transport.is_closed
    connection.respond()
    assert connection.transport.written.startswith(b"HTTP/1.1 200 ")


def test_a_connection_that_is_used_again_has_the_limit_anew(connection: HandConnection) -> None:
    """Each further request on a connection has its own time limit."""
    connection.send(HEAD + b"x" * 9)
    connection.respond()
    assert connection.send(HEAD[:9], after=4)
    assert connection.send(HEAD[9:] + b"x" * 9, after=29)
    connection.respond()
    connection.transport.written = b""
    assert connection.send(HEAD, after=4)
    connection.loop.pass_time(31)
    assert connection.transport.is_closed
    assert connection.transport.written.startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_is_lost_is_forgotten(connection: HandConnection) -> None:
    """A connection closed by its client leaves no timer in the loop."""
    connection.send(HEAD[:9])
    connection.protocol.connection_lost(None)

    assert connection.loop.timers == []


def test_a_failure_to_accept_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Failures to accept connections are logged once a minute, without a traceback."""
    loop, errors = HandLoop(), LoopErrors()
    context = {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many open files")}
    for _ in range(1000):
        errors(cast(asyncio.AbstractEventLoop, loop), context)
        loop.pass_time(0.1)

    assert [record.exc_info for record in caplog.records] == [None, None]
    assert "Too many open files" in caplog.text
    assert "ulimit -n" in caplog.text


def test_other_errors_of_the_loop_are_reported_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Other errors of the event loop are logged by asyncio."""
    loop = asyncio.new_event_loop()
    with contextlib.closing(loop):
        LoopErrors()(loop, {"message": "Exception in callback", "exception": ZeroDivisionError("boom")})

    assert [(record.name, record.exc_info is not None) for record in caplog.records] == [("asyncio", True)]


@pytest.fixture
def logged() -> Iterator[threading.Event]:
    """An event that is set when the fake logs something."""
    said = threading.Event()

    class Note(logging.Handler):
        """A handler that sets the event."""

        def emit(self, record: logging.LogRecord) -> None:
            said.set()

    handler = Note()
    server.log.addHandler(handler)
    yield said
    server.log.removeHandler(handler)


@pytest.mark.parametrize("stops", [False, True])
def test_a_server_out_of_descriptors_goes_on_or_stops(
    stops: bool, logged: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be accepted is logged once, and answered when descriptors are available."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr("asyncio.constants.ACCEPT_RETRY_DELAY", 0.01)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack, FakeFineTuning(start=BORN).serving() as url:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        httpx.get(f"{url.removesuffix('/v1')}/health")  # the server is up, and imports nothing any more
        client = stack.enter_context(socket.socket())
        client.settimeout(10)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, before[1]))  # the only number for a file is that of stdin
        parts = urlsplit(url)
        client.connect((parts.hostname, parts.port))
        assert logged.wait(10)
        if not stops:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert everything(client).startswith(b"HTTP/1.1 200 ")

    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("ERROR", None)]


def test_many_clients_may_wait_to_be_accepted() -> None:
    """While the event loop is busy, many connections can wait to be accepted."""

    async def connect_while_busy(listener: socket.socket) -> None:
        running = server.Server(server.config(FakeFineTuning().asgi_app))
        running.config.load()
        running.lifespan = running.config.lifespan_class(running.config)
        await running.startup([listener])
        with contextlib.ExitStack() as clients:
            for _ in range(32):
                clients.enter_context(socket.create_connection(listener.getsockname()[:2], 0.5))
        await running.shutdown([listener])

    with bind() as listener:
        asyncio.run(connect_while_busy(listener))
