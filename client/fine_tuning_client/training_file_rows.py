"""The rows of a training file: what is wrong with each, in the service's words, and about how many tokens it has.

"Printed" below means: seen in what users printed of real answers. What is not marked so is inferred.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
Fault: TypeAlias = tuple[str | None, str]
"""Where in the row, when in one place; and what is wrong, worded to follow "Example N"."""

CHAT, PREFERENCE, REINFORCEMENT, COMPLETION = "chat", "preference", "reinforcement", "completion"
UNKNOWN = "unknown"

# spec: the training-data schemas of 2025-05. Vendor text calls the answers `…_output`, the schema `…_completion`.
ANSWERS = (("preferred_output", "preferred_completion"), ("non_preferred_output", "non_preferred_completion"))
PAIR = ("prompt", "completion")
CHAT_KEYS = ("messages", "tools", "parallel_tool_calls", "functions")
PREFERENCE_KEYS = ("input", *(name for names in ANSWERS for name in names))
INPUT_KEYS = ("messages", "tools", "parallel_tool_calls")
FUNCTIONS_AT_MOST = 128
ROLES = ("system", "user", "assistant", "tool", "function", "developer")
PARTS = ("text", "image_url", "refusal")


def format_of(row: Row) -> str:
    """Tell the format of a file by its first row."""
    if "messages" in row:
        return CHAT
    if "input" in row or "preferred_output" in row:
        return PREFERENCE
    return COMPLETION if all(key in row for key in PAIR) else UNKNOWN


def faults(form: str, row: Row) -> Iterator[Fault]:
    """Find all that keeps *row* from being a row of a format; the service names the first of it only."""
    return _CHECKS[form](row)


def _chat(row: Row) -> Iterator[Fault]:
    if "messages" not in row:
        yield _missing("messages")
        return
    messages = row["messages"]
    yield from _extras(row, CHAT_KEYS)
    functions = row.get("functions")
    if isinstance(functions, list) and not 1 <= len(functions) <= FUNCTIONS_AT_MOST:
        yield "functions", f" functions must be a list of 1 to {FUNCTIONS_AT_MOST}"
    yield from _messages(messages, "messages")
    if isinstance(messages, list) and messages and not any(map(_is_answer, messages)):
        yield "messages", " must have at least one message from the assistant"
    yield from _invalid_tokens(messages, "messages")


def _reinforcement(row: Row) -> Iterator[Fault]:
    """Any further keys are for graders, which find them as ``item``."""
    if "messages" not in row:
        yield _missing("messages")
        return
    yield from _messages(row["messages"], "messages")
    yield from _invalid_tokens(row["messages"], "messages")


def _completion(row: Row) -> Iterator[Fault]:
    for key in PAIR:
        if key not in row:
            yield _missing(key)
        elif not isinstance(row[key], str):
            yield key, f" {key} must be a string"
    yield from _extras(row, PAIR)


def _preference(row: Row) -> Iterator[Fault]:
    wanted = (("input",), *ANSWERS)
    if missing := [names[0] for names in wanted if not any(name in row for name in names)]:
        yield from map(_missing, missing)
        return
    yield from _extras(row, PREFERENCE_KEYS)
    asked = row["input"]
    if isinstance(asked, dict):
        messages = asked.get("messages")
        if isinstance(messages, list) and messages:
            yield from _extras(asked, INPUT_KEYS, "input", " input")
        yield from _messages(messages, "input.messages", "input ")
    else:
        yield "input", " input must be an object with messages"
    for names in ANSWERS:
        yield from _answer(row, names)
    if isinstance(asked, dict):
        yield from _invalid_tokens(asked.get("messages"), "input.messages")
    for names in ANSWERS:
        name = names[0] if names[0] in row else names[1]
        yield from _invalid_tokens(row[name], name)


def _answer(row: Row, names: tuple[str, str]) -> Iterator[Fault]:
    """Each answer is the one last message of the assistant (vendor text)."""
    name = names[0] if names[0] in row else names[1]
    if not isinstance(row[name], list) or len(row[name]) != 1:
        yield name, f" {name} must be a list of one message"
        return
    yield from _messages(row[name], name, f"{name} ")
    if not _is_answer(row[name][0]):
        yield f"{name}[0]", f" {name} must be a message from the assistant"


def _missing(key: str) -> Fault:
    return None, f" is missing key '{key}'."  # printed


def _extras(row: Row, known: tuple[str, ...], path: str = "", where: str = "") -> Iterator[Fault]:
    for key in row:
        if key not in known:
            yield f"{path}.{key}".lstrip("."), f'{where} contains an extra "{key}".'  # printed


def _messages(messages: Any, path: str, where: str = "") -> Iterator[Fault]:
    if not isinstance(messages, list) or not messages:
        yield path, f" {where}messages must be a non-empty list"
        return
    for index, message in enumerate(messages):
        for text in _of_message(message):
            yield f"{path}[{index}]", f", {where}message {index + 1} {text}"


def _invalid_tokens(messages: Any, path: str) -> Iterator[Fault]:
    """What only models use; printed for one of these tokens, without saying whose message it was."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        if isinstance(message, dict) and (found := _SPECIAL.search(_text_of(message))):
            yield f"{path}[{index}]", f" message contains an invalid token: {found[0]}."


