"""uvicorn's protocols with the limits of the fake's server, and responses of known length written in one piece.

h11 checks and copies each header, and uvicorn writes head and body one after the other: half of what a response takes.
Here a connection that goes on gets a new state of h11's, as if it had just begun. On any other, h11 gets an empty
response, which changes its state alike, and what it adds to the head is taken over. The bytes are those that uvicorn
would write; whatever is unusual about a response is left to it.
"""

from __future__ import annotations

import asyncio
import os
import re
import selectors
import socket
import struct
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal, TypeVar

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

from .request import CONNECTION_KEY, Connection, wait_disconnected
from .response import usage_error_response

T = TypeVar("T")

GRADERS_AT_ONCE = 4

_LINGER_0_S = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for 0 seconds. A socket that is closed so is reset."""


_BETWEEN_REQUESTS = (h11.IDLE, h11.DONE)


class WatchedSelector(selectors.DefaultSelector):
    """The selector of the server's loop; tells whether the loop waits, rather than works."""

    is_waiting = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for what is registered."""
        self.is_waiting = timeout is None or timeout > 0
        try:
            return super().select(timeout)
        finally:
            self.is_waiting = False


@cache
def _grader_threads() -> ThreadPoolExecutor:
    """Return the threads of graders in this process. They are few: a python grader may take gigabytes."""
    return ThreadPoolExecutor(GRADERS_AT_ONCE, "fake-fine-tuning graders")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_grader_threads.cache_clear)  # the child has none of the threads


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

    async def run_in_thread(
        self, work: Callable[[], T], receive: Receive, abandon: Callable[[], object], *, grades: bool = False
    ) -> T:
        """Run *work* in a thread, and watch for the client to disconnect."""

        async def watch() -> None:
            await wait_disconnected(receive)
            abandon()

        watching = asyncio.ensure_future(watch())
        try:
            return await asyncio.get_running_loop().run_in_executor(_grader_threads() if grades else None, work)
        finally:
            watching.cancel()

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


class LimitedProtocol(asyncio.Protocol):
    """Adds to a protocol of uvicorn's the connection in the scope of each request, and a limit to how long one takes.

    The limit is for a request's head from its first byte on, for the next piece of a body, and for the first byte on a
    connection; uvicorn itself closes one that idles after a response, and has no such limits (0.54).
    """

    config: Any
    """A `ServerConfig`."""
    app: Any
    app_state: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin a connection."""
        super().connection_made(transport)
        self._connection = SocketConnection(transport)
        self.app_state = {**self.app_state, CONNECTION_KEY: self._connection}
        self._waiting_since = self.loop.time()
        self._head_begun = False
        self.app = WholeResponses(self.app, self)
        self._deadline = self.loop.call_later(self.config.request_timeout_s, self._check_deadline)
        self.is_over = self.loop.create_future()

    def data_received(self, data: bytes) -> None:
        """Take the next piece of a request; those of one head share its limit."""
        if not self._head_begun:
            self._waiting_since = self.loop.time()
        super().data_received(data)
        self._head_begun = self._lacks_head

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._deadline.cancel()
        super().connection_lost(exc)
        self.is_over.set_result(None)

    @property
    def _lacks_head(self) -> bool:
        """Whether the head of the next request has not come, or not all of it."""
        raise NotImplementedError

    @property
    def _awaits(self) -> Literal["head", "body", "nothing"]:
        """What is to come from the client next; nothing where it need not send anything."""
        raise NotImplementedError

    def write_piece(self, cycle: Any, status: int, head: bytes, body: bytes) -> bool:
        """Write a response, and end *cycle* as uvicorn does; return False, and change nothing, if it must not.

        Args:
            cycle: uvicorn's request and response.
            status: the status code.
            head: the status line and the headers that the application and uvicorn give each response.
            body: all of the body.
        """
        raise NotImplementedError

    def _check_deadline(self) -> None:
        """Close the connection if it has waited too long for the client; otherwise check again when it may have."""
        left_s, awaits = self.config.request_timeout_s, self._awaits
        if awaits != "nothing":
            left_s += self._waiting_since - self.loop.time()
        if left_s > 0:
            self._deadline = self.loop.call_later(left_s, self._check_deadline)
            return
        if self._head_begun or (awaits == "body" and not self.cycle.response_started):
            self.transport.write(_timeout_response(self.config.request_timeout_s))
        self.transport.close()

    def shutdown(self) -> None:
        """Stop; clients that have not sent or received everything after the time of grace are disconnected."""
        super().shutdown()  # type: ignore[misc] # uvicorn's protocols have it
        self.loop.call_later(self.config.drains_s, self._connection.release)
        self.loop.call_later(self.config.grace_s, self.transport.abort)


