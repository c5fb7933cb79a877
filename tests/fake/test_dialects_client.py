"""The client in whole sessions with the fake, as OpenAI and as Azure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from async_client import Awaited
from fine_tuning_client import (
    AsyncFineTuningClient,
    AuthenticationError,
    FineTuningClient,
    JobCancelled,
    NotFoundError,
    UnsupportedOperationError,
)
from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, ROWS

KEY = "sk-dialects"
DIALECTS = {"openai": "openai-2025-09", "azure": "azure-2025"}
ADDRESSES = {"openai": "http://fake/v1", "azure": "http://fake"}

OPENAI = ("ft:gpt-4o-mini-2024-07-18:personal:mine:", "The job has successfully completed", 1.8)
PAUSED = {"openai": (["paused", "paused"], "queued"), "azure": (["pausing", "paused"], "resuming")}
AZURE = ("gpt-4o-mini-2024-07-18.ft-", "Training tokens billed: 1000", 1)


def _fake(provider: str, **settings: Any) -> FakeFineTuning:
    return FakeFineTuning(**{"start": BORN, "api_keys": [KEY], "dialect": DIALECTS[provider], **settings})


class Way:
    """How a client is made for a provider: blocking or async, in process."""

    def __init__(self, provider: str, *, is_async: bool) -> None:
        self.provider, self.is_async = provider, is_async

    def client(self, fake: FakeFineTuning, key: str = KEY) -> Any:
        """Make a client with *key*."""
        transport = fake.transport()
        options: dict[str, Any] = {
            "base_url": ADDRESSES[self.provider],
            "api_key": key,
            "max_retries": 0,
            "sleep": fake.sleep,
        }
        if self.is_async:
            http = httpx.AsyncClient(transport=transport)
            return Awaited(AsyncFineTuningClient(self.provider, http_client=http, **options))
        return FineTuningClient(self.provider, http_client=httpx.Client(transport=transport), **options)


WAYS = {
    f"{provider}, {'awaited' if is_async else 'blocking'}": Way(provider, is_async=is_async)
    for provider in DIALECTS
    for is_async in (False, True)
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@each_way
def test_a_whole_session(way: Way, tmp_path: Path) -> None:
    """Check, upload, create, pause, resume, wait, events, checkpoints, metrics and model work with both providers."""
    fake = _fake(way.provider)
    client = way.client(fake)
    path = tmp_path / "train.jsonl"
    path.write_text(ROWS)
    model, last, multiplier = AZURE if way.provider == "azure" else OPENAI
    paused, resumed = PAUSED[way.provider]
    seen: list[str] = []

    assert client.check_training_file(path, model="gpt-4o-mini").ok
    file = client.upload_file(path)
    job = client.create_job(file.id, "gpt-4o-mini", suffix="mine")
    fake.advance_to("running")
    assert [client.pause_job(job.id).status, client.wait_for_job(job.id, until_paused=True).status] == paused
    assert client.resume_job(job.id).status == resumed
    job = client.wait_for_job(job.id, on_update=lambda job: seen.append(job.status), raise_on_failure=True)

    assert job.is_completed()
    assert job == client.retrieve_job(job.id)
    assert job in list(client.list_jobs())
    assert (job.fine_tuned_model or "").startswith(model)
    assert (job.hyperparameters or {})["learning_rate_multiplier"] == multiplier
    assert seen == ["running", "succeeded"]
    assert client.list_job_events(job.id)[0].message == last
    assert len(list(client.follow_job_events(job.id))) == len(list(client.iter_job_events(job.id, page_size=7))) > 10
    assert [point.step_number for point in client.list_job_checkpoints(job.id)] == [100, 90, 80]
    assert [row["step"] for row in client.result_metrics(job.id)] == [float(step) for step in range(1, 101)]
    assert client.download_file(file.id) == path.read_bytes()
    assert client.download_file(job.result_files[0])
    assert {file.id, *job.result_files} <= {each.id for each in client.list_files()}
    assert client.retrieve_model(job.fine_tuned_model) in list(client.list_models())
    assert client.delete_model(job.fine_tuned_model).deleted
    assert client.delete_file(file.id).deleted


@each_way
def test_a_session_that_is_cancelled(way: Way) -> None:
    """A cancelled job is cancelled in cancel, wait, list and events, and has no results, with both providers."""
    fake = _fake(way.provider)
    client = way.client(fake)
    job = client.create_job(client.upload_file(ROWS.encode(), filename="train.jsonl").id, "gpt-4o-mini")
    fake.advance_to("running")
    said = [client.cancel_job(job.id), client.wait_for_job(job.id), client.list_jobs()[0]]
    events = list(client.follow_job_events(job.id))

    assert [each.was_cancelled() for each in said] == [True, True, True]
    assert re.search("job cancel", events[-1].message, re.IGNORECASE)
    assert not client.list_job_checkpoints(job.id)
    assert client.result_metrics(job.id) == []
    with pytest.raises(JobCancelled):
        client.wait_for_job(job.id, raise_on_failure=True)


@each_way
def test_events_are_walked_page_by_page(way: Way) -> None:
    """Small pages and one large page contain the same events with both providers."""
    fake = _fake(way.provider)
    client = way.client(fake)
    job = client.create_job(client.upload_file(ROWS.encode(), filename="train.jsonl").id, "gpt-4o-mini")
    fake.advance_to("succeeded")
    walked = [event.id for event in client.iter_job_events(job.id, page_size=7)]

    assert walked == [event.id for event in client.list_job_events(job.id, limit=1000)]
    assert len(set(walked)) == len(walked) > 10


@each_way
def test_pause_resume_cancel(way: Way) -> None:
    """Pause, resume and cancel return each provider's own statuses."""
    fake = _fake(way.provider)
    client = way.client(fake)
    job = client.create_job(client.upload_file(ROWS.encode(), filename="train.jsonl").id, "gpt-4o-mini")
    fake.advance_to("running")
    said = [client.pause_job(job.id), client.retrieve_job(job.id), client.resume_job(job.id)]
    fake.advance_to("running")
    cancelled = client.cancel_job(job.id)
    expected = {"openai": ["paused", "paused", "queued"], "azure": ["pausing", "paused", "resuming"]}

    assert [each.status for each in said] == expected[way.provider]
    assert said[1].is_paused()
    assert cancelled.was_cancelled()
    assert (cancelled.finished_at is None) == (way.provider == "openai")


