"""One request as a command line for curl, without its keys, and what the command cannot reproduce."""

from __future__ import annotations

import shlex
import string
from typing import Any
from urllib.parse import quote_from_bytes

from fine_tuning_formats.secret_rules import REDACTED, redact_text

from ..account.recorded_calls import recorded_call
from ..account.request_log import BODY_BYTES_AT_MOST, LogEntry, secrets_of
from ..account.world import AccountSnapshot

ADDRESS = "http://127.0.0.1:4355"
CONTENT_AT_MOST = 1000
"""How many characters of a body or a file a command line may hold."""

_ACCOUNT_HEADERS = ("openai-organization", "openai-project")
_IN_ADDRESS = string.punctuation.replace("#", "")


def curl(entry: LogEntry, snapshot: AccountSnapshot) -> tuple[str, list[str]]:
    """Return the command line, and in words what differs from the request."""
    left_out = REDACTED in entry.query or entry.secrets
    notes = ["keys that were sent are left out"] if left_out else []
    if _is_refused(entry) and snapshot.settings.api_keys:
        notes.append("the key is another")
    method = ["--head"] if entry.method == "HEAD" else ["-X", entry.method]
    raw = entry.raw_path or entry.path.encode()
    as_is = ["--path-as-is"] if b"/." in raw else []
    address = f"{ADDRESS}{quote_from_bytes(raw, safe=_IN_ADDRESS)}"
    if entry.query:
        address += "?" + quote_from_bytes(entry.query.encode("latin-1"), safe=_IN_ADDRESS)
    before, body = _body(entry, snapshot, notes)
    words = ["curl", "-sS", "--globoff", *as_is, *method, address, *_key(entry, snapshot), *body]
    return before + shlex.join(words), notes


def _is_refused(entry: LogEntry) -> bool:
    """Return whether the key was refused: a 401 may also be about the organization."""
    return entry.status == 401 and entry.fault is None and b'"mismatched_' not in entry.answer


def _key(entry: LogEntry, snapshot: AccountSnapshot) -> list[str]:
    """Return the headers with a key that is accepted, or refused, as the one that was sent, and with the account."""
    refused = _is_refused(entry)
    key = ("wrong" if refused else "right") if snapshot.settings.api_keys else "any"
    if "api-key" in entry.headers:
        return ["-H", f"api-key: {key}"]
    if "authorization" not in entry.headers:
        return []
    named = [f"{name}: {entry.headers[name]}" for name in _ACCOUNT_HEADERS if name in entry.headers]
    account = [word for header in named if header.isprintable() for word in ("-H", header)]
    unread = refused and not snapshot.settings.api_keys  # it was no key at all
    return ["-H", f"Authorization: {key}" if unread else f"Authorization: Bearer {key}", *account]


def _body(entry: LogEntry, snapshot: AccountSnapshot, notes: list[str]) -> tuple[str, list[str]]:
    """Return what is piped into curl, and the arguments for the body."""
    if entry.form is not None:
        return _form(entry, entry.form, snapshot, notes)
    kind = entry.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        notes.append("its form could not be read, and is not kept")
    if not entry.body:
        return "", []
    header = ["-H", f"Content-Type: {kind}" if kind.isprintable() else "Content-Type:"]
    body = entry.redact(entry.body.decode(errors="surrogateescape"))
    if len(body) > CONTENT_AT_MOST:
        cut = ", and more that are not known" if len(entry.body) >= BODY_BYTES_AT_MOST else ""
        notes.append(f"put the body that was sent ({len(entry.body)} bytes{cut}) into body.json first")
        return "", [*header, "--data-binary", "@body.json"]
    if body.isprintable():
        return "", [*header, "--data-raw", body]
    return _printf(body.encode(errors="surrogateescape")), [*header, "--data-binary", "@-"]


def _form(entry: LogEntry, form: Any, snapshot: AccountSnapshot, notes: list[str]) -> tuple[str, list[str]]:
    known = secrets_of([entry])
    texts = {name: redact_text(str(value), known) for name, value in form.items() if name not in ("filename", "bytes")}
    if not all(text.isprintable() for pair in texts.items() for text in pair):
        notes.append("control characters in its form are told escaped")
    words = [word for name, value in texts.items() for word in ("--form-string", f"{name}={value}")]
    if "bytes" not in form:
        return "", words
    file = snapshot.files.get(recorded_call(entry).file_id or "")
    before, place = "", "./upload"
    if file and file.content.size <= CONTENT_AT_MOST:
        before, place = _printf(file.content.read()), "-"
    else:
        notes.append(f"put the file that was sent ({form['bytes']} bytes) into ./upload first")
    part = "data" if entry.operation == "add_upload_part" else "file"
    if "filename" not in form:
        return before, [*words, "-F", f"{part}=<{place}"]  # so curl sends no file name
    named = form["filename"].replace("\\", "\\\\").replace('"', '\\"')
    return before, [*words, "-F", f'{part}=@{place};filename="{named}"']


def _printf(content: bytes) -> str:
    """Return a command that pipes *content*, whatever bytes it has."""
    text = content.decode(errors="surrogateescape")
    safe = "".join(char if char.isprintable() and char not in "\\%'" else _octal(char) for char in text)
    if safe.startswith("-"):  # printf would take it for an option
        safe = _octal("-") + safe[1:]
    return f"printf '{safe}' | "


def _octal(char: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in char.encode(errors="surrogateescape"))
