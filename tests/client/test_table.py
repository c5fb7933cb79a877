"""The table of calls that this client was modelled on, line by line, as Python calls.

Every call goes to the fake over a socket and in process (httpx and httpx2), blocking and async; what was sent is
read from the fake's request log.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from async_client import Awaited
from fine_tuning_client import (
    AsyncFineTuning,
    FineTuning,
    FineTuningCheckpointListResponse,
    FineTuningEventListResponse,
    FineTuningJobListResponse,
    FineTuningJobResponse,
    configure,
    testing,
)
from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, ROWS

MODEL = "gpt-4o-mini-2024-07-18"
OPTIONS: dict[str, Any] = {
    "hyperparameters": {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 0.1},
    "suffix": "my-custom-model",
    "validation_file": "file-xyz789",
}
VERBS = (
    *("create_job", "list_jobs", "retrieve_job", "cancel_job", "pause_job", "resume_job"),
    *("list_job_events", "list_job_checkpoints"),
)


@pytest.fixture(scope="module")
def served() -> Iterator[FakeFineTuning]:
    """One fake served on a socket for all tests."""
    fake = FakeFineTuning()
    with fake.serving():
        yield fake


@pytest.fixture
def fake(served: FakeFineTuning) -> FakeFineTuning:
    """An empty account with the example files, whose time stands still."""
    served.reset(start=BORN, pace="manual")
    for name in ("file-abc123", "file-xyz789"):
        served.add_file(ROWS, id=name)
    return served


def _doors(fake: FakeFineTuning, library: Any) -> dict[str, Any]:
    if library is None:
        return {"base_url": fake.base_url}
    transport = fake.transport(library)
    http = library.Client(transport=transport), library.AsyncClient(transport=transport)
    return {"base_url": "http://fake/v1", "http_client": http[0], "async_http_client": http[1]}


@pytest.fixture(params=["blocking", "awaited"])
def facade(request: pytest.FixtureRequest) -> Any:
    """The blocking or the async facade."""
    return FineTuning if request.param == "blocking" else Awaited(AsyncFineTuning)


@pytest.fixture(params=[None, httpx, httpx2], ids=["socket", "httpx", "httpx2"])
def ft(request: pytest.FixtureRequest, fake: FakeFineTuning, facade: Any) -> Iterator[Any]:
    """The blocking or the async facade, with each way of reaching the fake."""
    with testing.redirect(**_doors(fake, request.param), sleep=fake.sleep, clock=lambda: fake.now):
        yield facade


def line(fake: FakeFineTuning) -> str:
    """The last request's method, path and query."""
    last = fake.requests[-1]
    return f"{last.method} {last.path}" + (f"?{last.query}" if last.query else "")


def job(fake: FakeFineTuning, status: str = "queued", **seed: Any) -> None:
    """Put the job of the examples into the account."""
    fake.add_job("file-abc123", **{"id": "ft-abc123", "model": MODEL, "status": status, **seed})


def test_facades_are_imported_as_in_the_table() -> None:
    """The package has `FineTuning` and `AsyncFineTuning`, each with the eight methods."""
    assert all(callable(getattr(each, verb)) for verb in VERBS for each in (FineTuning, AsyncFineTuning))


def test_create_job(ft: Any, fake: FakeFineTuning) -> None:
    """create_job sends the training file and the model, and nothing else."""
    created = ft.create_job(training_file="file-abc123", model=MODEL)
    assert isinstance(created, FineTuningJobResponse)
    assert line(fake) == "POST /v1/fine_tuning/jobs"
    assert json.loads(fake.requests[-1].body) == {"model": MODEL, "training_file": "file-abc123"}


CREATES: dict[str, Callable[[Any], object]] = {
    "keywords": lambda ft: ft.create_job("file-abc123", MODEL, **OPTIONS),
    "options": lambda ft: ft.create_job("file-abc123", MODEL, options=OPTIONS),
    "by position": lambda ft: ft.create_job("file-abc123", MODEL, OPTIONS),
}


