"""Remove training data that is quoted elsewhere: in error messages, events, metadata, completions.

A quotation is `RUN` characters in a row that a training text has, too; in prose also a whole text of `SHORT_RUN`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from .messages import Interaction, fix_content_length, parse_json, unescape_json
from .training_data import holds_file_content, is_digest

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
    """What a recording, scrubbed of training data where it is sent as such, still quotes of the training texts."""

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
        response = fix_content_length(replace(response, body=_change_body(response.body, change)))
    return Interaction(replace(request, body=_change_body(request.body, change)), response)


def _change_body(body: bytes, change: Change) -> bytes:
    """Change the strings of a body that is JSON, or of those lines that are, alone or as events of a stream."""
    text = body.decode("utf-8", "surrogateescape")
    lines = [text] if parse_json(text) is not None else text.splitlines(keepends=True)
    name = ""

    def change_string(match: re.Match[str]) -> str:
        nonlocal name
        value = unescape_json(match[1])
        if match[2]:  # a colon follows
            name = value
        elif not _KEPT.fullmatch(name) and (changed := change(value, name)) != value:
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
