"""How a dialect's requests come in and its answers go out; the default one never comes here but to be told so."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from starlette.types import Scope

from ..api_errors import ApiError, invalid_field
from ..domain.dialects.dialect import ALL, RECORDED, Dialect, Manner
from ..domain.dialects.translate import said
from .request import Call
from .response import GATEWAY, JSON_TYPE, Answer, error_answer, json_answer

if TYPE_CHECKING:
    from .operation import Operation

PREFIXES = ("/openai/", "/api/projects/")
"""How paths begin that may be another name of one under ``/v1``."""

ELSEWHERE = re.compile(r"(?:/api/projects/[^/]+)?/openai(?P<version>/v1)?(?P<rest>/.*)")
"""Such a path: what it is under ``/v1`` is its rest."""


def placed(scope: Scope, manner: Manner) -> Scope:
    """*scope* with its path under ``/v1``, where the manner knows the path; as it was where it does not."""
    match = ELSEWHERE.fullmatch(scope["path"]) if manner.version_wanted else None
    if match is None or not (match["version"] or b"api-version=" in scope["query_string"]):
        return scope
    return {**scope, "path": f"/v1{match['rest']}"}


def told(url: str, dialect: Dialect) -> str:
    """The base URL that clients of the dialect are told, of the one that ends in ``/v1``."""
    return url.removesuffix("/v1") + dialect.manner.root


def authorization(call: Call) -> str:
    """The key of a request as an Authorization header has it; the dialect may have a header of its own for keys."""
    manner = call.service.account.dialect.manner
    key = call.header(manner.key_header) if manner.key_header else ""
    return f"Bearer {key}" if key else call.header(b"authorization")


def success(result: Any, operation: Operation, call: Call) -> Answer:
    """The answer with what the operation's verb says."""
    dialect = call.service.account.dialect
    if dialect is RECORDED:
        return json_answer(result, operation.family)
    made = operation.name in dialect.manner.made
    answer = json_answer(said(dialect, result, operation.name), operation.family, 201 if made else 200)
    if made:
        answer.headers.append((b"location", _location(call.scope, str(result["id"]))))
    return _ended(answer, operation, dialect.manner)


def refusal(error: ApiError, operation: Operation, dialect: Dialect) -> Answer:
    """The answer that refuses."""
    if dialect is RECORDED:
        return error_answer(error, operation.family)
    if error.status == 401 and 401 in dialect.manner.refusals:
        return _bare(401, dialect.manner)
    if error.status == 401:
        return error_answer(error, operation.family)
    # a family that is only equal to the one of files has no twins
    answer = error_answer(error, operation.family if dialect.twins else replace(operation.family))
    return _ended(answer, operation, dialect.manner)


def unrouted(manner: Manner, path: str) -> Answer | None:
    """The answer for a path that is no route, where the manner has one of its own."""
    return None if path.startswith("/_fake") or 404 not in manner.refusals else _bare(404, manner)


def restyle(answer: Answer, operation: Operation | None, manner: Manner) -> None:
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


def _ended(answer: Answer, operation: Operation, manner: Manner) -> Answer:
    """*answer* with the newline at its end that it must have, or without."""
    wanted = manner.newline.get(operation.name, operation.family.newline)
    if isinstance(answer.body, bytes) and wanted != answer.body.endswith(b"\n"):
        answer.body = answer.body.rstrip(b"\n") + b"\n" * wanted
        length = (b"content-length", b"%d" % len(answer.body))
        answer.headers = [length if name == b"content-length" else (name, value) for name, value in answer.headers]
    return answer


def _bare(status: int, manner: Manner) -> Answer:
    code, message = manner.refusals[status]
    return json_answer({"error": {"code": code, "message": message}}, GATEWAY, status)


def _header(name: bytes, value: bytes, manner: Manner) -> tuple[bytes, bytes]:
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
