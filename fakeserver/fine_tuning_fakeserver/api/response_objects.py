"""Response objects as plain dicts, members in the order they have on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..account.records import PartUpload, Permission
from ..api_errors import unknown_cursor
from ..domain import ids
from ..domain.dialects.dialect import Dialect
from ..domain.job import Job, checkpoint_steps, fine_tuned_model, finished_at, models_at, trained_tokens
from ..domain.metrics import checkpoint_metrics, step_event
from ..domain.timeline import Event, Timeline
from ..domain.training_methods import METHODS, Hyperparameters

Json = dict[str, Any]


def job_object(job: Job, now: float, dialect: Dialect, *, created: bool = False) -> Json:
    """Return the job as it is at *now*, not to be changed; *created*: as the answer to its creation.

    *dialect* is that of the answer, in recorded members still: `to_dialect` gives it its own.
    """
    timeline = job.timeline()
    style = dialect.event_style if dialect is job.dialect else job.shown_style(dialect)
    is_read = timeline.has_happened(style.resolved_by, now)
    has_results = bool(style.results_from) and timeline.has_happened(style.results_from, now)
    members = _job_object(job, dialect, timeline.status(now), is_read, created, has_results)
    if dialect.jobs and dialect.jobs.counts_steps:
        return {**members, "trained_steps": timeline.steps_done(now), "total_steps": job.spec.steps}
    return members


@lru_cache(maxsize=512)  # polling clients see the same object many times
def _job_object(
    job: Job, dialect: Dialect, status: str, files_are_read: bool, created: bool, has_results: bool
) -> Json:
    """Build the job with this status.

    Source: member order, ``{}`` for no error, null ``finished_at`` of failed and cancelled jobs: recordings of
    2025-09 (FineTuningClientTests).
    """
    timeline = job.timeline()
    succeeded = status == "succeeded"
    method, style, numbers = METHODS[job.spec.method], job.shown_style(dialect), job.spec.hyperparameters
    if not files_are_read or job.is_unresolved:  # they are as requested, except those that the dialect decides at once
        resolved = {name: getattr(numbers, name) for name in style.resolved_at_creation}
        numbers = replace(job.requested, **resolved) if resolved else job.requested
    error = job.error if status == "failed" else None
    job_members = {
        "object": "fine_tuning.job",
        "id": job.id,
        "model": job.model,
        "created_at": int(job.created_at),
        "finished_at": _finished_at(job, timeline, style.finished_at_event.get(status)),
        "fine_tuned_model": fine_tuned_model(job, timeline) if succeeded else None,
        "organization_id": job.organization,
        "result_files": [job.result_file] if succeeded or has_results else [],
        "status": status,
        "validation_file": job.validation_file,
        "training_file": job.training_file,
        "hyperparameters": {name: getattr(numbers, name) for name in method.members} if method.is_top_level else None,
        "trained_tokens": trained_tokens(job) if succeeded else None,
        # recording GetJobs: code, param, message in this order
        "error": {"code": error.code, "param": error.param, "message": error.message} if error else {},
        "user_provided_suffix": job.suffix,
        "seed": job.seed,
        "estimated_finish": _estimated_finish(job, style.estimated_seconds),
        "integrations": [_integration_object(integration, job.id) for integration in job.integrations],
        "metadata": job.metadata,
        "usage_metrics": None,
        "shared_with_openai": False,
        "eval_id": job.eval_id if has_results or not style.results_from else None,
        "method": {"type": method.name, method.name: _method_object(job, numbers, created)},
    }
    if not method.has_top_level:
        del job_members["hyperparameters"]
    own = job.own_members(dialect)
    return _merge(job_members, own) if own else job_members


def _merge(members: Json, own: Mapping[str, Any]) -> Json:
    """Return *members* with those of a dialect's *own*, which may be members of members."""
    merged = dict(members)
    for name, value in own.items():
        known = merged.get(name)
        merged[name] = _merge(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged


def _finished_at(job: Job, timeline: Timeline, event: str | None) -> int | None:
    # Which event is the end of a job differs by dialect; null for a status without one.
    if event is None:
        return None
    if event == "trained":
        return finished_at(job, timeline)
    return job.overrides.finished_at or int(timeline.time_of(event) or 0)


def _estimated_finish(job: Job, estimates: Mapping[str, int]) -> int | None:
    if not estimates:
        return None
    return job.overrides.estimated_finish or int(job.created_at) + estimates[job.spec.method]


def _method_object(job: Job, numbers: Hyperparameters, created: bool) -> Json:
    """Build the part of ``method`` that bears the method's name.

    Source: recordings MinimalRequiredParams (sorted at creation only) and GetCheckpoints (2 outside, 2.0 inside);
    the spec's example of a reinforcement job.
    """
    method = METHODS[job.spec.method]
    hyperparameters = {name: getattr(numbers, name) for name in (method.created_members if created else method.members)}
    multiplier = numbers.learning_rate_multiplier
    hyperparameters["learning_rate_multiplier"] = multiplier if multiplier == "auto" else float(multiplier)
    if not job.objective:
        return {"hyperparameters": hyperparameters}
    objective = {"grader": job.objective.grader, "response_format": job.objective.response_format}
    return {"hyperparameters": hyperparameters, **objective}


def _integration_object(integration: Mapping[str, Any], job_id: str) -> Json:
    """Build a wandb integration as it is echoed: ``run_id`` is the job's (printed outputs of 2025)."""
    wandb = dict(integration.get("wandb") or {})
    return {"type": integration["type"], "wandb": {**wandb, "entity": wandb.get("entity"), "run_id": job_id}}


def file_object(
    identifier: str,
    purpose: str,
    filename: str,
    size: int,
    created_at: float,
    expires_at: float | None = None,
    status: str = "processed",
) -> Json:
    """Return a file. Source: recordings of 2026-05 (FilesTests)."""
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


def upload_object(upload: PartUpload, status: str, file: Json | None = None) -> Json:
    """Return an upload, with its *file* once it is completed. Source: recordings of 2025-09 (UploadsTests)."""
    members = {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size,
        "created_at": int(upload.created_at),
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": status,
        "expires_at": int(upload.expires_at),
    }
    return members if file is None else {**members, "file": file}


def permission_object(permission: Permission) -> Json:
    """Return a checkpoint permission. Source: spec FineTuningCheckpointPermission (nothing recorded)."""
    return {
        "object": "checkpoint.permission",
        "id": permission.id,
        "created_at": int(permission.created_at),
        "project_id": permission.project_id,
    }


def model_object(identifier: str, created: float, owned_by: str) -> Json:
    """Return a model. Source: recording GetModelInfo."""
    return {"id": identifier, "object": "model", "created": int(created), "owned_by": owned_by}


def model_list_object(models: Iterable[Json]) -> Json:
    """Return the list of models, which has no pages."""
    return {"object": "list", "data": list(models)}


def page_object(data: Sequence[Json], has_more: bool) -> Json:
    """Return a page of jobs or events: no cursors (recording: GetJobs, GetJobEvents).

    After one of no objects there are no more (printed for batches with ``limit=0``).
    """
    return {"object": "list", "data": data, "has_more": has_more and bool(data)}


def page_object_with_ids(data: Sequence[Json], has_more: bool) -> Json:
    """Return a page of checkpoints or files: with the first and the last id (recordings: GetCheckpoints, ListFiles)."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {**page_object(data, has_more), "first_id": first, "last_id": last}


def page_object_after(objects: Sequence[Json], after: str | None, limit: int) -> Json:
    """Return the page of *objects* that follows the id *after*.

    Raises:
        ApiError: no object has this id.
    """
    known = [each["id"] for each in objects]
    if after is not None and after not in known:
        raise unknown_cursor()
    first = 0 if after is None else known.index(after) + 1
    return page_object_with_ids(objects[first : first + limit], first + limit < len(objects))


def event_object(job: Job, timeline: Timeline, ordinal: int) -> Json:
    """Return the job's event with this ordinal. Source: member order of 2023-08 and recording GetJobEvents."""
    event = timeline.event(ordinal)
    level, data = "info", None
    if event.kind == "step":
        message, data = step_event(job.current_spec, event.step)
        text = job.dialect.event_style.step_message
        if text and "train_loss" in data:
            message = text.format(step=data["step"], train_loss=_spell_as_dotnet(data["train_loss"]))
    else:
        kind = timeline.kinds[event.kind]
        message, level, data = _event_message(job, timeline, event), kind.level, {} if kind.data else None
        if event.kind == "failed" and kind.data and job.error:
            # printed output of 2023-10; that later dialects say the same is inferred
            data = {"error_code": job.error.code, "error_param": job.error.param}
    return {
        "object": "fine_tuning.job.event",
        "id": job.event_id(ordinal),
        "created_at": int(event.at),
        "level": level,
        "message": message,
        "data": data,
        "type": "metrics" if event.kind == "step" else "message",
    }


def _spell_as_dotnet(value: float) -> str:
    """Return a number as .NET writes it: ``3.8E-06``, ``1`` (printed outputs of Azure's events)."""
    return "NaN" if value != value else repr(value).upper().removesuffix(".0")


def _event_message(job: Job, timeline: Timeline, event: Event) -> str:
    text = timeline.kinds[event.kind].text or ""
    if "{error}" in text:
        return job.error.message if job.error else ""
    files = job.training_file
    if job.validation_file:
        files += f" and validation file: {job.validation_file}"
    # Names are derived only if the text shows them: a page may have a thousand events.
    return text.format(
        job=job.id,
        files=files,
        step=event.step,
        result=job.result_file,
        model=fine_tuned_model(job, timeline) if "{model}" in text else "",
        checkpoint=job.model_at(event.step, models_at(job, timeline)) if "{checkpoint}" in text else "",
        billed=abs(trained_tokens(job)) // 1000 * 1000 if "{billed}" in text else 0,
    )


def checkpoint_objects(job: Job, timeline: Timeline, dialect: Dialect) -> list[Json]:
    """Return the job's checkpoints for an answer in *dialect*, newest first. Source: recording GetCheckpoints."""
    checkpoints: list[Json] = []
    for step in reversed(checkpoint_steps(job)):
        override = next((point for point in job.overrides.checkpoints if point.step_number == step), None)
        if override:
            identifier, created_at, metrics = override.id, override.created_at, override.metrics
        else:
            identifier = ids.derived_id("checkpoint", job.id, step, shapes=job.dialect.ids)
            created_at = int(timeline.time_of_step(step) or 0)
            all_metrics = dialect.event_style.all_checkpoint_metrics
            metrics = (
                step_event(job.current_spec, step)[1] if all_metrics else checkpoint_metrics(job.current_spec, step)
            )
        files = {"result_files": [job.result_file]} if dialect.jobs and dialect.jobs.has_checkpoint_files else {}
        checkpoints.append(
            {
                "object": "fine_tuning.job.checkpoint",
                "id": identifier,
                "created_at": created_at,
                "fine_tuned_model_checkpoint": job.model_at(step, models_at(job, timeline)),
                "fine_tuning_job_id": job.id,
                "metrics": metrics,
                "step_number": step,
                **files,
            }
        )
    return checkpoints
