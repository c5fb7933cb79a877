"""Names of marks, and keys of what is stored with a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette, use_cassette
    from fine_tuning_fakeserver import FakeFineTuning

    from .fixture import EnvironmentPatch

FAKE_MARK = "fake_fine_tuning"
CASSETTE_MARK = "fine_tuning_cassette"
"""The marks; each has the name of the fixture that it brings."""

HANDLE: pytest.StashKey[FakeFineTuning] = pytest.StashKey()
ENVIRONMENT: pytest.StashKey[EnvironmentPatch] = pytest.StashKey()
NOT_PASSED = pytest.StashKey[bool]()
"""Whether the test or its setup failed or was skipped."""
CASSETTES = pytest.StashKey[list[tuple["use_cassette", "Cassette"]]]()
"""Cassettes in use; they are written once the test and the teardown of its fixtures have passed."""
FINDINGS = pytest.StashKey[list[str]]()

FINDINGS_ATTRIBUTE = "fake_fine_tuning_findings"
"""The report attribute with a test's findings: a plain list, which pytest-xdist can transfer."""
