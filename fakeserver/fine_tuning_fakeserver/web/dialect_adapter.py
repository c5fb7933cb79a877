"""Adapt requests and responses to the account's dialect; those of the default dialect pass unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any
from uuid import UUID

from starlette.types import Scope

from fine_tuning_formats.text import show_value

from ..api_errors import ApiError, invalid_field
from ..domain.dialects.dialect import ALL, RECORDED, Dialect, HttpStyle, to_dialect
from .operation import GATEWAY, Header, Operation
from .request import ApiRequest
from .response import JSON_TYPE, ApiResponse, absolute_url, error_response, json_response

PREFIXES = ("/openai/", "/api/projects/")
"""How paths begin that a dialect may have instead of ``/v1``."""

DIALECT_PATH = re.compile(
    r"(?:/api/projects/[^/]+)?/openai(?P<version>/v1)?"
    r"(?:/deployments/(?P<deployment>[^/]+)(?=/(?:chat/)?completions$))?(?P<rest>/.*)"
)
"""Such a path; its rest is what follows ``/v1``, without the deployment that is asked for an answer."""


def to_v1_path(scope: Scope, spoken: Iterable[Dialect]) -> Scope:
    """Return *scope* with its path under ``/v1`` if one of the account's dialects has such a path, else unchanged."""
    has_own_paths = any(dialect.http.requires_api_version for dialect in spoken)
    match = DIALECT_PATH.fullmatch(scope["path"]) if has_own_paths else None
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
    """Return the request's Authorization header, made of a dialect's own header for keys if that was sent."""
    headers: Mapping[bytes, bytes] = dict(reversed(request.scope["headers"]))
    key = key_in_own_header(request.service.account.spoken, headers)
    return f"Bearer {key}" if key else request.header(b"authorization")


def key_in_own_header(spoken: Iterable[Dialect], headers: Mapping[bytes, bytes]) -> str:
    """Return the key in the header that one of the account's dialects has for it; empty if there is none."""
    names = (dialect.http.key_header for dialect in spoken)
    return next((headers[name].decode("latin-1") for name in names if name and headers.get(name)), "")


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
    if dialect.http.error_codes and error.status >= 400:
        return _coded_error(error, operation, dialect.http)
    if dialect.jobs and dialect.jobs.validation_errors and (refusal := _validation_error(error)):
        return refusal
    response = error_response(error, operation.group, detail=dialect.doubles_file_errors)
    return _with_newline(response, operation, dialect.http)


