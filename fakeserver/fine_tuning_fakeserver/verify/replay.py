"""Recordings replayed against the fake, in one dialect or in that of their dates; the results as text and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, get_args

from fine_tuning_formats.lazy_dataclass import dataclass

from ..domain.dialects import dialect_named
from ..domain.dialects.azure import AZURE_2025, AZURE_2026
from ..domain.dialects.dialect import RECORDED
from . import AUTO
from .azure_objects import to_recorded
from .compare import Comparison, Verdict, compare
from .inferred_state import infer_state
from .missing_bodies import BodyReconstructor
from .recording import RecordedExchange, Recording
from .replay_account import ReplayAccount
from .shared_ids import tell_apart

KEY = "sk-recorded"
"""The key that requests are sent with: recordings hide theirs, or should."""
WRONG_KEY = "sk-scrubbed"
"""What our own cassettes have in place of any key: the fake quotes it as they do."""

LOST = "the recording lacks the request's body: it was written again from what the answer tells"

NOT_SENT = frozenset({"authorization", "content-length", "transfer-encoding", "connection", "content-encoding"})
"""Request headers that are not the recorded ones any more, or belong to the connection."""

FAULTS = frozenset({403, 408, 409, 429, 500, 502, 503, 504})
"""Answers that no state of an account brings about: limits, permissions and broken connections."""

LEFT_OUT = "x-fine-tuning-cassette"
"""A header of answers in our own cassettes that have digests in place of training data."""

# Since when a dialect is what was recorded: the first days of the recordings that show it.
SINCE = (
    ("2025-04-01", RECORDED.name),
    ("2024-04-01", "openai-2024-10"),
    ("2023-11-01", "openai-2023-11"),
    ("", "openai-2023-10"),
)
AZURE_SINCE = (("2026-02-01", AZURE_2026.name), ("", AZURE_2025.name))

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SHOWN_AT_MOST = 120
"""Characters of a value in a row."""


@dataclass(frozen=True, slots=True)
class VerifiedExchange:
    """An exchange compared with the fake's answer; `reason` is why it could not be sent."""

    number: int
    method: str
    path: str
    comparison: Comparison
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedRecording:
    """A recording with a row for each of its exchanges; `problems` are facts that the fake did not take."""

    recording: Recording
    rows: tuple[VerifiedExchange, ...]
    problems: tuple[str, ...]


def verify(recording: Recording, settings: Mapping[str, Any] | None = None) -> VerifiedRecording:
    """Send a recording's requests to the fake, in a fresh account with the state inferred from its answers.

    Args:
        recording: what was sent and answered.
        settings: further settings of the account, such as a dialect's.
    """
    exchanges = tell_apart(recording.exchanges)
    is_azure = dialect_named((settings or {}).get("dialect", RECORDED.name)).http.requires_api_version
    reasons = [unsupported_reason(each, is_azure=is_azure) for each in exchanges]
    known = [to_recorded(each) if is_azure else each for each in exchanges]
    supported = [each for each, reason in zip(known, reasons, strict=True) if not reason]
    state = infer_state(supported)
    keys = {"api_keys": {KEY}} if any(each.status == 401 for each in supported) else {}
    account = ReplayAccount(state, {**keys, **(settings or {})})
    bodies = BodyReconstructor(supported, state)
    rows = []
    for exchange, facts, reason in zip(exchanges, known, reasons, strict=True):
        path = exchange.azure_target if is_azure or exchange.is_azures else exchange.target
        comparison = Comparison("not applicable") if reason else _replay(exchange, facts, account, bodies)
        rows.append(VerifiedExchange(exchange.number, exchange.method, path, comparison, reason))
    return VerifiedRecording(recording, tuple(rows), tuple(account.problems))


def verify_in_dialect(recording: Recording, dialect: str) -> VerifiedRecording:
    """Verify a recording in a dialect; "auto" holds each exchange to the dialect of its host, path and date.

    Exchanges of different dialects are months apart, or another provider's: each dialect has an account of its own.
    """
    if dialect != AUTO:
        return verify(recording, {"dialect": dialect})
    by_dialect: dict[str, list[RecordedExchange]] = {}
    for exchange in recording.exchanges:
        by_dialect.setdefault(dialect_of(exchange), []).append(exchange)
    runs = [
        verify(replace(recording, exchanges=tuple(exchanges)), {"dialect": name})
        for name, exchanges in by_dialect.items()
    ]
    rows = sorted((row for run in runs for row in run.rows), key=lambda row: row.number)
    return VerifiedRecording(recording, tuple(rows), tuple(problem for run in runs for problem in run.problems))


