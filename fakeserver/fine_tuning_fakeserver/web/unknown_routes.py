"""Responses for unknown routes: an unknown path, a wrong method, a slash too many."""

from __future__ import annotations

from starlette.types import Scope

from ..api_errors import invalid_url, unknown_url, wrong_method
from . import response
from .operation import GATEWAY
from .response import ApiResponse

_NOT_MODELLED = (
    *("assistants", "audio", "batches", "chatkit", "containers", "conversations", "embeddings", "evals", "images"),
    *("moderations", "organization", "projects", "realtime", "responses", "skills", "threads", "vector_stores"),
    "videos",
)
"""First parts of the paths that the service has besides (spec: OpenAI's document)."""
_MODELLED = "fine-tuning, files, uploads, models, /v1/chat/completions and /v1/completions"


def not_modelled_response(methods: tuple[str, ...], method: str, path: str) -> ApiResponse | None:
    """Return the response for what only the service has: never one that the service could have given."""
    root, _, rest = path.lstrip("/").partition("/")
    if methods or root != "v1" or rest.partition("/")[0] not in _NOT_MODELLED:
        return None
    return response.usage_error_response(
        f"fake-fine-tuning does not implement {method} {path}; it implements {_MODELLED}", 404
    )


def redirect_response(scope: Scope) -> ApiResponse | None:
    """Return 307 for a list of jobs with a slash at its end (recording of 2023-10).

    DIVERGES: the recorded one leads from https to http; here it stays where it is, and keeps the query.
    """
    path: str = scope["path"]
    if path != "/v1/fine_tuning/jobs/":
        return None
    host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost")
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    location = b"%s://%s%s%s" % (scope["scheme"].encode(), host, path.rstrip("/").encode(), query)
    return ApiResponse(307, [(b"location", location), (b"content-length", b"0")], b"")


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
        kind = "method" if methods else "route"
        return response.usage_error_response(
            f"unknown {kind} of fake-fine-tuning: {method} {path}; the API is under /v1", 404
        )
    if methods:
        refusal = response.error_response(wrong_method(method, path), GATEWAY)
        # inferred: RFC 9110 has a 405 name them; the headers of a recorded one are not known
        allowed = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
        refusal.headers.append((b"allow", ", ".join(allowed).encode()))
        return refusal
    error = invalid_url(method, path) if as_invalid or path == "/v1/files/" else unknown_url(method, path)
    return response.error_response(error, GATEWAY)