def _of_message(message: Any) -> Iterator[str]:
    if not isinstance(message, dict):
        yield "value is not a valid dict"
    elif "role" not in message:
        yield "Discriminator 'role' is missing in value"  # printed
    elif message["role"] not in ROLES:
        allowed = ", ".join(f"'{role}'" for role in ROLES)
        yield f"No match for discriminator 'role' and value '{message['role']}' (allowed values: {allowed})"
    else:
        yield from _of_content(message)
        if "weight" in message and message["role"] != "assistant":
            yield 'contains an extra "weight"'
        elif message.get("weight", 1) not in (0, 1) or isinstance(message.get("weight"), bool):
            yield "weight: 0 or 1 expected"  # spec


def _of_content(message: Row) -> Iterator[str]:
    content = message.get("content")
    if content is None:
        if message["role"] != "assistant" or not _calls(message):
            yield "content: field required"
    elif not isinstance(content, str) and not _are_parts(content):
        yield "content: str or a list of content parts expected"


def _are_parts(content: Any) -> bool:
    sound = isinstance(content, list) and content
    return bool(sound) and all(isinstance(part, dict) and part.get("type") in PARTS for part in content)


def _calls(message: Row) -> Any:
    return message.get("tool_calls") or message.get("function_call")


def _is_answer(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "assistant"


_CHECKS: dict[str, Callable[[Row], Iterator[Fault]]] = {
    CHAT: _chat,
    PREFERENCE: _preference,
    REINFORCEMENT: _reinforcement,
    COMPLETION: _completion,
}

_SPECIAL = re.compile(r"<\|(?:endoftext|fim_prefix|fim_middle|fim_suffix|endofprompt)\|>")
# A tokenizer's split, roughly: English suffixes, words, numbers of up to three digits, runs of signs. A word counts a
# token for nine letters, in other scripts for two; each message and each conversation costs a few more.
LETTERS_A_TOKEN, PER_CONVERSATION, PER_MESSAGE = 9, 3, 4
_PIECE = re.compile(r"'(?:[sdmt]|ll|ve|re)\b|[^\W\d_]+|\d{1,3}|_+|[^\s\w]+", re.IGNORECASE)
_ASCII_TOKEN = re.compile(_PIECE.pattern.replace(r"[^\W\d_]+", "[a-z]{1,9}"), re.IGNORECASE)  # the same, at once


def tokens_of(form: str, row: Row) -> int:
    """Estimate the tokens of *row*, of a file in this format.

    Source:
        recording: ``sarcastic.jsonl`` cost 507 tokens an epoch in 2023-10; this gives 491.
    """
    if form == COMPLETION:
        return sum(_in_text(row[key]) for key in PAIR if isinstance(row.get(key), str))
    conversations = [row.get("messages")] if form == CHAT else []
    if form == PREFERENCE:
        asked = row.get("input")
        conversations = [asked.get("messages")] if isinstance(asked, dict) else []
        conversations += [row.get(name, row.get(other)) for name, other in ANSWERS]
    return sum(PER_CONVERSATION + sum(map(_in_message, each)) for each in conversations if isinstance(each, list))


def _in_message(message: Any) -> int:
    if not isinstance(message, dict):
        return PER_MESSAGE
    return PER_MESSAGE + _in_text(_text_of(message))


def _text_of(message: Row) -> str:
    content, calls = message.get("content"), _calls(message)
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [str(part.get("text") or "") for part in parts if isinstance(part, dict)]
    return " ".join([*texts, str(calls) if calls else ""])


def _in_text(text: str) -> int:
    return len(_ASCII_TOKEN.findall(text)) if text.isascii() else sum(map(_in_piece, _PIECE.findall(text)))


def _in_piece(piece: str) -> int:
    if piece.isascii():
        return -(-len(piece) // LETTERS_A_TOKEN) if piece.isalpha() else 1
    return -(-len(piece) // 2)
