"""The clients, which run flows against a provider, and the facades, which are clients of the default one."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, nullcontext
from copy import copy
from random import random
from threading import Lock
from typing import Any, Self, TypeVar

from fine_tuning_client import testing
from fine_tuning_client.arguments import check_positive_seconds, check_whole_number
from fine_tuning_client.config import (
    Key,
    ProviderProfile,
    ResolvedConfig,
    check_headers,
    default_provider,
    find_profile,
    reject_empty,
    resolve_config,
)
from fine_tuning_client.effects import Flow, Stream
from fine_tuning_client.methods import AsyncMethods, SyncMethods
from fine_tuning_client.retries import with_retries
from fine_tuning_client.transport import (
    EffectContext,
    HttpClient,
    is_awaited,
    is_blocking,
    open_http,
    open_http_async,
    run,
    run_async,
    stream,
    stream_async,
)

T = TypeVar("T")


class _ConnectionPool:
    """The connections of a client while it is entered, shared with those made from it by `with_options`."""

    def __init__(self) -> None:
        self.http: Any = None
        self._opener: object = None
        self._entered = 0
        self._lock = Lock()

    def enter(self, client: object, open_pool: Callable[[], Any] | None) -> None:
        """Open the connection pool unless it is open; tasks and threads may share a client."""
        with self._lock:
            if self.http is None and open_pool is not None:
                self.http, self._opener = open_pool(), client
            self._entered += 1

    def leave(self) -> Any:
        """Return the connections for the caller to close, if it is the last one."""
        with self._lock:
            self._entered -= 1
            return None if self._entered else self.take(self._opener)

    def take(self, client: object) -> Any:
        """Return the connections for the caller to close, if *client* opened them."""
        if client is not self._opener:
            return None
        http, self.http, self._opener = self.http, None, None
        return http


class _Client:
    """The common part of both clients: a provider, and how to reach it."""

    _default_sleep: Callable[[float], object]
    _kind_of_http: str
    _is_wrong_kind: Callable[[HttpClient], bool]
    _redirected_http: Callable[[testing.redirect], HttpClient | None]
    _redirected_sleep: Callable[[testing.redirect], Callable[[float], object] | None]

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
        """Choose a provider; nothing is sent, and no key needed, before the first operation or ``with``.

        Args:
            provider: A name (``openai``, ``azure``, ``openai_compatible``, ``fake``, or one that is
                configured), a profile, or None for the default at each operation.
            api_key: The key, or a function that fetches one, called for each request; what it returns is
                sent as a bearer token, as Azure's Entra tokens are.
            base_url: The address of the provider.
            organization: For OpenAI accounts that are in several.
            project: The same for projects.
            timeout: Seconds that connecting, and each read and write, may take: a large file may take longer.
            max_retries: How often a request is repeated that failed and may be repeated.
            default_headers: Sent with each request, instead of the client's own of the same name.
            default_query: Sent with each request.
            http_client: A client of httpx or httpx2, blocking or async as this one is; you close it.
            sleep: Called with seconds, for retries and waits.
            clock: Returns seconds, for timeouts of waits.

        Raises:
            ConfigurationError: The provider is unknown, the configuration cannot be read, *provider*,
                *api_key* or *base_url* is empty, or a header cannot be sent.
            TypeError: *http_client* is not one, or async where a blocking one is needed, or the reverse.
            ValueError: *timeout* is not positive and finite, or *max_retries* is below 0.
        """
        reject_empty(provider=provider, api_key=api_key, base_url=base_url)
        if isinstance(provider, ProviderProfile):  # it is an argument, and so are its key and address
            api_key, base_url = api_key or provider.api_key, base_url or provider.base_url
        elif provider is not None:
            provider = find_profile(str(provider))
        if http_client is not None:
            is_client = callable(getattr(http_client, "request", None))
            if not is_client or type(self)._is_wrong_kind(http_client):  # a wrapper shows only when it is used
                name = type(http_client).__name__
                raise TypeError(f"http_client of {type(self).__name__} must be {self._kind_of_http}, got {name}")
        self._provider = provider
        self._arguments = {"api_key": api_key, "base_url": base_url, "organization": organization, "project": project}
        self._timeout = check_positive_seconds("timeout", timeout)
        self._max_retries = check_whole_number("max_retries", max_retries)
        self._headers = check_headers(default_headers or {})
        self._query = dict(default_query or {})
        self._http = http_client
        self._sleep = sleep or type(self)._default_sleep
        self._clock = clock or time.monotonic
        self._pool = _ConnectionPool()
        self._resolved: ResolvedConfig | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._provider.name!r})" if self._provider else f"{type(self).__name__}()"

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
        """Make a client that differs from this one in these options, and shares its connections.

        Raises:
            ValueError: *timeout* is not positive and finite, or *max_retries* is below 0.
        """
        other = copy(self)
        if timeout is not None:
            other._timeout = check_positive_seconds("timeout", timeout)
        if max_retries is not None:
            other._max_retries = check_whole_number("max_retries", max_retries)
        return other

    def _enter(self, open_pool: Callable[[str], Any]) -> Self:
        is_given = self._http is not None
        self._pool.enter(self, None if is_given else lambda: open_pool(self._destination()[0].base_url))
        return self

    def _destination(self) -> tuple[ResolvedConfig, HttpClient | None]:
        """Return where requests go, and the connections they go by if any are open."""
        redirect = testing.active()
        if redirect is None or redirect.base_url is None:
            if self._resolved is None or not self._resolved.is_current():
                self._resolved = resolve_config(self._provider, self._arguments, self._headers, self._query)
            return self._resolved, self._http or self._pool.http
        profile = self._provider or find_profile(default_provider())
        config = ResolvedConfig(
            profile.name,
            redirect.base_url,
            redirect.api_key,
            capabilities=profile.capabilities,
            headers=self._headers,
            query=self._query,
        )
        return config, type(self)._redirected_http(redirect)

    def _context(self, config: ResolvedConfig, http: HttpClient) -> EffectContext:
        redirect = testing.active()
        sleep = (redirect and type(self)._redirected_sleep(redirect)) or self._sleep
        clock = (redirect and redirect.clock) or self._clock
        return EffectContext(config, http, self._timeout, sleep, clock)


class FineTuningClient(_Client, SyncMethods):
    """A client of one provider; blocks.

    Each operation opens its own connections, unless the client is entered (``with``), which keeps
    them until the last one that entered has left, or has an ``http_client`` of yours.
    """

    _default_sleep = staticmethod(time.sleep)
    _kind_of_http = "a blocking one, such as httpx.Client"
    _is_wrong_kind = staticmethod(is_awaited)
    _redirected_http = staticmethod(lambda redirect: redirect.http_client)
    _redirected_sleep = staticmethod(lambda redirect: redirect.sleep)

    def __enter__(self) -> Self:
        return self._enter(open_http)

    def __exit__(self, *exc_info: object) -> None:
        if (http := self._pool.leave()) is not None:
            http.close()

    def close(self) -> None:
        """Close the connections kept by ``with``; the next operation opens its own."""
        if (http := self._pool.take(self)) is not None:
            http.close()

    def _run(self, flow: Flow[T]) -> T:
        config, http = self._destination()
        with nullcontext(http) if http is not None else open_http(config.base_url) as connections:
            return run(with_retries(flow, self._max_retries, random), self._context(config, connections))

    def _stream(self, flow: Stream[T]) -> Generator[T, None, None]:
        config, http = self._destination()
        with nullcontext(http) if http is not None else open_http(config.base_url) as connections:
            yield from stream(with_retries(flow, self._max_retries, random), self._context(config, connections))


async def _sleep_async(seconds: float) -> None:
    import anyio  # slow to import; httpx stands on it, and it sleeps under trio, too

    await anyio.sleep(seconds)


class AsyncFineTuningClient(_Client, AsyncMethods):
    """A client of one provider; awaited.

    Each operation opens its own connections, unless the client is entered (``async with``), which
    keeps them until the last one that entered has left, or has an ``http_client`` of yours.
    """

    _default_sleep = staticmethod(_sleep_async)
    _kind_of_http = "an async one, such as httpx.AsyncClient"
    _is_wrong_kind = staticmethod(is_blocking)
    _redirected_http = staticmethod(lambda redirect: redirect.async_http_client)
    _redirected_sleep = staticmethod(lambda redirect: redirect.async_sleep or redirect.sleep)

    async def __aenter__(self) -> Self:
        return self._enter(open_http_async)

    async def __aexit__(self, *exc_info: object) -> None:
        if (http := self._pool.leave()) is not None:
            await http.aclose()

    async def aclose(self) -> None:
        """Close the connections kept by ``async with``; the next operation opens its own."""
        if (http := self._pool.take(self)) is not None:
            await http.aclose()

    async def _run(self, flow: Flow[T]) -> T:
        config, http = self._destination()
        async with nullcontext(http) if http is not None else open_http_async(config.base_url) as connections:
            return await run_async(with_retries(flow, self._max_retries, random), self._context(config, connections))

    async def _stream(self, flow: Stream[T]) -> AsyncGenerator[T, None]:
        repeating = with_retries(flow, self._max_retries, random)
        config, http = self._destination()
        async with (
            nullcontext(http) if http is not None else open_http_async(config.base_url) as connections,
            aclosing(stream_async(repeating, self._context(config, connections))) as items,
        ):
            async for item in items:
                yield item


FineTuning = FineTuningClient()
AsyncFineTuning = AsyncFineTuningClient()
"""The facades: clients of whatever provider is the default at the time."""
