"""The statuses of a job, and the limits of its metadata."""

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
