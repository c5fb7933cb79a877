"""A user's file: everything that `fine_tuning_client` shows, with the types that a type checker must find.

It is checked by mypy and by pyright, both strict, and it runs: against the fake each of the first two functions
below is a whole session.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, Literal, assert_type

import httpx
import httpx2

from fine_tuning_client import (
    NOT_GIVEN,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncFineTuning,
    AsyncFineTuningClient,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    DeletionResponse,
    FileListResponse,
    FileResponse,
    FineTuning,
    FineTuningCheckpointListResponse,
    FineTuningCheckpointResponse,
    FineTuningClient,
    FineTuningError,
    FineTuningEventListResponse,
    FineTuningEventResponse,
    FineTuningJobListResponse,
    FineTuningJobResponse,
    InternalServerError,
    JobCancelled,
    JobDisplay,
    JobFailed,
    ModelListResponse,
    ModelResponse,
    NotFoundError,
    PermissionDeniedError,
    ProviderProfile,
    RateLimitError,
    TrainingFileProblem,
    TrainingFileReport,
    UnprocessableEntityError,
    UnsupportedOperationError,
    WaitTimeout,
    check_training_file,
    configure,
)

MODEL = "gpt-4o-mini-2024-07-18"


def with_a_client(ft: FineTuningClient, source: Path) -> None:
    """Go through a session with a client."""
    report = ft.check_training_file(
        source, method="supervised", model=MODEL, n_epochs="auto", provider="openai", tokens="estimate"
    )
    assert_type(report, TrainingFileReport)
    file = assert_type(ft.upload_file(source), FileResponse)
    again = ft.upload_file(source.read_bytes(), "fine-tune", filename="again.jsonl", on_progress=print)
    assert_type(again, FileResponse)
    assert_type(ft.retrieve_file(file.id), FileResponse)
    assert_type(ft.download_file(file.id), bytes)
    files = assert_type(ft.list_files(purpose="fine-tune", limit=10, order="asc", after=None), FileListResponse)
    assert_type(files[-1], FileResponse)
    assert_type(ft.delete_file(again.id), DeletionResponse)

    job = assert_type(ft.create_job(file.id, MODEL, {"suffix": "first"}), FineTuningJobResponse)
    while job.status != "running":
        job = assert_type(ft.retrieve_job(job.id), FineTuningJobResponse)
    assert_type(ft.pause_job(job.id), FineTuningJobResponse)
    assert_type(ft.wait_for_job(job.id, until_paused=True, timeout=60), FineTuningJobResponse)
    assert_type(ft.resume_job(job.id), FineTuningJobResponse)
    assert_type(ft.cancel_job(job_id=job.id), FineTuningJobResponse)

    job = ft.create_job(
        training_file=file.id,
        model=MODEL,
        metadata={"team": "a"},
        hyperparameters={"n_epochs": 3, "learning_rate_multiplier": "auto"},
        method=NOT_GIVEN,
        suffix="mine",
        validation_file=None,
        seed=7,
        integrations=NOT_GIVEN,
        extra_body={},
        idempotency_key="once",
    )
    with closing(ft.follow_job_events(job.id, since=None, poll_interval=1.0, timeout=900)) as followed:
        assert_type(followed, Generator[FineTuningEventResponse, None, None])
        assert_type([event.message for event in followed], list[str])
    done = ft.wait_for_job(job.id, poll_interval=1, on_update=JobDisplay(), raise_on_failure=True)
    assert_type(ft.result_metrics(done.id), list[dict[str, float | None]])

    page = assert_type(ft.list_jobs(limit=1, after=None, metadata={"team": "a"}), FineTuningJobListResponse)
    assert_type(page[0], FineTuningJobResponse)
    events = assert_type(ft.list_job_events(job.id, limit=2, after=None), FineTuningEventListResponse)
    assert_type(events[0], FineTuningEventResponse)
    points = assert_type(ft.list_job_checkpoints(job.id, limit=2, after=None), FineTuningCheckpointListResponse)
    assert_type(points[0], FineTuningCheckpointResponse)
    assert_type(ft.iter_jobs(page_size=1, metadata=None), Generator[FineTuningJobResponse, None, None])
    assert_type(ft.iter_job_events(job.id, page_size=5), Generator[FineTuningEventResponse, None, None])
    assert_type(ft.iter_job_checkpoints(job.id, page_size=2), Generator[FineTuningCheckpointResponse, None, None])
    assert_type(ft.iter_files(page_size=2, purpose=None, order="asc"), Generator[FileResponse, None, None])
    assert_type([each.id for each in ft.iter_jobs()], list[str])
    assert_type(ft.list_jobs({"limit": 1}), FineTuningJobListResponse)

    assert_type(ft.list_models(), ModelListResponse)
    model = assert_type(ft.retrieve_model(done.fine_tuned_model or ""), ModelResponse)
    assert_type(ft.delete_model(model.id), DeletionResponse)


async def with_an_async_client(ft: AsyncFineTuningClient, source: Path) -> None:
    """Go through a session with an async client."""
    report = ft.check_training_file(source, method="supervised", model=MODEL, n_epochs="auto", tokens="estimate")
    assert_type(report, TrainingFileReport)
    file = assert_type(await ft.upload_file(source), FileResponse)
    again = await ft.upload_file(source.read_bytes(), "fine-tune", filename="again.jsonl", on_progress=print)
    assert_type(again, FileResponse)
    assert_type(await ft.retrieve_file(file.id), FileResponse)
    assert_type(await ft.download_file(file.id), bytes)
    files = assert_type(await ft.list_files(purpose="fine-tune", limit=10, order="asc", after=None), FileListResponse)
    assert_type(files[-1], FileResponse)
    assert_type(await ft.delete_file(again.id), DeletionResponse)

    job = assert_type(await ft.create_job(file.id, MODEL, {"suffix": "first"}), FineTuningJobResponse)
    while job.status != "running":
        job = assert_type(await ft.retrieve_job(job.id), FineTuningJobResponse)
    assert_type(await ft.pause_job(job.id), FineTuningJobResponse)
    assert_type(await ft.wait_for_job(job.id, until_paused=True, timeout=60), FineTuningJobResponse)
    assert_type(await ft.resume_job(job.id), FineTuningJobResponse)
    assert_type(await ft.cancel_job(job_id=job.id), FineTuningJobResponse)

    job = await ft.create_job(
        training_file=file.id,
        model=MODEL,
        metadata={"team": "a"},
        hyperparameters={"n_epochs": 3, "learning_rate_multiplier": "auto"},
        method=NOT_GIVEN,
        suffix="mine",
        validation_file=None,
        seed=7,
        integrations=NOT_GIVEN,
        extra_body={},
        idempotency_key="once",
    )
    async with aclosing(ft.follow_job_events(job.id, since=None, poll_interval=1.0, timeout=900)) as followed:
        assert_type(followed, AsyncGenerator[FineTuningEventResponse, None])
        assert_type([event.message async for event in followed], list[str])
    done = await ft.wait_for_job(job.id, poll_interval=1, on_update=JobDisplay(), raise_on_failure=True)
    assert_type(await ft.result_metrics(done.id), list[dict[str, float | None]])

    page = assert_type(await ft.list_jobs(limit=1, after=None, metadata={"team": "a"}), FineTuningJobListResponse)
    assert_type(page[0], FineTuningJobResponse)
    events = assert_type(await ft.list_job_events(job.id, limit=2, after=None), FineTuningEventListResponse)
    assert_type(events[0], FineTuningEventResponse)
    points = assert_type(await ft.list_job_checkpoints(job.id, limit=2, after=None), FineTuningCheckpointListResponse)
    assert_type(points[0], FineTuningCheckpointResponse)
    assert_type(ft.iter_jobs(page_size=1, metadata=None), AsyncGenerator[FineTuningJobResponse, None])
    assert_type(ft.iter_job_events(job.id, page_size=5), AsyncGenerator[FineTuningEventResponse, None])
    assert_type(ft.iter_job_checkpoints(job.id, page_size=2), AsyncGenerator[FineTuningCheckpointResponse, None])
    assert_type(ft.iter_files(page_size=2, purpose=None, order="asc"), AsyncGenerator[FileResponse, None])
    assert_type([each.id async for each in ft.iter_jobs()], list[str])
    assert_type(await ft.list_jobs({"limit": 1}), FineTuningJobListResponse)

    assert_type(await ft.list_models(), ModelListResponse)
    model = assert_type(await ft.retrieve_model(done.fine_tuned_model or ""), ModelResponse)
    assert_type(await ft.delete_model(model.id), DeletionResponse)


def verbs_are_coroutines(client: AsyncFineTuningClient) -> Coroutine[Any, Any, FineTuningJobResponse]:
    """Give a verb's coroutine to whoever runs it: `asyncio.run` and `create_task` want no less."""
    return client.retrieve_job("ftjob-1")


