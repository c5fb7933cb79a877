"""The queries of the page's views: which page, and what is looked for."""

from __future__ import annotations

from collections.abc import Mapping

from fine_tuning_formats.text import show_value

from ..usage_errors import FakeUsageError
from ..web.control_endpoints import is_count
from ..web.request import ApiRequest

PAGE_AT_MOST = 200
"""How many things a view lists at most."""


def parse_query(request: ApiRequest, *names: str) -> Mapping[str, str]:
    """Return the query, without empty values.

    Raises:
        FakeUsageError: it has others than *names*.
    """
    query = request.query
    if unknown := sorted(set(query) - set(names)):
        expected = ", ".join(names) or "none"
        path = request.scope["path"]
        raise FakeUsageError(f"GET {path}: unknown parameter {show_value(unknown[0])}; expected one of: {expected}")
    return {name: value for name, value in query.items() if value}


def whole_number(query: Mapping[str, str], name: str, default: int, most: int = 2**53) -> int:
    """Return a number of *query*.

    Raises:
        FakeUsageError: it is none, or larger than *most*.
    """
    text = query.get(name)
    if text is None:
        return default
    if not is_count(text) or int(text) > most:
        raise FakeUsageError(f"{name} must be a whole number from 0 to {most}, got {show_value(text)}")
    return int(text)
