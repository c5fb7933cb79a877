"""A request as lines for a shell, after the lines that bring a server to where the account was."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..account.recorded_calls import Call, recorded_call
from ..account.records import StoredFile
from ..account.request_log import LogEntry
from ..account.world import AccountSnapshot
from ..domain.job import Job
from ..domain.timeline import TERMINAL
from ..settings import DEFAULT_SETTINGS, LATEST
from ..web.operations import PATHS
from .curl import ADDRESS, CONTENT_AT_MOST, curl

_PLAIN = ("organization_id", "organization", "owner", "project", "max_active_jobs", "base64_results", "dialect")
"""The settings that a reset takes as they are."""
_AIM = ("on", "job", "nth", "times", "probability", "seed")
"""The fields of a fault that aim it; the line aims it at the one request."""
_STEERING = ("cancel_job", "pause_job", "resume_job")
JOBS_AT_MOST = 5


def again(snapshot: AccountSnapshot) -> list[str]:
    """Return the lines for the request that most probably made a test fail; none if there was no request.

    That is the last one that failed by itself, or else by a fault; if none failed, the last that changed something, or
    the last of all. What the lines do not restore is listed below them.
    """
    if not snapshot.requests:
        return []
    last = _request_to_repeat(snapshot.requests)
    call = recorded_call(last)
    jobs = [*_relevant_jobs(snapshot, call)][-JOBS_AT_MOST:]
    files = _relevant_files(snapshot, call, jobs)
    line, notes = curl(last, snapshot)
    steps = [*_reset_lines(snapshot, last)]
    for file in files:
        if file.content.size <= CONTENT_AT_MOST:
            text = file.content.read().decode(errors="replace")
            seed = {"id": file.id, "filename": file.filename, "purpose": file.purpose, "content": text}
            steps.append(_control_line("files", seed))
    steps += [_job_line(job, call, last.begun_at) for job in jobs]
    for fault in snapshot.faults:
        if last.number in fault.requests and last.operation in PATHS:
            fields = {name: value for name, value in fault.spec.as_json().items() if name not in _AIM}
            steps.append(_control_line("faults", {**fields, "on": last.operation}))
    notes = [*_unrestored(snapshot, last, jobs, files), *notes]
    return [
        f"request {last.number} again, in another terminal than `fake-fine-tuning serve`:",
        *(f"  {step}" for step in [*steps, line]),
        *([f"  mind: {'; '.join(notes)}"] if notes else []),
    ]


def _request_to_repeat(requests: Sequence[LogEntry]) -> LogEntry:
    failed = [entry for entry in requests if not 0 < entry.status < 400]
    by_itself = [entry for entry in failed if entry.fault is None]
    changing = [entry for entry in requests if entry.method not in ("GET", "HEAD")]
    return (by_itself or failed or changing or requests)[-1]


def _control_line(path: str, body: Mapping[str, Any]) -> str:
    """Return the command line of a request to the server's control API."""
    text = json.dumps(body).replace("\x7f", "\\u007f")
    return shlex.join(["curl", "-sSfo/dev/null", "-X", "POST", f"{ADDRESS}/_fake/{path}", "--data-raw", text])


def _reset_lines(snapshot: AccountSnapshot, last: LogEntry) -> Iterator[str]:
    """Yield the lines for a fresh account with the same settings, at the time of the request; its key is another."""
    settings, fresh = snapshot.settings, DEFAULT_SETTINGS
    body: dict[str, Any] = {"seed": settings.seed, "pace": snapshot.pace}
    body |= {name: value for name in _PLAIN if (value := getattr(settings, name)) != getattr(fresh, name)}
    if settings.api_keys:
        body["api_keys"] = ["right"]
    if settings.as_of is not None:
        body |= {"as_of": str(settings.as_of), "organization_class": settings.organization_class}
    elif last.begun_at <= LATEST:
        body["start"] = last.begun_at
    yield _control_line("reset", body)
    if settings.as_of is not None and (passed_s := last.begun_at - snapshot.born) >= 1:
        yield _control_line("clock/advance", {"seconds": passed_s})


def _relevant_jobs(snapshot: AccountSnapshot, call: Call) -> Iterator[Job]:
    """Yield the jobs that the answer depends on: the one it is about, or those that take up room."""
    creates = call.operation == "create_job"
    crowded = creates and snapshot.settings.max_active_jobs is not None
    for job in snapshot.jobs:
        is_made = creates and job.id == call.job_id
        ended = job.timeline().status(call.begun_at) in TERMINAL
        if not is_made and job.created_at <= call.begun_at and (job.id == call.job_id or (crowded and not ended)):
            yield job


def _relevant_files(snapshot: AccountSnapshot, call: Call, jobs: Sequence[Job]) -> list[StoredFile]:
    """Return the files that the request or a job names, of those in the account."""
    names = [] if call.operation == "upload_file" else [call.file_id]
    names += [call.options.get(name) for name in ("training_file", "validation_file")]
    names += [file for job in jobs for file in (job.training_file, job.validation_file)]
    known = dict.fromkeys(name for name in names if isinstance(name, str) and name in snapshot.files)
    return [snapshot.files[name] for name in known]


def _job_line(job: Job, call: Call, at: float) -> str:
    """Return the line that seeds the job as it stood before the request."""
    undone = call.accepted and call.operation in _STEERING and job.id == call.job_id
    before = replace(job, interventions=job.interventions[:-1]) if undone else job
    files = {"training_file": job.training_file, "validation_file": job.validation_file}
    status = before.timeline().status(at)
    error = {"error": job.error.code} if status == "failed" and job.error else {}
    seed = {"id": job.id, "model": job.model, **files, "status": status, **error}
    return _control_line("jobs", {name: value for name, value in seed.items() if value is not None})


def _unrestored(
    snapshot: AccountSnapshot, last: LogEntry, jobs: Sequence[Job], files: Sequence[StoredFile]
) -> Iterator[str]:
    """Yield in words what the lines do not restore."""
    for file in files:
        if file.content.size > CONTENT_AT_MOST:
            yield f"file {file.id} ({file.content.size} bytes) has to be put back first"
    yield from (f"job {job.id} learns by {job.spec.method}" for job in jobs if job.spec.method != "supervised")
    made = recorded_call(last).ids.values()
    restored = [file.id for file in files]
    rest = {
        "job": [job.id for job in snapshot.jobs if job not in jobs and job.id not in made],
        "file": [file for file in snapshot.files if file not in restored and file not in made],
    }
    others = [f"{len(ids)} other {what}{'s' * (len(ids) > 1)}" for what, ids in rest.items() if ids]
    if others:
        yield f"not there: {' and '.join(others)}"
    if snapshot.is_scripted:
        yield "what a script has said is not said"
