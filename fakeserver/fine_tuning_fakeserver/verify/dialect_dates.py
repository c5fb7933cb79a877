"""A recording asked again under the dialects of its exchanges' dates."""

from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime

from ..domain.dialects.dialect import RECORDED
from .recording import RecordedExchange, Recording
from .replay import VerifiedRecording, verify

AUTO = "auto"

# Since when a dialect is what was recorded: the first days of the recordings that show it.
SINCE = (
    ("2025-04-01", RECORDED.name),
    ("2024-04-01", "openai-2024-10"),
    ("", "openai-2023-11"),
)


def dialect_of(exchange: RecordedExchange) -> str:
    """The name of the dialect of an exchange's date; the default's where it has none."""
    try:
        day = parsedate_to_datetime(exchange.headers.get("date", "")).date().isoformat()
    except ValueError:
        return RECORDED.name
    return next(name for since, name in SINCE if day >= since)


def verify_as(recording: Recording, dialect: str) -> VerifiedRecording:
    """`verify` under a dialect; under "auto" each exchange is held to the dialect of its own date.

    Exchanges of different dialects are months apart: each have an account of their own.
    """
    if dialect != AUTO:
        return verify(recording, {"dialect": dialect})
    of_dialect: dict[str, list[RecordedExchange]] = {}
    for exchange in recording.exchanges:
        of_dialect.setdefault(dialect_of(exchange), []).append(exchange)
    runs = [
        verify(replace(recording, exchanges=tuple(exchanges)), {"dialect": name})
        for name, exchanges in of_dialect.items()
    ]
    rows = sorted((row for run in runs for row in run.rows), key=lambda row: row.number)
    return VerifiedRecording(recording, tuple(rows), tuple(problem for run in runs for problem in run.problems))