def _validation_error(error: ApiError) -> ApiResponse | None:
    from .open_weight_jobs import validation_error_response

    return validation_error_response(error)


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

    Source: Azure's recordings (``"Standard"`` comes back as ``"standard"``). What the job shows of a number that was
    sent as the training type is unknown: nothing, here.
    """
    if not isinstance(body, dict):
        return {}
    own = {name: body.pop(name) for name in dialect.extra_fields if name in body}
    silent = {name: body.pop(name) for name in dialect.silent_fields if name in body}
    for name, value in {**own, **silent}.items():
        _check_own_field(name, value)
    shown: dict[str, Any] = {
        name: value[:1].lower() + value[1:] for name, value in own.items() if isinstance(value, str)
    }
    shown |= {name: None for name in dialect.null_unless_sent if body.get(name) is None}
    method = body.get("method")
    if isinstance(method, dict):
        if dialect.flat_hyperparameters:
            _put_hyperparameters_in_place(body, method)
        shown |= _take_hyperparameters(dialect, method)
        if dialect.graders_have_thresholds:
            shown |= _take_threshold(method)
    return shown


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < inf


def _is_expiry(value: Any) -> bool:
    seconds = value.get("seconds") if isinstance(value, dict) else None
    known = isinstance(value, dict) and value.keys() == {"anchor", "seconds"} and value["anchor"] == "created_at"
    return known and isinstance(seconds, int) and 3600 <= seconds <= 2_592_000


TRAINING_TYPES = ("standard", "globalstandard", "developertier")
_OWN_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "trainingType": (
        lambda value: _is_number(value) or (isinstance(value, str) and value.lower() in TRAINING_TYPES),
        "'Standard', 'GlobalStandard' or 'developerTier'",
    ),
    "prompt_loss_weight": (_is_number, "a number from 0"),
    "output_expires_after": (_is_expiry, "the anchor 'created_at' and 3600 to 2592000 seconds"),
}
"""By field, whether a value fits, and what it should be (the REST reference; that others are refused is inferred)."""


def _check_own_field(name: str, value: Any) -> None:
    """Refuse a wrong value of a field that only the dialect has; null is no value.

    Raises:
        ApiError: it does not fit.
    """
    fits, expected = _OWN_FIELDS[name]
    if value is not None and not fits(value):
        raise invalid_field(name, f": {show_value(value)}, input should be {expected}")


def _take_threshold(method: dict[str, Any]) -> dict[str, Any]:
    """Remove the threshold of a grader, whatever its type; return the members that echo it.

    Raises:
        ApiError: it is not a number (inferred).
    """
    part = method.get("reinforcement") if method.get("type") == "reinforcement" else None
    grader = part.get("grader") if isinstance(part, dict) else None
    if not isinstance(grader, dict) or "pass_threshold" not in grader:
        return {}
    threshold = grader.pop("pass_threshold")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not -inf < threshold < inf:
        name = "method.reinforcement.grader.pass_threshold"
        raise invalid_field(name, f": {show_value(threshold)}, input should be a valid number")
    return {"method": {"reinforcement": {"grader": {"pass_threshold": threshold}}}}


def _put_hyperparameters_in_place(body: dict[str, Any], method: dict[str, Any]) -> None:
    """Move a method's hyperparameters to where OpenAI has them: from beside that place, or from the request's top.

    Source: Microsoft's guide to preference training (beta, l2_multiplier), and a published body of 2026-04
    (compute_multiplier).
    """
    part = method.get(str(method.get("type")))
    if not isinstance(part, dict):
        return
    numbers = part.get("hyperparameters")
    if method.get("type") == "dpo" and (beside := {name: part.pop(name) for name in BESIDE if name in part}):
        part["hyperparameters"] = {**beside, **(numbers if isinstance(numbers, dict) else {})}
    elif method.get("type") == "reinforcement" and numbers is None and isinstance(body.get("hyperparameters"), dict):
        part["hyperparameters"] = body.pop("hyperparameters")


BESIDE = ("beta", "l2_multiplier")
"""Hyperparameters of preference training that may stand beside the others."""


def _take_hyperparameters(dialect: Dialect, method: dict[str, Any]) -> dict[str, Any]:
    """Remove the hyperparameters that only the dialect has; return the members that echo them.

    Raises:
        ApiError: one is not a number from 0 (inferred).
    """
    kind = str(method.get("type"))
    part = method.get(kind)
    numbers = part.get("hyperparameters") if isinstance(part, dict) else None
    if not isinstance(numbers, dict):
        return {}
    own = {name: numbers.pop(name) for name in dialect.echoed_hyperparameters.get(kind, ()) if name in numbers}
    for name, value in own.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
            raise invalid_field(
                f"method.{kind}.hyperparameters.{name}", f": {show_value(value)}, input should be a number from 0"
            )
    return {"method": {kind: {"hyperparameters": own}}} if own else {}


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


def _coded_error(error: ApiError, operation: Operation, style: HttpStyle) -> ApiResponse:
    """Return an error with a code and a message only."""
    status, code, message = style.refusals.get(
        (operation.name, error.status), (error.status, style.error_codes.get(error.status, ""), error.message)
    )
    body = {"error": {"code": code or str(status), "message": message}}
    return _with_newline(json_response(body, operation.group, status), operation, style)


def _bare_error(status: int, style: HttpStyle) -> ApiResponse:
    code, message = style.bare_errors[status]
    return json_response({"error": {"code": code, "message": message}}, GATEWAY, status)