@pytest.mark.parametrize("way", CREATES)
def test_create_job_with_options(ft: Any, fake: FakeFineTuning, way: str) -> None:
    """create_job sends options alike, given as keywords or as a mapping."""
    CREATES[way](ft)
    assert json.loads(fake.requests[-1].body) == {"model": MODEL, "training_file": "file-abc123", **OPTIONS}
    assert fake.jobs[0]["user_provided_suffix"] == "my-custom-model"


def test_job_has_id_and_status(ft: Any, fake: FakeFineTuning) -> None:
    """A created job has its id and status."""
    fake.name_next("job", "ftjob-abc123")
    created = ft.create_job("file-abc123", MODEL)
    assert (created.id, created.status) == ("ftjob-abc123", "validating_files")


def test_using_a_provider(ft: Any, fake: FakeFineTuning) -> None:
    """`using` returns the same methods for another provider."""
    created = ft.using("openai").create_job("file-abc123", "gpt-4o-mini-2024-07-18")
    assert (created.id, created.provider) == (fake.jobs[0]["id"], "openai")


def test_list_jobs(ft: Any, fake: FakeFineTuning) -> None:
    """list_jobs sends no query by default."""
    assert isinstance(ft.list_jobs(), FineTuningJobListResponse)
    assert line(fake) == "GET /v1/fine_tuning/jobs"


def test_jobs_are_iterated_one_page(ft: Any, fake: FakeFineTuning) -> None:
    """Iterating over a list yields that page only, even if there are more."""
    for number in range(25):
        job(fake, id=f"ft-{number}")
    assert [each.id for each in ft.list_jobs()] == [f"ft-{number}" for number in range(24, 4, -1)]
    assert len(fake.requests) == 1


def test_iter_jobs_walks_all_pages(ft: Any, fake: FakeFineTuning) -> None:
    """`iter_jobs` yields the jobs of all pages."""
    for number in range(5):
        job(fake, id=f"ft-{number}")
    assert [each.id for each in ft.iter_jobs(page_size=2)] == ["ft-4", "ft-3", "ft-2", "ft-1", "ft-0"]
    assert [each.query for each in fake.requests] == ["limit=2", "limit=2&after=ft-3", "limit=2&after=ft-1"]


def test_list_jobs_with_paging(ft: Any, fake: FakeFineTuning) -> None:
    """list_jobs sends limit and cursor, as keywords or options, and returns the jobs after the cursor."""
    job(fake, id="ft-older")
    job(fake)
    for jobs in (ft.list_jobs(limit=10, after="ft-abc123"), ft.list_jobs({"limit": 10, "after": "ft-abc123"})):
        assert [each.id for each in jobs] == ["ft-older"]
        assert line(fake) == "GET /v1/fine_tuning/jobs?limit=10&after=ft-abc123"


def test_a_limit_of_nought_is_sent(ft: Any, fake: FakeFineTuning) -> None:
    """A limit of 0 is sent, and answered with an empty page after which there is nothing."""
    job(fake)
    page = ft.list_jobs(limit=0)
    assert (len(page), page.has_more) == (0, False)
    assert line(fake) == "GET /v1/fine_tuning/jobs?limit=0"


@pytest.mark.parametrize(("jobs", "said"), [(2, "More jobs available"), (1, "No more jobs")])
def test_has_more(ft: Any, fake: FakeFineTuning, jobs: int, said: str) -> None:
    """`has_more` is true exactly if there are more jobs."""
    for number in range(jobs):
        job(fake, id=f"ft-{number}")
    assert ("More jobs available" if ft.list_jobs(limit=1).has_more else "No more jobs") == said


def test_retrieve_job(ft: Any, fake: FakeFineTuning) -> None:
    """A job is retrieved by its id."""
    job(fake)
    assert ft.retrieve_job("ft-abc123").id == "ft-abc123"
    assert line(fake) == "GET /v1/fine_tuning/jobs/ft-abc123"


