"""Comparison of the recorded answer with the fake's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ..web.in_process import InProcessResponse
from .recording import RecordedExchange, parse_json

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

REPARSED = "the recorder kept this body parsed: the order of its members, and its bytes, are not those of the wire"

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
class AnswerDifference:
    """Where two answers differ; `path` is a JSON path, or "status", "body" or "content-length"."""

    path: str
    expected: Any
    got: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on two answers; `difference` is the first one that counts."""

    verdict: Verdict
    difference: AnswerDifference | None = None
    notes: tuple[str, ...] = ()


def compare(exchange: RecordedExchange, response: InProcessResponse) -> Comparison:
    """Compare the recorded answer with the fake's *response*."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    notes: list[str] = []
    if any(name in exchange.headers for name in API_HEADERS):  # else the recording has left them out
        sides = {"recorded": (exchange.headers, headers), "fake's": (headers, exchange.headers)}
        for side, (here, there) in sides.items():
            if only := [name for name in API_HEADERS if name in here and name not in there]:
                notes.append(f"headers of the {side} answer only: {', '.join(only)}")
    if exchange.status != response.status:
        answer = parse_json(response.body)
        if isinstance(answer, dict):
            error = answer.get("error")
            message = error.get("message") if isinstance(error, dict) else answer.get("fake_error")
            notes += [f"the fake says: {message}"] if message else []
        return Comparison("differs", AnswerDifference("status", exchange.status, response.status), tuple(notes))
    expected, got = (each.get("content-type", "").partition(";")[0].strip() for each in (exchange.headers, headers))
    if expected and got and expected != got:
        return Comparison("differs", AnswerDifference("content-type", expected, got), tuple(notes))
    if exchange.is_reparsed:
        notes.append(REPARSED)
    verdict, difference = _compare_bodies(exchange, response.body)
    if verdict == "exact" and exchange.length not in (None, len(response.body)):
        # The body in the recording is not the one on the wire: nothing can be exact.
        verdict = "same shape"
        difference = AnswerDifference("content-length", exchange.length, len(response.body))
    return Comparison(verdict, difference, tuple(notes))


def _compare_bodies(exchange: RecordedExchange, body: bytes) -> tuple[Verdict, AnswerDifference | None]:
    recorded = exchange.body
    if not exchange.end_is_known:
        recorded, body = recorded.rstrip(b"\n"), body.rstrip(b"\n")
    if recorded == body and not exchange.is_reparsed:
        return "exact", None
    answer = parse_json(body) if exchange.json is not None else None
    if answer is None:
        same_kind = exchange.json is None and bool(recorded) == bool(body)
        return "same shape" if same_kind else "differs", _first_byte(recorded, body)
    differences = list(json_differences(exchange.json, answer, in_order=not exchange.is_reparsed))
    for difference, may_differ in differences:
        if not may_differ:
            return "differs", difference
    if differences or exchange.is_reparsed:
        return "same shape", differences[0][0] if differences else None
    return "same shape", _first_byte(recorded, body)


def _first_byte(expected: bytes, got: bytes) -> AnswerDifference:
    index = next((n for n, pair in enumerate(zip(expected, got, strict=False)) if pair[0] != pair[1]), None)
    index = min(len(expected), len(got)) if index is None else index
    near = slice(max(index - 20, 0), index + 20)
    before, after = (body[near].decode("utf-8", "backslashreplace") for body in (expected, got))
    return AnswerDifference(f"body, byte {index}", before, after)


def json_differences(
    expected: Any, got: Any, path: str = "$", may_differ: bool = False, *, in_order: bool = True
) -> Iterator[tuple[AnswerDifference, bool]]:
    """Return the differences between two JSON values, each with whether the value may differ there.

    Args:
        expected: the recorded value.
        got: the fake's.
        path: where they are.
        may_differ: whether values may differ there.
        in_order: whether the members of objects must be in the same order.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        missing = [name for name in expected if name not in got]
        extra = [name for name in got if name not in expected]
        if missing or extra:
            yield AnswerDifference(f"{path}, members of one only", missing, extra), False
        elif in_order and list(expected) != list(got):
            yield AnswerDifference(f"{path}, order of members", list(expected), list(got)), False
        for name in (name for name in expected if name in got):
            is_same_text = name == "message" and _without_names(expected[name]) == _without_names(got[name])
            may = may_differ or VOLATILE.fullmatch(name) is not None or is_same_text
            yield from json_differences(expected[name], got[name], f"{path}.{name}", may, in_order=in_order)
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield AnswerDifference(f"{path}.length", len(expected), len(got)), False
        for index, (left, right) in enumerate(zip(expected, got, strict=False)):
            yield from json_differences(left, right, f"{path}[{index}]", may_differ, in_order=in_order)
    elif type(expected) is not type(got):
        yield AnswerDifference(path, expected, got), False
    elif expected != got:
        yield AnswerDifference(path, expected, got), may_differ


def _without_names(value: Any) -> str:
    """Return a message without the names and numbers in it."""
    return _NUMBERS.sub("#", _NAMES.sub("#", str(value)))
