"""Files: upload, list, retrieve, delete, download."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.row_rules import DataRules
from fine_tuning_formats.training_file import NotJsonlError

from ..account.account import Account, next_id, result_created_at
from ..account.blobs import MUCH_BYTES, Blob
from ..account.indexes import RESULTS, UnknownCursorError
from ..account.looks import shows
from ..account.records import FileDeleted, FileUploaded, JobIntervened, StoredFile
from ..account.service import Service, operation
from ..api_errors import (
    bad_file,
    bad_purpose,
    not_downloadable,
    not_jsonl_name,
    unknown_cursor,
    unknown_file,
)
from ..domain import ids
from ..domain.dialects.dialect import RECORDED, Dialect
from ..domain.job import Job
from ..domain.job_spec import Dataset, JobSpec
from ..domain.metrics import result_csv
from ..domain.plan import FAILURES, JobError
from ..domain.timeline import FileLost
from .response_objects import Json, file_object, page_object_with_ids

PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
MANY_STEPS = 1000
"""From this number of steps on result files take long enough to write that others should not have to wait for it."""
BATCH_KEPT_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that a form or a seed brings, with its purpose. `expires_after` is in seconds."""

    content: Blob
    filename: str
    purpose: str
    expires_after: int | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """The content of a file, and the name under which it is offered."""

    filename: str
    chunks: Iterator[bytes]


def check_new_file(upload: NewFile, dialect: Dialect = RECORDED) -> Dataset | None:
    """Check a file as the service does at upload, in a dialect; return what a fine-tune file holds.

    Raises:
        ApiError: purpose, name or content is refused.
    """
    check_purpose(upload.purpose)
    if upload.content.size == 0:
        raise bad_file("File is empty.")  # inferred
    if upload.purpose != "fine-tune":
        return None
    extension = upload.filename.rpartition(".")[2] if "." in upload.filename else "jsonl"
    if (
        extension.lower() != "jsonl" and not dialect.any_filename
    ):  # a name without one passes: SDKs send bytes as "upload"
        raise not_jsonl_name()
    try:
        return upload.content.dataset(dialect.data_rules)
    except NotJsonlError as error:
        raise bad_file(str(error)) from None


def check_purpose(purpose: str) -> None:
    """Refuse a purpose that there is not.

    Raises:
        ApiError: it is not one.
    """
    if purpose not in PURPOSES:
        raise bad_purpose(purpose)


def parse_ahead(content: Blob, purpose: str, rules: DataRules) -> Callable[[], object] | None:
    """Return a function that parses a large file without the lock, so that its check is quick; None for small ones."""
    if purpose != "fine-tune" or content.size < MUCH_BYTES:
        return None

    def parse() -> None:
        with suppress(NotJsonlError):  # the check raises it again
            content.dataset(rules)

    return parse


def size_ahead(service: Service, identifier: str) -> Callable[[], object] | None:
    """Return a function that learns the size of a result file without the lock; None if that takes no time."""
    with service.lock:
        account = service.account
        account.materialize(service.clock.now())
        return _sizes_ahead(account, [account.jobs[job]] if (job := account.file_shelf.job_of(identifier)) else [])


def page_sizes_ahead(
    service: Service, *, after: str | None, limit: int, purpose: str | None, oldest_first: bool
) -> Callable[[], object] | None:
    """Return a function that learns the sizes of a page's result files without the lock; None if that takes no time."""
    with service.lock:
        account = service.account
        account.materialize(service.clock.now())
        page, _ = _page(account, after, limit, purpose, oldest_first)
        jobs = [account.jobs[job] for job in map(account.file_shelf.job_of, page) if job]
        if account.pace == "instant":  # they end with the request
            jobs += (account.jobs[job] for job in islice(reversed(account.active), limit))
        return _sizes_ahead(account, jobs)


def _sizes_ahead(account: Account, jobs: Iterable[Job]) -> Callable[[], object] | None:
    """Return a function that learns what is unknown yet; a size is known when the whole file is written."""
    unknown = [job for job in jobs if not _known_result_size(account, job)]

    def learn() -> None:
        for job in unknown:
            _result_size(account, job)

    return learn if sum(job.current_spec.steps for job in unknown) >= MANY_STEPS else None


