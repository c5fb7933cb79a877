"""What the service takes for the options of a creation, looked at before a file is sent to it."""

from __future__ import annotations

import argparse

from .jobs_arguments import metadata_of

KEY = "idempotency_key"
"""The client keeps the key of a creation under this name in the job's metadata."""

# spec: CreateFineTuningJobRequest, Metadata
NUMBERS = {"n_epochs": (1, 50), "batch_size": (1, 256), "seed": (0, 2147483647)}
LONGEST_SUFFIX = 64
MOST_PAIRS, LONGEST_NAME, LONGEST_VALUE = 16, 64, 512


def check_limits(given: argparse.Namespace) -> None:
    """Hold the options of a creation against the limits of OpenAI.

    Raises:
        ValueError: one of them is beyond its limit.
    """
    for name, (least, most) in NUMBERS.items():
        number = getattr(given, name)
        if isinstance(number, int) and not least <= number <= most:
            auto = "" if name == "seed" else '"auto" or '
            raise ValueError(f"{name} must be {auto}{least} to {most}, not {number}")
    _check_length("suffix", given.suffix or "", LONGEST_SUFFIX)
    _check_pairs(metadata_of(given) | ({KEY: given.idempotency_key} if given.idempotency_key else {}))


def _check_pairs(pairs: dict[str, str]) -> None:
    if len(pairs) > MOST_PAIRS:
        raise ValueError(f"metadata has {len(pairs)} pairs, and may have {MOST_PAIRS}; an idempotency key is one")
    for name, value in pairs.items():
        _check_length("a key of metadata", name, LONGEST_NAME)
        _check_length(f"metadata {name!r}", value, LONGEST_VALUE)


def _check_length(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise ValueError(f"{what} has {len(text)} characters, and may have {longest}")
