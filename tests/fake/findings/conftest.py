"""Fixtures for the tests of findings: code under test, its fake, and our own client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clients import Code, redirected, set_request_interval
from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Iterator[Code]:
    """Code under test, on a fake whose time stands still."""
    set_request_interval(monkeypatch)
    with Code(FakeFineTuning(pace="manual", start=BORN)) as found:
        yield found


@pytest.fixture
def fake(code: Code) -> FakeFineTuning:
    """The fake of the code under test."""
    return code.fake


@pytest.fixture
def own(fake: FakeFineTuning) -> Iterator[None]:
    """Redirect our own client to the fake."""
    with redirected(fake):
        yield
