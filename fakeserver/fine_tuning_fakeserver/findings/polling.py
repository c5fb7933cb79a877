"""Rules about loops that look at a job until it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ..account.recorded_calls import Call
from .call_gaps import has_paused, is_busy, may_be_hot, runs, virtual_s
from .finding import FinalState, Finding
from .observed_jobs import OWN_CLIENT, TERMINAL, UNDER_WAY, observed_jobs, polls
from .similar_calls import grouped

HOT_LOOKS = 20
ROUNDS_TOO_MANY = 5
APART_S = 600
"""Looks that are so many virtual seconds apart are no loop: somebody opens a page now and then."""
TICK_S = 60
"""Looks that are so many virtual seconds apart may be those of a scheduler, which ends after each."""

_READING = frozenset({"retrieve_job", "list_jobs", "list_job_events", "list_job_checkpoints"})


def polled_without_pause(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """An unfinished job was looked at 20 times or more with no pause in between.

    A look is to retrieve it, or to list its events, its checkpoints, or jobs of which one is not over; the same look
    each time. No pause is less than 1 s of virtual and 50 ms of real time from one answer to the next, of which this
    process did nothing for less than 8 ms, as a rule; what was asked for in between does not matter.

    It cannot see a loop at the pace "polls", whose jobs are over after a few looks (unless they are paused), nor a
    sleep that a test has replaced: where `time.sleep` or `asyncio.sleep` are not the real ones it says nothing; where
    the code under test was given a sleep of its own that does nothing, ignore this code. Of looks that come by
    different connections, or in process from different threads or tasks, it says nothing: they may be several loops.
    """
    told: set[str | None] = set()
    waiting = (call for call in own if call.operation in _READING and _is_wait(call, facts))
    for same in grouped(waiting, lambda call: (call.sent, call.caller)).values():
        run = next((run for run in runs(same, may_be_hot) if len(run) >= HOT_LOOKS and is_busy(run)), None)
        if run and run[0].job_id not in told:
            told.add(run[0].job_id)
            yield Finding(
                "polled_without_pause",
                f"{_subject(run[0])} {len(run)} times in a row without a pause",
                tuple(run),
                "sleep between two looks, seconds at first and up to a minute later: jobs take minutes to hours",
            )


def _is_wait(call: Call, facts: FinalState) -> bool:
    """Whether something that the call looks at was not over."""
    if call.operation in ("retrieve_job", "list_jobs"):
        return any(sighting.status not in TERMINAL for sighting in observed_jobs([call]))
    return call.answered and call.at < facts.over.get(call.job_id or "", call.at + 1)


def _subject(call: Call) -> str:
    if call.operation == "retrieve_job":
        return f"job {call.job_id} was retrieved"
    return f"{call.operation}{f' of job {call.job_id}' if call.job_id else ''} was asked for"


def no_terminal_check(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A job whose end had been answered was retrieved on and on.

    On and on is in more than 5 rounds, which have a pause between them (50 ms of real or 1 s of virtual time), but
    none of ten minutes; or more than 20 times, whatever the pauses. All that this client did meanwhile was to look:
    at this job, or at others that were over as well. A loop over several jobs that asks for all of them until the last
    is over is wasteful, not wrong.

    It cannot see who asks: a test that does all this on purpose is taken for a loop that does not know the status.
    """
    for run in runs(own, _both_too_late):
        for job, seen in polls(run).items():
            rounds = 1 + sum(has_paused(first.call, second.call) for first, second in pairwise(seen))
            if rounds > ROUNDS_TOO_MANY or len(seen) > HOT_LOOKS:
                yield Finding(
                    "no_terminal_check",
                    f"job {job} {seen[0].ended}, and was retrieved {len(seen) - 1} times more",
                    tuple(sighting.call for sighting in seen),
                    f"stop at every status that is final: {', '.join(sorted(TERMINAL))}",
                )


def _both_too_late(first: Call, second: Call) -> bool:
    return _is_too_late(first) and _is_too_late(second) and virtual_s(first, second) < APART_S


def _is_too_late(call: Call) -> bool:
    """Whether the call looks, and not at a job that is still under way."""
    under_way = call.operation == "retrieve_job" and any(seen.status not in TERMINAL for seen in observed_jobs([call]))
    return call.operation in _READING and not under_way


def unknown_status_crashed(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A client that was polling fell silent for good at the first answer with a status beyond the usual ones.

    Precisely: a job was retrieved twice or more in usual statuses (validating_files, queued, running, Azure's
    pending), less than a virtual minute apart; then came one that is neither usual nor final, such as ``paused``, for
    the first time; after that the client (by its User-Agent) asked for nothing more but about other jobs; and the job
    is not over. Whoever paused the job has seen the status in the answer to that, and this project's own client knows
    it: of them nothing is said.

    It cannot see a crash as such: a program that stops at a pause on purpose, and asks for nothing more, looks the
    same.
    """
    last_calls = _last_calls(own)
    for job, seen in polls(own).items():
        *before, last = seen
        strange = last.status not in UNDER_WAY | TERMINAL and not last.call.user_agent.startswith(OWN_CLIENT)
        if not strange or len(before) < 2 or job in facts.over or last_calls[job] != last.call.number:
            continue
        told = [sighting.status for sighting in observed_jobs(own) if sighting.job_id == job]
        in_a_loop = all(virtual_s(one.call, other.call) < TICK_S for one, other in pairwise(seen))
        if in_a_loop and all(status in UNDER_WAY for status in told[:-1]):
            yield Finding(
                "unknown_status_crashed",
                f"job {job} was polled until its status was {last.status!r}, and then nothing more came",
                (before[-1].call, last.call),
                f"your code has no branch for {last.status!r}: keep polling until a status that is final",
            )


def _last_calls(own: Sequence[Call]) -> Mapping[str, int]:
    """By job, the number of the last call that was about it, or about no job at all."""
    last_of_all = max((call.number for call in own if call.job_id is None), default=0)
    jobs = {call.job_id: call.number for call in own if call.job_id}
    return {job: max(number, last_of_all) for job, number in jobs.items()}
