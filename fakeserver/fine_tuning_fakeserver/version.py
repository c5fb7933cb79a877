"""The version of the distribution."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """Return the version of the installed distribution."""
    from importlib import metadata  # slow to import

    return metadata.version("fake-fine-tuning")
