"""The guard: what goes from this process to a provider's host ends at the fake, or nowhere.

While a guard is active, requests of httpx and httpx2 to such a host, and to the fake's own address, are answered by
the fake in this process: also those of clients that were made at import time, or have an address of their own. For
all other libraries such a host has no address. A transport that a client was given is asked first, and so is what
patches transports while the guard is active; what was patched before it sees only requests to other hosts.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.handle.doors import NOWHERE

from .hosts import Hosts, placed

Function = Callable[..., Any]

LIBRARIES = ("httpx", "httpx2")
AZURE_ROOT = "/openai/"


class StrayRequestError(RuntimeError):
    """Something was about to ask a provider over the network, while the fixture `fake_fine_tuning` was active."""


class Guard:
    """Stands before hosts, for one fake."""

    def __init__(self, fake: FakeFineTuning, hosts: Hosts) -> None:
        self._fake = fake
        self._hosts = hosts
        self._own = fake.base_url.split("/")[2]
        self._transports: dict[str, Any] = {}

    def stands_before(self, url: Any) -> bool:
        """Whether a request to *url*, of httpx or httpx2, is for the fake."""
        return url.netloc.decode("ascii") == self._own or url.host in self._hosts

    def keeps_from(self, host: str) -> bool:
        """Whether *host* must not be connected to."""
        return host in self._hosts or host in NOWHERE.split("/")

    def transport(self, library: ModuleType) -> Any:
        """The way to the fake for requests of *library*."""
        if library.__name__ not in self._transports:
            self._transports[library.__name__] = self._fake.transport(library)
        return self._transports[library.__name__]

    def placed(self, library: ModuleType, request: Any) -> Any:
        """*request* as the account takes it: a path of Azure's is put under ``/v1``, unless that is its dialect."""
        path = request.url.path
        if AZURE_ROOT not in path or AZURE_ROOT in self._fake.base_url:
            return request
        headers = request.headers.copy()
        if "api-key" in headers:
            headers.setdefault("authorization", f"Bearer {headers['api-key']}")
        url = request.url.copy_with(raw_path=placed(request.url.raw_path))
        return library.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    def refusal(self, host: str) -> str:
        """Why *host* has no address."""
        return (
            f"a request to {host} would have left this process while `fake_fine_tuning` is active, and it is not from "
            f"httpx or httpx2, whose requests the fake answers: give this client the address in OPENAI_BASE_URL "
            f"({self._fake.base_url}), or let it out: @pytest.mark.fake_fine_tuning(allowed_hosts=[{host!r}])"
        )


# Process-wide and no ContextVar: code under test may use threads, which would not see it.
_guards: list[Guard] = []

_detours: WeakKeyDictionary[Function, Function] = WeakKeyDictionary()
"""Each function that was put in place of another, with that other one."""


@contextmanager
def guarding(fake: FakeFineTuning, hosts: Hosts) -> Generator[None, None, None]:
    """Let a guard stand before *hosts* while the context lasts."""
    guard = Guard(fake, hosts)
    for owner, name, detour in _places():
        _lay(owner, name, detour)
    _guards.append(guard)
    try:
        yield
    finally:
        _guards.remove(guard)
        lift()


def lift() -> None:
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
    yield socket, "getaddrinfo", _lookup


def _imported(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None  # nobody can use it, then


def _lay(owner: Any, name: str, detour: Callable[[Function], Function]) -> None:
    current = getattr(owner, name)
    # pytest-socket knows its own function again, and only if it is not covered; it lets nobody through anyway
    if current in _detours or current.__module__ == "pytest_socket":
        return
    made = detour(current)
    _detours[made] = current
    setattr(owner, name, made)


def _before(url: Any) -> Guard | None:
    return next((guard for guard in reversed(_guards) if guard.stands_before(url)), None)


def _sync(library: ModuleType) -> Callable[[Function], Function]:
    def detour(original: Function) -> Function:
        def handle_request(transport: Any, request: Any) -> Any:
            guard = _before(request.url)
            if guard is None:
                return original(transport, request)
            return guard.transport(library).handle_request(guard.placed(library, request))

        return handle_request

    return detour


def _async(library: ModuleType) -> Callable[[Function], Function]:
    def detour(original: Function) -> Function:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            guard = _before(request.url)
            if guard is None:
                return await original(transport, request)
            return await guard.transport(library).handle_async_request(guard.placed(library, request))

        return handle_async_request

    return detour


def _lookup(original: Function) -> Function:
    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        for guard in _guards:
            if isinstance(name, str) and guard.keeps_from(name):
                raise StrayRequestError(guard.refusal(name))
        return original(host, *arguments, **options)

    return getaddrinfo
