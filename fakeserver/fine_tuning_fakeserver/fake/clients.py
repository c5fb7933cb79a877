"""How clients reach the fake: application, transports, socket, ready clients, and variables for other processes."""

from __future__ import annotations

import atexit
import os
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from ..account.world import World
from ..usage_errors import FakeUsageError
from ..web import PAGE_PATH
from ..web.app import create_app
from ..web.dialect_adapter import account_root, base_url_for

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI
    from starlette.routing import Router
    from starlette.types import ASGIApp

API_KEY = "fake-fine-tuning-key"
"""The key of ready clients and `Clients.env`. Any would do; this one could never spend money."""

NOWHERE = "http://fake-fine-tuning.invalid/v1"
"""A base URL without a socket, for clients that need one (RFC 6761: ``.invalid`` is never resolved)."""


def page_router() -> Router:
    """Return the routes of the page, which is imported when a browser first comes."""
    from ..page.page_routes import router

    return router()


def page_address(base_url: str) -> str:
    """Return the address of the page of the account with this base URL."""
    return f"{account_root(base_url)}{PAGE_PATH}/"


class Served(ABC):
    """What can be served on a socket; as a context manager it is, on a free port of this machine."""

    _servers: list[ExitStack]

    @property
    @abstractmethod
    def _served_app(self) -> ASGIApp:
        """The application to serve."""

    @property
    @abstractmethod
    def base_url(self) -> str:
        """The API's base URL while it is served."""

    @abstractmethod
    def reached_at(self, url: str) -> AbstractContextManager[None]:
        """Make *url* the `base_url` while the context lasts."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.serving())
            self._servers.append(stack.pop_all())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._servers.pop().close()

    @contextmanager
    def serving(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        allowed_hosts: Iterable[str] = (),
        control_token: str | None = None,
    ) -> Generator[str, None, None]:
        """Serve on a socket while the context lasts; yield the API's base URL.

        Args:
            host: the address to listen on.
            port: the port; 0 for a free one.
            allowed_hosts: names besides this machine's own that requests may name in Host, such as
                ``host.docker.internal``, while *host* is loopback. Elsewhere any name will do.
            control_token: the bearer token that ``/_fake`` wants where *host* is not loopback; without one nobody can
                steer the fake there.
        """
        from ..web.server import serving

        with serving(self._served_app, host, port, allowed_hosts, control_token) as url, self.reached_at(url):
            yield self.base_url


class Clients(Served):
    """How clients reach the fake."""

    _world: World

    @property
    def _served_app(self) -> ASGIApp:
        return self._app

    @cached_property
    def _app(self) -> ASGIApp:
        return create_app(self._world, page_router)

    @property
    def asgi_app(self) -> ASGIApp:
        """The ASGI application, for a server of your own."""
        self._world.is_reachable = self._world.is_handed_out = True
        return self._app

    def transport(self, library: ModuleType | None = None) -> Any:
        """Return a transport of httpx, or of *library* (httpx2), that answers in this process without a socket."""
        from ..web.in_process import transport

        return transport(self.asgi_app, library)

    @contextmanager
    def reached_at(self, url: str) -> Generator[None, None, None]:
        """Make *url* the `base_url` while the context lasts, for a server or a proxy of your own.

        Args:
            url: ends in ``/v1``, whatever the dialect.
        """
        world = self._world
        world.urls.append(url)
        world.is_reachable = True
        try:
            yield
        finally:
            world.urls.remove(url)

    @property
    def base_url(self) -> str:
        """The API's base URL, with ``/v1`` or the dialect's own root, while the fake is serving.

        Raises:
            FakeUsageError: it is not serving.
        """
        if not self._world.urls:
            raise FakeUsageError("the fake has no URL while it is not serving: use it inside `with fake.serving():`")
        return base_url_for(self._world.urls[-1], self._world.account.dialect)

    def open(self) -> str:
        """Show the account in a browser, such as from a debugger; return the address of its page.

        A fake that is not served yet is served from then on, on a free port of this machine, until the process ends.
        """
        if self._world.urls in ([], [NOWHERE]):
            stack = ExitStack()
            stack.enter_context(self.serving())
            atexit.register(stack.close)
        import webbrowser  # here, since few fakes are looked at

        address = page_address(self.base_url)
        webbrowser.open(address)
        return address

    @property
    def env(self) -> dict[str, str]:
        """Environment variables for a client in another process, as in ``env={**os.environ, **fake.env}``.

        They are the dialect's: ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``, or Azure's. ``NO_PROXY`` makes a client
        bypass a proxy.

        Raises:
            FakeUsageError: it is not serving.
        """
        style = self._world.account.dialect.http
        variable, path = style.base_url_variable
        address = account_root(self.base_url) + path
        host = str(urlsplit(address).hostname)
        no_proxy: dict[str, str] = {}
        for name in ("NO_PROXY", "no_proxy"):
            hosts = os.environ.get(name, "")
            # a star bypasses proxies for all hosts already, and some clients ignore one that is not alone
            has_star = "*" in (host.strip() for host in hosts.split(","))
            no_proxy[name] = "*" if has_star else ",".join(filter(None, [host, hosts]))
        return {variable: address, style.key_variable: API_KEY, **no_proxy}

    def openai(self, **options: Any) -> OpenAI:
        """Return a client of the installed openai package (1, 2 or 3) that calls the fake in this process.

        Args:
            options: of ``openai.OpenAI``, such as ``max_retries``; it waits in real time before it retries.

        Raises:
            FakeUsageError: openai is not installed.
        """
        client: OpenAI = self._openai_client("OpenAI", "Client", options)
        return client

    def async_openai(self, **options: Any) -> AsyncOpenAI:
        """Return an ``openai.AsyncOpenAI`` that calls the fake in this process."""
        client: AsyncOpenAI = self._openai_client("AsyncOpenAI", "AsyncClient", options)
        return client

    def _openai_client(self, kind: str, http_kind: str, options: dict[str, Any]) -> Any:
        try:
            openai = import_module("openai")
        except ModuleNotFoundError as error:
            if error.name != "openai":
                raise
            raise FakeUsageError("the package openai is not installed: pip install openai") from None
        # openai 3 is built on httpx2, and those before on httpx
        library = import_module("httpx2" if int(openai.__version__.partition(".")[0]) >= 3 else "httpx")
        if "http_client" not in options:
            http_client = getattr(library, http_kind)(transport=self._client_transport(library), trust_env=False)
            options = {**options, "http_client": http_client}
        return getattr(openai, kind)(**{"base_url": self._client_url, "api_key": API_KEY, **options})

    @property
    def _client_url(self) -> str:
        """The base URL of ready clients."""
        return base_url_for(NOWHERE, self._world.account.dialect)

    def _client_transport(self, library: ModuleType) -> Any:
        """Return the transport of ready clients."""
        return self.transport(library)
