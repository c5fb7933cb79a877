"""Files and uploads in parts: each operation, and the function that runs it for a request."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..api import files, uploads
from ..api.files import PURPOSES
from ..api.schemas import file_schemas
from ..api.schemas.file_schemas import FILE, UPLOAD, UPLOAD_PART
from ..api.schemas.object_schema import BINARY, CURSOR, STRING, Schema, one_of, page_limit
from ..api_errors import ApiError, bad_file, missing_part, unexpected_parts
from ..evidence import inferred, printed, recorded
from .operation import FILES, FIRST_ID, ID, UPLOADS, Link, Operation, api_route, links_by, links_to
from .request import ApiRequest, by_id, choice_of, json_body, limit_of
from .response import ApiResponse
from .upload_form import UploadForm

FILES_AT_MOST = 10_000
"""spec: the default page; that it is the largest, too, is inferred."""

# spec: a file is at most 512 MB, a part of an upload at most 64 MB.
FILE_BYTES_AT_MOST, PART_BYTES_AT_MOST = 512 * 1024 * 1024, 64 * 1024 * 1024

EXPIRES_AT_LEAST, EXPIRES_AT_MOST = 3600, 2_592_000
"""spec: ``expires_after[seconds]``."""

FILE_ORDERS = ("desc", "asc")

_UNQUOTABLE = re.compile(r"[^ -~]")
"""Characters of file names that a header cannot have: other scripts, and line ends most of all."""


def upload_file(request: ApiRequest) -> Any:
    """Upload a whole file."""
    form = _check_form(request, _FILE_FORM)
    part = form.parts["file"]
    file = files.NewFile(part.content, part.filename or "upload", form.text("purpose"), _expires_after(form))
    return files.upload(request.service, file)


def parse_file_ahead(request: ApiRequest) -> Callable[[], Any] | None:
    """Return what parses an uploaded training file."""
    form = _form(request)
    part = form.parts.get("file")
    rules = request.service.account.dialect.data_rules
    return files.parse_ahead(part.content, form.text("purpose"), rules) if part else None


def _form(request: ApiRequest) -> UploadForm:
    assert request.form is not None  # the operation takes a form
    return request.form


def _check_form(request: ApiRequest, schema: Schema) -> UploadForm:
    """Return the form of a request.

    Raises:
        ApiError: it lacks a part that *schema* requires, or has one that it does not know.
    """
    form = _form(request)
    for name in sorted(schema["required"]):  # the file is missed first (printed, 2024-10)
        if name not in form.parts:
            raise missing_part(name)
    if unknown := sorted(form.parts.keys() - schema["properties"].keys()):
        raise unexpected_parts(unknown)
    return form


def _expires_after(form: UploadForm) -> int | None:
    anchor, seconds = form.text("expires_after[anchor]"), form.text("expires_after[seconds]")
    if not anchor and not seconds:
        return None
    if anchor != "created_at":
        raise bad_file(f"'{anchor}' is not one of ['created_at'] - 'expires_after.anchor'")  # inferred
    if not (seconds.isdecimal() and len(seconds) < 16 and EXPIRES_AT_LEAST <= int(seconds) <= EXPIRES_AT_MOST):
        raise bad_file(
            f"{seconds} is not between {EXPIRES_AT_LEAST} and {EXPIRES_AT_MOST} - 'expires_after.seconds'"
        )  # inferred
    return int(seconds)


def list_files(request: ApiRequest) -> Any:
    """List files, newest first unless the request has another order."""
    return files.list_files(request.service, **_page_of(request))


def size_page_ahead(request: ApiRequest) -> Callable[[], object] | None:
    """Return what learns the sizes of long result files that a list will show."""
    try:
        return files.page_sizes_ahead(request.service, **_page_of(request))
    except ApiError:  # the list itself is refused, unless a script answers
        return None


def _page_of(request: ApiRequest) -> dict[str, Any]:
    query = request.query
    return {
        "after": query.get("after"),
        "limit": limit_of(query, FILES_AT_MOST, FILES_AT_MOST),
        "purpose": query.get("purpose"),
        "oldest_first": choice_of(query, "order", FILE_ORDERS) == "asc",
    }


def download_file(request: ApiRequest) -> ApiResponse:
    """Send a file's bytes under its own name (recording of 2023-11)."""
    download = files.download(request.service, request.path["file_id"])
    filename = _UNQUOTABLE.sub("?", download.filename.replace('"', "'"))
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", b'attachment; filename="%s"' % filename.encode("latin-1")),
    ]
    return ApiResponse(200, headers, download.chunks)


def create_upload(request: ApiRequest) -> Any:
    """Begin an upload in parts."""
    from ..api.request_models import CreateUploadBody, parse

    return uploads.create(request.service, parse(CreateUploadBody, json_body(request)))


def add_upload_part(request: ApiRequest) -> Any:
    """Add one part to an upload."""
    part = _check_form(request, _PART_FORM).parts["data"]
    return uploads.add_part(request.service, request.path["upload_id"], part.content)


def complete_upload(request: ApiRequest) -> Any:
    """Make a file of an upload's parts."""
    from ..api.request_models import CompleteUploadBody, parse

    body = parse(CompleteUploadBody, json_body(request))
    return uploads.complete(request.service, request.path["upload_id"], body, request.read_ahead_result)


def join_parts_ahead(request: ApiRequest) -> Callable[[], Any] | None:
    """Return what joins an upload's parts, unless the request is invalid, which `complete_upload` reports."""
    from ..api.request_models import CompleteUploadBody, parse

    try:
        body = parse(CompleteUploadBody, json_body(request))
    except ApiError:
        return None
    return uploads.join_ahead(request.service, request.path["upload_id"], body)


