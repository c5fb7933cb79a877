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
from ..domain.training_files import Dataset
from . import response_objects
from .files import MUCH_BYTES, PURPOSES, expiry_of, find_file, new_file_id
from .request_models import CompleteUploadBody, CreateUploadBody

OPEN_FOR = 3600.0
"""Seconds in which an upload must be completed (recordings UploadsTests)."""


@operation
def create(service: Service, now: float, body: CreateUploadBody) -> response_objects.Json:
    """Begin an upload; its name is not looked at (recording: 8 bytes that are no JSONL are completed).

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
    return _shown(upload, now)


@operation
def add_part(service: Service, now: float, identifier: str, content: Blob) -> response_objects.Json:
    """Take a part; parts may come in any order, at the same time.

    Raises:
        ApiError: the upload is unknown, over, or would become larger than it said.
    """
    upload = _pending(service.account, identifier, now)
    if _size(upload) + content.size > upload.size:
        raise incomplete_upload(f"The parts are larger than the {upload.size} bytes of the upload.", "data")
    named = service.account.named["part"]
    part = named[0].id if named else ids.timed_id("part_", now, identifier, len(upload.parts))
    service.commit(UploadChanged(replace(upload, parts=(*upload.parts, (part, content)))))
    return {"id": part, "object": "upload.part", "created_at": int(now), "upload_id": identifier}


@dataclass(frozen=True, slots=True)
class JoinedParts:
    """The parts of an upload as it was, in one."""

    upload: PartUpload
    content: Blob


def join_ahead(service: Service, identifier: str, body: CompleteUploadBody) -> Callable[[], JoinedParts | None] | None:
    """What joins and reads large parts before the upload is completed, which needs no lock; None where it is quick.

    What it gives is for `complete`: None where the parts do not add up, which that will say.
    """
    upload = service.account.uploads.get(identifier)
    if upload is None or _size(upload) < MUCH_BYTES:
        return None

    def join() -> JoinedParts | None:
        try:
            joined = JoinedParts(upload, _joined(upload, body))
        except ApiError:
            return None
        if upload.purpose == "fine-tune":
            _found(joined.content)
        return joined

    return join


@operation
def complete(
    service: Service, now: float, identifier: str, body: CompleteUploadBody, ahead: JoinedParts | None = None
) -> response_objects.Json:
    """Make a file of the parts, in the order given; the file is as old as the upload (recording).

    What `join_ahead` has made of them is taken if the upload is still the same.

    Raises:
        ApiError: the upload is unknown or over; a part is unknown or named twice; size or md5 is not what was said.
    """
    account = service.account
    upload = _pending(account, identifier, now)
    content = ahead.content if ahead and ahead.upload is upload else _joined(upload, body)
    expires = expiry_of(account.dialect, upload.purpose, upload.file_expires_after)
    file = StoredFile(
        new_file_id(account),
        upload.filename,
        upload.purpose,
        content,
        upload.created_at,
        None if expires is None else upload.created_at + expires,
        _found(content) if upload.purpose == "fine-tune" else None,
    )
    completed = replace(upload, status="completed", parts=())
    service.commit(FileUploaded(file), UploadChanged(completed))
    return _shown(completed, now, find_file(account, file, now))


@operation
def cancel(service: Service, now: float, identifier: str) -> response_objects.Json:
    """Give an upload up; its parts are dropped."""
    cancelled = replace(_pending(service.account, identifier, now), status="cancelled", parts=())
    service.commit(UploadChanged(cancelled))
    return _shown(cancelled, now)


def _joined(upload: PartUpload, body: CompleteUploadBody) -> Blob:
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


def _found(content: Blob) -> Dataset:
    """What a job will find in the file; content that is no JSONL is no example, and fails the job."""
    try:
        return content.dataset()
    except NotJsonlError:
        return Dataset()


def _pending(account: Account, identifier: str, now: float) -> PartUpload:
    upload = account.uploads.get(identifier)
    if upload is None:
        raise unknown_upload(identifier)
    if (status := _status(upload, now)) != "pending":
        raise closed_upload(identifier, status)
    return upload


def _status(upload: PartUpload, now: float) -> str:
    return "expired" if upload.status == "pending" and now >= upload.expires_at else upload.status


def _size(upload: PartUpload) -> int:
    return sum(content.size for _, content in upload.parts)


def _shown(upload: PartUpload, now: float, made: response_objects.Json | None = None) -> response_objects.Json:
    return response_objects.upload(
        upload.id,
        upload.size,
        upload.created_at,
        upload.filename,
        upload.purpose,
        _status(upload, now),
        upload.expires_at,
        made,
    )
