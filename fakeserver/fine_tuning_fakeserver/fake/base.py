"""What every part of `FakeFineTuning` works on, and an account as reports see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import methodcaller

from ..account.armed_faults import ArmedFault
from ..account.records import StoredFile
from ..account.request_log import LogEntry
from ..account.world import World
from ..clock import Pace
from ..domain.job import Job
from ..settings import Settings
from ..usage_errors import FakeUsageError

HIDDEN = methodcaller("errisinstance", (AssertionError, FakeUsageError))
"""A module's ``__tracebackhide__``: pytest shows the test's own line where an assertion fails, not the fake's code."""


class FakeBase:
    """One part of the fake's surface; all parts work on the same world."""

    _world: World


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """An account at one moment, and the requests it has had.

    Args:
        settings: what it was born with.
        born: when, in virtual Unix seconds.
        now: virtual Unix seconds.
        pace: how time passes.
        jobs: oldest first.
        exchanges: the request log, newest last.
        faults: oldest first.
        files: those in the account, by id.
        is_scripted: whether a test has prepared answers.
    """

    settings: Settings
    born: float
    now: float
    pace: Pace
    jobs: Sequence[Job]
    exchanges: Sequence[LogEntry]
    faults: Sequence[ArmedFault]
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    is_scripted: bool = False
