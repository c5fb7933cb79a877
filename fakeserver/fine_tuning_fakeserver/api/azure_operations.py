"""What only Azure offers: delete a job, import a file from a URL, copy a checkpoint to another resource.

Source: Microsoft's REST reference, and its guides. No answer of the service was ever seen.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import Field

from ..account.blobs import Blob
from ..account.records import CheckpointCopied, JobDeleted
from ..account.service import Service, operation
from ..api_errors import ApiError, illegal_state, unknown_checkpoint
from ..domain.timeline import TERMINAL
from ..grading.body_types import Body
from . import files
from .jobs import find_job
from .response_objects import Json, checkpoint_objects


class ImportFileBody(Body):
    """``POST /files/import``."""

    purpose: str
    filename: str = Field(min_length=1)
    content_url: str = Field(min_length=1)


class CopyCheckpointBody(Body):
    """``POST …/checkpoints/{checkpoint}/copy``."""

    destinationResourceId: str = Field(min_length=1)  # its name on the wire
    region: str = Field(min_length=1)


@operation
def delete_job(service: Service, now: float, identifier: str) -> None:
    """Delete a job that is over.

    Raises:
        ApiError: it is unknown, or not over (inferred).
    """
    status = find_job(service.account, identifier).timeline().status(now)
    if status not in TERMINAL:
        raise illegal_state("delete", identifier, status)
    service.commit(JobDeleted(identifier))


def import_file(service: Service, body: ImportFileBody) -> Json:
    """Import a file: the content of a ``data:`` URL; any other is not fetched, and turns to an error.

    Raises:
        ApiError: the purpose or the name is refused.
    """
    content = _content_of(body.content_url)
    if content is None:
        files.check_purpose(body.purpose)
        broken = files.NewFile(Blob.of(b""), body.filename, body.purpose)
        return files.store_file(service, broken, None, is_broken=True)
    file = files.NewFile(Blob.of(content), body.filename, body.purpose)
    try:
        dataset = files.check_new_file(file, service.account.dialect)
    except ApiError:  # its content is looked at later than the request is answered
        return files.store_file(service, file, None, is_broken=True)
    return files.store_file(service, file, dataset)


def _content_of(url: str) -> bytes | None:
    """Return the content of a ``data:`` URL; None for any other."""
    import base64

    scheme, _, rest = url.partition(":")
    kind, comma, data = rest.partition(",")
    if scheme.lower() != "data" or not comma:
        return None
    raw = unquote_to_bytes(data)
    try:
        return base64.b64decode(raw, validate=True) if kind.endswith(";base64") else raw
    except ValueError:
        return None


@operation
def copy_checkpoint(service: Service, now: float, job_id: str, checkpoint_id: str, body: CopyCheckpointBody) -> Json:
    """Copy a checkpoint to another resource."""
    model = _checkpoint_model(service, now, job_id, checkpoint_id)
    service.commit(CheckpointCopied(job_id, checkpoint_id, body.destinationResourceId, body.region))
    return _copies_object(service, job_id, checkpoint_id, model)


@operation
def list_checkpoint_copies(service: Service, now: float, job_id: str, checkpoint_id: str) -> Json:
    """Return the copies of a checkpoint, all of them complete."""
    model = _checkpoint_model(service, now, job_id, checkpoint_id)
    return _copies_object(service, job_id, checkpoint_id, model)


def _checkpoint_model(service: Service, now: float, job_id: str, checkpoint_id: str) -> str:
    job = find_job(service.account, job_id)
    timeline = job.timeline()
    has_checkpoints = timeline.status(now) == "succeeded"
    for point in checkpoint_objects(job, timeline, service.account.dialect) if has_checkpoints else []:
        if checkpoint_id in (point["id"], point["fine_tuned_model_checkpoint"]):
            return str(point["fine_tuned_model_checkpoint"])
    raise unknown_checkpoint(checkpoint_id)


def _copies_object(service: Service, job_id: str, checkpoint_id: str, model: str) -> dict[str, Any]:
    copies = service.account.copies.get((job_id, checkpoint_id), [])
    details = [
        {"destinationResourceId": copy.destination, "region": copy.region, "status": "Completed"} for copy in copies
    ]
    return {"checkpointedModelName": model, "fineTuningJobId": job_id, "copiedAccountDetails": details}
