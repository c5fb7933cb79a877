"""A server under load from many connections: no answer fails, and what a reset leaves does not grow."""

from __future__ import annotations

import os

import pytest

from soak import MIXED, soak_counted, soak_for

pytestmark = pytest.mark.slow

LONG_S = 600.0
GROWS_AT_MOST = 1.1
"""By how much the memory after a reset may be above that after the second one, when all caches are full."""


def test_every_operation_on_many_connections() -> None:
    """An operation fails, or a connection is lost, while others are under way."""
    is_long = os.environ.get("HYPOTHESIS_PROFILE") == "long"
    figures = soak_for(LONG_S) if is_long else soak_counted(len(MIXED), connections=8)

    assert not figures.failures
    assert len(figures.operations) == len(MIXED)
    if is_long:
        (_, second), (_, last) = figures.resources[1], figures.resources[-1]
        assert last <= second * GROWS_AT_MOST
        assert figures.resources[-1][0] <= figures.resources[1][0]
