"""Files: upload, list, retrieve, delete, content."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from ..account.account import RESULTS, Account, OrderedIds, UnknownCursorError, next_id, result_created_at
from ..account.blobs import Blob
from ..account.records import FileDeleted, FileUploaded, JobIntervened, Record, StoredFile
from ..account.service import Service, operation
from ..api_errors import (
    bad_file,
    bad_purpose,
    missing_part,
    not_downloadable,
    not_jsonl_name,
    unknown_cursor,
    unknown_file,
)
from ..domain import ids, training_files
from ..domain.dialects.dialect import Dialect
from ..domain.job_spec import JobSpec
from ..domain.jobs import Job
from ..domain.metrics import result_csv
from ..domain.plan import FAILURES, JobError
from ..domain.timeline import FileLost
from . import response_objects

PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
MUCH_BYTES = 64 * 1024
"""From this size on a file takes long enough to read (some ms) that others should not have to wait for it."""
BATCH_KEPT_S = 30 * 24 * 3600
_NOT_DOWNLOADABLE = frozenset({"assistants", "user_data"})
_NEEDED_IN = frozenset({"validating_files", "queued"})
"""A job needs its training file until it runs (recording GetJobs: while validating; queued is inferred)."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """What a form or a seed brings: a file with its purpose. `expires_after` is in seconds."""

    content: Blob
    filename: str
    purpose: str
    expires_after: int | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """The content of a file, and the name under which it is offered."""

    filename: str
    chunks: Iterator[bytes]


def check_new_file(upload: NewFile, *, any_name: bool = False) -> training_files.Dataset | None:
    """Check a file as the service does at upload, its name too unless it may be *any*; return what it holds.

    Raises:
        ApiError: purpose, name or content is refused.
    """
    if not upload.purpose:
        raise missing_part("purpose")
    if upload.purpose not in PURPOSES:
        raise bad_purpose(upload.purpose)
    if upload.content.size == 0:
        raise bad_file("File is empty.")  # inferred
    if upload.purpose != "fine-tune":
        return None
    extension = upload.filename.rpartition(".")[2] if "." in upload.filename else "jsonl"
    if extension.lower() != "jsonl" and not any_name:  # a name without one passes: SDKs send bytes as "upload"
        raise not_jsonl_name()
    try:
        return upload.content.dataset()
    except training_files.NotJsonlError as error:
        raise bad_file(str(error)) from None


def parse_ahead(content: Blob, purpose: str) -> Callable[[], object] | None:
    """What reads a large file through before it is checked, which needs no lock; None where there is little to read."""
    if purpose != "fine-tune" or content.size < MUCH_BYTES:
        return None

    def read() -> None:
        with suppress(training_files.NotJsonlError):  # the check will say so
            content.dataset()

    return read


def upload(service: Service, upload: NewFile) -> response_objects.Json:
    """Check and keep a file."""
    dialect = service.account.dialect
    found = check_new_file(upload, any_name=dialect.any_name)
    return store_file(
        service, replace(upload, expires_after=expiry_of(dialect, upload.purpose, upload.expires_after)), found
    )


def expiry_of(dialect: Dialect, purpose: str, asked: int | None) -> int | None:
    """How many seconds a file is kept that is to be kept for so many as *asked*; None for ever.

    Source: spec, "by default, files with purpose=batch expire after 30 days".
    """
    return BATCH_KEPT_S if asked is None and purpose == "batch" and dialect.batch_files_end else asked


@operation
def store_file(
    service: Service,
    now: float,
    upload: NewFile,
    found: training_files.Dataset | None,
    identifier: str | None = None,
    created_at: float | None = None,
) -> response_objects.Json:
    """Keep a file that was checked, under its own new id or the one given."""
    account = service.account
    expires_at = None if upload.expires_after is None else now + upload.expires_after
    file = StoredFile(
        identifier or new_file_id(account),
        upload.filename,
        upload.purpose,
        upload.content,
        now if created_at is None else created_at,
        expires_at,
        found,
    )
    answer = find_file(account, file, now)
    service.commit(FileUploaded(file))
    return answer


def new_file_id(account: Account) -> str:
    """The id of the next file that is made."""
    seed, shapes = account.settings.seed, account.dialect.ids
    return next_id(
        account, "file", lambda n: ids.derived_id("file", seed, n, shapes=shapes), account.files, account.files_made
    )


@operation
def retrieve(service: Service, now: float, identifier: str) -> response_objects.Json:
    """One file. At the pace "polls" one that is not ready yet is ready at the second look."""
    account = service.account
    shown = file_object(account, identifier, now)
    file = account.files.get(identifier)
    if file and service.polling_advances_time and now < (ready := file.created_at + account.dialect.unready[1]):
        service.advance_clock(ready)
    return shown


@operation
def list_files(
    service: Service, now: float, *, after: str | None, limit: int, purpose: str | None, oldest_first: bool
) -> response_objects.Json:
    """One page of files, result files included."""
    account = service.account
    shelf = account.file_shelf if purpose is None else account.files_by_purpose.get(purpose, OrderedIds())
    try:
        page, has_more = shelf.page(after, limit, oldest_first=oldest_first)
    except UnknownCursorError:
        raise unknown_cursor() from None
    return response_objects.page_with_ids([file_object(account, identifier, now) for identifier in page], has_more)


@operation
def delete(service: Service, now: float, identifier: str) -> response_objects.Json:
    """Delete a file; jobs that still need it fail."""
    account = service.account
    file_object(account, identifier, now)
    lost = FileLost(now, JobError("deleted_training_file", *FAILURES["deleted_training_file"]))
    failed: list[Record] = [
        JobIntervened(job.id, lost)
        for job in map(account.jobs.__getitem__, account.active)
        if job.training_file == identifier and _still_needs_file(job, now)
    ]
    service.commit(FileDeleted(identifier), *failed)
    return {"object": "file", "deleted": True, "id": identifier}


def _still_needs_file(job: Job, now: float) -> bool:
    """Whether a job has yet to read its file; one that is resumed has read it."""
    life = job.timeline()
    return life.status(now) in _NEEDED_IN and not life.event_count("started", now)


@operation
def content(service: Service, now: float, identifier: str) -> Download:
    """The bytes of a file; a result file's are base64, unless the account is told otherwise."""
    account = service.account
    if job_id := account.results.get(identifier):
        data = result_bytes(account.jobs[job_id].current)
        if account.settings.base64_results and account.dialect.base64_results:
            data = base64.b64encode(data)
        return Download(account.dialect.result_name, Blob.of(data).chunks())
    file = account.files.get(identifier)
    if file is None:
        raise unknown_file(identifier)
    if file.purpose in _NOT_DOWNLOADABLE:
        raise not_downloadable(file.purpose)
    return Download(file.filename, file.content.chunks())


