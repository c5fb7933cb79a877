"""The guard: what goes from this process to a provider's host ends at the fake, or nowhere.

While a guard is active, requests of httpx and httpx2 to such a host, and to the fake's own address, are answered by
the fake in this process: also those of clients that were made at import time, or have an address of their own. In a
process that was forked off, which has but a copy of the account, they go to the fake's address over its socket.

What other libraries do is refused where it passes through Python's own modules: `http.client` (requests, urllib3,
urllib, botocore) sends such a host no request, over an open connection and through a proxy neither; and for whoever
asks `socket`, the host has no address. That leaves what has its own way to the network: libraries that look names up
by themselves (pycurl, grpc, uvloop), an address that was looked up before, a socket that is connected by name
(``socket.connect``), and a connection of aiohttp's that is open already or goes through a proxy of its own.

A transport that a client was given is asked first, and so is what patches transports while the guard is active, vcrpy
included; what was patched before it sees only requests to other hosts.
"""

from __future__ import annotations

import _socket
import http.client
import os
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.fake.clients import NOWHERE

from .providers import ProviderHosts, placed

Function = Callable[..., Any]

LIBRARIES = ("httpx", "httpx2")
AZURE_ROOT = "/openai/"


class BlockedRequestError(RuntimeError):
    """Something was about to ask a provider over the network, while the fixture `fake_fine_tuning` was active."""


def over_socket(library: ModuleType, kind: str) -> Any:
    """A transport of *library* whose connections nobody has to close; *kind* is the name of its class."""
    return getattr(library, kind)(limits=library.Limits(max_keepalive_connections=0))


class NetworkGuard:
    """Stands before hosts, for one fake."""

    def __init__(self, fake: FakeFineTuning, hosts: ProviderHosts) -> None:
        self._fake = fake
        self._hosts = hosts
        self._own = urlsplit(fake.base_url)
        self._transports: dict[str, Any] = {}
        self._process = os.getpid()

    @property
    def in_forked_child(self) -> bool:
        """Whether this is a process that was forked off, whose account is a copy that nobody looks at."""
        return os.getpid() != self._process

    def covers(self, url: Any) -> bool:
        """Whether a request to *url*, of httpx or httpx2, is for the fake, and does not get there by itself."""
        return url.host in self._hosts or (not self.in_forked_child and url.netloc.decode("ascii") == self._own.netloc)

    def check(self, host: object) -> None:
        """Refuse *host* if it must not be asked.

        Raises:
            BlockedRequestError: it must not.
        """
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if isinstance(name, str) and (name in self._hosts or name == urlsplit(NOWHERE).hostname):
            refusal = self._refusal(name)
            self._fake.requests_log.note(refusal)  # whoever asked may swallow the error
            raise BlockedRequestError(refusal)

    def way(self, library: ModuleType, kind: str) -> Any:
        """What takes requests of *library* to the fake; *kind* is the name of its own class of transports."""
        if self.in_forked_child:
            return over_socket(library, kind)
        if library.__name__ not in self._transports:
            self._transports[library.__name__] = self._fake.transport(library)
        return self._transports[library.__name__]

    def placed(self, library: ModuleType, request: Any) -> Any:
        """*request* as the account takes it: a path of Azure's is put under ``/v1``, unless that is its dialect."""
        path, headers = request.url.path, request.headers.copy()
        place: dict[str, Any] = {}
        if AZURE_ROOT in path and AZURE_ROOT not in self._fake.base_url:
            place["raw_path"] = placed(request.url.raw_path)
            if "api-key" in headers:
                headers.setdefault("authorization", f"Bearer {headers['api-key']}")
        if self.in_forked_child:
            place |= {"scheme": self._own.scheme, "host": self._own.hostname, "port": self._own.port}
            headers["host"] = self._own.netloc
        if not place:
            return request
        url = request.url.copy_with(**place)
        return library.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    def _refusal(self, host: str) -> str:
        """Why *host* is not asked."""
        return (
            f"a request to {host} would have left this process while `fake_fine_tuning` is active, and it is not from "
            f"httpx or httpx2, whose requests the fake answers: give this client the address in OPENAI_BASE_URL "
            f"({self._fake.base_url}), or let it out: @pytest.mark.fake_fine_tuning(allowed_hosts=[{host!r}])"
        )


# Process-wide and no ContextVar: code under test may use threads, which would not see it.
_guards: list[NetworkGuard] = []

