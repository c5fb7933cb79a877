"""Entries of the request log as JSON, redacted: for files, where each is a line, and for remote handles."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any

import orjson

from fine_tuning_formats.secret_rules import redact_known, redact_text

from .request_log import LogEntry, TimingSample

_MEMBERS = tuple(each.name for each in fields(LogEntry))
_values_of = attrgetter(*_MEMBERS)


def entry_as_json(entry: LogEntry, known: Iterable[str]) -> dict[str, Any]:
    """Return the whole of *entry*, without the *known* spellings of secrets."""
    plain: dict[str, Any] = _without_surrogates(_members_of(entry, known))
    return plain


def _members_of(entry: LogEntry, known: Iterable[str]) -> dict[str, Any]:
    secrets = list(known)
    members = dict(zip(_MEMBERS, _values_of(entry), strict=True))
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in entry.raw_headers]
    members |= {
        "path": redact_known(entry.path, secrets),
        "raw_headers": headers,
        "raw_path": redact_known(entry.raw_path.decode("latin-1"), secrets),
        "body": _write_bytes(entry.body, lambda text: redact_text(text, secrets)),
        "answer": _write_bytes(entry.answer, lambda text: redact_known(text, secrets)),
        "form": entry.form and _redact_form(entry.form, secrets),
        "ids": {name: redact_known(value, secrets) for name, value in entry.ids.items()},
        "timing": entry.timing and list(entry.timing),
    }
    return members


def write_entry(entry: LogEntry, known: Iterable[str]) -> bytes:
    """Return `entry_as_json` as one line without its end."""
    members = _members_of(entry, known)
    try:
        return orjson.dumps(members)
    except TypeError:  # it has surrogates
        return orjson.dumps(_without_surrogates(members))


def read_entry(line: bytes, passed_s: float) -> LogEntry:
    """Return the entry of a line; see `entry_from_json`."""
    return entry_from_json(orjson.loads(line), passed_s)


def entry_from_json(entry: Mapping[str, Any], passed_s: float = 0.0) -> LogEntry:
    """Return the entry of its `entry_as_json`; secrets stay redacted.

    Args:
        entry: the members.
        passed_s: how much later it is here, in the real seconds of `TimingSample`.
    """
    members = dict(entry)
    timing = members["timing"] and TimingSample(*members["timing"])
    members |= {
        "raw_headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in members["raw_headers"]],
        "raw_path": members["raw_path"].encode("latin-1"),
        "body": _read_bytes(members["body"]),
        "answer": _read_bytes(members["answer"]),
        "timing": timing and timing._replace(real_s=timing.real_s + passed_s),
    }
    return LogEntry(**members)


def _redact_form(form: Any, secrets: list[str]) -> dict[str, Any]:
    return {
        name: redact_text(value, secrets) if isinstance(value, str) and name != "filename" else value
        for name, value in form.items()
    }


def _write_bytes(value: bytes, redact: Callable[[str], str]) -> Any:
    try:
        return redact(value.decode()) if value else ""
    except UnicodeDecodeError:
        pass
    text = redact(value.decode(errors="surrogateescape"))
    raw: bytes = text.encode(errors="surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _read_bytes(value: Any) -> bytes:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


def _without_surrogates(value: Any) -> Any:
    """Return *value* with a question mark for what no UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, list | tuple) else value
