"""How a dialect's requests come in and its answers go out; the default one never comes here but to be told so."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.types import Scope

from ..api_errors import ApiError, invalid_field
from ..domain.dialects.dialect import ALL, RECORDED, Dialect, HttpStyle
from ..domain.dialects.translate import to_dialect
from .request import ApiRequest
from .response import GATEWAY, JSON_TYPE, Response, error_response, json_response

if TYPE_CHECKING:
    from .operation import Operation

PREFIXES = ("/openai/", "/api/projects/")
"""How paths begin that may be another name of one under ``/v1``."""

ELSEWHERE = re.compile(r"(?:/api/projects/[^/]+)?/openai(?P<version>/v1)?(?P<rest>/.*)")
"""Such a path: what it is under ``/v1`` is its rest."""


def to_v1_path(scope: Scope, manner: HttpStyle) -> Scope:
    """*scope* with its path under ``/v1``, where the manner knows the path; as it was where it does not."""
    match = ELSEWHERE.fullmatch(scope["path"]) if manner.version_wanted else None
    if match is None or not (match["version"] or b"api-version=" in scope["query_string"]):
        return scope
    return {**scope, "path": f"/v1{match['rest']}"}


def base_url_for(url: str, dialect: Dialect) -> str:
    """The base URL that clients of the dialect are told, of the one that ends in ``/v1``."""
    return url.removesuffix("/v1") + dialect.http.root


def authorization(call: ApiRequest) -> str:
    """The key of a request as an Authorization header has it; the dialect may have a header of its own for keys."""
    manner = call.service.account.dialect.http
    key = call.header(manner.key_header) if manner.key_header else ""
    return f"Bearer {key}" if key else call.header(b"authorization")


def success_response(result: Any, operation: Operation, call: ApiRequest) -> Response:
    """Return the answer with an operation's result, in a dialect other than the default."""
    dialect = call.service.account.dialect
    made = operation.name in dialect.http.made
    answer = json_response(to_dialect(dialect, result, operation.name), operation.group, 201 if made else 200)
    if made:
        answer.headers.append((b"location", _location(call.scope, str(result["id"]))))
    return _with_newline(answer, operation, dialect.http)


def dialect_error_response(error: ApiError, operation: Operation, dialect: Dialect) -> Response:
    """The answer that refuses."""
    if dialect is RECORDED:
        return error_response(error, operation.group)
    if error.status == 401 and 401 in dialect.http.refusals:
        return _bare_error(401, dialect.http)
    if error.status == 401:
        return error_response(error, operation.group)
    # a family that is only equal to the one of files has no twins
    answer = error_response(error, operation.group if dialect.twins else replace(operation.group))
    return _with_newline(answer, operation, dialect.http)


def unknown_path_response(manner: HttpStyle, path: str) -> Response | None:
    """The answer for a path that is no route, where the manner has one of its own."""
    return None if path.startswith("/_fake") or 404 not in manner.refusals else _bare_error(404, manner)


def apply_header_style(answer: Response, operation: Operation | None, manner: HttpStyle) -> None:
    """Put the headers in the manner's way."""
    headers = [_header(name, value, manner) for name, value in answer.headers if name not in manner.without]
    own = manner.headers.get(operation.name, ()) if operation else ()
    answer.headers = [*headers, *manner.headers.get(ALL, ()), *own]


def own_members(dialect: Dialect, sent: Any) -> dict[str, Any]:
    """Take from a request for a job what only the dialect knows; give what the job shows of it.

    Source: Azure's recordings (``"Standard"`` comes back as ``"standard"``).
    """
    if not isinstance(sent, dict):
        return {}
    own = {name: sent.pop(name) for name in dialect.own_fields if name in sent}
    shown = {name: value[:1].lower() + value[1:] for name, value in own.items() if isinstance(value, str)}
    return {**shown, **{name: None for name in dialect.as_sent if sent.get(name) is None}}


def check_suffix(dialect: Dialect, sent: Any) -> None:
    """Refuse a suffix that the dialect has no room for.

    Raises:
        ApiError: it is too long (printed output of 2023-08).
    """
    most, suffix = dialect.suffix_at_most, sent.get("suffix") if isinstance(sent, dict) else None
    if most and isinstance(suffix, str) and len(suffix) > most:
        raise invalid_field("suffix", f": {suffix[:200]}, ensure this value has at most {most} characters")


def _with_newline(answer: Response, operation: Operation, manner: HttpStyle) -> Response:
    """*answer* with the newline at its end that it must have, or without."""
    wanted = manner.newline.get(operation.name, operation.group.newline)
    if isinstance(answer.body, bytes) and wanted != answer.body.endswith(b"\n"):
        answer.body = answer.body.rstrip(b"\n") + b"\n" * wanted
        length = (b"content-length", b"%d" % len(answer.body))
        answer.headers = [length if name == b"content-length" else (name, value) for name, value in answer.headers]
    return answer


def _bare_error(status: int, manner: HttpStyle) -> Response:
    code, message = manner.refusals[status]
    return json_response({"error": {"code": code, "message": message}}, GATEWAY, status)


def _header(name: bytes, value: bytes, manner: HttpStyle) -> tuple[bytes, bytes]:
    if name == b"x-request-id":
        digits = value.decode().removeprefix("req_")
        called, style = manner.request_id
        return called, {"req": value, "hex": digits.encode(), "uuid": str(UUID(digits)).encode()}[style]
    return (name, manner.json_type) if (name, value) == JSON_TYPE else (name, value)


def _location(scope: Scope, identifier: str) -> bytes:
    """Where to find what was made: under the path it was made by."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost")
    path = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0]
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return b"%s://%s%s/%s%s" % (scope["scheme"].encode(), host, path, identifier.encode(), query)