def file_object(account: Account, identifier: str, now: float) -> response_objects.Json:
    """The file, stored or derived, as it is at *now*.

    Raises:
        ApiError: there is none with this id.
    """
    if job_id := account.results.get(identifier):
        job = account.jobs[job_id]
        size = job.overrides.result_bytes or _result_size(job.current)
        return response_objects.file(identifier, RESULTS, account.dialect.result_name, size, result_created_at(job))
    if file := account.files.get(identifier):
        return find_file(account, file, now)
    raise unknown_file(identifier)


def find_file(account: Account, file: StoredFile, now: float) -> response_objects.Json:
    """A file that was uploaded, as it is at *now*: some dialects are not done with it at once."""
    unready, seconds = account.dialect.unready
    status = unready if now < file.created_at + seconds else "processed"
    return response_objects.file(
        file.id, file.purpose, file.filename, file.content.size, file.created_at, file.expires_at, status
    )


@lru_cache(maxsize=10_000)
def _result_size(script: JobSpec) -> int:
    return len(result_bytes(script))


@lru_cache(maxsize=32)
def result_bytes(script: JobSpec) -> bytes:
    """The plain CSV of a job's result file; its size is the file's ``bytes`` (recording of 2023-11)."""
    return "".join(result_csv(script)).encode()
