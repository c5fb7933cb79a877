"""The clients: flows, run against a provider; and the facades, which are clients of the default one."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from copy import copy
from dataclasses import replace
from random import random
from threading import Lock
from typing import Any, Self, TypeVar

from fine_tuning_client import runners, testing
from fine_tuning_client.arguments import positive_seconds, whole_number
from fine_tuning_client.config import check_headers, default_provider, endpoint_of, profile_of, reject_empty
from fine_tuning_client.effects import Flow, Stream
from fine_tuning_client.methods import AsyncMethods, SyncMethods
from fine_tuning_client.providers import Endpoint, Key, ProviderProfile
from fine_tuning_client.retries import with_retries
from fine_tuning_client.runners import EffectContext
from fine_tuning_client.transport import HttpClient, is_awaited, is_blocking, merge_headers, open_http, open_http_async

T = TypeVar("T")


async def _sleep_async(seconds: float) -> None:
    import anyio  # slow to import; httpx stands on it, and it sleeps under trio, too

    await anyio.sleep(seconds)


class _Client:
    """What both clients are made of: a provider, and how to reach it."""

    _default_sleep: Callable[[float], object]
    _sleep_there: Callable[[testing.redirect], Callable[[float], object] | None]
    _wanted: str
    _is_unfit: Callable[[HttpClient], bool]

    def __init__(
        self,
        provider: str | ProviderProfile | None = None,
        *,
        api_key: Key = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 2,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, str] | None = None,
        http_client: HttpClient | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Say whom to talk to; nothing is sent until the first operation, nor a key needed unless by ``with``.

        Args:
            provider: A name (``openai``, ``azure``, ``openai_compatible``, ``fake``, or one that is
                configured), a profile, or None for what is the default at each operation.
            api_key: The key, or a function that fetches one, called for each request; what it gives is
                sent as a bearer token, as Azure's Entra tokens are.
            base_url: Where the provider is.
            organization: For OpenAI accounts that are in several.
            project: The same for projects.
            timeout: Seconds that connecting, and each read and write, may take: a large file may take longer.
            max_retries: How often a request is repeated that failed and may be repeated.
            default_headers: Sent with each request, instead of the client's own of the same name.
            default_query: Sent with each request.
            http_client: A client of httpx or httpx2, blocking or async as this one is; you close it.
            sleep: Called with seconds, for retries and waits.
            clock: Gives seconds, for timeouts of waits.

        Raises:
            ConfigurationError: There is no such provider, the configuration cannot be read, or *provider*,
                *api_key* or *base_url* is empty, or a header cannot be sent.
            TypeError: *http_client* is none, or async where a blocking one is wanted, or the other way round.
            ValueError: *timeout* is no time that ends, or *max_retries* below 0.
        """
        reject_empty(provider=provider, api_key=api_key, base_url=base_url)
        if isinstance(provider, ProviderProfile):  # it is an argument, and so is what it says
            api_key, base_url = api_key or provider.api_key, base_url or provider.base_url
        elif provider is not None:
            provider = profile_of(str(provider))
        self._provider = provider
        settings = {"api_key": api_key, "base_url": base_url}
        self._arguments = {**settings, "organization": organization, "project": project}
        self._timeout = positive_seconds("timeout", timeout)
        self._max_retries = whole_number("max_retries", max_retries)
        self._headers = check_headers(default_headers or {})
        self._query = dict(default_query or {})
        self._http = self._fitting(http_client)
        self._kept: Any = None
        self._entered = 0
        self._lock = Lock()
        self._origin: Self | None = None
        self._sleep = sleep or type(self)._default_sleep
        self._clock = clock or time.monotonic

    @classmethod
    def _fitting(cls, http_client: HttpClient | None) -> HttpClient | None:
        """Refuse what is surely of another kind; of a wrapper that cannot be known before it is used."""
        is_client = http_client is None or callable(getattr(http_client, "request", None))
        if not is_client or (http_client is not None and cls._is_unfit(http_client)):
            raise TypeError(f"{cls.__name__} wants {cls._wanted}, not {type(http_client).__name__}")
        return http_client

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._provider.name!r})" if self._provider else f"{type(self).__name__}()"

    @property
    def _profile(self) -> ProviderProfile:
        return self._provider or profile_of(default_provider())

    def using(self, provider: str | ProviderProfile) -> Self:
        """Make a client for another provider; this one stays as it is.

        Key, address, headers and query of this one are left behind; its ``http_client`` goes along, with
        whatever headers are set on it.
        """
        return type(self)(
            provider,
            timeout=self._timeout,
            max_retries=self._max_retries,
            http_client=self._http,
            sleep=self._sleep,
            clock=self._clock,
        )

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> Self:
        """Make a client that differs from this one in what is given, and shares its connections.

        Raises:
            ValueError: *timeout* is no time that ends, or *max_retries* below 0.
        """
        twin = copy(self)
        twin._kept, twin._entered, twin._lock, twin._origin = None, 0, Lock(), self
        if timeout is not None:
            twin._timeout = positive_seconds("timeout", timeout)
        if max_retries is not None:
            twin._max_retries = whole_number("max_retries", max_retries)
        return twin

    @property
    def _open(self) -> Any:
        """Connections that are open, and for another to close unless they were kept by this client."""
        return self._http or self._kept or (self._origin and self._origin._open)

    def _acquire(self, opened: Callable[[str], Any]) -> Self:
        """Keep connections until as many have let go as have come: tasks and threads may share a client."""
        with self._lock:
            if self._open is None:
                self._kept = opened(self._endpoint(testing.active()).base_url)
            self._entered += 1
        return self

    def _release(self) -> Any:
        """Leave; give the connections that nobody holds any more, for the caller to close."""
        with self._lock:
            self._entered -= 1
            return None if self._entered else self._taken()

    def _taken(self) -> Any:
        kept, self._kept = self._kept, None
        return kept

    def _endpoint(self, there: testing.redirect | None) -> Endpoint:
        profile = self._profile
        if there is None or there.base_url is None:
            found = endpoint_of(profile, self._arguments)
        else:
            found = Endpoint(profile.name, there.base_url, there.api_key, capabilities=profile.capabilities)
        headers = merge_headers(found.headers, self._headers)
        return replace(found, headers=headers, query={**found.query, **self._query})

    def _context(self, endpoint: Endpoint, there: testing.redirect | None, http: HttpClient) -> EffectContext:
        sleep = (there and self._sleep_there(there)) or self._sleep
        clock = (there and there.clock) or self._clock
        return EffectContext(endpoint, http, self._timeout, sleep, clock)


