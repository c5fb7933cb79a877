"""Rules about loops that look at a job until it is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..calls import Call
from .finding import Facts, Finding
from .pauses import is_hot, runs
from .sightings import OWN_CLIENT, TERMINAL, UNDER_WAY, Sighting, looks, sightings

HOT_LOOKS = 20
LOOKS_TOO_MANY = 5


def polled_without_pause(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """An unfinished job was retrieved 20 times or more with no pause in between.

    No pause is less than 50 ms of real time and less than 1 s of virtual time from one answer to the next; that
    somebody else looked at something else in between does not matter.

    It cannot see a loop at the pace "polls", whose jobs are over after a few looks (unless they are paused), nor a
    sleep that a test has replaced: where `time.sleep` or `asyncio.sleep` are not the real ones it says nothing; where
    the code under test was given a sleep of its own that does nothing, ignore this code. Several threads that look at
    one job are taken for one.
    """
    for job, seen in looks(calls).items():
        unfinished = [sighting.call for sighting in seen if sighting.status not in TERMINAL]
        for run in runs(unfinished, is_hot):
            if len(run) >= HOT_LOOKS:
                yield Finding(
                    "polled_without_pause",
                    f"job {job} was retrieved {len(run)} times in a row without a pause",
                    tuple(call.number for call in run),
                    "sleep between two looks, seconds at first and up to a minute later: jobs take minutes to hours",
                )


def no_terminal_check(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A job whose end had been answered was retrieved 5 times more, in a row.

    In a row is with no other request in between, by anybody: a loop over several jobs that asks for all of them until
    the last is over is wasteful, not wrong. It cannot see who asks: a test that looks five times at a job that is over
    is taken for a loop that does not know the status.
    """
    for run in runs(calls, lambda first, second: _looked_at(first) == _looked_at(second)):
        after_end = [sighting for sighting in sightings(run) if sighting.status in TERMINAL]
        if _looked_at(run[0]) and len(after_end) > LOOKS_TOO_MANY:
            end = after_end[0]
            yield Finding(
                "no_terminal_check",
                f"job {end.job_id} was {end.status}, and was retrieved {len(after_end) - 1} times more",
                tuple(sighting.call.number for sighting in after_end),
                f"stop at every status that is final: {', '.join(sorted(TERMINAL))}",
            )


def _looked_at(call: Call) -> str | None:
    return call.job_id if call.operation == "retrieve_job" and call.answered else None


def unknown_status_crashed(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A client that was polling fell silent for good at the first answer with a status beyond the usual ones.

    Precisely: a job was retrieved twice or more in usual statuses (validating_files, queued, running, Azure's
    pending); then came one that is neither usual nor final, such as ``paused``, for the first time; that was the last
    request of that client (by its User-Agent) to anything at all; and the job is not over. Whoever paused the job has
    seen the status in the answer to that, and this project's own client knows it: of them nothing is said.

    It cannot see a crash as such: a program that stops at a pause on purpose, and asks for nothing more, looks the
    same.
    """
    last_of = {call.user_agent: call.number for call in calls}
    told: dict[tuple[str, str], list[Sighting]] = {}
    for sighting in sightings(calls):
        told.setdefault((sighting.job_id, sighting.call.user_agent), []).append(sighting)
    for job, seen in looks(calls).items():
        *before, last = seen
        sender = last.call.user_agent
        fell_silent = last_of[sender] == last.call.number and job not in facts.over
        polling = len(before) >= 2 and all(each.status in UNDER_WAY for each in before)
        is_new = all(each.status in UNDER_WAY for each in told[job, sender][:-1])
        strange = last.status not in UNDER_WAY | TERMINAL
        if fell_silent and polling and is_new and strange and not sender.startswith(OWN_CLIENT):
            yield Finding(
                "unknown_status_crashed",
                f"job {job} was polled until its status was {last.status!r}, and then nothing more came",
                (before[-1].call.number, last.call.number),
                "a status that is not known is no end: go on polling until one that is final",
            )