def clients_are_made() -> None:
    """Say all there is to say to a client."""
    blocking = FineTuningClient(
        ProviderProfile("mine", "https://example.test/v1", needs_key=False),
        api_key=lambda: "key",
        base_url="https://example.test/v1",
        organization="org-1",
        project="proj-1",
        timeout=5,
        max_retries=0,
        default_headers={"X-Team": "a"},
        default_query={"api-version": "preview"},
        http_client=httpx.Client(),
        sleep=print,
        clock=lambda: 0.0,
    )
    with blocking as entered:
        assert_type(entered, FineTuningClient)
    assert_type(blocking.using("fake"), FineTuningClient)
    assert_type(FineTuning, FineTuningClient)
    assert_type(FineTuning.using("fake"), FineTuningClient)
    assert_type(blocking.with_options(timeout=1, max_retries=5), FineTuningClient)
    assert_type(FineTuning.with_options(max_retries=5), FineTuningClient)
    blocking.close()
    FineTuningClient("fake", http_client=httpx2.Client())
    configure(default_for_fine_tuning="here", providers={"here": {"driver": "fake", "api_key": "key"}})
    configure()


async def async_clients_are_made() -> None:
    """Say to an async client what is different."""
    awaited = AsyncFineTuningClient("fake", api_key="key", http_client=httpx.AsyncClient())
    async with awaited as entered:
        assert_type(entered, AsyncFineTuningClient)
    assert_type(awaited.using("fake"), AsyncFineTuningClient)
    assert_type(AsyncFineTuning, AsyncFineTuningClient)
    assert_type(AsyncFineTuning.using("fake"), AsyncFineTuningClient)
    assert_type(awaited.with_options(timeout=1.5), AsyncFineTuningClient)
    assert_type(AsyncFineTuning.with_options(timeout=1), AsyncFineTuningClient)
    await awaited.aclose()
    AsyncFineTuningClient("fake", http_client=httpx2.AsyncClient())


