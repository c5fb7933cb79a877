"""Keep requests to providers inside this process: send them to the fake, or refuse them.

While a guard is active, requests of httpx and httpx2 to a guarded host, and to the fake's own address, are answered by
the fake in this process, including those of clients that were made at import time or have an address of their own. In
a forked child, which has only a copy of the account, they go to the fake's socket; so do requests of aiohttp, always.

What else names a guarded host is refused: a request of `http.client` (requests, urllib3, urllib, botocore) or of
urllib3-future (niquests), over an open connection or a proxy too; a function of `socket` that looks the host up,
connects or sends to it; and a TLS handshake with it, which sees what was looked up elsewhere (uvloop, aiodns, a proxy).
Not covered: libraries with network code of their own (pycurl, curl_cffi, grpc), and requests without TLS to an address
that was looked up earlier.

A client that was made while tests were collected has a placeholder for an address (see `import_environment`), and is
answered by the innermost fake. An outer fake, of a module or session, answers requests to its own address only.

A client's own transport or connector comes first, and so does whatever patches transports while the guard is active,
vcrpy included; what was patched earlier sees only requests to other hosts.
"""

from __future__ import annotations

import _socket
import http.client
import os
import re
import socket
import ssl
import sys
from collections.abc import Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import cache
from operator import methodcaller
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlsplit

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.fake.clients import NOWHERE
from fine_tuning_fakeserver.import_hook import ImportHook
from fine_tuning_fakeserver.web.dialect_adapter import DIALECT_PATH, account_root

from .import_environment import PLACEHOLDER_HOST, has_placeholder
from .patching import Function, Patch
from .provider_hosts import ProviderHosts, resolved_name

LIBRARIES = ("httpx", "httpx2")
AZURE_ROOT = "/openai/"
ABSOLUTE_URL = re.compile("https?://", re.IGNORECASE)
NOWHERE_HOST = urlsplit(NOWHERE).hostname
Arguments = tuple[Any, ...]
Options = Mapping[str, Any]
HostFinder = Callable[[Arguments, Options], Any]
"""Finds the host that a function is called for among its positional and keyword arguments."""


class BlockedRequestError(RuntimeError):
    """A request would have left for a provider while the fixture `fake_fine_tuning` was active."""


__tracebackhide__ = methodcaller("errisinstance", BlockedRequestError)  # what asked for the host comes last


def over_socket(library: ModuleType, kind: str) -> Any:
    """Return a transport of *library* that keeps no connection open; *kind* is the name of its class."""
    return getattr(library, kind)(limits=library.Limits(max_keepalive_connections=0))


