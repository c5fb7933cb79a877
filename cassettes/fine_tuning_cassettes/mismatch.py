"""How a request differs from what was recorded, told to a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from .request_matching import RequestKey, canonical

SHOWN = 5
WIDTH = 160
MISSING: Any = object()
METHOD_COSTS, SEGMENT_COSTS = 20, 10
"""A request to another path is farther away than one with another body."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two requests differ, what was recorded there, and what has been asked."""

    where: str
    recorded: str
    asked: str
    cost: int = 1

    def __str__(self) -> str:
        return f"{self.where}: recorded {self.recorded}, asked {self.asked}"


def differences(recorded: RequestKey, asked: RequestKey) -> list[Difference]:
    """All differences; none where the requests match."""
    return [
        *_method_and_path(recorded, asked),
        *_queries(recorded.query, asked.query),
        *_bodies(recorded.body, asked.body),
    ]


def nearest(meanings: Sequence[RequestKey], asked: RequestKey) -> tuple[int, list[Difference]] | None:
    """Which recorded request is nearest to that asked, and where they differ; the first of several."""
    found = [(index, differences(each, asked)) for index, each in enumerate(meanings)]
    return min(found, key=lambda each: sum(difference.cost for difference in each[1]), default=None)


def render_difference(found: Sequence[Difference]) -> list[str]:
    """A line for each of the first differences, and how many more there are."""
    lines = [str(each) for each in found[:SHOWN]]
    more = len(found) - SHOWN
    return [*lines, f"and {more} more"] if more > 0 else lines


def _method_and_path(recorded: RequestKey, asked: RequestKey) -> Iterator[Difference]:
    if recorded.method != asked.method:
        yield Difference("method", recorded.method, asked.method, METHOD_COSTS)
    if recorded.path != asked.path:
        pairs = zip_longest(recorded.path.split("/"), asked.path.split("/"))
        cost = SEGMENT_COSTS * sum(one != other for one, other in pairs)
        yield Difference("path", f"/{recorded.path}", f"/{asked.path}", cost)


def _queries(recorded: dict[str, list[str]], asked: dict[str, list[str]]) -> Iterator[Difference]:
    for name in sorted({*recorded, *asked}):
        one, other = recorded.get(name, MISSING), asked.get(name, MISSING)
        if one != other:
            yield Difference(f"query {name!r}", _queried(one), _queried(other))


def _queried(values: Any) -> str:
    return "nothing" if values is MISSING else " and ".join(map(repr, values))


def _bodies(recorded: dict[str, Any], asked: dict[str, Any]) -> Iterator[Difference]:
    kinds = [next(iter(each), "no body") for each in (recorded, asked)]
    if kinds[0] != kinds[1]:
        yield Difference("body", kinds[0], kinds[1], SEGMENT_COSTS)
    elif kinds[0] == "form":
        yield from _forms(recorded["form"], asked["form"])
    elif recorded:
        yield from _values(recorded[kinds[0]], asked[kinds[0]], "")


def _values(recorded: Any, asked: Any, pointer: str) -> Iterator[Difference]:
    """By JSON pointer (RFC 6901)."""
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for name in sorted({*recorded, *asked}):
            step = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from _values(recorded.get(name, MISSING), asked.get(name, MISSING), step)
    elif isinstance(recorded, list) and isinstance(asked, list):
        for index, (one, other) in enumerate(zip_longest(recorded, asked, fillvalue=MISSING)):
            yield from _values(one, other, f"{pointer}/{index}")
    elif _said(recorded) != _said(asked):
        yield Difference(f"body {pointer or '(whole)'}", _said(recorded), _said(asked))


def _forms(recorded: list[dict[str, Any]], asked: list[dict[str, Any]]) -> Iterator[Difference]:
    for name in sorted({part["name"] for part in (*recorded, *asked)}):
        ours, theirs = ([part for part in parts if part["name"] == name] for parts in (recorded, asked))
        for one, other in zip_longest(ours, theirs):
            if one and other:
                yield from _parts(one, other)
            else:
                yield Difference(_part_named(name), "a part" if one else "nothing", "a part" if other else "nothing")


def _part_named(name: str) -> str:
    return f"part {name!r}" if name else "body"


def _parts(recorded: dict[str, Any], asked: dict[str, Any]) -> Iterator[Difference]:
    where = _part_named(recorded["name"])
    if recorded["filename"] != asked["filename"]:
        yield Difference(f"{where}, file name", repr(recorded["filename"]), repr(asked["filename"]))
    if "rows" in recorded and "rows" in asked:
        for number, (one, other) in enumerate(zip_longest(recorded["rows"], asked["rows"], fillvalue=MISSING), 1):
            if one != other:
                yield Difference(f"{where}, row {number}", _said(one), _said(other))
    else:
        yield from _contents(where, recorded, asked)


def _contents(where: str, recorded: dict[str, Any], asked: dict[str, Any]) -> Iterator[Difference]:
    one, other = ([each.get(kind) for kind in ("text", "content", "rows")] for each in (recorded, asked))
    if one != other:
        yield Difference(where, _said(next(filter(None, one), "")), _said(next(filter(None, other), "")))


def _said(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    text = value if isinstance(value, str) and value.startswith("sha256:") else canonical(value)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"
