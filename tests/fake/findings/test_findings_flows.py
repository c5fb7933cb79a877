"""Correct sessions of our client, the examples and the official SDK have no findings."""

from __future__ import annotations

import asyncio
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import httpx2
import openai
import pytest

from clients import MODEL, redirected
from fine_tuning_client import AsyncFineTuning, FineTuning
from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, ROWS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
DOCUMENTS = (ROOT / "README.md").read_text() + (ROOT / "docs" / "client.md").read_text()
PACES = ["polls", "manual", 1000.0]


@pytest.fixture(params=PACES, ids=str)
def fake(request: pytest.FixtureRequest) -> Iterator[FakeFineTuning]:
    """A fake at one pace, to which our clients are redirected."""
    fake = FakeFineTuning(pace=request.param, start=BORN, plan={"seconds_per_step": 0.5})
    with redirected(fake):
        yield fake


def clean(fake: FakeFineTuning) -> None:
    """Check that there were calls and no findings."""
    assert fake.calls
    assert fake.findings == []


def test_our_client_has_no_findings(fake: FakeFineTuning) -> None:
    """A whole session of our client has no findings at any pace."""
    file = FineTuning.upload_file(ROWS.encode(), filename="rows.jsonl")
    job = FineTuning.create_job(file.id, MODEL, suffix="mine")
    assert list(FineTuning.follow_job_events(job.id))
    job = FineTuning.wait_for_job(job.id)
    assert job.is_completed()
    assert len(list(FineTuning.iter_job_events(job.id, page_size=30))) > 30
    assert list(FineTuning.iter_job_checkpoints(job.id))
    assert [each.id for each in FineTuning.iter_jobs()] == [job.id]
    assert FineTuning.result_metrics(job.id)
    FineTuning.delete_model(job.fine_tuned_model or "")
    FineTuning.delete_file(file.id)

    clean(fake)


def test_our_client_has_no_findings_where_things_go_wrong(fake: FakeFineTuning) -> None:
    """Failures of service, connection and job that our client handles cause no finding."""
    fake.fail(503, on="retrieve_job", times=3, retry_after=2)
    fake.rate_limit(on="create_job", retry_after=5)
    fake.disconnect(on="list_job_events")
    fake.plan = {"fail_at": 10, "error": "server_error"}
    job = FineTuning.create_job(fake.add_file(ROWS)["id"], MODEL)
    assert FineTuning.wait_for_job(job.id).has_failed()
    assert list(FineTuning.follow_job_events(job.id))
    again = FineTuning.create_job(job.training_file, MODEL)
    FineTuning.cancel_job(again.id)

    clean(fake)


def test_many_waits_at_once_have_no_findings(fake: FakeFineTuning) -> None:
    """Five concurrent waits of our async client have no findings."""

    async def session() -> None:
        file = (await AsyncFineTuning.upload_file(ROWS.encode(), filename="rows.jsonl")).id
        jobs = [await AsyncFineTuning.create_job(file, MODEL, seed=seed) for seed in range(5)]
        done = await asyncio.gather(*(AsyncFineTuning.wait_for_job(job.id) for job in jobs))
        assert all(job.is_completed() for job in done)

    asyncio.run(session())
    clean(fake)


def test_the_client_program_of_the_readme_has_no_findings(
    fake: FakeFineTuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The documented client program has no findings at any pace."""
    (tmp_path / "train.jsonl").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    exec(block('suffix="my-model"'), {})

    clean(fake)


def block(words: str) -> str:
    """Return the documents' Python program that contains these words."""
    (found,) = (code for code in re.findall(r"```python\n(.*?)```", DOCUMENTS, re.DOTALL) if words in code)
    return str(found)


def test_the_first_program_of_the_readme_has_no_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's first program, which polls without a pause at the pace "polls", has no findings."""
    made: list[FakeFineTuning] = []

    def remembered(*args: Any, **settings: Any) -> FakeFineTuning:
        made.append(FakeFineTuning(*args, pace="polls", **settings))
        return made[0]

    monkeypatch.setattr("fine_tuning_fakeserver.FakeFineTuning", remembered)
    namespace: dict[str, Any] = {}
    exec(block("with FakeFineTuning() as fake"), namespace)
    namespace["client"].close()

    clean(made[0])
    made[0].assert_job_created(model="gpt-4o-mini").assert_file_uploaded(filename="train.jsonl")


def test_the_example_has_no_findings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The session in ``examples/`` has no findings, over a socket."""
    fake = FakeFineTuning(pace=3600)
    with fake.serving() as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        namespace = runpy.run_path(str(ROOT / "examples" / "session.py"))
        namespace["client"].close()

    assert "ft:gpt-4o-mini-2024-07-18:" in capsys.readouterr().out
    clean(fake)


def test_a_careful_session_of_the_official_client_has_no_findings() -> None:
    """A session of the official async SDK with refusals and failures has no findings."""
    fake = FakeFineTuning(pace="polls", start=BORN)
    fake.rate_limit(on="list_jobs", retry_after=0.001)
    transport: Any = fake.transport(httpx2)

    async def session() -> None:
        http_client = httpx2.AsyncClient(transport=transport)
        async with openai.AsyncOpenAI(base_url="http://fake/v1", api_key="any", http_client=http_client) as client:
            jobs = client.fine_tuning.jobs
            file = await client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
            with pytest.raises(openai.BadRequestError):
                await jobs.create(model="gpt-9", training_file=file.id)
            job = await jobs.create(model=MODEL, training_file=file.id)
            while job.status not in ("succeeded", "failed", "cancelled"):
                job = await jobs.retrieve(job.id)
            assert len([event async for event in jobs.list_events(job.id)]) > 100
            assert [point async for point in jobs.checkpoints.list(job.id)]
            assert [each.id async for each in jobs.list()] == [job.id]
            await client.models.delete(job.fine_tuned_model or "")

    asyncio.run(session())
    clean(fake)


def test_a_full_log_takes_no_longer_a_request_than_a_short_one() -> None:
    """The time of all rules is proportional to the log's length."""
    assert instructions(400) < 1.1 * 4 * instructions(100)


def instructions(requests: int) -> int:
    """The number of Python instructions that the rules need for a log of event lists."""
    fake = FakeFineTuning(pace="manual", start=BORN)
    job = fake.add_job(fake.add_file(ROWS)["id"], status="succeeded")
    with httpx.Client(transport=fake.transport(), headers={"authorization": "Bearer any"}) as http:
        for _ in range(requests):
            http.get(f"http://fake/v1/fine_tuning/jobs/{job['id']}/events?limit=20")
    assert fake.findings == []  # what is imported for it does not count
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        findings = fake.findings
    finally:
        sys.settrace(before)
    assert findings == []
    return count
