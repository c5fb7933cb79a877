"""Documents that are derived from the declarations of operations: the fidelity ledger and the OpenAPI document.

The ledger lists everything that the fake answers with the evidence that backs it, and its figures.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from fine_tuning_formats.lazy_dataclass import dataclass

from .. import api_errors
from ..api.files import PURPOSES
from ..api.schemas import file_schemas, grader_and_chat_schemas, job_schemas
from ..api.schemas.grader_and_chat_schemas import FILES_REFUSAL, REFUSAL
from ..api.schemas.object_schema import COMPONENTS, STRING, ObjectSchema, Schema, one_of, ref
from ..domain.dialects import DIALECTS
from ..domain.training_methods import METHODS
from ..evidence import KINDS, Evidence, evidence_of
from ..grading.grader_models import Grader
from ..version import VERSION
from .operation import Operation
from .operations import OPERATIONS, SHARED_EVIDENCE
from .response import dump

SCHEMA_MODULES = (job_schemas, file_schemas, grader_and_chat_schemas)
SCHEMAS: tuple[ObjectSchema, ...] = tuple(schema for module in SCHEMA_MODULES for schema in module.SCHEMAS)


@dataclass(frozen=True, slots=True)
class EvidenceEntry:
    """One thing that the fake answers: its area, its name, and what backs it."""

    area: str
    name: str
    evidence: Evidence

    def as_json(self) -> dict[str, str]:
        """Return the entry as the control API shows it."""
        return {
            "area": self.area,
            "name": self.name,
            "evidence": self.evidence.kind,
            "source": self.evidence.source,
            "date": self.evidence.date,
        }


def entries() -> Iterator[EvidenceEntry]:
    """Yield all entries, area by area.

    Raises:
        KeyError: a constructor in `api_errors` has no evidence.
    """
    of_operations = {operation.name: operation.evidence for operation in OPERATIONS}
    for name, answers in {**of_operations, "any route": SHARED_EVIDENCE}.items():
        for answer, evidence in answers.items():
            yield EvidenceEntry("answers" if _is_success(answer) else "refusals", f"{name} {answer}", evidence)
    for schema in SCHEMAS:
        for name, _, evidence in schema.members():
            yield EvidenceEntry("fields", f"{schema.name}.{name}", evidence)
    constructors = [
        (constructor in api_errors.SERVICE_FAILURES, name, constructor)  # failures of the service come last
        for name, constructor in inspect.getmembers(api_errors, inspect.isfunction)
        if constructor.__module__ == api_errors.__name__ and not name.startswith("_")
    ]
    for _, name, constructor in sorted(constructors, key=lambda item: item[:2]):
        if (backing := evidence_of(constructor)) is None:
            raise KeyError(f"api_errors.{name} has no evidence; mark it with @backed(...)")
        yield EvidenceEntry("errors", name, backing)
    for name, evidence in job_schemas.STATUSES.items():
        yield EvidenceEntry("statuses", name, evidence)
    for name, evidence in job_schemas.EVENT_TEXTS.items():
        yield EvidenceEntry("events", name, evidence)
    for name, evidence in job_schemas.STEP_TEXTS.items():
        yield EvidenceEntry("events", f"step, {name}", evidence)
    for dialect in DIALECTS.values():
        for name, evidence in dialect.evidence.items():
            yield EvidenceEntry(dialect.name, name, evidence)


def fidelity() -> dict[str, Any]:
    """Return the whole ledger: meanings of the kinds, figures by area, entries."""
    ledger = list(entries())
    areas = dict.fromkeys(entry.area for entry in ledger)
    return {
        "kinds": dict(KINDS),
        "total": figures(ledger),
        "areas": {area: figures(entry for entry in ledger if entry.area == area) for area in areas},
        "entries": [entry.as_json() for entry in ledger],
    }


def figures(ledger: Iterable[EvidenceEntry]) -> dict[str, Any]:
    """Count entries, in all and of each kind, with percentages."""
    counts = Counter(entry.evidence.kind for entry in ledger)
    total = sum(counts.values())
    kinds: dict[str, Any] = {
        kind: {"count": counts[kind], "percent": round(100 * counts[kind] / total, 1)} for kind in KINDS
    }
    return {"entries": total, **kinds}


def markdown() -> str:
    """Return the README's table of operations."""
    rows = [
        f"| `{operation.method} {operation.path}` | {_cell(operation.evidence, success=True)} "
        f"| {_cell(operation.evidence, success=False)} |"
        for operation in OPERATIONS
    ]
    return "\n".join(["| route | success | refusals |", "|---|---|---|", *rows]) + "\n"


