"""A session with the official SDK, written once for its two clients and for every version of it.

The steps are a generator that yields the result of each client call: a response from the blocking client, an
awaitable from the async one. `blocking` and `awaiting` run it and send the response back.
"""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import Callable, Generator
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import openai

from fine_tuning_fakeserver import FakeFineTuning

Steps: TypeAlias = Generator[Any, Any, Any]
Every: TypeAlias = Callable[[Any], Any]
"""Walks through all pages of a list."""

KEY = "sk-contract-right"
SETTINGS: dict[str, Any] = {"api_keys": [KEY], "max_active_jobs": 1}
"""The account in which the session passes; its pace is that of polls."""

ROWS = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n' * 10
STEPS, CHECKPOINTS = 100, 3
"""Ten examples are trained on for ten epochs, of which the last three are kept."""
TERMINAL = ("succeeded", "failed", "cancelled")


def steps(client: Any, every: Every) -> Steps:
    """The whole session: three jobs, their results, and the service's refusals."""
    training = yield client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
    yield from _files(client, training, every)
    job = yield from _to_success(client, training)
    yield from _events(client, job, every)
    yield from _checkpoints(client, job, every)
    yield from _results(client, job)
    yield from _models(client, job, every)
    yield from _cancelled(client, training)
    yield from _paused_and_resumed(client, training)
    yield from _jobs(client, every)
    yield from _refusals(client, training)


def _files(client: Any, training: Any, every: Every) -> Steps:
    assert (training.bytes, training.filename, training.status) == (len(ROWS), "train.jsonl", "processed")
    assert (yield client.files.retrieve(training.id)) == training
    assert (yield every(client.files.list(purpose="fine-tune")))[0] == training
    content = yield client.files.content(training.id)
    assert content.read() == ROWS


def _to_success(client: Any, training: Any) -> Steps:
    create = partial(client.fine_tuning.jobs.create, model="gpt-4o-mini", training_file=training.id)
    job = yield create(suffix="contract", metadata={"k": "v"})
    assert job.status == "validating_files"
    refusal = yield from refused(openai.RateLimitError, create)
    assert (refusal.status_code, refusal.code, refusal.param) == (429, "rate_limit_exceeded", None)
    assert "maximum of 1 active requests" in refusal.message
    seen = yield from _polled(client, job.id, TERMINAL)
    assert [each.status for each in seen] == ["queued", "running", "succeeded"]
    done = seen[-1]
    assert (done.hyperparameters.n_epochs, done.hyperparameters.batch_size) == (10, 1)
    assert (done.metadata, done.finished_at > done.created_at, done.trained_tokens > 0) == ({"k": "v"}, True, True)
    return done


def _polled(client: Any, job_id: str, until: tuple[str, ...]) -> Steps:
    """Poll a job until it has one of the statuses; return all polled states."""
    seen: list[Any] = []
    while not seen or seen[-1].status not in until:
        assert len(seen) < 10, [each.status for each in seen]
        seen.append((yield client.fine_tuning.jobs.retrieve(job_id)))
    return seen


def _events(client: Any, job: Any, every: Every) -> Steps:
    """Check that pages of seven contain every event once, newest first."""
    events = yield every(client.fine_tuning.jobs.list_events(job.id, limit=7))
    times = [event.created_at for event in events]
    assert len({event.id for event in events}) == len(events) == STEPS + 4 + (CHECKPOINTS - 1) + 2
    assert times == sorted(times, reverse=True)
    assert [event.data["step"] for event in events if event.type == "metrics"] == [*range(STEPS, 0, -1)]
    assert events[0].message == "The job has successfully completed"
    assert events[-1].message == f"Created fine-tuning job: {job.id}"
    assert events == (yield every(client.fine_tuning.jobs.list_events(job.id, limit=1000)))


def _checkpoints(client: Any, job: Any, every: Every) -> Steps:
    points = yield every(client.fine_tuning.jobs.checkpoints.list(job.id, limit=1))
    assert [point.step_number for point in points] == [100, 90, 80]
    assert points[0].fine_tuned_model_checkpoint == job.fine_tuned_model
    assert points[1].fine_tuned_model_checkpoint.endswith(":ckpt-step-90")


def _results(client: Any, job: Any) -> Steps:
    file = yield client.files.retrieve(job.result_files[0])
    assert (file.filename, file.purpose) == ("step_metrics.csv", "fine-tune-results")
    content = yield client.files.content(file.id)
    csv = base64.b64decode(content.read())
    assert len(csv) == file.bytes
    assert csv.startswith(b"step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,")
    assert csv.count(b"\n") == 1 + STEPS


def _models(client: Any, job: Any, every: Every) -> Steps:
    model = yield client.models.retrieve(job.fine_tuned_model)
    assert model.id == job.fine_tuned_model
    assert model in (yield every(client.models.list()))
    deleted = yield client.models.delete(model.id)
    assert (deleted.id, deleted.deleted) == (model.id, True)
    refusal = yield from refused(openai.NotFoundError, partial(client.models.retrieve, model.id))
    assert (refusal.code, refusal.param) == ("model_not_found", "model")


