"""Where responses do not fit the SDK's types, which are generated from the official document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import openai
from openai.pagination import SyncCursorPage, SyncPage
from openai.types import FileDeleted, FileObject, Model, ModelDeleted
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from pydantic import BaseModel, TypeAdapter, ValidationError

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.dialects.dialect import RECORDED
from fine_tuning_fakeserver.web.in_process import call_app

from .session import IN_PROCESS, KEY, ROWS, http_library

START = 1_760_000_000
STATES = ("validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled")
Found: TypeAlias = set[tuple[str, str]]
"""Pairs of a type of the SDK and a path in it."""

RECORDED_NAME, SPEC = RECORDED.name, "openai-spec"

# All places where the fake breaks the document on purpose, with the evidence that the service does so too.
CONTRADICTIONS = {
    ("FineTuningJob", "error.code"): 'recordings GetJobs, MinimalRequiredParams: "error": {} where nothing went wrong',
    ("FineTuningJob", "error.message"): 'recordings GetJobs, MinimalRequiredParams: "error": {}',
    ("FineTuningJob", "status"): 'spec: the example of POST …/pause answers "paused", which the enum lacks',
}
PAUSED_ONLY = {place: reason for place, reason in CONTRADICTIONS.items() if place[1] == "status"}
ALLOWED = {RECORDED_NAME: CONTRADICTIONS, SPEC: PAUSED_ONLY}
"""By dialect: as documented, only the status is left, on which the document contradicts itself."""

_FULL: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "suffix": "strict",
    "seed": 7,
    "metadata": {"k": "v"},
    "integrations": [{"type": "wandb", "wandb": {"project": "p", "tags": ["t"]}}],
    "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4, "learning_rate_multiplier": 2}}},
}


def account(dialect: str) -> tuple[FakeFineTuning, str]:
    """An account with a file, whose time starts at a fixed moment."""
    fake = FakeFineTuning(start=START, pace="manual", api_keys=[KEY], dialect=dialect)
    return fake, str(fake.add_file(ROWS)["id"])


def in_state(state: str, dialect: str) -> tuple[FakeFineTuning, str]:
    """An account with a job that has every optional member, brought to *state* by requests."""
    fake, training = account(dialect)
    job = _send(fake, "POST", "/fine_tuning/jobs", {**_FULL, "training_file": training, "validation_file": training})
    job_id = str(job["id"])
    if state == "cancelled":
        _send(fake, "POST", f"/fine_tuning/jobs/{job_id}/cancel")
    elif state == "paused":
        fake.advance_to("running", job_id)
        _send(fake, "POST", f"/fine_tuning/jobs/{job_id}/pause")
    elif state != "validating_files":
        if state == "failed":
            fake.plan_job(job_id, fail_at=12)
        fake.advance_to(state, job_id)
    return fake, job_id


def _send(fake: FakeFineTuning, method: str, path: str, body: Any = None) -> Any:
    raw = b"" if body is None else json.dumps(body).encode()
    reply = call_app(fake.asgi_app, method, f"/v1{path}".encode(), [(b"authorization", f"Bearer {KEY}".encode())], raw)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def found(dialect: str) -> Found:
    """Every (type, path) at which a response, in some state of a job, does not fit the SDK's type."""
    return {place for kind, answer in answers(dialect) for place in misfits(kind, answer)}


def undocumented(dialect: str) -> Found:
    """Every (type, member) of a response, in some state of a job, that the SDK's type lacks.

    Pages are left out, since their types have only the members that paging needs.
    """
    return {
        extra
        for kind, answer in answers(dialect)
        if kind not in (SyncCursorPage, SyncPage) and not set(misfits(kind, answer))
        for extra in _extras(kind.__name__, TypeAdapter(kind).validate_python(answer))
    }


