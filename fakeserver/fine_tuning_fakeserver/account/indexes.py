"""Indexes of an account: ids in list order, ids by a key, files, and the times at which jobs change.

Pages, cursors, counts, and the next thing to happen cost the same however many ids and jobs there are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from math import inf
from typing import Generic, TypeAlias, TypeVar

from fine_tuning_formats.job_rules import JOB_STATUSES

from ..domain.timeline import Timeline
from .records import StoredFile

RESULTS = "fine-tune-results"
"""The purpose of result files."""

K = TypeVar("K", bound=Hashable)

FEW = 100
"""So many ids are added one by one; more are sorted into the others at once."""

Place: TypeAlias = tuple[float, int, str]
"""When an id was created, how many had arrived before, and the id."""


class UnknownCursorError(KeyError):
    """The cursor is not among the ids."""


class OrderedIds:
    """Ids by creation time, then by arrival; many share a second (recording: 39 ties in 100 jobs)."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._place_of: dict[str, Place] = {}
        self._arrivals = 0

    def add(self, identifier: str, created_at: float) -> None:
        """Add an id; the newest goes last, at no cost."""
        self._arrivals += 1
        self._put((created_at, self._arrivals, identifier))

    def reserve(self, number: int) -> range:
        """Reserve this number of arrivals, for ids that are added later; return them."""
        self._arrivals += number
        return range(self._arrivals - number + 1, self._arrivals + 1)

    def add_reserved(self, places: Collection[Place]) -> None:
        """Add ids at places whose arrivals were reserved."""
        if len(places) <= FEW:
            for place in places:
                self._put(place)
            return
        self._place_of.update((place[2], place) for place in places)
        self._places.extend(places)
        self._places.sort()

    def place(self, identifier: str) -> Place | None:
        """Return the place of an id; None if it is not among them."""
        return self._place_of.get(identifier)

    def add_from(self, others: OrderedIds, identifier: str) -> None:
        """Add an id at its place among *others*."""
        self._put(others._place_of[identifier])

    def _put(self, place: Place) -> None:
        self._place_of[place[2]] = place
        insort(self._places, place)

    def where(self, is_wanted: Callable[[str], bool]) -> OrderedIds:
        """Return the ids for which *is_wanted* returns true, in the same order."""
        found = OrderedIds()
        found._places = [place for place in self._places if is_wanted(place[2])]
        found._place_of = {place[2]: place for place in found._places}
        return found

    def remove(self, identifier: str) -> None:
        """Remove an id, if it is there."""
        if place := self._place_of.pop(identifier, None):
            del self._places[bisect_left(self._places, place)]

    def page(self, after: str | None, limit: int, *, oldest_first: bool = False) -> tuple[list[str], bool]:
        """Return the ids that follow *after*, newest first, and whether more follow them.

        Raises:
            UnknownCursorError: *after* is not among the ids.
        """
        step = 1 if oldest_first else -1
        first = 0 if oldest_first else len(self._places) - 1
        if after is not None:
            if after not in self._place_of:
                raise UnknownCursorError(after)
            first = bisect_left(self._places, self._place_of[after]) + step
        indexes = range(first, len(self._places) if oldest_first else -1, step)
        return [self._places[index][2] for index in indexes[:limit]], len(indexes) > limit

    def __iter__(self) -> Iterator[str]:
        return (identifier for _, _, identifier in self._places)

    def __len__(self) -> int:
        return len(self._places)


class IdIndex(Generic[K]):
    """Ids by key; the ids of a key are collected when they are first requested.

    Args:
        ids: all ids.
        keys_of: returns the keys of an id that was added and not removed.
    """

    def __init__(self, ids: OrderedIds, keys_of: Callable[[str], Collection[K]]) -> None:
        self._ids, self._keys_of = ids, keys_of
        self._counts: dict[K, int] = {}
        self._collected: dict[K, OrderedIds] = {}

    def add(self, identifier: str) -> None:
        """Add an id that is already among all ids."""
        for key in self._keys_of(identifier):
            self._counts[key] = self._counts.get(key, 0) + 1
            if key in self._collected:
                self._collected[key].add_from(self._ids, identifier)

    def remove(self, identifier: str) -> None:
        """Remove an id that was added."""
        for key in self._keys_of(identifier):
            self._counts[key] -= 1
            if key in self._collected:
                self._collected[key].remove(identifier)
            if not self._counts[key]:
                del self._counts[key]
                self._collected.pop(key, None)

    def ids(self, key: K) -> OrderedIds:
        """Return the ids of a key."""
        if key not in self._counts:
            return OrderedIds()
        if key not in self._collected:
            self._collected[key] = self._ids.where(lambda identifier: key in self._keys_of(identifier))
        return self._collected[key]

    def count(self, key: K) -> int:
        """Return the number of ids of a key, without collecting them."""
        return self._counts.get(key, 0)


