"""Training data where it is quoted: found in what cassettes would say besides, and taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from .messages import Interaction, parsed, unescaped
from .redaction import measured
from .request_matching import is_mark
from .training_data import is_data

EVENT = "data:"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of what a choice says: in which line, in which object, under which name."""

    line: int
    holder: dict[str, Any]
    name: str

    @property
    def text(self) -> str:
        """What it says."""
        return str(self.holder[self.name])


def joined(body: bytes) -> list[str]:
    """What each choice of a stream says; nothing where *body* is no stream."""
    return ["".join(piece.text for piece in pieces) for pieces in _choices(_events(_lines(body))).values()]


def rejoined(body: bytes, change: Callable[[str], str]) -> bytes:
    """A stream in which each choice says what *change* makes of it; all of that is then in its first piece."""
    lines = _lines(body)
    events = _events(lines)
    for pieces in _choices(events).values():
        said = "".join(piece.text for piece in pieces)
        changed = change(said)
        for piece in pieces if changed != said else ():
            piece.holder[piece.name] = changed if piece is pieces[0] else ""
            lines[piece.line] = f"{EVENT} {json.dumps(events[piece.line])}\n"
    return "".join(lines).encode("utf-8", "surrogateescape") if events else body


def _lines(body: bytes) -> list[str]:
    is_stream = body.startswith(EVENT.encode()) or b"\n" + EVENT.encode() in body
    return body.decode("utf-8", "surrogateescape").splitlines(keepends=True) if is_stream else []


def _events(lines: list[str]) -> dict[int, Any]:
    """What is in the lines that are events, by their number."""
    return {at: parsed(line.removeprefix(EVENT)) for at, line in enumerate(lines) if line.startswith(EVENT)}


def _choices(events: Mapping[int, Any]) -> dict[str, list[Piece]]:
    """The pieces of each choice in their order; a chat has them in deltas."""
    found: dict[str, list[Piece]] = {}
    for at, event in events.items():
        choices = event.get("choices") if isinstance(event, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            holder = choice.get("delta", choice) if isinstance(choice, dict) else None
            name = "content" if isinstance(holder, dict) and holder is not choice else "text"
            if isinstance(holder, dict) and isinstance(holder.get(name), str):
                found.setdefault(str(choice.get("index")), []).append(Piece(at, holder, name))
    return found


RUN = 16
"""How many characters in a row of training data are a quotation of it."""
PIECE = 8
STRIDE = RUN - PIECE + 1
"""Any run has a whole piece that begins at a multiple of this: no others need be looked at."""

WHOLE = 8
"""How long a text of training data must be to be looked for as a whole, if it is shorter than a quotation."""

REMOVED = "[training data]"
_TOLD = frozenset(
    {"message", "content", "text", "error", "detail", "details", "description", "prompt", "input", "output", "refusal"}
    | {"reason", "arguments", "line", "row", "rows", "example", "examples", "sample", "samples", "value", "values"}
)
"""Members where people and models are told something: there short texts of training data are quotations, too."""
_KEPT = frozenset(
    {
        "id",
        "object",
        "type",
        "status",
        "role",
        "model",
        "fine_tuned_model",
        "fine_tuned_model_checkpoint",
        "code",
        "param",
    }
    | {"fine_tuning_job_id", "training_file", "validation_file", "result_files", "file_id", "file_ids", "part_ids"}
    | {"upload_id", "purpose", "filename", "mime_type", "organization_id", "owned_by", "level", "event", "method"}
    | {"finish_reason", "system_fingerprint", "service_tier", "first_id", "last_id", "name", "suffix"}
    | {"user_provided_suffix", "operation", "url"}
)
"""Members with statuses and ids, with which no flow may be broken."""
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*:)?')


