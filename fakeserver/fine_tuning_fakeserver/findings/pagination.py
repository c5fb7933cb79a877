"""Rules about lists that come in pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..account.recorded_calls import Call
from ..web.operations import OPERATIONS
from .observed_calls import group_calls, listed_items
from .rules import FinalState, Finding, rule

FOLLOWED = 3
"""So many first pages of a job's events make one who follows them."""
NEWEST = 1
"""A limit that asks for the newest item alone."""
FEW_EVENTS = 20
"""The default size of a page of events. A limit up to it asks for the newest events, a greater one for all."""
LEAP_S = 1.0
"""An answer that takes so much virtual time has moved it: the fake's doing, at the pace "polls" for one."""

_KINDS = {each.name: each.lists.noun for each in OPERATIONS if each.lists and "after" in each.query}
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


@rule("a list said has_more, and its further pages were never requested")
def ignored_has_more(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A list had ``has_more``, and its further pages were never fetched.

    Of jobs, files, checkpoints and permissions one such page is enough, whatever its limit, if the same list (by the
    same filter) was never requested with ``after`` later, nor answered whole, and what its client did next was not
    about one single item of it: then it has found what it sought, and left off. Of events, whose newest are often all
    that is wanted, it takes a page by a limit of more than 20, the default; or three first pages without a limit, one
    of which has no event of the page before and was not followed by its further pages: what happened between the two
    was never seen. A gap that the fake itself makes, since a poll moves time, is not a flaw of the code.

    A limit of 1 asks for the newest, and one of up to 20 for the newest events: they are never reported, nor is a walk
    that was left on a later page. It cannot see what a page was for: a display of the newest few, or a loop of the
    official SDK that is left on the first page for no further request, looks the same.
    """
    last_named = {
        name: call.number
        for call in calls
        for name in (*call.ids.values(), *call.options.values())
        if isinstance(name, str)
    }
    lists = (call for call in calls if call.operation in _KINDS and call.answered)
    for same in group_calls(lists, _list_and_filters).values():
        followed = max((call.number for call in same if _is_further(call) or not _has_more(call)), default=0)
        first_pages = [call for call in same if not _is_further(call) and _limit(call) != NEWEST]
        if same[0].operation == "list_job_events":
            pages = [page for page in first_pages if listed_items(page) and not 1 <= _limit(page) <= FEW_EVENTS]
            yield from _lost_events(calls, pages, followed)
            continue
        unfollowed = [page for page in first_pages if page.number > followed]
        if ignored := [page for page in unfollowed if _used_items(page, last_named) != 1]:
            first = ignored[0]
            yield Finding(
                "ignored_has_more",
                f"{first.operation} was answered with {len(listed_items(first))} {_KINDS[first.operation or '']}s "
                f"and has_more, and the rest was never fetched",
                tuple(ignored),
                "go on with after=<the last id> while has_more is true; limit=1 is for the newest alone",
            )


def _lost_events(calls: Sequence[Call], pages: Sequence[Call], followed: int) -> Iterator[Finding]:
    limit = _limit(pages[0]) if pages else 0
    if limit > FEW_EVENTS and _has_more(pages[0]) and pages[0].number > followed:
        yield Finding(
            "ignored_has_more",
            f"events of job {pages[0].job_id} were requested by the {limit}, and the rest was never fetched",
            (pages[0],),
            "go on with after=<the last id> while has_more is true; a limit is of a page, not of the list",
        )
        return
    leaps = [call.number for call in calls if call.at - call.begun_at >= LEAP_S]
    gaps = [
        page
        for before, page in pairwise(pages)
        if _has_more(page) and page.number > followed and not _ids(before) & _ids(page)
        if not any(before.number < leap <= page.number for leap in leaps)
    ]
    if len(pages) >= FOLLOWED and gaps:
        yield Finding(
            "ignored_has_more",
            f"events of job {pages[0].job_id} were followed by their newest page alone, and some were never seen",
            tuple(gaps),
            "go on with after=<the last id> until an event that is known",
        )


def _list_and_filters(call: Call) -> str:
    filters = {name: value for name, value in call.options.items() if name not in ("after", "limit")}
    return f"{call.path} {filters}"


def _is_further(call: Call) -> bool:
    return "after" in call.options


def _limit(call: Call) -> int:
    """Return the limit that was sent; 0 for none."""
    limit = call.options.get("limit", 0)
    return limit if isinstance(limit, int) else 0


def _has_more(call: Call) -> bool:
    return isinstance(call.answer, dict) and call.answer.get("has_more") is True


def _ids(page: Call) -> frozenset[str]:
    return frozenset(str(item.get("id")) for item in listed_items(page) if isinstance(item, dict))


def _used_items(page: Call, last_named: dict[str, int]) -> int:
    """Return how many items of a page were named afterwards, or had their model named."""
    items = [item for item in listed_items(page) if isinstance(item, dict)]
    names = ([item.get("id"), item.get("fine_tuned_model")] for item in items)
    return sum(any(isinstance(name, str) and last_named.get(name, 0) > page.number for name in each) for each in names)


@rule("a page was requested after a time, or after the id of another kind of object")
def cursor_by_time(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A list was requested ``after`` a number, a date, or the id of another kind of thing, and refused.

    It cannot see where the value comes from: an id of the right kind that was made up, or that is of another job, is
    refused by the fake and not reported here.
    """
    refused = [call for call in calls if call.operation in _KINDS and call.status == 400]
    for (operation, mistake), same in group_calls(refused, lambda call: (call.operation, _mistake(call))).items():
        if mistake:
            yield Finding(
                "cursor_by_time",
                f"{operation} was asked for what is after {same[0].options['after']!r}, {mistake}",
                tuple(same),
                f"after wants the id of the last {_KINDS[operation or '']} of the page before",
            )


def _mistake(call: Call) -> str | None:
    """Return what is wrong with the cursor, in words; None for nothing."""
    after, kind = call.options.get("after"), _KINDS[call.operation or ""]
    if not isinstance(after, str):
        return None
    if _TIME.fullmatch(after):
        return "which is a number or a date"
    other = next((named for prefix, named in _PREFIXES.items() if after.startswith(prefix)), kind)
    return f"which is the id of a {other}" if other != kind else None