def _cell(answers: Mapping[str, Evidence], *, success: bool) -> str:
    shown = {
        answer.removeprefix("200").strip(): evidence.kind
        for answer, evidence in answers.items()
        if _is_success(answer) is success
    }
    return "; ".join(f"{answer}: {kind}" if answer else kind for answer, kind in shown.items())


def _is_success(answer: str) -> bool:
    return answer.startswith("200")


FAKE_ERROR: Schema = {
    "type": "object",
    "properties": {"fake_error": STRING, "message": STRING},
    "required": ["fake_error", "message"],
    "additionalProperties": False,
}
SECURITY = "bearer"

STRICTER_MEMBERS: dict[tuple[str, str], Schema] = {("CreateUploadBody", "purpose"): one_of(*PURPOSES)}
"""Members that a model accepts in any spelling, because the API refuses them with a message of its own."""


@lru_cache(maxsize=1)
def openapi_bytes() -> bytes:
    """Return the document of all operations as JSON."""
    return dump(openapi_document(OPERATIONS), newline=True)


def openapi_document(operations: Iterable[Operation]) -> Schema:
    """Return the document of *operations*."""
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _path_item(operation)
    responses = {schema.name: schema.schema() for schema in SCHEMAS}
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
            "schemas": {**request_schemas(), **responses, "FakeError": FAKE_ERROR},
            "securitySchemes": {SECURITY: {"type": "http", "scheme": "bearer"}},
        },
    }


def _path_item(operation: Operation) -> Schema:
    statuses = sorted({int(answer[:3]) for answer in (*operation.evidence, *SHARED_EVIDENCE)})
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in operation.path_parameters
    ]
    in_query: list[Schema] = [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in operation.query.items()
    ]
    for parameter in in_query:
        if parameter["schema"].get("type") == "object":
            parameter |= {"style": "deepObject", "explode": True}
    item: Schema = {
        "operationId": operation.name,
        "tags": [operation.path.split("/")[2]],
        "parameters": [*in_path, *in_query],
    }
    body = {"multipart/form-data": operation.form} if operation.form else {}
    if request := operation.request:
        body = {"application/json": ref(request.__name__)}
    if body:
        content = {media_type: {"schema": schema} for media_type, schema in body.items()}
        item["requestBody"] = {"required": True, "content": content}
    return {**item, "responses": {str(status): _response(operation, status) for status in statuses}}


def _response(operation: Operation, status: int) -> Schema:
    media: dict[str, Schema] = {}
    if status == HTTPStatus.OK:
        in_json = {"application/json": ref(operation.response)} if operation.response else {}
        media = {**in_json, **operation.other_media}
    else:
        from_gateway = status == HTTPStatus.UNAUTHORIZED
        refusal = ref(FILES_REFUSAL if operation.group.error_detail and not from_gateway else REFUSAL)
        if status == HTTPStatus.BAD_REQUEST and operation.has_usage_errors:
            refusal = {"anyOf": [refusal, ref("FakeError")]}
        media = {"application/json": refusal}
    content = {media_type: {"schema": schema} for media_type, schema in media.items()}
    response: Schema = {"description": HTTPStatus(status).phrase, "content": content}
    for link in operation.links if status == HTTPStatus.OK else ():
        target: Schema = {"operationId": link.operation, "parameters": dict(link.parameters)}
        if link.body is not None:
            target["requestBody"] = dict(link.body)
        response.setdefault("links", {})[f"{link.operation} by {', '.join(link.parameters) or 'body'}"] = target
    return response


def request_schemas() -> dict[str, Schema]:
    """Return the schemas of all JSON bodies by name, as the models that check them have them; and of any grader."""
    template = COMPONENTS + "{model}"
    models = [(operation.request, "validation") for operation in OPERATIONS if operation.request]
    _, schema = models_json_schema(models, ref_template=template)  # type: ignore[arg-type]  # a list is invariant
    definitions: dict[str, Schema] = schema["$defs"]
    for (name, member), stricter in STRICTER_MEMBERS.items():
        definitions[name]["properties"][member] = stricter
    # reinforcement has its own part
    alternatives: dict[str, Schema] = {method: {"properties": {"type": {"const": method}}} for method in METHODS}
    alternatives["reinforcement"]["properties"]["reinforcement"] = {"type": "object"}
    alternatives["reinforcement"]["required"] = ["reinforcement"]
    definitions["MethodBody"]["oneOf"] = list(alternatives.values())
    grader: dict[str, Any] = TypeAdapter(Grader).json_schema(ref_template=template)
    grader.pop("$defs")
    return {**definitions, "Grader": grader}
