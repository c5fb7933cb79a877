"""One request as a command line for curl, as it was sent but for its keys, and what cannot be told so."""

from __future__ import annotations

import shlex
import string
from typing import Any
from urllib.parse import quote_from_bytes, unquote

from ..account.recorded_calls import SECRET, recorded_call, redacted
from ..account.request_log import BODY_BYTES_AT_MOST, LogEntry
from .base import AccountSnapshot

ADDRESS = "http://127.0.0.1:4355"
CONTENT_AT_MOST = 1000
"""How many characters of a body or a file a command line is given."""

_IN_ADDRESS = string.punctuation.replace("#", "")


def curl(exchange: LogEntry, scene: AccountSnapshot) -> tuple[str, list[str]]:
    """The line, and in words what is not the same there."""
    amiss = ["keys that were sent are left out"] if recorded_call(exchange).secrets else []
    if _is_refused(exchange) and scene.settings.api_keys:
        amiss.append("the key is another")
    way = ["--head"] if exchange.method == "HEAD" else ["-X", exchange.method]
    raw = exchange.raw_path or exchange.path.encode()
    as_is = ["--path-as-is"] if b"/." in raw else []
    address = f"{ADDRESS}{quote_from_bytes(raw, safe=_IN_ADDRESS)}{_query(exchange)}"
    before, body = _body(exchange, scene, amiss)
    words = ["curl", "-sS", "--globoff", *as_is, *way, address, *_key(exchange, scene), *body]
    return before + shlex.join(words), amiss


def _is_refused(exchange: LogEntry) -> bool:
    return exchange.status == 401 and exchange.fault is None


def _query(exchange: LogEntry) -> str:
    """The query, without the values of secrets."""
    pairs = [pair.partition("=") for pair in exchange.query.split("&")] if exchange.query else []
    told = "&".join(
        name + sign + ("redacted" if value and SECRET.search(unquote(name)) else value) for name, sign, value in pairs
    )
    return "?" + quote_from_bytes(told.encode("latin-1"), safe=_IN_ADDRESS) if told else ""


def _key(exchange: LogEntry, scene: AccountSnapshot) -> list[str]:
    """A key that is accepted, or is not, as the one that was sent."""
    refused = _is_refused(exchange)
    key = ("wrong" if refused else "right") if scene.settings.api_keys else "any"
    if "api-key" in exchange.headers:
        return ["-H", f"api-key: {key}"]
    if "authorization" not in exchange.headers:
        return []
    unread = refused and not scene.settings.api_keys  # it was no key at all
    return ["-H", f"Authorization: {key}" if unread else f"Authorization: Bearer {key}"]


def _body(exchange: LogEntry, scene: AccountSnapshot, amiss: list[str]) -> tuple[str, list[str]]:
    """What is piped into curl, and the words for the body."""
    if exchange.form is not None:
        return _form(exchange, exchange.form, scene, amiss)
    kind = exchange.headers.get("content-type", "")
    if kind.startswith("multipart/"):
        amiss.append("its form could not be read, and is not kept")
    if not exchange.body:
        return "", []
    header = ["-H", f"Content-Type: {kind}" if kind.isprintable() else "Content-Type:"]
    body = redacted(exchange.body.decode(errors="surrogateescape"), recorded_call(exchange).secrets)
    if len(body) > CONTENT_AT_MOST:
        cut = ", and more that are not known" if len(exchange.body) >= BODY_BYTES_AT_MOST else ""
        amiss.append(f"put the body that was sent ({len(exchange.body)} bytes{cut}) into body.json first")
        return "", [*header, "--data-binary", "@body.json"]
    if body.isprintable():
        return "", [*header, "--data-raw", body]
    return _printf(body.encode(errors="surrogateescape")), [*header, "--data-binary", "@-"]


def _form(exchange: LogEntry, form: Any, scene: AccountSnapshot, amiss: list[str]) -> tuple[str, list[str]]:
    secrets = recorded_call(exchange).secrets
    texts = {name: redacted(str(value), secrets) for name, value in form.items() if name not in ("filename", "bytes")}
    if not all(text.isprintable() for pair in texts.items() for text in pair):
        amiss.append("control characters in its form are told escaped")
    words = [word for name, value in texts.items() for word in ("--form-string", f"{name}={value}")]
    if "bytes" not in form:
        return "", words
    file = scene.files.get(recorded_call(exchange).file_id or "")
    before, place = "", "./upload"
    if file and file.content.size <= CONTENT_AT_MOST:
        before, place = _printf(file.content.read()), "-"
    else:
        amiss.append(f"put the file that was sent ({form['bytes']} bytes) into ./upload first")
    part = "data" if exchange.operation == "add_upload_part" else "file"
    if "filename" not in form:
        return before, [*words, "-F", f"{part}=<{place}"]  # so curl sends no file name
    named = form["filename"].replace("\\", "\\\\").replace('"', '\\"')
    return before, [*words, "-F", f'{part}=@{place};filename="{named}"']


def _printf(content: bytes) -> str:
    """A command that brings *content* into a pipe, whatever bytes it has."""
    text = content.decode(errors="surrogateescape")
    safe = "".join(sign if sign.isprintable() and sign not in "\\%'" else _octal(sign) for sign in text)
    if safe.startswith("-"):  # printf would take it for an option
        safe = _octal("-") + safe[1:]
    return f"printf '{safe}' | "


def _octal(sign: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in sign.encode(errors="surrogateescape"))