@each_way
def test_refusals(way: Way) -> None:
    """An unknown job and a wrong key raise NotFoundError and AuthenticationError with both providers."""
    fake = _fake(way.provider)

    with pytest.raises(NotFoundError, match="Could not find fine tune: none"):
        way.client(fake).retrieve_job("none")
    with pytest.raises(AuthenticationError):
        way.client(fake, "sk-wrong").list_jobs()


def test_what_azure_is_sent() -> None:
    """The client sends Azure its key header, its path and a training type."""
    fake = _fake("azure")
    client = Way("azure", is_async=False).client(fake)
    job = client.create_job(client.upload_file(ROWS.encode(), filename="train.jsonl").id, "gpt-4o-mini")

    assert job.extra["trainingType"] == "standard"
    assert {exchange.operation for exchange in fake.requests} == {"upload_file", "create_job"}
    assert re.fullmatch("ftjob-[0-9a-f]{32}", job.id)


def test_over_a_socket() -> None:
    """On a socket the base URL of an Azure fake works for the Azure client, complete or without its path."""
    fake = _fake("azure")
    with fake.serving() as url:
        assert url == fake.base_url
        assert url.endswith("/openai/v1")
        for address in (url, url.removesuffix("/openai/v1")):
            assert not FineTuningClient("azure", base_url=address, api_key=KEY).list_jobs()


@pytest.mark.parametrize("name", WAYS)
def test_listing_by_metadata_is_refused_where_it_would_list_all(name: str) -> None:
    """With Azure, which ignores the metadata filter, listing by metadata is refused before a request is sent."""
    way = WAYS[name]
    fake = _fake(way.provider)
    client = way.client(fake)
    if way.provider == "openai":
        assert len(client.list_jobs(metadata={"team": "a"})) == 0
        return
    for call in (client.list_jobs, client.iter_jobs):
        with pytest.raises(UnsupportedOperationError, match="'metadata'"):
            list(call(metadata={"team": "a"}))
    assert not fake.requests
