"""Training curves for a chart: at most so many buckets of steps, however many steps there are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from ..domain.job_spec import VALIDATED_EVERY, JobSpec
from ..domain.metrics import METRICS

BUCKETS_AT_MOST = 300
SAMPLES = 4
"""How many steps of a bucket are looked at, so that a bucket costs the same at any size."""

Range: TypeAlias = tuple[float, float, float]
"""Least, greatest and mean value in a bucket."""

_NOT_MEASURED = ("step", "total_steps")


def curves(spec: JobSpec, done: int) -> dict[str, Any]:
    """Return the curves of the steps up to *done*.

    Buckets are cut by the steps of the whole job, so that one that is full never changes. ``steps`` has the last step
    of each; each series has as many items: least, greatest and mean of the sampled steps, or null.
    """
    size = -(-spec.steps // BUCKETS_AT_MOST)
    buckets = [_bucket(spec, first, min(first + size - 1, done)) for first in range(1, done + 1, size)]
    names = sorted({name for bucket in buckets for name in bucket})
    return {
        "steps": [min(first + size - 1, done) for first in range(1, done + 1, size)],
        "bucket": size,
        "series": {name: [bucket.get(name) for bucket in buckets] for name in names},
    }


@lru_cache(maxsize=4096)
def _bucket(spec: JobSpec, first: int, last: int) -> dict[str, Range]:
    values: dict[str, list[float]] = {}
    measure = METRICS[spec.method].data
    for step in _sampled_steps(spec, first, last):
        for name, value in measure(spec, step).items():
            if name not in _NOT_MEASURED and isinstance(value, int | float) and math.isfinite(value):
                values.setdefault(name, []).append(float(value))
    return {name: (min(each), max(each), sum(each) / len(each)) for name, each in values.items()}


def _sampled_steps(spec: JobSpec, first: int, last: int) -> Iterable[int]:
    """Return some steps of *first* .. *last*: spread over all, and the last of each kind of validation."""
    stride = max(1, (last - first) // (SAMPLES - 1))
    steps = {*range(first, last, stride)[: SAMPLES - 1], last}
    if spec.has_validation:
        intervals = [VALIDATED_EVERY, spec.steps_per_epoch, spec.hyperparameters.eval_interval]
        numbers = (int(interval) for interval in intervals if isinstance(interval, int))
        steps.update(step for interval in numbers if interval and (step := last - last % interval) >= first)
    return sorted(steps)