class FineTuningClient(_Client, SyncMethods):
    """A client of one provider; blocks.

    Each operation opens its own connections, unless the client is entered (``with``), which keeps
    them until the last one that entered has left, or was given an ``http_client``.
    """

    _default_sleep = staticmethod(time.sleep)
    _sleep_there = staticmethod(lambda there: there.sleep)
    _wanted = "a blocking http_client, such as httpx.Client"
    _is_unfit = staticmethod(is_awaited)

    def __enter__(self) -> Self:
        return self._acquire(open_http)

    def __exit__(self, *exc_info: object) -> None:
        if (kept := self._release()) is not None:
            kept.close()

    def close(self) -> None:
        """Close the connections kept by ``with``; the next operation opens its own."""
        if (kept := self._taken()) is not None:
            kept.close()

    def _run(self, flow: Flow[T]) -> T:
        with self._connected() as door:
            return runners.run(with_retries(flow, self._max_retries, random), door)

    def _stream(self, flow: Stream[T]) -> Generator[T, None, None]:
        with self._connected() as door:
            yield from runners.stream(with_retries(flow, self._max_retries, random), door)

    @contextmanager
    def _connected(self) -> Iterator[EffectContext]:
        there = testing.active()
        endpoint = self._endpoint(there)
        http = there.http_client if there and there.base_url else self._open
        if http is not None:
            yield self._context(endpoint, there, http)
            return
        with open_http(endpoint.base_url) as opened:
            yield self._context(endpoint, there, opened)


class AsyncFineTuningClient(_Client, AsyncMethods):
    """A client of one provider; awaited.

    Each operation opens its own connections, unless the client is entered (``async with``), which
    keeps them until the last one that entered has left, or was given an ``http_client``.
    """

    _default_sleep = staticmethod(_sleep_async)
    _sleep_there = staticmethod(lambda there: there.async_sleep or there.sleep)
    _wanted = "an async http_client, such as httpx.AsyncClient"
    _is_unfit = staticmethod(is_blocking)

    async def __aenter__(self) -> Self:
        return self._acquire(open_http_async)

    async def __aexit__(self, *exc_info: object) -> None:
        if (kept := self._release()) is not None:
            await kept.aclose()

    async def aclose(self) -> None:
        """Close the connections kept by ``async with``; the next operation opens its own."""
        if (kept := self._taken()) is not None:
            await kept.aclose()

    async def _run(self, flow: Flow[T]) -> T:
        async with self._connected() as door:
            return await runners.run_async(with_retries(flow, self._max_retries, random), door)

    async def _stream(self, flow: Stream[T]) -> AsyncGenerator[T, None]:
        repeating = with_retries(flow, self._max_retries, random)
        async with self._connected() as door, aclosing(runners.stream_async(repeating, door)) as items:
            async for item in items:
                yield item

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[EffectContext]:
        there = testing.active()
        endpoint = self._endpoint(there)
        http = there.async_http_client if there and there.base_url else self._open
        if http is not None:
            yield self._context(endpoint, there, http)
            return
        async with open_http_async(endpoint.base_url) as opened:
            yield self._context(endpoint, there, opened)


FineTuning = FineTuningClient()
AsyncFineTuning = AsyncFineTuningClient()
"""The facades: clients of whatever provider is the default at the time."""