_detours: WeakKeyDictionary[Function, Function] = WeakKeyDictionary()
"""Each function that was put in place of another, with that other one."""


@contextmanager
def install_guard(fake: FakeFineTuning, hosts: ProviderHosts) -> Generator[None, None, None]:
    """Let a guard stand before *hosts* while the context lasts."""
    guard = NetworkGuard(fake, hosts)
    for owner, name, detour in _places():
        _patch(owner, name, detour)
    _guards.append(guard)
    try:
        yield
    finally:
        _guards.remove(guard)
        remove_guard()


def remove_guard() -> None:
    """Put back what was there before the first guard, once none is active.

    What somebody else has put on top, and will take away after us, stays; under it is what leads past no guard.
    Calling this again, later, finds it.
    """
    if _guards:
        return
    for owner, name, _ in _places():
        while (current := getattr(owner, name)) in _detours:
            setattr(owner, name, _detours[current])


def _places() -> Generator[tuple[Any, str, Callable[[Function], Function]], None, None]:
    """What is detoured: the owner, the name of its attribute, and what makes the detour of the original."""
    for library in map(_imported, LIBRARIES):
        if library:
            yield library.HTTPTransport, "handle_request", _sync(library)
            yield library.AsyncHTTPTransport, "handle_async_request", _async(library)
    connection: Any = http.client.HTTPConnection
    connection = getattr(connection, "_baseclass", connection)  # vcrpy's stands in its place while a cassette is open
    yield connection, "putrequest", _request  # also over a connection that is open, or to a proxy
    yield connection, "set_tunnel", _tunnel
    yield from _kept_by_vcrpy()
    yield _socket, "getaddrinfo", _lookup  # under `socket.getaddrinfo`, of which somebody may have taken hold
    yield socket, "gethostbyname", _lookup
    yield socket, "gethostbyname_ex", _lookup


def _kept_by_vcrpy() -> Generator[tuple[Any, str, Callable[[Function], Function]], None, None]:
    """The functions that vcrpy keeps, and calls for what it does not play: past any detour laid since."""
    kept: Any = sys.modules.get("vcr.patch")
    for library in map(_imported, LIBRARIES if kept else ()):
        name = f"_{library.__name__.title()}" if library else ""
        if library and hasattr(kept, f"{name}HttpTransport_handle_request"):
            yield kept, f"{name}HttpTransport_handle_request", _sync(library)
            yield kept, f"{name}AsyncHttpTransport_handle_async_request", _async(library)


def _imported(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None  # nobody can use it, then


def _patch(owner: Any, name: str, detour: Callable[[Function], Function]) -> None:
    current = getattr(owner, name)
    # pytest-socket knows its own function again, and only if it is not covered; it lets nobody through anyway
    if current in _detours or current.__module__ == "pytest_socket":
        return
    made = detour(current)
    _detours[made] = current
    setattr(owner, name, made)


def _before(url: Any) -> NetworkGuard | None:
    return next((guard for guard in reversed(_guards) if guard.covers(url)), None)


def _sync(library: ModuleType) -> Callable[[Function], Function]:
    def detour(original: Function) -> Function:
        def handle_request(transport: Any, request: Any) -> Any:
            guard = _before(request.url)
            if guard is None:
                return original(transport, request)
            return guard.way(library, "HTTPTransport").handle_request(guard.placed(library, request))

        return handle_request

    return detour


def _async(library: ModuleType) -> Callable[[Function], Function]:
    def detour(original: Function) -> Function:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            guard = _before(request.url)
            if guard is None:
                return await original(transport, request)
            way = guard.way(library, "AsyncHTTPTransport")
            return await way.handle_async_request(guard.placed(library, request))

        return handle_async_request

    return detour


def _request(original: Function) -> Function:
    def putrequest(connection: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        proxied = urlsplit(url).hostname if url.startswith(("http://", "https://")) else connection._tunnel_host
        _check(proxied or connection.host)
        return original(connection, method, url, *arguments, **options)

    return putrequest


def _tunnel(original: Function) -> Function:
    def set_tunnel(connection: Any, host: str, *arguments: Any, **options: Any) -> Any:
        _check(host.partition(":")[0])
        return original(connection, host, *arguments, **options)

    return set_tunnel


def _lookup(original: Function) -> Function:
    def lookup(host: Any, *arguments: Any, **options: Any) -> Any:
        _check(host)
        return original(host, *arguments, **options)

    return lookup


def _check(host: object) -> None:
    for guard in _guards:
        guard.check(host)
