"""A request as lines for a shell: first what a server has to be told, so that it is where the account was."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..account.recorded_calls import Call, recorded_call
from ..account.request_log import LogEntry
from ..account.world import AccountSnapshot
from ..domain.job import Job
from ..domain.timeline import TERMINAL
from ..settings import LATEST, Settings
from ..web.operations import PATHS
from .curl import ADDRESS, CONTENT_AT_MOST, curl

_PLAIN = ("organization_id", "organization", "owner", "project", "max_active_jobs", "base64_results", "dialect")
"""The settings that a server can be told as they are."""
_AIM = ("on", "job", "nth", "times", "probability", "seed")
"""What a fault says of other calls than the one that it is to hit again."""
_STEERING = ("cancel_job", "pause_job", "resume_job")
JOBS_AT_MOST = 5


def again(scene: AccountSnapshot) -> list[str]:
    """The lines for the request that most probably made a test fail; none where there was no request.

    That is the last one that failed, if there is one by itself rather than by a fault; where none failed, the last
    that changed something, or the last of all. What they do not bring back is told below them.
    """
    if not scene.requests:
        return []
    last = _chosen(scene.requests)
    call = recorded_call(last)
    jobs = [*_jobs(scene, call)][-JOBS_AT_MOST:]
    files = [file for file in dict.fromkeys(_named_files(call, jobs)) if file in scene.files]
    line, amiss = curl(last, scene)
    steps = [*_account(scene, last), *_files(scene, files), *(_job(job, call, last.begun_at) for job in jobs)]
    steps += [_told("faults", fault) for fault in _faults(scene, last)]
    amiss = [*_missing(scene, last, jobs, files), *amiss]
    return [
        f"request {last.number} again, in another terminal than `fake-fine-tuning serve`:",
        *(f"  {step}" for step in [*steps, line]),
        *([f"  mind: {'; '.join(amiss)}"] if amiss else []),
    ]


def _chosen(exchanges: Sequence[LogEntry]) -> LogEntry:
    failed = [each for each in exchanges if not 0 < each.status < 400]
    by_itself = [each for each in failed if each.fault is None]
    changing = [each for each in exchanges if each.method not in ("GET", "HEAD")]
    return (by_itself or failed or changing or exchanges)[-1]


def _told(path: str, body: Mapping[str, Any], method: str = "POST") -> str:
    """A line that tells the server something through its control API."""
    text = json.dumps(body).replace("\x7f", "\\u007f")
    return shlex.join(["curl", "-sSfo/dev/null", "-X", method, f"{ADDRESS}/_fake/{path}", "--data-raw", text])


def _account(scene: AccountSnapshot, last: LogEntry) -> Iterator[str]:
    """A fresh account with the same settings, at the time of the request; its key is another one."""
    settings, fresh = scene.settings, Settings()
    body: dict[str, Any] = {"seed": settings.seed, "pace": scene.pace}
    body |= {name: value for name in _PLAIN if (value := getattr(settings, name)) != getattr(fresh, name)}
    if settings.api_keys:
        body["api_keys"] = ["right"]
    if settings.as_of is not None:
        body |= {"as_of": str(settings.as_of), "organization_class": settings.organization_class}
    elif last.begun_at <= LATEST:
        body["start"] = last.begun_at
    yield _told("reset", body)
    if settings.as_of is not None and (passed_s := last.begun_at - scene.born) >= 1:
        yield _told("clock/advance", {"seconds": passed_s})


def _jobs(scene: AccountSnapshot, call: Call) -> Iterator[Job]:
    """The jobs that the answer depends on: the one it is about, or those that take up room."""
    creates = call.operation == "create_job"
    crowded = creates and scene.settings.max_active_jobs is not None
    for job in scene.jobs:
        is_made = creates and job.id == call.job_id
        ended = job.timeline().status(call.begun_at) in TERMINAL
        if not is_made and job.created_at <= call.begun_at and (job.id == call.job_id or (crowded and not ended)):
            yield job


def _named_files(call: Call, jobs: Sequence[Job]) -> Iterator[str]:
    named = [] if call.operation == "upload_file" else [call.file_id]
    named += [call.options.get(name) for name in ("training_file", "validation_file")]
    named += [file for job in jobs for file in (job.training_file, job.validation_file)]
    yield from (name for name in named if isinstance(name, str))


def _files(scene: AccountSnapshot, files: Sequence[str]) -> Iterator[str]:
    for file in (scene.files[name] for name in files):
        if (content := file.content).size <= CONTENT_AT_MOST:
            text = content.read().decode(errors="replace")
            told = {"id": file.id, "filename": file.filename, "purpose": file.purpose, "content": text}
            yield _told("files", told)


def _job(job: Job, call: Call, at: float) -> str:
    """The job as it stood before the request."""
    undone = call.accepted and call.operation in _STEERING and job.id == call.job_id
    before = replace(job, interventions=job.interventions[:-1]) if undone else job
    files = {"training_file": job.training_file, "validation_file": job.validation_file}
    status = before.timeline().status(at)
    error = {"error": job.error.code} if status == "failed" and job.error else {}
    given = {"id": job.id, "model": job.model, **files, "status": status, **error}
    return _told("jobs", {name: value for name, value in given.items() if value is not None})


def _faults(scene: AccountSnapshot, last: LogEntry) -> Iterator[dict[str, Any]]:
    """The fault that hit the request, aimed at that alone."""
    for fault in scene.faults:
        if last.number in fault.requests and last.operation in PATHS:
            yield {**{k: v for k, v in fault.spec.as_json().items() if k not in _AIM}, "on": last.operation}


def _missing(scene: AccountSnapshot, last: LogEntry, jobs: Sequence[Job], files: Sequence[str]) -> Iterator[str]:
    """What the server is not told, in words."""
    long = [name for name in files if scene.files[name].content.size > CONTENT_AT_MOST]
    yield from (f"file {name} ({scene.files[name].content.size} bytes) has to be put back first" for name in long)
    yield from (f"job {job.id} learns by {job.spec.method}" for job in jobs if job.spec.method != "supervised")
    made = recorded_call(last).ids.values()
    rest = {
        "job": [job.id for job in scene.jobs if job not in jobs and job.id not in made],
        "file": [file for file in scene.files if file not in files and file not in made],
    }
    others = [f"{len(ids)} other {what}{'s' * (len(ids) > 1)}" for what, ids in rest.items() if ids]
    if others:
        yield f"not there: {' and '.join(others)}"
    if scene.is_scripted:
        yield "what a script has said is not said"
