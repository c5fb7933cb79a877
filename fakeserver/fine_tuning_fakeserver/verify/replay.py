"""A recording asked again of the fake, exchange by exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .compare import Comparison, compare
from .inferred_state import infer_state
from .missing_bodies import BodyReconstructor
from .recording import RecordedExchange, Recording
from .replay_account import ReplayAccount
from .route_of import unsupported_reason

KEY = "sk-recorded"
"""The key that requests are sent with: recordings hide theirs, or should."""

LOST = "the recording lacks the request's body: it was written again from what the answer tells"
WRONG_KEY = "sk-scrubbed"
"""What our own cassettes have in place of any key: the fake quotes it as they do."""

NOT_SENT = frozenset({"authorization", "content-length", "transfer-encoding", "connection", "content-encoding"})
"""Request headers that are not the recorded ones any more, or tell of the wire."""


@dataclass(frozen=True, slots=True)
class VerifiedExchange:
    """One exchange, with what came of asking it again; `reason` is why it could not be."""

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
    """Ask the fake what a recording asked, in a fresh account that knows what requests do not tell.

    Args:
        recording: what was asked and answered.
        settings: further settings of the account, such as a dialect's.
    """
    asked = [each for each in recording.exchanges if not unsupported_reason(each)]
    facts = infer_state(asked)
    keys = {"api_keys": {KEY}} if any(each.status == 401 for each in asked) else {}
    world = ReplayAccount(facts, {**keys, **(settings or {})})
    lost = BodyReconstructor(asked, facts)
    rows = [_row(each, world, lost) for each in recording.exchanges]
    return VerifiedRecording(recording, tuple(rows), tuple(world.problems))


def _row(exchange: RecordedExchange, world: ReplayAccount, lost: BodyReconstructor) -> VerifiedExchange:
    if reason := unsupported_reason(exchange):
        return VerifiedExchange(exchange.number, exchange.method, exchange.target, Comparison("not applicable"), reason)
    body = lost.body(exchange) if exchange.request_body is None else exchange.request_body
    found = compare(exchange, world.ask(exchange, _headers(exchange, body), body))
    if exchange.request_body is None:
        found = replace(found, notes=(*found.notes, LOST))
    return VerifiedExchange(exchange.number, exchange.method, exchange.target, found)


def _headers(exchange: RecordedExchange, body: bytes) -> dict[str, str]:
    kept = {name: value for name, value in exchange.request_headers.items() if name not in NOT_SENT}
    if exchange.status == 401:
        without = str(exchange.error.get("message")).startswith("You didn't provide")
        return kept if without else kept | {"authorization": f"Bearer {WRONG_KEY}"}
    return kept | {"authorization": f"Bearer {KEY}", "content-length": str(len(body))}
