"""Rules about lists that come in pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..calls import Call
from .finding import Facts, Finding

FOLLOWED = 3
"""So many first pages of a job's events make one who follows them."""

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
_TIME = re.compile(r"\d{1,19}(\.\d+)?|\d{4}-\d\d-\d\d([T ].*)?")


def ignored_has_more(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A list was asked for without a limit, said has_more, and its further pages were never fetched.

    Of jobs, files, checkpoints and permissions one such page is enough, if the same list was never asked for with
    ``after`` or ``limit`` later, nor answered whole. Of events, whose newest are often all that is wanted, it takes
    three first pages, one of which has no event of the page before and was not followed by its further pages: what
    happened between the two was never seen.

    Who asks with a limit has said how much is wanted: that is never reported, nor a walk that was left on a later
    page. It cannot see what a page was for: a display of the newest ones, or a loop of the official SDK that is left
    on the first page, looks the same; say a limit there.
    """
    for call in _unbounded(calls):
        if call.operation != "list_job_events" and _has_more(call) and not _went_on(calls, call):
            yield Finding(
                "ignored_has_more",
                f"{call.operation} was answered with {len(_items(call))} {_KINDS[call.operation or '']}s "
                f"and has_more, and the rest was never fetched",
                (call.number,),
                "go on with after=<the last id> while has_more is true, or say with limit how many are wanted",
            )
    yield from _lost_events(calls)


def _lost_events(calls: Sequence[Call]) -> Iterator[Finding]:
    by_job: dict[str | None, list[Call]] = {}
    for call in _unbounded(calls):
        if call.operation == "list_job_events" and _items(call):
            by_job.setdefault(call.job_id, []).append(call)
    for job, pages in by_job.items():
        gaps = [page for before, page in pairwise(pages) if _is_gap(calls, before, page)]
        if len(pages) >= FOLLOWED and gaps:
            yield Finding(
                "ignored_has_more",
                f"events of job {job} were followed by their newest page alone, and some were never seen",
                tuple(page.number for page in gaps),
                "go on with after=<the last id> until an event that is known, or say with limit how many are wanted",
            )


def _is_gap(calls: Sequence[Call], before: Call, page: Call) -> bool:
    return _has_more(page) and not _items(before) & _items(page) and not _went_on(calls, page)


def _unbounded(calls: Sequence[Call]) -> Iterator[Call]:
    """The first pages that were asked for without a limit."""
    for call in calls:
        if call.operation in _KINDS and call.answered and not {"after", "limit"} & call.options.keys():
            yield call


def _went_on(calls: Sequence[Call], page: Call) -> bool:
    """Whether the rest of *page* was asked for later, in whatever way, or there was none any more."""
    later = [call for call in calls if call.number > page.number and _same_list(call, page)]
    return any({"after", "limit"} & call.options.keys() or not _has_more(call) for call in later)


def _same_list(one: Call, other: Call) -> bool:
    return (one.operation, one.ids) == (other.operation, other.ids)


def _has_more(call: Call) -> bool:
    return isinstance(call.answer, dict) and call.answer.get("has_more") is True


def _items(call: Call) -> frozenset[str]:
    data = call.answer.get("data") if isinstance(call.answer, dict) else None
    return frozenset(str(each.get("id")) for each in data or ())


def cursor_by_time(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A list was asked for ``after`` a number, a date, or the id of another kind of thing, and refused.

    It cannot see where the value comes from: an id of the right kind that was made up, or that is of another job, is
    refused by the fake and not reported here.
    """
    for call in calls:
        after = call.options.get("after")
        if call.operation not in _KINDS or call.status != 400 or not isinstance(after, str):
            continue
        if mistaken := _mistaken(after, _KINDS[call.operation]):
            yield Finding(
                "cursor_by_time",
                f"{call.operation} was asked for what is after {after!r}, {mistaken}",
                (call.number,),
                f"after wants the id of the last {_KINDS[call.operation]} of the page before",
            )


def _mistaken(after: str, kind: str) -> str | None:
    if _TIME.fullmatch(after):
        return "which is a number or a date"
    other = next((named for prefix, named in _PREFIXES.items() if after.startswith(prefix)), kind)
    return f"which is the id of a {other}" if other != kind else None