def _extras(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _extras(name, each)
    elif isinstance(value, BaseModel):
        yield from ((name, member) for member in value.model_extra or ())
        for member in type(value).model_fields:
            yield from _extras(f"{name}.{member}", getattr(value, member))


def misfits(kind: Any, answer: Any) -> Iterator[tuple[str, str]]:
    """The paths at which *answer* does not fit *kind*."""
    try:
        TypeAdapter(kind).validate_python(answer)
    except ValidationError as error:
        for problem in error.errors():
            yield kind.__name__, ".".join(str(place) for place in problem["loc"])


def answers(dialect: str) -> Iterator[tuple[Any, Any]]:
    """Responses of every kind with the SDK's type for each."""
    for state in STATES:
        yield from _of_state(state, dialect)
    yield from _of_verbs(dialect)
    yield from _of_files_and_models(dialect)


def _of_state(state: str, dialect: str) -> Iterator[tuple[Any, Any]]:
    fake, job_id = in_state(state, dialect)
    job = _send(fake, "GET", f"/fine_tuning/jobs/{job_id}")
    assert job["status"] == state
    yield FineTuningJob, job
    yield from _page(FineTuningJob, _send(fake, "GET", "/fine_tuning/jobs"))
    events = _send(fake, "GET", f"/fine_tuning/jobs/{job_id}/events?limit=1000")
    yield from _page(FineTuningJobEvent, events)
    points = _send(fake, "GET", f"/fine_tuning/jobs/{job_id}/checkpoints")
    yield from _page(FineTuningJobCheckpoint, points)


def _of_verbs(dialect: str) -> Iterator[tuple[Any, Any]]:
    fake, training = account(dialect)
    body = {"model": "gpt-4o-mini", "training_file": training}
    job = _send(fake, "POST", "/fine_tuning/jobs", body)
    yield FineTuningJob, job
    fake.advance_to("running", job["id"])
    for verb in ("pause", "resume", "cancel"):
        yield FineTuningJob, _send(fake, "POST", f"/fine_tuning/jobs/{job['id']}/{verb}")


def _of_files_and_models(dialect: str) -> Iterator[tuple[Any, Any]]:
    fake, job_id = in_state("succeeded", dialect)
    job = _send(fake, "GET", f"/fine_tuning/jobs/{job_id}")
    yield from _page(FileObject, _send(fake, "GET", "/files"))
    yield FileObject, _send(fake, "GET", f"/files/{job['result_files'][0]}")
    yield FileDeleted, _send(fake, "DELETE", f"/files/{job['training_file']}")
    models = _send(fake, "GET", "/models")
    yield SyncPage, models
    yield from ((Model, model) for model in models["data"])
    yield Model, _send(fake, "GET", f"/models/{job['fine_tuned_model']}")
    yield ModelDeleted, _send(fake, "DELETE", f"/models/{job['fine_tuned_model']}")


def _page(kind: Any, page: Any) -> Iterator[tuple[Any, Any]]:
    yield SyncCursorPage, page
    yield from ((kind, item) for item in page["data"])


def check_types(dialect: str = RECORDED_NAME) -> None:
    """Check that the misfits are exactly those that ALLOWED lists."""
    misfit, allowed = found(dialect), ALLOWED[dialect].keys()
    assert not (new := misfit - allowed), f"answers break the document, and no list says why: {new}"
    assert not (gone := allowed - misfit), f"no answer breaks the document here any more: {gone}"


def check_client(state: str, dialect: str = RECORDED_NAME) -> None:
    """Check that a validating client accepts all responses, except a job that does not fit its type."""
    fake, job_id = in_state(state, dialect)
    job = _send(fake, "GET", f"/fine_tuning/jobs/{job_id}")
    http = http_library().Client(transport=fake.transport(http_library()))
    with openai.OpenAI(
        base_url=IN_PROCESS, api_key=KEY, max_retries=0, http_client=http, _strict_response_validation=True
    ) as client:
        _look_around(client, job)
        assert _accepts(client, job_id) != bool(set(misfits(FineTuningJob, job)))


def _look_around(client: openai.OpenAI, job: Any) -> None:
    assert list(client.fine_tuning.jobs.list_events(job["id"]))
    assert bool(list(client.fine_tuning.jobs.checkpoints.list(job["id"]))) == (job["status"] == "succeeded")
    assert [client.files.retrieve(file.id) for file in client.files.list()]
    assert [client.models.retrieve(model.id) for model in client.models.list()]


def _accepts(client: openai.OpenAI, job_id: str) -> bool:
    try:
        client.fine_tuning.jobs.retrieve(job_id)
    except openai.APIResponseValidationError:
        return False
    return True
