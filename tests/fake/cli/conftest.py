"""Fixtures for the tests of `jobs`: one server per module, and the command with a fresh account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from jobs_command import Jobs, sent_to
from strategies import BORN


@pytest.fixture(scope="module")
def server() -> Iterator[FakeFineTuning]:
    """One fake on a socket for all tests of a module; each test resets it."""
    fake = FakeFineTuning(start=BORN)
    with fake.serving():
        yield fake


@pytest.fixture
def jobs(server: FakeFineTuning, capsys: pytest.CaptureFixture[str]) -> Iterator[Jobs]:
    """The command with a fresh account."""
    server.reset()
    with sent_to(server, capsys) as jobs:
        yield jobs
