"""Rules about asking again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ..calls import Call
from .finding import Facts, Finding
from .pauses import is_hot, paused_for, runs
from .sightings import OWN_CLIENT

REFUSALS_TOO_MANY = 3
_SPOILS = ("truncate", "malformed")
"""Faults that leave a status, and no answer that could be read."""
SLACK_S = 0.05
"""By so much a wait may be shorter than was asked for, for the sake of clocks that differ."""


def create_retried_blindly(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A job was asked for, the answer left open whether there is one now, and the same was asked for again.

    Open is a status of 408, of 500 or more, or an answer that a fault kept from its client or spoilt; a connection
    that was refused leaves nothing open. It is not blind to list jobs in between, with success. A retry that OpenAI's
    SDK makes by itself counts as well: it sends no key by which the service could tell.

    It cannot see a client's own timeout where the answer was made all the same, nor whether it is the code that asks
    again or its test.
    """
    creates = [call for call in calls if call.operation == "create_job"]
    for first, second in pairwise(creates):
        between = [call for call in calls if first.number < call.number < second.number]
        listed = any(call.operation == "list_jobs" and call.answered for call in between)
        if _left_open(first) and first.sent == second.sent and not listed:
            yield Finding(
                "create_retried_blindly",
                f"the same job was asked for again after {_outcome(first)}, which may have created it",
                (first.number, second.number),
                "list jobs first (by a key of your own in metadata), and switch off automatic retries of the create",
            )


def _left_open(call: Call) -> bool:
    if call.fault == "refuse":
        return False
    return call.status in (0, 408) or call.status >= 500 or call.fault in _SPOILS


def _outcome(call: Call) -> str:
    return "an answer that was lost" if not call.status or call.fault in _SPOILS else f"status {call.status}"


def hot_loop_on_429(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """After a 429 the very next request of that client was the same again, and came too soon.

    Too soon is before the time that Retry-After asked for has passed, really or virtually; without Retry-After it is
    the third refusal in a row without a pause (less than 50 ms real and less than 1 s virtual time). The same request
    has the same method, path, query and body; the same client the same User-Agent.

    It cannot see a sleep that a test has replaced: where `time.sleep` or `asyncio.sleep` are not the real ones it says
    nothing, nor of retries by OpenAI's SDK or by this project's client, which always wait. Whether it is the code that
    asks again or its test it cannot see either, nor threads that ask for the same.
    """
    for sender in {call.user_agent for call in calls if not call.user_agent.startswith(OWN_CLIENT)}:
        own = [call for call in calls if call.user_agent == sender]
        yield from _too_early(own)
        for run in runs(own, _is_hot_repeat):
            if len(run) >= REFUSALS_TOO_MANY:
                yield Finding(
                    "hot_loop_on_429",
                    f"{run[0].operation} was asked for {len(run)} times in a row without a pause, and refused with 429",
                    tuple(call.number for call in run),
                    "wait after a 429, longer each time",
                )


def _too_early(own: Sequence[Call]) -> Iterator[Finding]:
    for first, second in pairwise(own):
        asked_s, waited_s = first.retry_after_s or 0.0, paused_for(first, second)
        if _is_repeat(first, second) and waited_s is not None and waited_s + SLACK_S < asked_s:
            yield Finding(
                "hot_loop_on_429",
                f"{first.operation} was asked for again after {waited_s:.3g} s; the 429 had asked for {asked_s:g} s",
                (first.number, second.number),
                "wait for as long as Retry-After says",
            )


def _is_hot_repeat(first: Call, second: Call) -> bool:
    both = all(call.status == 429 and not call.retry_after_s for call in (first, second))
    return both and _is_repeat(first, second) and is_hot(first, second)


def _is_repeat(first: Call, second: Call) -> bool:
    """Whether the same was asked for again, and not by OpenAI's SDK of its own accord."""
    return first.sent == second.sent and not second.retry
