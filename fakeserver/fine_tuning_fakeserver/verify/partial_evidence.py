"""Things of which a recording shows no more than that they were there: by a path that was answered, or their events."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

from ..domain.ids import model_time
from ..domain.timeline import MODEL_AFTER
from .observed_objects import CHECKPOINT, EVENT, JOB, objects_in
from .recording import Json, RecordedExchange
from .route_of import operation_of

_FILENAME = re.compile(r'filename="([^"]*)"')
_TRAINING = re.compile(r"Validating training file: ([\w-]+)(?: and validation file: ([\w-]+))?")
_STEP = re.compile(r"Step \d+/(\d+)")
_CHECKPOINT_AT = re.compile(r"Checkpoint created at step (\d+)")

_MODEL = "New fine-tuned model created"

# What an event says of the status from then on, the latest that may be in a list first.
_STATUSES = (
    ("The job has successfully completed", "succeeded"),
    (_MODEL, "succeeded"),
    ("Step ", "running"),
    ("Fine-tuning job started", "running"),
    ("Files validated", "queued"),
)
SEEN_AT = "seen_at"
"""No member of a job: when it was seen, no earlier than what was seen of it."""

NO_FILE = "file-that-is-not-recorded"


def files(exchanges: Iterable[RecordedExchange], known: Collection[str]) -> list[Json]:
    """Files that were read or deleted, and are not among the *known*."""
    found: dict[str, Json] = {}
    for exchange in _answered(exchanges, "download_file", "delete_file"):
        identifier = exchange.path.split("/")[3]
        if identifier in known:
            continue
        told = found.setdefault(identifier, {"id": identifier})
        if exchange.method == "GET":
            named = _FILENAME.search(exchange.headers.get("content-disposition", ""))
            told |= {"bytes": len(exchange.body), **({"filename": named[1]} if named else {})}
    return list(found.values())


def models(exchanges: Sequence[RecordedExchange], known: Collection[str]) -> Iterator[Json]:
    """Tuned models that were deleted or asked for, and are not among the *known*."""
    deleted = (exchange.members.get("id") for exchange in _answered(exchanges, "delete_model"))
    used = (exchange.asked.get("model") for exchange in exchanges if exchange.status == 200)
    for name in dict.fromkeys(str(identifier) for identifier in (*deleted, *used)):
        if name.startswith("ft:") and name not in known:
            yield {"id": name, "object": "model", "created": model_time(name) or 0, "owned_by": ""}


def jobs(exchanges: Sequence[RecordedExchange], known: Collection[str]) -> Iterator[Json]:
    """Jobs whose events or checkpoints were read, and that are not among the *known*."""
    asked = list(_answered(exchanges, "list_job_events", "list_job_checkpoints"))
    for identifier in dict.fromkeys(exchange.path.split("/")[4] for exchange in asked):
        pages = [exchange.answer for exchange in asked if exchange.path.split("/")[4] == identifier]
        events, points = list(objects_in(pages, EVENT)), list(objects_in(pages, CHECKPOINT))
        if identifier not in known and (events or points):
            yield _job(identifier, events, points)


def _job(identifier: str, events: Sequence[Json], points: Sequence[Json]) -> Json:
    messages = [str(event["message"]) for event in events]
    trained = next((match for text in messages if (match := _TRAINING.match(text))), None)
    times = [thing["created_at"] for thing in (*events, *points)]
    status = next((status for start, status in _STATUSES if any(text.startswith(start) for text in messages)), None)
    ended = next((event for event in events if event["message"].startswith(_MODEL)), None)
    finished_at = int(ended["created_at"] - MODEL_AFTER) if ended else None
    failed = next((event["message"] for event in events if event.get("level") == "error"), None)
    return {
        "object": JOB,
        "id": identifier,
        "created_at": min([*times, *([finished_at - 1] if finished_at else [])]),
        "status": "failed" if failed else "succeeded" if points else status or "validating_files",
        "finished_at": finished_at,
        "fine_tuned_model": ended["message"].removeprefix(f"{_MODEL}: ") if ended and ":" in ended["message"] else None,
        "error": {"code": "server_error", "message": failed} if failed else {},
        "training_file": trained[1] if trained else NO_FILE,
        "validation_file": trained[2] if trained else None,
        "hyperparameters": _numbers(messages, points),
        SEEN_AT: max(times),
    }


def _numbers(messages: Iterable[str], points: Iterable[Json]) -> Json:
    """So many epochs that there are checkpoints where there were; nothing where nothing tells."""
    texts = list(messages)
    total = max((int(match[1]) for text in texts if (match := _STEP.match(text))), default=0)
    kept = {int(match[1]) for text in texts if (match := _CHECKPOINT_AT.match(text))}
    steps = sorted(kept | {point["step_number"] for point in points})
    total = max([total, *steps])
    epoch = min((later - sooner for sooner, later in pairwise([*steps, total]) if later > sooner), default=total)
    return {"n_epochs": total // epoch, "batch_size": 1} if epoch else {}


def _answered(exchanges: Iterable[RecordedExchange], *names: str) -> Iterator[RecordedExchange]:
    return (each for each in exchanges if each.status == 200 and (asked := operation_of(each)) and asked.name in names)
