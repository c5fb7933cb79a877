"""The door on a socket: a uvicorn server in a thread of this process, ready when it is returned."""

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

from ..clock import steady
from .connections import LINE, Connection, wait_disconnected

GRACE_S = 1.0
"""How many real seconds are left to requests under way when the server stops."""

_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for 0 seconds. What is closed so is reset."""


class SocketConnection(Connection):
    """A connection: it can be closed in the middle of anything."""

    can_hang_up = True

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = False

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Let real time pass, while other requests go on."""
        self._held = True
        try:
            return await super().delay(seconds, receive, pass_time)
        finally:
            self._held = False

    def release(self) -> None:
        """Hold it no longer: the server is going to stop."""
        if self._held:
            self._transport.close()

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """Close it; when uvicorn has noticed, it takes the request for one whose client has gone."""
        if reset:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._transport.abort()
        else:
            self._transport.close()
        await wait_disconnected(receive)


class Protocol(H11Protocol):
    """uvicorn's protocol, with the line of its connection in the scope of each request.

    It is h11's, whatever else is installed: httptools loses the body of a request that offers to go on in HTTP/2, as
    each of Java's client does.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin a connection."""
        super().connection_made(transport)
        self._line = SocketConnection(transport)
        self.app_state: dict[str, Any] = {**self.app_state, LINE: self._line}

    def _should_upgrade(self) -> bool:
        """Leave any such offer alone, and without a word: nothing else is spoken here (RFC 9110, 7.8)."""
        return False

    def shutdown(self) -> None:
        """Let the server stop; who has not sent all, or not taken all, by then is hung up on."""
        super().shutdown()
        self._line.release()
        self.loop.call_later(GRACE_S, self.transport.abort)


def bind(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes a free one. Bound before the server starts, so that nobody has to wait.

    Raises:
        OSError: the address is taken or is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=256)
    # Head and body of an answer go out one after the other: without this the second waits 40 ms for the client's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """The base URL of the API on a listening socket, ``/v1`` included."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def config(app: ASGIApp) -> uvicorn.Config:
    """How the fake runs under uvicorn: no header of its own but the date, hardly a wait at the end, ways to hang up.

    Hung up on, a request ends by itself. That uvicorn ends one, which it complains of, is for a bug of the fake's.
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
        loop = _unfrozen(server.config.get_loop_factory())  # here: it opens sockets, and soon there may be none to open
        thread = threading.Thread(target=_run, args=(server, loop, listener), name="fake-fine-tuning", daemon=True)
        thread.start()
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()


def _run(server: uvicorn.Server, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(server.serve(sockets=[listener]))


def _unfrozen(factory: Callable[[], asyncio.AbstractEventLoop] | None) -> asyncio.AbstractEventLoop:
    """A loop whose timers no test can freeze: one that is frozen would never see that it is told to stop."""
    loop = (factory or asyncio.new_event_loop)()
    with contextlib.suppress(AttributeError):  # uvloop has a clock of its own
        loop.time = steady  # type: ignore[method-assign]
    return loop
