"""Training data: what requests and responses carry of it, and the digests that are kept in its place.

Training data are the rows of files and the prompts of inference and graders. A digest tells whether two rows are equal,
and something of their shape. Scrubbing is idempotent: the digest of what stands for a row is the digest of that row.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from .messages import (
    FormPart,
    Interaction,
    RecordedRequest,
    RecordedResponse,
    fix_content_length,
    parse_json,
    unescape_json,
)
from .resources import api_path, is_file_content, parse_resource

SCRUBBED_HEADER = ("x-fine-tuning-cassette", "scrubbed")
"""Marks responses with digests in place of a file's content."""

PROMPTS = {
    "chat/completions": ("messages",),
    "completions": ("prompt",),
    "fine_tuning/alpha/graders": ("item", "model_sample"),
}
"""Members of requests that hold a user's own data, by collection."""

SCRUBBED_ROW, SCRUBBED_CONTENT = "scrubbed_row", "scrubbed_content"
"""The only member of a row that stands for a row, or for content without rows."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{32}(, .*)?")
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_STRUCTURE = frozenset({"role", "type", "name", "id"})
"""Members that structure a row and are not data themselves."""
_STRING_OR_ITS_START = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|$)')


def short_hash(content: bytes) -> str:
    """Return a hash of 128 bits: enough to tell rows apart."""
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"


def parse_equal_numbers(text: bytes | str) -> Any:
    """Parse JSON so that equal numbers are equal in `canonical_json`: ``3.0`` is ``3``; None if it is not JSON."""
    return parse_json(text, parse_float=_parse_number)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of all values that are equal; the order of members does not count."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def is_digest(value: object) -> bool:
    """Return whether *value* stands for something that was not kept."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def digest_text(text: str) -> str:
    """Return the digest of a prompt."""
    return text if is_digest(text) else f"{short_hash(text.encode('utf-8', 'surrogatepass'))}, {len(text)} characters"


def digest_rows(content: bytes) -> tuple[str, ...] | None:
    """Return a digest for each row of a JSONL file; None if it is not JSONL."""
    rows = _parse_rows(content)
    return None if rows is None else tuple(map(_digest_row, rows))


def digest_content(content: bytes) -> str:
    """Return the digest of content that has no rows."""
    value = parse_json(content)
    if isinstance(value, dict) and len(value) == 1 and is_digest(value.get(SCRUBBED_CONTENT)):
        return str(value[SCRUBBED_CONTENT])
    return f"{short_hash(content)}, {len(content)} bytes"


def placeholder_for(content: bytes) -> bytes:
    """Return what is answered in place of a file's content: as many rows as it has, each with its digest."""
    rows = digest_rows(content)
    placeholders = (
        [{SCRUBBED_CONTENT: digest_content(content)}] if rows is None else [{SCRUBBED_ROW: row} for row in rows]
    )
    return "".join(f"{json.dumps(placeholder)}\n" for placeholder in placeholders).encode()


def scrub_request(request: RecordedRequest) -> RecordedRequest:
    """Replace files and prompts in a request by digests."""
    parts = list(request.form or ())
    for index, part in enumerate(parts):
        if part.is_file and part.content is not None:
            rows = digest_rows(part.content) or ()
            digest = "" if rows else digest_content(part.content)
            parts[index] = FormPart(part.name, part.filename, rows=rows, digest=digest)
    body = request.body
    if prompts := _prompts(request):
        scrubbed = {name: _scrub_prompt(value) for name, value in prompts.items()}
        body = json.dumps({**parse_json(body), **scrubbed}).encode()
    return replace(request, form=request.form and tuple(parts), body=body)


def scrub_interaction(interaction: Interaction) -> Interaction:
    """Replace files and prompts by digests, in the request and in the response."""
    request, response = interaction.request, interaction.response
    if _returns_rows(request, response):
        headers = tuple(header for header in response.headers if header[0] != SCRUBBED_HEADER[0])
        scrubbed = replace(response, headers=(*headers, SCRUBBED_HEADER), body=placeholder_for(response.body))
        response = fix_content_length(scrubbed)
    return Interaction(scrub_request(request), response)


