"""The numbers of a training: the same, to the digit, in events, checkpoints and the result file.

Here are those of supervised and of preference training: losses, and the share of tokens that were right. No event of a
preference job (dpo) was ever seen: all of its numbers are inferred.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

from fine_tuning_formats.lazy_dataclass import dataclass

from . import reinforcement_metrics
from .job_spec import VALIDATED_EVERY, JobSpec
from .loss_curves import CURVES, Losses, initial_loss, to_float32
from .reinforcement_metrics import Json, valid_reward

STEPS_WRITTEN_AT_MOST = 50_000
"""DIVERGES: the service writes a row a step; the result file of a longer job has every k-th step, to stay small."""
ROWS_OF_LONG_JOBS = 5000
"""How many rows such a file has at most: its size, which lists show, is known when it is written."""

ACCURACY_FALLS = {"supervised": 0.6, "dpo": 1.0}
"""How fast accuracy falls as the loss grows (inferred: 0.6 goes with printed pairs of both; with 1 a model that prefers
neither answer is right half of the time)."""

UNDECIDED = math.log(2)
"""The loss of a model that prefers neither answer, where preference training begins."""


def _loss_data(spec: JobSpec, step: int) -> Json:
    """Return the data of the event of *step*; members in the order of a printed output of 2024-08."""
    point, falls = spec.training_point(step), ACCURACY_FALLS[spec.method]
    losses = spec.losses(step, point)
    if spec.method == "dpo" and spec.curve_at(step) in CURVES:  # the losses of a CSV curve are taken as they are
        scale = UNDECIDED / initial_loss(point)
        losses = Losses(losses.train * scale, losses.valid * scale)
    train = to_float32(losses.train)
    accuracy = _accuracy(train, point.step[1], falls)
    if not spec.has_validation:
        return {"step": step, "train_loss": train, "total_steps": spec.steps, "train_mean_token_accuracy": accuracy}
    valid = to_float32(losses.valid) if (step - spec.first_validation) % VALIDATED_EVERY == 0 else None
    ends_epoch = spec.full_validation and step % spec.steps_per_epoch == 0
    full_valid = to_float32(losses.valid * 1.02) if ends_epoch else None
    data = {
        "step": step,
        "train_loss": train,
        "valid_loss": valid,
        "total_steps": spec.steps,
        "full_valid_loss": full_valid,
        "train_mean_token_accuracy": accuracy,
        "valid_mean_token_accuracy": None if valid is None else _accuracy(valid, point.step[2], falls),
        "full_valid_mean_token_accuracy": None if full_valid is None else _accuracy(full_valid, 0.5, falls),
    }
    return {name: value for name, value in data.items() if value is not None}


def _accuracy(loss: float, seeded: float, falls: float) -> float:
    """Return an accuracy that goes with *loss*: so many of some dozen tokens were right."""
    tokens = 24 + int(seeded * 40)
    return to_float32(round(math.exp(-falls * max(loss, 0.0)) * tokens) / tokens) if loss == loss else 0.0


def _loss_message(data: Json, total: int) -> str:
    """Return the message of a step's event (printed outputs of 2024-08 to 2025-04)."""
    message = f"Step {data['step']}/{total}: training loss={data['train_loss']:.2f}"
    if "valid_loss" in data:
        message += f", validation loss={data['valid_loss']:.2f}"
    if "full_valid_loss" in data:
        message += f", full validation loss={data['full_valid_loss']:.2f}"
    return message


@dataclass(frozen=True, slots=True)
class MetricsModel:
    """How a method reports its training, always from the data of a step's event, so that every digit agrees.

    `data` measures a step; `message` words it for a number of steps. `checkpoint` and `columns` are pairs: the
    name of a metric, or of a column of the result file, and that of the member of the data that it shows.
    """

    data: Callable[[JobSpec, int], Json]
    message: Callable[[Json, int], str]
    checkpoint: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]


