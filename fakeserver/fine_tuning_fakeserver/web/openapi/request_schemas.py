"""What each operation takes: query parameters, and a body as JSON or as a form."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from ...api.files import PURPOSES
from ...api.request_models import CompleteUploadBody, CreateJobBody, CreatePermissionsBody, CreateUploadBody
from ...domain.training_methods import METHODS
from ...fidelity.schema import COMPONENTS, STRING, Schema, one_of
from ...grading.grader_models import Grader, RunGraderBody, ValidateGraderBody
from ..endpoints import CHECKPOINT_PAGE, EXPIRES_AT_LEAST, EXPIRES_AT_MOST, FILES_AT_MOST, PAGE, PAGE_AT_MOST
from ..inference_endpoints import ChatBody, CompletionBody

BODIES: dict[str, type[BaseModel]] = {
    "create_job": CreateJobBody,
    "grant_permissions": CreatePermissionsBody,
    "run_grader": RunGraderBody,
    "validate_grader": ValidateGraderBody,
    "create_upload": CreateUploadBody,
    "complete_upload": CompleteUploadBody,
    "create_chat_completion": ChatBody,
    "create_completion": CompletionBody,
}

_BINARY: Schema = {"type": "string", "format": "binary"}
FORMS: dict[str, Schema] = {
    "upload_file": {
        "type": "object",
        "properties": {
            "purpose": one_of(*PURPOSES),
            "file": _BINARY,
            "expires_after[anchor]": one_of("created_at"),
            "expires_after[seconds]": {"type": "integer", "minimum": EXPIRES_AT_LEAST, "maximum": EXPIRES_AT_MOST},
        },
        "required": ["purpose", "file"],
        "dependentRequired": {
            "expires_after[anchor]": ["expires_after[seconds]"],
            "expires_after[seconds]": ["expires_after[anchor]"],
        },
    },
    "add_upload_part": {"type": "object", "properties": {"data": _BINARY}, "required": ["data"]},
}


_CURSOR: Schema = {"type": "string", "minLength": 1}


def _limit(default: int, most: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


QUERIES: dict[str, dict[str, Schema]] = {
    "list_jobs": {
        "after": _CURSOR,
        "limit": _limit(PAGE, PAGE_AT_MOST),
        "metadata": {"type": "object", "additionalProperties": STRING},
    },
    "list_job_events": {"after": _CURSOR, "limit": _limit(PAGE, PAGE_AT_MOST)},
    "list_job_checkpoints": {"after": _CURSOR, "limit": _limit(CHECKPOINT_PAGE, PAGE_AT_MOST)},
    "list_permissions": {
        "after": _CURSOR,
        "limit": _limit(CHECKPOINT_PAGE, PAGE_AT_MOST),
        "project_id": STRING,
        "order": one_of("descending", "ascending"),
    },
    "list_files": {
        "after": _CURSOR,
        "limit": _limit(FILES_AT_MOST, FILES_AT_MOST),
        "purpose": STRING,
        "order": one_of("desc", "asc"),
    },
}


STRICTER: dict[tuple[str, str], Schema] = {("CreateUploadBody", "purpose"): one_of(*PURPOSES)}
"""Members of bodies that a verb checks, which has words of its own for them."""


def _only_its_own_part(method: str) -> Schema:
    """What ``method`` is when it is this one: no other's part, and reinforcement's own."""
    others: Schema = {name: {"type": "null"} for name in METHODS if name != method}
    told: Schema = {"properties": {"type": {"const": method}, **others}}
    if method == "reinforcement":
        told["properties"][method] = {"type": "object"}
        told["required"] = [method]
    return told


def schemas() -> dict[str, Schema]:
    """The schemas of all JSON bodies by name, as the models have them that check requests; and of any grader."""
    template = COMPONENTS + "{model}"
    models = [(model, "validation") for model in BODIES.values()]
    _, found = models_json_schema(models, ref_template=template)  # type: ignore[arg-type]  # a list is invariant
    for (name, member), schema in STRICTER.items():
        found["$defs"][name]["properties"][member] = schema
    found["$defs"]["MethodBody"]["oneOf"] = [_only_its_own_part(method) for method in METHODS]
    grader: dict[str, Any] = TypeAdapter(Grader).json_schema(ref_template=template)
    grader.pop("$defs")
    return {**found["$defs"], "Grader": grader}


def parameters(operation: str, path: str) -> list[Schema]:
    """The parameters of an operation, those in its path first."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]
    return [*in_path, *(_in_query(name, schema) for name, schema in QUERIES.get(operation, {}).items())]


def _in_query(name: str, schema: Schema) -> Schema:
    told: Schema = {"name": name, "in": "query", "required": False, "schema": schema}
    return {**told, "style": "deepObject", "explode": True} if schema.get("type") == "object" else told


def body(operation: str) -> Schema | None:
    """The request body of an operation, where it has one."""
    if operation in FORMS:
        return {"required": True, "content": {"multipart/form-data": {"schema": FORMS[operation]}}}
    if operation not in BODIES:
        return None
    schema = {"$ref": COMPONENTS + BODIES[operation].__name__}
    return {"required": True, "content": {"application/json": {"schema": schema}}}
