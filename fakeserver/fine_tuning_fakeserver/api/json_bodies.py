"""JSON bodies before they are checked, and the service's words for a field that does not fit."""

from __future__ import annotations

from typing import Any

import orjson

from fine_tuning_formats.text import repr_start, show_value

from ..api_errors import ApiError, invalid_field, not_json
from ..grading.nesting import is_writable
from ..usage_errors import FakeUsageError

JSON_BYTES_AT_MOST = 8 * 1024 * 1024


def parse_json(raw: bytes) -> Any:
    """Parse a request body as JSON.

    Raises:
        ApiError: it is not JSON, or is nested too deeply.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise not_json() from None


def field_error(name: str, kind: str, message: str, value: Any) -> ApiError:
    """Return the service's error for a field that does not fit.

    Source: ``extra inputs are not permitted`` is a printed output of 2024-09; the family is inferred from it.
    """
    message = message[:1].lower() + message[1:]
    if kind == "missing":
        return invalid_field(name, f", {message}")
    text = value[:200] if isinstance(value, str) else repr_start(value)
    return invalid_field(name, f": {text}, {message}")


def parse_control_object(raw: bytes, where: str) -> dict[str, Any]:
    """Parse the body of a control request, which must be a JSON object; an empty body is ``{}``.

    Args:
        where: method and path, for the message.

    Raises:
        FakeUsageError: it is something else, or is nested too deeply.
    """
    try:
        value = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise FakeUsageError(f"{where}: the body must be valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise FakeUsageError(f"{where}: the body must be a JSON object, got a {type(value).__name__}")
    for name, member in value.items():
        if not is_writable(member):
            raise FakeUsageError(f"{where}: {show_value(name)} must be nested less deeply, got {show_value(member)}")
    return value