def _cancelled(client: Any, training: Any) -> Steps:
    job = yield client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=training.id)
    job = yield client.fine_tuning.jobs.cancel(job.id)
    assert (job.status, job.finished_at, job.fine_tuned_model) == ("cancelled", None, None)
    for verb in (client.fine_tuning.jobs.cancel, client.fine_tuning.jobs.pause, client.fine_tuning.jobs.resume):
        refusal = yield from refused(openai.BadRequestError, partial(verb, job.id))
        assert 'already has status "cancelled"' in refusal.message or "Job has already completed" in refusal.message


def _paused_and_resumed(client: Any, training: Any) -> Steps:
    job = yield client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=training.id)
    yield from _polled(client, job.id, ("running",))
    assert (yield client.fine_tuning.jobs.pause(job.id)).status == "paused"
    assert (yield client.fine_tuning.jobs.retrieve(job.id)).status == "paused"
    assert (yield client.fine_tuning.jobs.resume(job.id)).status == "queued"
    seen = yield from _polled(client, job.id, TERMINAL)
    assert [each.status for each in seen] == ["running", "succeeded"]


def _jobs(client: Any, every: Every) -> Steps:
    jobs = yield every(client.fine_tuning.jobs.list(limit=2))
    assert [job.status for job in jobs][:3] == ["succeeded", "cancelled", "succeeded"]
    found = yield every(client.fine_tuning.jobs.list(metadata={"k": "v"}, limit=1))
    assert jobs[2] in found
    assert all(job.metadata == {"k": "v"} for job in found)


def _refusals(client: Any, training: Any) -> Steps:
    jobs = client.fine_tuning.jobs
    refusal = yield from refused(openai.BadRequestError, partial(jobs.create, model="m", training_file="file-none"))
    assert (refusal.param, refusal.code, refusal.type) == ("training_file", None, "invalid_request_error")
    refusal = yield from refused(openai.BadRequestError, partial(jobs.create, model="m", training_file=training.id))
    assert (refusal.param, refusal.code) == (None, "model_not_available")
    refusal = yield from refused(openai.NotFoundError, partial(jobs.retrieve, "ftjob-none"))
    assert (refusal.status_code, refusal.code, refusal.param) == (404, "fine_tune_not_found", "fine_tune_id")
    assert refusal.request_id.startswith("req_")
    refusal = yield from refused(openai.NotFoundError, partial(client.files.retrieve, "file-none"))
    assert (refusal.param, refusal.code) == ("id", None)
    wrong = client.with_options(api_key="sk-contract-wrong")
    refusal = yield from refused(openai.AuthenticationError, partial(wrong.models.retrieve, "gpt-4o"))
    assert (refusal.status_code, refusal.code) == (401, "invalid_api_key")
    keyless = client.with_options(default_headers={"Authorization": ""})
    refusal = yield from refused(openai.AuthenticationError, partial(keyless.models.retrieve, "gpt-4o"))
    assert (refusal.status_code, refusal.code) == (401, None)


def refused(error: type[Exception], call: Callable[[], Any]) -> Steps:
    """Return the *error* of the SDK with which *call* is refused."""
    try:
        yield call()
    except error as refusal:
        return refusal
    raise AssertionError(f"{call} was not refused with {error.__name__}")


def blocking(flow: Steps) -> None:
    """Run *flow* with a blocking client, whose calls return the response."""
    answer = None
    try:
        while True:
            answer = flow.send(answer)
    except StopIteration:
        return


async def awaiting(flow: Steps) -> None:
    """Run *flow* with an async client, whose calls are awaited."""
    step = partial(flow.send, None)
    while True:
        try:
            asked = step()
        except StopIteration:
            return
        try:
            step = partial(flow.send, await asked)
        except Exception as error:
            step = partial(flow.throw, error)


async def _collected(pages: Any) -> list[Any]:
    return [item async for item in pages]


def run_blocking(base_url: str, http_client: Any = None) -> None:
    """Run the session with ``OpenAI``."""
    with openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0, http_client=http_client) as client:
        blocking(steps(client, list))


async def _run_async(base_url: str, http_client: Any = None) -> None:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=KEY, max_retries=0, http_client=http_client) as client:
        await awaiting(steps(client, _collected))


def run_async(base_url: str, http_client: Any = None) -> None:
    """Run the session with ``AsyncOpenAI``."""
    asyncio.run(_run_async(base_url, http_client))


PARTS = ("blocking, socket", "async, socket", "blocking, in process", "async, in process")
IN_PROCESS = "http://fake/v1"


def parts(base_url: str) -> dict[str, Callable[[], None]]:
    """The session by both clients, over a socket and in process."""
    http = http_library()

    def transport() -> Any:
        return FakeFineTuning(**SETTINGS).transport(http)

    return {
        "blocking, socket": lambda: run_blocking(base_url),
        "async, socket": lambda: run_async(base_url),
        "blocking, in process": lambda: run_blocking(IN_PROCESS, http.Client(transport=transport())),
        "async, in process": lambda: run_async(IN_PROCESS, http.AsyncClient(transport=transport())),
    }


def http_library() -> Any:
    """The library that the SDK uses: httpx2 since 3.0, httpx before."""
    return import_module("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")


def outcome(part: Callable[[], None]) -> str:
    """Return an empty string if *part* passes, else its traceback."""
    try:
        part()
    except Exception:
        return traceback.format_exc()
    return ""
