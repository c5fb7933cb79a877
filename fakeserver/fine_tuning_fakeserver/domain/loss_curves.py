"""Training curves: seeded, closed in the step, so that step N costs what step 1 costs."""

from __future__ import annotations

import csv
import math
import struct
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ..usage_errors import wrong_value


@dataclass(frozen=True, slots=True)
class TrainingPoint:
    """One step of a training: progress in 0..1, and five seeded numbers in 0..1.

    `run` are constant over the job, `step` are the step's own.
    """

    progress: float
    run: tuple[float, float]
    step: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss at a step on training data, and on data held out."""

    train: float
    valid: float


Curve: TypeAlias = Callable[[TrainingPoint], Losses]


def initial_loss(point: TrainingPoint) -> float:
    """Return the loss at which a falling curve begins."""
    return 1.8 + 1.2 * point.run[0]


def _decay(point: TrainingPoint, floor: float, speed: float = 4.0) -> float:
    return floor + (initial_loss(point) - floor) * math.exp(-speed * point.progress)


def _wobble(point: TrainingPoint, value: float, width: float = 0.12) -> float:
    return max(value * (1 + width * (2 * point.step[0] - 1)), 0.0)


def _healthy(point: TrainingPoint) -> Losses:
    loss = _decay(point, 0.15 + 0.25 * point.run[1])
    return Losses(_wobble(point, loss), loss * 1.06 + 0.03 * point.step[1])


def _overfit(point: TrainingPoint) -> Losses:
    loss = _decay(point, 0.02, speed=6.0)
    turn = max(point.progress - 0.35, 0.0)
    return Losses(_wobble(point, loss), _decay(point, 0.5) + 1.6 * turn + 0.03 * point.step[1])


def _diverge(point: TrainingPoint) -> Losses:
    loss = _decay(point, 0.4) + 9.0 * max(point.progress - 0.3, 0.0) ** 2
    return Losses(_wobble(point, loss, 0.3), loss * 1.1 + 0.1 * point.step[1])


def _plateau(point: TrainingPoint) -> Losses:
    loss = 1.4 + 0.4 * point.run[1]
    return Losses(_wobble(point, loss, 0.05), loss * 1.03 + 0.02 * point.step[1])


CURVES: dict[str, Curve] = {
    "healthy": _healthy,
    "overfit": _overfit,
    "diverge": _diverge,
    "plateau": _plateau,
    "nan": lambda point: _healthy(point) if point.progress < 0.4 else Losses(math.nan, math.nan),
}
"""The named curves of a plan; any other value of `curve` is read as CSV."""


@lru_cache(maxsize=64)
def csv_curve(text: str) -> Curve:
    """Read a curve from CSV text: rows ``train_loss[,valid_loss]``, or columns under a header with these names.

    Its rows are stretched over the job's steps.

    Raises:
        FakeUsageError: it has no rows, or a cell is not a number.
    """
    try:
        rows = [row for row in csv.reader(text.strip().splitlines()) if row]
        names = ["train_loss", "valid_loss"]
        if rows and "train_loss" in text:
            names, rows = [name.strip() for name in rows[0]], rows[1:]
        cells = [dict(zip(names, row, strict=False)) for row in rows]
        train = [float(row["train_loss"]) for row in cells]
        losses = [Losses(loss, float(row.get("valid_loss") or loss)) for row, loss in zip(cells, train, strict=True)]
    except (csv.Error, KeyError, ValueError):
        losses = []
    if not losses:
        raise wrong_value("curve", f"one of {', '.join(CURVES)}, or CSV rows train_loss[,valid_loss]", text[:80])
    return lambda point: losses[min(int(point.progress * len(losses)), len(losses) - 1)]


def loss_curve(name_or_csv: str) -> Curve:
    """Return the curve of a plan: a name of `CURVES`, or CSV text."""
    return CURVES.get(name_or_csv) or csv_curve(name_or_csv)


def check_curve(value: Any, name: str) -> str:
    """Return *value* if it names a curve or is CSV text.

    Raises:
        FakeUsageError: it is neither.
    """
    if not isinstance(value, str):
        raise wrong_value(name, "the name of a curve, or CSV text", value)
    loss_curve(value)
    return value


_THREE_NUMBERS, _FLOAT32 = struct.Struct("<3I"), struct.Struct("<f")


def training_point(step: int, total: int, seed: int) -> TrainingPoint:
    """Return the point of *step* of *total*, with that step's seeded numbers."""
    run = _run_numbers(seed)
    return TrainingPoint((step - 1) / max(total - 1, 1), (run[0], run[1]), uniform(f"{seed}/{step}"))


@lru_cache(maxsize=256)
def _run_numbers(seed: int) -> tuple[float, float, float]:
    return uniform(f"{seed}")


def uniform(text: str) -> tuple[float, float, float]:
    """Return three numbers in 0..1 that depend on *text* alone."""
    first, second, third = _THREE_NUMBERS.unpack(blake2b(text.encode(), digest_size=12).digest())
    return first / 2**32, second / 2**32, third / 2**32


def to_float32(value: float) -> float:
    """Return the nearest 32-bit float: what the service reports are 32-bit numbers (recording)."""
    if value != value:
        return value
    number: float = _FLOAT32.unpack(_FLOAT32.pack(max(min(value, 3e38), -3e38)))[0]
    return number