# recording GetCheckpoints; with a validation file, a printed output of 2024-08
_CHECKPOINT = tuple(
    (name, name)
    for name in ("step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy")
)
# printed output of 2024, 309 rows: the accuracy has another name there
_COLUMNS = tuple((name.replace("train_mean_token_accuracy", "train_accuracy"), name) for name, _ in _CHECKPOINT)
# inferred: header of a result file that two readers of such files expect
_REWARD_COLUMNS = tuple((name, name) for name in ("step", "train_mean_reward", "full_valid_mean_reward"))
# inferred: the two numbers that vendor text says to watch, under the names it gives them
_REWARDS = (
    ("step", "step"),
    ("train_reward_mean", "train_mean_reward"),
    ("valid_reward_mean", "full_valid_mean_reward"),
)
_LOSSES = MetricsModel(_loss_data, _loss_message, _CHECKPOINT, _COLUMNS)
METRICS: dict[str, MetricsModel] = {
    "supervised": _LOSSES,
    "dpo": _LOSSES,
    "reinforcement": MetricsModel(reinforcement_metrics.data, reinforcement_metrics.message, _REWARDS, _REWARD_COLUMNS),
}


def step_event(spec: JobSpec, step: int) -> tuple[str, Json]:
    """Return the message and the data of the event of *step*."""
    model = METRICS[spec.method]
    data = model.data(spec, step)
    return model.message(data, spec.steps), data


def checkpoint_metrics(spec: JobSpec, step: int) -> Json:
    """Return the metrics of the checkpoint of *step*: its event's data, and the method (recording GetCheckpoints)."""
    model = METRICS[spec.method]
    data = model.data(spec, step)
    return {**{name: data[key] for name, key in model.checkpoint if key in data}, "type": spec.method}


def result_csv(spec: JobSpec) -> Iterator[str]:
    """Yield the lines of ``step_metrics.csv``, newline included (printed output of 2024: 309 rows, five decimals)."""
    model = METRICS[spec.method]
    yield ",".join(name for name, _ in model.columns) + "\n"
    stride = 1 if spec.steps <= STEPS_WRITTEN_AT_MOST else -(-spec.steps // ROWS_OF_LONG_JOBS)
    for step in range(spec.steps % stride or stride, spec.steps + 1, stride):
        data = model.data(spec, step)
        values = (data.get(key) for _, key in model.columns)
        yield ",".join("" if value is None else repr(round(value, 5)) for value in values) + "\n"


CHECKPOINTS_KEPT = 3
COMPARED_AT_MOST = 1000
"""DIVERGES: of more validations than this only every k-th is compared, so that a long job stays cheap."""


def kept_steps(spec: JobSpec) -> tuple[int, ...]:
    """Return the steps whose checkpoints are kept, rising; which those of preference training are is inferred."""
    return best_validations(spec) if spec.method == "reinforcement" else last_epochs(spec)


def last_epochs(spec: JobSpec) -> tuple[int, ...]:
    """Return the ends of the last three epochs (printed outputs of 2024-08)."""
    epochs = range(max(1, spec.n_epochs - CHECKPOINTS_KEPT + 1), spec.n_epochs + 1)
    return tuple(epoch * spec.steps_per_epoch for epoch in epochs)


@lru_cache(maxsize=256)
def best_validations(spec: JobSpec) -> tuple[int, ...]:
    """Return the three validations with the highest reward (vendor text); without any, the last epochs (inferred)."""
    if not spec.has_validation:
        return last_epochs(spec)
    interval = int(spec.hyperparameters.eval_interval)
    stride = interval * max(1, -(-spec.steps // interval // COMPARED_AT_MOST))
    rewards = {step: valid_reward(spec, step) for step in {*range(stride, spec.steps + 1, stride), spec.steps}}
    comparable = ((-1.0 if math.isnan(reward) else reward, step) for step, reward in rewards.items())
    return tuple(sorted(step for _, step in sorted(comparable)[-CHECKPOINTS_KEPT:]))
