"""An account at one moment, as it is saved, copied and rewound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from fine_tuning_formats.lazy_dataclass import dataclass

from ..settings import Settings
from ..usage_errors import FakeUsageError
from .records import Record, accepted_at
from .request_log import LogEntry, StoredLog
from .script_queue import StoredScripts


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """All that an account's answers depend on. Times are virtual Unix seconds.

    Args:
        settings: what it was born with.
        born: when it began.
        now: its time.
        awaited: until when a client waits, at a pace at which time passes by itself.
        records: its records, oldest first.
        beginning: how many of these it began with.
        log: its request log.
        scripts: its scripts.
        in_vain: the looks in vain at unfinished jobs, by job and operation.
    """

    settings: Settings
    born: float
    now: float
    awaited: float
    records: Sequence[Record] = ()
    beginning: int = 0
    log: StoredLog = field(default_factory=StoredLog)
    scripts: StoredScripts = field(default_factory=StoredScripts)
    in_vain: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def as_of_request(stored: StoredAccount, number: int) -> StoredAccount:
    """Return the account as it was when request *number* was answered; 0 for its beginning.

    Raises:
        FakeUsageError: there is no such request, or the account as it was cannot be had any more.
    """
    count = stored.log.count
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= count:
        raise FakeUsageError(f"request must be a number from 0 to {count}, the last request, got {number!r}")
    if number == 0:
        return _cut(stored, stored.beginning, stored.born, None)
    entry = next((entry for entry in stored.log.entries if entry.number == number), None)
    if entry is None:
        kept = len(stored.log.entries)
        raise FakeUsageError(f"request {number} is not in the request log, which has the last {kept}")
    return _cut(stored, entry.head, entry.at, entry)


def as_of_time(stored: StoredAccount, time: float) -> StoredAccount:
    """Return the account as it was at *time*, with all that happened by then.

    Raises:
        FakeUsageError: it is no time of the account's, or the account as it was cannot be had any more.
    """
    is_number = isinstance(time, int | float) and not isinstance(time, bool)
    if not is_number or not stored.born <= time <= stored.now:
        wanted = f"Unix seconds from {stored.born!r}, when the account began, to {stored.now!r}, which is now"
        raise FakeUsageError(f"time must be {wanted}, got {time!r}")
    later = (place for place, record in enumerate(stored.records) if (accepted_at(record) or 0.0) > time)
    head = next(later, len(stored.records))
    entries = [entry for entry in stored.log.entries if entry.at <= time and entry.head <= head]
    if not entries and stored.log.forgotten:
        raise FakeUsageError(f"the requests up to the time {time!r} are not in the request log any more")
    return _cut(stored, head, float(time), entries[-1] if entries else None)


def _cut(stored: StoredAccount, head: int, now: float, last: LogEntry | None) -> StoredAccount:
    """Return the account with its first *head* records, at the time *now*, after the request *last*."""
    entries = [entry for entry in stored.log.entries if last and entry.number <= last.number]
    log = replace(
        stored.log,
        entries=entries,
        count=last.number if last else 0,
        forgotten=stored.log.forgotten if last else 0,
        slept_s=last.timing.slept_s if last and last.timing else 0.0,
        errors_read_to=min(stored.log.errors_read_to, last.number if last else 0),
        notes=(),
    )
    return replace(stored, records=stored.records[:head], now=now, awaited=now, log=log, in_vain={})