def test_job_has_a_model(ft: Any, fake: FakeFineTuning) -> None:
    """A job has its model."""
    job(fake)
    assert ft.retrieve_job("ft-abc123").model == "gpt-4o-mini-2024-07-18"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        *(("validating_files", "running"), ("queued", "running"), ("running", "running")),
        *(("succeeded", "completed"), ("failed", "failed"), ("paused", None), ("cancelled", None)),
    ],
)
def test_predicates_are_methods(ft: Any, fake: FakeFineTuning, status: str, said: str | None) -> None:
    """For each status at most one of is_completed, is_running and has_failed is true, as the table says."""
    job(fake, status)
    found = ft.retrieve_job("ft-abc123")
    answer = None
    if found.is_completed():
        answer = "completed"
    elif found.is_running():
        answer = "running"
    elif found.has_failed():
        answer = "failed"
    assert answer == said


def test_error_is_plain_json(ft: Any, fake: FakeFineTuning) -> None:
    """A failed job's error can be dumped as JSON."""
    job(fake, "failed", error={"code": "exceeded_quota", "message": "No.", "param": None})
    dumped = json.dumps(ft.retrieve_job("ft-abc123").error)
    assert dumped == '{"code": "exceeded_quota", "param": null, "message": "No."}'


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [("cancel", "queued", "cancelled"), ("pause", "running", "paused"), ("resume", "paused", "queued")],
)
def test_cancel_pause_resume(ft: Any, fake: FakeFineTuning, verb: str, before: str, after: str) -> None:
    """Cancel, pause and resume post an empty body, and return the job in its new state."""
    job(fake, before)
    found = getattr(ft, f"{verb}_job")("ft-abc123")
    assert (found.status, fake.jobs[0]["status"]) == (after, after)
    assert line(fake) == f"POST /v1/fine_tuning/jobs/ft-abc123/{verb}"
    assert fake.requests[-1].body == b""


def test_list_job_events(ft: Any, fake: FakeFineTuning) -> None:
    """Events have a level and a message, newest first."""
    job(fake, "queued")
    events = ft.list_job_events("ft-abc123")
    assert isinstance(events, FineTuningEventListResponse)
    assert [f"[{event.level}] {event.message}" for event in events] == [
        "[info] Files validated, moving job to queued state",
        "[info] Validating training file: file-abc123",
        "[info] Created fine-tuning job: ft-abc123",
    ]
    assert line(fake) == "GET /v1/fine_tuning/jobs/ft-abc123/events"


def test_list_job_events_with_paging(ft: Any, fake: FakeFineTuning) -> None:
    """list_job_events sends limit and cursor, and returns the events after the cursor."""
    job(fake, "queued", event_ids=[None, None, "event-xyz"])
    pages = [
        ft.list_job_events("ft-abc123", limit=20, after="event-xyz"),
        ft.list_job_events("ft-abc123", {"limit": 20, "after": "event-xyz"}),
    ]
    assert [len(page) for page in pages] == [2, 2]
    assert line(fake) == "GET /v1/fine_tuning/jobs/ft-abc123/events?limit=20&after=event-xyz"


def test_list_job_checkpoints(ft: Any, fake: FakeFineTuning) -> None:
    """Checkpoints have a step and metrics that can be dumped as JSON."""
    job(fake, "succeeded", hyperparameters={"n_epochs": 3, "batch_size": 1})
    checkpoints = ft.list_job_checkpoints("ft-abc123")
    assert isinstance(checkpoints, FineTuningCheckpointListResponse)
    lines = [f"Step {each.step_number}: {json.dumps(each.metrics)}" for each in checkpoints]
    assert [text.partition(', "train_loss"')[0] for text in lines] == [
        f'Step {step}: {{"step": {step}' for step in (30, 20, 10)
    ]
    assert line(fake) == "GET /v1/fine_tuning/jobs/ft-abc123/checkpoints"


def by_configure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the default provider in code."""
    configure(default_for_fine_tuning="fake")


def by_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the default provider in the environment."""
    monkeypatch.setenv("FINE_TUNING_PROVIDER", "fake")


