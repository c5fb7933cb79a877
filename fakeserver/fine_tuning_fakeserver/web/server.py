"""Serve the fake on a socket, by uvicorn in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..clock import own_thread, steady
from .request import CONNECTION_KEY, Connection, wait_disconnected

GRACE_S = 1.0
"""How many real seconds requests in progress have when the server stops."""

_LINGER_0_S = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for 0 seconds. A socket that is closed so is reset."""


class SocketConnection(Connection):
    """A connection of the fake's own server, which can be closed at any point."""

    can_close = True

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._delayed = False

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Let real time pass, while other requests go on."""
        self._delayed = True
        try:
            return await super().delay(seconds, receive, pass_time)
        finally:
            self._delayed = False

    def release(self) -> None:
        """Close it if it is delayed, because the server stops."""
        if self._delayed:
            self._transport.close()

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """Close or abort it, and wait until uvicorn has noticed: it takes the client for one that disconnected."""
        if reset:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0_S)
            self._transport.abort()
        else:
            self._transport.close()
        await wait_disconnected(receive)


class Protocol(H11Protocol):
    """uvicorn's protocol, with the connection in the scope of each request.

    It is h11's, whatever else is installed: httptools loses the body of a request that offers to go on in HTTP/2, as
    each of Java's client does.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin a connection."""
        super().connection_made(transport)
        self._connection = SocketConnection(transport)
        self.app_state: dict[str, Any] = {**self.app_state, CONNECTION_KEY: self._connection}

    def _should_upgrade(self) -> bool:
        """Ignore any such offer silently: only HTTP/1.1 is spoken here (RFC 9110, 7.8)."""
        return False

    def shutdown(self) -> None:
        """Stop; clients that have not sent or received everything after `GRACE_S` are disconnected."""
        super().shutdown()
        self._connection.release()
        self.loop.call_later(GRACE_S, self.transport.abort)


def bind(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. It is bound before the server starts: nobody has to wait.

    Raises:
        OSError: the address is taken or is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=256)
    # Head and body of an answer go out one after the other: without this the second waits 40 ms for the client's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL of the API on a listening socket, ``/v1`` included."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def config(app: ASGIApp) -> uvicorn.Config:
    """Return uvicorn's configuration: no header of its own but the date, and connections that faults can close.

    A request whose connection is closed ends by itself. The timeout, at which uvicorn ends requests and complains, is
    for a bug of the fake's.
    """
    return uvicorn.Config(
        app,
        http=Protocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=60,
    )


@contextlib.contextmanager
def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Generator[str, None, None]:
    """Serve *app* for as long as the context lasts; yield the API's base URL."""
    with bind(host, port) as listener:
        server = uvicorn.Server(config(app))
        # in this thread: a test may forbid sockets soon
        loop = (server.config.get_loop_factory() or asyncio.new_event_loop)()
        # a test that freezes the clock must not freeze the loop's timers, or the server would never stop
        with contextlib.suppress(AttributeError):  # uvloop has a clock of its own
            loop.time = steady  # type: ignore[method-assign]

        def run() -> None:
            with own_thread(), asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(server.serve(sockets=[listener]))

        thread = threading.Thread(target=run, name="fake-fine-tuning", daemon=True)
        thread.start()
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()
