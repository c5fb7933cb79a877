"""Rules about requests that are sent again: polling, pauses between two calls, retries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from ..account.recorded_calls import Call
from .observed_calls import (
    LOOKS,
    OWN_CLIENT,
    TERMINAL,
    UNDER_WAY,
    ObservedJob,
    group_calls,
    how_looked,
    is_same_job,
    jobs_seen_by,
    join_chains,
    looks_by_job,
    observed_jobs,
    uploads_by_file,
)
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


def virtual_gap(first: Call, second: Call) -> float:
    """Return the virtual seconds from an answer to the next call: passed, or slept through the fake."""
    return max(second.begun_at - first.at, second.timing.slept_s - first.timing.slept_s)


def real_gap(first: Call, second: Call) -> float | None:
    """Return the real seconds between two answers; None if unknown, as where a test has stopped the clock.

    None have passed where waits are virtual: what is left is work, and a busy machine.
    """
    if first.timing.waits_are_virtual and second.timing.waits_are_virtual:
        return 0.0
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
    `FakeFineTuning.sleep`, `async_sleep` and `time_module`; in a test with virtual time, by whatever waits, and real
    time counts for nothing. A busy machine only makes pauses longer. Where a test has stopped the real clock nothing
    is found.

    At the pace "polls" looks are counted instead, and real time counts for nothing: 100 looks in a row between which
    virtual time stood still. A loop never gets there, as looks move time to the job's next milestone and end it after
    a few, unless the job is paused.

    It cannot see a sleep that a test has replaced by another than the fake's.
    """
    reported: set[str | None] = set()
    waiting = (call for call in calls if call.operation in LOOKS and _shows_unfinished(call, final_state))
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
    """Whether a job that the call reads was not over."""
    if call.operation in ("retrieve_job", "list_jobs"):
        return any(job.status not in TERMINAL for job in observed_jobs([call]))
    return call.answered and not _shows_end(call, final_state)


def _shows_end(call: Call, final_state: FinalState) -> bool:
    """Whether all jobs that the call reads were over."""
    if call.operation in ("retrieve_job", "list_jobs"):
        return all(job.status in TERMINAL for job in observed_jobs([call]))
    return call.at >= final_state.over.get(call.job_id or "", call.at + 1)


