"""Marks, looked at when tests are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

from fine_tuning_cassettes import CassetteError
from fine_tuning_fakeserver import FakeUsageError

from .options import MARK, options_of
from .tapes import MARK as TAPE
from .tapes import tape_of

CHECKS: Mapping[str, Callable[[pytest.Item], object]] = {MARK: options_of, TAPE: tape_of}
"""What makes sense of each mark; the fixture of the same name comes with it."""
INSTEAD = {TAPE: "fine_tuning_service"}
"""A fixture that takes the mark's place: it uses the cassette when it is told to."""


def take_marks(items: Iterable[pytest.Item]) -> None:
    """Give *items*, which are marked, the fixture.

    Raises:
        pytest.UsageError: a mark makes no sense. Not in a process of pytest-xdist, where it would be a crash: there it
            fails the test.
    """
    for item in items:
        for mark in CHECKS:
            if item.get_closest_marker(mark):
                _take(item, mark)


def _take(item: pytest.Item, mark: str) -> None:
    if isinstance(item, pytest.Function) and not {mark, INSTEAD.get(mark)} & set(item.fixturenames):
        item.fixturenames.insert(0, mark)
    if hasattr(item.config, "workerinput"):
        return
    try:
        CHECKS[mark](item)
    except (CassetteError, FakeUsageError, ValueError) as error:
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{mark}: {error}") from None
