"""One request, as a verb's adapter sees it: path, query, headers, body; and the checks that many share."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from ..account.armed_faults import ArmedFaults
from ..account.request_log import RequestLog
from ..account.script_queue import ScriptStack
from ..account.service import Service
from ..account.world import World
from ..api.request_models import JSON_BYTES_AT_MOST, parse_json, refusal
from ..api_errors import ApiError, no_key, too_large, unsupported_type, wrong_key
from .multipart import FILE_PARTS, FormReader, UploadForm


class ClientGoneError(Exception):
    """The client went away before its request was whole."""


@dataclass(slots=True)
class ApiRequest:
    """A request whose body has arrived: `body` for JSON routes, `form` for uploads.

    The parts of the world are those that were there when the request came: a reset replaces them.
    """

    world: World
    service: Service
    requests: RequestLog
    faults: ArmedFaults
    scripts: ScriptStack
    scope: Scope
    path: dict[str, str]
    begun_at: float = 0.0
    body: bytes = b""
    form: UploadForm | None = None
    read_ahead_result: Any = None
    """What was made of a large body before its verb is asked, see `Operation.ahead`."""
    took_effect: bool = False
    """Whether its verb was asked and did not refuse, whatever a fault makes of the answer."""
    usage_error: str = ""
    """What its user did wrong, which is answered, unless a fault makes something else of the answer."""

    def header(self, name: bytes) -> str:
        """The request's header called *name*, which is in lower case; empty when it was not sent."""
        return next((value.decode("latin-1") for known, value in self.scope["headers"] if known == name), "")

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded; of two values the last counts."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))


def form_fields(form: UploadForm | None) -> dict[str, Any] | None:
    """Return the texts of a form by name, and ``filename`` and ``bytes`` of its file; never the content."""
    if form is None:
        return None
    fields: dict[str, Any] = {}
    for name, part in form.parts.items():
        if part.filename is not None:
            fields |= {"filename": part.filename, "bytes": part.content.size}
        elif name in FILE_PARTS:
            fields["bytes"] = part.content.size
        else:
            fields[name] = form.text(name)
    return fields


def json_body(call: ApiRequest) -> Any:
    """The JSON that a call brings; a body of no type is taken for it (inferred), and so is one with a charset.

    Raises:
        ApiError: the body says that it is something else, or it does not parse.
    """
    content_type = call.header(b"content-type")
    if content_type.partition(";")[0].strip().lower() not in ("", "application/json"):
        raise unsupported_type(content_type)
    return parse_json(call.body)


async def read_body(receive: Receive, limit: int = JSON_BYTES_AT_MOST) -> bytes:
    """The whole body.

    Raises:
        ApiError: it is larger than *limit* bytes; all of it was read, so that the client gets the answer.
        ClientGoneError: it never came whole.
    """
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        chunk, more = await _next(receive)
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)


async def drop_body(receive: Receive) -> None:
    """Read the body and keep nothing of it, so that the client gets the answer.

    Raises:
        ClientGoneError: it never came whole.
    """
    more = True
    while more:
        _, more = await _next(receive)


async def read_form(receive: Receive, content_type: str, file_bytes_at_most: int) -> UploadForm:
    """The form in the body. Raises as `read_body` does, and for a form that cannot be read."""
    try:
        reader = FormReader(content_type, file_bytes_at_most)
    except ApiError:
        await drop_body(receive)
        raise
    more = True
    while more:
        chunk, more = await _next(receive)
        reader.feed(chunk)
    return reader.finish()


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


def check_api_key(authorization: str, accepted: frozenset[str]) -> None:
    """Refuse a request without a key, or with one that is not accepted; an empty set accepts any.

    Raises:
        ApiError: 401.
    """
    key = api_key_of(authorization)
    if not key:
        raise no_key()
    if accepted and key not in accepted:
        raise wrong_key(key)


def api_key_of(authorization: str) -> str:
    """The key in an Authorization header: a bearer token, or the password of basic authentication."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except ValueError:  # neither base64 nor UTF-8
        return ""


def limit_of(query: dict[str, str], default: int, most: int) -> int:
    """The ``limit`` of a list, 1 to *most* (inferred: bounds and texts are the creation errors' family).

    Raises:
        ApiError: 400 for anything else.
    """
    text = query.get("limit", str(default))
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 16):
        raise refusal("limit", "int_parsing", "Input should be a valid integer", text)
    limit = int(text)
    if limit < 1:
        raise refusal("limit", "greater_than_equal", "Input should be greater than or equal to 1", text)
    if limit > most:
        raise refusal("limit", "less_than_equal", f"Input should be less than or equal to {most}", text)
    return limit


def metadata_of(query: dict[str, str]) -> dict[str, str]:
    """The ``metadata[key]=value`` pairs of a query."""
    return {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[") and name.endswith("]")}


def choice_of(query: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """The value of *name*, the first of *allowed* when it is not given.

    Raises:
        ApiError: 400 for a value that is not allowed (inferred).
    """
    value: Any = query.get(name, allowed[0])
    if value not in allowed:
        wanted = " or ".join(f"'{each}'" for each in allowed)
        raise refusal(name, "literal_error", f"Input should be {wanted}", value)
    return str(value)
