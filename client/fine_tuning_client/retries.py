"""Ask again, if that cannot do harm and may help."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

from fine_tuning_client.effects import Command, Failure, Flow, Outcome, RawResponse, Request, Sleep, now, send
from fine_tuning_client.errors import APIError
from fine_tuning_client.reply_parsing import retry_after

C = TypeVar("C")
T = TypeVar("T")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
LONGEST_RETRY_AFTER_S = 60.0  # who asks for more time than this gets it: no retry


def with_retries(
    flow: Generator[C, Outcome, T], max_retries: int, draw: Callable[[], float]
) -> Generator[C | Command, Outcome, T]:
    """Repeat the requests of *flow* that failed and may be repeated.

    Args:
        flow: Any flow or stream.
        max_retries: How often a request is repeated at most.
        draw: Gives numbers from 0 to 1, for the jitter.
    """
    outcome: Outcome = None
    while True:
        try:
            wanted = flow.send(cast(Any, outcome))
        except StopIteration as done:
            return cast(T, done.value)
        if isinstance(wanted, Request):
            outcome = yield from _send_with_retries(wanted, max_retries, draw)
        else:
            outcome = yield wanted


def _send_with_retries(request: Request, max_retries: int, draw: Callable[[], float]) -> Flow[RawResponse | Failure]:
    retry = 0
    while True:
        outcome = yield from send(request)
        pause = pause_before_retry(request, outcome, retry, draw())
        if pause is None and outcome_unknown(outcome):
            return (yield from _classify(request, outcome, max_retries, draw)) or outcome
        if (
            pause is None
            or (retry >= max_retries and request.already is None)
            or (yield from _is_too_late(request, pause))
        ):
            return outcome
        yield Sleep(pause)
        fate = yield from _classify(request, outcome, max_retries, draw)
        if fate is not None or retry >= max_retries:
            return fate or outcome
        retry += 1


def _is_too_late(request: Request, pause: float) -> Flow[bool]:
    return request.until is not None and (yield from now()) + pause > request.until


def _classify(
    request: Request, outcome: RawResponse | Failure, max_retries: int, draw: Callable[[], float]
) -> Flow[RawResponse | Failure | None]:
    """Look whether *request* has taken effect; where that cannot be told, *outcome* is all there is."""
    if request.already is None:
        return None
    try:
        return (yield from with_retries(request.already(), max_retries, draw))
    except APIError:
        return outcome


def pause_before_retry(request: Request, outcome: RawResponse | Failure, retry: int, jitter: float) -> float | None:
    """Decide whether to ask again, and after how many seconds."""
    asked = retry_after(outcome) if isinstance(outcome, RawResponse) else None
    if not is_idempotent(request, outcome) or (asked or 0) > LONGEST_RETRY_AFTER_S:
        return None
    backoff = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**retry)
    return asked if asked is not None else backoff * (1 - jitter / 4)


def outcome_unknown(outcome: RawResponse | Failure) -> bool:
    """Tell whether a request that ended so may have taken effect all the same."""
    return outcome.sent if isinstance(outcome, Failure) else outcome.status == 408 or outcome.status >= 500


def is_idempotent(request: Request, outcome: RawResponse | Failure) -> bool:
    """Tell whether repeating is safe and has a chance.

    Anything but a GET is repeated only if it cannot have taken effect, or if that can be found out: a
    second create would be a second job, and a bill. 409 never: the state that conflicts does not go
    away by asking again.
    """
    is_safe = request.method == "GET" or request.already is not None
    if request.file is not None and not request.file.can_be_sent_again():
        return False
    if isinstance(outcome, Failure):
        return not outcome.hopeless and (is_safe or not outcome.sent)
    if outcome.status == 429:
        return True
    return is_safe and outcome_unknown(outcome)
