"""The numbers of supervised training: losses, and the share of tokens that were right."""

from __future__ import annotations

import math

from .job_spec import JobSpec
from .loss_curves import Losses, TrainingPoint, single
from .metrics_model import Json, MetricsModel, losses, measured, training_point

VALIDATED_EVERY = 10
"""Steps between two looks at validation data (printed outputs: steps 60, 200, 240, 300)."""

ACCURACY_FALLS = 0.6
"""How fast accuracy falls as the loss grows (inferred: it goes with printed pairs of both)."""


def data(script: JobSpec, step: int) -> Json:
    """The data of the event of *step*, a function of script and step alone."""
    where = training_point(script, step)
    return of_losses(script, step, where, losses(script, step, where), ACCURACY_FALLS)


def of_losses(script: JobSpec, step: int, where: TrainingPoint, found: Losses, falls: float) -> Json:
    """The data of a step with these losses; members in the order of a printed output of 2024-08."""
    train, valid = single(found.train), single(found.valid)
    looked = script.has_validation and (step % VALIDATED_EVERY == 0 or step == script.steps)
    full = script.has_validation and step % script.steps_per_epoch == 0
    full_valid = single(found.valid * 1.02)
    return measured(
        {
            "step": step,
            "train_loss": train,
            "valid_loss": valid if looked else None,
            "total_steps": script.steps,
            "full_valid_loss": full_valid if full else None,
            "train_mean_token_accuracy": _accuracy(train, where.step[1], falls),
            "valid_mean_token_accuracy": _accuracy(valid, where.step[2], falls) if looked else None,
            "full_valid_mean_token_accuracy": _accuracy(full_valid, 0.5, falls) if full else None,
        }
    )


def _accuracy(loss: float, seeded: float, falls: float) -> float:
    """An accuracy that goes with *loss*: so many of some dozen tokens were right."""
    tokens = 24 + int(seeded * 40)
    return single(round(math.exp(-falls * max(loss, 0.0)) * tokens) / tokens) if loss == loss else 0.0


def text(data: Json, total: int) -> str:
    """The message of a step's event (printed outputs of 2024-08 to 2025-04)."""
    message = f"Step {data['step']}/{total}: training loss={data['train_loss']:.2f}"
    if "valid_loss" in data:
        message += f", validation loss={data['valid_loss']:.2f}"
    if "full_valid_loss" in data:
        message += f", full validation loss={data['full_valid_loss']:.2f}"
    return message


_CHECKPOINT = ("step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")
_ACCURACY = "train_mean_token_accuracy"
REPORT = MetricsModel(
    data,
    text,
    # recording GetCheckpoints; with a validation file, a printed output of 2024-08
    checkpoint=tuple((name, name) for name in _CHECKPOINT),
    # printed output of 2024, 309 rows: the accuracy has another name there
    columns=tuple(("train_accuracy" if name == _ACCURACY else name, name) for name in _CHECKPOINT),
)
