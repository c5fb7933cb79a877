"""Facts in the form in which an account takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from fine_tuning_formats.hyperparameters import base_model

from ..control.seeds import JobSeed, first_problem
from ..domain.base_models import BASE_MODELS, BY_ID, BaseModel
from ..domain.job_spec import PhaseDurations
from ..domain.jobs import CheckpointOverride, Overrides
from ..domain.plan import Plan
from ..domain.timeline import TERMINAL
from ..usage_errors import FakeUsageError
from .inferred_state import InferredJob, InferredState
from .job_history import fit_durations
from .recording import Json

FINAL = ("finished_at", "fine_tuned_model", "result_files", "trained_tokens")
POINT = ("id", "created_at", "step_number", "fine_tuned_model_checkpoint", "metrics")
LONG = 1e8
"""Seconds in which an unfinished job of which no more is known does not go on by itself."""

_AT_ONCE: dict[str, float] = {"validating": 0, "queued": 0, "starting": 0, "seconds_per_step": 0, "finishing": 0}
AT = {
    "validating_files": {"validating": LONG},
    "queued": {"validating": 0, "queued": LONG},
    "running": {**_AT_ONCE, "starting": LONG},
    "paused": {**_AT_ONCE, "starting": LONG},
    "failed": _AT_ONCE,
    "succeeded": {**_AT_ONCE, "finishing": 1},
}
"""Lengths by which a job of which no times are known has got to its status, and stays there."""


def seed_of(job: InferredJob) -> JobSeed:
    """A job that was there, in the state in which it was first seen.

    Raises:
        FakeUsageError: it is no job as the fake knows them.
    """
    told = {name: job.first[name] for name in JobSeed.model_fields if job.first.get(name) not in (None, {})}
    told |= {name: job.last[name] for name in FINAL if job.last.get(name)}
    if (told.get("method") or {}).get("type") == "supervised":
        told.pop("method")  # its numbers are those of the top level, without the bounds of a request
    told |= {"suffix": job.first.get("user_provided_suffix"), "checkpoints": _points(job.checkpoints)}
    told |= {"event_ids": _id_list(job), "plan": plan_of(job, PhaseDurations.of(Plan()), job.steps), **_result(job)}
    try:
        return JobSeed.model_validate(told)
    except ValidationError as error:
        field, text = first_problem(error)
        raise FakeUsageError(f"member {field}: {text}") from None


def without_times(seed: JobSeed) -> JobSeed:
    """*seed* that has got to its status, whenever that was."""
    return seed.model_copy(update={"plan": {**seed.plan, **AT.get(seed.status, {})}})


def overrides_of(job: InferredJob) -> Overrides:
    """What is not derived of a job that the recording makes."""
    last = job.last
    points = tuple(CheckpointOverride(*(point[name] for name in POINT)) for point in job.checkpoints)
    return Overrides(
        fine_tuned_model=last.get("fine_tuned_model"),
        result_file=next(iter(last.get("result_files") or ()), None),
        trained_tokens=last.get("trained_tokens"),
        finished_at=last.get("finished_at"),
        checkpoints=points,
        event_ids=job.course.ids,
        **_result(job),
    )


def plan_of(job: InferredJob, lengths: PhaseDurations, steps: int) -> dict[str, Any]:
    """How a job went, as a plan's fields: as long as it took, and as it ended."""
    plan: dict[str, Any] = {}
    finished_at = job.last.get("finished_at")
    told = job.course
    if steps and (told.opening.get(2) is not None or told.steps or finished_at is not None):
        plan |= fit_durations(lengths, steps, int(job.first["created_at"]), finished_at, told)
    error = job.last.get("error") or {}
    if job.last["status"] == "failed" and error.get("code") != "deleted_training_file":  # a request deletes it
        plan |= {"error": error, "fail_at": max(told.steps, default=None) or "validation"}
    if job.first["status"] in TERMINAL:
        plan.pop("error", None)  # the seed's own member says it
    return plan


def model_catalogue(facts: InferredState) -> tuple[BaseModel, ...]:
    """The models of the account, but for those that its jobs leave."""
    if facts.models is not None:
        return tuple(_model(model) for model in facts.models)
    known = {model.id: model for model in BASE_MODELS}
    return tuple((known | {model["id"]: _model(model) for model in facts.single_models}).values())


def _model(told: Json) -> BaseModel:
    """A model as it was listed; how it is tuned is not in the list."""
    base = BY_ID.get(base_model(told["id"]), BaseModel(told["id"], 0))
    return replace(base, id=told["id"], created=told["created"], owned_by=told["owned_by"])


def _points(points: Sequence[Json]) -> list[Json]:
    return [{name: point[name] for name in POINT} for point in points]


def _id_list(job: InferredJob) -> list[str | None]:
    return [job.course.ids.get(ordinal) for ordinal in range(max(job.course.ids, default=-1) + 1)]


def _result(job: InferredJob) -> dict[str, Any]:
    if job.result is None:
        return {}
    return {"result_created_at": job.result["created_at"], "result_bytes": job.result["bytes"]}
