"""What the answers of a recording show, thing by thing: files, jobs, events, checkpoints, models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .recording import Json, RecordedExchange
from .route_of import operation_of

FILE, JOB, EVENT, CHECKPOINT = "file", "fine_tuning.job", "fine_tuning.job.event", "fine_tuning.job.checkpoint"
MODEL, UPLOAD, PART = "model", "upload", "upload.part"

_FILE: dict[str, Any] = {"created_at": int, "bytes": int, "filename": str, "purpose": str, "expires_at": int | None}
TYPES: dict[str, dict[str, Any]] = {
    FILE: _FILE,
    JOB: {
        "created_at": int,
        "status": str,
        "training_file": str,
        "organization_id": str | None,
        "hyperparameters": dict | None,
        "method": dict | None,
        "error": dict | None,
        "finished_at": int | None,
        "fine_tuned_model": str | None,
        "result_files": list | None,
        "trained_tokens": int | None,
    },
    EVENT: {"created_at": int, "message": str},
    CHECKPOINT: {"created_at": int, "step_number": int, "fine_tuned_model_checkpoint": str, "metrics": dict},
    MODEL: {"created": int, "owned_by": str},
    UPLOAD: _FILE,
    PART: {"created_at": int},
}
"""What a thing tells of itself; what tells less, or otherwise, tells nothing that could be put in."""

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A file or job of which a list tells no more than that it was there; a purpose is a file's."""

    kind: str
    id: str
    created_at: int
    purpose: str = ""


Sightings: TypeAlias = dict[str, list[Json]]
"""By id, in order of first sight: every state in which a thing was seen."""


def objects_in(answer: Any, kind: str) -> Iterator[Json]:
    """The things of a *kind* in an answer, at any depth."""
    if isinstance(answer, list):
        for item in answer:
            yield from objects_in(item, kind)
    elif isinstance(answer, dict):
        if answer.get("object") == kind and _is_whole(answer, kind):
            yield answer
        for member in answer.values():
            if isinstance(member, dict | list):
                yield from objects_in(member, kind)


def _is_whole(thing: Json, kind: str) -> bool:
    return all(isinstance(thing.get(name), each) for name, each in {"id": str, **TYPES[kind]}.items())


def observed_objects(exchanges: Iterable[RecordedExchange], kind: str) -> Sightings:
    """Everything of a *kind* that was seen."""
    seen: Sightings = {}
    for exchange in exchanges:
        for thing in objects_in(exchange.answer, kind):
            seen.setdefault(thing["id"], []).append(thing)
    return seen


def created_object(exchange: RecordedExchange) -> Json | None:
    """What an exchange made; None where it made nothing."""
    operation = operation_of(exchange)
    if operation is None or operation.makes is None or exchange.status != 200:
        return None
    return next(objects_in(exchange.answer, operation.makes.kind), None)


def created_ids(exchanges: Iterable[RecordedExchange]) -> frozenset[str]:
    """The ids of all that was made in the recording."""
    return frozenset(str(thing["id"]) for each in exchanges if (thing := created_object(each)) is not None)


def older_first(found: Sequence[Json], exchanges: Iterable[RecordedExchange]) -> list[Json]:
    """*found*, oldest first; of those of one second the order is that of the lists they were seen in."""
    rank: dict[str, int] = {}
    for exchange in exchanges:
        place = rank.get(exchange.query.get("after", ""), 0)
        items = exchange.items if exchange.query.get("order") != "asc" else exchange.items[::-1]
        for item in items:
            place = rank.setdefault(str(item.get("id")), place + 1)
    return sorted(found, key=lambda thing: (thing["created_at"], -rank.get(thing["id"], 0)))


def placeholders(
    exchanges: Iterable[RecordedExchange], operation: str, kind: str, found: Sightings
) -> list[Placeholder]:
    """What the pages of a list say there was besides what was *found*: something older, and unknown cursors."""
    asked = (each for each in exchanges if (route := operation_of(each)) and route.name == operation)
    pages = [page for page in asked if page.items and all(_is_whole(item, kind) for item in page.items)]
    cursors = {page.query["after"]: page for page in pages if "after" in page.query}
    unknown = [
        Placeholder(kind, cursor, page.items[0]["created_at"], page.query.get("purpose", ""))
        for cursor, page in cursors.items()
        if cursor not in found
    ]
    if any(page.members.get("has_more") is False for page in pages):
        return unknown
    oldest = min((states[0]["created_at"] for states in found.values()), default=0)
    ends = [page for page in pages if page.items[-1]["id"] not in cursors]
    more = {page.query.get("purpose", "") for page in ends if page.items[-1]["created_at"] == oldest}
    return unknown + [Placeholder(kind, f"{kind}-older-{purpose}", oldest - DAY, purpose) for purpose in sorted(more)]
