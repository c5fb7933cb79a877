"""Uploads: a file that comes in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fine_tuning_formats.row_rules import DataRules
from fine_tuning_formats.training_file import NotJsonlError

from ..account.account import Account, next_id
from ..account.blobs import MUCH_BYTES, Blob, BlobWriter
from ..account.records import FileUploaded, PartAdded, PartUpload, StoredFile, UploadChanged
from ..account.service import Service, operation
from ..api_errors import ApiError, bad_purpose, closed_upload, incomplete_upload, unknown_upload
from ..domain import ids
from ..domain.job_spec import Dataset
from .files import PURPOSES, expires_after, new_file_id, stored_file_object
from .response_objects import Json, upload_object

if TYPE_CHECKING:
    from .request_models import CompleteUploadBody, CreateUploadBody

OPEN_FOR = 3600.0
"""Seconds in which an upload must be completed (recordings UploadsTests)."""


@operation
def create(service: Service, now: float, body: CreateUploadBody) -> Json:
    """Begin an upload; any file name passes (recording: 8 bytes that are not JSONL are completed).

    Raises:
        ApiError: the purpose is unknown.
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
    """Store a part; parts may come in any order, and again: those that `complete` names count (spec).

    Raises:
        ApiError: the upload is unknown or over.
    """
    account = service.account
    _require_pending(account, identifier, now)
    reserved = account.named["part"]
    ordinal = len(account.parts.get(identifier, ()))
    part_id = reserved[0].id if reserved else ids.timed_id("part_", now, identifier, ordinal)
    service.commit(PartAdded(now, identifier, part_id, content))
    return {"id": part_id, "object": "upload.part", "created_at": int(now), "upload_id": identifier}


def join_ahead(service: Service, identifier: str, body: CompleteUploadBody) -> Callable[[], Blob | None] | None:
    """Return a function that joins and parses large parts without the lock; None for small ones.

    Its result is for `complete`. It returns None for parts that do not add up, which `complete` refuses.
    """
    with service.lock:
        upload, rules = service.account.uploads.get(identifier), service.account.dialect.data_rules
        parts = dict(service.account.parts.get(identifier, {}))
    if upload is None or sum(content.size for content in parts.values()) < MUCH_BYTES:
        return None

    def join() -> Blob | None:
        try:
            content = _join_parts(upload, parts, body)
        except ApiError:
            return None
        if upload.purpose == "fine-tune":
            _parse(content, rules)  # the content remembers what it holds
        return content

    return join


@operation
def complete(
    service: Service, now: float, identifier: str, body: CompleteUploadBody, joined: Blob | None = None
) -> Json:
    """Make a file of the parts, in the order of *body*; the file is as old as the upload (recording).

    Args:
        joined: what `join_ahead` has made of them.

    Raises:
        ApiError: the upload is unknown or over; a part is unknown or named twice; size or md5 do not match.
    """
    account = service.account
    upload = _require_pending(account, identifier, now)
    content = joined or _join_parts(upload, account.parts.get(identifier, {}), body)
    seconds = expires_after(account.dialect, upload.purpose, upload.file_expires_after)
    file = StoredFile(
        id=new_file_id(account),
        filename=upload.filename,
        purpose=upload.purpose,
        content=content,
        created_at=upload.created_at,
        expires_at=None if seconds is None else upload.created_at + seconds,
        dataset=_parse(content, account.dialect.data_rules) if upload.purpose == "fine-tune" else None,
    )
    completed = replace(upload, status="completed")
    service.commit(FileUploaded(file), UploadChanged(completed))
    return upload_object(completed, "completed", stored_file_object(account, file, now))


@operation
def cancel(service: Service, now: float, identifier: str) -> Json:
    """Cancel an upload; its parts are dropped."""
    cancelled = replace(_require_pending(service.account, identifier, now), status="cancelled")
    service.commit(UploadChanged(cancelled))
    return upload_object(cancelled, "cancelled")


def _join_parts(upload: PartUpload, parts: Mapping[str, Blob], body: CompleteUploadBody) -> Blob:
    writer, digest = BlobWriter(), hashlib.md5(usedforsecurity=False)
    named: set[str] = set()
    for part in body.part_ids:
        if part not in parts or part in named:
            raise incomplete_upload(f"{part} is no part of the upload, or is named twice.", "part_ids")
        named.add(part)
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


def _parse(content: Blob, rules: DataRules) -> Dataset:
    # Unlike an upload in one piece, content that is not JSONL is accepted: it has no examples, and fails the job.
    try:
        return content.dataset(rules)
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
