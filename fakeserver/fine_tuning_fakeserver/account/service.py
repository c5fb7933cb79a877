"""The service: an account, its clock and its journal behind one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import count
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ..api_errors import ApiError
from ..clock import ClockMark, Pace, VirtualClock, parse_pace, real_now
from ..domain.dialects import dialect_named
from ..settings import DEFAULT_SETTINGS, Settings
from ..usage_errors import FakeUsageError
from .account import Account, apply
from .forking import complete_before_fork
from .looks import SHOWN_BY, Looks
from .records import (
    CONTENT_RECORDS,
    ClockAdvanced,
    ClockAnchored,
    DialectSet,
    ListSeen,
    PaceSet,
    Record,
    accepted_at,
    content_owner,
    without_content,
)


class Journal(Protocol):
    """Keeps an account's records in the order in which they were accepted."""

    def append(self, records: Sequence[Record]) -> None:
        """Append *records*, all or none."""
        ...

    def keep(self, count: int) -> None:
        """Drop all but the first *count* records."""
        ...

    def drop_contents(self, owners: Iterable[str]) -> None:
        """Drop the contents of these files and uploads, which are over, but for their sizes."""
        ...

    def since(self, count: int) -> Sequence[Record]:
        """Return the records after the first *count*."""
        ...

    def __len__(self) -> int:
        """Return the number of records."""
        ...

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records, oldest first."""
        ...


class MemoryJournal:
    """A journal that ends with the process."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._places: dict[str, list[int]] = {}
        """Where the contents of a file or upload are, by its id."""

    def append(self, records: Sequence[Record]) -> None:
        """Append *records*."""
        for record in records:
            if isinstance(record, CONTENT_RECORDS) and (owner := content_owner(record)):
                self._places.setdefault(owner, []).append(len(self._records))
            self._records.append(record)

    def keep(self, count: int) -> None:
        """Drop all but the first *count* records."""
        del self._records[count:]
        for owner, places in list(self._places.items()):
            self._places[owner] = [place for place in places if place < count]

    def drop_contents(self, owners: Iterable[str]) -> None:
        """Drop the contents of these files and uploads, which are over, but for their sizes."""
        for owner in owners:
            for place in self._places.pop(owner, ()):
                self._records[place] = without_content(self._records[place])

    def since(self, count: int) -> Sequence[Record]:
        """Return the records after the first *count*."""
        return self._records[count:]

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records, oldest first."""
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


_generations = count(1)

P = ParamSpec("P")
T = TypeVar("T")


class Service:
    """An account, changed by one operation at a time.

    An operation decides: it may refuse, and returns what is answered. What it accepts it commits as records, all at its
    end, so that an operation that fails leaves the account as it was.

    Args:
        settings: what the account is born with.
        journal: makes the store of its records.
        born: when it began, in Unix seconds, unless it begins now.
        real: returns real seconds; None: this process's own.

    Attributes:
        generation: a number that no other service of this process has: each reset and rewind begins a new one. Of an
            account in a store it is that of the store, below 0, which is the same for all servers.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        journal: Callable[[], Journal] = MemoryJournal,
        born: float | None = None,
        real: Callable[[], float] | None = None,
    ) -> None:
        settings = settings or DEFAULT_SETTINGS
        self.generation = next(_generations)
        self.renew_locks()
        complete_before_fork(self)
        self.journal = journal()
        begins = settings.begins if born is None else born
        self.created_at = real_now() if begins is None else begins
        self.account = Account(settings, self.created_at)
        self.clock = _new_clock(self.created_at, settings.pace, real)
        self.looks = Looks()
        self._changes = 0
        self._counts_as_poll = False
        self._awaited = self.created_at
        self._plan_idling()

    @classmethod
    def restored(
        cls,
        settings: Settings,
        born: float,
        records: Sequence[Record],
        now: float,
        awaited: float,
        journal: Callable[[], Journal] = MemoryJournal,
        real: Callable[[], float] | None = None,
    ) -> Service:
        """Return the account that *records* add up to, at the time *now*, in Unix seconds.

        Args:
            settings: what it was born with.
            born: when it began.
            records: all of its records.
            now: its time, from which it goes on.
            awaited: until when a client waits, at a pace at which time passes by itself.
            journal: makes the store of its records.
            real: returns real seconds; None: this process's own.
        """
        service = cls(settings, journal, born, real)
        service.journal.append(records)
        service._fold(records)
        service.account.materialize(now)
        service._drop_contents()
        service.clock = _new_clock(now, service.account.pace, real)
        service._awaited = awaited
        service._plan_idling()
        return service

    @property
    def awaited_until(self) -> float:
        """Until when a client waits, at a pace at which time passes by itself, in virtual Unix seconds."""
        return self._awaited

    def renew_locks(self) -> None:
        """Replace the lock, in a forked child."""
        self.lock = threading.RLock()

    @property
    def settings(self) -> Settings:
        """What the account was born with."""
        return self.account.settings

    @contextmanager
    def transaction(self, *, counts_as_poll: bool = True) -> Generator[None, None, None]:
        """Hold the lock over a request; when it ends in a crash, roll back the account and its clock.

        Refusals pass through: an operation refuses before it changes anything.

        Args:
            counts_as_poll: whether it is a look if it shows a job; at the pace "polls" looks move time.
        """
        with self.lock:
            self._counts_as_poll = counts_as_poll
            kept, mark = len(self.journal), self.clock.mark()
            try:
                yield
            except (ApiError, FakeUsageError):
                raise
            except Exception:
                self._rollback(kept, mark)
                raise
            else:
                self._drop_contents()
            finally:
                self._counts_as_poll = False

    @property
    def polling_advances_time(self) -> bool:
        """Whether the operation under way moves time by polling."""
        return self._counts_as_poll and self.account.pace == "polls"

    @property
    def looks_matter(self) -> bool:
        """Whether the operation under way is a look where it shows a job: not where time passes by itself."""
        return self._counts_as_poll and isinstance(self.account.pace, str)

    def count_look(self, operation: str, unfinished: Mapping[str, str]) -> None:
        """Count a look at *unfinished* jobs, by id and status.

        Raises:
            FakeUsageError: there were too many since time has moved or anything changed.
        """
        if (patience := self.settings.patience) is not None:
            self.looks.count(operation, unfinished, self.moment, patience, self.account.pace)

    @property
    def moment(self) -> tuple[float, int]:
        """What differs once time has moved or anything has changed."""
        return self.clock.now(), self._changes

    def remember(self, operation: str, query: tuple[Any, ...], shown: object, at: float) -> None:
        """Keep what a list shows at a time."""
        request = (operation, query)
        if not self.looks.is_repeated(request, shown):
            self.looks.remember(request, shown)
            self.journal.append((ListSeen(at, operation, query),))

    def _drop_contents(self) -> None:
        """Let go of the contents that no file or upload has any more: nothing brings these back."""
        if self.account.unreferenced:
            files = self.account.files
            self.journal.drop_contents(owner for owner in self.account.unreferenced if owner not in files)
            self.account.unreferenced.clear()

    def _rollback(self, kept: int, mark: ClockMark) -> None:
        self.journal.keep(kept)
        self.account = Account(self.settings, self.created_at)
        self.clock.return_to(mark)
        self.looks = Looks()
        self._fold(list(self.journal))
        self.account.materialize(self.clock.now())
        self._plan_idling()

    def _fold(self, records: Sequence[Record]) -> None:
        """Apply records, and see again what lists have shown last."""
        newest = {(each.operation, each.query): each for each in records if isinstance(each, ListSeen)}
        for record in records:
            self._replay_record(record)
            if isinstance(record, ListSeen) and newest[(record.operation, record.query)] is record:
                shown = SHOWN_BY[record.operation](self.account, record.at, *record.query)
                self.looks.remember((record.operation, record.query), shown)

    def _replay_record(self, record: Record) -> None:
        """Apply one record, after materialising everything due before it."""
        if (at := accepted_at(record)) is not None:
            self.account.materialize(at)
        apply(self.account, record)

    def start_operation(self) -> float:
        """Return the time, read once an operation, and materialise everything due by then."""
        if self.account.pace == "instant":
            end = self.account.last_job_end()
            if end > self.clock.now():
                self.advance_clock(end)
        now = self.clock.now()
        self.account.materialize(now)
        return now

    def commit(self, *records: Record) -> None:
        """Append *records* to the journal, then apply them."""
        self.journal.append(records)
        self._changes += 1
        for record in records:
            apply(self.account, record)
        self._plan_idling()

    def commit_aside(self, record: Record) -> None:
        """Append a record of what has happened beside the account."""
        with self.lock:
            self.journal.append((record,))

    def anchor_clock(self, anchor: ClockAnchored) -> None:
        """Go by the time that an account in a store had when it was last changed, on whatever server."""
        with self.lock:
            self._awaited = max(self._awaited, anchor.awaited)
            self._plan_idling()
            self.clock.anchor(anchor.at, anchor.real)

    def keep_pace_until(self, at: float) -> None:
        """Let the clock run at its pace until *at*, in Unix seconds: a client waits for what comes then."""
        with self.lock:
            self._awaited = max(self._awaited, at)
            self._plan_idling()

    def _plan_idling(self) -> None:
        """Let a clock that runs by itself idle once nothing is ahead: a server left alone shall not be years ahead."""
        if not isinstance(self.account.pace, str):
            self.clock.idle_from(max(self._awaited, self.account.nothing_ahead_from()))

    def advance_clock(self, to: float) -> float:
        """Jump to *to*, in Unix seconds, and materialise everything due by then; return the new time."""
        self.clock.move_to(to)
        self.commit(ClockAdvanced(to))
        self.account.materialize(to)
        return to

    def set_pace(self, pace: object) -> None:
        """Change how time passes from now on.

        Raises:
            FakeUsageError: the pace is unknown.
        """
        with self.lock:
            chosen = parse_pace(pace)
            self.commit(PaceSet(self.start_operation(), chosen))
            self.clock.run_at(_rate(chosen))

    def set_dialect(self, name: str) -> None:
        """Answer in another dialect from now on.

        Raises:
            FakeUsageError: no dialect has this name.
        """
        with self.lock:
            chosen = dialect_named(name)
            self.commit(DialectSet(self.start_operation(), chosen))

    def replay(self, records: Iterable[Record]) -> None:
        """Append and apply the records of another account of the same settings: then answers are the same bytes."""
        with self.lock:
            known = list(records)
            for record in known:
                if (at := accepted_at(record)) is not None:
                    self.clock.move_to(at)
                if isinstance(record, PaceSet):
                    self.clock.run_at(_rate(record.pace))
            self.journal.append(known)
            self._fold(known)
            self._drop_contents()
            self._changes += 1
            self._plan_idling()


def _new_clock(now: float, pace: Pace, real: Callable[[], float] | None) -> VirtualClock:
    return VirtualClock(now, _rate(pace), real) if real else VirtualClock(now, _rate(pace))


def _rate(pace: Pace) -> float:
    return 0.0 if isinstance(pace, str) else float(pace)


def operation(function: Callable[Concatenate[Service, float, P], T]) -> Callable[Concatenate[Service, P], T]:
    """Make *function* an operation: it holds the lock, and gets the time, read once."""

    @wraps(function)
    def locked(service: Service, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with service.lock:
            return function(service, service.start_operation(), *args, **kwargs)

    return locked
