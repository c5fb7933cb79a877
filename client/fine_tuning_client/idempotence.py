"""One job for a key: it travels in the job's metadata, where the job can be found by it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fine_tuning_client.arguments import named
from fine_tuning_client.effects import Flow, RawResponse, Request, send
from fine_tuning_client.errors import APIError, APIResponseError, UnsupportedOperationError
from fine_tuning_client.models import FineTuningJobListResponse, FineTuningJobResponse
from fine_tuning_client.reply_parsing import check_response, parse_response

NAME = "idempotency_key"

# spec: Metadata
MOST_PAIRS = 16
LONGEST_NAME = 64
LONGEST_VALUE = 512


def create_once(request: Request, key: str) -> Flow[RawResponse]:
    """Send a create unless there is a job with *key*: before the first time, and before each time after that.

    Raises:
        ValueError: The key, or the metadata it joins, is not as the service takes it.
        UnsupportedOperationError: The provider cannot find jobs by metadata.
    """
    body = {**(request.json or {})}
    body["metadata"] = _with_key(body.get("metadata"), key)
    look = partial(_find, request.path, key)
    found = yield from look()
    if found is not None:
        return found
    reply = check_response((yield from send(replace(request, json=body, already=look))))
    try:
        parse_response(FineTuningJobResponse, reply)
    except APIResponseError:
        return (yield from _or_existing_job(reply, look))
    return reply


def _or_existing_job(reply: RawResponse, look: Callable[[], Flow[RawResponse | None]]) -> Flow[RawResponse]:
    """Find the job that an unreadable *reply* may be about; a look that fails says no more than the reply does."""
    try:
        return (yield from look()) or reply
    except APIError:
        return reply


def _with_key(metadata: Any, key: str) -> dict[str, str]:
    if not isinstance(metadata, Mapping | None):
        raise ValueError(f"metadata must be a mapping, not {metadata!r}")
    if NAME in (metadata or {}):
        raise ValueError(f"{NAME!r} in metadata is the client's own: give the argument only")
    pairs = {**(metadata or {}), NAME: named(NAME, key)}
    if len(pairs) > MOST_PAIRS:
        raise ValueError(f"metadata has {len(pairs)} pairs with the {NAME}, and may have {MOST_PAIRS}")
    for name, value in pairs.items():
        if not _is_text_within(name, LONGEST_NAME) or not _is_text_within(value, LONGEST_VALUE):
            limits = f"text of at most {LONGEST_NAME} and {LONGEST_VALUE} characters"
            raise ValueError(f"names and values of metadata must be {limits}, not {name!r}: {value!r}")
    return pairs


def _is_text_within(text: object, longest: int) -> bool:
    return isinstance(text, str) and len(text) <= longest


def _find(path: str, key: str) -> Flow[RawResponse | None]:
    """Find the newest job with *key*, as if it had just been created."""
    query = ((f"metadata[{NAME}]", key), ("limit", "1"))
    reply = check_response((yield from send(Request("GET", path, "metadata", query))))
    for job in parse_response(FineTuningJobListResponse, reply):
        if not isinstance(job.metadata, Mapping) or job.metadata.get(NAME) != key:
            raise UnsupportedOperationError(
                f"provider {reply.provider!r} lists jobs whatever their metadata, so no job can be found by its key"
            )
        return replace(reply, content=json.dumps(job.raw).encode())
    return None
