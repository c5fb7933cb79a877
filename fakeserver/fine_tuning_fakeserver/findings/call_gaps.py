"""How long a client has waited from one call to the next, as far as that can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from statistics import median

from ..account.recorded_calls import Call

PAUSE_REAL_S, PAUSE_VIRTUAL_S = 0.05, 1.0
"""A pause that is as long as either is one, whatever the pace."""

IDLE_S = 0.008
"""A process that does nothing for so long, again and again, sleeps: tests set poll intervals of 10 ms."""


def paused_for(first: Call, second: Call) -> float | None:
    """The seconds between two calls, real or virtual, whichever are more; None where nobody can tell.

    Virtual ones are those that a test lets pass by hand, that our client sleeps under the fixture, or that pass by
    themselves at a numeric pace. Nobody can tell where a test has replaced this process's sleeps, or has stopped its
    clock: two calls in the very same instant there are not.
    """
    real_s = second.waits.real_s - first.waits.real_s
    if first.waits.hidden or second.waits.hidden or real_s <= 0:
        return None
    return max(real_s, virtual_s(first, second))


def virtual_s(first: Call, second: Call) -> float:
    """Virtual seconds from the answer to one call until the next one came."""
    return max(second.begun_at - first.at, second.waits.slept_s - first.waits.slept_s)


def has_paused(first: Call, second: Call) -> bool:
    """Whether there certainly was a pause between two calls."""
    known = paused_for(first, second) is not None
    real_s = second.waits.real_s - first.waits.real_s
    return virtual_s(first, second) >= PAUSE_VIRTUAL_S or (known and real_s >= PAUSE_REAL_S)


def may_be_hot(first: Call, second: Call) -> bool:
    """Whether one caller made no pause between two calls, unless it was a short one."""
    known = paused_for(first, second) is not None
    return known and first.caller == second.caller and not has_paused(first, second)


def is_busy(run: Sequence[Call]) -> bool:
    """Whether there were no short pauses either: the process mostly worked. A machine that falters now and then may."""
    idle = ((two.real_s - one.real_s) - (two.busy_s - one.busy_s) for one, two in pairwise(call.waits for call in run))
    return median(idle) < IDLE_S


def runs(calls: Iterable[Call], joined: Callable[[Call, Call], bool]) -> list[Sequence[Call]]:
    """*calls* in the longest pieces in which each is joined to the one before."""
    pieces: list[list[Call]] = []
    for call in calls:
        if pieces and joined(pieces[-1][-1], call):
            pieces[-1].append(call)
        else:
            pieces.append([call])
    return list(pieces)