class Protocol(LimitedProtocol, H11Protocol):
    """uvicorn's protocol by h11, which tells whether anything is under way on its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin a connection."""
        super().connection_made(transport)
        self._socket = transport.get_extra_info("socket")
        self._ends = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        open_connections[self._ends] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        open_connections.pop(self._ends, None)
        super().connection_lost(exc)

    @property
    def _lacks_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    @property
    def _awaits(self) -> Literal["head", "body", "nothing"]:
        if self._lacks_head and self.timeout_keep_alive_task is None:
            return "head"
        return "body" if self.conn.their_state is h11.SEND_BODY else "nothing"

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way: no byte to read or to send, no request half read or unanswered.

        May be asked in another thread. The order matters: while all that was sent has been read, and the loop waits, no
        step of the server can be ahead but one that the loop's own timers start.
        """
        try:
            if pending_bytes(self._socket, "FIONREAD") or not self._is_loop_waiting():
                return False
            if self.cycle is not None and not self.cycle.response_complete:
                return False
            if self.conn.their_state not in _BETWEEN_REQUESTS or self.conn.trailing_data[0]:
                return False
            if self.transport.is_closing():
                return False
            return not self.transport.get_write_buffer_size() and not pending_bytes(self._socket, "TIOCOUTQ")
        except (OSError, ValueError):  # closing
            return False

    def _is_loop_waiting(self) -> bool:
        selector = getattr(self.loop, "_selector", None)
        return isinstance(selector, WatchedSelector) and selector.is_waiting

    def _should_upgrade(self) -> bool:
        """Ignore any such offer silently: only HTTP/1.1 is spoken here (RFC 9110, 7.8)."""
        return False

    def write_piece(self, cycle: Any, status: int, head: bytes, body: bytes) -> bool:
        """Write a response, and end *cycle* as uvicorn does; return False if h11 is in a state of its own."""
        if cycle.conn.our_state != h11.SEND_RESPONSE:
            return False
        if cycle.keep_alive and _is_over(cycle):
            end_cycle(cycle, head + b"\r\n" + body)
            unread = self._begin_anew()
            cycle.on_response()
            if unread and not cycle.transport.is_closing():
                self.handle_events()
            return True
        end_cycle(cycle, head + _tell_h11(cycle, status) + body)
        if cycle.conn.our_state == h11.MUST_CLOSE or not cycle.keep_alive:
            cycle.conn.send(h11.ConnectionClosed())
            cycle.transport.close()
        cycle.on_response()
        return True

    def _begin_anew(self) -> bytes:
        """Go on with a new state of h11's, which is what two events and the next cycle would make of the old one.

        Returns:
            What has come of the next request, to be handled once the response is over.
        """
        unread, _ = self.conn.trailing_data
        self.conn = h11.Connection(h11.SERVER)
        if unread:
            self.conn.receive_data(unread)
        return unread


def _is_over(cycle: RequestResponseCycle) -> bool:
    """Whether the request has been read, and its connection is to go on as if it had just begun."""
    if cycle.conn.their_state is not h11.DONE or cycle.scope["http_version"] != "1.1":
        return False
    return all(value == b"keep-alive" for name, value in cycle.scope["headers"] if name == b"connection")


def _tell_h11(cycle: RequestResponseCycle, status: int) -> bytes:
    """Lead h11 through an empty response; return the end of its head, as "connection: close" to who wants it."""
    told = cycle.conn.send(_empty_response(status))
    cycle.conn.send(_END)
    return _EMPTY_HEADERS.sub(b"", told or b"", 1)


_END = h11.EndOfMessage()
_EMPTY_HEADERS = re.compile(rb".*?\r\ncontent-length: 0\r\n")


@cache
def _empty_response(status: int) -> h11.Response:
    return h11.Response(status_code=status, headers=[(b"content-length", b"0")])


def _timeout_response(seconds: float) -> bytes:
    """Return the 408, with its head, for a request that did not come in time."""
    answer = usage_error_response(f"the request did not come within {seconds:g} s; serve --timeout sets the limit", 408)
    assert isinstance(answer.body, bytes)
    headers = b"".join(b"%s: %s\r\n" % header for header in [*answer.headers, (b"connection", b"close")])
    return b"HTTP/1.1 408 Request Timeout\r\n%s\r\n%s" % (headers, answer.body)


open_connections: dict[tuple[Any, Any], Protocol] = {}
"""The connections of all servers in this process, by the addresses of the client's and the server's end."""


def pending_bytes(of: socket.socket | int, request: str) -> int:
    """Return how many bytes the system holds for a socket: to read ("FIONREAD"), or not acknowledged ("TIOCOUTQ").

    Raises:
        OSError: the socket is closed, or the system does not tell.
    """
    try:
        import fcntl
        import termios

        answer = fcntl.ioctl(of, getattr(termios, request), bytes(4))
    except (ImportError, AttributeError) as error:
        raise OSError(f"{request} is unknown here") from error
    return int.from_bytes(answer, sys.byteorder)


_is_plain = re.compile(rb"(?:[a-z0-9-]+: [!-~]+(?: [!-~]+)*\r\n)+").fullmatch
"""Whether h11 would take these headers, and write them as they are."""

_WITHOUT_BODY = frozenset({204, 304})


class WholeResponses:
    """ASGI middleware of one connection: responses with a whole body are written in one piece."""

    def __init__(self, app: ASGIApp, protocol: LimitedProtocol) -> None:
        self._app = app
        self._protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; hold the head of its response back until the first piece of the body is there."""
        if scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        cycle = send.__self__  # type: ignore[attr-defined] # uvicorn's: the protocol may be at the next one
        head: Message | None = None

        async def send_whole(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start" and head is None and not cycle.response_started:
                head = message
                return
            if head is not None:
                held, head = head, None
                if not message.get("more_body") and write_whole(self._protocol, cycle, held, message.get("body", b"")):
                    return
                await send(held)
            await send(message)

        await self._app(scope, receive, send_whole)
        if head is not None:
            await send(head)


def write_whole(protocol: LimitedProtocol, cycle: Any, head: Message, body: bytes) -> bool:
    """Write a response in one piece; return False, and change nothing, if that is left to uvicorn."""
    written = _plain_head(cycle, head, body)
    return bool(written) and protocol.write_piece(cycle, head["status"], written, body)


def _plain_head(cycle: Any, head: Message, body: bytes) -> bytes:
    """Return status line and headers of a response; nothing if they, or the state of the connection, are unusual."""
    status = head["status"]
    if cycle.disconnected or cycle.flow.write_paused or cycle.transport.is_closing():
        return b""
    if status < 200 or status in _WITHOUT_BODY:
        return b""
    pairs = [*cycle.default_headers, *head["headers"]]
    headers = b"".join([b"%s: %s\r\n" % pair for pair in pairs])
    if headers.count(b"\r\n") != len(pairs) or not _is_plain(headers):  # a value may hold what looks like a header
        return b""
    length = b"content-length: %d\r\n" % len(body)
    if headers.count(b"content-length: ") != 1 or length not in headers:
        return b""
    if b"connection: " in headers or b"transfer-encoding: " in headers:
        return b""
    return _status_line(status) + headers


def end_cycle(cycle: Any, written: bytes) -> None:
    """Write a whole response, and end a cycle of uvicorn's with it."""
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(written)
    cycle.message_event.set()


@cache
def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %s\r\n" % (status, STATUS_PHRASES[status])
