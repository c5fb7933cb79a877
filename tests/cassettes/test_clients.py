"""A cassette recorded by any client is replayed by every other one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest

from cassette_clients import CALLERS, KEY, MODEL, ROWS
from contract.openai2 import VERSION, UnreachableError, installed
from fine_tuning_cassettes import use_cassette
from fine_tuning_client import FineTuningClient
from fine_tuning_fakeserver import FakeFineTuning

pytestmark = pytest.mark.slow

STATUSES = ["queued", "running", "succeeded"]
ELSEWHERE = "https://ours.openai.azure.com/openai/v1"
"""Another host, scheme, port and base path than anything was recorded at."""

FOUR = ["validating_files", "queued", "running", "succeeded"]
SECONDS = 60


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeFineTuning, str]]:
    """A fake served on a socket."""
    fake = FakeFineTuning(seed=1, start=1_700_000_000)
    with fake.serving() as url:
        yield fake, url


@pytest.fixture(scope="module")
def recordings(served: tuple[FakeFineTuning, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A cassette recorded by each client."""
    fake, url = served
    folder = tmp_path_factory.mktemp("recordings")
    for name, call in CALLERS.items():
        fake.reset()
        with use_cassette(folder / f"{name}.yaml", "once") as cassette:
            assert call(url) == STATUSES
        assert cassette.recorded == 5
    return {name: folder / f"{name}.yaml" for name in CALLERS}


@pytest.mark.parametrize("recorder", CALLERS)
@pytest.mark.parametrize("player", CALLERS)
def test_each_client_replays_what_any_other_has_recorded(
    recordings: dict[str, Path], recorder: str, player: str
) -> None:
    """A recording of one client answers every request of another, at another host and base path."""
    with use_cassette(recordings[recorder], on_unplayed="fail") as cassette:
        assert CALLERS[player](ELSEWHERE) == STATUSES
    assert cassette.play_count == 5


def run_openai_2(path: Path, mode: str, url: str) -> Any:
    """Run openai 2 in a process of its own; return the statuses it sees."""
    try:
        folder = installed()
    except UnreachableError as error:
        pytest.skip(str(error))
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [
        sys.executable,
        "-W",
        "error",
        str(Path(__file__).parents[1] / "cassette_clients.py"),
        str(path),
        mode,
        url,
    ]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_openai_2_replays_what_openai_3_has_recorded(recordings: dict[str, Path]) -> None:
    """A cassette recorded by the SDK on httpx2 is replayed by the SDK on httpx."""
    result = run_openai_2(recordings["openai"], "none", ELSEWHERE)
    assert result == {"version": VERSION, "seen": STATUSES, "play_count": 5}


def test_openai_3_replays_what_openai_2_has_recorded(served: tuple[FakeFineTuning, str], tmp_path: Path) -> None:
    """A cassette recorded by the SDK on httpx is replayed by the SDK on httpx2."""
    fake, url = served
    fake.reset()
    run_openai_2(tmp_path / "two.yaml", "once", url)
    with use_cassette(tmp_path / "two.yaml") as cassette:
        assert CALLERS["openai"](ELSEWHERE) == STATUSES
    assert cassette.play_count == 5


@pytest.fixture(scope="module")
def four_polls(served: tuple[FakeFineTuning, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A cassette with four polls of a job, each with another status; and the job's id."""
    fake, url = served
    fake.reset(pace="manual")
    job = str(fake.add_job(fake.add_file(ROWS)["id"], status="validating_files")["id"])
    path = tmp_path_factory.mktemp("looks") / "four.yaml"
    with use_cassette(path, "once"), httpx.Client() as client:
        for status in FOUR:
            fake.advance_to(status, job)
            headers = {"authorization": f"Bearer {KEY}"}
            assert client.get(f"{url}/fine_tuning/jobs/{job}", headers=headers).json()["status"] == status
    return path, job


@pytest.mark.parametrize("polls", [1, 4, 9])
@pytest.mark.parametrize("client", ["openai", "ours"])
def test_fewer_or_more_looks_than_recorded_replay(four_polls: tuple[Path, str], client: str, polls: int) -> None:
    """Of four recorded polls, one read gets the first; nine reads get all four, and the last one repeatedly."""
    path, job = four_polls
    with use_cassette(path):
        assert [poll(client, job) for _ in range(polls)] == (FOUR + ["succeeded"] * 5)[:polls]


def poll(client: str, job: str) -> str:
    """Return the status of a job, read by a new client."""
    if client == "ours":
        return str(FineTuningClient(base_url=ELSEWHERE, api_key=KEY).retrieve_job(job).status)
    with openai.OpenAI(base_url=ELSEWHERE, api_key=KEY) as sdk:
        return sdk.fine_tuning.jobs.retrieve(job).status


def test_a_client_that_waits_for_the_end_comes_to_it(four_polls: tuple[Path, str]) -> None:
    """Waiting for a job takes as many polls as were recorded, and ends."""
    path, job = four_polls
    with use_cassette(path) as cassette:
        client = FineTuningClient(base_url=ELSEWHERE, api_key=KEY, sleep=lambda seconds: None)
        assert client.wait_for_job(job).is_completed()
    assert cassette.play_count == 4


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_tasks_that_look_at_once_share_the_recording(four_polls: tuple[Path, str], library: Any) -> None:
    """Eight concurrent polls of four recorded ones get each status once, and the last one for the rest."""
    path, job = four_polls

    async def poll_often() -> list[str]:
        async with library.AsyncClient() as client:
            answers = await asyncio.gather(
                *(client.get(f"{ELSEWHERE}/fine_tuning/jobs/{job}", timeout=5) for _ in range(8))
            )
        return [answer.json()["status"] for answer in answers]

    with use_cassette(path):
        seen = asyncio.run(poll_often())
    assert sorted(seen) == sorted(FOUR + ["succeeded"] * 4)


def test_the_async_sdk_records_and_replays(served: tuple[FakeFineTuning, str], tmp_path: Path) -> None:
    """`AsyncOpenAI` replays what it has recorded."""
    fake, url = served
    fake.reset()

    async def create(address: str) -> str:
        async with openai.AsyncOpenAI(base_url=address, api_key=KEY, max_retries=0) as client:
            file = await client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
            return (await client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)).id

    with use_cassette(tmp_path / "async.yaml", "once"):
        recorded = asyncio.run(create(url))
    with use_cassette(tmp_path / "async.yaml"):
        assert asyncio.run(create(ELSEWHERE)) == recorded
