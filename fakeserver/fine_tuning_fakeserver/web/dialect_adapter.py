"""Adapt requests and responses to the account's dialect; those of the default dialect pass unchanged."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from starlette.types import Scope

from ..api_errors import ApiError, invalid_field
from ..domain.dialects.dialect import ALL, RECORDED, Dialect, HttpStyle, to_dialect
from .operation import GATEWAY, Header, Operation
from .request import ApiRequest
from .response import JSON_TYPE, ApiResponse, absolute_url, error_response, json_response

PREFIXES = ("/openai/", "/api/projects/")
"""How paths begin that a dialect may have instead of ``/v1``."""

DIALECT_PATH = re.compile(r"(?:/api/projects/[^/]+)?/openai(?P<version>/v1)?(?P<rest>/.*)")
"""Such a path; its rest is what follows ``/v1``."""


def to_v1_path(scope: Scope, style: HttpStyle) -> Scope:
    """Return *scope* with its path under ``/v1`` if the dialect has such a path, else unchanged."""
    match = DIALECT_PATH.fullmatch(scope["path"]) if style.requires_api_version else None
    if match is None or not (match["version"] or b"api-version=" in scope["query_string"]):
        return scope
    return {**scope, "path": f"/v1{match['rest']}"}


def base_url_for(url: str, dialect: Dialect) -> str:
    """Return the base URL for clients of the dialect, given the one that ends in ``/v1``."""
    return url.removesuffix("/v1") + dialect.http.root


def account_root(base_url: str) -> str:
    """Return the URL of an account, or of a server for its `main`, given a base URL of any dialect."""
    return _API_ROOT.sub("", base_url)


_API_ROOT = re.compile(r"(/openai)?(/v1)?/*$")


def authorization(request: ApiRequest) -> str:
    """Return the request's Authorization header, made of the dialect's own header for keys if that was sent."""
    key_header = request.service.account.dialect.http.key_header
    key = request.header(key_header) if key_header else ""
    return f"Bearer {key}" if key else request.header(b"authorization")


def success_response(result: Any, operation: Operation, request: ApiRequest) -> ApiResponse:
    """Return the response with an operation's result, in a dialect other than the default."""
    dialect = request.service.account.dialect
    created = operation.name in dialect.http.created_operations
    response = json_response(to_dialect(dialect, result, operation.name), operation.group, 201 if created else 200)
    if created:
        path = (request.scope.get("raw_path") or request.scope["path"].encode()).partition(b"?")[0]
        location = absolute_url(request.scope, path + b"/" + str(result["id"]).encode())
        response.headers.append((b"location", location))
    return _with_newline(response, operation, dialect.http)


def dialect_error_response(error: ApiError, operation: Operation, dialect: Dialect) -> ApiResponse:
    """Return the response for an error of the API."""
    if dialect is RECORDED:
        return error_response(error, operation.group)
    if error.status == 401 and 401 in dialect.http.bare_errors:
        return _bare_error(401, dialect.http)
    if error.status == 401:
        return error_response(error, operation.group)
    response = error_response(error, operation.group, detail=dialect.doubles_file_errors)
    return _with_newline(response, operation, dialect.http)


def unknown_path_response(style: HttpStyle, path: str) -> ApiResponse | None:
    """Return the response for an unknown path, if the dialect has one of its own."""
    return None if path.startswith("/_fake") or 404 not in style.bare_errors else _bare_error(404, style)


def apply_header_style(response: ApiResponse, operation: Operation | None, style: HttpStyle) -> None:
    """Change the headers to those of the dialect."""
    headers: list[Header] = []
    for name, value in response.headers:
        if name == b"x-request-id" and name not in style.removed_headers:
            digits = value.decode().removeprefix("req_")
            own_name, form = style.request_id
            headers.append((own_name, {"req": value, "hex": digits.encode(), "uuid": str(UUID(digits)).encode()}[form]))
        elif name not in style.removed_headers:
            headers.append((name, style.json_type if (name, value) == JSON_TYPE else value))
    own = style.added_headers.get(operation.name, ()) if operation else ()
    response.headers = [*headers, *style.added_headers.get(ALL, ()), *own]


def take_own_members(dialect: Dialect, body: Any) -> dict[str, Any]:
    """Remove from a job's request what only the dialect has; return what the job shows of it.

    Source: Azure's recordings (``"Standard"`` comes back as ``"standard"``).
    """
    if not isinstance(body, dict):
        return {}
    own = {name: body.pop(name) for name in dialect.extra_fields if name in body}
    shown = {name: value[:1].lower() + value[1:] for name, value in own.items() if isinstance(value, str)}
    return {**shown, **{name: None for name in dialect.null_unless_sent if body.get(name) is None}}


def check_suffix(dialect: Dialect, body: Any) -> None:
    """Refuse a suffix that is too long for the dialect.

    Raises:
        ApiError: it is too long (printed output of 2023-08).
    """
    most, suffix = dialect.max_suffix_length, body.get("suffix") if isinstance(body, dict) else None
    if most and isinstance(suffix, str) and len(suffix) > most:
        raise invalid_field("suffix", f": {suffix[:200]}, ensure this value has at most {most} characters")


def _with_newline(response: ApiResponse, operation: Operation, style: HttpStyle) -> ApiResponse:
    """Return *response* with or without a newline at its end, as the dialect has it."""
    newline = style.trailing_newline.get(operation.name, operation.group.newline)
    if isinstance(response.body, bytes) and newline != response.body.endswith(b"\n"):
        response.body = response.body.rstrip(b"\n") + b"\n" * newline
        length = (b"content-length", b"%d" % len(response.body))
        response.headers = [length if header[0] == length[0] else header for header in response.headers]
    return response


def _bare_error(status: int, style: HttpStyle) -> ApiResponse:
    code, message = style.bare_errors[status]
    return json_response({"error": {"code": code, "message": message}}, GATEWAY, status)
