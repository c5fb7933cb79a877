"""An estimate of how many tokens the service would count, without its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass

# A tokenizer's split, roughly: English suffixes, words, numbers of up to three digits, runs of signs.
_PIECE = re.compile(r"'(?:[sdmt]|ll|ve|re)\b|[^\W\d_]+|\d{1,3}|_+|[^\s\w]+", re.IGNORECASE)
_LETTERS_PER_TOKEN = 9  # a word up to this long counts one token; calibrated below
# The same for ASCII, with words cut to tokens at once: a match is a token. Four signs are spaces to Unicode only.
# Letters come first, and in both cases, since a pattern that ignores case takes longer.
_ASCII_TOKEN = re.compile(
    rf"[A-Za-z]{{1,{_LETTERS_PER_TOKEN}}}|\d{{1,3}}|'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])\b|_+|[^\s\w\x1c-\x1f]+",
    re.ASCII,
)

# The special tokens of the models' tokenizers; the service was seen to refuse the fourth.
_SPECIAL = re.compile(r"<\|(?:endoftext|fim_prefix|fim_middle|fim_suffix|endofprompt)\|>")

# recording: `sarcastic.jsonl` cost 507 tokens an epoch in 2023-10; these numbers give 491.
_PER_CONVERSATION, _PER_MESSAGE = 3, 4


def count_text_tokens(text: str) -> int:
    """Estimate the tokens of *text*."""
    return sum(map(_WORDS.__getitem__, text.split()))  # no token has a space


class _WordTokens(dict[str, int]):
    """The tokens of words; those of the first short ones are kept, as most texts are of few words."""

    def __missing__(self, word: str) -> int:
        if word.isascii():
            tokens = len(_ASCII_TOKEN.findall(word))
        else:
            tokens = sum(map(_count_piece_tokens, _PIECE.findall(word)))
        if len(word) <= _LONGEST_WORD_KEPT and len(self) < _WORDS_KEPT:
            self[word] = tokens
        return tokens


_WORDS_KEPT, _LONGEST_WORD_KEPT = 32 * 1024, 32
_WORDS = _WordTokens()


def split_tokens(text: str) -> list[str]:
    """Cut *text* into its estimated tokens, as many as `count_text_tokens` counts; spaces go with what follows."""
    tokens: list[str] = []
    end = 0
    for match in (_ASCII_TOKEN if text.isascii() else _PIECE).finditer(text):
        piece = match[0]
        width = len(piece) if _count_piece_tokens(piece) == 1 else (_LETTERS_PER_TOKEN if piece.isascii() else 2)
        parts = [piece[at : at + width] for at in range(0, len(piece), width)]
        tokens += [text[end : match.start()] + parts[0], *parts[1:]]
        end = match.end()
    if tokens:
        tokens[-1] += text[end:]
    return tokens


def _count_piece_tokens(piece: str) -> int:
    if piece.isascii():
        return -(-len(piece) // _LETTERS_PER_TOKEN) if piece.isalpha() else 1
    return -(-len(piece) // 2)  # other scripts take about a token for two letters


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """What counts tokens: those of a text, and how many a conversation has beside its messages."""

    count_text: Callable[[str], int]
    per_conversation: int

    def count_messages(self, messages: list[Any]) -> int:
        """Count the tokens of a conversation, separators included."""
        count = self.count_text
        return self.per_conversation + sum(_PER_MESSAGE + count(message_text(message)) for message in messages)


ESTIMATE = TokenCounter(count_text_tokens, _PER_CONVERSATION)


def count_message_tokens(messages: list[Any]) -> int:
    """Estimate the tokens of a conversation, separators included."""
    return ESTIMATE.count_messages(messages)


def tools_text(tools: Any) -> str:
    """Return definitions of tools as a text whose tokens are about those that they cost.

    It is the form of a TypeScript namespace: 1.7 % too much for a file of 103 rows (printed in 2024-06); the service's
    own rule is unknown.
    """
    functions = (
        [tool.get("function", tool) for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    )
    lines = [line for function in functions if isinstance(function, dict) for line in _function_lines(function)]
    return "\n".join(["namespace functions {", *lines, "}"]) if lines else ""


def _function_lines(function: dict[str, Any]) -> Iterator[str]:
    if description := function.get("description"):
        yield f"// {description}"
    parameters = function.get("parameters")
    yield f"type {function.get('name')} = (_: {{"
    yield from _member_lines(parameters)
    yield "}) => any;"


def _member_lines(schema: Any) -> Iterator[str]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return
    required = schema.get("required")
    for name, member in properties.items():
        if not isinstance(member, dict):
            continue
        if description := member.get("description"):
            yield f"// {description}"
        choices = member.get("enum")
        kind = " | ".join(f'"{each}"' for each in choices) if isinstance(choices, list) else member.get("type", "any")
        yield f"{name}{'' if isinstance(required, list) and name in required else '?'}: {kind},"
        yield from _member_lines(member.get("items", member))


def find_special_token(message: Any) -> str | None:
    """Return the first token in the text of a message that only models may use."""
    text = message_text(message)
    match = _SPECIAL.search(text) if "<|" in text else None
    return match and match[0]


def message_text(message: Any) -> str:
    """Return the text of a message: its content, a list of parts joined, and the calls it makes."""
    if not isinstance(message, dict):
        return ""
    content = message.get("content")
    calls = message.get("tool_calls") or message.get("function_call")
    if isinstance(content, str) and not calls:
        return content  # nearly every message
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [str(part.get("text") or "") for part in parts if isinstance(part, dict)]
    return " ".join([*texts, str(calls) if calls else ""])
