"""One job for a key: it travels in the job's metadata, by which the job can be found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fine_tuning_client.arguments import require_name
from fine_tuning_client.effects import Flow, RawResponse, Request, send
from fine_tuning_client.errors import APIError, APIResponseError, UnsupportedOperationError
from fine_tuning_client.models import FineTuningJobListResponse, FineTuningJobResponse
from fine_tuning_client.reply_parsing import check_response, parse_response
from fine_tuning_formats.job_rules import check_metadata

KEY = "idempotency_key"  # in the job's metadata


def create_once(request: Request, key: str) -> Flow[RawResponse]:
    """Send a create unless there is a job with *key*; look for one before the first attempt and after each.

    Raises:
        ValueError: The key, or the metadata it joins, is not as the service takes it.
        UnsupportedOperationError: The provider cannot find jobs by metadata.
    """
    body = {**(request.json or {})}
    body["metadata"] = _add_key(body.get("metadata"), key)
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


def _add_key(metadata: Any, key: str) -> dict[str, str]:
    if not isinstance(metadata, Mapping | None):
        raise ValueError(f"metadata must be a mapping, got {metadata!r}")
    if KEY in (metadata or {}):
        raise ValueError(f"metadata must not have {KEY!r}, which is the client's own; pass only the argument")
    pairs = {**(metadata or {}), KEY: require_name(KEY, key)}
    check_metadata(pairs)
    return pairs


def _find_job(path: str, key: str) -> Flow[RawResponse | None]:
    """Return the newest job with *key*, as if it had just been created."""
    query = ((f"metadata[{KEY}]", key), ("limit", "1"))
    response = check_response((yield from send(Request("GET", path, "metadata", query))))
    for job in parse_response(FineTuningJobListResponse, response):
        if not isinstance(job.metadata, Mapping) or job.metadata.get(KEY) != key:
            raise UnsupportedOperationError(
                f"provider {response.provider!r} lists jobs whatever their metadata, so none can be found by its key"
            )
        return replace(response, content=json.dumps(job.raw).encode())
    return None