_UNKNOWN_FILE = recorded("FilesTests", "2026-05")
_FILE_PURPOSE = recorded("UploadFileCanParseServiceError", "2026-05")
_PAGED = inferred("the answers for batches: BerriAI/litellm issue 37149, pull request 37198")
_CREATED = inferred("the family of creation's refusals")
_UPLOADS = recorded("UploadsTests", "2025-09")
_AS_FILES = inferred("the answer for an unknown file")
_UNSEEN = inferred("no refusal by this route was ever seen")

_FILE_FORM: Schema = {
    "type": "object",
    "properties": {
        "purpose": one_of(*PURPOSES),
        "file": BINARY,
        "expires_after[anchor]": one_of("created_at"),
        "expires_after[seconds]": {"type": "integer", "minimum": EXPIRES_AT_LEAST, "maximum": EXPIRES_AT_MOST},
    },
    "required": ["purpose", "file"],
    "additionalProperties": False,
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
}

_PART_FORM: Schema = {
    "type": "object",
    "properties": {"data": BINARY},
    "required": ["data"],
    "additionalProperties": False,
}

_FORM_FIELDS = printed("uploads that lack the file, or have a field that there is not", "2024 to 2026")

FILE_OPERATIONS = (
    Operation(
        *api_route("upload_file"),
        run=upload_file,
        group=FILES,
        prepare=parse_file_ahead,
        form=_FILE_FORM,
        file_bytes_at_most=FILE_BYTES_AT_MOST,
        response=FILE,
        makes=FILE,
        made_id="file_id",
        links=(
            *links_by("file_id", ID),
            Link("create_job", {}, {"model": "gpt-4o-mini", "training_file": ID}),
        ),
        evidence={
            "200": recorded("UploadFile", "2026-05"),
            "400 purpose": _FILE_PURPOSE,
            "400 fields": _FORM_FIELDS,
            "400 name, JSONL": printed("uploads of what is no JSONL", "2023-12, 2024"),
            "400 form": printed("uploads whose form was none, or could not be parsed", "2023-01, 2024-11"),
            "400 emptiness, expiry": inferred("the texts for other faults"),
        },
    ),
    Operation(
        *api_route("list_files"),
        run=list_files,
        prepare=size_page_ahead,
        seldom_prepares=True,
        group=FILES,
        query={
            "after": CURSOR,
            "limit": page_limit(FILES_AT_MOST, FILES_AT_MOST),
            "purpose": STRING,
            "order": one_of(*FILE_ORDERS),
        },
        response=file_schemas.FILE_PAGE,
        links=links_to(["list_files"], "after", FIRST_ID),
        evidence={"200": recorded("ListFiles", "2026-05"), "400 limit, after, order": _PAGED},
    ),
    Operation(
        *api_route("retrieve_file"),
        run=by_id("file_id", files.retrieve),
        prepare=by_id("file_id", files.size_ahead),
        seldom_prepares=True,
        group=FILES,
        response=FILE,
        evidence={"200": recorded("GetFile", "2026-05"), "404": _UNKNOWN_FILE},
    ),
    Operation(
        *api_route("delete_file"),
        run=by_id("file_id", files.delete),
        group=FILES,
        response=file_schemas.FILE_DELETED,
        evidence={"200": recorded("DeleteFile", "2026-05"), "404": _UNKNOWN_FILE},
    ),
    Operation(
        *api_route("download_file"),
        run=download_file,
        prepare=by_id("file_id", files.content_ahead),
        seldom_prepares=True,
        group=FILES,
        other_media={"application/octet-stream": BINARY},
        evidence={
            "200": recorded("files_content", "2023-11"),
            "200 base64 of result files": printed("notebooks that decode result files", "2024-06"),
            "400 purpose": printed("answers to downloads", "2024, 2025"),
            "404": _UNKNOWN_FILE,
        },
    ),
    Operation(
        *api_route("create_upload"),
        run=create_upload,
        group=UPLOADS,
        body="api.request_models.CreateUploadBody",
        response=UPLOAD,
        makes=UPLOAD,
        made_id="upload_id",
        links=links_by("upload_id", ID),
        evidence={
            "200": _UPLOADS,
            "400 purpose": inferred("the answer of the files' route"),
            "400 other fields": _CREATED,
        },
    ),
    Operation(
        *api_route("add_upload_part"),
        run=add_upload_part,
        group=UPLOADS,
        form=_PART_FORM,
        file_bytes_at_most=PART_BYTES_AT_MOST,
        response=UPLOAD_PART,
        makes=UPLOAD_PART,
        links=(
            Link("complete_upload", {"upload_id": "$response.body#/upload_id"}, {"part_ids": [ID]}),
            *links_to(["add_upload_part", "cancel_upload"], "upload_id", "$response.body#/upload_id"),
        ),
        evidence={"200": _UPLOADS, "400": _UNSEEN, "404": _AS_FILES},
    ),
    Operation(
        *api_route("complete_upload"),
        run=complete_upload,
        group=UPLOADS,
        prepare=join_parts_ahead,
        body="api.request_models.CompleteUploadBody",
        response=UPLOAD,
        makes=FILE,
        links=links_by("file_id", "$response.body#/file/id"),
        evidence={"200": _UPLOADS, "400": _UNSEEN, "404": _AS_FILES},
    ),
    Operation(
        *api_route("cancel_upload"),
        run=by_id("upload_id", uploads.cancel),
        group=UPLOADS,
        response=UPLOAD,
        evidence={"200": _UPLOADS, "400": _UNSEEN, "404": _AS_FILES},
    ),
)
