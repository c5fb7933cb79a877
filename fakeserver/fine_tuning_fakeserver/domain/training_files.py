"""What one pass over a training file finds: rows, tokens, format, and what each format would say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from . import chat_format, completion_format, preference_format, reinforcement_format

LINE_BYTES_AT_MOST = 8 * 1024 * 1024
"""A longer line is refused at upload (inferred: the service's own limit is unknown)."""

# The first name is the service's (printed output of 2024-12), the others are formed after it.
CHAT = "fine-tune-chat"
PREFERENCE = "fine-tune-preference"
REINFORCEMENT = "fine-tune-reinforcement"
COMPLETION = "fine-tune-completion"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training file as far as a job needs to know it.

    `format` is judged by the first row. `faults` has, for each format that the file is not sound in, what is wrong
    with the first row that breaks it: "Example N…" in the service's words. So the file is read once, at upload,
    whichever method reads it later: rows of messages are a chat file to one and prompts to another.
    """

    examples: int
    tokens: int
    format: str
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Material:
    """A file that a job reads: its id, and what it holds."""

    id: str
    data: Dataset


class NotJsonlError(Exception):
    """The file is not JSONL; the message is the service's."""


def read(lines: Iterable[bytes]) -> Dataset:
    """Read a training file line by line; blank lines are passed over.

    Raises:
        NotJsonlError: a line is no JSON object, or is longer than `LINE_BYTES_AT_MOST`.
    """
    examples = total = 0
    kind = UNKNOWN
    faults: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _row(line, number)
        examples += 1
        if examples == 1:
            kind = _format_of(row)
        try:
            _note_faults(faults, row, examples)
            total += _TOKENS[kind](row)
        except RecursionError:
            raise NotJsonlError(f"Line {number} is nested too deeply.") from None  # inferred
    return Dataset(examples, total, kind, faults)


def _note_faults(faults: dict[str, str], row: dict[str, Any], number: int) -> None:
    is_chat = False
    for name, check in _CHECKS.items():
        if name in faults or (is_chat and name == REINFORCEMENT):  # a sound chat is a sound prompt
            continue
        if found := check(row):
            faults[name] = f"Example {number}{found}"
        else:
            is_chat = is_chat or name == CHAT


def _row(line: bytes, number: int) -> dict[str, Any]:
    if len(line) > LINE_BYTES_AT_MOST:
        raise NotJsonlError(f"Line {number} is longer than {LINE_BYTES_AT_MOST} bytes.")  # inferred
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if isinstance(row, dict):
        return row
    start = line[:3].decode(errors="replace")  # recorded in a printed output: three characters of hint
    raise NotJsonlError(
        "Expected file to have JSONL format, where every line is a (valid) JSON dictionary. "
        f'Line {number} is not a dictionary (HINT: line starts with: "{start}...").'
    )


def _format_of(row: dict[str, Any]) -> str:
    if "messages" in row:
        return CHAT
    if "input" in row or "preferred_output" in row:
        return PREFERENCE
    return COMPLETION if "prompt" in row and "completion" in row else UNKNOWN


def _no_tokens(_: dict[str, Any]) -> int:
    return 0


_CHECKS: dict[str, Callable[[dict[str, Any]], str | None]] = {
    CHAT: chat_format.fault,
    PREFERENCE: preference_format.fault,
    REINFORCEMENT: reinforcement_format.fault,
    COMPLETION: completion_format.fault,
}
_TOKENS: dict[str, Callable[[dict[str, Any]], int]] = {
    CHAT: chat_format.tokens_of,
    PREFERENCE: preference_format.tokens_of,
    COMPLETION: completion_format.tokens_of,
    UNKNOWN: _no_tokens,
}
