"""What the service chooses for "auto", and the base model of a fine-tuned one."""

from __future__ import annotations

COMPLETION_MODELS = frozenset({"babbage-002", "davinci-002"})
"""The oldest base models, which learn from prompts and completions instead of chats."""

# printed outputs for gpt-3.5-turbo, gpt-4o-mini and gpt-4.1-nano, inferred for the rest; the first prefix that fits
_MULTIPLIERS = {"gpt-3.5-turbo": 2.0, "gpt-4o-mini": 1.8, "gpt-4o": 2.0, "": 1.0}


def base_model(model: str) -> str:
    """Return the base of a fine-tuned model: ``ft:BASE:org:suffix:token`` or, Azure's, ``BASE.ft-HEX``."""
    if model.startswith("ft:") and model.count(":") >= 2:
        return model.split(":")[1]
    return model.partition(".ft-")[0] or model


def auto_epochs(examples: int) -> int:
    """Choose three epochs, more for few examples, fewer for many; fits every printed job (10 → 10, 80 and 100 → 3)."""
    if 0 < examples * 3 < 100:
        return min(25, 100 // examples)
    return max(1, 25_000 // examples) if examples * 3 > 25_000 else 3


def auto_batch_size(examples: int) -> int:
    """Choose about 0.2 % of the examples, between 1 and 256 (vendor text)."""
    return min(max(round(examples * 0.002), 1), 256)


def auto_learning_rate_multiplier(base: str) -> int | float:
    """Choose the multiplier of a base model; a whole one is an integer in JSON (recording: GetCheckpoints)."""
    value = next(value for prefix, value in _MULTIPLIERS.items() if base.startswith(prefix))
    return int(value) if value == int(value) else value
