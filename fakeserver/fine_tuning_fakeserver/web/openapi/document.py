"""The OpenAPI document: each route with what it takes and every answer it can give."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from ...fidelity import file_schemas, grader_and_chat_schemas, job_schemas
from ...fidelity.report import SHAPES
from ...fidelity.routes import statuses
from ...fidelity.schema import STRING, ObjectSchema, Schema, ref
from ...version import version
from ..endpoints import OPERATIONS
from ..operation import Operation
from ..response import FILES, dump
from . import request_schemas
from .links import links

ANSWERS: dict[str, ObjectSchema] = {
    "create_job": job_schemas.JOB,
    "list_jobs": file_schemas.JOB_PAGE,
    "retrieve_job": job_schemas.JOB,
    "cancel_job": job_schemas.JOB,
    "pause_job": job_schemas.JOB,
    "resume_job": job_schemas.JOB,
    "list_job_events": file_schemas.EVENT_PAGE,
    "list_job_checkpoints": file_schemas.CHECKPOINT_PAGE,
    "grant_permissions": file_schemas.PERMISSION_PAGE,
    "list_permissions": file_schemas.PERMISSION_PAGE,
    "revoke_permission": file_schemas.PERMISSION_DELETED,
    "run_grader": grader_and_chat_schemas.GRADER_RUN,
    "validate_grader": grader_and_chat_schemas.GRADER_VALIDATED,
    "upload_file": file_schemas.FILE,
    "list_files": file_schemas.FILE_PAGE,
    "retrieve_file": file_schemas.FILE,
    "delete_file": file_schemas.FILE_DELETED,
    "create_upload": file_schemas.UPLOAD,
    "add_upload_part": file_schemas.UPLOAD_PART,
    "complete_upload": file_schemas.UPLOAD,
    "cancel_upload": file_schemas.UPLOAD,
    "list_models": file_schemas.MODEL_LIST,
    "retrieve_model": file_schemas.MODEL,
    "delete_model": file_schemas.MODEL_DELETED,
    "create_chat_completion": grader_and_chat_schemas.CHAT,
    "create_completion": grader_and_chat_schemas.COMPLETION,
}
CHUNK: Schema = {
    "type": "string",
    "contentMediaType": "application/json",
    "contentSchema": ref(grader_and_chat_schemas.CHUNK),
}
EVENT: Schema = {
    "type": "object",
    "description": "One server-sent event.",
    "properties": {"data": {"anyOf": [CHUNK, {"const": "[DONE]"}]}},
    "required": ["data"],
}
OTHER_MEDIA: dict[str, dict[str, Schema]] = {
    "download_file": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    "create_chat_completion": {"text/event-stream": {"schema": EVENT}},
}
"""What is answered with 200 besides JSON."""

TELLS_ITS_USER = frozenset({"create_job", "run_grader"})
"""Operations that may answer 400 with ``fake_error``: what is asked is for the fake, and it cannot be done."""

FAKE_ERROR: Schema = {
    "type": "object",
    "properties": {"fake_error": STRING, "message": STRING},
    "required": ["fake_error", "message"],
    "additionalProperties": False,
}
SECURITY = "bearer"


@lru_cache(maxsize=1)
def as_bytes() -> bytes:
    """The document, written once."""
    return dump(document(OPERATIONS), newline=True)


def document(operations: Iterable[Operation]) -> Schema:
    """The document of these routes."""
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    schemas = {**request_schemas.schemas(), **{shape.name: shape.schema() for shape in SHAPES}, "FakeError": FAKE_ERROR}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fake-fine-tuning",
            "version": version(),
            "description": "What the fake answers. A key may be any text, unless the account says which.",
        },
        "servers": [{"url": "/"}],
        "security": [{SECURITY: []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {SECURITY: {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation) -> Schema:
    described: Schema = {
        "operationId": operation.name,
        "tags": [operation.path.split("/")[2]],
        "parameters": request_schemas.parameters(operation.name, operation.path),
    }
    if body := request_schemas.body(operation.name):
        described["requestBody"] = body
    answers = {str(status): _answer(operation, status) for status in statuses(operation.name)}
    return {**described, "responses": answers}


def _answer(operation: Operation, status: int) -> Schema:
    answer = {"description": HTTPStatus(status).phrase, "content": _content(operation, status)}
    onward = links(operation.name) if status == HTTPStatus.OK else {}
    return {**answer, "links": onward} if onward else answer


def _content(operation: Operation, status: int) -> Schema:
    if status == HTTPStatus.OK:
        shape = ANSWERS.get(operation.name)
        in_json = {"application/json": {"schema": ref(shape)}} if shape else {}
        return {**in_json, **OTHER_MEDIA.get(operation.name, {})}
    of_files = operation.group is FILES and status != HTTPStatus.UNAUTHORIZED  # which is the gateway's
    refusal = ref(grader_and_chat_schemas.FILES_REFUSAL if of_files else grader_and_chat_schemas.REFUSAL)
    if status == HTTPStatus.BAD_REQUEST and operation.name in TELLS_ITS_USER:
        refusal = {"anyOf": [refusal, ref("FakeError")]}
    return {"application/json": {"schema": refusal}}
