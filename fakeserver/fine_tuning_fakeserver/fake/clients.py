"""The ways to the account: application, transports, socket, ready clients, and an environment for other processes."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..usage_errors import FakeUsageError
from ..web.dialect_adapter import base_url_for
from .base import FakeBase

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI
    from starlette.types import ASGIApp

API_KEY = "fake-fine-tuning-key"
"""What ready clients and `Doors.env` have for a key. Any would do; this one could never spend money."""

NOWHERE = "http://fake-fine-tuning.invalid/v1"
"""A base URL that no socket leads to, for clients that need one (RFC 6761: ``.invalid`` is never resolved)."""


class Clients(FakeBase):
    """How clients get to the fake."""

    _app: ASGIApp
    _urls: list[str]
    _handed_out: bool

    @property
    def asgi_app(self) -> ASGIApp:
        """The ASGI application, for a server of your own."""
        self._reachable = self._handed_out = True
        return self._app

    def transport(self, library: ModuleType | None = None) -> Any:
        """A transport of httpx, or of the module given (httpx2), that answers in this process without a socket."""
        from ..web.transports import transport

        return transport(self.asgi_app, library)

    @contextmanager
    def serving(self, host: str = "127.0.0.1", port: int = 0) -> Generator[str, None, None]:
        """Serve on a socket (port 0: a free one) while the context lasts; it yields the API's base URL."""
        from ..web.server import serving

        with serving(self._app, host, port) as url, self.reached_at(url):
            yield self.base_url

    @contextmanager
    def reached_at(self, url: str) -> Generator[None, None, None]:
        """Let *url* be the `base_url` while the context lasts: something of yours leads from there to the fake.

        Args:
            url: ends in ``/v1``, whatever the dialect.
        """
        self._urls.append(url)
        self._reachable = True
        try:
            yield
        finally:
            self._urls.remove(url)

    @property
    def base_url(self) -> str:
        """The API's base URL, with ``/v1`` or what the dialect has for it, while the fake is serving.

        Raises:
            FakeUsageError: it is not serving.
        """
        if not self._urls:
            raise FakeUsageError("the fake has no URL while it is not serving: use it inside `with fake.serving():`")
        return base_url_for(self._urls[-1], self._service.account.dialect)

    @property
    def env(self) -> dict[str, str]:
        """Variables that lead a client in another process here, as in ``env={**os.environ, **fake.env}``.

        They are those of the dialect, the address and a key: ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``, or Azure's.
        ``NO_PROXY`` keeps a proxy of yours out of it.

        Raises:
            FakeUsageError: it is not serving.
        """
        manner = self._service.account.dialect.http
        variable, path = manner.base_url_variable
        address = self.base_url.removesuffix(manner.root) + path
        spared = {name: _without_proxy(os.environ.get(name, "")) for name in ("NO_PROXY", "no_proxy")}
        return {variable: address, manner.key_variable: API_KEY, **spared}

    def openai(self, **options: Any) -> OpenAI:
        """A client of the openai package that is installed (1, 2 or 3), which asks the fake in this process.

        Args:
            options: of ``openai.OpenAI``, such as ``max_retries``; it waits in real time before it tries again.

        Raises:
            FakeUsageError: openai is not installed.
        """
        client: OpenAI = self._ready("OpenAI", "Client", options)
        return client

    def async_openai(self, **options: Any) -> AsyncOpenAI:
        """The same for ``openai.AsyncOpenAI``."""
        client: AsyncOpenAI = self._ready("AsyncOpenAI", "AsyncClient", options)
        return client

    def _ready(self, kind: str, http_kind: str, options: dict[str, Any]) -> Any:
        try:
            openai = import_module("openai")
        except ModuleNotFoundError as error:
            if error.name != "openai":
                raise
            raise FakeUsageError("the package openai is not installed: pip install openai") from None
        # openai 3 is built on httpx2, and those before on httpx
        library = import_module("httpx2" if int(openai.__version__.partition(".")[0]) >= 3 else "httpx")
        address = base_url_for(NOWHERE, self._service.account.dialect)
        if "http_client" not in options:
            http_client = getattr(library, http_kind)(transport=self.transport(library), trust_env=False)
            options = {**options, "http_client": http_client}
        return getattr(openai, kind)(**{"base_url": address, "api_key": API_KEY, **options})


def _without_proxy(hosts: str) -> str:
    if "*" in (host.strip() for host in hosts.split(",")):
        return "*"  # all are spared already; a star that is not alone means nothing to some clients
    return ",".join(filter(None, ["127.0.0.1", hosts]))
