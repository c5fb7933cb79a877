"""Ways to reach the fake: ready-made SDK clients, addresses, and environment variables."""

from __future__ import annotations

import asyncio
import os
import sys
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.fake.clients import API_KEY, NOWHERE

DIALECTS = pytest.mark.parametrize("dialect", ["openai-2025-09", "openai-spec", "azure-2025"])


@DIALECTS
def test_a_ready_client_asks_the_fake(dialect: str) -> None:
    """`openai()` and `async_openai()` return SDK clients of the account in each dialect, without a socket."""
    fake = FakeFineTuning(dialect=dialect)

    async def ask() -> list[Any]:
        async with fake.async_openai() as client:
            return (await client.fine_tuning.jobs.list()).data

    with fake.openai() as client:
        assert client.fine_tuning.jobs.list().data == []
    assert asyncio.run(ask()) == []
    fake.assert_called("list_jobs", times=2)


def test_a_ready_client_takes_options() -> None:
    """`openai()` passes all options to the SDK's client, even an HTTP client."""
    fake = FakeFineTuning(api_keys=["mine"])
    http_client = httpx2.Client(transport=fake.transport(httpx2))
    client = fake.openai(api_key="mine", max_retries=7, http_client=http_client, base_url="http://x.invalid/v1")

    assert client.max_retries == 7
    assert client.models.list().data
    assert fake.requests[0].headers["host"] == "x.invalid"


@pytest.mark.parametrize(("version", "library"), [("1.3.0", httpx), ("2.54.0", httpx), ("3.0.0", httpx2)])
def test_a_ready_client_is_built_on_what_its_version_is(
    version: str, library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`openai()` uses httpx for SDK versions before 3, and httpx2 since then."""
    package = SimpleNamespace(__version__=version, OpenAI=lambda **options: options)
    monkeypatch.setitem(sys.modules, "openai", package)

    options: Any = FakeFineTuning().openai()

    assert isinstance(options["http_client"], library.Client)
    assert (options["base_url"], options["api_key"]) == (NOWHERE, API_KEY)


def test_without_the_package_there_is_no_ready_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package openai the error says how to install it."""
    monkeypatch.setitem(sys.modules, "openai", None)  # Python's own way to say: not there
    with pytest.raises(FakeUsageError, match="the package openai is not installed: pip install openai"):
        FakeFineTuning().openai()


def test_a_package_that_is_broken_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a dependency of openai is missing, Python's own error is raised."""

    def broken(name: str) -> None:
        raise ModuleNotFoundError("No module named 'jiter'", name="jiter")

    monkeypatch.setattr("fine_tuning_fakeserver.fake.clients.import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="jiter"):
        FakeFineTuning().openai()


def test_an_address_of_ones_own_is_told_while_it_lasts() -> None:
    """`reached_at` sets the base URL, even while serving, and restores the old one."""
    fake = FakeFineTuning(dialect="azure-2025")
    with fake.serving() as served:
        with fake.reached_at("http://x.invalid/v1"):
            assert fake.base_url == "http://x.invalid/openai/v1"
        assert fake.base_url == served
    with pytest.raises(FakeUsageError, match="no URL while it is not serving"):
        _ = fake.base_url


@DIALECTS
def test_the_environment_is_enough_for_a_client(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of `env` are enough for the SDK's client of the dialect, despite a proxy variable."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    fake = FakeFineTuning(dialect=dialect)
    with fake.serving():
        for name, value in fake.env.items():
            monkeypatch.setenv(name, value)
        azure = dialect.startswith("azure")
        client = openai.AzureOpenAI(api_version="2025-04-01-preview") if azure else openai.OpenAI()
        with client:
            assert client.fine_tuning.jobs.list().data == []

    fake.assert_called("list_jobs", times=1)


def test_what_else_is_spared_a_proxy_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """`env` adds the fake's host to the existing NO_PROXY."""
    monkeypatch.setenv("NO_PROXY", "a.example.com,b.example.com")
    fake = FakeFineTuning()
    with fake.reached_at("http://x.invalid/v1"):
        assert fake.env["NO_PROXY"] == "x.invalid,a.example.com,b.example.com"
    assert os.environ["NO_PROXY"] == "a.example.com,b.example.com"


def test_there_is_no_environment_while_it_is_not_serving() -> None:
    """`env` of a fake that is not serving is a usage error."""
    with pytest.raises(FakeUsageError, match="no URL while it is not serving"):
        _ = FakeFineTuning().env
