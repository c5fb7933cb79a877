"""Names that several modules share: of the marks, and what is kept with a test, by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette, use_cassette
    from fine_tuning_fakeserver import FakeFineTuning

    from .env import Environment

MARK = "fake_fine_tuning"
TAPE = "fine_tuning_cassette"
"""The marks. Each is called as the fixture that comes with it."""

HANDLE: pytest.StashKey[FakeFineTuning] = pytest.StashKey()
ENVIRONMENT: pytest.StashKey[Environment] = pytest.StashKey()
UNPASSED = pytest.StashKey[bool]()
"""Whether it, or its setup, has failed or was skipped."""
TAPES = pytest.StashKey[list[tuple["use_cassette", "Cassette"]]]()
"""Blocks with their cassettes, which are written once everything of the test has passed, its fixtures' ends too."""
FINDINGS = pytest.StashKey[list[str]]()

REPORTED = "fake_fine_tuning_findings"
"""The attribute of a report that has a test's findings: a plain list, which comes through pytest-xdist as it is."""
