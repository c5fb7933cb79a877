"""How long a client has waited from one call to the next, as far as that can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..calls import Call

HOT_REAL_S, HOT_VIRTUAL_S = 0.05, 1.0
"""A pause shorter than both is none: nobody sleeps so little on purpose, whatever the pace."""


def paused_for(first: Call, second: Call) -> float | None:
    """The seconds between two calls, real or virtual, whichever are more; None where nobody can tell.

    Virtual ones are those that a test lets pass by hand, that our client sleeps under the fixture, or that pass by
    themselves at a numeric pace. Nobody can tell where a test has replaced this process's sleeps, or has stopped its
    clock: two calls in the very same instant there are not.
    """
    real_s = second.waits.real_s - first.waits.real_s
    if first.waits.hidden or second.waits.hidden or real_s <= 0:
        return None
    return max(real_s, _virtual(first, second))


def is_hot(first: Call, second: Call) -> bool:
    """Whether there certainly was no pause between two calls."""
    known = paused_for(first, second) is not None
    real_s = second.waits.real_s - first.waits.real_s
    return known and real_s < HOT_REAL_S and _virtual(first, second) < HOT_VIRTUAL_S


def _virtual(first: Call, second: Call) -> float:
    return max(second.begun_at - first.at, second.waits.slept_s - first.waits.slept_s)


def runs(calls: Iterable[Call], joined: Callable[[Call, Call], bool]) -> list[Sequence[Call]]:
    """*calls* in the longest pieces in which each is joined to the one before."""
    pieces: list[list[Call]] = []
    for call in calls:
        if pieces and joined(pieces[-1][-1], call):
            pieces[-1].append(call)
        else:
            pieces.append([call])
    return list(pieces)
