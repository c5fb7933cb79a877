"""Answers for what is no route: an unknown path, a known one's wrong method, a slash too many."""

from __future__ import annotations

from starlette.types import Scope

from ..api_errors import invalid_url, unknown_url, wrong_method
from . import response
from .operation import GATEWAY
from .response import Response

_ELSEWHERE = (
    *("assistants", "audio", "batches", "chatkit", "containers", "conversations", "embeddings", "evals", "images"),
    *("moderations", "organization", "projects", "realtime", "responses", "skills", "threads", "vector_stores"),
    "videos",
)
"""What the service has besides, by the first part of its paths under ``/v1`` (spec: OpenAI's document)."""
_HERE = "fine-tuning, files, uploads, models, /v1/chat/completions and /v1/completions"


def not_modelled_response(methods: tuple[str, ...], method: str, path: str) -> Response | None:
    """The answer for what the service has and the fake has not: never one that the service could have given."""
    root, _, rest = path.lstrip("/").partition("/")
    if methods or root != "v1" or rest.partition("/")[0] not in _ELSEWHERE:
        return None
    return response.usage_error_response(
        f"{method} {path} is of the API, but not of fake-fine-tuning, which has {_HERE}", 404
    )


def redirect_response(scope: Scope) -> Response | None:
    """307 for a list of jobs with a slash at its end (recording of 2023-10).

    DIVERGES: the recorded one leads from https to http; here it stays where it is, and keeps the query.
    """
    path: str = scope["path"]
    if path != "/v1/fine_tuning/jobs/":
        return None
    host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost")
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    where = b"%s://%s%s%s" % (scope["scheme"].encode(), host, path.rstrip("/").encode(), query)
    return Response(307, [(b"location", where), (b"content-length", b"0")], b"")


def unknown_route_response(methods: tuple[str, ...], method: str, path: str, *, as_invalid: bool = False) -> Response:
    """What is answered for a path that has these *methods* only, or is not known at all: *as_invalid* says how."""
    if path.startswith("/_fake") or not path.startswith("/v1"):
        kind = "method" if methods else "route"
        return response.usage_error_response(
            f"{method} {path} is no {kind} of fake-fine-tuning: the API is under /v1", 404
        )
    if methods:
        answer = response.error_response(wrong_method(method, path), GATEWAY)
        answer.headers.append((b"allow", _allowed(methods)))
        return answer
    error = invalid_url(method, path) if as_invalid or path == "/v1/files/" else unknown_url(method, path)
    return response.error_response(error, GATEWAY)


def _allowed(methods: tuple[str, ...]) -> bytes:
    """The methods of a path (inferred: RFC 9110 has a 405 name them; the headers of a recorded one are not known)."""
    return ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])})).encode()
