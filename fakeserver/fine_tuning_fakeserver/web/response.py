"""Responses as bytes: two-space indentation, floats spelt as the service spells them, headers as recorded."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Iterator
from typing import Any

import orjson
from starlette.types import Scope, Send

from fine_tuning_formats.lazy_dataclass import dataclass

from ..account.account import Account
from ..account.blobs import StorageError
from ..api_errors import ApiError, invalid_url, no_resources, unknown_url, wrong_method
from ..domain import ids
from .operation import CONTROL, GATEWAY, Header, RouteGroup

_NOT_MODELLED = (
    *("assistants", "audio", "batches", "chatkit", "containers", "conversations", "embeddings", "evals", "images"),
    *("moderations", "organization", "projects", "realtime", "responses", "skills", "threads", "vector_stores"),
    "videos",
)
"""First parts of the paths that the service has besides (spec: OpenAI's document)."""
_MODELLED = "fine-tuning, files, uploads, models, /v1/chat/completions and /v1/completions"

JSON_TYPE = (b"content-type", b"application/json")

ROOT_KEY = "fine_tuning_fakeserver.root"
"""Where a scope has the path below which the account's own paths are, if it has one: ``/accounts/NAME``, as sent."""


@dataclass(slots=True)
class ApiResponse:
    """A response, its body in one piece or in many.

    Args:
        status: the HTTP status.
        headers: the headers.
        body: the body, or its pieces.
        group: the group it belongs to, if that is not its operation's: the gateway answers before the operation.
    """

    status: int
    headers: list[Header]
    body: bytes | Iterator[bytes]
    group: RouteGroup | None = None

    async def send(self, send: Send) -> None:
        """Send it as plain ASGI messages."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        if isinstance(self.body, bytes):
            await send({"type": "http.response.body", "body": self.body})
            return
        for chunk in self.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def dump(value: Any, newline: bool = False) -> bytes:
    """Write JSON as the service does, which spells small floats as orjson does, and not as Python does.

    Source: recording GetCheckpoints, ``4.76837158203125e-6`` and ``0.00001180739673145581``; only with these is its
    body as long as its Content-Length says.
    """
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | (orjson.OPT_APPEND_NEWLINE if newline else 0))


def whole_response(body: bytes, content_type: Header = JSON_TYPE, status: int = 200) -> ApiResponse:
    """Return a response with a body in one piece."""
    return ApiResponse(status, [content_type, (b"content-length", b"%d" % len(body))], body)


def json_response(value: Any, group: RouteGroup, status: int = 200) -> ApiResponse:
    """Return a response with a JSON body."""
    return whole_response(dump(value, group.newline), status=status)


def error_response(error: ApiError, group: RouteGroup, *, detail: bool = True) -> ApiResponse:
    """Return the response for an error of the API.

    Args:
        error: the error.
        group: the operation's group; that of files repeats the error under ``detail`` (recording: FilesTests).
        detail: False where the account's dialect has no ``detail`` at all.
    """
    if error.status == 401:
        # recording of 2023-08: the gateway's 401 is the same for every operation
        text = json.dumps({"error": error.body()}, indent=error.indent, ensure_ascii=False) + "\n"
        response = whole_response(text.encode(), status=error.status)
        response.headers.append((b"www-authenticate", b'Basic realm="OpenAI API"'))
        response.group = GATEWAY
        return response
    body: dict[str, Any] = {"error": error.body()}
    if group.error_detail and detail:
        body["detail"] = {"message": error.message, "code": error.code}
    return json_response(body, group, error.status)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE})
_SHORT = frozenset({errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EIO})


def machine_error(error: Exception) -> ApiError | None:
    """Return the error for a request that this machine has no room, descriptors or memory for; None for any other."""
    folder = tempfile.tempdir or "the temporary folder"
    if isinstance(error, MemoryError):
        return no_resources(503, "out of memory")
    if not isinstance(error, OSError):
        return None
    if error.errno in _TOO_MANY:
        advice = "raise `ulimit -n`, close connections, or delete files: each of 1 MiB or more is open in TMPDIR"
        return no_resources(503, f"{error.strerror} ({folder}); {advice}")
    if error.errno in _FULL or isinstance(error, StorageError):
        return no_resources(507, f"{error.strerror} ({folder}); make room there, or set TMPDIR to another folder")
    return no_resources(503, str(error.strerror)) if error.errno in _SHORT else None


def usage_error_response(message: str, status: int = 400) -> ApiResponse:
    """Return an error of the fake's own user, which no service would send; SDKs look for a text in ``message``."""
    return json_response({"fake_error": message, "message": f"fake-fine-tuning: {message}"}, CONTROL, status)


def is_usage_error(body: bytes) -> bool:
    """Return whether *body*, or its beginning, is that of a usage error."""
    return b'"fake_error"' in body[:32]


def add_request_id(response: ApiResponse, group: RouteGroup, account: Account, ordinal: int | str) -> None:
    """Add the headers that name the service's version, the account and the request."""
    if group is CONTROL:
        return
    request, noise = ids.request_id(account.settings.seed, ordinal)
    elapsed_ms = b"%d" % (20 + noise % 400)  # derived: same seed, same bytes
    headers = response.headers
    if group.identity:
        headers.append((b"openai-organization", account.settings.organization.encode()))
        headers.append((b"openai-project", account.project.encode()))
    headers.append((b"openai-processing-ms", elapsed_ms))
    headers.append((b"openai-version", b"2020-10-01"))
    headers.append((b"x-content-type-options", b"nosniff"))
    if group.upstream:
        headers.append((b"x-envoy-upstream-service-time", elapsed_ms))
    headers.append((b"x-request-id", request.encode()))
    headers.extend(group.headers)


def not_modelled_response(methods: tuple[str, ...], method: str, path: str) -> ApiResponse | None:
    """Return the response for what only the service has: never one that the service could have given."""
    root, _, rest = path.lstrip("/").partition("/")
    if methods or root != "v1" or rest.partition("/")[0] not in _NOT_MODELLED:
        return None
    return usage_error_response(f"fake-fine-tuning does not implement {method} {path}; it implements {_MODELLED}", 404)


def redirect_response(scope: Scope) -> ApiResponse | None:
    """Return 307 for a list of jobs with a slash at its end (recording of 2023-10).

    DIVERGES: the recorded one leads from https to http; here it stays where it is, and keeps the query.
    """
    path: str = scope["path"]
    if path != "/v1/fine_tuning/jobs/":
        return None
    location = absolute_url(scope, path.rstrip("/").encode())
    return ApiResponse(307, [(b"location", location), (b"content-length", b"0")], b"")


def absolute_url(scope: Scope, path: bytes) -> bytes:
    """Return the URL of *path*, which an account has, on the host that the request names, with the request's query."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost")
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return b"%s://%s%s%s%s" % (scope["scheme"].encode(), host, scope.get(ROOT_KEY, b""), path, query)


def unknown_route_response(
    methods: tuple[str, ...], method: str, path: str, *, as_invalid: bool = False
) -> ApiResponse:
    """Return the response for an unknown path, or for a known one that has other *methods* only.

    Args:
        methods: the methods of the path; none if it is unknown.
        method: the request's method.
        path: the request's path.
        as_invalid: whether the account's dialect calls unknown URLs invalid.
    """
    if path.startswith("/_fake") or not path.startswith("/v1"):
        if methods:
            wrong = f"{path} of fake-fine-tuning must be requested by {' or '.join(methods)}, got {method}"
        else:
            wrong = f"unknown route of fake-fine-tuning: {method} {path}; the API is under /v1, control under /_fake"
        return usage_error_response(wrong, 404)
    if methods:
        refusal = error_response(wrong_method(method, path), GATEWAY)
        # inferred: RFC 9110 has a 405 name them; the headers of a recorded one are not known
        allowed = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
        refusal.headers.append((b"allow", ", ".join(allowed).encode()))
        return refusal
    error = invalid_url(method, path) if as_invalid or path == "/v1/files/" else unknown_url(method, path)
    return error_response(error, GATEWAY)
