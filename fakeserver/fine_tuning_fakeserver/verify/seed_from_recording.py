"""What a recording tells in the form in which an account takes it: seeds, overrides, plans, models."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from fine_tuning_formats.job_rules import base_model

from ..control.seeds import JobSeed
from ..domain.base_models import BASE_MODELS, MODELS_BY_ID, BaseModel
from ..domain.job import CheckpointOverride, Overrides
from ..domain.job_spec import PhaseDurations
from ..domain.plan import Plan
from ..domain.timeline import TERMINAL
from .inferred_state import STARTED, VALIDATED, InferredJob, InferredState, JobHistory
from .recording import Json

FINAL_FIELDS = ("finished_at", "fine_tuned_model", "result_files", "trained_tokens")
CHECKPOINT_FIELDS = ("id", "created_at", "step_number", "fine_tuned_model_checkpoint", "metrics")
LONG = 1e8
"""Seconds in which an unfinished job of which no more is known does not go on by itself."""

_AT_ONCE: dict[str, float] = {"validating": 0, "queued": 0, "starting": 0, "seconds_per_step": 0, "finishing": 0}
DURATIONS_BY_STATUS = {
    "validating_files": {"validating": LONG},
    "queued": {"validating": 0, "queued": LONG},
    "running": {**_AT_ONCE, "starting": LONG},
    "paused": {**_AT_ONCE, "starting": LONG},
    "failed": _AT_ONCE,
    "succeeded": {**_AT_ONCE, "finishing": 1},
}
"""Durations with which a job of which no times are known has got to its status, and stays there."""


def seed_of(job: InferredJob) -> JobSeed:
    """Return a job that existed before, in the state in which it was first seen.

    Raises:
        FakeUsageError: the fake knows no such job.
    """
    seed = {name: job.first[name] for name in JobSeed.model_fields if job.first.get(name) not in (None, {})}
    seed |= {name: job.last[name] for name in FINAL_FIELDS if job.last.get(name)}
    if (seed.get("method") or {}).get("type") == "supervised":
        seed.pop("method")  # its numbers are those of the top level, without the bounds of a request
    ids = job.history.ids
    seed |= {
        "suffix": job.first.get("user_provided_suffix"),
        "checkpoints": [{name: each[name] for name in CHECKPOINT_FIELDS} for each in job.checkpoints],
        "event_ids": [ids.get(ordinal) for ordinal in range(max(ids, default=-1) + 1)],
        "plan": plan_changes(job, PhaseDurations.for_plan(Plan()), job.steps),
        **_result_file(job),
    }
    return JobSeed.parse(seed)


def without_times(seed: JobSeed) -> JobSeed:
    """Return *seed* with a plan by which it has got to its status at any time."""
    return seed.model_copy(update={"plan": {**seed.plan, **DURATIONS_BY_STATUS.get(seed.status, {})}})


def overrides_of(job: InferredJob) -> Overrides:
    """Return the values of a job that the recording creates which the fake would derive otherwise."""
    last = job.last
    return Overrides(
        fine_tuned_model=last.get("fine_tuned_model"),
        result_file=next(iter(last.get("result_files") or ()), None),
        trained_tokens=last.get("trained_tokens"),
        finished_at=last.get("finished_at"),
        checkpoints=tuple(CheckpointOverride(*(each[name] for name in CHECKPOINT_FIELDS)) for each in job.checkpoints),
        event_ids=job.history.ids,
        **_result_file(job),
    )


def _result_file(job: InferredJob) -> dict[str, Any]:
    if job.result is None:
        return {}
    return {"result_created_at": job.result["created_at"], "result_bytes": job.result["bytes"]}


def plan_changes(job: InferredJob, durations: PhaseDurations, steps: int) -> dict[str, Any]:
    """Return a plan's fields by which the job takes as long as it took, and ends as it ended."""
    plan: dict[str, Any] = {}
    finished_at, history = job.last.get("finished_at"), job.history
    if steps and (VALIDATED in history.opening or history.steps or finished_at is not None):
        plan |= _fit_durations(durations, steps, int(job.first["created_at"]), finished_at, history)
    error = job.last.get("error") or {}
    if job.last["status"] == "failed" and error.get("code") != "deleted_training_file":  # a request deletes it
        plan |= {"error": error, "fail_at": max(history.steps, default=None) or "validation"}
    if job.first["status"] in TERMINAL:
        plan.pop("error", None)  # the seed's own member says it
    return plan


def _fit_durations(
    durations: PhaseDurations, steps: int, created_at: float, finished_at: int | None, history: JobHistory
) -> dict[str, float]:
    """Change the durations of a job's phases so that they fit its history."""
    fit: dict[str, float] = asdict(durations)
    validated, started = (history.opening.get(ordinal) for ordinal in (VALIDATED, STARTED))
    if validated is not None:
        fit["validating"] = validated - created_at
        if started is not None:
            fit["queued"] = started - validated
            if history.steps:
                first, last = min(history.steps), max(history.steps)
                if last > first:
                    fit["seconds_per_step"] = (history.steps[last] - history.steps[first]) / (last - first)
                fit["starting"] = history.steps[last] - started - last * fit["seconds_per_step"]
    if finished_at is not None:
        length = sum(fit.values()) + fit["seconds_per_step"] * (steps - 1)
        missing = finished_at - created_at - length
        if history.steps:
            fit["finishing"] += missing
        elif validated is not None:
            fit["starting"] += missing
        else:
            scale = (finished_at - created_at) / (length or 1.0)
            fit = {name: seconds * scale for name, seconds in fit.items()}
    return {name: max(float(seconds), 0.0) for name, seconds in fit.items()}


def model_catalogue(state: InferredState) -> tuple[BaseModel, ...]:
    """Return the models of the account, but for those that its jobs make."""
    if state.models is not None:
        return tuple(map(_base_model, state.models))
    models = {model.id: model for model in BASE_MODELS}
    models |= {model["id"]: _base_model(model) for model in state.single_models}
    return tuple(models.values())


def _base_model(model: Json) -> BaseModel:
    base = MODELS_BY_ID.get(base_model(model["id"]), BaseModel(model["id"], 0))  # no answer tells how a model is tuned
    return replace(base, id=model["id"], created=model["created"], owned_by=model["owned_by"])
