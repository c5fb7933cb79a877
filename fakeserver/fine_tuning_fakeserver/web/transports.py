"""The door in this process: transports for httpx and httpx2, sync and async, on the application driven by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cache, partial
from types import ModuleType
from typing import Any

from starlette.types import ASGIApp

from ..usage_errors import FakeUsageError
from .connections import Ending
from .in_process import InProcessResponse, call_app

_WITHOUT_ANSWER: Mapping[Ending, tuple[str, str]] = {
    "timeout": ("ReadTimeout", "The read operation timed out"),
    "disconnect": ("RemoteProtocolError", "Server disconnected without sending a response."),
    "refuse": ("ConnectError", "[Errno 111] Connection refused"),
}
"""What either library raises, in its own words."""


def transport(app: ASGIApp, library: ModuleType | None = None) -> Any:
    """A transport of *library* (``httpx``, the default, or ``httpx2``) for its ``Client`` and ``AsyncClient`` alike.

    It is both libraries' ``BaseTransport`` and ``AsyncBaseTransport``, which no one type can say: hence `Any`.
    """
    if library is None:
        import httpx as library
    if not hasattr(library, "BaseTransport"):
        raise FakeUsageError(f"library is {library!r}: the module httpx or httpx2 is wanted")
    return _transport_class(library)(app)


def _error(library: ModuleType, reply: InProcessResponse, ending: Ending) -> Callable[..., Exception]:
    """What *library* raises where there is no answer: what a script has named, if that is its own, or the usual."""
    names, text = reply.called
    usual, words = _WITHOUT_ANSWER[ending]
    kinds = [kind for name in names if isinstance(kind := getattr(library, name, None), type)]
    own = next((kind for kind in kinds if issubclass(kind, library.TransportError)), None)
    return partial(own, text or words) if own else partial(getattr(library, usual), words)


@cache
def _transport_class(library: ModuleType) -> Any:
    """The class is made per library, since each of them checks for its own base classes."""
    base: Any = library.BaseTransport
    async_base: Any = library.AsyncBaseTransport

    class FakeTransport(base, async_base):  # type: ignore[misc]
        """Hands requests to the fake in this process; where a fault hits one, it raises what the library would."""

        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        def handle_request(self, request: Any) -> Any:
            """Answer a request of a ``Client``."""
            return self._answer(request, request.read())

        async def handle_async_request(self, request: Any) -> Any:
            """Answer a request of an ``AsyncClient``."""
            return self._answer(request, await request.aread())

        def _answer(self, request: Any, body: bytes) -> Any:
            patience_s = request.extensions.get("timeout", {}).get("read")
            url, headers = request.url, request.headers.raw
            reply = call_app(self._app, request.method, url.raw_path, headers, body, patience_s, url.scheme)
            if reply.ending is None:
                return library.Response(reply.status, headers=reply.headers, stream=library.ByteStream(reply.body))
            if not reply.status:
                raise _error(library, reply, reply.ending)(request=request)
            return library.Response(reply.status, headers=reply.headers, stream=Torn(reply))

    class Torn(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc, name-defined]
        """A body that ends before its time."""

        def __init__(self, reply: InProcessResponse) -> None:
            self._body = reply.body
            self._promised = dict(reply.headers)[b"content-length"].decode()

        def __iter__(self) -> Iterator[bytes]:
            yield self._body
            raise self._error()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._body
            raise self._error()

        def _error(self) -> Any:
            came = f"(received {len(self._body)} bytes, expected {self._promised})"
            return library.RemoteProtocolError(f"peer closed connection without sending complete message body {came}")

    return FakeTransport