def files_are_checked(source: Path) -> None:
    """Look at all that is told of a training file before it is sent."""
    report = assert_type(check_training_file(source.read_bytes(), n_epochs=3), TrainingFileReport)
    assert_type(report.token_count, Literal["exact", "unproven", "estimate", "none"])
    assert_type((report.ok, report.filename, report.method, report.format), tuple[bool, str, str, str])
    assert_type((report.bytes, report.examples, report.tokens, report.longest_example), tuple[int, int, int, int])
    assert_type((report.n_epochs, report.batch_size, report.trained_tokens), tuple[int, int, int])
    assert_type((report.learning_rate_multiplier, report.more_problems), tuple[float | None, int])
    assert_type(report.problems, tuple[TrainingFileProblem, ...])
    assert_type([(each.code, each.line, each.path) for each in report.problems], list[Place])
    assert_type({each.message: each.path for each in report.problems}, dict[str, str | None])
    for problem in report.problems:
        assert_type(problem.stage, Literal["upload", "job"])


Place = tuple[str | None, int | None, str | None]


def jobs_are_shown(job: FineTuningJobResponse, event: FineTuningEventResponse) -> None:
    """Show a person how things get on."""
    with JobDisplay(stream=sys.stderr) as display:
        assert_type(display, JobDisplay)
        display(job)
        display.event(event)
        display.uploading(1, None)
    display.close()


