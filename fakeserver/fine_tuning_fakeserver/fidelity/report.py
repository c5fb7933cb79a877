"""The ledger as a whole: its entries, how many of each kind there are, and the README's table."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .. import api_errors
from ..evidence import KINDS, Evidence, evidence_of
from . import event_texts, file_schemas, grader_and_chat_schemas, job_schemas, reinforcement_schemas
from .routes import EVERYWHERE, ROUTES, RouteEvidence
from .schema import ObjectSchema

MODULES = (job_schemas, reinforcement_schemas, file_schemas, grader_and_chat_schemas)
SHAPES: tuple[ObjectSchema, ...] = tuple(shape for module in MODULES for shape in module.SHAPES)


@dataclass(frozen=True, slots=True)
class EvidenceEntry:
    """One thing that the fake answers: in which area, under which name, and what backs it."""

    area: str
    name: str
    evidence: Evidence

    def as_json(self) -> dict[str, str]:
        """The entry as the control API shows it."""
        backed = self.evidence
        return {
            "area": self.area,
            "name": self.name,
            "evidence": backed.kind,
            "source": backed.source,
            "date": backed.date,
        }


def entries() -> Iterator[EvidenceEntry]:
    """All there is, area by area.

    Raises:
        KeyError: a constructor in `api_errors` has no evidence.
    """
    for operation, claims in {**ROUTES, "any route": EVERYWHERE}.items():
        for claim in claims:
            area = "answers" if claim.status == 200 else "refusals"
            yield EvidenceEntry(
                area, " ".join(filter(None, (operation, str(claim.status), claim.what))), claim.evidence
            )
    for shape in SHAPES:
        for name, _, evidence in shape.members():
            yield EvidenceEntry("fields", f"{shape.name}.{name}", evidence)
    for name, evidence in _of_errors():
        yield EvidenceEntry("errors", name, evidence)
    for area, table in (
        ("statuses", job_schemas.STATUSES),
        ("events", event_texts.EVENTS),
        ("events", event_texts.STEPS),
    ):
        for name, evidence in table.items():
            yield EvidenceEntry(area, name if table is not event_texts.STEPS else f"step, {name}", evidence)


def _of_errors() -> Iterator[tuple[str, Evidence]]:
    """Yield the constructors of `api_errors` with their evidence; those of `SERVICE_FAILURES` come last."""
    constructors = [
        (constructor in api_errors.SERVICE_FAILURES, name, constructor)
        for name, constructor in inspect.getmembers(api_errors, inspect.isfunction)
        if constructor.__module__ == api_errors.__name__ and not name.startswith("_")
    ]
    for _, name, constructor in sorted(constructors, key=lambda each: each[:2]):
        if (evidence := evidence_of(constructor)) is None:
            raise KeyError(f"api_errors.{name} has no evidence; mark it with @backed(...)")
        yield name, evidence


def fidelity() -> dict[str, Any]:
    """The whole ledger: meanings of the kinds, figures by area, entries."""
    found = list(entries())
    areas = dict.fromkeys(entry.area for entry in found)
    return {
        "kinds": dict(KINDS),
        "total": figures(found),
        "areas": {area: figures(entry for entry in found if entry.area == area) for area in areas},
        "entries": [entry.as_json() for entry in found],
    }


def figures(found: Iterable[EvidenceEntry]) -> dict[str, Any]:
    """How many entries there are, how many of each kind, and what percentage that is."""
    counts = Counter(entry.evidence.kind for entry in found)
    total = sum(counts.values())
    kinds: dict[str, Any] = {
        kind: {"count": counts[kind], "percent": round(100 * counts[kind] / total, 1)} for kind in KINDS
    }
    return {"entries": total, **kinds}


def markdown(operations: Iterable[tuple[str, str, str]]) -> str:
    """The README's table; *operations* are the names, methods and paths of the routes, in order."""
    rows = [
        f"| `{method} {path}` | {_told(ROUTES[name], success=True)} | {_told(ROUTES[name], success=False)} |"
        for name, method, path in operations
    ]
    return "\n".join(["| route | success | refusals |", "|---|---|---|", *rows]) + "\n"


def _told(claims: Iterable[RouteEvidence], *, success: bool) -> str:
    return "; ".join(_words(claim) for claim in claims if (claim.status == 200) is success)


def _words(claim: RouteEvidence) -> str:
    named = claim.what if claim.status == 200 else f"{claim.status} {claim.what}".strip()
    return f"{named}: {claim.evidence.kind}" if named else claim.evidence.kind
