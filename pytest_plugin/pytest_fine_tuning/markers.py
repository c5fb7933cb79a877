"""Marks, and the keys of what is stored with a test.

Marks are applied and validated at collection; their readers are imported only if a test has the mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypedDict

import pytest

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette, use_cassette
    from fine_tuning_fakeserver import FakeFineTuning
    from fine_tuning_fakeserver.virtual_time import VirtualTime

    from .explore import ExploredRun
    from .outer_fakes import OuterFake


FAKE_MARK = "fake_fine_tuning"
CASSETTE_MARK = "fine_tuning_cassette"
"""The marks; each has the name of the fixture that it brings."""

HANDLE: pytest.StashKey[FakeFineTuning] = pytest.StashKey()
OUTER_FAKES: pytest.StashKey[list[OuterFake]] = pytest.StashKey()
"""The fakes that outlive a test, while they are in use and until the report of the last test that they were for."""
NOT_PASSED = pytest.StashKey[bool]()
"""Whether the test or its setup failed or was skipped."""
CASSETTES = pytest.StashKey[list[tuple["use_cassette", "Cassette"]]]()
"""Cassettes in use; they are written once the test and the teardown of its fixtures have passed."""
VIRTUAL_TIME: pytest.StashKey[VirtualTime] = pytest.StashKey()
"""The virtual time of a test that has it; it outlives the fixture, for the report."""
EXPLORED_RUN: pytest.StashKey[ExploredRun] = pytest.StashKey()
"""The run of a test that is explored."""
NOT_EXPLORED: pytest.StashKey[str] = pytest.StashKey()
"""Why a test is not explored although the flag is given."""
FINDINGS = pytest.StashKey[list[str]]()
COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""All tests of the run, those that are deselected later included."""


class CassetteReport(TypedDict):
    """A test's notes about cassettes, a line for each file."""

    recorded: list[str]
    orphans: list[str]


CASSETTE_REPORT = pytest.StashKey[CassetteReport]()

FINDINGS_ATTRIBUTE = "fake_fine_tuning_findings"
REAL_WAITS_ATTRIBUTE = "fake_fine_tuning_real_waits"
"""The report attributes with a test's findings, and its waits in real time: plain lists, which pytest-xdist can
transfer."""

OUTER_FINDINGS_ATTRIBUTE = "fake_fine_tuning_outer_findings"
"""The report attribute with the findings of fakes that ended with the test, by what they were for; plain as well."""

EXPLORATION_ATTRIBUTE = "fake_fine_tuning_exploration"
"""The report attribute with what exploring a test has found, in lines."""

EXPLORE_FLAG = "fine_tuning_explore"
SHARD_PARAMETER = "_fine_tuning_explore_shard"
"""The parameter of a test that is collected in parts: which part, and of how many."""

DIALECTS_FLAG = "fine_tuning_dialects"
DIALECT_PARAMETER = "_fine_tuning_dialect"
"""The parameter of a test that is rehearsed: the dialect."""
REHEARSAL_ATTRIBUTE = "fake_fine_tuning_rehearsal"
"""The report attribute with what became of a test in a dialect."""

CASSETTE_ATTRIBUTE = "fine_tuning_cassette"
"""The report attribute with a test's `CassetteReport`, plain as well."""


REPLACEMENTS: Mapping[str, frozenset[str]] = {
    FAKE_MARK: frozenset({"fine_tuning_service", CASSETTE_MARK}),
    CASSETTE_MARK: frozenset({"fine_tuning_service"}),
}
"""Fixtures that read the mark themselves, so that the mark's own fixture is not added."""

IMPORT_ENV = "fake_fine_tuning_import_env"
"""The ini key for a placeholder key during collection."""

SECTION = "fake fine-tuning"
"""The title of sections of reports."""

MODULE_FIXTURE = "fake_fine_tuning_module"
SESSION_FIXTURE = "fake_fine_tuning_session"


def apply_marks(items: Iterable[pytest.Item]) -> None:
    """Give marked *items* their fixtures.

    Raises:
        pytest.UsageError: a mark is invalid. Not in a worker of pytest-xdist, which it would crash: there the fixture
            fails the test.
    """
    for item in items:
        for mark, validate in VALIDATORS.items():
            if not item.get_closest_marker(mark):
                continue
            replacements = {mark, *REPLACEMENTS[mark]}
            is_replaced = mark == FAKE_MARK and (item.get_closest_marker(CASSETTE_MARK) or _is_for_module(item))
            if isinstance(item, pytest.Function) and not is_replaced and replacements.isdisjoint(item.fixturenames):
                index = _first_function_scoped(item)
                # a new list: pytest shares its own among all parametrized items of a function
                item.fixturenames = [*item.fixturenames[:index], mark, *item.fixturenames[index:]]
            if hasattr(item.config, "workerinput"):
                continue
            try:
                validate(item)
            except ValueError as error:
                raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{mark}: {error}") from None


def _is_for_module(item: pytest.Item) -> bool:
    """Return whether the fake's marks of *item* are all its module's, and configure the module's fake."""
    return MODULE_FIXTURE in getattr(item, "fixturenames", ()) and not any(
        isinstance(node, pytest.Item | pytest.Class) for node, _ in item.iter_markers_with_node(FAKE_MARK)
    )


def _first_function_scoped(item: pytest.Function) -> int:
    """Return the index of the first function-scoped fixture.

    Those before it outlive the test, and must not capture what exists only while the test runs.
    """
    known = item._fixtureinfo.name2fixturedefs
    outlives = (name in known and known[name][-1].scope != "function" for name in item.fixturenames)
    return next((index for index, longer in enumerate(outlives) if not longer), len(item.fixturenames))


def _check_options(item: pytest.Item) -> None:
    from .options import fixture_options

    fixture_options(item)


def _check_cassette(item: pytest.Item) -> None:
    from fine_tuning_cassettes import CassetteError

    from .cassettes import cassette_spec

    try:
        cassette_spec(item)
    except CassetteError as error:
        raise ValueError(error) from None


VALIDATORS: Mapping[str, Callable[[pytest.Item], object]] = {FAKE_MARK: _check_options, CASSETTE_MARK: _check_cassette}
"""The validator of each mark, which raises ValueError; the mark brings the fixture of the same name."""

SERVER_FLAG, SERVER_INI = "--fine-tuning-server", "fake_fine_tuning_server"
"""By these tests use accounts of a server that runs already."""