@rule("a job was polled on after a final status had been answered")
def no_terminal_check(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A job whose end the client had seen was polled on.

    On and on is in more than 5 rounds, which have a pause between them (1 s of virtual or real time), but none of ten
    minutes; or retrieved more than 20 times, whatever the pauses. A look is to retrieve the job, to read its newest
    events or checkpoints, or, at a job that this client has created, to list jobs all of which are over. All that this
    client did meanwhile was to look: at this job, or at others that were over as well. A loop over several jobs that
    retrieves all of them until the last is over is wasteful, not wrong.

    It cannot tell a test that does all this on purpose from a loop that does not know the status.
    """
    late_runs = runs(
        calls, lambda first, second: _is_late(first) and _is_late(second) and virtual_gap(first, second) < APART_S
    )
    created = {call.job_id for call in calls if call.operation == "create_job" and call.accepted}
    for run in late_runs:
        for job_id, ways in looks_by_job([call for call in run if _shows_end(call, final_state)]).items():
            if job_id not in created:
                ways.pop("list_jobs", None)
            for operation in LOOKS:
                looks = ways.get(operation, [])
                rounds = 1 + sum(seconds_between(first, second) >= PAUSE_S for first, second in pairwise(looks))
                if rounds > ROUNDS_TOO_MANY or (operation == "retrieve_job" and len(looks) > HOT_LOOKS):
                    yield _polled_on(job_id, looks)
                    break


def _polled_on(job_id: str, looks: Sequence[Call]) -> Finding:
    ended = next((job.ended for job in observed_jobs(looks[:1]) if job.job_id == job_id), "was over")
    looked = how_looked(looks[0])
    return Finding(
        "no_terminal_check",
        f"job {job_id} {ended}, and was {looked} {len(looks) - 1} times more",
        tuple(looks),
        f"stop at every status that is final: {', '.join(sorted(TERMINAL))}",
    )


def _is_late(call: Call) -> bool:
    """Whether the call only reads, and no unfinished job."""
    under_way = call.operation == "retrieve_job" and any(job.status not in TERMINAL for job in observed_jobs([call]))
    return call.operation in LOOKS and not under_way


@rule("a poller stopped for good at a status such as paused, while the job was not over")
def unknown_status_crashed(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A client that was polling fell silent for good at the first status beyond the usual ones.

    Precisely: a job was retrieved, or seen in lists, twice or more in usual statuses (validating_files, queued,
    running, Azure's pending), less than a virtual minute apart; then came one that is neither usual nor final, such as
    ``paused``, for the first time; after that the client (by its User-Agent) requested nothing more but about other
    jobs, or to delete files, as a program does that cleans up; and the job is not over. Whoever paused the job has seen
    the status in the answer to that, and this project's own client knows it: they are not reported.

    It cannot see a crash as such: a program that stops at a pause on purpose, and sends nothing more, looks the
    same.
    """
    of_no_job = (call.number for call in calls if call.job_id is None and call.operation != "delete_file")
    last_of_no_job = max(of_no_job, default=0)
    last_by_job = {call.job_id: call.number for call in calls}
    for job_id, (*before, last) in _polled_jobs(calls):
        is_unusual = last.status not in UNDER_WAY | TERMINAL and not last.call.user_agent.startswith(OWN_CLIENT)
        is_silent = max(last_by_job.get(job_id, 0), last_of_no_job) == last.call.number
        if not is_unusual or not is_silent or len(before) < 2 or job_id in final_state.over:
            continue
        statuses = [job.status for job in observed_jobs(calls) if job.job_id == job_id]
        in_a_loop = all(virtual_gap(one.call, other.call) < TICK_S for one, other in pairwise([*before, last]))
        if in_a_loop and all(status in UNDER_WAY for status in statuses[:-1]):
            yield Finding(
                "unknown_status_crashed",
                f"job {job_id} was polled until its status was {last.status!r}, and then nothing more came",
                (before[-1].call, last.call),
                f"your code has no branch for {last.status!r}: keep polling until a status that is final",
            )


def _polled_jobs(calls: Sequence[Call]) -> Iterator[tuple[str, Sequence[ObservedJob]]]:
    """Return what was seen of each job by retrieving it, and what by listing jobs."""
    for operation in ("retrieve_job", "list_jobs"):
        yield from jobs_seen_by(operation, calls).items()


REFUSALS_TOO_MANY = 3
SLACK_S = 0.05
"""A wait may be this much shorter than Retry-After: clocks differ."""

_SPOILS = ("truncate", "malformed")
"""Faults that leave a status, and an answer that cannot be read."""


@rule("a create was sent again after a failure that may have created the job")
def create_retried_blindly(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A create left open whether the job exists now, and the same create was sent again.

    It is open after status 408, after 500 or more, and where a fault kept or spoilt the answer; not after a refused
    connection. Two creates are the same if their bodies are equal, also with files uploaded again (same name and
    size). A successful list of jobs between them makes the retry safe. A retry by OpenAI's SDK itself counts as well:
    it sends no idempotency key.

    It cannot see a client's own timeout where the answer was made all the same, nor whether it is the code that
    retries or its test.
    """
    for chain in join_chains(_blind_retries(calls)):
        first = chain[0]
        outcome = "an answer that was lost" if not first.status or first.fault in _SPOILS else f"status {first.status}"
        by_the_sdk = any(call.retry for call in chain)
        way = "use OpenAI(max_retries=0) for creates" if by_the_sdk else "switch off automatic retries of the create"
        yield Finding(
            "create_retried_blindly",
            f"the same job was asked for again after {outcome}, which may have created it",
            chain,
            f"list jobs first (by a key of your own in metadata), and {way}",
        )


def _blind_retries(calls: Sequence[Call]) -> Iterator[tuple[Call, Call]]:
    """Return each create that may have succeeded, with the next for the same job if no list came before it."""
    creates, uploads = [call for call in calls if call.operation == "create_job"], uploads_by_file(calls)
    lists = [call.number for call in calls if call.operation == "list_jobs" and call.answered]
    for index, first in enumerate(creates):
        is_open = first.status in (0, 408) or first.status >= 500 or first.fault in _SPOILS
        if is_open and first.fault != "refuse":
            later = (call for call in creates[index + 1 :] if is_same_job(first, call, uploads))
            second = next(later, None)
            if second and not any(first.number < number < second.number for number in lists):
                yield first, second


@rule("after a 429 the same request came again too soon")
def hot_loop_on_429(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """After a 429 a client sent the same request again too soon.

    Too soon is before the time in Retry-After has passed, really or virtually; without Retry-After it is
    without a pause of 1 s of virtual or 8 ms of real time. Once is enough where a Retry-After was not kept, and
    no request came in between; else it takes three refusals. The same request has the same method, path, query
    and body; the same client the same User-Agent.

    Retries by OpenAI's SDK and by this project's client are never reported, as they always wait. It cannot see a sleep
    that a test has replaced by another than the fake's (`FakeFineTuning.sleep`), nor whether it is the code that
    retries or its test. Where two requests came at once by different connections, or in process from different threads
    or tasks, neither may be an answer to the other's refusal: those do not count.
    """
    if calls[0].user_agent.startswith(OWN_CLIENT):
        return
    next_number = {first.number: second.number for first, second in pairwise(calls)}
    for same in group_calls(calls, lambda call: call.sent).values():
        for run in runs(same, _is_too_soon):
            first, *later = run
            retry_after_s, refusals = first.retry_after_s, sum(call.status == 429 for call in run)
            at_once = any(one.retry_after_s and next_number[one.number] == other.number for one, other in pairwise(run))
            if not at_once and refusals < REFUSALS_TOO_MANY:
                continue
            if retry_after_s:
                often = f"again {len(later)} times, the first" if later[1:] else "again"
                waited = f"after {seconds_between(first, later[0]):.3g} s; the 429 had asked for {retry_after_s:g} s"
                hint = "wait for as long as Retry-After says"
            else:
                often = f"{len(run)} times in a row" if later[1:] else "again"
                waited, hint = "without a pause after a 429", "wait after a 429, longer each time"
            yield Finding(
                "hot_loop_on_429",
                f"{first.operation} was asked for {often} {waited}",
                tuple(run),
                f"{hint} (a test that replaces the sleep puts fake.sleep in its place)",
            )


def _is_too_soon(first: Call, second: Call) -> bool:
    """Whether *second* retries before it may, and not by OpenAI's SDK of its own accord."""
    if first.status != 429 or second.retry or real_gap(first, second) is None:
        return False
    if not first.retry_after_s:
        return second.status == 429 and is_hot(first, second)
    waited_s = seconds_between(first, second)
    one_after_another = first.caller == second.caller or waited_s >= PAUSE_S
    return one_after_another and waited_s + SLACK_S < first.retry_after_s
