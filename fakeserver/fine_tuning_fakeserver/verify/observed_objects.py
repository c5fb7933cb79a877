"""The objects that a recording shows in its answers, or of which it shows an id or events."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from fine_tuning_formats.job_rules import is_fine_tuned
from fine_tuning_formats.lazy_dataclass import dataclass

from ..domain.ids import model_time
from ..domain.timeline import MODEL_AFTER_S
from ..web.operations import OPERATIONS
from .recording import Json, RecordedExchange

FILE, JOB, EVENT, CHECKPOINT = "file", "fine_tuning.job", "fine_tuning.job.event", "fine_tuning.job.checkpoint"
MODEL, UPLOAD, PART = "model", "upload", "upload.part"

CREATED = (200, 201)
"""How a creation is answered, OpenAI's and Azure's."""

CREATORS = {operation.name: operation.makes.kind for operation in OPERATIONS if operation.makes}
"""Operations that create an object, with its kind."""

_FILE: dict[str, Any] = {"created_at": int, "bytes": int, "filename": str, "purpose": str, "expires_at": int | None}
REQUIRED: dict[str, dict[str, Any]] = {
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
"""The members of an object that can be seeded, with their types; one without them is passed over."""

DAY = 86_400

_STEP = re.compile(r"Step \d+/(\d+)")
_CHECKPOINT_AT = re.compile(r"Checkpoint created at step (\d+)")
_FILENAME = re.compile(r'filename="([^"]*)"')
_TRAINING = re.compile(r"Validating training file: ([\w-]+)(?: and validation file: ([\w-]+))?")
_MODEL = "New fine-tuned model created"

# The status from an event on, by how its message begins; the latest that a list may show comes first.
_STATUSES = (
    ("The job has successfully completed", "succeeded"),
    (_MODEL, "succeeded"),
    ("Step ", "running"),
    ("Fine-tuning job started", "running"),
    ("Files validated", "queued"),
)
SEEN_AT = "seen_at"
"""No member of a job: when it was seen, no earlier than anything that was seen of it."""

NO_FILE = "file-that-is-not-recorded"


ObjectStates: TypeAlias = dict[str, list[Json]]
"""By id, in order of first sight: every state in which an object was seen."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A file or job that is known from a list only, by its id and time; files have a purpose, too."""

    kind: str
    id: str
    created_at: int
    purpose: str = ""


def objects_in(answer: Any, kind: str) -> Iterator[Json]:
    """Return the objects of a *kind* in an answer, at any depth."""
    if isinstance(answer, list):
        for item in answer:
            yield from objects_in(item, kind)
    elif isinstance(answer, dict):
        if answer.get("object") == kind and _is_complete(answer, kind):
            yield answer
        for member in answer.values():
            if isinstance(member, dict | list):
                yield from objects_in(member, kind)


def _is_complete(item: Json, kind: str) -> bool:
    return all(isinstance(item.get(name), each) for name, each in {"id": str, **REQUIRED[kind]}.items())


def observed_objects(exchanges: Iterable[RecordedExchange], kind: str) -> ObjectStates:
    """Return every object of a *kind* that was seen."""
    states: ObjectStates = {}
    for exchange in exchanges:
        for item in objects_in(exchange.json, kind):
            states.setdefault(item["id"], []).append(item)
    return states


def created_object(exchange: RecordedExchange) -> Json | None:
    """Return the object that an exchange created; None if it created none."""
    kind = CREATORS.get(exchange.operation) if exchange.status in CREATED else None
    return next(objects_in(exchange.json, kind), None) if kind else None


def created_ids(exchanges: Iterable[RecordedExchange]) -> frozenset[str]:
    """Return the ids of all objects that were created in the recording."""
    return frozenset(str(item["id"]) for each in exchanges if (item := created_object(each)) is not None)


def oldest_first(items: Sequence[Json], exchanges: Iterable[RecordedExchange]) -> list[Json]:
    """Sort *items* by age; those of one second are in the order of the lists they were seen in."""
    rank: dict[str, int] = {}
    for exchange in exchanges:
        place = rank.get(exchange.query.get("after", ""), 0)
        for item in exchange.items if exchange.query.get("order") != "asc" else exchange.items[::-1]:
            place = rank.setdefault(str(item.get("id")), place + 1)
    return sorted(items, key=lambda item: (item["created_at"], -rank.get(item["id"], 0)))


