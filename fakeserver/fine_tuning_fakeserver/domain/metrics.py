"""The numbers of a training: the same, to the digit, in events, checkpoints and the result file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import preference_metrics, reinforcement_metrics, supervised_metrics
from .job_spec import JobSpec
from .metrics_model import Json, MetricsModel

REPORTS: dict[str, MetricsModel] = {
    "supervised": supervised_metrics.REPORT,
    "dpo": preference_metrics.REPORT,
    "reinforcement": reinforcement_metrics.REPORT,
}

CSV_ROWS_AT_MOST = 50_000
"""DIVERGES: the service writes a row a step; a longer job's file here has every k-th step, to stay small."""


def step_event(script: JobSpec, step: int) -> tuple[str, Json]:
    """The message and the data of the event of *step*."""
    report = REPORTS[script.method]
    data = report.data(script, step)
    return report.text(data, script.steps), data


def checkpoint_metrics(script: JobSpec, step: int) -> Json:
    """The metrics of the checkpoint of *step*: what its event says, and the method (recording GetCheckpoints)."""
    report = REPORTS[script.method]
    data = report.data(script, step)
    return {**{name: data[key] for name, key in report.checkpoint if key in data}, "type": script.method}


def result_csv(script: JobSpec) -> Iterator[str]:
    """The lines of ``step_metrics.csv``, newline included (printed output of 2024: 309 rows, five decimals)."""
    report = REPORTS[script.method]
    yield ",".join(name for name, _ in report.columns) + "\n"
    stride = -(-script.steps // CSV_ROWS_AT_MOST)
    for step in range(script.steps % stride or stride, script.steps + 1, stride):
        data = report.data(script, step)
        yield ",".join(_cell(data.get(key)) for _, key in report.columns) + "\n"


def _cell(value: Any) -> str:
    return "" if value is None else repr(round(value, 5))
