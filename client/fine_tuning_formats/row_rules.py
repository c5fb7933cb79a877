"""The rules for one row of a training file: its format, what is wrong with it, and its tokens.

Texts are worded to follow "Example N". "Printed" marks what users printed of real answers, "spec" the training-data
schemas of 2025-05; what is marked by neither is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.token_estimate import ESTIMATE, TokenCounter, find_special_token, tools_text

Row: TypeAlias = dict[str, Any]
Fault: TypeAlias = tuple[str | None, str]
"""The path inside the row, where it is one place; and the text."""

CHAT, PREFERENCE, REINFORCEMENT, COMPLETION = "chat", "preference", "reinforcement", "completion"
FORMATS = (CHAT, PREFERENCE, REINFORCEMENT, COMPLETION)
UNKNOWN = "unknown"

# Vendor text names the answers `…_output`, the schema `…_completion`; both are accepted.
ANSWERS = (("preferred_output", "preferred_completion"), ("non_preferred_output", "non_preferred_completion"))
CHAT_KEYS = frozenset({"messages", "tools", "parallel_tool_calls", "functions"})  # spec
PREFERENCE_KEYS = frozenset({"input", *ANSWERS[0], *ANSWERS[1]})
INPUT_KEYS = frozenset({"messages", "tools", "parallel_tool_calls"})  # spec
COMPLETION_KEYS = ("prompt", "completion")  # spec
MAX_FUNCTIONS = 128  # spec


@dataclass(frozen=True, slots=True)
class DataRules:
    """What providers accept in training files beside what all of them do.

    Args:
        byte_order_mark: whether a file may begin with one.
        several_answers: whether an answer of a preference row may be several messages, at least one of the assistant.
    """

    byte_order_mark: bool = False
    several_answers: bool = False


OPENAI_DATA = DataRules()
AZURE_DATA = DataRules(byte_order_mark=True, several_answers=True)  # vendor text: Microsoft's guides of 2023 to 2026
DATA_RULES = {"openai": OPENAI_DATA, "azure": AZURE_DATA}
"""By provider."""

ROLES = ("system", "user", "assistant", "tool", "function", "developer")
PART_TYPES = ("text", "image_url", "refusal")
MAX_IMAGES = 10  # of a row; vendor text: the guide to vision


def detect_format(row: Row) -> str:
    """Return the format of the file whose first row is *row*."""
    if "messages" in row:
        return CHAT
    if "input" in row or "preferred_output" in row:
        return PREFERENCE
    return COMPLETION if all(key in row for key in COMPLETION_KEYS) else UNKNOWN


def row_faults(format: str, row: Row, rules: DataRules = OPENAI_DATA) -> Iterator[Fault]:
    """Yield everything that is wrong with *row* as a row of *format*; the service reports only the first."""
    return _preference_faults(row, rules) if format == PREFERENCE else _RULES[format](row)


def count_row_tokens(format: str, row: Row, counter: TokenCounter = ESTIMATE) -> int:
    """Count the tokens of *row*, which is in a file of *format*; those of tools are always an estimate."""
    if format == CHAT:
        messages = row.get("messages")
        count = counter.count_messages(messages) if isinstance(messages, list) else 0
        return count + _count_tool_tokens(row, counter) if has_tools(row) else count
    if format == COMPLETION:
        return sum(counter.count_text(row[key]) for key in COMPLETION_KEYS if isinstance(row.get(key), str))
    if format != PREFERENCE:
        return 0
    prompt = row.get("input")
    conversations = [prompt.get("messages") if isinstance(prompt, dict) else None]
    conversations += [row.get(name, row.get(other)) for name, other in ANSWERS]
    count = sum(counter.count_messages(each) for each in conversations if isinstance(each, list))
    return count + (_count_tool_tokens(prompt, counter) if isinstance(prompt, dict) and has_tools(prompt) else 0)


def has_tools(row: Row) -> bool:
    """Return whether *row*, or the input of a preference, defines tools."""
    return bool(row.get("tools") or row.get("functions"))


def _count_tool_tokens(row: Row, counter: TokenCounter) -> int:
    return sum(counter.count_text(tools_text(row[name])) for name in ("tools", "functions") if row.get(name))


def has_images(row: Row) -> bool:
    """Return whether a message of *row* has an image."""
    messages = row.get("messages")
    return isinstance(messages, list) and any(map(_count_images, messages))


def _count_images(message: Any) -> int:
    parts = message.get("content") if isinstance(message, dict) else None
    if not isinstance(parts, list):
        return 0
    return sum(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def _chat_faults(row: Row) -> Iterator[Fault]:
    if "messages" not in row:
        yield _missing_key("messages")
        return
    messages = row["messages"]
    if not row.keys() <= CHAT_KEYS:
        yield from _extra_keys(row, CHAT_KEYS)
    functions = row.get("functions")
    if isinstance(functions, list) and not 1 <= len(functions) <= MAX_FUNCTIONS:
        yield "functions", f" functions must be a list of 1 to {MAX_FUNCTIONS}"
    yield from _messages_faults(messages, "messages")
    if isinstance(messages, list) and messages and not any(map(_is_from_assistant, messages)):
        yield "messages", " must have at least one message from the assistant"  # inferred from the guide
    if isinstance(messages, list) and sum(map(_count_images, messages)) > MAX_IMAGES:
        yield "messages", f" has more images than allowed: at most {MAX_IMAGES} images"  # the text is inferred
    yield from _special_tokens(messages, "messages")


def _reinforcement_faults(row: Row) -> Iterator[Fault]:
    """Yield the faults of a prompt; any further keys are for graders, which find them as ``item`` (spec)."""
    if "messages" not in row:
        yield _missing_key("messages")
        return
    yield from _messages_faults(row["messages"], "messages")
    yield from _special_tokens(row["messages"], "messages")


def _completion_faults(row: Row) -> Iterator[Fault]:
    for key in COMPLETION_KEYS:
        if key not in row:
            yield _missing_key(key)
        elif not isinstance(row[key], str):
            yield key, f" {key} must be a string"
    yield from _extra_keys(row, COMPLETION_KEYS)


def _preference_faults(row: Row, rules: DataRules) -> Iterator[Fault]:
    required = (("input",), *ANSWERS)
    if missing := [names[0] for names in required if not any(name in row for name in names)]:
        yield from map(_missing_key, missing)
        return
    if not row.keys() <= PREFERENCE_KEYS:
        yield from _extra_keys(row, PREFERENCE_KEYS)
    prompt = row["input"]
    if isinstance(prompt, dict):
        messages = prompt.get("messages")
        if isinstance(messages, list) and messages:
            yield from _extra_keys(prompt, INPUT_KEYS, "input.", " input")
        yield from _messages_faults(messages, "input.messages", "input ")
    else:
        yield "input", " input must be an object with messages"

    answers = [names[0] if names[0] in row else names[1] for names in ANSWERS]
    for name in answers:
        messages = row[name]
        if rules.several_answers and isinstance(messages, list) and messages:
            yield from _answers_faults(messages, name)
            continue
        if not isinstance(messages, list) or len(messages) != 1:  # vendor text: the one last message of the assistant
            yield name, f" {name} must be a list of one message"
            continue
        yield from _messages_faults(messages, name, f"{name} ")
        if not _is_from_assistant(messages[0]):
            yield f"{name}[0]", f" {name} must be a message from the assistant"
    if isinstance(prompt, dict):
        yield from _special_tokens(prompt.get("messages"), "input.messages")
    for name in answers:
        yield from _special_tokens(row[name], name)


def _answers_faults(messages: list[Any], name: str) -> Iterator[Fault]:
    """Yield the faults of an answer of several messages: of the assistant, and of its tools (vendor text, Azure's)."""
    yield from _messages_faults(messages, name, f"{name} ")
    for index, message in enumerate(messages):
        if isinstance(message, dict) and message.get("role") not in ("assistant", "tool"):
            yield f"{name}[{index}]", f" {name} must be messages from the assistant and its tools"
    if not any(map(_is_from_assistant, messages)):
        yield name, f" {name} must have at least one message from the assistant"


def _missing_key(key: str) -> Fault:
    return None, f" is missing key '{key}'."  # printed


def _extra_keys(row: Row, known: Iterable[str], path: str = "", where: str = "") -> Iterator[Fault]:
    for key in row:
        if key not in known:
            yield f"{path}{key}", f'{where} contains an extra "{key}".'  # printed


def _messages_faults(messages: Any, path: str, where: str = "") -> Iterator[Fault]:
    if not isinstance(messages, list) or not messages:
        yield path, f" {where}messages must be a non-empty list"
        return
    for index, message in enumerate(messages):
        is_plain = isinstance(message, dict) and "weight" not in message and isinstance(message.get("content"), str)
        if is_plain and message.get("role") in ROLES:
            continue  # a sound message of the commonest kind
        for text in _message_faults(message):
            yield f"{path}[{index}]", f", {where}message {index + 1} {text}"


def _message_faults(message: Any) -> Iterator[str]:
    if not isinstance(message, dict):
        yield "value is not a valid dict"
    elif "role" not in message:
        yield "Discriminator 'role' is missing in value"  # printed
    elif message["role"] not in ROLES:  # the same library's next message
        allowed = ", ".join(f"'{role}'" for role in ROLES)
        yield f"No match for discriminator 'role' and value '{message['role']}' (allowed values: {allowed})"
    else:
        yield from _content_faults(message)
        if "weight" in message and message["role"] != "assistant":
            yield 'contains an extra "weight"'  # spec gives a weight to assistant messages only
        elif message.get("weight", 1) not in (0, 1) or isinstance(message.get("weight"), bool):
            yield "weight: 0 or 1 expected"  # spec


def _content_faults(message: Row) -> Iterator[str]:
    content = message.get("content")
    if content is None:
        calls = message.get("tool_calls") or message.get("function_call")
        if message["role"] != "assistant" or not calls:
            yield "content: field required"
    elif message["role"] == "tool" and not isinstance(content, str):  # printed in 2024-10, to the wording
        yield "content: str expected"
    elif not isinstance(content, str):
        if message["role"] != "user" and _count_images(message):  # vendor text: the guide to vision
            yield "images: only messages from the user can have them"
        parts = content if isinstance(content, list) else []
        if not parts or not all(isinstance(part, dict) and part.get("type") in PART_TYPES for part in parts):
            yield "content: str or a list of content parts expected"


def _is_from_assistant(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "assistant"


def _special_tokens(messages: Any, path: str) -> Iterator[Fault]:
    """Yield the messages with a token that only models may use.

    Source: a printed output of 2025, for one token and without saying whose message it was. The other tokens, and
    that nobody's message may have them, are inferred.
    """
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        if token := find_special_token(message):
            yield f"{path}[{index}]", f" message contains an invalid token: {token}."


_RULES: dict[str, Callable[[Row], Iterator[Fault]]] = {
    CHAT: _chat_faults,
    REINFORCEMENT: _reinforcement_faults,
    COMPLETION: _completion_faults,
}
