"""The service's words, since 2024, for a parameter that does not fit: those of inference and of the graders' routes.

The creation of jobs has kept the older ones of `json_bodies.field_error`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from ..api_errors import (
    ApiError,
    invalid_type,
    invalid_value,
    missing_parameter,
    out_of_range,
    unknown_parameter,
    wrong_length,
)
from .json_bodies import field_error

_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "an array",
}
"""What was expected, by pydantic's type of error."""

_FOUND = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    dict: "an object",
    list: "an array",
    type(None): "null",
}

_BOUNDS = {"greater_than_equal": ("ge", False), "less_than_equal": ("le", True)}
_LENGTHS = {
    "too_short": ("array", "min_length", False),
    "too_long": ("array", "max_length", True),
    "string_too_short": ("string", "min_length", False),
    "string_too_long": ("string", "max_length", True),
}


def parameter_error(path: str, problems: Sequence[ErrorDetails]) -> ApiError:
    """Return the error for the parameter at a dotted path, of which *problems* are pydantic's."""
    problem = problems[-1]
    name, kind, value, context = _in_brackets(path), problem["type"], problem["input"], problem.get("ctx", {})
    if kind in _EXPECTED:
        return invalid_type(name, _alternatives(problems), _FOUND[type(value)])
    if kind in _BOUNDS:
        bound, is_maximum = _BOUNDS[kind]
        return out_of_range(name, context[bound], value, is_maximum=is_maximum)
    if kind in _LENGTHS:
        what, bound, is_maximum = _LENGTHS[kind]
        return wrong_length(name, what, context[bound], len(value), is_maximum=is_maximum)
    if kind == "missing":
        return missing_parameter(name)
    if kind == "extra_forbidden":
        return unknown_parameter(name)
    if kind == "literal_error":
        return invalid_value(name, _shown(value), _choices(context["expected"]))
    if kind == "union_tag_invalid":
        return invalid_value(f"{name}.type", _shown(context["tag"]), _choices(context["expected_tags"]))
    if kind == "union_tag_not_found":
        return missing_parameter(f"{name}.type")
    return field_error(path, kind, problem["msg"], value)


def _in_brackets(path: str) -> str:
    """Write the numbers of a dotted path as the service does: ``messages[0].content``."""
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path)


def _alternatives(problems: Iterable[ErrorDetails]) -> str:
    """Return what would have fitted: ``a string``, ``one of a string or object``."""
    expected = list(dict.fromkeys(_EXPECTED[each["type"]] for each in problems if each["type"] in _EXPECTED))
    if "a decimal" in expected and "an integer" in expected:
        expected.remove("an integer")
    first, *others = expected
    return f"one of {first}{''.join(' or ' + each.partition(' ')[2] for each in others)}" if others else first


def _choices(listed: str) -> list[str]:
    """Return the values that pydantic lists: ``'a', 'b' or 'c'``."""
    return re.findall(r"'[^']*'", listed) or [listed.lower()]


def _shown(value: Any) -> str:
    return f"'{value[:200]}'" if isinstance(value, str) else str(value)[:200].lower()
