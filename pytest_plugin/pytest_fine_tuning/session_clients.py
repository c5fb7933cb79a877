"""The clients of httpx by which this project's client reaches the fake of a session; few sessions use it, or httpx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx

from .network_guard import over_socket

if TYPE_CHECKING:
    from .fixture import SessionServer


def open_client(server: SessionServer) -> httpx.Client:
    """Return a blocking client."""
    return httpx.Client(transport=ForkAwareTransport(server), trust_env=False)


def open_async_client(server: SessionServer) -> httpx.AsyncClient:
    """Return an async client."""
    return httpx.AsyncClient(transport=ForkAwareTransport(server), trust_env=False)


class ForkAwareTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Transport to the account: in process, or over the socket from a forked child, which has a copy only."""

    def __init__(self, server: SessionServer) -> None:
        self._server = server
        self._in_process = server.fake.transport()

    @property
    def _in_same_process(self) -> bool:
        return os.getpid() == self._server.process

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of a blocking client."""
        way = self._in_process if self._in_same_process else over_socket(httpx, "HTTPTransport")
        response: httpx.Response = way.handle_request(request)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request of an async client."""
        way = self._in_process if self._in_same_process else over_socket(httpx, "AsyncHTTPTransport")
        response: httpx.Response = await way.handle_async_request(request)
        return response
