"""Rules about loops that look at a job until it is over, and the pauses between two calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from ..account.recorded_calls import Call
from .observed_calls import OWN_CLIENT, TERMINAL, UNDER_WAY, group_calls, observed_jobs, retrieved_jobs
from .rules import FinalState, Finding, rule

PAUSE_S = 1.0
"""Virtual or real seconds that certainly are a pause; no busy machine stalls for so long."""
SHORT_PAUSE_S = 0.008
"""Real seconds that may be a pause: tests set poll intervals of 10 ms."""
HOT_LOOKS = 20
HOT_LOOKS_AT_POLLS = 100
"""At the pace "polls", where tests leave real sleeps out: more looks than such a test takes at a paused job."""
ROUNDS_TOO_MANY = 5
APART_S = 600
"""Looks that are so many virtual seconds apart are no loop: somebody opens a page now and then."""
TICK_S = 60
"""Looks that are so many virtual seconds apart may be those of a scheduler, which ends after each."""

_READING = frozenset({"retrieve_job", "list_jobs", "list_job_events", "list_job_checkpoints"})


def virtual_gap(first: Call, second: Call) -> float:
    """Return the virtual seconds from an answer to the next call: passed, or slept through the fake."""
    return max(second.begun_at - first.at, second.timing.slept_s - first.timing.slept_s)


def real_gap(first: Call, second: Call) -> float | None:
    """Return the real seconds between two answers; None if unknown, as where a test has stopped the clock."""
    gap_s = second.timing.real_s - first.timing.real_s
    return gap_s if gap_s > 0 else None  # NaN, of a call without an answer, is not


def seconds_between(first: Call, second: Call) -> float:
    """Return the seconds between two calls, virtual or real, whichever are more."""
    return max(virtual_gap(first, second), real_gap(first, second) or 0.0)


def is_hot(first: Call, second: Call) -> bool:
    """Whether one caller certainly made no pause between two calls; a slow machine looks like a pause."""
    real_s = real_gap(first, second)
    is_short = real_s is not None and real_s < SHORT_PAUSE_S
    return is_short and first.caller == second.caller and virtual_gap(first, second) < PAUSE_S


def runs(calls: Iterable[Call], are_joined: Callable[[Call, Call], bool]) -> list[Sequence[Call]]:
    """Split *calls* into the longest runs in which each call is joined to the one before."""
    pieces: list[list[Call]] = []
    for call in calls:
        if pieces and are_joined(pieces[-1][-1], call):
            pieces[-1].append(call)
        else:
            pieces.append([call])
    return list(pieces)


@rule("an unfinished job was polled over and over without a pause")
def polled_without_pause(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """An unfinished job was looked at 20 times in a row by one caller, without a pause.

    A look is to retrieve the job, or to list its events, its checkpoints, or jobs of which one is not over: the same
    request each time, whatever is requested in between. A caller is a connection; in process, a thread and its
    asyncio task.

    A pause is 1 s of virtual time, or 8 ms of real time, from one answer to the next. Virtual time is what a test
    advances, what passes at a numeric pace, and what is slept through the fake: by our client under the fixture, by
    `FakeFineTuning.sleep`, `async_sleep` and `time_module`. A busy machine only makes pauses longer. Where a test has
    stopped the real clock there is no finding.

    At the pace "polls" looks are counted instead, and real time counts for nothing: 100 looks in a row between which
    virtual time stood still. A loop never gets there, as looks move time to the job's next milestone and end it after
    a few, unless the job is paused.

    It cannot see a sleep that a test has replaced by another than the fake's.
    """
    reported: set[str | None] = set()
    waiting = (call for call in calls if call.operation in _READING and _shows_unfinished(call, final_state))
    for looks in group_calls(waiting, lambda call: (call.sent, call.caller)).values():
        operation, job_id = looks[0].operation, looks[0].job_id
        for run in runs(looks, _are_without_pause):
            at_polls = any(call.timing.pace == "polls" for call in run)
            if len(run) < (HOT_LOOKS_AT_POLLS if at_polls else HOT_LOOKS) or job_id in reported:
                continue
            reported.add(job_id)
            looked = f"{operation}{f' of job {job_id}' if job_id else ''} was asked for"
            if operation == "retrieve_job":
                looked = f"job {job_id} was retrieved"
            yield Finding(
                "polled_without_pause",
                f"{looked} {len(run)} times in a row without a pause",
                tuple(run),
                "sleep between two looks, seconds at first and up to a minute later: jobs take minutes to hours "
                "(a test that replaces the sleep puts fake.sleep in its place)",
            )


def _are_without_pause(first: Call, second: Call) -> bool:
    if not first.timing.pace == second.timing.pace == "polls":
        return is_hot(first, second)
    return second.at == first.at and virtual_gap(first, second) < PAUSE_S


def _shows_unfinished(call: Call, final_state: FinalState) -> bool:
    """Whether a job that the call looks at was not over."""
    if call.operation in ("retrieve_job", "list_jobs"):
        return any(job.status not in TERMINAL for job in observed_jobs([call]))
    return call.answered and call.at < final_state.over.get(call.job_id or "", call.at + 1)


@rule("a job was polled on after a final status had been answered")
def no_terminal_check(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A job whose end had been answered was retrieved on and on.

    On and on is in more than 5 rounds, which have a pause between them (1 s of virtual or real time), but none of ten
    minutes; or more than 20 times, whatever the pauses. All that this client did meanwhile was to look: at this job,
    or at others that were over as well. A loop over several jobs that retrieves all of them until the last is over is
    wasteful, not wrong.

    It cannot see who polls: a test that does all this on purpose is taken for a loop that does not know the status.
    """
    late_runs = runs(
        calls, lambda first, second: _is_late(first) and _is_late(second) and virtual_gap(first, second) < APART_S
    )
    for run in late_runs:
        for job_id, seen in retrieved_jobs(run).items():
            rounds = 1 + sum(seconds_between(first.call, second.call) >= PAUSE_S for first, second in pairwise(seen))
            if rounds > ROUNDS_TOO_MANY or len(seen) > HOT_LOOKS:
                yield Finding(
                    "no_terminal_check",
                    f"job {job_id} {seen[0].ended}, and was retrieved {len(seen) - 1} times more",
                    tuple(job.call for job in seen),
                    f"stop at every status that is final: {', '.join(sorted(TERMINAL))}",
                )


