"""Keep requests to providers inside this process: send them to the fake, or refuse them.

While a guard is active, requests of httpx and httpx2 to a guarded host, and to the fake's own address, are answered by
the fake in this process, including those of clients that were made at import time or have an address of their own. In
a forked child, which has only a copy of the account, they go to the fake's socket.

Requests of other libraries are refused where they pass through Python's own modules: `http.client` (requests, urllib3,
urllib, botocore) sends no request to a guarded host, not over an open connection or a proxy either; and `socket` does
not resolve it. Not covered: libraries that resolve names themselves (pycurl, grpc, uvloop), addresses resolved earlier,
``socket.connect`` by name, and connections of aiohttp that are open already or use a proxy of their own.

A client's own transport comes first, and so does whatever patches transports while the guard is active, vcrpy
included; what was patched earlier sees only requests to other hosts.
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
from fine_tuning_fakeserver.web.dialect_adapter import DIALECT_PATH

from .provider_hosts import ProviderHosts


def to_v1_target(target: bytes) -> bytes:
    """Return the request target with Azure's root replaced by ``/v1``; other targets unchanged."""
    path, mark, query = target.decode("ascii").partition("?")
    match = DIALECT_PATH.fullmatch(path)
    under_v1 = f"/v1{match['rest']}" if match else path
    return f"{under_v1}{mark}{query}".encode("ascii")


Function = Callable[..., Any]

LIBRARIES = ("httpx", "httpx2")
AZURE_ROOT = "/openai/"


class BlockedRequestError(RuntimeError):
    """A request would have left for a provider while the fixture `fake_fine_tuning` was active."""


def over_socket(library: ModuleType, kind: str) -> Any:
    """Return a transport of *library* that keeps no connection open; *kind* is the name of its class."""
    return getattr(library, kind)(limits=library.Limits(max_keepalive_connections=0))


class NetworkGuard:
    """The guarded hosts of one fake, and the transports that lead to it."""

    def __init__(self, fake: FakeFineTuning, hosts: ProviderHosts) -> None:
        self._fake = fake
        self._hosts = hosts
        self._own = urlsplit(fake.base_url)
        self._transports: dict[str, Any] = {}
        self._process = os.getpid()

    @property
    def in_forked_child(self) -> bool:
        """Whether this process was forked off; its account is a copy that no assertion sees."""
        return os.getpid() != self._process

    def covers(self, url: Any) -> bool:
        """Return whether a request of httpx or httpx2 to *url* must be sent to the fake by the guard."""
        return url.host in self._hosts or (not self.in_forked_child and url.netloc.decode("ascii") == self._own.netloc)

    def check(self, host: object) -> None:
        """Refuse a guarded *host*.

        Raises:
            BlockedRequestError: the host is guarded.
        """
        name = host.decode("utf-8", "replace") if isinstance(host, bytes) else host
        if isinstance(name, str) and (name in self._hosts or name == urlsplit(NOWHERE).hostname):
            refusal = (
                f"a request to {name} would have left this process while `fake_fine_tuning` is active, and it is not "
                f"from httpx or httpx2, whose requests the fake answers: give this client the address in "
                f"OPENAI_BASE_URL ({self._fake.base_url}), or let it out: "
                f"@pytest.mark.fake_fine_tuning(allowed_hosts=[{name!r}])"
            )
            self._fake.requests_log.note(refusal)  # the code under test may swallow the error
            raise BlockedRequestError(refusal)

    def transport_for(self, library: ModuleType, kind: str) -> Any:
        """Return the transport that sends requests of *library* to the fake; *kind* names its transport class."""
        if self.in_forked_child:
            return over_socket(library, kind)
        if library.__name__ not in self._transports:
            self._transports[library.__name__] = self._fake.transport(library)
        return self._transports[library.__name__]

    def readdress(self, library: ModuleType, request: Any) -> Any:
        """Return *request* with an address of the fake; Azure's paths become ``/v1`` unless the dialect is Azure's."""
        path, headers = request.url.path, request.headers.copy()
        place: dict[str, Any] = {}
        if AZURE_ROOT in path and AZURE_ROOT not in self._fake.base_url:
            place["raw_path"] = to_v1_target(request.url.raw_path)
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


# Process-wide, not a ContextVar: code under test may use threads, which would not inherit it.
_guards: list[NetworkGuard] = []

_originals: WeakKeyDictionary[Function, Function] = WeakKeyDictionary()
"""The original of each function that a guard replaced, by its replacement."""


