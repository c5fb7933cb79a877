"""How a job went, as far as its recorded events tell: when which phase ended, and which event has which id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..domain.job_spec import PhaseDurations
from .observed_objects import EVENT, objects_in
from .recording import Json, RecordedExchange

# Ordinals of the events that every job begins with; they are the service's, and the fake's. Step k is 3 + k.
OPENING = ("Created fine-tuning job", "Validating training file", "Files validated", "Fine-tuning job started")
_STEP = re.compile(r"Step (\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class JobHistory:
    """What the events of a job tell; times are Unix seconds.

    Args:
        ids: event ids by ordinal, oldest first from 0.
        opening: times of the `OPENING` events, by ordinal.
        steps: times of training steps.
        total: how many steps there are; 0 where no event says it.
    """

    ids: Mapping[int, str] = field(default_factory=dict)
    opening: Mapping[int, int] = field(default_factory=dict)
    steps: Mapping[int, int] = field(default_factory=dict)
    total: int = 0


def job_history(pages: Iterable[RecordedExchange]) -> JobHistory:
    """What the pages of one job's events tell."""
    ids: dict[int, str] = {}
    opening: dict[int, int] = {}
    steps: dict[int, int] = {}
    total = 0
    for page in pages:
        ids |= _ordinals(page, {known: ordinal for ordinal, known in ids.items()})
        for event in objects_in(page.answer, EVENT):
            ordinal = _ordinal(event)
            if ordinal is not None and ordinal < len(OPENING):
                opening[ordinal] = event["created_at"]
            if step := _STEP.match(event["message"]):
                steps[int(step[1])], total = event["created_at"], int(step[2])
    return JobHistory(ids, opening, steps, total)


def _ordinals(page: RecordedExchange, known: Mapping[str, int]) -> dict[int, str]:
    """Ids by ordinal: one event whose ordinal is certain gives those of all on its page, which are consecutive."""
    events = list(objects_in(page.answer, EVENT))
    newest = known[page.query["after"]] - 1 if page.query.get("after") in known else None
    if newest is None and page.members.get("has_more") is False:
        newest = len(events) - 1
    for place, event in enumerate(events):
        if newest is None and (ordinal := _ordinal(event)) is not None:
            newest = ordinal + place
    if newest is None or newest < len(events) - 1:
        return {}
    after = {newest + 1: page.query["after"]} if "after" in page.query else {}
    return after | {newest - place: str(event["id"]) for place, event in enumerate(events)}


def _ordinal(event: Json) -> int | None:
    message: str = event["message"]
    if step := _STEP.match(message):
        return len(OPENING) - 1 + int(step[1])
    return next((ordinal for ordinal, text in enumerate(OPENING) if message.startswith(text)), None)


def fit_durations(
    lengths: PhaseDurations, steps: int, created_at: float, finished_at: int | None, told: JobHistory
) -> dict[str, Any]:
    """The lengths of a job's phases, changed so that it goes as it was told; a plan's fields."""
    fit = dict(asdict(lengths))
    validated = told.opening.get(2)
    if validated is not None:
        fit["validating"] = validated - created_at
    if validated is not None and (started := told.opening.get(3)) is not None:
        fit["queued"] = started - validated
        fit |= _training(fit, started, told)
    if finished_at is None:
        return _sound(fit)
    short_by = finished_at - created_at - _length(fit, steps)
    if told.steps:
        return _sound(fit | {"finishing": fit["finishing"] + short_by})
    if validated is not None:
        return _sound(fit | {"starting": fit["starting"] + short_by})
    return _sound(_stretched(fit, steps, finished_at - created_at))


def _training(fit: Mapping[str, float], started: int, told: JobHistory) -> dict[str, float]:
    if not told.steps:
        return {}
    first, last = min(told.steps), max(told.steps)
    pace = fit["seconds_per_step"]
    if last > first:
        pace = (told.steps[last] - told.steps[first]) / (last - first)
    return {"seconds_per_step": pace, "starting": told.steps[last] - started - last * pace}


def _length(fit: Mapping[str, float], steps: int) -> float:
    return sum(fit.values()) + fit["seconds_per_step"] * (steps - 1)


def _stretched(fit: Mapping[str, float], steps: int, whole: float) -> dict[str, float]:
    scale = whole / (_length(fit, steps) or 1.0)
    return {name: length * scale for name, length in fit.items()}


def _sound(fit: Mapping[str, float]) -> dict[str, Any]:
    return {name: max(float(length), 0.0) for name, length in fit.items()}
