"""`testing.redirect`, which sends the requests of every client elsewhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from fine_tuning_client import (
    AsyncFineTuningClient,
    ConfigurationError,
    FineTuning,
    FineTuningClient,
    UnsupportedOperationError,
    configure,
    testing,
)

JOB = {"id": "ftjob-1", "status": "succeeded", "model": "m", "training_file": "f", "created_at": 1}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all API keys from the environment."""
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


class Fake:
    """A transport that records its requests."""

    def __init__(self, status: str = "succeeded") -> None:
        self.requests: list[httpx.Request] = []
        self.status = status
        self.http = httpx.Client(transport=httpx.MockTransport(self.answer))
        self.async_http = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Return a job."""
        self.requests.append(request)
        return httpx.Response(200, json=JOB | {"status": self.status})


def test_clients_made_earlier_are_redirected() -> None:
    """A client made before a redirect reaches the fake with the fake's key, and no longer after it."""
    client, fake = FineTuningClient("azure"), Fake()
    with testing.redirect("http://fake/v1", api_key="k", http_client=fake.http):
        client.create_job("f", "m")
    assert str(fake.requests[0].url) == "http://fake/v1/fine_tuning/jobs"
    assert fake.requests[0].headers["Authorization"] == "Bearer k"
    assert fake.requests[0].content == b'{"model": "m", "training_file": "f"}'
    with pytest.raises(ConfigurationError):
        client.create_job("f", "m")


def test_an_own_http_client_is_set_aside() -> None:
    """A client with an HTTP client of its own is redirected, too."""
    own, fake = Fake(), Fake()
    client = FineTuningClient("openai", api_key="sk-real", http_client=own.http)
    with testing.redirect("http://fake/v1", http_client=fake.http):
        client.retrieve_job("ftjob-1")
    assert not own.requests
    assert "sk-real" not in str(fake.requests[0].headers)


def test_other_threads_are_redirected() -> None:
    """A redirect holds for all threads, those started before it included."""
    fake, go, jobs = Fake(), threading.Event(), []

    def work() -> None:
        go.wait(5)
        jobs.append(FineTuning.retrieve_job("ftjob-1"))

    thread = threading.Thread(target=work)
    thread.start()
    with testing.redirect("http://fake/v1", http_client=fake.http):
        go.set()
        thread.join()
    assert [job.id for job in jobs] == ["ftjob-1"]


def test_redirects_nest() -> None:
    """The innermost of nested redirects holds, and the outer one again after it."""
    outer, inner = Fake(), Fake()
    with testing.redirect("http://outer/v1", http_client=outer.http):
        with testing.redirect("http://inner/v1", http_client=inner.http):
            FineTuning.retrieve_job("ftjob-1")
        FineTuning.retrieve_job("ftjob-2")
    assert [str(each.url.host) for each in inner.requests + outer.requests] == ["inner", "outer"]
    assert testing.active() is None


def test_redirects_may_end_in_another_order() -> None:
    """Ending a redirect before a later one does not end the later one."""
    first, second = testing.redirect("http://first/v1"), testing.redirect("http://second/v1")
    first.__enter__()
    entry = second.__enter__()
    first.__exit__(None, None, None)
    assert testing.active() is entry
    second.__exit__(None, None, None)
    assert testing.active() is None


def test_provider_and_capability_are_still_checked() -> None:
    """Under a redirect an unknown provider or missing capability is still refused."""
    configure(providers={"small": {"driver": "openai_compatible", "capabilities": ["list"]}})
    fake = Fake()
    try:
        with testing.redirect("http://fake/v1", http_client=fake.http):
            with pytest.raises(UnsupportedOperationError):
                FineTuning.using("small").pause_job("ftjob-1")
            with pytest.raises(ConfigurationError):
                FineTuning.using("nobody")
    finally:
        configure()
    assert not fake.requests


def test_waiting_passes_the_fakes_time() -> None:
    """Under a redirect with a sleep and a clock a wait takes no real time."""
    fake, now = Fake("running"), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        fake.status = "succeeded" if now[0] >= 3600 else "running"

    given: dict[str, Any] = {"sleep": sleep, "clock": lambda: now[0]}
    with testing.redirect("http://fake/v1", http_client=fake.http, **given):
        assert FineTuning.wait_for_job("ftjob-1", timeout=7200).is_completed()
    assert 3600 <= now[0] <= 3660


@pytest.mark.parametrize("wrap", [lambda naps: naps.append, lambda naps: awaited_append(naps)])
def test_async_clients_are_redirected(wrap: Callable[[list[float]], Callable[[float], object]]) -> None:
    """An async client is redirected, too, and sleeps with the redirect's sleep, plain or awaitable."""
    fake, naps = Fake("running"), list[float]()

    async def wait() -> object:
        client = AsyncFineTuningClient("openai")
        with testing.redirect("http://fake/v1", async_http_client=fake.async_http, sleep=wrap(naps)):
            return await client.wait_for_job("ftjob-1", on_update=lambda job: setattr(fake, "status", "failed"))

    assert asyncio.run(wait()) is not None
    assert naps == [5.0]


def test_async_clients_sleep_by_a_sleep_of_their_own() -> None:
    """With a separate async sleep, async clients await that one and blocking clients use the other."""
    naps, awaited = list[float](), list[float]()
    fake = Fake("running")
    doors: dict[str, Any] = {"http_client": fake.http, "async_http_client": fake.async_http}

    def finish(job: object) -> None:
        fake.status = "failed" if fake.status == "running" else "running"

    with testing.redirect("http://fake/v1", **doors, sleep=naps.append, async_sleep=awaited_append(awaited)):
        asyncio.run(AsyncFineTuningClient("openai").wait_for_job("ftjob-1", poll_interval=1.0, on_update=finish))
        fake.status = "running"
        FineTuningClient("openai").wait_for_job("ftjob-1", poll_interval=2.0, on_update=finish)

    assert (naps, awaited) == ([2.0], [1.0])


def awaited_append(naps: list[float]) -> Callable[[float], Coroutine[Any, Any, None]]:
    """Make an async sleep function that records its durations."""

    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    return sleep
