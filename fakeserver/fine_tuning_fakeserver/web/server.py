"""Serve the fake on a socket, by uvicorn in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import select
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable
from importlib.util import find_spec
from types import FrameType
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp

from fine_tuning_formats.text import is_loopback

from ..clock import own_thread, steady
from ..domain.checks import text, whole
from . import REQUEST_TIMEOUT_S
from .access import HostGuard, new_access
from .protocols import LimitedProtocol, Protocol, WatchedSelector, open_connections

log = logging.getLogger("fine_tuning_fakeserver")

GRACE_S = 1.0
"""How many real seconds requests in progress have when the server stops."""

QUEUED_AT_MOST = 256
"""How many connections may wait to be accepted."""

DATE_RENEWED_S = 1.0
"""How many real seconds the date in the head of answers lasts."""

_TURNS_TO_READ = 4
"""How many turns of the loop a request takes from a connection that is accepted to the endpoint."""

REPEATED_AFTER_S = 60.0
"""How many real seconds the log is silent about a failure that goes on."""


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, and limits of ours.

    Args:
        app: the application.
        request_timeout_s: how many real seconds a request may take to come.
        drain_s: how many real seconds requests under way have when the process is to end by SIGTERM.
    """

    def __init__(self, app: ASGIApp, request_timeout_s: float, drain_s: float, **settings: Any) -> None:
        super().__init__(app, **settings)
        self.request_timeout_s = request_timeout_s
        self.drain_s = drain_s
        self.grace_s = GRACE_S

    @property
    def drains_s(self) -> float:
        """How many real seconds of the time of grace a fault may still delay a response."""
        return self.grace_s - GRACE_S