class FileShelf:
    """The files of an account in the order of lists: uploads, and result files of jobs.

    A result file gets its id on first use: many jobs may end at once, and few of their result files are read.

    Args:
        files: the uploads.
        result_of: returns of a job, by its number, when its result file is created, the file's id, and the job's.
    """

    def __init__(self, files: Mapping[str, StoredFile], result_of: Callable[[int], tuple[float, str, str]]) -> None:
        self._files, self._result_of = files, result_of
        self._ids = OrderedIds()
        self._by_purpose = IdIndex(self._ids, partial(_purpose, files))
        self._results: dict[str, str] = {}
        """The result files that have their ids: file id → job id."""
        self._unnamed, self._arrivals = array("I"), array("Q")
        """The jobs of the other result files, oldest first, and the arrivals of these files."""
        self.shown: dict[str, int] = {}
        """Result files that jobs were last shown with, and the jobs' numbers: they are found without the others."""
        self._gap: float | None = None
        self._removed_ahead: set[str] = set()
        """Ids that were removed before there was a file with them, as where a saved account is read."""

    def add(self, identifier: str, created_at: float) -> None:
        """Add an upload."""
        self._ids.add(identifier, created_at)
        self._by_purpose.add(identifier)

    def add_results(self, numbers: Sequence[int], gap: float | None) -> None:
        """Add the result files of jobs that are over, in the order of their ends.

        Args:
            numbers: the jobs.
            gap: how many seconds before each end the job was trained, after which its file is created; None if that
                differs, or if the jobs were given ids or times of their files.
        """
        is_earlier = self._unnamed and self._result_of(numbers[0])[0] < self._result_of(self._unnamed[-1])[0]
        if is_earlier or gap != self._gap:  # what has no ids must be in the order of lists
            self._name_results(len(self._unnamed))
        self._gap = gap
        self._unnamed.extend(numbers)
        self._arrivals.extend(self._ids.reserve(len(numbers)))
        if gap is None or self._removed_ahead:
            self._name_results(len(self._unnamed))

    def remove(self, identifier: str) -> str | None:
        """Remove a file; return the id of the job whose result it was."""
        if identifier not in self._files and identifier not in self._results:
            self._name_results(len(self._unnamed))
        job = self._results.get(identifier)
        if self._ids.place(identifier) is None:
            self._removed_ahead.add(identifier)
            return None
        self._by_purpose.remove(identifier)
        self._ids.remove(identifier)
        return self._results.pop(identifier, None) and job

    def job_of(self, identifier: str) -> str | None:
        """Return the id of the job whose result a file is; None if it is an upload, or none."""
        if identifier not in self._files and identifier not in self._results:
            if job := self._shown_job(identifier):
                return job
            self._name_results(len(self._unnamed))
        return self._results.get(identifier)

    def _shown_job(self, identifier: str) -> str | None:
        number = self.shown.get(identifier)
        if number is None or number not in self._unnamed:
            return None
        _, found, job = self._result_of(number)
        return job if found == identifier else None

    def page(
        self, after: str | None, limit: int, purpose: str | None = None, *, oldest_first: bool = False
    ) -> tuple[list[str], bool]:
        """Return the ids that follow *after*, newest first, and whether more follow them.

        Raises:
            UnknownCursorError: *after* is not among the ids.
        """
        if purpose in (None, RESULTS):
            self._name_page(after, limit, oldest_first)
        ids = self._ids if purpose is None else self._by_purpose.ids(purpose)
        return ids.page(after, limit, oldest_first=oldest_first)

    def _name_page(self, after: str | None, limit: int, oldest_first: bool) -> None:
        """Give ids to the result files that a page may show, and to one more; if the oldest come first, to all."""
        cursor = None if after is None else self._ids.place(after)
        if oldest_first or (after is not None and cursor is None):
            self._name_results(len(self._unnamed))
        lacking = limit + 1
        while self._unnamed and lacking > 0:
            named = self._name_results(lacking)
            lacking -= sum(cursor is None or place < cursor for place in named)

    def _name_results(self, at_most: int) -> list[Place]:
        """Give ids to the newest result files without one, *at_most* of them; return their places."""
        start = max(len(self._unnamed) - at_most, 0)
        places = []
        for number, arrival in zip(self._unnamed[start:], self._arrivals[start:], strict=True):
            created_at, identifier, job = self._result_of(number)
            if identifier not in self._removed_ahead:
                self._results[identifier] = job
                places.append((created_at, arrival, identifier))
        del self._unnamed[start:], self._arrivals[start:]
        self._ids.add_reserved(places)
        for _, _, identifier in places:
            self._by_purpose.add(identifier)
        return places

    def __iter__(self) -> Iterator[str]:
        self._name_results(len(self._unnamed))
        return iter(self._ids)

    def results(self) -> list[str]:
        """Return the ids of all result files, oldest first."""
        return [identifier for identifier in self if identifier in self._results]

    def __len__(self) -> int:
        return len(self._ids) + len(self._unnamed)


