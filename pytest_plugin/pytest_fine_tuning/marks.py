"""Marks, looked at when tests are collected."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fine_tuning_fakeserver import FakeUsageError

from .options import MARK, options_of


def take_marks(items: Iterable[pytest.Item]) -> None:
    """Give *items*, which are marked, the fixture.

    Raises:
        pytest.UsageError: a mark makes no sense. Not in a process of pytest-xdist, where it would be a crash: there it
            fails the test.
    """
    for item in items:
        if isinstance(item, pytest.Function) and MARK not in item.fixturenames:
            item.fixturenames.insert(0, MARK)
        if not hasattr(item.config, "workerinput"):
            _check(item)


def _check(item: pytest.Item) -> None:
    try:
        options_of(item)
    except FakeUsageError as error:
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{MARK}: {error}") from None
