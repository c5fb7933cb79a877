"""How a method tells of its training: what its events say at a step, its checkpoints, and its result file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .job_spec import JobSpec
from .loss_curves import Losses, TrainingPoint, at_step, curve

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MetricsModel:
    """What a method tells. All of it is taken from the data of a step's event, so that every digit agrees.

    `data` measures a step; `text` says it in words, given the number of steps. `checkpoint` and `columns` are pairs:
    the name of a metric, or of a column of the result file, and that of the member of the data that it shows.
    """

    data: Callable[[JobSpec, int], Json]
    text: Callable[[Json, int], str]
    checkpoint: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]


def training_point(script: JobSpec, step: int) -> TrainingPoint:
    """Where the training stands at *step*."""
    return at_step(step, script.steps, script.seed)


def losses(script: JobSpec, step: int, where: TrainingPoint) -> Losses:
    """What the job's curve says at *step*."""
    return curve(script.curve_at(step))(where)


def measured(members: Json) -> Json:
    """*members* without those that were not measured."""
    return {name: value for name, value in members.items() if value is not None}


def as_stored(value: Any) -> Any:
    """*value* with the members of each object in the order of the service's data: the shortest name first.

    Source: every printed event of a step, supervised and reinforcement, is so ordered at each depth.
    """
    if isinstance(value, dict):
        return {name: as_stored(value[name]) for name in sorted(value, key=lambda name: (len(name), name))}
    return [as_stored(each) for each in value] if isinstance(value, list) else value
