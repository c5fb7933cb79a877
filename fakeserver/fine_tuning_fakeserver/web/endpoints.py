"""The surface: every route of the API that the fake answers, in one list."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..api import files, graders, jobs, models, permissions, uploads
from ..api.files import Download
from ..api.request_models import CompleteUploadBody, CreateJobBody, CreatePermissionsBody, CreateUploadBody, parse
from ..api_errors import ApiError, bad_file, missing_part
from ..grading.grader_models import RunGraderBody
from ..usage_errors import FakeUsageError, did_you_mean
from . import dialect_adapter, inference_endpoints
from .operation import Operation
from .request import ApiRequest, choice_of, json_body, limit_of, metadata_of
from .response import FILES, FINE_TUNING, INFERENCE, MODEL_DELETED, MODELS, UPLOADS, Response

# spec: default pages are 20 jobs, 20 events, 10 checkpoints, 10000 files. A script was seen to ask for 300 events;
# the upper bounds are inferred.
PAGE, CHECKPOINT_PAGE, PAGE_AT_MOST, FILES_AT_MOST = 20, 10, 1000, 10_000

# spec: a file is at most 512 MB, a part of an upload at most 64 MB.
FILE_BYTES_AT_MOST, PART_BYTES_AT_MOST = 512 * 1024 * 1024, 64 * 1024 * 1024

EXPIRES_AT_LEAST, EXPIRES_AT_MOST = 3600, 2_592_000
"""spec: ``expires_after[seconds]``."""


def _create_job(call: ApiRequest) -> Any:
    sent, dialect = json_body(call), call.service.account.dialect
    own = dialect_adapter.own_members(dialect, sent) if dialect.own_fields else None
    if dialect.suffix_at_most:
        dialect_adapter.check_suffix(dialect, sent)
    return jobs.create(call.service, parse(CreateJobBody, sent, dialect.complaints), own)


def _list_jobs(call: ApiRequest) -> Any:
    query = call.query
    return jobs.list_jobs(
        call.service,
        after=query.get("after"),
        limit=limit_of(query, PAGE, PAGE_AT_MOST),
        metadata=metadata_of(query),
        without_metadata=query.get("metadata") == "null",
    )


def _list_events(call: ApiRequest) -> Any:
    query = call.query
    limit = limit_of(query, PAGE, PAGE_AT_MOST)
    return jobs.list_events(call.service, call.path["job_id"], after=query.get("after"), limit=limit)


def _list_checkpoints(call: ApiRequest) -> Any:
    query = call.query
    limit = limit_of(query, CHECKPOINT_PAGE, PAGE_AT_MOST)
    return jobs.list_checkpoints(call.service, call.path["job_id"], after=query.get("after"), limit=limit)


def _of_job(verb: Callable[..., Any]) -> Callable[[ApiRequest], Any]:
    return lambda call: verb(call.service, call.path["job_id"])


def _upload_file(call: ApiRequest) -> Any:
    assert call.form is not None  # the operation takes a form
    if (part := call.form.parts.get("file")) is None:
        raise missing_part("file")
    upload = files.NewFile(
        part.content, part.filename or "upload", call.form.text("purpose"), _expires_after(call.form.text)
    )
    return files.upload(call.service, upload)


def _read_file_ahead(call: ApiRequest) -> Callable[[], Any] | None:
    assert call.form is not None  # the operation takes a form
    part = call.form.parts.get("file")
    return files.parse_ahead(part.content, call.form.text("purpose")) if part else None


def _expires_after(text: Callable[[str], str]) -> int | None:
    anchor, seconds = text("expires_after[anchor]"), text("expires_after[seconds]")
    if not anchor and not seconds:
        return None
    if anchor != "created_at":
        raise bad_file(f"'{anchor}' is not one of ['created_at'] - 'expires_after.anchor'")  # inferred
    if not (seconds.isdecimal() and len(seconds) < 16 and EXPIRES_AT_LEAST <= int(seconds) <= EXPIRES_AT_MOST):
        raise bad_file(
            f"{seconds} is not between {EXPIRES_AT_LEAST} and {EXPIRES_AT_MOST} - 'expires_after.seconds'"
        )  # inferred
    return int(seconds)


def _list_files(call: ApiRequest) -> Any:
    query = call.query
    return files.list_files(
        call.service,
        after=query.get("after"),
        limit=limit_of(query, FILES_AT_MOST, FILES_AT_MOST),
        purpose=query.get("purpose"),
        oldest_first=choice_of(query, "order", ("desc", "asc")) == "asc",
    )


def _of_file(verb: Callable[..., Any]) -> Callable[[ApiRequest], Any]:
    return lambda call: verb(call.service, call.path["file_id"])


_NOT_QUOTABLE = re.compile(r"[^ -~]")
"""What a file's name may have and a header may not: other scripts, and line ends most of all."""


def _file_content(call: ApiRequest) -> Response:
    """Raw bytes under the file's own name (recording of 2023-11)."""
    download: Download = files.content(call.service, call.path["file_id"])
    quoted = _NOT_QUOTABLE.sub("?", download.filename.replace('"', "'"))
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", b'attachment; filename="%s"' % quoted.encode("latin-1")),
    ]
    return Response(200, headers, download.chunks)


def _create_upload(call: ApiRequest) -> Any:
    return uploads.create(call.service, parse(CreateUploadBody, json_body(call)))


def _add_part(call: ApiRequest) -> Any:
    assert call.form is not None  # the operation takes a form
    if (part := call.form.parts.get("data")) is None:
        raise missing_part("data")
    return uploads.add_part(call.service, call.path["upload_id"], part.content)


