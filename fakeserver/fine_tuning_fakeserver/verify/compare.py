"""Two answers held against each other: the recorded one, and the fake's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..web.in_process import InProcessResponse
from .recording import RecordedExchange, parsed

Verdict: TypeAlias = Literal["exact", "same shape", "differs", "not applicable"]

API_HEADERS = (
    "openai-organization",
    "openai-project",
    "openai-processing-ms",
    "openai-version",
    "x-content-type-options",
    "x-request-id",
    "x-envoy-upstream-service-time",
    "access-control-allow-origin",
)
"""The headers of the API itself; the rest belongs to the delivery network in front of it."""

VOLATILE = re.compile(
    r"id|.*_id|.*_at|.*_ids|.*_files|created|bytes|seed|estimated_finish|fine_tuned_model"
    r"|fine_tuned_model_checkpoint|owned_by|execution_time|.*_?loss|.*_accuracy|.*_reward|.*_mean"
    r"|content|text|.*_tokens"
)
"""Members whose values differ from one account, and one training, to the next."""

_NAMES = re.compile(
    r"(?<=API key provided: )\S+"
    r"|\b(?:(?:file|ftjob|ftevent|org|proj|req)-|(?:ftckpt|upload|part|proj|req|cp)_|ft:)[\w:.-]+"
)
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers part; `path` is a JSON path, or "status", "body" or "content-length"."""

    path: str
    expected: Any
    got: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of holding two answers against each other; `difference` is the first one that counts."""

    verdict: Verdict
    difference: Difference | None = None
    notes: tuple[str, ...] = ()


def compare(exchange: RecordedExchange, reply: InProcessResponse) -> Comparison:
    """Hold the fake's *reply* against the recorded answer."""
    notes = tuple(_header_notes(exchange, reply))
    if exchange.status != reply.status:
        return Comparison("differs", Difference("status", exchange.status, reply.status), (*notes, *_said(reply)))
    if (kinds := _kinds(exchange, reply)) is not None:
        return Comparison("differs", kinds, notes)
    verdict, difference = _bodies(exchange, reply.body)
    length = exchange.length
    if verdict == "exact" and length is not None and length != len(reply.body):
        # What was kept of the body is not what was on the wire: nothing can be exact.
        return Comparison("same shape", Difference("content-length", length, len(reply.body)), notes)
    return Comparison(verdict, difference, notes)


def _bodies(exchange: RecordedExchange, body: bytes) -> tuple[Verdict, Difference | None]:
    recorded = exchange.body
    if not exchange.end_is_known:
        recorded, body = recorded.rstrip(b"\n"), body.rstrip(b"\n")
    if recorded == body:
        return "exact", None
    answer = parsed(body) if exchange.answer is not None else None
    if answer is None:
        same_kind = exchange.answer is None and bool(recorded) == bool(body)
        return "same shape" if same_kind else "differs", _first_byte(recorded, body)
    found = list(differences(exchange.answer, answer))
    fatal = next((difference for difference, is_free in found if not is_free), None)
    if fatal:
        return "differs", fatal
    return "same shape", found[0][0] if found else _first_byte(recorded, body)


def _kinds(exchange: RecordedExchange, reply: InProcessResponse) -> Difference | None:
    """The difference between two bodies' media types; None where they are the same, or one is not told."""
    types = (value.decode("latin-1") for name, value in reply.headers if name.lower() == b"content-type")
    expected, got = (
        text.partition(";")[0].strip() for text in (exchange.headers.get("content-type", ""), next(types, ""))
    )
    return Difference("content-type", expected, got) if expected and got and expected != got else None


def differences(expected: Any, got: Any, path: str = "$", is_free: bool = False) -> Iterator[tuple[Difference, bool]]:
    """The differences between two JSON values, and of each whether the value may differ there."""
    if isinstance(expected, dict) and isinstance(got, dict):
        yield from _members(expected, got, path, is_free)
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield Difference(f"{path}.length", len(expected), len(got)), False
        for place, (left, right) in enumerate(zip(expected, got, strict=False)):
            yield from differences(left, right, f"{path}[{place}]", is_free)
    elif type(expected) is not type(got):
        yield Difference(path, expected, got), False
    elif expected != got:
        yield Difference(path, expected, got), is_free


def _members(
    expected: Mapping[str, Any], got: Mapping[str, Any], path: str, is_free: bool
) -> Iterator[tuple[Difference, bool]]:
    lacking, further = [name for name in expected if name not in got], [name for name in got if name not in expected]
    if lacking or further:
        yield Difference(f"{path}, members of one only", lacking, further), False
    elif list(expected) != list(got):
        yield Difference(f"{path}, order of members", list(expected), list(got)), False
    for name in (name for name in expected if name in got):
        free = is_free or VOLATILE.fullmatch(name) is not None or _is_same_text(name, expected[name], got[name])
        yield from differences(expected[name], got[name], f"{path}.{name}", free)


def _is_same_text(name: str, expected: Any, got: Any) -> bool:
    """Whether two messages are the same but for the names and numbers in them."""
    return name == "message" and _text(expected) == _text(got)


def _text(value: Any) -> str:
    return _NUMBERS.sub("#", _NAMES.sub("#", str(value)))


def _first_byte(expected: bytes, got: bytes) -> Difference:
    place = next((n for n, pair in enumerate(zip(expected, got, strict=False)) if pair[0] != pair[1]), None)
    place = min(len(expected), len(got)) if place is None else place
    near = slice(max(place - 20, 0), place + 20)
    return Difference(f"body, byte {place}", _shown(expected[near]), _shown(got[near]))


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _header_notes(exchange: RecordedExchange, reply: InProcessResponse) -> Iterator[str]:
    """What the API's own headers tell; a recording without any of them kept none."""
    got = {name.decode("latin-1").lower() for name, _ in reply.headers}
    recorded = [name for name in API_HEADERS if name in exchange.headers]
    if not recorded:
        return
    if missing := [name for name in recorded if name not in got]:
        yield f"headers of the recorded answer only: {', '.join(missing)}"
    if extra := [name for name in API_HEADERS if name in got and name not in exchange.headers]:
        yield f"headers of the fake's answer only: {', '.join(extra)}"


def _said(reply: InProcessResponse) -> Iterator[str]:
    """The fake's own words, where it refuses what the service took."""
    answer = parsed(reply.body)
    if isinstance(answer, dict):
        error = answer.get("error")
        text = error.get("message") if isinstance(error, dict) else answer.get("fake_error")
        if text:
            yield f"the fake says: {text}"
