"""Answers as plain dicts, members in the order they have on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..domain import ids
from ..domain.jobs import Job, checkpoint_steps, fine_tuned_model, finished_at, models_at, trained_tokens
from ..domain.metrics import checkpoint_metrics, step_event
from ..domain.plan import JobError
from ..domain.timeline import Event, Timeline
from ..domain.training_methods import METHODS, Hyperparameters, TrainingMethod

Json = dict[str, Any]


def job(job: Job, now: float, *, created: bool = False) -> Json:
    """The job as it is at *now*, to be read only; *created* is the answer to its creation."""
    life = job.timeline()
    return _shown(job, life.status(now), life.has_happened("read", now), created)


@lru_cache(maxsize=512)
def _shown(job: Job, status: str, read: bool, created: bool) -> Json:
    """The job with this status, its files read or not: who polls sees the same many times.

    Source: member order, ``{}`` for no error, null ``finished_at`` of failed and cancelled jobs: recordings of
    2025-09 (FineTuningClientTests).
    """
    life = job.timeline()
    succeeded = status == "succeeded"
    numbers = job.spec.hyperparameters if read else _asked(job)
    method, course = METHODS[job.spec.method], job.dialect.event_style
    shown = {
        "object": "fine_tuning.job",
        "id": job.id,
        "model": job.model,
        "created_at": int(job.created_at),
        "finished_at": _ended_at(job, life, course.finished_at_event.get(status)),
        "fine_tuned_model": fine_tuned_model(job, life) if succeeded else None,
        "organization_id": job.organization,
        "result_files": [job.result_file] if succeeded else [],
        "status": status,
        "validation_file": job.validation_file,
        "training_file": job.training_file,
        "hyperparameters": _members(numbers, method.members) if method.is_top_level else None,
        "trained_tokens": trained_tokens(job) if succeeded else None,
        "error": _error(job.error) if status == "failed" else {},
        "user_provided_suffix": job.suffix,
        "seed": job.seed,
        "estimated_finish": int(job.created_at) + course.estimated_seconds if course.estimated_seconds else None,
        "integrations": [_integration(each, job.id) for each in job.integrations],
        "metadata": job.metadata,
        "usage_metrics": None,
        "shared_with_openai": False,
        "eval_id": job.eval_id,
        "method": {"type": method.name, method.name: _in_method(job, method, numbers, created)},
    }
    return {**shown, **job.extra_members} if job.extra_members else shown


def _asked(job: Job) -> Hyperparameters:
    """The numbers as they were asked for, but for those that are decided at once."""
    decided = {name: getattr(job.spec.hyperparameters, name) for name in job.dialect.event_style.resolved_at_creation}
    return replace(job.requested, **decided) if decided else job.requested


def _ended_at(job: Job, life: Timeline, moment: str | None) -> int | None:
    """What ``finished_at`` tells: the time of this moment of the job's life; null for none."""
    if moment is None:
        return None
    return finished_at(job, life) if moment == "trained" else int(life.time_of(moment) or 0)


def _members(numbers: Hyperparameters, names: Iterable[str]) -> Json:
    return {name: getattr(numbers, name) for name in names}


def _in_method(job: Job, method: TrainingMethod, numbers: Hyperparameters, created: bool) -> Json:
    """The part of ``method`` that is named as the method: the numbers, and what a reinforcement job learns by.

    Source: recordings MinimalRequiredParams (sorted at creation only) and GetCheckpoints (2 outside, 2.0 inside);
    the spec's example of a reinforcement job.
    """
    members = _members(numbers, method.created_members if created else method.members)
    multiplier = numbers.learning_rate_multiplier
    members["learning_rate_multiplier"] = multiplier if multiplier == "auto" else float(multiplier)
    if not job.objective:
        return {"hyperparameters": members}
    objective = {"grader": job.objective.grader, "response_format": job.objective.response_format}
    return {"hyperparameters": members, **objective}


def _error(error: JobError | None) -> Json:
    """Recording: code, param, message in this order (GetJobs)."""
    return {"code": error.code, "param": error.param, "message": error.message} if error else {}


def _integration(given: Mapping[str, Any], job_id: str) -> Json:
    """A wandb integration as echoed: ``run_id`` is the job's (printed outputs of 2025)."""
    wandb = dict(given.get("wandb") or {})
    return {"type": given["type"], "wandb": {**wandb, "entity": wandb.get("entity"), "run_id": job_id}}


def file(
    identifier: str,
    purpose: str,
    filename: str,
    size: int,
    created_at: float,
    expires_at: float | None = None,
    status: str = "processed",
) -> Json:
    """A file. Source: recordings of 2026-05 (FilesTests)."""
    return {
        "object": "file",
        "id": identifier,
        "purpose": purpose,
        "filename": filename,
        "bytes": size,
        "created_at": int(created_at),
        "expires_at": None if expires_at is None else int(expires_at),
        "status": status,
        "status_details": None,
    }


