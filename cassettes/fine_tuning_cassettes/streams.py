"""Answers that come in pieces, as events of a stream: what they say is read, and changed, as the whole that it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .exchanges import parsed

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
