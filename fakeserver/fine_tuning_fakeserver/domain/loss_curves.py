"""Training curves: seeded, closed in the step, so that step N costs what step 1 costs."""

from __future__ import annotations

import csv
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from ..usage_errors import FakeUsageError


@dataclass(frozen=True, slots=True)
class TrainingPoint:
    """Where a training stands at one step: progress in 0..1, and five seeded numbers in 0..1.

    `run` are constant over the job, `step` are the step's own.
    """

    progress: float
    run: tuple[float, float]
    step: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Losses:
    """What a curve says at a step: the loss on training data, and on data held out."""

    train: float
    valid: float


def start(course: TrainingPoint) -> float:
    """The loss at which a falling curve begins."""
    return 1.8 + 1.2 * course.run[0]


def _decay(course: TrainingPoint, floor: float, speed: float = 4.0) -> float:
    return floor + (start(course) - floor) * math.exp(-speed * course.progress)


def _wobble(course: TrainingPoint, value: float, width: float = 0.12) -> float:
    return max(value * (1 + width * (2 * course.step[0] - 1)), 0.0)


def _healthy(course: TrainingPoint) -> Losses:
    loss = _decay(course, 0.15 + 0.25 * course.run[1])
    return Losses(_wobble(course, loss), loss * 1.06 + 0.03 * course.step[1])


def _overfit(course: TrainingPoint) -> Losses:
    loss = _decay(course, 0.02, speed=6.0)
    turn = max(course.progress - 0.35, 0.0)
    return Losses(_wobble(course, loss), _decay(course, 0.5) + 1.6 * turn + 0.03 * course.step[1])


def _diverge(course: TrainingPoint) -> Losses:
    loss = _decay(course, 0.4) + 9.0 * max(course.progress - 0.3, 0.0) ** 2
    return Losses(_wobble(course, loss, 0.3), loss * 1.1 + 0.1 * course.step[1])


def _plateau(course: TrainingPoint) -> Losses:
    loss = 1.4 + 0.4 * course.run[1]
    return Losses(_wobble(course, loss, 0.05), loss * 1.03 + 0.02 * course.step[1])


def _nan(course: TrainingPoint) -> Losses:
    return _healthy(course) if course.progress < 0.4 else Losses(math.nan, math.nan)


CURVES: dict[str, Callable[[TrainingPoint], Losses]] = {
    "healthy": _healthy,
    "overfit": _overfit,
    "diverge": _diverge,
    "plateau": _plateau,
    "nan": _nan,
}
"""The named curves of a plan; anything else given as `curve` is read as CSV."""


@dataclass(frozen=True, slots=True)
class CsvCurve:
    """A curve given as rows of ``train_loss[,valid_loss]``, stretched over the job's steps."""

    rows: tuple[Losses, ...]

    def __call__(self, course: TrainingPoint) -> Losses:
        """The row that stands at this progress."""
        return self.rows[min(int(course.progress * len(self.rows)), len(self.rows) - 1)]


@lru_cache(maxsize=64)
def csv_curve(text: str) -> CsvCurve:
    """Read a curve from CSV text: rows ``train_loss[,valid_loss]``, or columns under a header with these names.

    Raises:
        FakeUsageError: there is no row, or a cell is no number.
    """
    try:
        rows = [row for row in csv.reader(text.strip().splitlines()) if row]
    except csv.Error as error:
        raise FakeUsageError(f"curve is {text[:80]!r}: {error}") from None
    names = [name.strip() for name in rows[0]] if rows and "train_loss" in text else ["train_loss", "valid_loss"]
    if "train_loss" in text:
        rows = rows[1:]
    if not rows:
        raise FakeUsageError(f"curve is {text!r}: CSV rows train_loss[,valid_loss] are wanted")
    return CsvCurve(tuple(_losses(dict(zip(names, row, strict=False)), text) for row in rows))


def _losses(cells: dict[str, str], text: str) -> Losses:
    try:
        train = float(cells["train_loss"])
        return Losses(train, float(cells.get("valid_loss") or train))
    except (KeyError, ValueError):
        raise FakeUsageError(
            f"curve is {text[:80]!r}: one of {', '.join(CURVES)}, or CSV rows train_loss[,valid_loss]"
        ) from None


def curve(name_or_csv: str) -> Callable[[TrainingPoint], Losses]:
    """The curve a plan means: a name of `CURVES`, or CSV text."""
    return CURVES.get(name_or_csv) or csv_curve(name_or_csv)


def at_step(step: int, total: int, seed: int) -> TrainingPoint:
    """Where the training stands at *step* of *total*, with that step's seeded numbers."""
    run = uniform(f"{seed}")
    return TrainingPoint((step - 1) / max(total - 1, 1), (run[0], run[1]), uniform(f"{seed}/{step}"))


def uniform(text: str) -> tuple[float, float, float]:
    """Three numbers in 0..1 that depend on *text* alone."""
    first, second, third = struct.unpack("<3I", blake2b(text.encode(), digest_size=12).digest())
    return first / 2**32, second / 2**32, third / 2**32


def single(value: float) -> float:
    """*value* as the nearest 32-bit float: what the service reports are 32-bit numbers (recording)."""
    return float(struct.unpack("<f", struct.pack("<f", max(min(value, 3e38), -3e38)))[0]) if value == value else value