def training_texts(request: RecordedRequest, response: RecordedResponse | None) -> Iterator[str]:
    """Yield the texts of training data and prompts in a request, and in its response if that is known."""
    for part in request.form or ():
        if part.is_file:
            yield from _texts_in_file(part.content or b"")
    if response and _returns_rows(request, response):
        yield from _texts_in_file(response.body)
    yield from _texts_in_data(list(_prompts(request).values()))


def holds_file_content(response: RecordedResponse) -> bool:
    """Return whether a response is a file's content, or what stands for it: nothing in it is prose."""
    return SCRUBBED_HEADER in response.headers or is_result_file(response.body)


def is_result_file(body: bytes) -> bool:
    """Return whether *body* is a result file: a CSV of numbers by step, which tells nothing of the rows."""
    try:
        text = base64.b64decode(body, validate=True).decode()  # as the service sends it
    except (binascii.Error, UnicodeDecodeError):
        text = body.decode("utf-8", "replace")
    header, *lines = [line.split(",") for line in text.splitlines() if line.strip()] or [[""]]
    try:
        for line in lines:
            for cell in line:
                float(cell or "0")
    except ValueError:
        return False
    return header[0].strip() == "step"


def _parse_number(text: str) -> float | int:
    value = float(text)
    # above 2**53 not every integer is a float
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _parse_rows(content: bytes) -> list[Any] | None:
    try:
        lines = [line for line in content.decode("utf-8-sig").split("\n") if line.strip()]
        return [json.loads(line, parse_float=_parse_number) for line in lines] or None
    except (ValueError, RecursionError):
        return None


def _digest_row(row: Any) -> str:
    if isinstance(row, dict) and len(row) == 1 and is_digest(row.get(SCRUBBED_ROW)):
        return str(row[SCRUBBED_ROW])
    shape = f"{len(row)} members" if isinstance(row, dict) else type(row).__name__
    if isinstance(row, dict) and isinstance(row.get("messages"), list):
        roles = [message.get("role") if isinstance(message, dict) else None for message in row["messages"]]
        shape = f"messages {' '.join(role if isinstance(role, str) and role in _ROLES else '?' for role in roles)}"
    text = canonical_json(row)
    return f"{short_hash(text.encode())}, {shape}, {len(text)} characters"


def _scrub_prompt(value: Any) -> Any:
    if isinstance(value, str):
        return digest_text(value)
    if isinstance(value, list):
        return [_scrub_prompt(item) for item in value]
    if isinstance(value, dict):
        return {name: item if name in ("role", "type") else _scrub_prompt(item) for name, item in value.items()}
    return value


def _prompts(request: RecordedRequest) -> dict[str, Any]:
    """Return the members of a request's body that are prompts."""
    names = PROMPTS.get(parse_resource(api_path(request.uri) or "").collection)
    body = parse_json(request.body) if names else None
    return {name: body[name] for name in names or () if name in body} if isinstance(body, dict) else {}


def _returns_rows(request: RecordedRequest, response: RecordedResponse) -> bool:
    is_content = is_file_content(api_path(request.uri) or "") and 200 <= response.status < 300
    return is_content and not is_result_file(response.body)


def _texts_in_file(content: bytes) -> Iterator[str]:
    rows = _parse_rows(content)
    if rows is not None:
        yield from _texts_in_data(rows)
        return
    # a piece of a file may begin and end inside a row
    for line in content.decode("utf-8", "replace").split("\n"):
        yield line
        for match in _STRING_OR_ITS_START.finditer(line):
            yield unescape_json(match[1])


