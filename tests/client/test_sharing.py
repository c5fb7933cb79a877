"""One client shared by threads, tasks and event loops, and iterators that are stopped half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import anyio
import httpx
import pytest
import trio

from fine_tuning_client import (
    AsyncFineTuning,
    AsyncFineTuningClient,
    FineTuning,
    FineTuningClient,
    ProviderProfile,
    configure,
)
from fine_tuning_client.waiting import iter_job_events
from fine_tuning_fakeserver import FakeFineTuning
from strategies import ROWS

JOB = {"id": "ftjob-1", "status": "running", "model": "m", "training_file": "f", "created_at": 1}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The HTTP clients that a client opens, on a transport that returns a job."""
    found: list[Any] = []
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=JOB))
    kinds: dict[str, Callable[..., Any]] = {"open_http": httpx.Client, "open_http_async": httpx.AsyncClient}
    for name, kind in kinds.items():

        def open_http(url: str, kind: Callable[..., Any] = kind) -> Any:
            found.append(kind(transport=transport))
            return found[-1]

        monkeypatch.setattr(f"fine_tuning_client.client.{name}", open_http)
    return found


def test_the_last_one_out_closes(opened: list[Any]) -> None:
    """A client entered twice keeps one connection pool until both contexts have exited."""
    client = FineTuningClient("fake")
    with client:
        with client:
            client.retrieve_job("ftjob-1")
        assert [each.is_closed for each in opened] == [False]
        client.retrieve_job("ftjob-1")
    assert [each.is_closed for each in opened] == [True]


def test_a_task_that_is_done_leaves_the_others_their_connections(opened: list[Any]) -> None:
    """Of two tasks that share a client, the one that ends first does not close its connections."""
    client = AsyncFineTuningClient("fake")
    has_left = asyncio.Event()

    async def first() -> None:
        async with client:
            await asyncio.sleep(0)
        has_left.set()

    async def second() -> None:
        async with client:
            await has_left.wait()
            await client.retrieve_job("ftjob-1")

    async def both() -> None:
        await asyncio.gather(first(), second())

    asyncio.run(both())
    assert [each.is_closed for each in opened] == [True]


def test_entering_that_fails_is_no_entering(opened: list[Any]) -> None:
    """A context whose `__enter__` raised does not count as one that has yet to exit."""
    client = FineTuningClient("openai_compatible")
    with pytest.raises(Exception, match="no address"):
        client.__enter__()
    configure(providers={"openai_compatible": {"url": "http://h/v1"}})
    try:
        with client:
            pass
    finally:
        configure()
    assert [each.is_closed for each in opened] == [True]


def test_the_facades_are_clients_of_the_default() -> None:
    """The facades are instances of the client classes, and resolve their provider anew for each operation."""
    assert isinstance(FineTuning, FineTuningClient)
    assert isinstance(AsyncFineTuning, AsyncFineTuningClient)
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=JOB | {"model": request.url.host}))
    client = FineTuningClient(http_client=httpx.Client(transport=transport))
    entry = {"driver": "openai_compatible"}
    try:
        for name in ("one", "two"):
            configure(default_for_fine_tuning=name, providers={name: {**entry, "url": f"http://{name}/v1"}})
            assert client.retrieve_job("ftjob-1").model == name
    finally:
        configure()
    assert repr(client) == repr(FineTuning) == "FineTuningClient()"


def test_what_a_profile_says_is_an_argument(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither file nor environment redirects a profile passed in code, and its key, to another address."""
    monkeypatch.chdir(tmp_path)
    text = '[providers.mine]\ndriver = "openai"\nurl = "http://elsewhere.example/v1"\n'
    (tmp_path / "fine_tuning.toml").write_text(text)
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers["Authorization"]))
        return httpx.Response(200, json=JOB)

    profile = ProviderProfile("mine", "https://good.example/v1", api_key="sk-of-the-profile")
    FineTuningClient(profile, http_client=httpx.Client(transport=httpx.MockTransport(answer))).retrieve_job("ftjob-1")
    assert seen == [("good.example", "Bearer sk-of-the-profile")]


def test_trio() -> None:
    """Under trio an async client sends, sleeps, waits and follows as under asyncio."""
    fake = FakeFineTuning(pace="polls")

    async def session() -> str:
        async with httpx.AsyncClient(transport=fake.transport()) as http:
            client = AsyncFineTuningClient("fake", http_client=http)
            file = await client.upload_file(ROWS.encode(), filename="train.jsonl")
            job = await client.create_job(file.id, "gpt-4o-mini")
            job = await client.wait_for_job(job.id, poll_interval=0.001)
            return f"{job.status} {len([each async for each in client.iter_job_events(job.id)]) > 100}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fine_tuning_client.waiting.GROWTH", 1.0)
        assert trio.run(session) == "succeeded True"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_stops_iterating_leaves_nothing_open(backend: str) -> None:
    """Closing an iterator half-way closes the generators below it at once."""
    fake = FakeFineTuning(pace="manual")
    job = fake.add_job(fake.add_file(ROWS)["id"])["id"]
    ended: list[str] = []

    def noticed(flow: Any) -> Any:
        try:
            yield from flow
        finally:
            ended.append("flow")

    async def session() -> None:
        async with httpx.AsyncClient(transport=fake.transport()) as http:
            client = AsyncFineTuningClient("fake", http_client=http)
            async with aclosing(client._stream(noticed(iter_job_events(job, page_size=5)))) as items:
                async for _ in items:
                    break
            assert ended == ["flow"]

    anyio.run(session, backend=backend)