def content_ahead(service: Service, identifier: str) -> Callable[[], object] | None:
    """Return a function that writes a long result file without the lock; None if the file is not one."""
    with service.lock:
        job = service.account.file_shelf.job_of(identifier)
        spec = service.account.jobs[job].current_spec if job else None
    return partial(result_bytes, spec) if spec and spec.steps >= MANY_STEPS else None


def upload(service: Service, upload: NewFile) -> Json:
    """Check and store a file."""
    dialect = service.account.dialect
    dataset = check_new_file(upload, dialect)
    seconds = expires_after(dialect, upload.purpose, upload.expires_after)
    return store_file(service, replace(upload, expires_after=seconds), dataset)


def expires_after(dialect: Dialect, purpose: str, requested: int | None) -> int | None:
    """Return for how many seconds a file is kept; None for ever.

    Source: spec, "by default, files with purpose=batch expire after 30 days".
    """
    return BATCH_KEPT_S if requested is None and purpose == "batch" and dialect.batch_files_expire else requested


@operation
def store_file(
    service: Service,
    now: float,
    upload: NewFile,
    dataset: Dataset | None,
    identifier: str | None = None,
    created_at: float | None = None,
    *,
    is_broken: bool = False,
) -> Json:
    """Store a checked file, under *identifier* or a new id; or one that could not be imported."""
    account = service.account
    file = StoredFile(
        id=identifier or new_file_id(account),
        filename=upload.filename,
        purpose=upload.purpose,
        content=upload.content,
        created_at=now if created_at is None else created_at,
        expires_at=None if upload.expires_after is None else now + upload.expires_after,
        dataset=dataset,
        is_broken=is_broken,
    )
    answer = stored_file_object(account, file, now, is_new=True)
    service.commit(FileUploaded(file))
    return answer


def new_file_id(account: Account) -> str:
    """Return the id of the next file."""
    seed, shapes = account.settings.seed, account.dialect.ids
    return next_id(
        account, "file", lambda n: ids.derived_id("file", seed, n, shapes=shapes), account.files, account.files_made
    )


@operation
def retrieve(service: Service, now: float, identifier: str) -> Json:
    """Return one file. At the pace "polls" one that is not ready yet is ready at the second look."""
    account = service.account
    answer = file_by_id(account, identifier, now)
    file = account.files.get(identifier)
    if file and service.polling_advances_time and now < (ready := file.created_at + account.dialect.new_file_status[1]):
        service.advance_clock(ready)
    return answer


@operation
def list_files(
    service: Service, now: float, *, after: str | None, limit: int, purpose: str | None, oldest_first: bool
) -> Json:
    """Return one page of files, result files included.

    At the pace "polls" a page that was answered before, and has not changed, moves time until a file of it is ready.
    """
    account = service.account
    page, has_more = _page(account, after, limit, purpose, oldest_first)
    shown = [file_by_id(account, identifier, now) for identifier in page]
    if service.polling_advances_time and (ready := _next_ready(account, page, now)) is not None:
        query = (after, limit, purpose, oldest_first)
        if service.looks.is_repeated(("list_files", query), shown):
            now = service.advance_clock(ready)
            shown = [file_by_id(account, identifier, now) for identifier in page]
        service.remember("list_files", query, shown, now)
    return page_object_with_ids(shown, has_more)


def _page(
    account: Account, after: str | None, limit: int, purpose: str | None, oldest_first: bool
) -> tuple[list[str], bool]:
    try:
        return account.file_shelf.page(after, limit, purpose, oldest_first=oldest_first)
    except UnknownCursorError:
        raise unknown_cursor() from None


@shows("list_files")
def _shown_files(
    account: Account, at: float, after: str | None, limit: int, purpose: str | None, oldest_first: bool
) -> list[Json]:
    page, _ = _page(account, after, limit, purpose, oldest_first)
    return [file_by_id(account, identifier, at) for identifier in page]


