"""What a request means, whoever sends it and wherever to: two requests match where their meanings are equal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from .exchanges import Asked, Part, header, is_file, parsed
from .places import api_path
from .rows import canonical, content_mark, digest, marks_of

IGNORED_QUERY = frozenset({"api-version"})
"""Azure's way to say which version of the API is meant: that belongs to the address, as ``/v1`` does."""

Body: TypeAlias = dict[str, Any]
"""One member that names the kind ("json", "form", "fields", "text", "bytes"), with the value; none for no body."""


@dataclass(frozen=True, slots=True)
class Meaning:
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


def meaning_of(asked: Asked) -> Meaning:
    """What a request means that has been scrubbed."""
    path = api_path(asked.uri) or urlsplit(asked.uri).path.strip("/")
    return Meaning(asked.method, path, _query(asked.uri), _body(asked), asked.meaning)


def _query(uri: str) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in sorted(parse_qsl(urlsplit(uri).query, keep_blank_values=True)):
        if name not in IGNORED_QUERY:
            found[name].append(value)
    return dict(found)


def _body(asked: Asked) -> Body:
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


def _part(part: Part) -> dict[str, Any]:
    return {"name": part.name, "filename": part.filename, **_content(part)}


def _content(part: Part) -> dict[str, Any]:
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
