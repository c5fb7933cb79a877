"""Rules about asking again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..account.recorded_calls import Call
from .call_gaps import has_paused, is_busy, may_be_hot, paused_for, runs
from .finding import FinalState, Finding
from .observed_jobs import OWN_CLIENT
from .similar_calls import chains, grouped, is_same_job, uploads_of

REFUSALS_TOO_MANY = 3
_SPOILS = ("truncate", "malformed")
"""Faults that leave a status, and no answer that could be read."""
SLACK_S = 0.05
"""By so much a wait may be shorter than was asked for, for the sake of clocks that differ."""


def create_retried_blindly(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A job was asked for, the answer left open whether there is one now, and the same was asked for again.

    Open is a status of 408, of 500 or more, or an answer that a fault kept from its client or spoilt; a connection
    that was refused leaves nothing open. The same is the same body, be it with its files uploaded anew (same name,
    same size). It is not blind to list jobs in between, with success. A retry that OpenAI's SDK makes by itself counts
    as well: it sends no key by which the service could tell.

    It cannot see a client's own timeout where the answer was made all the same, nor whether it is the code that asks
    again or its test.
    """
    for chain in chains(_blind(own)):
        by_itself = any(call.retry for call in chain)
        way = "use OpenAI(max_retries=0) for creates" if by_itself else "switch off automatic retries of the create"
        yield Finding(
            "create_retried_blindly",
            f"the same job was asked for again after {_outcome(chain[0])}, which may have created it",
            chain,
            f"list jobs first (by a key of your own in metadata), and {way}",
        )


def _blind(own: Sequence[Call]) -> Iterator[tuple[Call, Call]]:
    creates, uploads = [call for call in own if call.operation == "create_job"], uploads_of(own)
    lists = [call.number for call in own if call.operation == "list_jobs" and call.answered]
    for place, first in enumerate(creates):
        if _left_open(first):
            later = (call for call in creates[place + 1 :] if is_same_job(first, call, uploads))
            second = next(later, None)
            if second and not any(first.number < number < second.number for number in lists):
                yield first, second


def _left_open(call: Call) -> bool:
    if call.fault == "refuse":
        return False
    return call.status in (0, 408) or call.status >= 500 or call.fault in _SPOILS


def _outcome(call: Call) -> str:
    return "an answer that was lost" if not call.status or call.fault in _SPOILS else f"status {call.status}"


def hot_loop_on_429(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """After a 429 a client sent the same request again too soon.

    Too soon is before the time that Retry-After asked for has passed, really or virtually; without Retry-After it is
    without a pause (as in `polled_without_pause`). Once is enough where a Retry-After was not kept, and nothing was
    asked for in between; else it takes three refusals. The same request has the same method, path, query and body; the
    same client the same User-Agent.

    It cannot see a sleep that a test has replaced: where `time.sleep` or `asyncio.sleep` are not the real ones it says
    nothing, nor of retries by OpenAI's SDK or by this project's client, which always wait. Whether it is the code that
    asks again or its test it cannot see either. Where two requests came at once by different connections, or in
    process from different threads or tasks, neither may be an answer to the other's refusal: those do not count.
    """
    if own[0].user_agent.startswith(OWN_CLIENT):
        return
    next_to = {first.number: second.number for first, second in pairwise(own)}
    for same in grouped(own, lambda call: call.sent).values():
        for run in runs(same, _is_too_soon):
            many = sum(call.status == 429 for call in run) >= REFUSALS_TOO_MANY
            at_once = any(one.retry_after_s and next_to[one.number] == other.number for one, other in pairwise(run))
            if at_once or (many and (run[0].retry_after_s or is_busy(run))):
                yield _too_soon(run)


def _too_soon(run: Sequence[Call]) -> Finding:
    first, second, *more = run
    waited_s, asked_s = paused_for(first, second), first.retry_after_s
    kept = f"after {waited_s:.3g} s; the 429 had asked for {asked_s:g} s" if asked_s else "without a pause after a 429"
    again = f"again {len(more) + 1} times, the first" if more and asked_s else "again"
    often = f"{len(run)} times in a row" if more and not asked_s else again
    return Finding(
        "hot_loop_on_429",
        f"{first.operation} was asked for {often} {kept}",
        tuple(run),
        "wait for as long as Retry-After says" if asked_s else "wait after a 429, longer each time",
    )


def _is_too_soon(first: Call, second: Call) -> bool:
    """Whether *second* asks again before it may, and not by OpenAI's SDK of its own accord."""
    waited_s = paused_for(first, second)
    if first.status != 429 or second.retry or waited_s is None:
        return False
    if not first.retry_after_s:
        return second.status == 429 and may_be_hot(first, second)
    one_after_another = first.caller == second.caller or has_paused(first, second)
    return one_after_another and waited_s + SLACK_S < first.retry_after_s
