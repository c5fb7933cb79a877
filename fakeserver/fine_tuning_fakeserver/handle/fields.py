"""What can be asked about a call: which operations there are, and which fields each of them takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ..bodies import CompleteUploadBody, CreateJobBody, CreatePermissionsBody, CreateUploadBody
from ..domain.usage import FakeUsageError, nearest
from ..grader_bodies import RunGraderBody

_PAGE = ("after", "limit")
_OWN: Mapping[str, Collection[str]] = {
    "create_job": (*CreateJobBody.model_fields, "job_id"),
    "list_jobs": (*_PAGE, "metadata"),
    "retrieve_job": ("job_id",),
    "cancel_job": ("job_id",),
    "pause_job": ("job_id",),
    "resume_job": ("job_id",),
    "list_job_events": ("job_id", *_PAGE),
    "list_job_checkpoints": ("job_id", *_PAGE),
    "grant_permissions": ("checkpoint", *CreatePermissionsBody.model_fields),
    "list_permissions": ("checkpoint", *_PAGE, "order", "project_id"),
    "revoke_permission": ("checkpoint", "permission_id"),
    "run_grader": tuple(RunGraderBody.model_fields),
    "validate_grader": ("grader",),
    "upload_file": ("file_id", "filename", "purpose", "bytes", "expires_after[anchor]", "expires_after[seconds]"),
    "list_files": (*_PAGE, "order", "purpose"),
    "retrieve_file": ("file_id",),
    "delete_file": ("file_id",),
    "download_file": ("file_id",),
    "create_upload": ("upload_id", *CreateUploadBody.model_fields),
    "add_upload_part": ("upload_id", "filename", "bytes"),
    "complete_upload": ("upload_id", *CompleteUploadBody.model_fields),
    "cancel_upload": ("upload_id",),
    "list_models": (),
    "retrieve_model": ("model_id",),
    "delete_model": ("model_id",),
}
"""The fields of each operation; the two that ask a model take any, since the fake reads but a few of theirs."""


def check_fields(operation: str, asked: Iterable[str], also: Iterable[str]) -> None:
    """Refuse a field that no call of *operation* could have, and that none had: *also* are those that were seen.

    Raises:
        FakeUsageError: there is no such field.
    """
    if operation not in _OWN:
        return
    known = sorted({*_OWN[operation], *also, "status"})
    for name in asked:
        if name not in known:
            raise FakeUsageError(
                f"{operation} has no field {name!r}{nearest(name, known)}; there are {', '.join(known)}"
            )
