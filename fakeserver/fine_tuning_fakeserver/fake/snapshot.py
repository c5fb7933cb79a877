"""An account at one moment, as it is told to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..account.records import StoredFile
from ..clock import Pace
from ..domain.jobs import Job
from ..settings import Settings
from ..web.fault_injector import ArmedFault
from ..web.request_log import LogEntry


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """An account at one moment, with what it was asked.

    Args:
        settings: what it was born with.
        born: when, in virtual Unix seconds.
        now: virtual Unix seconds.
        pace: how time passes.
        jobs: oldest first.
        exchanges: the requests log, newest last.
        faults: oldest first.
        files: those that there are, by id.
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
