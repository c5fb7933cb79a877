"""What came of a verification, for a person and for a machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from .compare import Difference, Verdict
from .replay import VerifiedExchange, VerifiedRecording

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SHOWN_AT_MOST = 120
"""Characters of a value in a row."""


def totals(verified: Iterable[VerifiedRecording]) -> dict[Verdict, int]:
    """How many rows there are of each verdict."""
    counted = Counter(row.comparison.verdict for each in verified for row in each.rows)
    return {verdict: counted[verdict] for verdict in VERDICTS}


def lines(verified: VerifiedRecording) -> Iterator[str]:
    """A recording for a person: a row an exchange, and below it where the answers part."""
    yield str(verified.recording.path)
    for row in verified.rows:
        yield f"  {row.comparison.verdict:<15}{row.method} {_cut(row.path)}"
        yield from (f"    {detail}" for detail in details(row))
    yield from (f"  note: {problem}" for problem in verified.problems)


def details(row: VerifiedExchange) -> Iterator[str]:
    """What there is to say of a row besides its verdict."""
    if row.reason:
        yield row.reason
    if (found := row.comparison.difference) is not None:
        yield f"{found.path}: expected {_shown(found.expected)}, got {_shown(found.got)}"
    yield from row.comparison.notes


def summary(counts: dict[Verdict, int]) -> str:
    """The last line."""
    exact, same, differ, no = (counts[verdict] for verdict in VERDICTS)
    return f"verified: {exact} exact, {same} same shape, {differ} differ, {no} not applicable"


def as_json(verified: Sequence[VerifiedRecording], passed_over: Sequence[str]) -> dict[str, Any]:
    """Everything, for a machine."""
    counts = totals(verified)
    return {
        "recordings": [_recording(each) for each in verified],
        "passed_over": list(passed_over),
        "totals": {verdict.replace(" ", "_"): count for verdict, count in counts.items()},
    }


def _recording(verified: VerifiedRecording) -> dict[str, Any]:
    recording = verified.recording
    return {
        "path": str(recording.path),
        "format": recording.format,
        "rows": [_row(row) for row in verified.rows],
        "problems": list(verified.problems),
    }


def _row(row: VerifiedExchange) -> dict[str, Any]:
    return {
        "number": row.number,
        "method": row.method,
        "path": row.path,
        "verdict": row.comparison.verdict,
        "difference": _difference(row.comparison.difference),
        "reason": row.reason or None,
        "notes": list(row.comparison.notes),
    }


def _difference(found: Difference | None) -> dict[str, Any] | None:
    return None if found is None else {"path": found.path, "expected": found.expected, "got": found.got}


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_AT_MOST else f"{text[:SHOWN_AT_MOST]}…"
