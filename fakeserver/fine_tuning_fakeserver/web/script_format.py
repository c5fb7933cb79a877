"""Scripts as JSON: what is left of them, as far as it is data."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from fine_tuning_formats.text import show_value

from ..account.script_queue import StoredScript, StoredScripts
from ..api_errors import ApiError, ScriptedError
from ..usage_errors import FakeUsageError
from .script_items import ConnectionFailure, Json, as_json, response_for_exception


def write_scripts(stored: StoredScripts) -> Json:
    """Return the scripts as JSON. What a script that has ended never used is left out where it is no data.

    Raises:
        FakeUsageError: an item of a script in use is a function, or another object that is no data.
    """
    overrides = {identifier: dict(members) for identifier, members in stored.overrides.items()}
    return {
        "scripts": [_write_script(script) for script in stored.scripts],
        "overrides": _checked(overrides, "the members that a script has set"),
        "events": stored.events,
    }


def read_scripts(members: Mapping[str, Any]) -> StoredScripts:
    """Return the scripts of what `write_scripts` has returned."""
    scripts = [
        StoredScript(
            script["strict"],
            script["calls"],
            script["is_ended"],
            [_read_item(item) for item in script["queue"]],
            {name: [_read_item(item) for item in items] for name, items in script["queues"].items()},
        )
        for script in members["scripts"]
    ]
    return StoredScripts(scripts, members["overrides"], members["events"])


def _write_script(script: StoredScript) -> Json:
    def write(items: Sequence[Any]) -> list[Any]:
        written = []
        for item in items:
            try:
                written.append(_write_item(item))
            except FakeUsageError:
                if not script.is_ended:
                    raise
        return written

    return {
        "strict": script.strict,
        "calls": script.calls,
        "is_ended": script.is_ended,
        "queue": write(script.queue),
        "queues": {name: write(items) for name, items in script.queues.items()},
    }


def _write_item(item: Any) -> Json | None:
    """Return an item with a tag that says what it is, in the order in which `parse_item` asks."""
    if item is None:
        return None
    if isinstance(item, ConnectionFailure):
        return _write_failure(item)
    if isinstance(item, BaseException) or (isinstance(item, type) and issubclass(item, BaseException)):
        answer = response_for_exception(item)
        return _write_error(answer) if isinstance(answer, ApiError) else _write_failure(answer)
    if isinstance(item, str):
        return {"text": item}
    if isinstance(item, bytes):
        return {"base64": base64.b64encode(item).decode()}
    if not callable(item) and (members := as_json(item)) is not None:
        return {"members": _checked(members, "a script's answer")}
    if isinstance(item, Sequence) and not callable(item):
        return {"items": [_write_item(each) for each in item]}
    raise FakeUsageError(
        f"a script that is in use has {show_value(item, 80)}, which cannot be stored; end it "
        "first (script.stop()), or write its answers as texts, mappings, lists and exceptions"
    )


def _write_error(error: ApiError) -> Json:
    retry_after = error.retry_after if isinstance(error, ScriptedError) else None
    page = error.page if isinstance(error, ScriptedError) else None
    return {
        "error": {
            "status": error.status,
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
            "indent": error.indent,
            "retry_after": retry_after,
            "page": page and [base64.b64encode(part).decode() for part in page],
        }
    }


def _write_failure(failure: ConnectionFailure) -> Json:
    return {"failure": {"fault": dict(failure.fault), "names": list(failure.names), "text": failure.text}}


def _read_item(item: Json | None) -> Any:
    if item is None:
        return None
    ((tag, value),) = item.items()
    return _READERS[tag](value)


def _read_error(value: Json) -> ApiError:
    error = ScriptedError(
        value["status"],
        value["message"],
        param=value["param"],
        code=value["code"],
        type=value["type"],
        indent=value["indent"],
    )
    error.retry_after = value["retry_after"]
    if value["page"]:
        media, body = map(base64.b64decode, value["page"])
        error.page = media, body
    return error


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "text": str,
    "base64": base64.b64decode,
    "members": dict,
    "items": lambda items: [_read_item(item) for item in items],
    "error": _read_error,
    "failure": lambda value: ConnectionFailure(value["fault"], tuple(value["names"]), value["text"]),
}


def _checked(members: Any, what: str) -> Any:
    """Return *members* as JSON has them.

    Raises:
        FakeUsageError: they hold what JSON cannot.
    """
    try:
        return orjson.loads(orjson.dumps(members))
    except TypeError as error:
        raise FakeUsageError(f"{what} cannot be stored: {error}") from None
