"""The OpenAPI document: each route with what it takes and every answer it can give."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

from ...ledger import files, jobs, others
from ...ledger.report import SHAPES
from ...ledger.routes import statuses
from ...ledger.shapes import STRING, Schema, Shape, ref
from ...version import VERSION
from ..answers import FILES, dump
from ..routes import OPERATIONS, Operation
from . import requests
from .links import links

ANSWERS: dict[str, Shape] = {
    "create_job": jobs.JOB,
    "list_jobs": files.JOB_PAGE,
    "retrieve_job": jobs.JOB,
    "cancel_job": jobs.JOB,
    "pause_job": jobs.JOB,
    "resume_job": jobs.JOB,
    "list_job_events": files.EVENT_PAGE,
    "list_job_checkpoints": files.CHECKPOINT_PAGE,
    "grant_permissions": files.PERMISSION_PAGE,
    "list_permissions": files.PERMISSION_PAGE,
    "revoke_permission": files.PERMISSION_DELETED,
    "run_grader": others.GRADER_RUN,
    "validate_grader": others.GRADER_VALIDATED,
    "upload_file": files.FILE,
    "list_files": files.FILE_PAGE,
    "retrieve_file": files.FILE,
    "delete_file": files.FILE_DELETED,
    "create_upload": files.UPLOAD,
    "add_upload_part": files.UPLOAD_PART,
    "complete_upload": files.UPLOAD,
    "cancel_upload": files.UPLOAD,
    "list_models": files.MODEL_LIST,
    "retrieve_model": files.MODEL,
    "delete_model": files.MODEL_DELETED,
    "create_chat_completion": others.CHAT,
    "create_completion": others.COMPLETION,
}
CHUNK: Schema = {"type": "string", "contentMediaType": "application/json", "contentSchema": ref(others.CHUNK)}
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
    schemas = {**requests.schemas(), **{shape.name: shape.schema() for shape in SHAPES}, "FakeError": FAKE_ERROR}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fake-fine-tuning",
            "version": VERSION,
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
        "parameters": requests.parameters(operation.name, operation.path),
    }
    if body := requests.body(operation.name):
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
    of_files = operation.family is FILES and status != HTTPStatus.UNAUTHORIZED  # which is the gateway's
    refusal = ref(others.FILES_REFUSAL if of_files else others.REFUSAL)
    if status == HTTPStatus.BAD_REQUEST and operation.name in TELLS_ITS_USER:
        refusal = {"anyOf": [refusal, ref("FakeError")]}
    return {"application/json": {"schema": refusal}}
