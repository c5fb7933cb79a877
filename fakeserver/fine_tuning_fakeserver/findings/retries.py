"""Rules about sending a request again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..account.recorded_calls import Call
from .observed_calls import OWN_CLIENT, group_calls, is_same_job, join_chains, uploads_by_file
from .polling import PAUSE_S, is_hot, real_gap, runs, seconds_between
from .rules import FinalState, Finding, rule

REFUSALS_TOO_MANY = 3
SLACK_S = 0.05
"""A wait may be this much shorter than Retry-After: clocks differ."""

_SPOILS = ("truncate", "malformed")
"""Faults that leave a status, and an answer that cannot be read."""


@rule("a create was sent again after a failure that may have created the job")
def create_retried_blindly(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A create left open whether the job exists now, and the same create was sent again.

    Open is a status of 408, of 500 or more, or an answer that a fault kept from its client or spoilt; a connection
    that was refused leaves nothing open. The same is the same body, be it with its files uploaded anew (same name,
    same size). It is not blind to list jobs in between, with success. A retry that OpenAI's SDK makes by itself counts
    as well: it sends no key by which the service could tell.

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

    Of retries by OpenAI's SDK or by this project's client it says nothing, as they always wait. It cannot see a sleep
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