def _is_late(call: Call) -> bool:
    """Whether the call only looks, and at no job that is still under way."""
    under_way = call.operation == "retrieve_job" and any(job.status not in TERMINAL for job in observed_jobs([call]))
    return call.operation in _READING and not under_way


@rule("a poller stopped for good at a status such as paused, while the job was not over")
def unknown_status_crashed(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A client that was polling fell silent for good at the first status beyond the usual ones.

    Precisely: a job was retrieved twice or more in usual statuses (validating_files, queued, running, Azure's
    pending), less than a virtual minute apart; then came one that is neither usual nor final, such as ``paused``, for
    the first time; after that the client (by its User-Agent) requested nothing more but about other jobs; and the job
    is not over. Whoever paused the job has seen the status in the answer to that, and this project's own client knows
    it: they are not reported.

    It cannot see a crash as such: a program that stops at a pause on purpose, and sends nothing more, looks the
    same.
    """
    last_of_no_job = max((call.number for call in calls if call.job_id is None), default=0)
    last_by_job = {call.job_id: call.number for call in calls}
    for job_id, seen in retrieved_jobs(calls).items():
        *before, last = seen
        is_unusual = last.status not in UNDER_WAY | TERMINAL and not last.call.user_agent.startswith(OWN_CLIENT)
        is_silent = max(last_by_job.get(job_id, 0), last_of_no_job) == last.call.number
        if not is_unusual or not is_silent or len(before) < 2 or job_id in final_state.over:
            continue
        statuses = [job.status for job in observed_jobs(calls) if job.job_id == job_id]
        in_a_loop = all(virtual_gap(first.call, second.call) < TICK_S for first, second in pairwise(seen))
        if in_a_loop and all(status in UNDER_WAY for status in statuses[:-1]):
            yield Finding(
                "unknown_status_crashed",
                f"job {job_id} was polled until its status was {last.status!r}, and then nothing more came",
                (before[-1].call, last.call),
                f"your code has no branch for {last.status!r}: keep polling until a status that is final",
            )
