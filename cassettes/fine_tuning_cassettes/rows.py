"""Training data without its content: rows of JSONL as marks, which are equal where the rows mean the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from .exchanges import parsed

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
MARK = re.compile(r"sha256:[0-9a-f]{32}(, .*)?")
SCRUBBED_ROW, SCRUBBED_CONTENT = "scrubbed_row", "scrubbed_content"
"""The one member of the rows that are answered in place of training data."""


def canonical(value: Any) -> str:
    """*value* as JSON in the one spelling that all equal values share: order of members and ``3.0`` do not count."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def rows_of(content: bytes) -> list[Any] | None:
    """The rows of a JSONL file; None where it is none."""
    try:
        lines = [line for line in content.decode("utf-8-sig").split("\n") if line.strip()]
        return [json.loads(line) for line in lines] or None
    except (ValueError, RecursionError):
        return None


def marks_of(content: bytes) -> tuple[str, ...] | None:
    """A mark for each row of a JSONL file; None where it is none."""
    rows = rows_of(content)
    return None if rows is None else tuple(mark(row) for row in rows)


def mark(row: Any) -> str:
    """What stands for a row: a digest of its meaning, and its shape. The mark of what stands for a row is that mark."""
    if isinstance(row, dict) and len(row) == 1 and is_mark(row.get(SCRUBBED_ROW)):
        return str(row[SCRUBBED_ROW])
    text = canonical(row)
    return f"{digest(text.encode())}, {_shape(row)}, {len(text)} characters"


def content_mark(content: bytes) -> str:
    """What stands for content that has no rows."""
    value = parsed(content)
    if isinstance(value, dict) and len(value) == 1 and is_mark(value.get(SCRUBBED_CONTENT)):
        return str(value[SCRUBBED_CONTENT])
    return f"{digest(content)}, {len(content)} bytes"


def text_mark(text: str) -> str:
    """What stands for a prompt."""
    return text if is_mark(text) else f"{digest(text.encode('utf-8', 'surrogatepass'))}, {len(text)} characters"


def is_mark(value: object) -> bool:
    """Whether *value* stands for something that was not kept."""
    return isinstance(value, str) and MARK.fullmatch(value) is not None


def placeholder(content: bytes) -> bytes:
    """What is answered in place of a file's content: as many rows as it has, each with its mark."""
    marks = marks_of(content)
    if marks is None:
        return (json.dumps({SCRUBBED_CONTENT: content_mark(content)}) + "\n").encode()
    return "".join(json.dumps({SCRUBBED_ROW: each}) + "\n" for each in marks).encode()


def digest(content: bytes) -> str:
    """A digest of 128 bits: enough to tell rows apart."""
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"


def texts_in(value: Any) -> Iterator[str]:
    """The texts in a JSON value, names of members left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)


def _shape(row: Any) -> str:
    if not isinstance(row, dict):
        return type(row).__name__
    messages = row.get("messages")
    if not isinstance(messages, list):
        return f"{len(row)} members"
    roles = (each.get("role") if isinstance(each, dict) else None for each in messages)
    return f"messages {' '.join(role if role in ROLES else '?' for role in roles)}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value
