"""The texts of assertions that fail: what was expected, what came nearest, and what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..calls import Call
from .matching import Question

SHOWN_AT_MOST = 20


def failure(head: str, calls: Sequence[Call], missed: Question | None = None) -> str:
    """The whole text: *head*, the call nearest to *missed*, and the newest calls, a line each."""
    lines = [head]
    if missed and (near := missed.nearest(calls)):
        call, problems = near
        lines += [f"nearest: request {call.number}", *(f"    {problem}" for problem in problems)]
    return "\n".join([*lines, *recorded(calls)])


def recorded(calls: Sequence[Call]) -> list[str]:
    """The newest calls, a line each, under a line that counts them."""
    shown = calls[-SHOWN_AT_MOST:]
    if not shown:
        return ["recorded: no request at all"]
    return [f"recorded{of_all(len(shown), count(calls))}:", *map(str, shown)]


def of_all(shown: int, there_are: int) -> str:
    """That of all there are only the last are shown, if so."""
    return f", the last {shown} of {there_are}" if shown < there_are else ""


def count(calls: Sequence[Call]) -> int:
    """How many calls there were: *calls* are the newest of them, and older ones may be forgotten."""
    return calls[-1].number if calls else 0


def what(noun: str, fields: Mapping[str, Any], predicate: object) -> str:
    """*noun* with the fields asked for: ``job created with suffix='x'``."""
    pairs = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    asked = f" with {pairs}" if pairs else ""
    return f"{noun}{asked}{' that the predicate accepts' if predicate else ''}"


def often(times: int) -> str:
    """How often, in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(times, f"{times} times")