def _purpose(files: Mapping[str, StoredFile], identifier: str) -> tuple[str]:
    return (files[identifier].purpose if identifier in files else RESULTS,)


class Timetable:
    """Job numbers sorted by time, then by number; an entry takes 12 bytes. Entries that were taken are removed."""

    __slots__ = ("_begun", "_numbers", "_times")

    def __init__(self) -> None:
        self._times, self._numbers = array("d"), array("I")
        self._begun = 0
        """How many were taken; they are dropped once they are half of all."""

    def add(self, at: float, number: int) -> None:
        """Add a job at a time in Unix seconds; constant time for the latest."""
        times, numbers = self._times, self._numbers
        if not times or at > times[-1] or (at == times[-1] and number > numbers[-1]):
            times.append(at)
            numbers.append(number)
            return
        place = self._place(at, number)
        times.insert(place, at)
        numbers.insert(place, number)

    def discard(self, at: float, number: int) -> bool:
        """Remove a job; return False if it is absent or was taken."""
        place = self._place(at, number)
        if place == len(self._times) or (self._times[place], self._numbers[place]) != (at, number):
            return False
        del self._times[place], self._numbers[place]
        return True

    def take(self, now: float) -> tuple[array[float], array[int]]:
        """Remove the entries due by *now*; return their times and numbers."""
        begun, end = self._begun, bisect_right(self._times, now, self._begun)
        taken = self._times[begun:end], self._numbers[begun:end]
        self._begun = end
        if 2 * end > len(self._times):
            del self._times[:end], self._numbers[:end]
            self._begun = 0
        return taken

    def first(self) -> tuple[float, int] | None:
        """Return the first time and number; None if the table is empty."""
        return (self._times[self._begun], self._numbers[self._begun]) if len(self) else None

    def last(self, otherwise: float) -> float:
        """Return the latest time; *otherwise* if the table is empty."""
        return self._times[-1] if len(self) else otherwise

    def last_finite(self, otherwise: float) -> float:
        """Return the latest finite time; *otherwise* if there is none."""
        end = bisect_left(self._times, inf, self._begun)
        return self._times[end - 1] if end > self._begun else otherwise

    def __len__(self) -> int:
        return len(self._times) - self._begun

    def _place(self, at: float, number: int) -> int:
        same = bisect_left(self._times, at, self._begun)
        return bisect_left(self._numbers, number, same, bisect_right(self._times, at, same))


FIRST_STATUS = "validating_files"


class StatusCounts:
    """Counts of jobs by status, kept by the times at which statuses change, without a look at each job."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changes: defaultdict[tuple[str, str], Timetable] = defaultdict(Timetable)
        """When which jobs change, by the statuses before and after."""

    def watch(self, timeline: Timeline, number: int) -> None:
        """Count a job that was created."""
        self._counts[FIRST_STATUS] += 1
        for at, change in _status_changes(timeline):
            self._changes[change].add(at, number)

    def follow(self, before: Timeline, after: Timeline, number: int) -> None:
        """Count a job by its changed timeline *after*; past changes are the same in both timelines."""
        happened = self._forget_changes(before, number)
        for at, change in islice(_status_changes(after), happened, None):
            self._changes[change].add(at, number)

    def forget(self, timeline: Timeline, number: int) -> None:
        """Remove a deleted job from the counts."""
        counted = self._forget_changes(timeline, number)
        self._counts[([FIRST_STATUS, *(after for _, (_, after) in _status_changes(timeline))])[counted]] -= 1

    def by_status(self, now: float) -> dict[str, int]:
        """Return the counts at *now*, without zeros."""
        for (before, after), table in list(self._changes.items()):
            changed = len(table.take(now)[0])
            self._counts[before] -= changed
            self._counts[after] += changed
        return {status: count for status in JOB_STATUSES if (count := self._counts[status])}

    def next_change(self, now: float) -> tuple[float, int, str] | None:
        """Return when which job, by its number, changes to which status next; None if none does."""
        self.by_status(now)
        ahead = ((first, after) for (_, after), table in self._changes.items() if (first := table.first()))
        (at, number), status = min(ahead, default=((inf, 0), ""))
        return (at, number, status) if status else None

    def _forget_changes(self, timeline: Timeline, number: int) -> int:
        """Remove the future changes of a job; return the number of its past ones."""
        return sum(not self._changes[change].discard(at, number) for at, change in _status_changes(timeline))


def _status_changes(timeline: Timeline) -> Iterator[tuple[float, tuple[str, str]]]:
    """Yield the time of each change of status, with the statuses before and after."""
    before = FIRST_STATUS
    for at, after in timeline.milestones:
        if after != before:
            yield at, (before, after)
        before = after


def merged(tables: Sequence[tuple[array[float], array[int]]]) -> Sequence[int]:
    """Return the job numbers taken from several tables, by time, then by number."""
    if len(tables) == 1:
        return tables[0][1]
    return [number for _, number in sorted(entry for table in tables for entry in zip(*table, strict=True))]
