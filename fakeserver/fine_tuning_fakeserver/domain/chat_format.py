"""One chat example, checked as the service checks it when a job validates its files."""

from __future__ import annotations

from typing import Any

from . import token_estimate

# spec: the chat training-data schema of 2025-05; a further key is refused (printed output of 2025).
_EXAMPLE_KEYS = frozenset({"messages", "tools", "parallel_tool_calls", "functions"})
FUNCTIONS_AT_MOST = 128
_ROLES = ("system", "user", "assistant", "tool", "function", "developer")
_PARTS = ("text", "image_url", "refusal")


def fault(row: dict[str, Any]) -> str | None:
    """What is wrong with the example, worded to follow "Example N"; None when nothing is."""
    if "messages" not in row:
        return " is missing key 'messages'."  # recorded in printed outputs
    if found := extra_key(row, _EXAMPLE_KEYS) or _functions_fault(row):
        return found
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        return " messages must be a non-empty list"  # inferred
    return first_message_fault(messages) or _no_answer(messages) or invalid_token(messages)


def tokens_of(row: dict[str, Any]) -> int:
    """Estimate the tokens of the example."""
    messages = row.get("messages")
    return token_estimate.in_messages(messages) if isinstance(messages, list) else 0


def extra_key(row: dict[str, Any], known: frozenset[str]) -> str | None:
    """The complaint about the first key that is not *known*; None where there is no such key."""
    for key in row:
        if key not in known:
            return f' contains an extra "{key}".'  # recorded in printed outputs
    return None


def first_message_fault(messages: list[Any], name: str = "message") -> str | None:
    """What is wrong with the first message that is not as it should be; None when all are."""
    for number, message in enumerate(messages, start=1):
        if text := _message_fault(message):
            return f", {name} {number} {text}"
    return None


def _functions_fault(row: dict[str, Any]) -> str | None:
    functions = row.get("functions")
    if not isinstance(functions, list) or 1 <= len(functions) <= FUNCTIONS_AT_MOST:
        return None
    return f" functions must be a list of 1 to {FUNCTIONS_AT_MOST}"  # spec: 1 to 128; the words are inferred


def invalid_token(messages: list[Any]) -> str | None:
    """The complaint about the first token in *messages* that only models use; None where there is none.

    Source: a printed output of 2025, for one token and without saying whose message it was. The other tokens, and
    that nobody's message may have them, are inferred.
    """
    for message in messages:
        if found := token_estimate.special_in(message):
            return f" message contains an invalid token: {found}."
    return None


def _message_fault(message: Any) -> str | None:
    if not isinstance(message, dict):
        return "value is not a valid dict"  # inferred
    if "role" not in message:
        return "Discriminator 'role' is missing in value"  # recorded in a printed output
    if message["role"] not in _ROLES:  # inferred: the same library's next message
        allowed = ", ".join(f"'{role}'" for role in _ROLES)
        return f"No match for discriminator 'role' and value '{message['role']}' (allowed values: {allowed})"
    return _content_fault(message) or _weight_fault(message)


def _content_fault(message: dict[str, Any]) -> str | None:
    content = message.get("content")
    if isinstance(content, str):
        return None
    if content is None:
        calls = message["role"] == "assistant" and (message.get("tool_calls") or message.get("function_call"))
        return None if calls else "content: field required"  # inferred
    if isinstance(content, list) and content and all(_is_part(part) for part in content):
        return None
    return "content: str or a list of content parts expected"  # inferred


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _PARTS


def _weight_fault(message: dict[str, Any]) -> str | None:
    if "weight" not in message:
        return None
    if message["role"] != "assistant":
        return 'contains an extra "weight"'  # inferred: spec gives a weight to assistant messages only
    if message["weight"] not in (0, 1) or isinstance(message["weight"], bool):
        return "weight: 0 or 1 expected"  # spec: enum 0, 1
    return None


def _no_answer(messages: list[Any]) -> str | None:
    if any(message["role"] == "assistant" for message in messages):
        return None
    return " must have at least one message from the assistant"  # inferred from the guide
