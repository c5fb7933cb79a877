"""Fixtures of the tests of findings: code under test, the fake it talks to, and our own client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clients import Code, redirected, set_request_interval
from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Iterator[Code]:
    """Code under test, on a fake whose clock stands still."""
    set_request_interval(monkeypatch)
    with Code(FakeFineTuning(pace="manual", start=BORN)) as found:
        yield found


@pytest.fixture
def fake(code: Code) -> FakeFineTuning:
    """The fake that the code under test asks."""
    return code.fake


@pytest.fixture
def own(fake: FakeFineTuning) -> Iterator[None]:
    """Our own client talks to the fake."""
    with redirected(fake):
        yield
