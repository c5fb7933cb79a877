"""What a client has been told of jobs: each status that an answer gave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..account.recorded_calls import Call

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
UNDER_WAY = frozenset({"validating_files", "queued", "running", "pending"})
"""Statuses that every client knows; ``pending`` is Azure's."""

OWN_CLIENT = "fine-tuning-client"
"""How this project's client calls itself: it knows every status, and waits before it asks again."""

_OF_ONE = frozenset({"create_job", "retrieve_job", "cancel_job", "pause_job", "resume_job"})


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A job as one answer showed it."""

    call: Call
    job_id: str
    status: str
    error: str | None = None
    """The code of the job's error, where it has one that is a text."""

    @property
    def ended(self) -> str:
        """How the job had ended, in words."""
        if self.status == "failed" and self.error:
            return f"had failed ({self.error})"
        return {"cancelled": "had been cancelled"}.get(self.status, f"had {self.status}")


def observed_jobs(calls: Sequence[Call]) -> list[ObservedJob]:
    """All sightings, in the order of the answers."""
    return [sighting for call in calls for sighting in _of(call)]


def polls(calls: Sequence[Call]) -> dict[str, list[ObservedJob]]:
    """By job, the sightings of those who asked for just that job."""
    found: dict[str, list[ObservedJob]] = {}
    for sighting in observed_jobs([call for call in calls if call.operation == "retrieve_job"]):
        found.setdefault(sighting.job_id, []).append(sighting)
    return found


def json_of_answer(call: Call) -> list[Any]:
    """The items of the list that was answered."""
    data = call.answer.get("data") if isinstance(call.answer, dict) else None
    return data if isinstance(data, list) else []


def _of(call: Call) -> Iterator[ObservedJob]:
    if not call.answered or not isinstance(call.answer, dict):
        return
    if call.operation in _OF_ONE:
        yield from _seen(call, call.answer)
    elif call.operation == "list_jobs":
        for job in json_of_answer(call):
            yield from _seen(call, job)


def _seen(call: Call, job: Any) -> Iterator[ObservedJob]:
    if not isinstance(job, dict):  # a script may say anything
        return
    identifier, status, error = (job.get(name) for name in ("id", "status", "error"))
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(identifier, str) and isinstance(status, str):
        yield ObservedJob(call, identifier, status, code if isinstance(code, str) else None)
