"""One preference example (dpo), checked as a job checks it: a conversation, a better answer, a worse one."""

from __future__ import annotations

from typing import Any

from . import token_estimate
from .chat_format import extra_key, first_message_fault, invalid_token

# vendor text names the answers `…_output`, the training-data schema of 2025-05 `…_completion`; both are taken.
_ANSWERS = (("preferred_output", "preferred_completion"), ("non_preferred_output", "non_preferred_completion"))
_EXAMPLE_KEYS = frozenset({"input", *(name for names in _ANSWERS for name in names)})
_INPUT_KEYS = frozenset({"messages", "tools", "parallel_tool_calls"})


def fault(row: dict[str, Any]) -> str | None:
    """What is wrong with the example, worded to follow "Example N"; None when nothing is."""
    if "input" not in row:
        return " is missing key 'input'."  # recorded in printed outputs
    missing = next((names[0] for names in _ANSWERS if not any(name in row for name in names)), None)
    if missing:
        return f" is missing key '{missing}'."  # inferred: the same words
    found = extra_key(row, _EXAMPLE_KEYS) or _input_fault(row["input"])
    found = found or next((text for names in _ANSWERS if (text := _answer_fault(row, names))), None)
    if found:
        return found
    return invalid_token(
        [*row["input"]["messages"], *(message for names in _ANSWERS for message in _answer(row, names))]
    )


def tokens_of(row: dict[str, Any]) -> int:
    """Estimate the tokens of the example: the conversation, and both answers."""
    asked = row.get("input")
    parts = [asked.get("messages") if isinstance(asked, dict) else None, *(_answer(row, names) for names in _ANSWERS)]
    return sum(token_estimate.in_messages(part) for part in parts if isinstance(part, list))


def _answer(row: dict[str, Any], names: tuple[str, str]) -> Any:
    return row.get(names[0], row.get(names[1]))


def _input_fault(asked: Any) -> str | None:
    if not isinstance(asked, dict):
        return " input must be an object with messages"  # inferred
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        return " input messages must be a non-empty list"  # inferred
    extra = next((key for key in asked if key not in _INPUT_KEYS), None)
    if extra is not None:
        return f' input contains an extra "{extra}".'  # inferred
    return first_message_fault(messages, "input message")


def _answer_fault(row: dict[str, Any], names: tuple[str, str]) -> str | None:
    messages = _answer(row, names)
    name = names[0] if names[0] in row else names[1]
    # vendor text: each answer is the one last message of the assistant; the words are inferred
    if not isinstance(messages, list) or len(messages) != 1:
        return f" {name} must be a list of one message"
    found = first_message_fault(messages, f"{name} message")
    return found or (None if messages[0]["role"] == "assistant" else f" {name} must be a message from the assistant")
