"""One reinforcement example, checked as a job checks it: a conversation to answer, and whatever graders need."""

from __future__ import annotations

from typing import Any

from .chat_format import first_message_fault, invalid_token


def fault(row: dict[str, Any]) -> str | None:
    """What is wrong with the example, worded to follow "Example N"; None when nothing is.

    Source: the training-data schema of 2025-05: messages, and any further keys, which graders find as ``item``.
    """
    if "messages" not in row:
        return " is missing key 'messages'."  # recorded in printed outputs
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        return " messages must be a non-empty list"  # inferred
    return first_message_fault(messages) or invalid_token(messages)
