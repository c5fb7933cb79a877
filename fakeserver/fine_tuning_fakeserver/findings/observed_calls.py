"""What calls have in common, and which jobs their answers have shown to a client."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fine_tuning_formats.job_rules import TERMINAL_STATUSES

from ..account.recorded_calls import Call
from ..api.schemas.job_schemas import JOB
from ..web.operations import OPERATIONS

K = TypeVar("K", bound=Hashable)

FILES = ("training_file", "validation_file")

TERMINAL = TERMINAL_STATUSES
UNDER_WAY = frozenset({"validating_files", "queued", "running", "pending"})
"""Statuses that every client knows; ``pending`` is Azure's."""

OWN_CLIENT = "fine-tuning-client"
"""The User-Agent of this project's client, which knows every status, and waits between two calls."""

_ANSWERED_WITH_A_JOB = frozenset(operation.name for operation in OPERATIONS if operation.response is JOB)


def group_calls(calls: Iterable[Call], key: Callable[[Call], K]) -> Mapping[K, list[Call]]:
    """Group *calls* by *key*, in the order in which the keys first occur."""
    groups: dict[K, list[Call]] = {}
    for call in calls:
        groups.setdefault(key(call), []).append(call)
    return groups


def uploads_by_file(calls: Iterable[Call]) -> Mapping[str, Call]:
    """Return the uploads that succeeded, by the id of the file."""
    return {call.file_id: call for call in calls if call.operation == "upload_file" and call.accepted and call.file_id}


def is_reupload(file: object, other: object, since: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether *other* looks like *file* uploaded again after the call *since*: same name, same size."""
    if not (isinstance(file, str) and isinstance(other, str) and {file, other} <= uploads.keys()):
        return False
    same = all(uploads[file].options.get(name) == uploads[other].options.get(name) for name in ("filename", "bytes"))
    return same and uploads[other].number > since.number


def is_same_job(first: Call, second: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether two creates request the same job; the second may have its files uploaded anew."""
    if first.sent == second.sent:
        return True
    if not (first.whole and second.whole):
        return False
    for old, new in ((first.options.get(name), second.options.get(name)) for name in FILES):
        if old != new and not is_reupload(old, new, first, uploads):
            return False
    return {**first.options, **dict.fromkeys(FILES)} == {**second.options, **dict.fromkeys(FILES)}


def join_chains(links: Iterable[Sequence[Call]]) -> list[tuple[Call, ...]]:
    """Join *links* to chains: a link goes on with the chain that ends with the call it begins with."""
    chains: dict[int, tuple[Call, ...]] = {}
    for first, *rest in links:
        chain = (*chains.pop(first.number, (first,)), *rest)
        chains[chain[-1].number] = chain
    return list(chains.values())


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A job as one answer showed it."""

    call: Call
    job_id: str
    status: str
    error: str | None = None
    """The code of the job's error, if it is a text."""

    @property
    def ended(self) -> str:
        """How the job had ended, in words."""
        if self.status == "failed" and self.error:
            return f"had failed ({self.error})"
        return {"cancelled": "had been cancelled"}.get(self.status, f"had {self.status}")


def observed_jobs(calls: Sequence[Call]) -> list[ObservedJob]:
    """Return every job in every answer, in order."""
    jobs: list[ObservedJob] = []
    for call in calls:
        if not call.answered:
            continue
        shown = [call.answer] if call.operation in _ANSWERED_WITH_A_JOB else []
        if call.operation == "list_jobs":
            shown = listed_items(call)
        for job in shown:
            if not isinstance(job, dict):  # a script may answer with anything
                continue
            job_id, status, error = (job.get(name) for name in ("id", "status", "error"))
            code = error.get("code") if isinstance(error, dict) else None
            if isinstance(job_id, str) and isinstance(status, str):
                jobs.append(ObservedJob(call, job_id, status, code if isinstance(code, str) else None))
    return jobs


def retrieved_jobs(calls: Sequence[Call]) -> dict[str, list[ObservedJob]]:
    """Return what was seen of each job by retrieving it, by its id."""
    jobs: dict[str, list[ObservedJob]] = {}
    for job in observed_jobs([call for call in calls if call.operation == "retrieve_job"]):
        jobs.setdefault(job.job_id, []).append(job)
    return jobs


def listed_items(call: Call) -> list[Any]:
    """Return the items of a list's answer."""
    data = call.answer.get("data") if isinstance(call.answer, dict) else None
    return data if isinstance(data, list) else []
