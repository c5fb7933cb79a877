"""Ids in the order of lists, and those of some of them: pages and cursors cost the same however many there are."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)

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

    def add_from(self, others: OrderedIds, identifier: str) -> None:
        """Add an id at its place among *others*."""
        self._put(others._place_of[identifier])

    def _put(self, place: Place) -> None:
        self._place_of[place[2]] = place
        insort(self._places, place)

    def where(self, is_wanted: Callable[[str], bool]) -> OrderedIds:
        """Return those that are wanted, in the same order."""
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
    """Ids by what is true of each; they are collected by a key when somebody asks for it.

    Args:
        ids: all ids.
        keys_of: returns the keys of an id that was added and not removed.
    """

    def __init__(self, ids: OrderedIds, keys_of: Callable[[str], Collection[K]]) -> None:
        self._ids, self._keys_of = ids, keys_of
        self._counts: dict[K, int] = {}
        self._collected: dict[K, OrderedIds] = {}

    def add(self, identifier: str) -> None:
        """Add an id that all ids have got."""
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
        """Return how many ids a key has; they are not collected for that."""
        return self._counts.get(key, 0)