@dataclass(frozen=True, slots=True)
class Quotations:
    """What of the training data is quoted in a recording.

    Args:
        runs: runs of `RUN` characters that training data has, too.
        wholes: short texts of it.
    """

    runs: frozenset[str]
    wholes: tuple[str, ...]

    @classmethod
    def found(cls, texts: Iterable[str], interactions: Iterable[Interaction]) -> Quotations:
        """What of *texts* is quoted in *interactions*."""
        said = {(text, name in _TOLD) for each in interactions for name, text in _said_in(each)}
        runs = {run for text, _ in said for run in _pieces(text, RUN)}
        told = [text for text, is_told in said if is_told]
        pieces = {piece for run in runs for piece in _pieces(run, PIECE)}
        kept = [text for text in set(texts) if not is_mark(text)] if said else []
        short = {text for text in kept if WHOLE <= len(text) < RUN and any(text in each for each in told)}
        return cls(
            frozenset(run for text in kept for run in _shared(text, runs, pieces)),
            tuple(sorted(short, key=lambda text: (-len(text), text))),
        )

    def taken_out(self, interaction: Interaction) -> Interaction:
        """An interaction without them."""
        if not (self.runs or self.wholes):
            return interaction
        asked, answer = interaction.asked, interaction.answer
        if not is_data(answer):
            answer = measured(replace(answer, body=self._cleared(answer.body)))
        return Interaction(replace(asked, body=self._cleared(asked.body)), answer)

    def _cleared(self, body: bytes) -> bytes:
        def put(found: re.Match[str], name: str) -> str:
            value = unescaped(found[1])
            cleared = self.without(value, whole=name in _TOLD)
            return found[0] if cleared == value else json.dumps(cleared)

        return _changed(rejoined(body, self.without), put, self.without)

    def without(self, text: str, whole: bool = True) -> str:
        """*text* without quotations, short ones only where they may be *whole* texts."""
        quoted = [False] * len(text)
        for start in range(len(text) - RUN + 1):
            if text[start : start + RUN] in self.runs:
                quoted[start : start + RUN] = [True] * RUN
        kept = "".join("\0" if is_quoted else each for each, is_quoted in zip(text, quoted, strict=True))
        for each in self.wholes if whole else ():
            kept = kept.replace(each, "\0")
        return re.sub("\0+", REMOVED, kept)


def _said_in(interaction: Interaction) -> Iterator[tuple[str, str]]:
    """The texts in which something may be quoted, each with the name of the member that it is in."""
    found: list[tuple[str, str]] = []

    def take(token: re.Match[str], name: str) -> str:
        found.append((name, unescaped(token[1])))
        return token[0]

    def take_line(line: str) -> str:
        found.append(("text", line))
        return line

    bodies = [interaction.asked.body, *([] if is_data(interaction.answer) else [interaction.answer.body])]
    for body in bodies:
        found += [("content", text) for text in joined(body)]
        _changed(body, take, take_line)
    yield from found


def _changed(body: bytes, put: Callable[[re.Match[str], str], str], put_line: Callable[[str], str]) -> bytes:
    """*body* with its texts changed: those in JSON by *put*, which is told the member, and the rest by *put_line*."""
    text = body.decode("utf-8", "surrogateescape")
    lines = [text] if parsed(text) is not None else text.splitlines(keepends=True)
    changed = (_changed_json(each, put) if _is_json(each) else put_line(each) for each in lines)
    return "".join(changed).encode("utf-8", "surrogateescape")


def _is_json(line: str) -> bool:
    """Whether a line is JSON, alone or as the data of an event in a stream."""
    return parsed(line.removeprefix("data:")) is not None


def _changed_json(text: str, put: Callable[[re.Match[str], str], str]) -> str:
    name = ""

    def each(found: re.Match[str]) -> str:
        nonlocal name
        if found[2]:
            name = unescaped(found[1])
            return found[0]
        return found[0] if name in _KEPT else put(found, name)

    return _TOKEN.sub(each, text)


def _pieces(text: str, length: int) -> Iterator[str]:
    return (text[start : start + length] for start in range(len(text) - length + 1))


def _shared(text: str, runs: Set[str], pieces: Set[str]) -> Iterator[str]:
    """The runs in *text* that are among *runs*: only around such *pieces* of them as each must have one of."""
    for at in range(0, len(text) - PIECE + 1, STRIDE):
        if text[at : at + PIECE] in pieces:
            around = text[max(at - STRIDE + 1, 0) : at + RUN]
            yield from (run for run in _pieces(around, RUN) if run in runs)