@contextmanager
def install_guard(fake: FakeFineTuning, hosts: ProviderHosts) -> Generator[None, None, None]:
    """Guard *hosts* while the context lasts."""
    guard = NetworkGuard(fake, hosts)
    for owner, name, detour in _patch_points():
        current = getattr(owner, name)
        # pytest-socket must find its own function again to remove it; it blocks everything anyway
        if current not in _originals and current.__module__ != "pytest_socket":
            guarded = detour(current)
            _originals[guarded] = current
            setattr(owner, name, guarded)
    _guards.append(guard)
    try:
        yield
    finally:
        _guards.remove(guard)
        remove_guard()


def remove_guard() -> None:
    """Restore the original functions once no guard is active.

    A function that somebody else patched on top of ours stays; it calls our replacement, which guards nothing any more.
    A later call restores it, once that patch is gone.
    """
    if _guards:
        return
    for owner, name, _ in _patch_points():
        while (current := getattr(owner, name)) in _originals:
            setattr(owner, name, _originals[current])


def _patch_points() -> Generator[tuple[Any, str, Callable[[Function], Function]], None, None]:
    """Yield what to patch: the owner, the attribute's name, and the factory of the replacement."""
    for library in map(_import_if_installed, LIBRARIES):
        if library:
            yield library.HTTPTransport, "handle_request", _guarded_send(library)
            yield library.AsyncHTTPTransport, "handle_async_request", _guarded_async_send(library)
    connection: Any = http.client.HTTPConnection
    connection = getattr(connection, "_baseclass", connection)  # vcrpy replaces the class while a cassette is open
    yield connection, "putrequest", _guarded_putrequest  # also sees open connections and proxies
    yield connection, "set_tunnel", _guarded_set_tunnel
    yield from _vcrpy_patch_points()
    yield _socket, "getaddrinfo", _guarded_lookup  # below `socket.getaddrinfo`, which may have been imported by name
    yield socket, "gethostbyname", _guarded_lookup
    yield socket, "gethostbyname_ex", _guarded_lookup


def _vcrpy_patch_points() -> Generator[tuple[Any, str, Callable[[Function], Function]], None, None]:
    """Yield the originals that vcrpy keeps and calls for requests it does not replay, past later patches."""
    kept: Any = sys.modules.get("vcr.patch")
    for library in map(_import_if_installed, LIBRARIES if kept else ()):
        name = f"_{library.__name__.title()}" if library else ""
        if library and hasattr(kept, f"{name}HttpTransport_handle_request"):
            yield kept, f"{name}HttpTransport_handle_request", _guarded_send(library)
            yield kept, f"{name}AsyncHttpTransport_handle_async_request", _guarded_async_send(library)


def _import_if_installed(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


def _guard_for(url: Any) -> NetworkGuard | None:
    return next((guard for guard in reversed(_guards) if guard.covers(url)), None)


def _guarded_send(library: ModuleType) -> Callable[[Function], Function]:
    def detour(original: Function) -> Function:
        def handle_request(transport: Any, request: Any) -> Any:
            guard = _guard_for(request.url)
            if guard is None:
                return original(transport, request)
            return guard.transport_for(library, "HTTPTransport").handle_request(guard.readdress(library, request))

        return handle_request

    return detour


def _guarded_async_send(library: ModuleType) -> Callable[[Function], Function]:
    def detour(original: Function) -> Function:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            guard = _guard_for(request.url)
            if guard is None:
                return await original(transport, request)
            way = guard.transport_for(library, "AsyncHTTPTransport")
            return await way.handle_async_request(guard.readdress(library, request))

        return handle_async_request

    return detour


def _guarded_putrequest(original: Function) -> Function:
    def putrequest(connection: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        proxied = urlsplit(url).hostname if url.startswith(("http://", "https://")) else connection._tunnel_host
        _check_host(proxied or connection.host)
        return original(connection, method, url, *arguments, **options)

    return putrequest


def _guarded_set_tunnel(original: Function) -> Function:
    def set_tunnel(connection: Any, host: str, *arguments: Any, **options: Any) -> Any:
        _check_host(host.partition(":")[0])
        return original(connection, host, *arguments, **options)

    return set_tunnel


def _guarded_lookup(original: Function) -> Function:
    def lookup(host: Any, *arguments: Any, **options: Any) -> Any:
        _check_host(host)
        return original(host, *arguments, **options)

    return lookup


def _check_host(host: object) -> None:
    for guard in _guards:
        guard.check(host)
