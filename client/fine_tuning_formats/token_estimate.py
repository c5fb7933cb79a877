"""An estimate of how many tokens the service would count, without its tokenizer."""

from __future__ import annotations

import re
from typing import Any

# A tokenizer's split, roughly: English suffixes, words, numbers of up to three digits, runs of signs.
_PIECE = re.compile(r"'(?:[sdmt]|ll|ve|re)\b|[^\W\d_]+|\d{1,3}|_+|[^\s\w]+", re.IGNORECASE)
_LETTERS_PER_TOKEN = 9  # a word up to this long counts one token; calibrated below
# The same for ASCII, with words cut to tokens at once: a match is a token. Four signs are spaces to Unicode only.
_ASCII_TOKEN = re.compile(
    rf"'(?:[sdmt]|ll|ve|re)\b|[a-z]{{1,{_LETTERS_PER_TOKEN}}}|\d{{1,3}}|_+|[^\s\w\x1c-\x1f]+", re.IGNORECASE | re.ASCII
)

# The special tokens of the models' tokenizers; the service was seen to refuse the fourth.
_SPECIAL = re.compile(r"<\|(?:endoftext|fim_prefix|fim_middle|fim_suffix|endofprompt)\|>")

# recording: `sarcastic.jsonl` cost 507 tokens an epoch in 2023-10; these numbers give 491.
_PER_CONVERSATION, _PER_MESSAGE = 3, 4


def count_text_tokens(text: str) -> int:
    """Estimate the tokens of *text*."""
    if text.isascii():
        return len(_ASCII_TOKEN.findall(text))
    return sum(map(_count_piece_tokens, _PIECE.findall(text)))


def _count_piece_tokens(piece: str) -> int:
    if piece.isascii():
        return -(-len(piece) // _LETTERS_PER_TOKEN) if piece.isalpha() else 1
    return -(-len(piece) // 2)  # other scripts take about a token for two letters


def count_message_tokens(messages: list[Any]) -> int:
    """Estimate the tokens of a conversation, separators included."""
    return _PER_CONVERSATION + sum(_PER_MESSAGE + count_text_tokens(message_text(message)) for message in messages)


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
