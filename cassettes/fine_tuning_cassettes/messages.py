"""What a cassette holds: requests with their answers, as plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names in lower case, with their values; a name may come more than once."""


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of a form: its content, or what stands for content that is not kept.

    Args:
        rows: a mark for each row of a JSONL file.
        digest: a mark for the whole of any other content.
    """

    name: str
    filename: str | None = None
    content: bytes | None = None
    rows: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A request: a body, or the parts of a form.

    Args:
        meaning: a digest of what it meant before it was scrubbed, in a cassette that does not tell it otherwise.
    """

    method: str
    uri: str
    headers: Headers = ()
    body: bytes = b""
    form: tuple[FormPart, ...] | None = None
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What a request got; the body is not compressed."""

    status: int
    reason: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request with its answer."""

    asked: Request
    answer: Response


def header(headers: Headers, name: str) -> str:
    """The last value of a header; empty where there is none."""
    return next((value for each, value in reversed(headers) if each == name), "")


def parsed(body: bytes | str) -> Any:
    """*body* as JSON; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def unescaped(text: str) -> str:
    """What stands between the quotes of a text in JSON; itself where it is none."""
    value = parsed(f'"{text}"')
    return value if isinstance(value, str) else text


def members(body: bytes) -> dict[str, Any]:
    """The members of *body*; none where it is no JSON object."""
    value = parsed(body)
    return value if isinstance(value, dict) else {}


def is_file(part: FormPart) -> bool:
    """Whether a part is a file: it has a file's name, or the name of the member that takes one."""
    return part.filename is not None or part.name in ("file", "data")
