"""Training data where it is quoted: found in what cassettes would say besides, and taken out."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .exchanges import Answer, Asked, Interaction, Part, header, is_file, parsed
from .places import api_path, is_content, subject_of
from .rows import content_mark, is_mark, marks_of, placeholder, rows_of, text_mark, texts_in
from .scrubbing import measured

RUN = 16
"""How many characters in a row of training data are a quotation of it."""

WHOLE = 8
"""How long a text of training data must be to be looked for as a whole, if it is shorter than a quotation."""

REMOVED = "[training data]"
MARKER = ("x-fine-tuning-cassette", "scrubbed")
"""A header of answers that stand in for a file's content."""

# Where people and models are told something. Elsewhere are statuses and ids, with which no flow may be broken.
_TOLD = re.compile(
    r'"(message|content|text|error|detail|details|description|prompt|input|output|refusal|reason|arguments)"'
    r'(\s*:\s*)("(?:[^"\\]|\\.)*")'
)
PROMPTS = {
    "chat/completions": ("messages",),
    "completions": ("prompt",),
    "fine_tuning/alpha/graders": ("item", "model_sample"),
}
"""Members of requests with a person's own data, by collection."""

_NOT_DATA = frozenset({"role", "type", "name", "id"})
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|$)')


def texts_of(asked: Asked, answer: Answer) -> Iterator[str]:
    """The texts of training data, and of prompts, that an interaction brings."""
    for part in asked.form or ():
        if is_file(part):
            yield from _texts(part.content or b"")
    path = api_path(asked.uri) or ""
    if is_content(path) and answer.status < 400 and not is_result(answer.body):
        yield from _texts(answer.body)
    yield from _data(_prompts(path, parsed(asked.body)))


def _texts(content: bytes) -> Iterator[str]:
    rows = rows_of(content)
    if rows is not None:
        yield from _data(rows)
        return
    # a piece of a file, which may begin and end inside of a row
    for line in content.decode("utf-8", "replace").split("\n"):
        yield line
        for found in _STRING.finditer(line):
            yield _unescaped(found[1])


def _data(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in _NOT_DATA or not isinstance(each, str):
                yield from _data(each)
    elif isinstance(value, list):
        for each in value:
            yield from _data(each)
    else:
        yield from texts_in(value)


def _prompts(path: str, body: Any) -> list[Any]:
    if not isinstance(body, dict):
        return []
    return [body[name] for name in PROMPTS.get(subject_of(path).collection, ()) if name in body]


def without_data(interaction: Interaction) -> Interaction:
    """An interaction with marks in place of a file's content, in the request and in the answer, and of prompts."""
    asked, answer = interaction.asked, interaction.answer
    path = api_path(asked.uri) or ""
    if is_content(path) and answer.status < 400 and not is_result(answer.body):
        body = placeholder(answer.body)
        kept = tuple(each for each in answer.headers if each[0] != MARKER[0])
        answer = measured(replace(answer, headers=(*kept, MARKER), body=body))
    return Interaction(marked(asked), answer)


def marked(asked: Asked) -> Asked:
    """A request with marks in place of files and prompts."""
    form = None if asked.form is None else tuple(_marked_part(part) for part in asked.form)
    return without_prompts(replace(asked, form=form))


def _marked_part(part: Part) -> Part:
    if not is_file(part) or part.content is None:
        return part
    marks = marks_of(part.content)
    return Part(part.name, part.filename, rows=marks or (), digest="" if marks else content_mark(part.content))


def without_prompts(asked: Asked) -> Asked:
    """A request with marks in place of prompts."""
    names = PROMPTS.get(subject_of(api_path(asked.uri) or "").collection, ())
    body = parsed(asked.body)
    if not isinstance(body, dict) or not any(name in body for name in names):
        return asked
    marked = {name: _marked(value) if name in names else value for name, value in body.items()}
    return replace(asked, body=json.dumps(marked).encode())


def _marked(value: Any) -> Any:
    if isinstance(value, str):
        return text_mark(value)
    if isinstance(value, list):
        return [_marked(each) for each in value]
    if isinstance(value, dict):
        return {name: each if name in ("role", "type") else _marked(each) for name, each in value.items()}
    return value


def is_result(body: bytes) -> bool:
    """Whether a file's content is a result file: a CSV of numbers by step, which tells nothing of the rows."""
    lines = [line.split(",") for line in _plain(body).splitlines() if line.strip()]
    if not lines or lines[0][0].strip() != "step":
        return False
    return all(_is_number(cell) for line in lines[1:] for cell in line)


def _plain(body: bytes) -> str:
    """A result file's text; the service wraps it in base64."""
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return body.decode("utf-8", "replace")


def _is_number(cell: str) -> bool:
    try:
        float(cell or "0")
    except ValueError:
        return False
    return True


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
        told = {text for each in interactions for text in _told_in(each)}
        runs = {run for text in told for run in _runs(text)}
        kept = [text for text in set(texts) if not is_mark(text)]
        short = {text for text in kept if WHOLE <= len(text) < RUN and any(text in each for each in told)}
        return cls(
            frozenset(run for text in kept for run in _runs(text) if run in runs),
            tuple(sorted(short, key=lambda text: (-len(text), text))),
        )

    def taken_out(self, interaction: Interaction) -> Interaction:
        """An interaction without them."""
        if not (self.runs or self.wholes):
            return interaction
        asked, answer = interaction.asked, interaction.answer
        if _is_data(answer):
            return interaction
        cleared = measured(replace(answer, body=self._cleared(answer.body)))
        return Interaction(replace(asked, body=self._cleared(asked.body)), cleared)

    def _cleared(self, body: bytes) -> bytes:
        text = body.decode("utf-8", "surrogateescape")
        return _TOLD.sub(self._member, text).encode("utf-8", "surrogateescape")

    def _member(self, found: re.Match[str]) -> str:
        value = _unescaped(found[3][1:-1])
        cleared = self.without(value)
        return found[0] if cleared == value else f'"{found[1]}"{found[2]}{json.dumps(cleared)}'

    def without(self, text: str) -> str:
        """*text* without quotations."""
        quoted = [False] * len(text)
        for start in range(len(text) - RUN + 1):
            if text[start : start + RUN] in self.runs:
                quoted[start : start + RUN] = [True] * RUN
        kept = "".join("\0" if is_quoted else each for each, is_quoted in zip(text, quoted, strict=True))
        for whole in self.wholes:
            kept = kept.replace(whole, "\0")
        return re.sub("\0+", REMOVED, kept)


def _is_data(answer: Answer) -> bool:
    """Whether an answer is a file's content, or what stands for it: there is nothing told in it."""
    return header(answer.headers, MARKER[0]) == MARKER[1] or is_result(answer.body)


def _told_in(interaction: Interaction) -> Iterator[str]:
    for body in (interaction.asked.body, interaction.answer.body):
        for found in _TOLD.finditer(body.decode("utf-8", "surrogateescape")):
            yield _unescaped(found[3][1:-1])


def _runs(text: str) -> Iterator[str]:
    return (text[start : start + RUN] for start in range(len(text) - RUN + 1))


def _unescaped(text: str) -> str:
    value = parsed(f'"{text}"')
    return value if isinstance(value, str) else text
