"""Transports for httpx and httpx2, sync and async, that call the fake in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from starlette.types import ASGIApp

from ..usage_errors import FakeUsageError
from .connections import Ending
from .in_process import InProcessResponse, call_app

_ERRORS: Mapping[Ending, tuple[str, str]] = {
    "timeout": ("ReadTimeout", "The read operation timed out"),
    "disconnect": ("RemoteProtocolError", "Server disconnected without sending a response."),
    "refuse": ("ConnectError", "[Errno 111] Connection refused"),
}
"""What either library raises, with its own texts."""


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
        """Yields what came of the body, then raises."""

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
