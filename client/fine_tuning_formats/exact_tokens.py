"""Tokens counted by the models' own vocabularies, where a library that has them is there: the extra ``[tokens]``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fine_tuning_formats.token_estimate import TokenCounter

# in this order: bpe-openai has its vocabularies inside, tiktoken fetches them unless it has them at hand
LIBRARIES = ("bpe_openai", "tiktoken")
MISSING = "exact tokens need bpe-openai, not installed here: pip install 'fake-fine-tuning[tokens]'"
CL100K, O200K = "cl100k_base", "o200k_base"
_CL100K_MODELS = ("gpt-3.5-turbo", "gpt-35-turbo", "gpt-4-", "babbage-002", "davinci-002")


def can_count() -> bool:
    """Return whether a library that counts is installed; it is not imported."""
    return any(find_spec(name) for name in LIBRARIES)


def vocabulary_of(base: str) -> str:
    """Return the vocabulary of a base model (vendor text: cl100k up to gpt-4, o200k since gpt-4o)."""
    return CL100K if base == "gpt-4" or base.startswith(_CL100K_MODELS) else O200K


@cache
def exact_counter(vocabulary: str) -> TokenCounter:
    """Return what counts by a vocabulary: 4 more tokens a message and 1 a row.

    Source: exact for gpt-3.5-turbo: `sarcastic.jsonl` is 507 (recorded in 2023-10), as are two printed files. That
    other models count so, too, is inferred.

    Raises:
        ModuleNotFoundError: No library that counts is installed.
    """
    for name in LIBRARIES:
        if find_spec(name):
            return TokenCounter(_length_of(import_module(name).get_encoding(vocabulary).encode_ordinary), 1)
    raise ModuleNotFoundError(MISSING)


def _length_of(encode: Callable[[str], Any]) -> Callable[[str], int]:
    return lambda text: len(encode(text))
