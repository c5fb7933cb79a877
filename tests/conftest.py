"""Hypothesis profiles, `pytester` for the tests of the plugin, and whom clients trust."""

from __future__ import annotations

import gc
import os

import httpcore  # noqa: F401 - imported first by a `pytester` run, it would be imported anew by each
import yaml  # noqa: F401 - likewise
from hypothesis import settings

from other_environments import trust_nobody

pytest_plugins = ["pytester"]

settings.register_profile("quick", max_examples=60, deadline=None)
settings.register_profile("long", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

trust_nobody()


def pytest_collection_finish() -> None:
    """Leave what was collected, which stays for the whole run, out of each garbage collection."""
    gc.collect()
    gc.freeze()
