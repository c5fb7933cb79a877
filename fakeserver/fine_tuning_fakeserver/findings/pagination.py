"""Rules about lists that come in pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from ..account.recorded_calls import Call
from .finding import FinalState, Finding
from .observed_jobs import json_of_answer
from .similar_calls import grouped

FOLLOWED = 3
"""So many first pages of a job's events make one who follows them."""
LEAP_S = 1.0
"""An answer that takes so much virtual time has moved it: the fake's doing, at the pace "polls" for one."""

_KINDS = {
    "list_jobs": "job",
    "list_job_events": "event",
    "list_job_checkpoints": "checkpoint",
    "list_files": "file",
    "list_permissions": "permission",
}
_PREFIXES = {
    "ftjob-": "job",
    "ftevent-": "event",
    "ftckpt_": "checkpoint",
    "ftchkpt-": "checkpoint",
    "file-": "file",
    "cp_": "permission",
    "ft:": "model",
}
_TIME = re.compile(r"\d{1,19}(\.\d+)?(e\+?\d+)?|\d{4}-\d\d-\d\d([T ].*)?", re.IGNORECASE)


def ignored_has_more(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A list was asked for without a limit, said has_more, and its further pages were never fetched.

    Of jobs, files, checkpoints and permissions one such page is enough, if the same list (by the same filter) was
    never asked for with ``after`` or ``limit`` later, nor answered whole, and what its client did next was not about
    one single item of it: then it has found what it sought, and left off. Of events, whose newest are often all that
    is wanted, it takes three first pages, one of which has no event of the page before and was not followed by its
    further pages: what happened between the two was never seen. A gap that the fake makes itself, where the answer to
    a look moves time, is nobody's fault.

    Who asks with a limit has said how much is wanted: that is never reported, nor a walk that was left on a later
    page. It cannot see what a page was for: a display of the newest ones, or a loop of the official SDK that is left
    on the first page for no further request, looks the same; say a limit there.
    """
    last_named = _last_named(own)
    for same in grouped((call for call in own if call.operation in _KINDS and call.answered), _list_of).values():
        followed = max((call.number for call in same if _is_further(call) or not _has_more(call)), default=0)
        pages = [call for call in same if not _is_further(call)]
        left = [page for page in pages if page.number > followed]
        if same[0].operation == "list_job_events":
            yield from _lost_events(own, [page for page in pages if json_of_answer(page)], followed)
        elif ignored := [
            page for page in left if sum(_is_used(item, page, last_named) for item in json_of_answer(page)) != 1
        ]:
            first = ignored[0]
            yield Finding(
                "ignored_has_more",
                f"{first.operation} was answered with {len(json_of_answer(first))} {_KINDS[first.operation or '']}s "
                f"and has_more, and the rest was never fetched",
                tuple(ignored),
                "go on with after=<the last id> while has_more is true, or say with limit how many are wanted",
            )


def _lost_events(own: Sequence[Call], pages: Sequence[Call], followed: int) -> Iterator[Finding]:
    leaps = [call.number for call in own if call.at - call.begun_at >= LEAP_S]
    gaps = [
        page
        for before, page in pairwise(pages)
        if _has_more(page) and page.number > followed and not _items(before) & _items(page)
        if not any(before.number < leap <= page.number for leap in leaps)
    ]
    if len(pages) >= FOLLOWED and gaps:
        yield Finding(
            "ignored_has_more",
            f"events of job {pages[0].job_id} were followed by their newest page alone, and some were never seen",
            tuple(gaps),
            "go on with after=<the last id> until an event that is known, or say with limit how many are wanted",
        )


def _list_of(call: Call) -> str:
    """Which list it is that a page is of: its path and its filters."""
    filters = {name: value for name, value in call.options.items() if name not in ("after", "limit")}
    return f"{call.path} {filters}"


def _is_further(call: Call) -> bool:
    """Whether somebody goes on, or has said how much is wanted."""
    return bool({"after", "limit"} & call.options.keys())


def _has_more(call: Call) -> bool:
    return isinstance(call.answer, dict) and call.answer.get("has_more") is True


def _items(call: Call) -> frozenset[str]:
    return frozenset(str(item.get("id")) for item in json_of_answer(call) if isinstance(item, dict))


def _last_named(own: Sequence[Call]) -> dict[str, int]:
    """By what requests name, in path, query or body, the number of the last that did."""
    names = (((*call.ids.values(), *call.options.values()), call.number) for call in own)
    return {name: number for values, number in names for name in values if isinstance(name, str)}


def _is_used(item: Any, page: Call, last_named: dict[str, int]) -> bool:
    """Whether an item of a page, or the model that it has made, was named afterwards."""
    names = [item.get("id"), item.get("fine_tuned_model")] if isinstance(item, dict) else []
    return any(last_named.get(name, 0) > page.number for name in names if isinstance(name, str))


def cursor_by_time(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A list was asked for ``after`` a number, a date, or the id of another kind of thing, and refused.

    It cannot see where the value comes from: an id of the right kind that was made up, or that is of another job, is
    refused by the fake and not reported here.
    """
    refused = (call for call in own if call.operation in _KINDS and call.status == 400)
    for (operation, mistaken), calls in grouped(refused, _cursor).items():
        if mistaken:
            yield Finding(
                "cursor_by_time",
                f"{operation} was asked for what is after {calls[0].options['after']!r}, {mistaken}",
                tuple(calls),
                f"after wants the id of the last {_KINDS[operation]} of the page before",
            )


def _cursor(call: Call) -> tuple[str, str | None]:
    """The operation, and what is wrong with its cursor, in words; None for nothing."""
    after, operation = call.options.get("after"), call.operation or ""
    return operation, _mistaken(after, _KINDS[operation]) if isinstance(after, str) else None


def _mistaken(after: str, kind: str) -> str | None:
    if _TIME.fullmatch(after):
        return "which is a number or a date"
    other = next((named for prefix, named in _PREFIXES.items() if after.startswith(prefix)), kind)
    return f"which is the id of a {other}" if other != kind else None
