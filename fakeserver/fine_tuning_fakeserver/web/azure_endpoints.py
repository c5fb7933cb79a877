"""Operations that only Azure has, on paths where OpenAI has none: each with the function that runs it for a request."""

from __future__ import annotations

from typing import Any

from ..api import azure_operations
from ..api.request_models import parse
from ..api.schemas.file_schemas import FILE
from ..api_errors import missing_header
from ..evidence import inferred, vendor
from .operation import FILES, FINE_TUNING, Operation, api_route
from .request import ApiRequest, json_body
from .response import ApiResponse

COPY_HEADER, COPY_VALUE = "aoai-copy-ft-checkpoints", "preview"


def delete_job(request: ApiRequest) -> ApiResponse:
    """Delete a job that is over."""
    azure_operations.delete_job(request.service, request.path["job_id"])
    return ApiResponse(204, [], b"")


def import_file(request: ApiRequest) -> Any:
    """Import a file from a URL."""
    return azure_operations.import_file(request.service, parse(azure_operations.ImportFileBody, json_body(request)))


def copy_checkpoint(request: ApiRequest) -> Any:
    """Copy a checkpoint to another resource."""
    _check_copy_header(request)
    body = parse(azure_operations.CopyCheckpointBody, json_body(request))
    return azure_operations.copy_checkpoint(request.service, request.path["job_id"], request.path["checkpoint"], body)


def list_checkpoint_copies(request: ApiRequest) -> Any:
    """List the copies of a checkpoint."""
    _check_copy_header(request)
    return azure_operations.list_checkpoint_copies(request.service, request.path["job_id"], request.path["checkpoint"])


def _check_copy_header(request: ApiRequest) -> None:
    if request.header(COPY_HEADER.encode()) != COPY_VALUE:
        raise missing_header(COPY_HEADER, COPY_VALUE)


_REFERENCE = vendor("the REST reference", "2024-10 to 2025")
_UNSEEN = inferred("no refusal by this route was ever seen")

AZURE_OPERATIONS = (
    Operation(
        *api_route("delete_job"),
        run=delete_job,
        group=FINE_TUNING,
        evidence={"204": _REFERENCE, "409 not over": _UNSEEN},
    ),
    Operation(
        *api_route("import_file"),
        run=import_file,
        group=FILES,
        body="api.azure_operations.ImportFileBody",
        response=FILE,
        makes=FILE,
        made_id="file_id",
        evidence={"201": _REFERENCE, "400": _UNSEEN},
    ),
    Operation(
        *api_route("copy_checkpoint"),
        run=copy_checkpoint,
        group=FINE_TUNING,
        body="api.azure_operations.CopyCheckpointBody",
        evidence={"200": _REFERENCE, "400, 404": _UNSEEN},
    ),
    Operation(
        *api_route("list_checkpoint_copies"),
        run=list_checkpoint_copies,
        group=FINE_TUNING,
        evidence={"200": _REFERENCE, "400, 404": _UNSEEN},
    ),
)
"""Before the others when a path is looked up: ``/files/import`` is no file."""
