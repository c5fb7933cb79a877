"""What stands behind the fixtures: the server of a session, and a test with its fake."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.handle.doors import API_KEY, NOWHERE

from .guard import guarding
from .keys import FINDINGS, HANDLE, UNPASSED
from .options import Options, options_of
from .unrecorded import unrecorded
from .verdicts import judge

AZURE = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")


class Server:
    """The fake of a session, on a socket as soon as there can be one, and clients that need none."""

    def __init__(self) -> None:
        self.fake = FakeFineTuning()
        self.http_client = httpx.Client(transport=self.fake.transport(), trust_env=False)
        self.async_http_client = httpx.AsyncClient(transport=self.fake.transport(), trust_env=False)
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


@contextmanager
def playing(
    item: pytest.Item, server: Server, plan: object, monkeypatch: pytest.MonkeyPatch
) -> Generator[FakeFineTuning, None, None]:
    """A fresh account for *item*, with all that leads to it; in the end, what came of it is judged."""
    options, fake = _options(item, plan), server.fake
    with ExitStack() as stack:
        if not server.open():
            stack.enter_context(fake.reached_at(NOWHERE))
        fake.reset(faults=options.faults, **options.settings)
        for name, value in _environment(fake).items():
            monkeypatch.setenv(name, value)
        stack.enter_context(unrecorded(fake.base_url))
        if options.hosts is not None:
            stack.enter_context(guarding(fake, options.hosts))
            for name in ("NO_PROXY", "no_proxy"):  # behind a proxy nobody would look a host up, and meet the guard
                monkeypatch.setenv(name, ",".join([os.environ[name], *options.hosts.unproxied]))
        stack.enter_context(
            redirect(
                fake.base_url,
                api_key=API_KEY,
                http_client=server.http_client,
                async_http_client=server.async_http_client,
                sleep=fake.sleep,
                async_sleep=fake.async_sleep,
                clock=lambda: fake.now,
            )
        )
        item.stash[HANDLE], item.stash[UNPASSED], item.stash[FINDINGS] = fake, False, []
        yield fake
        judge(item, fake, options)


def _options(item: pytest.Item, plan: object) -> Options:
    try:
        return options_of(item, plan)
    except FakeUsageError as error:
        raise pytest.fail.Exception(f"fake_fine_tuning: {error}", pytrace=False) from None


def _environment(fake: FakeFineTuning) -> dict[str, str]:
    """The dialect's variables, OpenAI's in any case, and Azure's where they would lead elsewhere."""
    openai = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": API_KEY}
    azure = dict(zip(AZURE, ("/".join(fake.base_url.split("/")[:3]), API_KEY), strict=True))
    return {**openai, **{name: azure[name] for name in AZURE if name in os.environ}, **fake.env}
