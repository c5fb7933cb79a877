"""Comparisons of calls, and the jobs that their responses have shown to a client."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from fine_tuning_formats.job_rules import TERMINAL_STATUSES
from fine_tuning_formats.lazy_dataclass import dataclass

from ..account.recorded_calls import Call
from ..api.schemas.job_schemas import JOB
from ..domain.base_models import snapshot_name
from ..web.operations import OPERATIONS

K = TypeVar("K", bound=Hashable)

FILES = ("training_file", "validation_file")

TERMINAL = TERMINAL_STATUSES
UNDER_WAY = frozenset({"validating_files", "queued", "running", "pending"})
"""Statuses that every client knows; ``pending`` is Azure's."""

OWN_CLIENT = "fine-tuning-client"
"""The User-Agent of this project's client, which knows every status, and waits between two calls."""

LOOKS = ("retrieve_job", "list_job_events", "list_job_checkpoints", "list_jobs")
"""Operations that show how far a job is."""

_COUNTS_ATTEMPTS = re.compile(r"attempt|retry|retries", re.IGNORECASE)
"""Names of metadata that differ each time the same job is requested."""

_ANSWERED_WITH_A_JOB = frozenset(operation.name for operation in OPERATIONS if operation.response is JOB)


def group_calls(calls: Iterable[Call], key: Callable[[Call], K]) -> Mapping[K, list[Call]]:
    """Group *calls* by *key*, in the order in which the keys first occur."""
    groups: dict[K, list[Call]] = {}
    for call in calls:
        groups.setdefault(key(call), []).append(call)
    return groups


def uploads_by_file(calls: Iterable[Call]) -> Mapping[str, Call]:
    """Return the uploads that succeeded, in one piece or in parts, by the id of the file."""
    uploads = (call for call in calls if call.operation in ("upload_file", "complete_upload") and call.accepted)
    return {identifier: call for call in uploads if isinstance(identifier := uploaded_file(call).get("id"), str)}


def uploaded_file(upload: Call) -> Mapping[str, Any]:
    """Return the file that an accepted upload made, as the service describes it."""
    answer = upload.answer if isinstance(upload.answer, dict) else {}
    file = answer.get("file") if upload.operation == "complete_upload" else answer
    return file if isinstance(file, dict) else {}


def name_and_size(upload: Call) -> str:
    """Return what two uploads of the same content have in common."""
    file = uploaded_file(upload)
    return repr((file.get("filename"), file.get("bytes")))


def is_reupload(file: object, other: object, since: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether *other* looks like *file* uploaded again after the call *since*: same name, same size."""
    if not (isinstance(file, str) and isinstance(other, str) and {file, other} <= uploads.keys()):
        return False
    return name_and_size(uploads[file]) == name_and_size(uploads[other]) and uploads[other].number > since.number


def is_same_job(first: Call, second: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether two creates request the same job; the second may have its files uploaded anew, or defaults spelt out."""
    if first.sent == second.sent:
        return True
    if not (first.whole and second.whole):
        return False
    for old, new in ((first.options.get(name), second.options.get(name)) for name in FILES):
        if old != new and not is_reupload(old, new, first, uploads):
            return False
    return _requested_job(first.options) == _requested_job(second.options)


def _requested_job(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a create's body without its files, defaults and count of attempts, and with the model's full name.

    The method's hyperparameters stand at the top, where they may be sent as well, and the parts of other methods are
    left out.
    """
    job = {name: value for name, value in body.items() if value is not None and name not in FILES}
    if isinstance(job.get("model"), str):
        job["model"] = snapshot_name(job["model"])
    method = job.setdefault("method", {"type": "supervised"})
    kind = method.get("type") if isinstance(method, dict) else None
    if isinstance(kind, str):
        part = method.get(kind) if isinstance(method.get(kind), dict) else {}
        job["hyperparameters"] = part.get("hyperparameters") or job.get("hyperparameters") or {}
        job["method"] = {"type": kind, **{name: part[name] for name in part if name != "hyperparameters"}}
    if isinstance(job.get("hyperparameters"), dict):
        job["hyperparameters"] = {name: value for name, value in job["hyperparameters"].items() if value != "auto"}
    if isinstance(job.get("metadata"), dict):
        job["metadata"] = {name: job["metadata"][name] for name in job["metadata"] if not _COUNTS_ATTEMPTS.search(name)}
    return {name: value for name, value in job.items() if value != {}}


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


def jobs_seen_by(operation: str, calls: Sequence[Call]) -> dict[str, list[ObservedJob]]:
    """Return what an operation showed of each job, by the job's id; of a list, its first page counts."""
    jobs: dict[str, list[ObservedJob]] = {}
    for job in observed_jobs([call for call in calls if call.operation == operation and "after" not in call.options]):
        jobs.setdefault(job.job_id, []).append(job)
    return jobs


def looks_by_job(calls: Sequence[Call]) -> dict[str, dict[str, list[Call]]]:
    """Return the calls that showed how far a job was, by its id and the operation; of a list, first pages count."""
    looks: dict[str, dict[str, list[Call]]] = {}
    for call in calls:
        if call.operation not in LOOKS or not call.answered or "after" in call.options:
            continue
        of_one = [call.job_id] if call.job_id else []
        for job_id in of_one or [job.job_id for job in observed_jobs([call])]:
            looks.setdefault(job_id, {}).setdefault(call.operation, []).append(call)
    return looks


def listed_items(call: Call) -> list[Any]:
    """Return the items of a list's answer."""
    data = call.answer.get("data") if isinstance(call.answer, dict) else None
    return data if isinstance(data, list) else []


def how_looked(call: Call) -> str:
    """Return in words how a call looked at a job: ``retrieved``, or by which list."""
    return "retrieved" if call.operation == "retrieve_job" else f"looked at by {call.operation}"
