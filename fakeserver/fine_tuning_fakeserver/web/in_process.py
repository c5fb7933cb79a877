"""Call the ASGI application without event loop, thread or socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from .connections import CONNECTION_KEY, Ending, InProcessConnection


@dataclass(slots=True)
class InProcessResponse:
    """What the application answered.

    Args:
        status: the status; 0 where no response came.
        headers: the headers.
        chunks: the body, in the pieces it came in.
        ending: how the request ended where a fault left the client without a response or, if there is a status,
            without the rest of it.
        client_error: what the client is to raise then, if its library has it: names of an exception and its bases,
            and a text.
    """

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    ending: Ending | None = None
    client_error: tuple[tuple[str, ...], str] = ((), "")

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
    """Send one request to *app*.

    Args:
        app: the application.
        method: the HTTP method.
        target: path and query as they are sent.
        headers: the headers.
        body: the whole body.
        patience_s: the client's timeout in seconds, which are not real ones; None for no limit.
        scheme: the scheme of the URL that the client uses.

    Raises:
        RuntimeError: the application waited for something else than the body, which it must not.
    """
    raw_path, _, query = target.partition(b"?")
    connection = InProcessConnection(patience_s)
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
        "state": {CONNECTION_KEY: connection},
    }
    response = InProcessResponse()
    _run(app, scope, body, response)
    response.ending, response.client_error = connection.ending, connection.client_error
    if method == "HEAD":
        response.chunks.clear()  # a server does the same
        response.ending = None if response.status else response.ending  # an empty body cannot be cut short
    return response


def _run(app: ASGIApp, scope: Scope, body: bytes, response: InProcessResponse) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status, response.headers = message["status"], message["headers"]
        elif chunk := message.get("body"):
            response.chunks.append(chunk)

    steps: Any = app(scope, receive, send)
    steps = steps.__await__()
    try:
        next(steps)
    except StopIteration:
        return
    steps.close()
    raise RuntimeError(f"{scope['method']} {scope['path']}: the application suspended; it may await the body only")
