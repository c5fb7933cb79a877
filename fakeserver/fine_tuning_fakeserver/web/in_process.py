"""Call the fake in this process, without event loop, thread or socket; transports for httpx and httpx2 do so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cache
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope

from fine_tuning_formats.lazy_dataclass import dataclass

from ..usage_errors import FakeUsageError
from .request import CONNECTION_KEY, Connection, Ending, T

_ERRORS: Mapping[Ending, tuple[str, str]] = {
    "timeout": ("ReadTimeout", "The read operation timed out"),
    "disconnect": ("RemoteProtocolError", "Server disconnected without sending a response."),
    "refuse": ("ConnectError", "[Errno 111] Connection refused"),
}
"""What either library raises, with its own texts."""


class InProcessConnection(Connection):
    """No connection at all: it keeps what would have become of one.

    Args:
        patience_s: how many seconds the client waits for a response; None for no limit.
    """

    __slots__ = ("client_error", "ending", "patience_s")

    can_close = True
    in_callers_thread = True

    def __init__(self, patience_s: float | None = None) -> None:
        self.patience_s = patience_s
        self.ending: Ending | None = None
        self.client_error: tuple[tuple[str, ...], str] = ((), "")

    def set_client_error(self, names: tuple[str, ...], text: str) -> None:
        """Keep it for the transport."""
        self.client_error = (names, text)

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Let virtual time pass until the response comes or the client's timeout is over."""
        # a script that names what the client raises does not wait for one that would wait for ever
        patience_s = 0.0 if self.patience_s is None and self.client_error[0] else self.patience_s
        if patience_s is not None and seconds > patience_s:
            pass_time(patience_s)
            self.ending = "timeout"
            return False
        pass_time(seconds)
        return True

    async def run_in_thread(
        self, work: Callable[[], T], receive: Receive, abandon: Callable[[], object], *, grades: bool = False
    ) -> T:
        """Run it in this thread, since no other requests wait."""
        return work()

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """Keep how the request ended."""
        self.ending = "refuse" if reset else "disconnect"


@dataclass(slots=True)
class InProcessResponse:
    """The application's response.

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
        "state": {CONNECTION_KEY: connection},
    }
    return _run(app, scope, body, connection)


def _run(app: ASGIApp, scope: Scope, body: bytes, connection: InProcessConnection) -> InProcessResponse:
    response = InProcessResponse()

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
        pass
    else:
        steps.close()
        raise RuntimeError(f"{scope['method']} {scope['path']}: the application suspended; it may await the body only")
    response.ending, response.client_error = connection.ending, connection.client_error
    if scope["method"] == "HEAD":
        response.chunks.clear()  # a server does the same
        response.ending = None if response.status else response.ending  # an empty body cannot be cut short
    return response


def transport(app: ASGIApp, library: ModuleType | None = None) -> Any:
    """Return a transport of *library* (``httpx``, the default, or ``httpx2``) for ``Client`` and ``AsyncClient``.

    It is both libraries' ``BaseTransport`` and ``AsyncBaseTransport``, which no one type can say: hence `Any`.
    """
    if library is None:
        import httpx as library
    if not hasattr(library, "BaseTransport"):
        raise FakeUsageError(f"library must be the module httpx or httpx2, got {library!r}")
    return _transport_class(library)(app)


def _transport_error(library: ModuleType, response: InProcessResponse, ending: Ending, request: Any) -> Any:
    """Return what *library* raises without a response: what a script has named, if it has that, or the usual."""
    names, text = response.client_error
    usual, usual_text = _ERRORS[ending]
    for name in names:
        error = getattr(library, name, None)
        if isinstance(error, type) and issubclass(error, library.TransportError):
            return error(text or usual_text, request=request)
    return getattr(library, usual)(usual_text, request=request)


@cache
def _transport_class(library: ModuleType) -> Any:
    """Make the class for one library, since each of them checks for its own base classes."""
    base: Any = library.BaseTransport
    async_base: Any = library.AsyncBaseTransport
    truncated_stream = _truncated_stream_class(library)

    class FakeTransport(base, async_base):  # type: ignore[misc]
        """Hands requests to the fake in this process; where a fault hits one, it raises what the library would."""

        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        def handle_request(self, request: Any) -> Any:
            """Answer a request of a ``Client``."""
            return self._respond(request, request.read())

        async def handle_async_request(self, request: Any) -> Any:
            """Answer a request of an ``AsyncClient``."""
            return self._respond(request, await request.aread())

        def _respond(self, request: Any, body: bytes) -> Any:
            patience_s = request.extensions.get("timeout", {}).get("read")
            url, headers = request.url, request.headers.raw
            response = call_app(self._app, request.method, url.raw_path, headers, body, patience_s, url.scheme)
            if response.ending and not response.status:
                raise _transport_error(library, response, response.ending, request)
            stream = truncated_stream(response) if response.ending else library.ByteStream(response.body)
            return library.Response(response.status, headers=response.headers, stream=stream)

    return FakeTransport


@cache
def _truncated_stream_class(library: ModuleType) -> Any:
    """Make the class of a body that ends before its time, for one library."""

    class TruncatedStream(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc, name-defined]
        """Yields the beginning of the body, then raises."""

        def __init__(self, response: InProcessResponse) -> None:
            self._body = response.body
            self._expected = dict(response.headers)[b"content-length"].decode()

        def __iter__(self) -> Iterator[bytes]:
            yield self._body
            raise self._error()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._body
            raise self._error()

        def _error(self) -> Any:
            sizes = f"(received {len(self._body)} bytes, expected {self._expected})"
            return library.RemoteProtocolError(f"peer closed connection without sending complete message body {sizes}")

    return TruncatedStream