def upload(
    identifier: str,
    size: int,
    created_at: float,
    filename: str,
    purpose: str,
    status: str,
    expires_at: float,
    made: Json | None = None,
) -> Json:
    """An upload; *made* is the file of a completed one. Source: recordings of 2025-09 (UploadsTests)."""
    shown = {
        "id": identifier,
        "object": "upload",
        "bytes": size,
        "created_at": int(created_at),
        "filename": filename,
        "purpose": purpose,
        "status": status,
        "expires_at": int(expires_at),
    }
    return shown if made is None else {**shown, "file": made}


def permission(identifier: str, created_at: float, project_id: str) -> Json:
    """A checkpoint permission. Source: spec FineTuningCheckpointPermission (nothing recorded)."""
    return {
        "object": "checkpoint.permission",
        "id": identifier,
        "created_at": int(created_at),
        "project_id": project_id,
    }


def model(identifier: str, created: float, owned_by: str) -> Json:
    """A model. Source: recording GetModelInfo."""
    return {"id": identifier, "object": "model", "created": int(created), "owned_by": owned_by}


def page(data: Sequence[Json], has_more: bool) -> Json:
    """A page of jobs or events: no cursors (recording: GetJobs, GetJobEvents)."""
    return {"object": "list", "data": data, "has_more": has_more}


def page_with_ids(data: Sequence[Json], has_more: bool) -> Json:
    """A page of checkpoints or files: with the first and the last id (recordings: GetCheckpoints, ListFiles)."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {**page(data, has_more), "first_id": first, "last_id": last}


def models(data: Iterable[Json]) -> Json:
    """The list of models, which has no pages."""
    return {"object": "list", "data": list(data)}


def event(job: Job, life: Timeline, ordinal: int) -> Json:
    """The job's event with this ordinal. Source: member order of 2023-08 and recording GetJobEvents."""
    moment = life.event(ordinal)
    is_step = moment.kind == "step"
    message, data = _measured(job, moment) if is_step else _said(job, life, moment)
    return {
        "object": "fine_tuning.job.event",
        "id": job.event_id(ordinal),
        "created_at": int(moment.at),
        "level": "info" if is_step else life.kinds[moment.kind].level,
        "message": message,
        "data": data,
        "type": "metrics" if is_step else "message",
    }


def _measured(job: Job, moment: Event) -> tuple[str, Json]:
    """The message and the data of a training step's event."""
    message, data = step_event(job.current_spec, moment.step)
    text = job.dialect.event_style.step_message
    return (text.format(**data) if text and "train_loss" in data else message), data


def _said(job: Job, life: Timeline, moment: Event) -> tuple[str, Json | None]:
    """The message and the data of an event that is no training step."""
    kind = life.kinds[moment.kind]
    return _text(job, life, moment, kind.text or ""), {} if kind.data else None


def _text(job: Job, life: Timeline, moment: Event, text: str) -> str:
    if "{error}" in text:
        return job.error.message if job.error else ""
    named = fine_tuned_model(job, life) if "{model}" in text else ""
    checkpoint = job.model_at(moment.step, models_at(job, life)) if "{checkpoint}" in text else ""
    files = job.training_file
    if job.validation_file:
        files += f" and validation file: {job.validation_file}"
    billed = trained_tokens(job) // 1000 * 1000 if "{billed}" in text else 0
    names = {"checkpoint": checkpoint, "model": named, "result": job.result_file, "billed": billed}
    return text.format(job=job.id, files=files, step=moment.step, **names)


def checkpoints(job: Job, life: Timeline) -> list[Json]:
    """The job's checkpoints, newest first. Source: recording GetCheckpoints."""
    return [_checkpoint(job, life, step) for step in reversed(checkpoint_steps(job))]


def _checkpoint(job: Job, life: Timeline, step: int) -> Json:
    given = next((point for point in job.overrides.checkpoints if point.step_number == step), None)
    made = life.time_of_step(step) or 0
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": given.id if given else ids.derived_id("checkpoint", job.id, step, shapes=job.dialect.ids),
        "created_at": given.created_at if given else int(made),
        "fine_tuned_model_checkpoint": job.model_at(step, models_at(job, life)),
        "fine_tuning_job_id": job.id,
        "metrics": given.metrics if given else _metrics(job, step),
        "step_number": step,
    }


def _metrics(job: Job, step: int) -> Json:
    return (
        step_event(job.current_spec, step)[1]
        if job.dialect.event_style.all_checkpoint_metrics
        else checkpoint_metrics(job.current_spec, step)
    )
