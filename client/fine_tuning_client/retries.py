"""Repeat requests where that can do no harm and may help; create one job only for an idempotency key."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from fine_tuning_client.arguments import require_name
from fine_tuning_client.effects import Command, Failure, Flow, Outcome, RawResponse, Request, Sleep, now, send
from fine_tuning_client.errors import APIError, APIResponseError, UnsupportedOperationError
from fine_tuning_client.models import (
    FineTuningJobListResponse,
    FineTuningJobResponse,
    check_response,
    parse_response,
    retry_after,
)
from fine_tuning_formats.job_rules import check_metadata

C = TypeVar("C")
T = TypeVar("T")

FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 8.0
MAX_RETRY_AFTER_S = 60.0  # a longer Retry-After gets no retry
IDEMPOTENCY_KEY = "idempotency_key"  # in the job's metadata, by which the job can be found


def with_retries(
    flow: Generator[C, Any, T], max_retries: int, draw: Callable[[], float]
) -> Generator[C | Command, Any, T]:
    """Repeat the requests of *flow* that failed and may be repeated.

    Args:
        flow: Any flow or stream.
        max_retries: How often a request is repeated at most.
        draw: Returns numbers from 0 to 1, for the jitter.
    """
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration as done:
            result: T = done.value
            return result
        if isinstance(command, Request):
            outcome = yield from _send_with_retries(command, max_retries, draw)
        else:
            outcome = yield command


def _send_with_retries(request: Request, max_retries: int, draw: Callable[[], float]) -> Flow[RawResponse | Failure]:
    retry = 0
    while True:
        outcome: RawResponse | Failure = yield request
        pause = pause_before_retry(request, outcome, retry, draw())
        if pause is None and outcome_unknown(outcome):
            return (yield from _find_effect(request, outcome, max_retries, draw)) or outcome
        if pause is None or (retry >= max_retries and request.already is None):
            return outcome
        if request.until is not None and (yield from now()) + pause > request.until:
            return outcome
        yield Sleep(pause)
        effect = yield from _find_effect(request, outcome, max_retries, draw)
        if effect is not None or retry >= max_retries:
            return effect or outcome
        retry += 1


def _find_effect(
    request: Request, outcome: RawResponse | Failure, max_retries: int, draw: Callable[[], float]
) -> Flow[RawResponse | Failure | None]:
    """Return the response *request* would have had, if it took effect; *outcome* if that cannot be found out."""
    if request.already is None:
        return None
    try:
        return (yield from with_retries(request.already(), max_retries, draw))
    except APIError:
        return outcome


def pause_before_retry(request: Request, outcome: RawResponse | Failure, retry: int, jitter: float) -> float | None:
    """Return the seconds to wait before the request is repeated; None if it is not."""
    if not is_idempotent(request, outcome):
        return None
    wait = retry_after(outcome) if isinstance(outcome, RawResponse) else None
    if (wait or 0) > MAX_RETRY_AFTER_S:
        return None
    backoff = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2**retry)
    return wait if wait is not None else backoff * (1 - jitter / 4)


def outcome_unknown(outcome: RawResponse | Failure) -> bool:
    """Return whether a request with this outcome may have taken effect all the same."""
    return outcome.sent if isinstance(outcome, Failure) else outcome.status == 408 or outcome.status >= 500


def is_idempotent(request: Request, outcome: RawResponse | Failure) -> bool:
    """Return whether repeating is safe and has a chance.

    Anything but a GET is repeated only if it cannot have taken effect, or if that can be found out: a
    second create would be a second job, and a bill. 409 never: the state that conflicts does not go
    away by repeating.
    """
    is_safe = request.method == "GET" or request.already is not None
    if request.file is not None and not request.file.can_be_sent_again():
        return False
    if isinstance(outcome, Failure):
        return not outcome.hopeless and (is_safe or not outcome.sent)
    return outcome.status == 429 or (is_safe and outcome_unknown(outcome))


def create_once(request: Request, key: str) -> Flow[RawResponse]:
    """Send a create unless there is a job with *key*; look for one before the first attempt and after each.

    Raises:
        ValueError: The key, or the metadata it joins, is not as the service takes it.
        UnsupportedOperationError: The provider cannot find jobs by metadata.
    """
    body = {**(request.json or {})}
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping | None):
        raise ValueError(f"metadata must be a mapping, got {metadata!r}")
    if IDEMPOTENCY_KEY in (metadata or {}):
        raise ValueError(
            f"metadata must not have {IDEMPOTENCY_KEY!r}, which is the client's own; pass only the argument"
        )
    body["metadata"] = {**(metadata or {}), IDEMPOTENCY_KEY: require_name(IDEMPOTENCY_KEY, key)}
    check_metadata(body["metadata"])
    find = partial(_find_job, request.path, key)
    existing = yield from find()
    if existing is not None:
        return existing
    response = check_response((yield from send(replace(request, json=body, already=find))))
    try:
        parse_response(FineTuningJobResponse, response)
    except APIResponseError:  # it may be about a job all the same
        try:
            return (yield from find()) or response
        except APIError:
            return response
    return response


def _find_job(path: str, key: str) -> Flow[RawResponse | None]:
    """Return the newest job with *key*, as if it had just been created."""
    query = ((f"metadata[{IDEMPOTENCY_KEY}]", key), ("limit", "1"))
    response = check_response((yield from send(Request("GET", path, "metadata", query))))
    for job in parse_response(FineTuningJobListResponse, response):
        if not isinstance(job.metadata, Mapping) or job.metadata.get(IDEMPOTENCY_KEY) != key:
            raise UnsupportedOperationError(
                f"provider {response.provider!r} lists jobs whatever their metadata, so none can be found by its key"
            )
        return replace(response, content=json.dumps(job.raw).encode())
    return None
