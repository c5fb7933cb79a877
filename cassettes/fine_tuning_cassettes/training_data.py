"""Training data: what requests and answers bring of it, and marks in its place."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .api_paths import api_path, is_content, resource_of
from .messages import FormPart, Interaction, Request, Response, header, is_file, parsed, unescaped
from .redaction import measured
from .request_matching import content_mark, marks_of, placeholder, rows_of, text_mark, texts_in

MARKER = ("x-fine-tuning-cassette", "scrubbed")
"""A header of answers that stand in for a file's content."""

PROMPTS = {
    "chat/completions": ("messages",),
    "completions": ("prompt",),
    "fine_tuning/alpha/graders": ("item", "model_sample"),
}
"""Members of requests with a person's own data, by collection."""

_NOT_DATA = frozenset({"role", "type", "name", "id"})
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|$)')


def texts_of(asked: Request, answer: Response | None) -> Iterator[str]:
    """The texts of training data, and of prompts, that a request brings, and its answer if it is known."""
    for part in asked.form or ():
        if is_file(part):
            yield from _texts(part.content or b"")
    path = api_path(asked.uri) or ""
    if answer and _brings_rows(path, answer):
        yield from _texts(answer.body)
    yield from _data(_prompts(path, parsed(asked.body)))


def _brings_rows(path: str, answer: Response) -> bool:
    return is_content(path) and 200 <= answer.status < 300 and not is_result(answer.body)


def _texts(content: bytes) -> Iterator[str]:
    rows = rows_of(content)
    if rows is not None:
        yield from _data(rows)
        return
    # a piece of a file, which may begin and end inside of a row
    for line in content.decode("utf-8", "replace").split("\n"):
        yield line
        for found in _STRING.finditer(line):
            yield unescaped(found[1])


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
    return [body[name] for name in PROMPTS.get(resource_of(path).collection, ()) if name in body]


def without_data(interaction: Interaction) -> Interaction:
    """An interaction with marks in place of a file's content, in the request and in the answer, and of prompts."""
    asked, answer = interaction.asked, interaction.answer
    path = api_path(asked.uri) or ""
    if _brings_rows(path, answer):
        body = placeholder(answer.body)
        kept = tuple(each for each in answer.headers if each[0] != MARKER[0])
        answer = measured(replace(answer, headers=(*kept, MARKER), body=body))
    return Interaction(mark_rows(asked), answer)


def mark_rows(asked: Request) -> Request:
    """A request with marks in place of files and prompts."""
    form = None if asked.form is None else tuple(_marked_part(part) for part in asked.form)
    return without_prompts(replace(asked, form=form))


def _marked_part(part: FormPart) -> FormPart:
    if not is_file(part) or part.content is None:
        return part
    marks = marks_of(part.content)
    return FormPart(part.name, part.filename, rows=marks or (), digest="" if marks else content_mark(part.content))


def without_prompts(asked: Request) -> Request:
    """A request with marks in place of prompts."""
    names = PROMPTS.get(resource_of(api_path(asked.uri) or "").collection, ())
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


def is_data(answer: Response) -> bool:
    """Whether an answer is a file's content, or what stands for it: there is nothing told in it."""
    return header(answer.headers, MARKER[0]) == MARKER[1] or is_result(answer.body)