class NetworkGuard:
    """The guarded hosts of one fake, and the transports that lead to it.

    Args:
        fake: the fake.
        hosts: the guarded hosts; None: only the placeholder that clients have which were made during collection.
    """

    def __init__(self, fake: FakeFineTuning, hosts: ProviderHosts | None) -> None:
        self._fake = fake
        self._hosts = hosts
        self.own_url = urlsplit(fake.base_url)
        """The fake's address."""
        self._root = urlsplit(account_root(fake.base_url)).path
        """The path below which the account's API is, of a server with many."""
        self.is_nowhere = f".{self.own_url.hostname}".endswith(f".{NOWHERE_HOST}")
        """Whether the fake has no socket."""
        self._transports: dict[str, Any] = {}
        self._process = os.getpid()

    @property
    def is_elsewhere(self) -> bool:
        """Whether the account is in another process: a server's, or that of which a forked child has a copy."""
        return self._fake.is_remote or os.getpid() != self._process

    def covers(self, url: Any) -> bool:
        """Return whether a request of httpx or httpx2 to *url* must be sent to the fake by the guard."""
        return url.host == PLACEHOLDER_HOST or (
            self._hosts is not None and (url.host in self._hosts or self.is_at(url))
        )

    def is_at(self, url: Any) -> bool:
        """Return whether *url* is the fake's own, and is answered in this process."""
        is_own: bool = url.netloc.decode("ascii") == self.own_url.netloc
        return is_own and self._hosts is not None and not self.is_elsewhere

    def covers_host(self, host: str) -> bool:
        """Return whether *host* is guarded, or is the address of a fake without a socket, or of none yet."""
        return resolved_name(host) in (PLACEHOLDER_HOST, NOWHERE_HOST) or (
            self._hosts is not None and host in self._hosts
        )

    def is_at_host(self, host: str) -> bool:
        """Return whether *host* is the name of this fake, which has no socket."""
        return self.is_nowhere and resolved_name(host) == self.own_url.hostname

    def refuse(self, host: str) -> NoReturn:
        """Refuse a request to a guarded *host*.

        Raises:
            BlockedRequestError: always.
        """
        name = resolved_name(host)
        refusal = (
            f"a request to {name} would have left this process while `fake_fine_tuning` is active; the fake "
            f"answers httpx, httpx2 and aiohttp, and this came another way: give the client the address in "
            f"OPENAI_BASE_URL ({self._fake.base_url}), or let it out: "
            f"@pytest.mark.fake_fine_tuning(allowed_hosts=[{name!r}])"
        )
        self._fake.requests_log.note(refusal)  # the code under test may swallow the error
        raise BlockedRequestError(refusal)

    def transport_for(self, library: ModuleType, kind: str) -> Any:
        """Return the transport that sends requests of *library* to the fake; *kind* names its transport class."""
        if self.is_elsewhere:
            return over_socket(library, kind)
        if library.__name__ not in self._transports:
            self._transports[library.__name__] = self._fake.transport(library)
        return self._transports[library.__name__]

    def readdress(self, library: ModuleType, request: Any) -> Any:
        """Return *request* of httpx or httpx2 with an address of the fake, and its path in the fake's dialect."""
        headers, place = request.headers.copy(), dict[str, Any]()
        target = self.to_own_dialect(request.url.raw_path, headers)
        if self.is_elsewhere:
            target = self._root.encode("ascii") + target
        if target != request.url.raw_path:
            place["raw_path"] = target
        if self.is_elsewhere:
            place |= {"scheme": self.own_url.scheme, "host": self.own_url.hostname, "port": self.own_url.port}
            headers["host"] = self.own_url.netloc
        if not place:
            return request
        url = request.url.copy_with(**place)
        return library.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    def to_own_dialect(self, target: bytes, headers: MutableMapping[str, str]) -> bytes:
        """Return the request target with Azure's root replaced by ``/v1``, unless the dialect is Azure's.

        Azure's key in *headers* is then repeated as OpenAI's.
        """
        path = target.partition(b"?")[0].decode("ascii")
        if AZURE_ROOT not in path or AZURE_ROOT in self._fake.base_url:
            return target
        if "api-key" in headers:
            headers.setdefault("authorization", f"Bearer {headers['api-key']}")
        return to_v1_target(target)


def to_v1_target(target: bytes) -> bytes:
    """Return the request target with Azure's root replaced by ``/v1``; other targets unchanged."""
    path, mark, query = target.decode("ascii").partition("?")
    match = DIALECT_PATH.fullmatch(path)
    under_v1 = f"/v1{match['rest']}" if match else path
    return f"{under_v1}{mark}{query}".encode("ascii")


# Process-wide, not a ContextVar: code under test may use threads, which would not inherit it.
_guards: list[NetworkGuard | None] = []
"""The innermost last: it alone has the providers; those before it answer requests to their own addresses. None where
clients are to reach the real service."""


@contextmanager
def install_guard(fake: FakeFineTuning, hosts: ProviderHosts | None) -> Generator[None, None, None]:
    """Guard *hosts* while the context lasts; None: those that an outer fake guards are not guarded either."""
    guard = NetworkGuard(fake, hosts)
    for patch in _patches():
        patch.replace()
    hook = ImportHook(dict.fromkeys(PATCHES_BY_MODULE, _replace_in_module))
    _guards.append(guard)
    try:
        yield
    finally:
        hook.end()
        _guards.remove(guard)
        remove_guard()


def needs_guard() -> bool:
    """Return whether a fake needs a guard although it guards no providers: to answer before others do."""
    return bool(_guards) or has_placeholder()


@contextmanager
def suspend_guards() -> Generator[None, None, None]:
    """Let requests to providers reach them while the context lasts."""
    _guards.append(None)
    try:
        yield
    finally:
        _guards.pop()


def remove_guard() -> None:
    """Restore the original functions once no guard is active, unless other code patched them meanwhile.

    What stays patched calls our replacement, which guards nothing any more; a later call restores it.
    """
    if not _guards:
        for patch in _patches():
            patch.restore()


def renew_guard() -> None:
    """Replace again what a test has restored, while a guard outlives it; restore all once no guard is active."""
    if not _guards:
        remove_guard()
        return
    for patch in _patches():
        patch.replace()


