"""The rules of jobs: statuses, limits of metadata, values of "auto" hyperparameters, names of models."""

from __future__ import annotations

from collections.abc import Mapping

JOB_STATUSES = ("validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled")
"""The statuses of OpenAI's API, in the order of a job's life; ``paused`` is in its examples only."""

TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})
"""A job with one of them never changes again."""

# spec: Metadata
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512

COMPLETION_MODELS = frozenset({"babbage-002", "davinci-002"})
"""The oldest base models, which learn from prompts and completions instead of chats."""

_BLIND = ("gpt-3.5-turbo", "gpt-35-turbo", "gpt-4-", *sorted(COMPLETION_MODELS))


def sees_images(base: str) -> bool:
    """Return whether a base model takes images; which do not is vendor text."""
    return not base.startswith(_BLIND)


# printed outputs for gpt-3.5-turbo, gpt-4o-mini and gpt-4.1-nano, inferred for the rest; the first prefix that fits
_MULTIPLIERS = {"gpt-3.5-turbo": 2.0, "gpt-4o-mini": 1.8, "gpt-4o": 2.0, "": 1.0}


def check_metadata(metadata: Mapping[str, object]) -> None:
    """Check the size of a job's metadata.

    Raises:
        ValueError: There are too many pairs, or a key or value is not a string or is too long.
    """
    if len(metadata) > MAX_METADATA_PAIRS:
        raise ValueError(f"metadata must have at most {MAX_METADATA_PAIRS} pairs, got {len(metadata)}")
    for key, value in metadata.items():
        for what, text, most in (("keys", key, MAX_METADATA_KEY), ("values", value, MAX_METADATA_VALUE)):
            if not isinstance(text, str) or len(text) > most:
                raise ValueError(f"{what} of metadata must be strings of at most {most} characters, got {text!r}")


def base_model(model: str) -> str:
    """Return the base of a fine-tuned model: ``ft:BASE:org:suffix:token`` or, Azure's, ``BASE.ft-HEX``."""
    if model.startswith("ft:") and model.count(":") >= 2:
        return model.split(":")[1]
    return model.partition(".ft-")[0] or model


def is_fine_tuned(model: str) -> bool:
    """Return whether a name is a fine-tuned model's: ``ft:…``, before 2023-08 ``BASE:ft-…``, Azure's ``BASE.ft-…``."""
    return model.startswith("ft:") or ":ft-" in model or ".ft-" in model


def auto_epochs(examples: int) -> int:
    """Choose three epochs, more for few examples, fewer for many; fits every printed job (10 → 10, 80 and 100 → 3)."""
    if 0 < examples * 3 < 100:
        return min(25, 100 // examples)
    return max(1, 25_000 // examples) if examples * 3 > 25_000 else 3


def auto_batch_size(examples: int) -> int:
    """Choose 0.2 % of the examples, cut to a whole number between 1 and 256 (vendor text; 948 rows: 1, printed)."""
    return min(max(examples // 500, 1), 256)


def auto_learning_rate_multiplier(base: str) -> int | float:
    """Choose the multiplier of a base model; a whole one is an integer in JSON (recording: GetCheckpoints)."""
    value = next(value for prefix, value in _MULTIPLIERS.items() if base.startswith(prefix))
    return int(value) if value == int(value) else value
