"""Whatever the description allows, and much that it forbids, is answered as described."""

from __future__ import annotations

import pytest

from fuzzing import fuzz
from strategies import example_count

pytestmark = pytest.mark.slow


def test_made_up_requests_are_answered_as_described() -> None:
    """No request ends in a bug, in a status or a body that is not described, or in a wrong verdict on its body.

    So it is for some hundreds, one after the other and along the links of the description: scripts/fuzz has more.
    """
    figures = fuzz(example_count(200), examples=example_count(3, 6))

    assert not figures.failures, "\n".join(figures.failures.values())
    assert max(figures.statuses) < 500
    assert figures.statuses[200] > 50
    assert len(figures.operations) > 12
    assert set(figures.phases) == {"fuzzing", "stateful"}
