"""Training metrics of a finished job, as numbers."""

from __future__ import annotations

import base64
import csv

from fine_tuning_client.effects import Flow
from fine_tuning_client.errors import FineTuningError
from fine_tuning_client.operations import download_file, retrieve_job

Row = dict[str, float | None]


def result_metrics(job_id: str) -> Flow[list[Row]]:
    """Fetch a job's metrics, one row a step; empty while the job has no result file.

    Returns:
        For instance ``[{"step": 1.0, "train_loss": 3.6, "valid_loss": None}, …]``; None where the
        step was not measured.

    Raises:
        FineTuningError: The result file is not a table of numbers.
    """
    job = yield from retrieve_job(job_id)
    rows: list[Row] = []
    files = job.result_files or []
    if not isinstance(files, list):
        raise FineTuningError(f"result_files of job {job.id} must be a list, got {files!r:.80}", job=job)
    for file_id in files:
        try:
            rows += parse_metrics((yield from download_file(file_id)))
        except (ValueError, csv.Error) as error:
            raise FineTuningError(f"result file {file_id} cannot be read: {error}", job=job) from error
        except FineTuningError as error:
            error.job = job
            raise
    return rows


def parse_metrics(content: bytes) -> list[Row]:
    """Parse a CSV of numbers, wrapped in base64 or not.

    Raises:
        ValueError: It is neither; or csv.Error.

    Source:
        recording: plain in 2023, base64 without any sign of it in 2024; both are still met.
    """
    if b"," not in content:  # no letter of base64, and in every CSV worth the name
        content = base64.b64decode(b"".join(content.split()), validate=True)
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row has more or fewer cells than the header")
    return [{name: float(cell) if cell.strip() else None for name, cell in row.items()} for row in rows]
