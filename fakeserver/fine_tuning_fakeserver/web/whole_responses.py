"""Write a response of known length in one piece, without the events that h11 makes of it.

h11 checks and copies each header, and uvicorn writes head and body one after the other: half of what an answer takes.
Here a connection that goes on gets a new state of h11's, as if it had just begun. On any other, h11 is told of an empty
response, which changes its state alike, and what it adds to the head is taken over. The bytes are those that uvicorn
would write; whatever is unusual about a response is left to it.
"""

from __future__ import annotations

import re
from functools import cache

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol, RequestResponseCycle

_is_plain = re.compile(rb"(?:[a-z0-9-]+: [!-~]+(?: [!-~]+)*\r\n)+").fullmatch
"""Whether h11 would take these headers, and write them as they are."""

_WITHOUT_BODY = frozenset({204, 304})


class WholeResponses:
    """ASGI middleware of one connection: responses with a whole body go past the events of h11."""

    def __init__(self, app: ASGIApp, protocol: H11Protocol) -> None:
        self._app = app
        self._protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; hold the head of its response back until the first piece of the body is there."""
        if scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        cycle: RequestResponseCycle = self._protocol.cycle
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


def write_whole(protocol: H11Protocol, cycle: RequestResponseCycle, head: Message, body: bytes) -> bool:
    """Write a response, and end the cycle as uvicorn does; return False, and change nothing, if that is left to it."""
    if not (written := _plain_head(cycle, head, body)):
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    if cycle.keep_alive and _is_over(cycle):
        cycle.transport.write(written + b"\r\n" + body)
        cycle.message_event.set()
        _begin_anew(protocol, cycle)
    else:
        own = _tell_h11(cycle, head["status"])
        cycle.transport.write(written + own + body)
        cycle.message_event.set()
        if cycle.conn.our_state is h11.MUST_CLOSE or not cycle.keep_alive:
            cycle.conn.send(h11.ConnectionClosed())
            cycle.transport.close()
        cycle.on_response()
    return True


def _plain_head(cycle: RequestResponseCycle, head: Message, body: bytes) -> bytes:
    """Return status line and headers of a response; nothing if they, or the state of the connection, are unusual."""
    status = head["status"]
    if cycle.disconnected or cycle.flow.write_paused or cycle.transport.is_closing():
        return b""
    if cycle.conn.our_state is not h11.SEND_RESPONSE or status < 200 or status in _WITHOUT_BODY:
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


def _is_over(cycle: RequestResponseCycle) -> bool:
    """Whether the request has been read, and its connection is to go on as if it had just begun."""
    if cycle.conn.their_state is not h11.DONE or cycle.scope["http_version"] != "1.1":
        return False
    return all(value == b"keep-alive" for name, value in cycle.scope["headers"] if name == b"connection")


def _begin_anew(protocol: H11Protocol, cycle: RequestResponseCycle) -> None:
    """Go on with a new state of h11's, which is what two events and the next cycle would make of the old one."""
    unread, _ = cycle.conn.trailing_data
    protocol.conn = h11.Connection(h11.SERVER)
    if unread:
        protocol.conn.receive_data(unread)
    cycle.on_response()
    if unread and not cycle.transport.is_closing():
        protocol.handle_events()


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


@cache
def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %s\r\n" % (status, STATUS_PHRASES[status])
