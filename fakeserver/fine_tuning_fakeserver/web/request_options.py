"""Read a request's options, in one way for scripts, assertions and findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson


def request_options(query: str, body: bytes, form: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the members of the query and of the JSON body, or the fields of the form."""
    if form is not None:
        return {**_query(query), **form}
    members = json_of(body)
    return {**_query(query), **(members if isinstance(members, dict) else {})}


def json_of(raw: bytes) -> Any:
    """Parse JSON; return None if it is not."""
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None


def _query(query: str) -> dict[str, Any]:
    """Return the query's options as a client's arguments: a number, a mapping."""
    pairs = parse_qsl(query, keep_blank_values=True)
    options: dict[str, Any] = {name: value for name, value in pairs if not name.startswith("metadata")}
    if (limit := str(options.get("limit", ""))).isdecimal() and len(limit) < 16:
        options["limit"] = int(limit)
    if ("metadata", "null") in pairs:
        options["metadata"] = None
    elif metadata := {name[9:-1]: value for name, value in pairs if name.startswith("metadata[") and name[-1] == "]"}:
        options["metadata"] = metadata
    return options