def _complete_upload(call: ApiRequest) -> Any:
    body = parse(CompleteUploadBody, json_body(call))
    return uploads.complete(call.service, call.path["upload_id"], body, call.read_ahead_result)


def _join_parts_ahead(call: ApiRequest) -> Callable[[], Any] | None:
    try:
        body = parse(CompleteUploadBody, json_body(call))
    except ApiError:  # the verb's adapter will say so
        return None
    return uploads.join_ahead(call.service, call.path["upload_id"], body)


def _cancel_upload(call: ApiRequest) -> Any:
    return uploads.cancel(call.service, call.path["upload_id"])


def _grant(call: ApiRequest) -> Any:
    body = parse(CreatePermissionsBody, json_body(call))
    return permissions.grant(call.service, call.path["checkpoint"], body.project_ids)


def _list_permissions(call: ApiRequest) -> Any:
    query = call.query
    return permissions.list_permissions(
        call.service,
        call.path["checkpoint"],
        after=query.get("after"),
        limit=limit_of(query, CHECKPOINT_PAGE, PAGE_AT_MOST),
        project_id=query.get("project_id"),
        oldest_first=choice_of(query, "order", ("descending", "ascending")) == "ascending",
    )


def _revoke(call: ApiRequest) -> Any:
    return permissions.revoke(call.service, call.path["checkpoint"], call.path["permission_id"])


def _run_grader(call: ApiRequest) -> Any:
    return graders.run(call.service, graders.body_of(RunGraderBody, json_body(call)))


def _validate_grader(call: ApiRequest) -> Any:
    return graders.validate(call.service, json_body(call))


def _of_model(verb: Callable[..., Any]) -> Callable[[ApiRequest], Any]:
    return lambda call: verb(call.service, call.path["model"])


_UPLOAD = "/v1/uploads/{upload_id}"
_GRANTS = "/v1/fine_tuning/checkpoints/{checkpoint}/permissions"
_GRADERS = "/v1/fine_tuning/alpha/graders"
_JOBS, _JOB = "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/{job_id}"

OPERATIONS = (
    Operation("create_job", "POST", _JOBS, _create_job, FINE_TUNING),
    Operation("list_jobs", "GET", _JOBS, _list_jobs, FINE_TUNING),
    Operation("retrieve_job", "GET", _JOB, _of_job(jobs.retrieve), FINE_TUNING),
    Operation("cancel_job", "POST", _JOB + "/cancel", _of_job(jobs.cancel), FINE_TUNING),
    Operation("pause_job", "POST", _JOB + "/pause", _of_job(jobs.pause), FINE_TUNING),
    Operation("resume_job", "POST", _JOB + "/resume", _of_job(jobs.resume), FINE_TUNING),
    Operation("list_job_events", "GET", _JOB + "/events", _list_events, FINE_TUNING),
    Operation("list_job_checkpoints", "GET", _JOB + "/checkpoints", _list_checkpoints, FINE_TUNING),
    Operation("grant_permissions", "POST", _GRANTS, _grant, FINE_TUNING),
    Operation("list_permissions", "GET", _GRANTS, _list_permissions, FINE_TUNING),
    Operation("revoke_permission", "DELETE", _GRANTS + "/{permission_id}", _revoke, FINE_TUNING),
    Operation("run_grader", "POST", _GRADERS + "/run", _run_grader, FINE_TUNING),
    Operation("validate_grader", "POST", _GRADERS + "/validate", _validate_grader, FINE_TUNING),
    Operation("upload_file", "POST", "/v1/files", _upload_file, FILES, FILE_BYTES_AT_MOST, _read_file_ahead),
    Operation("list_files", "GET", "/v1/files", _list_files, FILES),
    Operation("retrieve_file", "GET", "/v1/files/{file_id}", _of_file(files.retrieve), FILES),
    Operation("delete_file", "DELETE", "/v1/files/{file_id}", _of_file(files.delete), FILES),
    Operation("download_file", "GET", "/v1/files/{file_id}/content", _file_content, FILES),
    Operation("create_upload", "POST", "/v1/uploads", _create_upload, UPLOADS),
    Operation("add_upload_part", "POST", _UPLOAD + "/parts", _add_part, UPLOADS, PART_BYTES_AT_MOST),
    Operation("complete_upload", "POST", _UPLOAD + "/complete", _complete_upload, UPLOADS, prepare=_join_parts_ahead),
    Operation("cancel_upload", "POST", _UPLOAD + "/cancel", _cancel_upload, UPLOADS),
    Operation("list_models", "GET", "/v1/models", lambda call: models.list_models(call.service), MODELS),
    Operation("retrieve_model", "GET", "/v1/models/{model}", _of_model(models.retrieve), MODELS),
    Operation("delete_model", "DELETE", "/v1/models/{model}", _of_model(models.delete), MODEL_DELETED),
    Operation("create_chat_completion", "POST", "/v1/chat/completions", inference_endpoints.chat, INFERENCE),
    Operation("create_completion", "POST", "/v1/completions", inference_endpoints.complete, INFERENCE),
)


NAMES = tuple(operation.name for operation in OPERATIONS)
PATHS = {operation.name: operation.path for operation in OPERATIONS}
"""The path of each operation that can be made to fail, by its name."""


def check_operation(name: object) -> str:
    """*name*, which must be an operation.

    Raises:
        FakeUsageError: there is none called so.
    """
    if isinstance(name, str) and name in NAMES:
        return name
    raise FakeUsageError(f"there is no operation {name!r}{did_you_mean(name, NAMES)}; there are {', '.join(NAMES)}")