def by_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the default provider in a configuration file."""
    (folder / "fine_tuning.toml").write_text('default_for_fine_tuning = "fake"')


def by_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the default provider in pyproject.toml."""
    (folder / "pyproject.toml").write_text('[tool.fine_tuning]\ndefault_for_fine_tuning = "fake"')


@pytest.mark.parametrize("tell", [by_configure, by_environment, by_file, by_project])
def test_default_provider_is_configured(
    ft: Any, fake: FakeFineTuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Callable[..., None]
) -> None:
    """The default provider is the one set in code, environment or a file, else OpenAI."""
    job(fake)
    monkeypatch.chdir(tmp_path)
    assert ft.using("openai").retrieve_job("ft-abc123").provider == "openai"
    there = tmp_path / "project"
    there.mkdir()
    monkeypatch.chdir(there)
    tell(there, monkeypatch)
    try:
        assert ft.retrieve_job("ft-abc123").provider == "fake"
    finally:
        configure()
    monkeypatch.delenv("FINE_TUNING_PROVIDER", raising=False)
    monkeypatch.chdir(tmp_path)
    assert ft.retrieve_job("ft-abc123").provider == "openai"


def test_responses_can_be_made_by_hand() -> None:
    """A job response can be constructed from five fields."""
    made = FineTuningJobResponse(
        id="ft-abc123", status="queued", model=MODEL, training_file="file-abc123", created_at=int(time.time())
    )
    assert (made.fine_tuned_model, made.error) == (None, None)


def test_was_cancelled(ft: Any, fake: FakeFineTuning) -> None:
    """`was_cancelled` is true of a cancelled job."""
    job(fake)
    assert ft.cancel_job("ft-abc123").was_cancelled()


def test_list_fields(ft: Any, fake: FakeFineTuning) -> None:
    """A list has its items under their own name and under `data`."""
    job(fake, "succeeded")
    jobs = ft.list_jobs()
    events = ft.list_job_events("ft-abc123")
    checkpoints = ft.list_job_checkpoints("ft-abc123")
    assert (jobs.jobs, events.events, checkpoints.checkpoints) == (jobs.data, events.data, checkpoints.data)
    assert (len(jobs), jobs.has_more) == (1, False)
    assert events
    assert checkpoints


def test_event_fields(ft: Any, fake: FakeFineTuning) -> None:
    """An event has its id, type, message, time and level."""
    job(fake, "validating_files", event_ids=["event-xyz"])
    event = ft.list_job_events("ft-abc123")[-1]
    told = (event.id, event.type, event.message, event.created_at, event.level)
    assert told == ("event-xyz", "message", "Created fine-tuning job: ft-abc123", int(BORN), "info")


def test_checkpoint_fields(ft: Any, fake: FakeFineTuning) -> None:
    """A checkpoint has its id, step, metrics, model and time."""
    seed = {
        "id": "ftckpt_xyz",
        "created_at": 1_700_000_007,
        "step_number": 10,
        "fine_tuned_model_checkpoint": "ft:gpt-4o-mini:personal::abc:ckpt-step-10",
        "metrics": {"step": 10, "train_loss": 0.5},
    }
    job(fake, "succeeded", hyperparameters={"n_epochs": 3, "batch_size": 1}, checkpoints=[seed])
    checkpoint = next(each for each in ft.list_job_checkpoints("ft-abc123") if each.id == "ftckpt_xyz")
    assert {name: getattr(checkpoint, name) for name in seed} == seed


def test_an_answer_can_be_prepared(ft: Any, fake: FakeFineTuning) -> None:
    """A fake with a prepared job returns that job from create_job."""
    fake(
        [
            FineTuningJobResponse(
                id="ft-abc123", status="succeeded", model=MODEL, training_file="file-abc", created_at=int(BORN)
            )
        ]
    )
    created = ft.create_job("file-abc", "gpt-4o-mini")
    assert (created.id, created.is_completed()) == ("ft-abc123", True)
    fake.assert_script_exhausted()
