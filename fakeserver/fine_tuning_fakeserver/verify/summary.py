"""The results of a verification as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from .compare import Verdict
from .replay import VerifiedRecording

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SHOWN_AT_MOST = 120
"""Characters of a value in a row."""


def totals(verified: Iterable[VerifiedRecording]) -> dict[Verdict, int]:
    """Count the rows of each verdict."""
    counts = Counter(row.comparison.verdict for each in verified for row in each.rows)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def totals_line(counts: dict[Verdict, int]) -> str:
    """Return the totals as the last line."""
    exact, same, differ, no = (counts[verdict] for verdict in VERDICTS)
    return f"verified: {exact} exact, {same} same shape, {differ} differ, {no} not applicable"


def lines(verified: VerifiedRecording) -> Iterator[str]:
    """Return a recording as text: a row an exchange, and below it where the answers differ."""
    yield str(verified.recording.path)
    for row in verified.rows:
        yield f"  {row.comparison.verdict:<15}{row.method} {_cut(row.path)}"
        if row.reason:
            yield f"    {row.reason}"
        if difference := row.comparison.difference:
            expected, got = _cut(repr(difference.expected)), _cut(repr(difference.got))
            yield f"    {difference.path}: expected {expected}, got {got}"
        yield from (f"    {note}" for note in row.comparison.notes)
    yield from (f"  note: {problem}" for problem in verified.problems)


def as_json(verified: Sequence[VerifiedRecording], passed_over: Sequence[str]) -> dict[str, Any]:
    """Return everything, for a machine."""
    recordings = [
        {
            "path": str(each.recording.path),
            "format": each.recording.format,
            "rows": [
                {
                    "number": row.number,
                    "method": row.method,
                    "path": row.path,
                    "verdict": row.comparison.verdict,
                    "difference": difference
                    and {"path": difference.path, "expected": difference.expected, "got": difference.got},
                    "reason": row.reason or None,
                    "notes": list(row.comparison.notes),
                }
                for row in each.rows
                for difference in [row.comparison.difference]
            ],
            "problems": list(each.problems),
        }
        for each in verified
    ]
    counts = {verdict.replace(" ", "_"): count for verdict, count in totals(verified).items()}
    return {"recordings": recordings, "passed_over": list(passed_over), "totals": counts}


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_AT_MOST else f"{text[:SHOWN_AT_MOST]}…"
