"""When two requests match, and how they differ if they do not.

Host, port, scheme, base path and headers do not count, and neither do the order of a query, of JSON members and of a
form's parts, a form's boundary, the spelling of numbers, and whether an empty JSON object is sent or nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from fine_tuning_formats.lazy_dataclass import dataclass

from .messages import FIELDS_TYPE, FormPart, RecordedRequest, header_value
from .resources import api_path
from .training_data import canonical_json, digest_content, digest_rows, is_digest, parse_equal_numbers, short_hash

IGNORED_QUERY = frozenset({"api-version"})
"""Azure's version of the API belongs to the address, as ``/v1`` does."""

BodyKey: TypeAlias = dict[str, Any]
"""One member, named "json", "form", "fields" or "text", with the value; empty for no body."""

SHOWN_DIFFERENCES, SHOWN_CHARACTERS = 5, 160
COSTS = {"method": 20, "kind of body": 10}
SEGMENT_COST = 10
"""A request to another path is farther away than one with another body, where each difference costs 1."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The parts that match requests: method, path below the API's base, decoded and sorted query, body as a value.

    Args:
        original_key: the key before redaction, where redaction has changed the rest.
    """

    method: str
    path: str
    query: dict[str, list[str]]
    body: BodyKey
    original_key: str = ""

    @property
    def key(self) -> str:
        """A hash that is equal for requests that match."""
        rest = [self.method, self.path, self.query, self.body]
        return self.original_key or short_hash(canonical_json(rest).encode())


@dataclass(frozen=True, slots=True)
class RequestDifference:
    """One difference of two requests: where it is, and the values there."""

    where: str
    recorded: str
    requested: str
    cost: int = 1

    def __str__(self) -> str:
        return f"{self.where}: recorded {_shorten(self.recorded)}, requested {_shorten(self.requested)}"


def request_key(request: RecordedRequest) -> RequestKey:
    """Return the key of a request that has been redacted."""
    query: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in sorted(parse_qsl(urlsplit(request.uri).query, keep_blank_values=True)):
        if name not in IGNORED_QUERY:
            query[name].append(value)
    path = api_path(request.uri) or urlsplit(request.uri).path.strip("/")
    return RequestKey(request.method, path, dict(query), _body_key(request), request.original_key)


def find_differences(recorded: RequestKey, requested: RequestKey) -> list[RequestDifference]:
    """Return all differences of two requests; none if they match."""
    places, others = _places(recorded), _places(requested)
    differences = []
    for where in {**places, **others}:
        one, other = places.get(where, "nothing"), others.get(where, "nothing")
        if one != other:
            cost = COSTS.get(where, 1)
            if where == "path":
                cost = SEGMENT_COST * sum(a != b for a, b in zip_longest(one.split("/"), other.split("/")))
            differences.append(RequestDifference(where, one, other, cost))
    return differences


def find_nearest(keys: Sequence[RequestKey], requested: RequestKey) -> tuple[int, list[RequestDifference]] | None:
    """Return the index of the key nearest to *requested*, with their differences; the first of several."""
    candidates = [(index, find_differences(key, requested)) for index, key in enumerate(keys)]
    return min(candidates, key=lambda candidate: sum(each.cost for each in candidate[1]), default=None)


def render_differences(differences: Sequence[RequestDifference]) -> list[str]:
    """Return a line for each of the first differences, and the number of the others."""
    lines = [str(difference) for difference in differences[:SHOWN_DIFFERENCES]]
    hidden = len(differences) - SHOWN_DIFFERENCES
    return [*lines, f"and {hidden} more"] if hidden > 0 else lines


def _body_key(request: RecordedRequest) -> BodyKey:
    if request.form is not None:
        return {"form": sorted(map(_part_key, request.form), key=canonical_json)}
    value = parse_equal_numbers(request.body) if request.body.strip() else {}
    if value is not None:
        return {} if value == {} else {"json": value}
    text = request.body.decode("utf-8", "backslashreplace")
    if header_value(request.headers, "content-type").startswith(FIELDS_TYPE):
        return {"fields": sorted(parse_qsl(text, keep_blank_values=True))}
    return {"text": text}


def _part_key(part: FormPart) -> dict[str, Any]:
    """Return a field's text, or a file's digests: those also where a cassette has kept the content."""
    key: dict[str, Any] = {"name": part.name, "filename": part.filename}
    content = part.content or b""
    if part.digest:
        return {**key, "content": part.digest}
    if not part.rows and not part.is_file:
        return {**key, "text": content.decode("utf-8", "backslashreplace")}
    rows = part.rows or digest_rows(content)
    return {**key, "content": digest_content(content)} if rows is None else {**key, "rows": list(rows)}


def _places(key: RequestKey) -> dict[str, str]:
    """Return what a key consists of, by the name of the place: equal for equal keys only."""
    places = {"method": key.method, "path": f"/{key.path}"}
    for name, values in sorted(key.query.items()):
        places[f"query {name!r}"] = " and ".join(map(repr, values))
    places["kind of body"] = next(iter(key.body), "none")
    seen: Counter[str] = Counter()
    for part in key.body.get("form", ()):
        name = part["name"]
        seen[name] += 1
        where = (f"part {name!r}" if name else "body") + (f" #{seen[name]}" if seen[name] > 1 else "")
        if part["filename"] is not None:
            places[f"{where}, file name"] = repr(part["filename"])
        for number, row in enumerate(part.get("rows", ()), 1):
            places[f"{where}, row {number}"] = row
        if "rows" not in part:
            places[where] = part["content"] if "content" in part else canonical_json(part["text"])
    for kind, value in key.body.items():
        places.update(_leaves(value, "") if kind != "form" else ())
    return places


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield the values in a JSON value, by JSON pointer (RFC 6901)."""
    if isinstance(value, dict) and value:
        for name, item in sorted(value.items()):
            yield from _leaves(item, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        yield f"length of body {pointer}", str(len(value))  # or else [1] would be {"0": 1}
        for index, item in enumerate(value):
            yield from _leaves(item, f"{pointer}/{index}")
    else:
        yield f"body {pointer or '(whole)'}", value if is_digest(value) else canonical_json(value)


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
