"""What a request means, whoever sends it and wherever to: two requests match where their meanings are equal."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from .api_paths import api_path
from .messages import FormPart, Request, header, is_file, parsed

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
MARK = re.compile(r"sha256:[0-9a-f]{32}(, .*)?")
SCRUBBED_ROW, SCRUBBED_CONTENT = "scrubbed_row", "scrubbed_content"
"""The one member of the rows that are answered in place of training data."""


def canonical(value: Any) -> str:
    """*value* as JSON in the one spelling that all equal values share: order of members and ``3.0`` do not count."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def rows_of(content: bytes) -> list[Any] | None:
    """The rows of a JSONL file; None where it is none."""
    try:
        lines = [line for line in content.decode("utf-8-sig").split("\n") if line.strip()]
        return [json.loads(line) for line in lines] or None
    except (ValueError, RecursionError):
        return None


def marks_of(content: bytes) -> tuple[str, ...] | None:
    """A mark for each row of a JSONL file; None where it is none."""
    rows = rows_of(content)
    return None if rows is None else tuple(mark(row) for row in rows)


def mark(row: Any) -> str:
    """What stands for a row: a digest of its meaning, and its shape. The mark of what stands for a row is that mark."""
    if isinstance(row, dict) and len(row) == 1 and is_mark(row.get(SCRUBBED_ROW)):
        return str(row[SCRUBBED_ROW])
    text = canonical(row)
    return f"{digest(text.encode())}, {_shape(row)}, {len(text)} characters"


def content_mark(content: bytes) -> str:
    """What stands for content that has no rows."""
    value = parsed(content)
    if isinstance(value, dict) and len(value) == 1 and is_mark(value.get(SCRUBBED_CONTENT)):
        return str(value[SCRUBBED_CONTENT])
    return f"{digest(content)}, {len(content)} bytes"


def text_mark(text: str) -> str:
    """What stands for a prompt."""
    return text if is_mark(text) else f"{digest(text.encode('utf-8', 'surrogatepass'))}, {len(text)} characters"


def is_mark(value: object) -> bool:
    """Whether *value* stands for something that was not kept."""
    return isinstance(value, str) and MARK.fullmatch(value) is not None


def placeholder(content: bytes) -> bytes:
    """What is answered in place of a file's content: as many rows as it has, each with its mark."""
    marks = marks_of(content)
    if marks is None:
        return (json.dumps({SCRUBBED_CONTENT: content_mark(content)}) + "\n").encode()
    return "".join(json.dumps({SCRUBBED_ROW: each}) + "\n" for each in marks).encode()


def digest(content: bytes) -> str:
    """A digest of 128 bits: enough to tell rows apart."""
    return f"sha256:{hashlib.sha256(content).hexdigest()[:32]}"


def texts_in(value: Any) -> Iterator[str]:
    """The texts in a JSON value, names of members left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)


def _shape(row: Any) -> str:
    if not isinstance(row, dict):
        return type(row).__name__
    messages = row.get("messages")
    if not isinstance(messages, list):
        return f"{len(row)} members"
    roles = (each.get("role") if isinstance(each, dict) else None for each in messages)
    return f"messages {' '.join(role if role in ROLES else '?' for role in roles)}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


IGNORED_QUERY = frozenset({"api-version"})
"""Azure's way to say which version of the API is meant: that belongs to the address, as ``/v1`` does."""

Body: TypeAlias = dict[str, Any]
"""One member that names the kind ("json", "form", "fields", "text", "bytes"), with the value; none for no body."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The method, the path from the API's base on, the query decoded and sorted, and the body as a value.

    Host, port, scheme, base path and headers mean nothing, and neither do the order of a query, of JSON members and
    of a form's parts, a form's boundary, the spelling of numbers, and whether an empty JSON object is sent or nothing.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    body: Body
    told: str = ""
    """The key, where it is not that of the rest: something has been taken out of that."""

    @property
    def key(self) -> str:
        """Equal where meanings are equal: a digest."""
        return self.told or digest(canonical([self.method, self.path, self.query, self.body]).encode())


def request_key(asked: Request) -> RequestKey:
    """What a request means that has been scrubbed."""
    path = api_path(asked.uri) or urlsplit(asked.uri).path.strip("/")
    return RequestKey(asked.method, path, _query(asked.uri), _body(asked), asked.meaning)


def _query(uri: str) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in sorted(parse_qsl(urlsplit(uri).query, keep_blank_values=True)):
        if name not in IGNORED_QUERY:
            found[name].append(value)
    return dict(found)


def _body(asked: Request) -> Body:
    if asked.form is not None:
        return {"form": sorted(map(_part, asked.form), key=canonical)}
    value = parsed(asked.body) if asked.body.strip() else {}
    if value == {}:
        return {}
    if value is not None:
        return {"json": value}
    text = asked.body.decode("utf-8", "backslashreplace")
    if header(asked.headers, "content-type").startswith("application/x-www-form-urlencoded"):
        return {"fields": sorted(parse_qsl(text, keep_blank_values=True))}
    return {"text": text}


def _part(part: FormPart) -> dict[str, Any]:
    return {"name": part.name, "filename": part.filename, **_content(part)}


def _content(part: FormPart) -> dict[str, Any]:
    """A field's text; of a file only marks, also where a cassette has kept its content."""
    if part.rows:
        return {"rows": list(part.rows)}
    if part.digest:
        return {"content": part.digest}
    content = part.content or b""
    if not is_file(part):
        return {"text": content.decode("utf-8", "backslashreplace")}
    marks = marks_of(content)
    return {"content": content_mark(content)} if marks is None else {"rows": list(marks)}
