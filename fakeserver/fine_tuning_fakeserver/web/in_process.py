"""Drive the ASGI application by hand: no event loop, no thread, no socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from .connections import LINE, Ending, InProcessConnection


@dataclass(slots=True)
class InProcessResponse:
    """What the application answered."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    ending: Ending | None = None
    """What a fault leaves the client with instead of an answer or, where there is a status, of the rest of it."""
    called: tuple[tuple[str, ...], str] = ((), "")
    """What the client is to raise then, if its library has it: the name of an exception, and of its bases; its text."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)


def call_app(
    app: ASGIApp,
    method: str,
    target: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    patience_s: float | None = None,
    scheme: str = "http",
) -> InProcessResponse:
    """Send one request to *app*; *target* is path and query as they stand on the wire.

    *scheme* is that of the URL which the client believes in. It would wait *patience_s* seconds for an answer, of a
    time that is not the real one; None: for ever.

    Raises:
        RuntimeError: the application waited for something else than the body, which it never does.
    """
    raw_path, _, query = target.partition(b"?")
    line = InProcessConnection(patience_s)
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in headers],
        "client": None,
        "server": None,
        "state": {LINE: line},
    }
    reply = InProcessResponse()
    _run(app, scope, body, reply)
    reply.ending, reply.called = line.ending, line.called
    if method == "HEAD":
        reply.chunks.clear()  # a server does the same
        reply.ending = None if reply.status else reply.ending  # and of nothing, nothing is missing
    return reply


def _run(app: ASGIApp, scope: Scope, body: bytes, reply: InProcessResponse) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status, reply.headers = message["status"], message["headers"]
        elif chunk := message.get("body"):
            reply.chunks.append(chunk)

    steps: Any = app(scope, receive, send)
    steps = steps.__await__()
    try:
        next(steps)
    except StopIteration:
        return
    steps.close()
    raise RuntimeError(f"{scope['method']} {scope['path']}: the application suspended; it may await the body only")