def dialect_of(exchange: RecordedExchange) -> str:
    """Return the name of the dialect of an exchange's provider and date; OpenAI's newest, Azure's first without one."""
    is_azure = exchange.is_azures or exchange.has_azure_path
    try:
        day = parsedate_to_datetime(exchange.headers.get("date", "")).date().isoformat()
    except ValueError:
        return AZURE_2025.name if is_azure else RECORDED.name
    return next(name for since, name in (AZURE_SINCE if is_azure else SINCE) if day >= since)


def unsupported_reason(exchange: RecordedExchange, *, is_azure: bool = False) -> str:
    """Return why an exchange cannot be replayed in a dialect, Azure's or another; empty if it can."""
    if exchange.method == "OPTIONS" or not exchange.operations:
        return f"{exchange.method} {exchange.path} is no route of the fake"
    if exchange.unreadable:
        return exchange.unreadable
    if exchange.is_azures and not is_azure:
        return f"it is Azure's answer: its dialect is {AZURE_2025.name}, which {AUTO} chooses by host and path"
    if exchange.status in FAULTS:
        return f"an answer with {exchange.status} comes of no state that could be put in"
    if LEFT_OUT in exchange.headers:
        return "the cassette has digests in place of the file's content"
    return ""


def _replay(
    exchange: RecordedExchange, known: RecordedExchange, account: ReplayAccount, bodies: BodyReconstructor
) -> Comparison:
    """Send a request and compare the answer; *known* is the exchange with its answer in the fake's own words."""
    body = exchange.request_body
    if body is None:
        body = bodies.reconstruct(known)
    headers = {name: value for name, value in exchange.request_headers.items() if name not in NOT_SENT}
    if exchange.status != 401:
        headers |= {"authorization": f"Bearer {KEY}", "content-length": str(len(body))}
    elif not str(exchange.error.get("message")).startswith("You didn't provide"):
        headers["authorization"] = f"Bearer {WRONG_KEY}"
    comparison = compare(exchange, account.send(known, headers, body))
    if exchange.request_body is None:
        return replace(comparison, notes=(*comparison.notes, LOST))
    return comparison


def totals(verified: Iterable[VerifiedRecording]) -> dict[Verdict, int]:
    """Count the rows of each verdict."""
    counts = Counter(row.comparison.verdict for each in verified for row in each.rows)
    return {verdict: counts[verdict] for verdict in VERDICTS}


def totals_line(counts: dict[Verdict, int], unreadable: int = 0) -> str:
    """Return the totals as the last line; *unreadable* are files, which have no rows."""
    exact, same, differ, no = (counts[verdict] for verdict in VERDICTS)
    line = f"verified: {exact} exact, {same} same shape, {differ} differ, {no} not applicable"
    return f"{line}; {unreadable} file{'s' * (unreadable > 1)} unreadable" if unreadable else line


def result_lines(verified: VerifiedRecording) -> Iterator[str]:
    """Yield the results of a recording as lines: one for each exchange, and below it where the answers differ."""
    yield str(verified.recording.path)
    for row in verified.rows:
        yield f"  {row.comparison.verdict:<15}{row.method} {_shorten(row.path)}"
        if row.reason:
            yield f"    {row.reason}"
        if difference := row.comparison.difference:
            expected, got = _shorten(repr(difference.expected)), _shorten(repr(difference.got))
            yield f"    {difference.path}: expected {expected}, got {got}"
        yield from (f"    {note}" for note in row.comparison.notes)
    yield from (f"  note: {problem}" for problem in verified.problems)


def results_as_json(
    verified: Sequence[VerifiedRecording], passed_over: Sequence[str], unreadable: Mapping[Path, str]
) -> dict[str, Any]:
    """Return all results and their totals as one JSON object."""
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
    return {
        "recordings": recordings,
        "passed_over": list(passed_over),
        "unreadable": [{"path": str(path), "reason": reason} for path, reason in unreadable.items()],
        "totals": counts,
    }


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_AT_MOST else f"{text[:SHOWN_AT_MOST]}…"
