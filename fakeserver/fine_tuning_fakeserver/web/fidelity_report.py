"""The fidelity ledger: everything that the fake answers with what backs it, its figures, and the README's table."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import api_errors
from ..api.schemas import file_schemas, grader_and_chat_schemas, job_schemas
from ..api.schemas.object_schema import ObjectSchema
from ..evidence import KINDS, Evidence, evidence_of
from .operations import OPERATIONS, SHARED_EVIDENCE

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
