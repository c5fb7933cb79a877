"""Marks, looked at when tests are collected. What reads a mark is imported where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

from .stash import MARK, TAPE

INSTEAD: Mapping[str, frozenset[str]] = {
    MARK: frozenset({"fine_tuning_service", TAPE}),
    TAPE: frozenset({"fine_tuning_service"}),
}
"""Fixtures that take the mark's place: they use the fake, or the cassette, when they are told to, and as it says."""


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
    if isinstance(item, pytest.Function) and _brings(item, mark):
        place = _first_of_function(item)
        # a new list: pytest's own is shared by all that one function is parametrized to
        item.fixturenames = [*item.fixturenames[:place], mark, *item.fixturenames[place:]]
    if hasattr(item.config, "workerinput"):
        return
    try:
        CHECKS[mark](item)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{mark}: {error}") from None


def _brings(item: pytest.Function, mark: str) -> bool:
    """Whether the fixture comes with the mark, and nothing has it yet or stands for it."""
    names = {*item.fixturenames, *(TAPE for _ in item.iter_markers(TAPE))} if mark == MARK else {*item.fixturenames}
    return not names & {mark, *INSTEAD[mark]}


def _first_of_function(item: pytest.Function) -> int:
    """The place of the first fixture that is the test's alone.

    Those before it outlive the test, and must not keep what is only there while the test runs.
    """
    known = item._fixtureinfo.name2fixturedefs
    lasting = (name in known and known[name][-1].scope != "function" for name in item.fixturenames)
    return next((place for place, lasts in enumerate(lasting) if not lasts), len(item.fixturenames))


def _check_options(item: pytest.Item) -> None:
    from .options import options_of

    options_of(item)


def _check_tape(item: pytest.Item) -> None:
    from fine_tuning_cassettes import CassetteError

    from .cassettes import cassette_spec

    try:
        cassette_spec(item)
    except CassetteError as error:
        raise ValueError(error) from None


CHECKS: Mapping[str, Callable[[pytest.Item], object]] = {MARK: _check_options, TAPE: _check_tape}
"""What makes sense of each mark, or raises ValueError; the fixture of the same name comes with it."""