@operation
def snapshot(service: Service, now: float) -> list[Json]:
    """Return all files, newest first; this moves no time at any pace."""
    return [file_by_id(service.account, identifier, now) for identifier in reversed(list(service.account.file_shelf))]


def _next_ready(account: Account, identifiers: Iterable[str], now: float) -> float | None:
    """Return when the first of these files gets ready that is not yet; None if all are."""
    _, seconds = account.dialect.new_file_status
    files = (account.files[identifier] for identifier in identifiers if identifier in account.files)
    return min((ready for file in files if (ready := file.created_at + seconds) > now), default=None)


@operation
def delete(service: Service, now: float, identifier: str) -> Json:
    """Delete a file; jobs that still need it fail."""
    account = service.account
    file_by_id(account, identifier, now)  # raises for an unknown id
    lost = FileLost(now, JobError("deleted_training_file", *FAILURES["deleted_training_file"]))
    failing: list[JobIntervened] = []
    for job in (account.jobs[job_id] for job_id in account.active):
        timeline = job.timeline()
        # A job needs its file until it runs (recording GetJobs: while validating; queued is inferred). One that was
        # resumed is queued again, and has read it.
        waits = timeline.status(now) in ("validating_files", "queued") and not timeline.has_happened("started", now)
        if waits and job.training_file == identifier:
            failing.append(JobIntervened(job.id, lost))
    service.commit(FileDeleted(identifier), *failing)
    return {"object": "file", "deleted": True, "id": identifier}


@operation
def download(service: Service, now: float, identifier: str) -> Download:
    """Return the bytes of a file; a result file's are base64 by default, as the service's are."""
    account = service.account
    if job_id := account.file_shelf.job_of(identifier):
        data = result_bytes(account.jobs[job_id].current_spec)
        if account.settings.base64_results and account.dialect.base64_results:
            data = base64.b64encode(data)
        return Download(account.dialect.result_name, Blob.of(data).chunks())
    file = account.files.get(identifier)
    if file is None:
        raise unknown_file(identifier)
    if file.purpose in ("assistants", "user_data"):
        raise not_downloadable(file.purpose)
    chunks = file.content.chunks()
    if file.content.is_dropped:
        next(chunks)  # an error is to be the answer, not to come in the middle of it
    return Download(file.filename, chunks)


def file_by_id(account: Account, identifier: str, now: float) -> Json:
    """Return the file, stored or derived, as it is at *now*.

    Raises:
        ApiError: no file has this id.
    """
    if job_id := account.file_shelf.job_of(identifier):
        job = account.jobs[job_id]
        size = _known_result_size(account, job) or _result_size(account, job)
        return file_object(identifier, RESULTS, account.dialect.result_name, size, result_created_at(job))
    if file := account.files.get(identifier):
        return stored_file_object(account, file, now)
    raise unknown_file(identifier)


def stored_file_object(account: Account, file: StoredFile, now: float, *, is_new: bool = False) -> Json:
    """Return an uploaded file as it is at *now*: in some dialects it is not ready at once.

    At the pace "instant" it is ready for the next request, as jobs are over by then.
    """
    unready, seconds = account.dialect.new_file_status
    waits = now < file.created_at + seconds and (is_new or account.pace != "instant")
    status = unready if waits else "error" if file.is_broken else "processed"
    return file_object(
        file.id, file.purpose, file.filename, file.content.size, file.created_at, file.expires_at, status
    )


def _known_result_size(account: Account, job: Job) -> int | None:
    return job.overrides.result_bytes or account.result_sizes.get(job.id)


def _result_size(account: Account, job: Job) -> int:
    account.result_sizes[job.id] = size = len(result_bytes(job.current_spec))
    return size


@lru_cache(maxsize=32)
def result_bytes(spec: JobSpec) -> bytes:
    """Return the plain CSV of a job's result file; its size is the file's ``bytes`` (recording of 2023-11)."""
    return "".join(result_csv(spec)).encode()
