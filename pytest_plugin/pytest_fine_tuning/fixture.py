"""What stands behind the fixtures: the server of a session, and a test with its fake."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.fake.clients import API_KEY, NOWHERE

from .env import Environment
from .network_guard import install_guard, over_socket
from .options import Options, options_of
from .reporting import report_findings
from .stash import ENVIRONMENT, FINDINGS, HANDLE, UNPASSED
from .vcr_exemption import exempt_from_vcr

AZURE = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")
SPARED = ("NO_PROXY", "no_proxy")


class SessionServer:
    """The fake of a session, on a socket as soon as there can be one, and clients that need none."""

    def __init__(self) -> None:
        self.fake = FakeFineTuning()
        self.process = os.getpid()
        """The process whose tests have the account; one that it forks has a copy."""
        self.http_client = httpx.Client(transport=ForkAwareTransport(self), trust_env=False)
        self.async_http_client = httpx.AsyncClient(transport=ForkAwareTransport(self), trust_env=False)
        self._stack = ExitStack()
        self._stack.callback(self.http_client.close)
        self._is_open = False

    def open(self) -> bool:
        """Serve from now on, if a socket can be had; whether it serves."""
        if not self._is_open:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # pytest-socket warns where it refuses
                    self._stack.enter_context(self.fake.serving())
            except (OSError, RuntimeError):  # no network here, or pytest-socket
                return False
            self._is_open = True
        return True

    def close(self) -> None:
        """End it."""
        self._stack.close()


class ForkAwareTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The way to the account: in this process; over the socket from one that was forked off, which has a copy."""

    def __init__(self, server: SessionServer) -> None:
        self._server = server
        self._near = server.fake.transport()

    @property
    def _is_near(self) -> bool:
        return os.getpid() == self._server.process

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a blocking client."""
        way = self._near if self._is_near else over_socket(httpx, "HTTPTransport")
        response: httpx.Response = way.handle_request(request)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an async client."""
        way = self._near if self._is_near else over_socket(httpx, "AsyncHTTPTransport")
        response: httpx.Response = await way.handle_async_request(request)
        return response


@contextmanager
def fake_for_test(
    item: pytest.Item, server: SessionServer, plan: object, in_process: bool = True
) -> Generator[FakeFineTuning, None, None]:
    """A fresh account for *item*, with all that leads to it; in the end, what came of it is judged.

    Our client's requests stay *in_process*; where they are to be recorded, they must not.
    """
    options, fake, server.process = _options(item, plan), server.fake, os.getpid()
    with ExitStack() as stack:
        if not server.open():
            stack.enter_context(fake.reached_at(NOWHERE))
        fake.reset(defaults={"faults": options.faults, **options.settings})
        stack.callback(fake.finish_test)
        environment = item.stash[ENVIRONMENT] = Environment(_variables(fake, options))
        stack.callback(environment.put_back)
        stack.enter_context(exempt_from_vcr(fake.base_url, options.hosts))
        if options.hosts is not None:
            stack.enter_context(install_guard(fake, options.hosts))
        stack.enter_context(
            redirect(
                fake.base_url,
                api_key=API_KEY,
                http_client=server.http_client if in_process else None,
                async_http_client=server.async_http_client if in_process else None,
                sleep=fake.sleep,
                async_sleep=fake.async_sleep,
                clock=lambda: fake.now,
            )
        )
        item.stash[HANDLE], item.stash[UNPASSED], item.stash[FINDINGS] = fake, False, []
        yield fake
        report_findings(item, fake, options)


def _options(item: pytest.Item, plan: object) -> Options:
    try:
        return options_of(item, plan)
    except FakeUsageError as error:
        raise pytest.fail.Exception(f"fake_fine_tuning: {error}", pytrace=False) from None


def _variables(fake: FakeFineTuning, options: Options) -> dict[str, str]:
    """The dialect's variables, OpenAI's in any case, and Azure's where they would lead elsewhere."""
    openai = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": API_KEY}
    place = urlsplit(fake.base_url)
    azure = dict(zip(AZURE, (f"{place.scheme}://{place.netloc}", API_KEY), strict=True))
    variables = {**openai, **{name: azure[name] for name in AZURE if name in os.environ}, **fake.env}
    unproxied = options.hosts.unproxied if options.hosts else []
    # behind a proxy nobody would look a host up, and meet the guard
    spared = {name: ",".join([variables[name], *unproxied]) for name in SPARED if variables[name] != "*"}
    return {**variables, **spared}
