"""Write a response of known length in one piece, without the events that h11 makes of it.

h11 checks and copies each header, and uvicorn writes head and body one after the other: half of what an answer takes.
Here h11 is told of an empty response instead, which changes its state alike, and what it adds to the head is taken
over. The bytes are those that uvicorn would write; whatever is unusual about a response is left to it.
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
                if not message.get("more_body") and write_whole(cycle, held, message.get("body", b"")):
                    return
                await send(held)
            await send(message)

        await self._app(scope, receive, send_whole)
        if head is not None:
            await send(head)


def write_whole(cycle: RequestResponseCycle, head: Message, body: bytes) -> bool:
    """Write a response, and end the cycle as uvicorn does; return False, and change nothing, if that is left to it."""
    conn, state, status = cycle.conn, cycle.conn.our_state, head["status"]
    if cycle.disconnected or cycle.flow.write_paused or state is not h11.SEND_RESPONSE:
        return False
    if cycle.transport.is_closing() or status < 200 or status in _WITHOUT_BODY:
        return False
    pairs = [*cycle.default_headers, *head["headers"]]
    headers = b"".join([b"%s: %s\r\n" % pair for pair in pairs])
    if headers.count(b"\r\n") != len(pairs) or not _is_plain(headers):  # a value may hold what looks like a header
        return False
    length = b"content-length: %d\r\n" % len(body)
    if headers.count(b"content-length: ") != 1 or length not in headers:
        return False
    if b"connection: " in headers or b"transfer-encoding: " in headers:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    told = conn.send(_empty_response(status))
    conn.send(_END)
    own = _EMPTY_HEADERS.sub(b"", told, 1)  # as "connection: close", to a client that wants it
    cycle.transport.write(_status_line(status) + headers + own + body)
    cycle.message_event.set()
    if conn.our_state is h11.MUST_CLOSE or not cycle.keep_alive:
        conn.send(h11.ConnectionClosed())
        cycle.transport.close()
    cycle.on_response()
    return True


_END = h11.EndOfMessage()
_EMPTY_HEADERS = re.compile(rb".*?\r\ncontent-length: 0\r\n")


@cache
def _empty_response(status: int) -> h11.Response:
    return h11.Response(status_code=status, headers=[(b"content-length", b"0")])


@cache
def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %s\r\n" % (status, STATUS_PHRASES[status])
