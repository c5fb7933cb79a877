"""Flows driven by hand with prepared replies, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fine_tuning_client import NOT_GIVEN, APIResponseError, FineTuningError, operations, waiting
from fine_tuning_client.effects import Flow, Outcome, RawResponse, Request

T = TypeVar("T")

JOB = {"id": "ftjob-1", "status": "running", "model": "m", "training_file": "f", "created_at": 1}


def reply(body: Any, status: int = 200) -> RawResponse:
    """Make a reply with a JSON body."""
    return RawResponse(status, {"x-request-id": "req_1"}, json.dumps(body).encode())


def drive(flow: Flow[T], *outcomes: Outcome) -> tuple[list[Any], T | None]:
    """Run *flow* with replies from a list; return its effects, and its result if it has returned."""
    commands: list[Any] = []
    try:
        commands.append(flow.send(None))
        for outcome in outcomes:  # one by one: what was asked before the end must be kept
            commands += [flow.send(outcome)]
    except StopIteration as done:
        return commands, done.value
    return commands, None


def first(flow: Flow[Any]) -> Request:
    """Return the first request of *flow*."""
    request = flow.send(None)
    assert isinstance(request, Request)
    return request


@pytest.mark.parametrize("job_id", ["", " ", "a/b", "/", ".", "..", None, 7, b"ftjob-1"])
@pytest.mark.parametrize(
    "flow",
    [
        operations.retrieve_job,
        operations.cancel_job,
        operations.pause_job,
        operations.resume_job,
        operations.list_job_events,
        operations.list_job_checkpoints,
        operations.retrieve_file,
        operations.delete_file,
        operations.download_file,
        operations.retrieve_model,
        operations.delete_model,
    ],
)
def test_bad_ids_are_refused_before_any_request(flow: Callable[[Any], Flow[Any]], job_id: object) -> None:
    """An empty, non-string or path-changing id is a ValueError, and nothing is sent."""
    with pytest.raises(ValueError, match="_id must be"):
        flow(job_id).send(None)


@pytest.mark.parametrize(
    ("model_id", "path"),
    [
        ("ft:gpt-4o:org::abc:ckpt-step-1", "/models/ft:gpt-4o:org::abc:ckpt-step-1"),
        ("a?b#c%d", "/models/a%3Fb%23c%25d"),
        ("é\n\\", "/models/%C3%A9%0A%5C"),
    ],
)
def test_ids_are_encoded_with_colons_plain(model_id: str, path: str) -> None:
    """An id is percent-encoded into one path segment, except for the colons of a model name."""
    assert first(operations.retrieve_model(model_id)).path == path


@pytest.mark.parametrize(("training_file", "model"), [("", "m"), ("f", ""), (None, "m"), ("f", 3)])
def test_create_needs_a_file_and_a_model(training_file: Any, model: Any) -> None:
    """An empty training file or model is a ValueError, and nothing is sent."""
    with pytest.raises(ValueError, match="non-empty string"):
        operations.create_job(training_file, model).send(None)


def test_create_sends_what_is_given_and_nothing_else() -> None:
    """Options given as None or 0 are sent; options that are not given are not."""
    request = first(operations.create_job("f", "org/m", suffix=None, seed=0, metadata=NOT_GIVEN))
    assert request.json == {"model": "org/m", "training_file": "f", "suffix": None, "seed": 0}


def test_extra_body_wins() -> None:
    """Fields of extra_body are added to the body and win over all others."""
    request = first(operations.create_job("f", "m", seed=1, extra_body={"seed": 2, "trainingType": 1}))
    assert request.json == {"model": "m", "training_file": "f", "seed": 2, "trainingType": 1}


def test_an_option_given_twice_is_a_type_error() -> None:
    """The same option as keyword and in the mapping is a TypeError that names it."""
    with pytest.raises(TypeError, match="'seed' is given twice"):
        operations.create_job("f", "m", {"seed": 1}, seed=2).send(None)


def test_an_unknown_option_is_a_type_error_pointing_to_extra_body() -> None:
    """An unknown option is a TypeError that points to extra_body or lists the known options."""
    with pytest.raises(TypeError, match=r"'sufix'.*extra_body"):
        operations.create_job("f", "m", {"sufix": "x"}).send(None)
    with pytest.raises(TypeError, match=r"'limits'; expected one of: limit, after"):
        operations.list_job_events("j", {"limits": 1}).send(None)


@pytest.mark.parametrize(
    ("metadata", "query"),
    [
        (NOT_GIVEN, ()),
        (None, (("metadata", "null"),)),
        ({"a": "1", "b": "2"}, (("metadata[a]", "1"), ("metadata[b]", "2"))),
    ],
)
def test_jobs_are_filtered_by_metadata(metadata: Any, query: tuple[tuple[str, str], ...]) -> None:
    """The metadata filter is sent as key-value pairs, or as null for jobs without metadata."""
    assert first(operations.list_jobs(metadata=metadata)).query == query


@pytest.mark.parametrize(
    ("source", "filename", "sent"),
    [
        ("data/a.jsonl", None, "a.jsonl"),
        (Path("data/a.jsonl"), "b.jsonl", "b.jsonl"),
        (b"{}", None, "training.jsonl"),
        (BytesIO(b"{}"), None, "training.jsonl"),
    ],
)
def test_uploads_are_named(source: Any, filename: str | None, sent: str) -> None:
    """An upload is named by `filename`, else as on disk, else by a default that the service accepts."""
    request = first(operations.upload_file(source, filename=filename))
    assert request.file is not None
    assert (request.file.filename, request.form) == (sent, {"purpose": "fine-tune"})


def test_files_and_models_are_listed() -> None:
    """Lists of files and models are pages; files can be filtered and models cannot."""
    page = {"object": "list", "data": []}
    (request,), files = drive(operations.list_files(purpose="fine-tune", limit=2, order="asc"), reply(page))
    assert request.query == (("purpose", "fine-tune"), ("limit", "2"), ("order", "asc"))
    (request,), models = drive(operations.list_models(), reply(page | {"data": [{"id": "gpt-4o"}]}))
    assert request.path == "/models"
    assert files is not None
    assert models is not None
    assert (len(files), [model.id for model in models]) == (0, ["gpt-4o"])


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b'"x"', b'{"id": "a"}', b'{"id":', b"\xff", b"[" * 99999]
)
@pytest.mark.parametrize(
    "flow", [operations.retrieve_job, operations.list_job_events, operations.retrieve_file, operations.delete_model]
)
def test_a_useless_answer_is_a_response_error(flow: Callable[[str], Flow[Any]], body: bytes) -> None:
    """A successful status with an unusable body is an APIResponseError with status and request id."""
    with pytest.raises(APIResponseError) as caught:
        drive(flow("x"), RawResponse(200, {"x-request-id": "req_1"}, body))
    assert (caught.value.status_code, caught.value.request_id) == (200, "req_1")


@pytest.mark.parametrize(
    "content",
    [
        b"step,train_loss,valid_loss\r\n1,3.5,\r\n2,6e-05,0.25\r\n",
        b"c3RlcCx0cmFpbl9sb3NzLHZhbGlkX2xvc3MKMSwzLjUsCjIs\nNmUtMDUsMC4yNQo=\n",
    ],
)
def test_metrics_are_rows_of_floats(content: bytes) -> None:
    """A result file, plain or in base64, is parsed to rows of floats."""
    job = JOB | {"status": "succeeded", "result_files": ["file-1"]}
    commands, rows = drive(waiting.result_metrics("j"), reply(job), RawResponse(200, {}, content))
    assert commands[1].path == "/files/file-1/content"
    assert rows == [
        {"step": 1.0, "train_loss": 3.5, "valid_loss": None},
        {"step": 2.0, "train_loss": 6e-05, "valid_loss": 0.25},
    ]


@pytest.mark.parametrize("content", [b"a,b\n1\n", b"a,b\n1,2,3\n", b"a,b\n1,x\n", b"not base64!", b"\xff,"])
def test_metrics_that_are_none_are_an_error(content: bytes) -> None:
    """A result file that is not a table of numbers is an error that names the file and carries the job."""
    job = JOB | {"result_files": ["file-1"]}
    with pytest.raises(FineTuningError, match="file-1") as caught:
        drive(waiting.result_metrics("j"), reply(job), RawResponse(200, {}, content))
    assert caught.value.job is not None


@pytest.mark.parametrize("files", [[], None])
def test_metrics_of_an_unfinished_job_are_empty(files: Any) -> None:
    """The metrics of a job without a result file are an empty list."""
    assert drive(waiting.result_metrics("j"), reply(JOB | {"result_files": files}))[1] == []
