"""Uploads: a file that comes in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from fine_tuning_formats.training_file import NotJsonlError

from ..account.account import Account, next_id
from ..account.blobs import Blob, BlobWriter
from ..account.records import FileUploaded, PartUpload, StoredFile, UploadChanged
from ..account.service import Service, operation
from ..api_errors import ApiError, bad_purpose, closed_upload, incomplete_upload, unknown_upload
from ..domain import ids
from ..domain.job_spec import Dataset
from .files import MUCH_BYTES, PURPOSES, expires_after, new_file_id, stored_file_object
from .request_models import CompleteUploadBody, CreateUploadBody
from .response_objects import Json, upload_object

OPEN_FOR = 3600.0
"""Seconds in which an upload must be completed (recordings UploadsTests)."""


@operation
def create(service: Service, now: float, body: CreateUploadBody) -> Json:
    """Begin an upload; any file name passes (recording: 8 bytes that are no JSONL are completed).

    Raises:
        ApiError: there is no such purpose.
    """
    if body.purpose not in PURPOSES:
        raise bad_purpose(body.purpose)
    account = service.account
    seed = account.settings.seed

    def derive(ordinal: int) -> str:
        return ids.timed_id("upload_", now, seed, ordinal)

    upload = PartUpload(
        id=next_id(account, "upload", derive, account.uploads, len(account.uploads)),
        filename=body.filename,
        purpose=body.purpose,
        size=body.bytes,
        created_at=now,
        expires_at=now + OPEN_FOR,
        file_expires_after=body.expires_after.seconds if body.expires_after else None,
    )
    service.commit(UploadChanged(upload))
    return upload_object(upload, "pending")


@operation
def add_part(service: Service, now: float, identifier: str, content: Blob) -> Json:
    """Store a part; parts may come in any order, at the same time.

    Raises:
        ApiError: the upload is unknown, over, or would become larger than it said.
    """
    upload = _require_pending(service.account, identifier, now)
    if _received_bytes(upload) + content.size > upload.size:
        raise incomplete_upload(f"The parts are larger than the {upload.size} bytes of the upload.", "data")
    reserved = service.account.named["part"]
    part_id = reserved[0].id if reserved else ids.timed_id("part_", now, identifier, len(upload.parts))
    service.commit(UploadChanged(replace(upload, parts=(*upload.parts, (part_id, content)))))
    return {"id": part_id, "object": "upload.part", "created_at": int(now), "upload_id": identifier}


@dataclass(frozen=True, slots=True)
class JoinedParts:
    """The parts of an upload, as it was then, in one."""

    upload: PartUpload
    content: Blob


def join_ahead(service: Service, identifier: str, body: CompleteUploadBody) -> Callable[[], JoinedParts | None] | None:
    """Return a function that joins and parses large parts without the lock; None for small ones.

    Its result is for `complete`. It returns None for parts that do not add up, which `complete` refuses.
    """
    upload = service.account.uploads.get(identifier)
    if upload is None or _received_bytes(upload) < MUCH_BYTES:
        return None

    def join() -> JoinedParts | None:
        try:
            content = _join_parts(upload, body)
        except ApiError:
            return None
        if upload.purpose == "fine-tune":
            _parse(content)  # the content remembers what it holds
        return JoinedParts(upload, content)

    return join


@operation
def complete(
    service: Service, now: float, identifier: str, body: CompleteUploadBody, joined: JoinedParts | None = None
) -> Json:
    """Make a file of the parts, in the order of *body*; the file is as old as the upload (recording).

    Args:
        joined: what `join_ahead` has made of them; ignored if the upload has changed since.

    Raises:
        ApiError: the upload is unknown or over; a part is unknown or named twice; size or md5 do not match.
    """
    account = service.account
    upload = _require_pending(account, identifier, now)
    content = joined.content if joined and joined.upload is upload else _join_parts(upload, body)
    seconds = expires_after(account.dialect, upload.purpose, upload.file_expires_after)
    file = StoredFile(
        id=new_file_id(account),
        filename=upload.filename,
        purpose=upload.purpose,
        content=content,
        created_at=upload.created_at,
        expires_at=None if seconds is None else upload.created_at + seconds,
        dataset=_parse(content) if upload.purpose == "fine-tune" else None,
    )
    completed = replace(upload, status="completed", parts=())
    service.commit(FileUploaded(file), UploadChanged(completed))
    return upload_object(completed, "completed", stored_file_object(account, file, now))


@operation
def cancel(service: Service, now: float, identifier: str) -> Json:
    """Cancel an upload; its parts are dropped."""
    cancelled = replace(_require_pending(service.account, identifier, now), status="cancelled", parts=())
    service.commit(UploadChanged(cancelled))
    return upload_object(cancelled, "cancelled")


def _join_parts(upload: PartUpload, body: CompleteUploadBody) -> Blob:
    parts = dict(upload.parts)
    writer, digest = BlobWriter(), hashlib.md5(usedforsecurity=False)
    for number, part in enumerate(body.part_ids):
        if part not in parts or part in body.part_ids[:number]:
            raise incomplete_upload(f"{part} is no part of the upload, or is named twice.", "part_ids")
        for chunk in parts[part].chunks():
            writer.write(chunk)
            digest.update(chunk)
    if writer.size != upload.size:
        raise incomplete_upload(
            f"The parts have {writer.size} bytes, not {upload.size} as the upload said.", "part_ids"
        )
    if body.md5 is not None and body.md5.lower() != digest.hexdigest():
        raise incomplete_upload("The md5 checksum of the parts is not the one given.", "md5")
    return writer.seal()


def _parse(content: Blob) -> Dataset:
    # Unlike an upload in one piece, content that is not JSONL is accepted: it has no examples, and fails the job.
    try:
        return content.dataset()
    except NotJsonlError:
        return Dataset()


def _require_pending(account: Account, identifier: str, now: float) -> PartUpload:
    upload = account.uploads.get(identifier)
    if upload is None:
        raise unknown_upload(identifier)
    status = "expired" if upload.status == "pending" and now >= upload.expires_at else upload.status
    if status != "pending":
        raise closed_upload(identifier, status)
    return upload


def _received_bytes(upload: PartUpload) -> int:
    return sum(content.size for _, content in upload.parts)