def _texts_in_data(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in _STRUCTURE or not isinstance(item, str):
                yield from _texts_in_data(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in_data(item)
    elif isinstance(value, str):
        yield value


RUN, SHORT_RUN = 16, 8
_PROSE_MEMBERS = re.compile(
    "message|content|text|error|details?|description|prompt|input|output|refusal|reason|arguments|line|rows?|examples?"
    "|samples?|values?"
)
_KEPT = re.compile(
    "id|object|type|status|role|model|fine_tuned_model|fine_tuned_model_checkpoint|code|param|fine_tuning_job_id"
    "|training_file|validation_file|result_files|file_ids?|part_ids|upload_id|purpose|filename|mime_type"
    "|organization_id|owned_by|level|event|method|finish_reason|system_fingerprint|service_tier|first_id|last_id|name"
    "|suffix|user_provided_suffix|operation|url"
)
"""Members with ids and statuses, without which a session cannot be replayed."""
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*:)?')

Change: TypeAlias = Callable[[str, str], str]  # takes a text and the name of its member, returns the new text


class Quotations:
    """Quotations of training texts that remain in a recording after its uploads were scrubbed."""

    def __init__(self, texts: Iterable[str], recording: Iterable[Interaction]) -> None:
        data = {text for text in texts if not is_digest(text)}
        members: set[tuple[str, str]] = set()

        def collect(text: str, name: str) -> str:
            members.add((text, name))
            return text

        for interaction in recording if data else ():
            _change_texts(interaction, collect)
        runs = {run for text, _ in members for run in _runs(text)}
        prose = {text for text, name in members if _PROSE_MEMBERS.fullmatch(name) and len(text) >= SHORT_RUN}
        self._runs = {run for text in data for run in _runs(text) if run in runs} if runs else set()
        short = {text for text in data if SHORT_RUN <= len(text) < RUN and any(text in other for other in prose)}
        self._short = sorted(short, key=lambda text: (-len(text), text))

    def remove_from(self, interaction: Interaction) -> Interaction:
        """Return an interaction without quotations."""
        return _change_texts(interaction, self.remove) if self._runs or self._short else interaction

    def remove(self, text: str, name: str) -> str:
        """Return the *text* of the member *name* without quotations."""
        characters = list(text)
        for start, run in enumerate(_runs(text)):
            if run in self._runs:
                characters[start : start + RUN] = "\0" * RUN
        unquoted = "".join(characters)
        for short in self._short if _PROSE_MEMBERS.fullmatch(name) else ():
            unquoted = unquoted.replace(short, "\0")
        return re.sub("\0+", "[training data]", unquoted)


def _runs(text: str) -> Iterator[str]:
    return (text[start : start + RUN] for start in range(len(text) - RUN + 1))


def _change_texts(interaction: Interaction, change: Change) -> Interaction:
    request, response = interaction.request, interaction.response
    if not holds_file_content(response):
        response = fix_content_length(replace(response, body=change_body(response.body, change, _KEPT)))
    return Interaction(replace(request, body=change_body(request.body, change, _KEPT)), response)


def change_body(
    body: bytes, change: Change, kept: re.Pattern[str] | None = None, *, are_names_changed: bool = False
) -> bytes:
    """Change the strings of a body that is JSON, or of those lines that are, alone or as events of a stream.

    Args:
        body: any body; lines that are not JSON are changed as a whole.
        change: returns the new text.
        kept: names of members whose texts stay.
        are_names_changed: whether *change* gets the names of members, too.
    """
    text = body.decode("utf-8", "surrogateescape")
    lines = [text] if parse_json(text) is not None else text.splitlines(keepends=True)
    name = ""

    def change_string(match: re.Match[str]) -> str:
        nonlocal name
        value = unescape_json(match[1])
        if match[2]:  # a colon follows
            name = value
            if are_names_changed and (changed := change(value, "")) != value:
                return json.dumps(changed) + match[2]
        elif not (kept and kept.fullmatch(name)) and (changed := change(value, name)) != value:
            return json.dumps(changed)
        return match[0]

    _change_stream(lines, change)
    for number, line in enumerate(lines):
        is_json = parse_json(line.removeprefix("data:")) is not None
        name = ""
        lines[number] = _STRING.sub(change_string, line) if is_json else change(line, "text")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _change_stream(lines: list[str], change: Change) -> None:
    """Change the text of each choice of a stream as a whole; a changed text stands in the first of its events."""
    events = {at: parse_json(line.removeprefix("data:")) for at, line in enumerate(lines) if line.startswith("data:")}
    pieces: defaultdict[str, list[tuple[int, dict[str, Any], str]]] = defaultdict(list)
    for at, event in events.items():
        choices = event.get("choices") if isinstance(event, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            delta = choice.get("delta", choice) if isinstance(choice, dict) else None
            name = "text" if delta is choice else "content"
            if isinstance(delta, dict) and isinstance(delta.get(name), str):
                pieces[str(choice.get("index"))].append((at, delta, name))
    for choice_pieces in pieces.values():
        text = "".join(delta[name] for _, delta, name in choice_pieces)
        if (changed := change(text, "content")) != text:
            for at, delta, name in choice_pieces:
                delta[name], changed = changed, ""
                lines[at] = f"data: {json.dumps(events[at])}\n"
