"""The operations, each written once: the request, and the typed response."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, BinaryIO, TypeVar

from fine_tuning_client.arguments import (
    NOT_GIVEN,
    NotGiven,
    build_query,
    make_file_part,
    merge_options,
    none_as_not_given,
    path_segment,
    require_name,
)
from fine_tuning_client.effects import Flow, OnProgress, RawResponse, Request, send
from fine_tuning_client.models import (
    DeletionResponse,
    FileListResponse,
    FileResponse,
    FineTuningCheckpointListResponse,
    FineTuningEventListResponse,
    FineTuningJobListResponse,
    FineTuningJobResponse,
    ModelListResponse,
    ModelResponse,
    Response,
    check_response,
    parse_response,
)
from fine_tuning_client.retries import create_once

R = TypeVar("R", bound=Response)

Options = Mapping[str, Any] | None
Source = bytes | str | PathLike[str] | BinaryIO

JOBS = "/fine_tuning/jobs"
FILES = "/files"
MODELS = "/models"


def create_job(
    training_file: str,
    model: str,
    options: Options = None,
    *,
    hyperparameters: Mapping[str, Any] | NotGiven | None = NOT_GIVEN,
    method: Mapping[str, Any] | NotGiven | None = NOT_GIVEN,
    suffix: str | NotGiven | None = NOT_GIVEN,
    validation_file: str | NotGiven | None = NOT_GIVEN,
    seed: int | NotGiven | None = NOT_GIVEN,
    metadata: Mapping[str, str] | NotGiven | None = NOT_GIVEN,
    integrations: list[dict[str, Any]] | NotGiven | None = NOT_GIVEN,
    extra_body: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Flow[FineTuningJobResponse]:
    """Start a fine-tuning job.

    Args:
        training_file: Id of an uploaded file.
        model: The model to start from; a fine-tuned one continues its training.
        options: Any of the keywords below, as a mapping.
        hyperparameters: For supervised training; `method` says more.
        method: ``{"type": "supervised" | "dpo" | "reinforcement", …}``.
        suffix: Goes into the new model's name.
        validation_file: Id of an uploaded file to measure with.
        seed: Makes two equal jobs train equally.
        metadata: Up to 16 pairs of your own, to find the job by.
        integrations: For instance ``[{"type": "wandb", "wandb": {"project": …}}]``.
        extra_body: Fields this client does not know; they win over all others.
        idempotency_key: At most one job is made for it, so that a create whose outcome is unknown can be
            repeated, here or by a later process: the newest job with this key in its metadata is
            returned, whatever became of it. Two processes that look for it at one instant find none.

    Raises:
        TypeError: An option is unknown or passed twice.
        ValueError: An id is empty, or metadata with a key in it exceeds 16 pairs of 64 and 512 characters.
        UnsupportedOperationError: With a key, the provider does not list jobs by metadata.
        APIError: The service was not reached or refused.
    """
    keywords = {
        "hyperparameters": hyperparameters,
        "method": method,
        "suffix": suffix,
        "validation_file": validation_file,
        "seed": seed,
        "metadata": metadata,
        "integrations": integrations,
    }
    required = {"model": require_name("model", model), "training_file": require_name("training_file", training_file)}
    optional = merge_options(options, keywords)
    if optional.get("validation_file") is not None:
        require_name("validation_file", optional["validation_file"])
    body = {**required, **optional, **(extra_body or {})}
    request = Request("POST", JOBS, "create", json=body)
    if idempotency_key is None:
        return (yield from _fetch_job(request))
    return _parse_job((yield from create_once(request, idempotency_key)))


def list_jobs(
    options: Options = None,
    *,
    limit: int | None = None,
    after: str | None = None,
    metadata: Mapping[str, str] | NotGiven | None = NOT_GIVEN,
) -> Flow[FineTuningJobListResponse]:
    """Fetch one page of jobs, newest first.

    Args:
        options: Any of the keywords below, as a mapping.
        limit: How many at most; the service's own default is 20.
        after: Id of the last job already seen.
        metadata: Only jobs with these pairs; None means only jobs without any.

    Raises:
        UnsupportedOperationError: The provider does not list jobs by *metadata*.
    """
    arguments = merge_options(options, {**none_as_not_given(limit=limit, after=after), "metadata": metadata})
    # A provider that knows no metadata would list all jobs, as if each had the metadata of the query.
    capability = "metadata" if "metadata" in arguments else "list"
    response = yield from send_checked(Request("GET", JOBS, capability, build_query(arguments)))
    page = parse_response(FineTuningJobListResponse, response)
    for job in page:
        _note_provider(job, response)
    return page


def retrieve_job(job_id: str) -> Flow[FineTuningJobResponse]:
    """Fetch a job as it is now."""
    return (yield from _fetch_job(Request("GET", _job_path(job_id), "retrieve")))


def cancel_job(job_id: str) -> Flow[FineTuningJobResponse]:
    """Stop a job for good."""
    return (yield from _fetch_job(Request("POST", _job_path(job_id, "/cancel"), "cancel")))


def pause_job(job_id: str) -> Flow[FineTuningJobResponse]:
    """Stop a running job until it is resumed."""
    return (yield from _fetch_job(Request("POST", _job_path(job_id, "/pause"), "pause")))


def resume_job(job_id: str) -> Flow[FineTuningJobResponse]:
    """Let a paused job go on."""
    return (yield from _fetch_job(Request("POST", _job_path(job_id, "/resume"), "resume")))


def list_job_events(
    job_id: str, options: Options = None, *, limit: int | None = None, after: str | None = None
) -> Flow[FineTuningEventListResponse]:
    """Fetch one page of what happened to a job, newest first."""
    list_query = build_query(merge_options(options, none_as_not_given(limit=limit, after=after)))
    request = Request("GET", _job_path(job_id, "/events"), "events", list_query)
    return (yield from _fetch(FineTuningEventListResponse, request))


def list_job_checkpoints(
    job_id: str, options: Options = None, *, limit: int | None = None, after: str | None = None
) -> Flow[FineTuningCheckpointListResponse]:
    """Fetch one page of a job's checkpoints, newest first."""
    list_query = build_query(merge_options(options, none_as_not_given(limit=limit, after=after)))
    request = Request("GET", _job_path(job_id, "/checkpoints"), "checkpoints", list_query)
    return (yield from _fetch(FineTuningCheckpointListResponse, request))


