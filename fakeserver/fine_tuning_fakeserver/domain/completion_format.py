"""One prompt with its completion (babbage-002, davinci-002), checked as a job checks it."""

from __future__ import annotations

from typing import Any

from . import token_estimate
from .chat_format import extra_key

_KEYS = ("prompt", "completion")  # spec: the training-data schema of 2025-05


def fault(row: dict[str, Any]) -> str | None:
    """What is wrong with the example, worded to follow "Example N"; None when nothing is. All words are inferred."""
    for key in _KEYS:
        if key not in row:
            return f" is missing key '{key}'."
        if not isinstance(row[key], str):
            return f" {key} must be a string"
    return extra_key(row, frozenset(_KEYS))


def tokens_of(row: dict[str, Any]) -> int:
    """Estimate the tokens of the example."""
    return sum(token_estimate.in_text(row[key]) for key in _KEYS if isinstance(row.get(key), str))