def _replace_in_module(module: ModuleType) -> None:
    for patch in PATCHES_BY_MODULE[module.__name__](module):
        patch.replace()


def _patches() -> tuple[Patch, ...]:
    """Return the patches of the standard library, and of the modules that are imported so far."""
    return _patches_of(*map(sys.modules.get, PATCHES_BY_MODULE))


@cache
def _patches_of(*modules: ModuleType | None) -> tuple[Patch, ...]:
    """Return all patches; they are made once, so that a test costs little."""
    own = [patches(module) for patches, module in zip(PATCHES_BY_MODULE.values(), modules, strict=True) if module]
    return (*_standard_library_patches(), *(patch for patches in own for patch in patches))


@cache
def _httpx_patches(library: ModuleType) -> tuple[Patch, ...]:
    return (
        Patch(library.HTTPTransport, "handle_request", _guarded_send(library)),
        Patch(library.AsyncHTTPTransport, "handle_async_request", _guarded_async_send(library)),
    )


@cache
def _standard_library_patches() -> tuple[Patch, ...]:
    """Return the patches of what starts a request, resolves a name, connects by name, or starts TLS."""
    # in both modules: names imported from `socket` earlier go on to `_socket`, gevent replaces those of `socket`
    lookups = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")
    functions: list[tuple[Any, str, HostFinder]]
    functions = [(module, name, _argument(0, "host")) for module in (_socket, socket) for name in lookups]
    # the class itself, which connections and SSL sockets derive from, not what pytest-socket put in its place
    kind = next((cls for cls in socket.socket.__mro__ if cls.__module__ == "socket"), socket.socket)
    methods = [name for name in ("bind", "connect", "connect_ex", "sendto", "sendmsg") if hasattr(kind, name)]
    functions += [(kind, name, _address(-1, "address")) for name in methods]
    functions.append((ssl.SSLContext, "wrap_socket", _argument(5, "server_hostname")))
    functions.append((ssl.SSLContext, "wrap_bio", _argument(4, "server_hostname")))
    checked = [Patch(owner, name, _checking(host_in)) for owner, name, host_in in functions]
    return (*_connection_patches(http.client.HTTPConnection), *checked)


def _connection_patches(connection: Any) -> tuple[Patch, ...]:
    """Return the patches of a connection of `http.client`'s kind, for requests and for tunnels through a proxy."""
    connection = getattr(connection, "_baseclass", connection)  # vcrpy replaces the class while a cassette is open
    return (
        Patch(connection, "putrequest", _checking(_requested_host)),
        Patch(connection, "set_tunnel", _checking(_tunnel_host)),
    )


@cache
def _urllib3_patches(module: Any) -> tuple[Patch, ...]:
    """Return the patches of urllib3-future; the connections of urllib3 derive from `http.client`."""
    kinds = [getattr(module, name, None) for name in ("HTTPConnection", "AsyncHTTPConnection")]
    bases = [getattr(kind, "_baseclass", kind) for kind in kinds if kind]
    own = [base for base in bases if not issubclass(base, http.client.HTTPConnection)]
    return tuple(patch for base in own for patch in _connection_patches(base))


@cache
def _aiohttp_patches(module: Any) -> tuple[Patch, ...]:
    return (Patch(module.ClientSession, "_request", _guarded_aiohttp_request),)


@cache
def _uvloop_patches(module: Any) -> tuple[Patch, ...]:
    """Return the patches of methods that resolve names in C."""
    methods = {
        "getaddrinfo": _argument(1, "host"),
        "create_connection": _argument(2, "host"),
        "create_datagram_endpoint": _address(3, "remote_addr"),
        "sock_connect": _address(2, "address"),
    }
    return tuple(Patch(module.Loop, name, _checking(host_in)) for name, host_in in methods.items())


@cache
def _vcrpy_patches(kept: Any) -> tuple[Patch, ...]:
    """Return the patches of the originals that vcrpy keeps and calls for requests it does not replay."""
    patches = []
    for library in filter(None, map(sys.modules.get, LIBRARIES)):  # vcrpy has imported what there is
        name = f"_{library.__name__.title()}"
        if hasattr(kept, f"{name}HttpTransport_handle_request"):
            patches.append(Patch(kept, f"{name}HttpTransport_handle_request", _guarded_send(library)))
            patches.append(Patch(kept, f"{name}AsyncHttpTransport_handle_async_request", _guarded_async_send(library)))
    if hasattr(kept, "_AiohttpClientSessionRequest"):
        patches.append(Patch(kept, "_AiohttpClientSessionRequest", _guarded_aiohttp_request))
    return tuple(patches)


