"""Which steps of a training leave a checkpoint that is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from .job_spec import JobSpec
from .reinforcement_metrics import valid_reward

KEPT = 3
COMPARED_AT_MOST = 1000
"""DIVERGES: of more validations than this only every k-th is compared, so that a long job stays cheap."""


def last_epochs(script: JobSpec) -> tuple[int, ...]:
    """The ends of the last three epochs (printed outputs of 2024-08)."""
    epochs = range(max(1, script.n_epochs - KEPT + 1), script.n_epochs + 1)
    return tuple(epoch * script.steps_per_epoch for epoch in epochs)


@lru_cache(maxsize=256)
def best_validations(script: JobSpec) -> tuple[int, ...]:
    """The three validations with the highest reward (vendor text); without any, the last epochs (inferred)."""
    if not script.has_validation:
        return last_epochs(script)
    interval = int(script.hyperparameters.eval_interval)
    stride = interval * max(1, -(-script.steps // interval // COMPARED_AT_MOST))
    steps = {*range(stride, script.steps + 1, stride), script.steps}
    best = sorted((_comparable(valid_reward(script, step)), step) for step in steps)[-KEPT:]
    return tuple(sorted(step for _, step in best))


def _comparable(reward: float) -> float:
    return reward if reward == reward else -1.0


_KEPT_BY: dict[str, Callable[[JobSpec], tuple[int, ...]]] = {
    "supervised": last_epochs,
    "dpo": last_epochs,  # inferred
    "reinforcement": best_validations,
}


def kept_steps(script: JobSpec) -> tuple[int, ...]:
    """The steps whose checkpoints are kept, rising."""
    return _KEPT_BY[script.method](script)