def jobs_are_read(job: FineTuningJobResponse, jobs: FineTuningJobListResponse) -> None:
    """Look at every member of a job and of a page of jobs."""
    assert_type(job.is_completed(), bool)
    assert_type(job.is_running(), bool)
    assert_type(job.is_paused(), bool)
    assert_type(job.has_failed(), bool)
    assert_type(job.was_cancelled(), bool)
    assert_type(job.is_finished(), bool)
    assert_type((job.id, job.status, job.model, job.training_file), tuple[str, str, str, str])
    assert_type((job.created_at, job.finished_at, job.trained_tokens), tuple[int, int | None, int | None])
    assert_type((job.seed, job.estimated_finish), tuple[int | None, int | None])
    assert_type((job.fine_tuned_model, job.validation_file), tuple[str | None, str | None])
    assert_type((job.organization_id, job.provider, job.object), tuple[str | None, str | None, str])
    assert_type((job.error, job.hyperparameters, job.method), tuple[Json | None, Json | None, Json | None])
    assert_type(job.metadata, dict[str, str] | None)
    assert_type(job.result_files, Sequence[str] | None)
    assert_type(job.integrations, Sequence[dict[str, Any]] | None)
    assert_type((job.extra, job.raw), tuple[Mapping[str, Any], Mapping[str, Any]])
    assert_type(job.to_dict(), dict[str, Any])
    assert_type(FineTuningJobResponse.from_dict({}), FineTuningJobResponse)

    assert_type((len(jobs), bool(jobs), jobs.has_more), tuple[int, bool, bool])
    assert_type(jobs[:2], tuple[FineTuningJobResponse, ...])
    assert_type(jobs.data, tuple[FineTuningJobResponse, ...])
    assert_type(jobs.jobs, Sequence[FineTuningJobResponse])
    assert_type([each.status for each in jobs], list[str])
    assert_type((jobs.first_id, jobs.last_id), tuple[str | None, str | None])
    assert_type(FineTuningJobListResponse.from_dict({}), FineTuningJobListResponse)


Json = dict[str, Any]


def the_rest_is_read(
    event: FineTuningEventResponse,
    point: FineTuningCheckpointResponse,
    file: FileResponse,
    model: ModelResponse,
    gone: DeletionResponse,
) -> None:
    """Look at every member of everything else."""
    assert_type((event.id, event.message, event.level, event.type), tuple[str, str, str, str])
    assert_type((event.created_at, event.data), tuple[int, Json | None])
    assert_type((point.id, point.step_number, point.created_at), tuple[str, int, int])
    assert_type(point.metrics, Json)
    assert_type((point.fine_tuned_model_checkpoint, point.fine_tuning_job_id), tuple[str | None, str | None])
    assert_type((file.id, file.filename, file.bytes, file.purpose), tuple[str, str, int, str])
    assert_type((file.created_at, file.expires_at), tuple[int, int | None])
    assert_type((file.status, file.status_details), tuple[str | None, str | None])
    assert_type((model.id, model.created, model.owned_by), tuple[str, int | None, str | None])
    assert_type((gone.id, gone.deleted), tuple[str, bool])


def the_pages_are_read(
    events: FineTuningEventListResponse,
    points: FineTuningCheckpointListResponse,
    files: FileListResponse,
    models: ModelListResponse,
) -> None:
    """Look at the items of every page."""
    assert_type(events.events, Sequence[FineTuningEventResponse])
    assert_type(points.checkpoints, Sequence[FineTuningCheckpointResponse])
    assert_type(files.files, Sequence[FileResponse])
    assert_type(models.models, Sequence[ModelResponse])
    assert_type([each.level for each in events], list[str])
    assert_type([each.metrics for each in points], list[Json])
    assert_type([each.bytes for each in files], list[int])
    assert_type([each.id for each in models], list[str])


def errors_are_caught(job_id: str) -> None:
    """Catch whatever can be raised, the particular before the general."""
    try:
        FineTuning.wait_for_job(job_id, timeout=1, raise_on_failure=True)
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except (AuthenticationError, PermissionDeniedError, NotFoundError, BadRequestError, ConflictError) as refused:
        assert_type((refused.status_code, refused.body), tuple[int, Any])
    except (UnprocessableEntityError, InternalServerError) as refused:
        assert_type((refused.status_code, refused.message), tuple[int, str])
    except APIStatusError as refused:
        assert_type((refused.code, refused.type, refused.param), tuple[str | None, str | None, str | None])
    except APITimeoutError as late:
        assert_type(late.provider, str | None)
    except APIConnectionError as lost:
        assert_type(lost.request_id, str | None)
    except APIResponseError as odd:
        assert_type(odd.status_code, int)
    except APIError as other:
        assert_type((other.provider, other.request_id, other.message), tuple[str | None, str | None, str])
    except (JobFailed, JobCancelled) as ended:
        assert_type(ended.job, FineTuningJobResponse | None)
    except WaitTimeout as waited:
        late_too: TimeoutError = waited
        assert_type((waited.job, late_too.args), tuple[FineTuningJobResponse | None, tuple[Any, ...]])
    except (ConfigurationError, UnsupportedOperationError) as unsent:
        assert_type(unsent.message, str)
    except FineTuningError as any_other:
        assert_type(any_other.job, FineTuningJobResponse | None)