PATCHES_BY_MODULE: Mapping[str, Callable[[ModuleType], tuple[Patch, ...]]] = {
    **dict.fromkeys(LIBRARIES, _httpx_patches),
    "aiohttp.client": _aiohttp_patches,
    "urllib3.connection": _urllib3_patches,
    "urllib3._async.connection": _urllib3_patches,
    "urllib3_future.connection": _urllib3_patches,
    "urllib3_future._async.connection": _urllib3_patches,
    "uvloop": _uvloop_patches,
    "vcr.patch": _vcrpy_patches,
}
"""Modules that are patched once they are imported, before or while a guard is active; most runs do without them."""


def _guard_for(url: Any) -> NetworkGuard | None:
    innermost = _guards[-1] if _guards else None
    if innermost and innermost.covers(url):
        return innermost
    return next((guard for guard in _guards if guard and guard.is_at(url)), None)


def _guard_for_host(host: str) -> NetworkGuard | None:
    innermost = _guards[-1] if _guards else None
    if innermost and innermost.covers_host(host):
        return innermost
    return next((guard for guard in _guards if guard and guard.is_at_host(host)), None)


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


def _requested_host(arguments: Arguments, options: Options) -> object:
    """Return the host that a call of ``putrequest`` is for: a proxy gets whole URLs, or a tunnel before them."""
    connection, url = arguments[0], _argument(2, "url")(arguments, options)
    proxied = urlsplit(url).hostname if url and ABSOLUTE_URL.match(url) else connection._tunnel_host
    return proxied or connection.host


def _tunnel_host(arguments: Arguments, options: Options) -> object:
    host = _argument(1, "host")(arguments, options)
    return host.partition(":")[0] if isinstance(host, str) else None


def _guarded_aiohttp_request(original: Function) -> Function:
    async def _request(session: Any, method: str, str_or_url: Any, **options: Any) -> Any:
        try:
            url = session._build_url(str_or_url)
        except (TypeError, ValueError):  # aiohttp has an error of its own for that
            return await original(session, method, str_or_url, **options)
        guard = _guard_for_host(url.raw_host or "")
        connector_kind = sys.modules["aiohttp.client"].TCPConnector
        if guard is None or type(session.connector) is not connector_kind:
            return await original(session, method, str_or_url, **options)
        own = guard.own_url
        if guard.is_nowhere or getattr(session, "_default_proxy", None):
            guard.refuse(url.raw_host)
        headers = session._prepare_headers(options.get("headers"))
        target = guard.to_own_dialect(url.raw_path_qs.encode("ascii"), headers).decode("ascii")
        headers["Host"] = own.netloc
        unproxied = {name: value for name, value in options.items() if not name.startswith("proxy")}
        there = type(url)(f"{own.scheme}://{own.netloc}{target}", encoded=True)
        return await original(session, method, there, **{**unproxied, "headers": headers})

    return _request


def _checking(host_in: HostFinder) -> Callable[[Function], Function]:
    """Return the factory of a function that refuses a guarded host, which *host_in* finds among its arguments."""

    def detour(original: Function) -> Function:
        def checked(*arguments: Any, **options: Any) -> Any:
            if _guards:
                _check_host(host_in(arguments, options))
            return original(*arguments, **options)

        return checked

    return detour


def _argument(position: int, name: str) -> HostFinder:
    def argument_in(arguments: Arguments, options: Options) -> Any:
        found = arguments[position:][:1]  # empty where the call is wrong, which is for the original to say
        return found[0] if found else options.get(name)

    return argument_in


def _address(position: int, name: str) -> HostFinder:
    """Return what finds the host of an address: ``(host, port, …)``; that of a Unix socket is a path."""
    address_in = _argument(position, name)

    def host_in(arguments: Arguments, options: Options) -> object:
        address = address_in(arguments, options)
        return address[0] if isinstance(address, tuple) and address else None

    return host_in


def _check_host(host: object) -> None:
    name = host.decode("utf-8", "replace") if isinstance(host, bytes | bytearray) else host
    if isinstance(name, str) and (guard := _guard_for_host(name)):
        guard.refuse(name)