def placeholders(
    exchanges: Iterable[RecordedExchange], operation: str, kind: str, known: ObjectStates
) -> list[Placeholder]:
    """Return what the pages of a list imply besides the *known*: something older, and unknown cursors."""
    lists = (each for each in exchanges if each.operation == operation)
    pages = [page for page in lists if page.items and all(_is_complete(item, kind) for item in page.items)]
    cursors = {page.query["after"]: page for page in pages if "after" in page.query}
    unknown = [
        Placeholder(kind, cursor, page.items[0]["created_at"], page.query.get("purpose", ""))
        for cursor, page in cursors.items()
        if cursor not in known
    ]
    if any(page.members.get("has_more") is False for page in pages):
        return unknown
    oldest = min((states[0]["created_at"] for states in known.values()), default=0)
    ends = [page for page in pages if page.items[-1]["id"] not in cursors]
    more = {page.query.get("purpose", "") for page in ends if page.items[-1]["created_at"] == oldest}
    return unknown + [Placeholder(kind, f"{kind}-older-{purpose}", oldest - DAY, purpose) for purpose in sorted(more)]


# Objects that no answer shows: only their id in a path that was answered, or their events.


def partly_seen_files(exchanges: Iterable[RecordedExchange], known: Collection[str]) -> list[Json]:
    """Return files that were read or deleted, and are not among the *known*."""
    files: dict[str, Json] = {}
    for exchange in exchanges:
        if exchange.status != 200 or exchange.operation not in ("download_file", "delete_file"):
            continue
        file_id = exchange.path.split("/")[3]
        if file_id in known:
            continue
        file = files.setdefault(file_id, {"id": file_id})
        if exchange.method == "GET":
            filename = _FILENAME.search(exchange.headers.get("content-disposition", ""))
            file |= {"bytes": len(exchange.body), **({"filename": filename[1]} if filename else {})}
    return list(files.values())


def partly_seen_models(exchanges: Iterable[RecordedExchange], known: Collection[str]) -> list[Json]:
    """Return fine-tuned models that were deleted or used, and are not among the *known*."""
    answered = [each for each in exchanges if each.status == 200]
    deleted = (each.members.get("id") for each in answered if each.operation == "delete_model")
    used = (each.request_members.get("model") for each in answered)
    return [
        {"id": name, "object": MODEL, "created": model_time(name) or 0, "owned_by": ""}
        for name in dict.fromkeys(str(model) for model in (*deleted, *used))
        if is_fine_tuned(name) and name not in known
    ]


def partly_seen_jobs(exchanges: Iterable[RecordedExchange], known: Collection[str]) -> Iterator[Json]:
    """Return jobs whose events or checkpoints were read, and that are not among the *known*."""
    pages: dict[str, list[Any]] = {}
    for exchange in exchanges:
        if exchange.status == 200 and exchange.operation in ("list_job_events", "list_job_checkpoints"):
            pages.setdefault(exchange.path.split("/")[4], []).append(exchange.json)
    for job_id, answers in pages.items():
        events, checkpoints = list(objects_in(answers, EVENT)), list(objects_in(answers, CHECKPOINT))
        if job_id not in known and (events or checkpoints):
            yield _job_from_events(job_id, events, checkpoints)


def _job_from_events(job_id: str, events: Sequence[Json], checkpoints: Sequence[Json]) -> Json:
    messages = [str(event["message"]) for event in events]
    at_checkpoints = {int(match[1]) for text in messages if (match := _CHECKPOINT_AT.match(text))}
    steps = sorted(at_checkpoints | {checkpoint["step_number"] for checkpoint in checkpoints})
    total = max([0, *steps, *(int(match[1]) for text in messages if (match := _STEP.match(text)))])
    # As many epochs as put checkpoints where they were.
    epoch = min((later - sooner for sooner, later in pairwise([*steps, total]) if later > sooner), default=total)
    trained = next((match for text in messages if (match := _TRAINING.match(text))), None)
    times = [item["created_at"] for item in (*events, *checkpoints)]
    status = next((status for start, status in _STATUSES if any(text.startswith(start) for text in messages)), None)
    ended = next((event for event in events if event["message"].startswith(_MODEL)), None)
    finished_at = int(ended["created_at"] - MODEL_AFTER_S) if ended else None
    failed = next((event["message"] for event in events if event.get("level") == "error"), None)
    return {
        "object": JOB,
        "id": job_id,
        "created_at": min([*times, *([finished_at - 1] if finished_at else [])]),
        "status": "failed" if failed else "succeeded" if checkpoints else status or "validating_files",
        "finished_at": finished_at,
        "fine_tuned_model": ended["message"].removeprefix(f"{_MODEL}: ") if ended and ":" in ended["message"] else None,
        "error": {"code": "server_error", "message": failed} if failed else {},
        "training_file": trained[1] if trained else NO_FILE,
        "validation_file": trained[2] if trained else None,
        "hyperparameters": {"n_epochs": total // epoch, "batch_size": 1} if epoch else {},
        SEEN_AT: max(times),
    }
