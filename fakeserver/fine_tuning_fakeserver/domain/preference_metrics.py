"""The numbers of preference training (dpo). No event of such a job was ever seen: all of this is inferred."""

from __future__ import annotations

import math

from . import supervised_metrics
from .job_spec import JobSpec
from .loss_curves import CURVES, Losses, TrainingPoint, start
from .metrics_model import Json, MetricsModel, losses, training_point

UNDECIDED = math.log(2)
"""The loss of a model that prefers neither answer, where such a training begins."""

ACCURACY_FALLS = 1.0
"""So that a model that prefers neither answer is right half of the time."""


def data(script: JobSpec, step: int) -> Json:
    """The data of the event of *step*: members named as those of supervised training."""
    where = training_point(script, step)
    found = losses(script, step, where)
    if script.curve_at(step) in CURVES:  # a curve given as CSV is taken at its word
        found = _from_undecided(found, where)
    return supervised_metrics.of_losses(script, step, where, found, ACCURACY_FALLS)


def _from_undecided(found: Losses, where: TrainingPoint) -> Losses:
    scale = UNDECIDED / start(where)
    return Losses(found.train * scale, found.valid * scale)


REPORT = MetricsModel(
    data, supervised_metrics.text, supervised_metrics.REPORT.checkpoint, supervised_metrics.REPORT.columns
)