class LoopErrors:
    """Handles what goes wrong in an event loop: that it can accept no connections is one line a minute."""

    def __init__(self) -> None:
        self._silent_until = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what has happened."""
        error, message = context.get("exception"), context["message"]
        if isinstance(error, ValueError) and "_start_serving" in message:
            return  # the server has stopped before asyncio tries to accept again
        if not (isinstance(error, OSError) and "accept" in message.lower()):
            loop.default_exception_handler(context)
        elif loop.time() >= self._silent_until:
            self._silent_until = loop.time() + REPEATED_AFTER_S
            advice = "raise `ulimit -n`, or close connections"
            log.error("no connection can be accepted: %s; %s", error.strerror, advice)


class Server(uvicorn.Server):
    """uvicorn's server, stopping at once, with a handler of the loop's errors, and a long queue of connections.

    uvicorn's own looks every 100 ms whether it is to stop, then whether the connections are closed (0.54).

    Args:
        config: its configuration.
        each_second: what to call about once a second.
    """

    config: ServerConfig

    def __init__(self, config: ServerConfig, each_second: Callable[[], object] | None = None) -> None:
        super().__init__(config)
        self._each_second = each_second
        self.drains_until = 0.0
        """When what is under way is to be over, as `steady` has it; 0 unless SIGTERM has come."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        """Whether there may be a reason to stop."""

    def stop(self) -> None:
        """Let the server stop. May be called in any thread, and by a handler of signals."""
        self.should_exit = True
        self._look()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop by a signal; SIGTERM, by which a supervisor stops a server, leaves time for what is under way.

        A second Ctrl-C waits for no request.
        """
        if sig == signal.SIGTERM and not self.should_exit:
            self.config.grace_s = max(GRACE_S, self.config.drain_s)
            self.drains_until = steady() + self.config.drain_s
        elif sig == signal.SIGINT:
            self.drains_until = 0.0
        super().handle_exit(sig, frame)
        self._look()

    async def on_tick(self, counter: int) -> bool:
        """Do what is to be done about once a second; return whether to stop."""
        if self._each_second:
            self._each_second()
        return await super().on_tick(counter)

    def _look(self) -> None:
        if self._loop is not None:  # otherwise the loop looks before it waits
            with contextlib.suppress(RuntimeError):  # it has stopped
                self._loop.call_soon_threadsafe(self._changed.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(LoopErrors())
        await super().startup(sockets)
        # asyncio accepts as often in a row as it lets connections wait. Out of descriptors it fails as often, logs each
        # failure, and schedules itself anew for each: so asyncio is given a backlog of one, and the system a large one.
        for listener in sockets or ():
            listener.listen(QUEUED_AT_MOST)

    async def main_loop(self) -> None:
        """Wait until the server is to stop."""
        while not await self.on_tick(0):  # which also renews the date of answers
            await self._wait_for_change(DATE_RENEWED_S)

    async def _wait_for_change(self, at_most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._changed.wait()
        self._changed.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, those with a request once it is answered.

        What clients sent before is read first: it is a matter of some turns of the loop.
        """
        for _ in range(QUEUED_AT_MOST):
            if not any(map(_has_client_waiting, sockets or ())):
                break
            await _next_turn()
        for _ in range(_TURNS_TO_READ):
            await _next_turn()
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                await self._close_connections()
        except TimeoutError:
            log.error("%d requests were not answered when the server stopped", len(self.server_state.tasks))

    async def _close_connections(self) -> None:
        state, told = self.server_state, set[Any]()
        while (state.connections or state.tasks) and not self.force_exit:
            for connection in state.connections - told:
                connection.shutdown()
                told.add(connection)
            watch = asyncio.ensure_future(self._changed.wait())  # a second Ctrl-C
            ends = [connection.is_over for connection in state.connections if isinstance(connection, LimitedProtocol)]
            await asyncio.wait([watch, *ends, *state.tasks], return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            self._changed.clear()


async def _next_turn() -> None:
    """Let the loop make a turn. Not by `asyncio.sleep`, which a test may have replaced."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


running_servers: dict[socket.socket, WatchedSelector] = {}
"""The selectors of all servers in this process, by the socket that they listen on."""


def is_idle(client_end: Any, server_end: Any) -> bool:
    """Whether nothing is under way on a connection to a server in this process; one not accepted yet is not idle."""
    connection = open_connections.get((client_end, server_end))
    return connection is not None and connection.is_idle


def are_all_idle() -> bool:
    """Whether nothing is under way on any connection, nor one about to be accepted."""
    for listener, selector in list(running_servers.items()):
        if _has_client_waiting(listener) or not selector.is_waiting:
            return False
    return all(connection.is_idle for connection in list(open_connections.values()))


def _has_client_waiting(listener: socket.socket) -> bool:
    try:
        return bool(select.select([listener], [], [], 0)[0])
    except (OSError, ValueError):  # closed, or a descriptor above 1023
        return False


def bind(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. It is bound at once, so that clients need not wait.

    Raises:
        OSError: the address is taken or is not this machine's.
        FakeUsageError: host or port has the wrong type, or the port is out of range.
    """
    text(host, "host")
    whole(0, 65535)(port, "port")
    try:
        # To the system an empty one, perhaps a variable that is not set, would be all addresses.
        is_name = bool(host.encode("idna")) and "\0" not in host
    except UnicodeError:
        is_name = False
    if not is_name:
        raise OSError(errno.EADDRNOTAVAIL, f"host must be an address or a name, got {host!r}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=QUEUED_AT_MOST)
    # Head and body of an answer go out one after the other: without this the second waits 40 ms for the client's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL of the API on a listening socket, ``/v1`` included."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def is_local(listener: socket.socket) -> bool:
    """Return whether only this machine can connect to a listening socket."""
    return is_loopback(listener.getsockname()[0])


def config(
    app: ASGIApp,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    forwarded_allow_ips: str | None = None,
    drain_s: float = GRACE_S,
    *,
    is_fast: bool = False,
) -> ServerConfig:
    """Return uvicorn's configuration: no header of its own but the date, and connections that faults can close.

    A request whose connection is closed ends by itself. The timeout, at which uvicorn ends requests and complains, is
    for a bug of the fake's.

    Args:
        app: the application.
        request_timeout_s: how long a request may take to come; see `Protocol`.
        forwarded_allow_ips: the proxies that are believed about whom they forward for. None: peers are those of the
            socket, whatever uvicorn's own variables say, which platforms set for their web servers.
        drain_s: how long requests under way have at SIGTERM.
        is_fast: whether to take httptools and uvloop, each where it is installed. Neither tells whether anything is
            under way, which virtual time has to know of a server in the process of a test.
    """
    http, loop = _fast_parts() if is_fast else (Protocol, "asyncio")
    return ServerConfig(
        app,
        request_timeout_s,
        drain_s,
        http=http,
        loop=loop,
        backlog=1,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=bool(forwarded_allow_ips),
        forwarded_allow_ips=forwarded_allow_ips or "",
        workers=1,
        timeout_graceful_shutdown=60 + int(drain_s),
    )


def _fast_parts() -> tuple[type[asyncio.Protocol], Literal["asyncio", "uvloop"]]:
    http: type[asyncio.Protocol] = Protocol
    if find_spec("httptools"):
        from .httptools_protocol import FastProtocol as http
    return http, "uvloop" if find_spec("uvloop") else "asyncio"


@contextlib.contextmanager
def serving(
    app: ASGIApp,
    host: str = "127.0.0.1",
    port: int = 0,
    allowed_hosts: Iterable[str] = (),
    control_token: str | None = None,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
) -> Generator[str, None, None]:
    """Serve *app* for as long as the context lasts; yield the API's base URL."""
    with bind(host, port) as listener:
        access = new_access(is_local(listener), allowed_hosts, control_token)
        server = Server(config(HostGuard(app, access), request_timeout_s))
        # in this thread: a test may forbid sockets soon
        selector = running_servers[listener] = WatchedSelector()
        loop = asyncio.SelectorEventLoop(selector)
        # a test that freezes the clock must not freeze the loop's timers, or the server would never stop
        loop.time = steady  # type: ignore[method-assign]

        def run() -> None:
            with own_thread(), asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(server.serve(sockets=[listener]))

        thread = threading.Thread(target=run, name="fake-fine-tuning", daemon=True)
        thread.start()
        try:
            yield url_of(listener)
        finally:
            server.stop()
            del running_servers[listener]
            thread.join()