def upload_file(
    file: Source,
    purpose: str = "fine-tune",
    filename: str | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Flow[FileResponse]:
    """Upload a file, in chunks.

    Args:
        file: A path (str or PathLike), the content (bytes), or a file open for reading bytes,
            which is sent from its beginning.
        purpose: What it is for.
        filename: Its name over there; by default that of the path or file.
        on_progress: Called, and never awaited, with how many bytes of the file were sent, and how
            many there are, or None if that cannot be known. Starts anew from 0 if the upload does.

    Raises:
        TypeError: *file* is not supported, such as a file open for text, or *on_progress* is async; or OSError.
    """
    form = {"purpose": require_name("purpose", purpose)}
    request = Request("POST", FILES, "files", form=form, file=make_file_part(file, filename, on_progress))
    return (yield from _fetch(FileResponse, request))


def list_files(
    options: Options = None,
    *,
    purpose: str | None = None,
    limit: int | None = None,
    order: str | None = None,
    after: str | None = None,
) -> Flow[FileListResponse]:
    """Fetch one page of files, newest first unless *order* is ``"asc"``."""
    arguments = none_as_not_given(purpose=purpose, limit=limit, order=order, after=after)
    request = Request("GET", FILES, "files", build_query(merge_options(options, arguments)))
    return (yield from _fetch(FileListResponse, request))


def retrieve_file(file_id: str) -> Flow[FileResponse]:
    """Fetch what is known of a file."""
    return (yield from _fetch(FileResponse, Request("GET", _file_path(file_id), "files")))


def delete_file(file_id: str) -> Flow[DeletionResponse]:
    """Delete a file; a job that still needs it fails."""
    return (yield from _fetch(DeletionResponse, Request("DELETE", _file_path(file_id), "files")))


def download_file(file_id: str) -> Flow[bytes]:
    """Fetch the content of a file."""
    response = yield from send_checked(Request("GET", _file_path(file_id, "/content"), "files"))
    return response.content


def list_models() -> Flow[ModelListResponse]:
    """Fetch all models, fine-tuned ones included, in no particular order."""
    return (yield from _fetch(ModelListResponse, Request("GET", MODELS, "models")))


def retrieve_model(model_id: str) -> Flow[ModelResponse]:
    """Fetch what is known of a model."""
    return (yield from _fetch(ModelResponse, Request("GET", _model_path(model_id), "models")))


def delete_model(model_id: str) -> Flow[DeletionResponse]:
    """Delete a fine-tuned model."""
    return (yield from _fetch(DeletionResponse, Request("DELETE", _model_path(model_id), "models")))


def send_checked(request: Request) -> Flow[RawResponse]:
    """Send *request*, and raise unless the response is a success."""
    return check_response((yield from send(request)))


def _fetch(kind: type[R], request: Request) -> Flow[R]:
    return parse_response(kind, (yield from send_checked(request)))


def _fetch_job(request: Request) -> Flow[FineTuningJobResponse]:
    return _parse_job((yield from send_checked(request)))


def _parse_job(response: RawResponse) -> FineTuningJobResponse:
    return _note_provider(parse_response(FineTuningJobResponse, response), response)


def _note_provider(job: FineTuningJobResponse, response: RawResponse) -> FineTuningJobResponse:
    object.__setattr__(job, "provider", response.provider)  # nobody else has the job yet
    return job


def _job_path(job_id: str, suffix: str = "") -> str:
    return f"{JOBS}/{path_segment('job_id', job_id)}{suffix}"


def _file_path(file_id: str, suffix: str = "") -> str:
    return f"{FILES}/{path_segment('file_id', file_id)}{suffix}"


def _model_path(model_id: str) -> str:
    return f"{MODELS}/{path_segment('model_id', model_id)}"
