"""Values drawn from a JSON Schema, of the subset that the service takes for structured answers.

Written here, as no maintained library draws from a seed: those there are bring a faker and an HTTP client, or draw from
the process's own random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven")
DEEPEST = 24
FORMATS = {
    "date-time": "2025-10-09T08:53:20Z",
    "date": "2025-10-09",
    "time": "08:53:20Z",
    "duration": "P3D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "7f3c1c9e-3f0a-4b6e-9a55-2d1c0b8e4f11",
    "uri": "https://example.com/",
}


class UndrawableSchemaError(Exception):
    """No value can be drawn from a schema; the text says why."""


def draw_value(schema: Any, source: Random) -> Any:
    """Return a value that fits *schema*; patterns, conditions and negations are not looked at.

    Raises:
        UndrawableSchemaError: it refers to what there is not, or every value of it is without end.
    """
    return _draw(schema, schema, source, DEEPEST)


def _draw(schema: Any, root: Any, source: Random, left: int) -> Any:
    if not left:
        raise UndrawableSchemaError("the schema is nested too deeply, or without end")
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return _draw(_resolve(str(schema["$ref"]), root), root, source, left - 1)
    if "const" in schema:
        return schema["const"]
    if _is_filled(schema.get("enum")):
        return source.choice(schema["enum"])
    for name in ("anyOf", "oneOf"):
        if _is_filled(schema.get(name)):
            return _draw_one_of(schema[name], root, source, left)
    if _is_filled(schema.get("allOf")):
        merged = {name: value for part in schema["allOf"] if isinstance(part, dict) for name, value in part.items()}
        return _draw(merged, root, source, left - 1)
    kind = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
    kind = source.choice(kind) if _is_filled(kind) else kind
    if kind == "object":
        return _draw_object(schema, root, source, left)
    if kind == "array":
        least = _whole(schema.get("minItems"), 0)
        count = least if "minItems" in schema or left < DEEPEST - 6 else min(1, _whole(schema.get("maxItems"), 1))
        return [_draw(schema.get("items"), root, source, left - 1) for _ in range(min(count, 100))]
    return _draw_scalar(str(kind), schema, source)


def _draw_one_of(schemas: Sequence[Any], root: Any, source: Random, left: int) -> Any:
    """Draw from one of *schemas*; deep inside from one that refers to no other, so that a list of its own kind ends."""
    plain = [schema for schema in schemas if "$ref" not in str(schema)]
    return _draw(source.choice(plain if plain and left < DEEPEST // 2 else schemas), root, source, left - 1)


def _draw_object(schema: Mapping[str, Any], root: Any, source: Random, left: int) -> dict[str, Any]:
    properties = schema.get("properties")
    members = properties if isinstance(properties, dict) else {}
    required = schema.get("required") if isinstance(schema.get("required"), list) else []
    assert isinstance(required, list)
    names = [name for name in members if name in required or (left == DEEPEST and "$ref" not in str(members[name]))]
    return {name: _draw(members[name], root, source, left - 1) for name in names}


def _draw_scalar(kind: str, schema: Mapping[str, Any], source: Random) -> Any:
    if kind == "boolean":
        return source.random() < 0.5
    if kind == "null":
        return None
    if kind in ("integer", "number"):
        return _draw_number(kind, schema, source)
    if text := FORMATS.get(str(schema.get("format"))):
        return text
    least = _whole(schema.get("minLength"), 0)
    text = source.choice(WORDS)
    while len(text) < min(least, 10_000):
        text += " " + source.choice(WORDS)
    return text[: _whole(schema.get("maxLength"), len(text))]


def _draw_number(kind: str, schema: Mapping[str, Any], source: Random) -> int | float:
    step = schema.get("multipleOf") if isinstance(schema.get("multipleOf"), int | float) else 1
    assert isinstance(step, int | float)
    low = _number(schema, "minimum", "exclusiveMinimum", step)
    high = _number(schema, "maximum", "exclusiveMaximum", -step)
    if low is None:
        low = 0 if high is None else high - 100 * step
    high = low + 100 * step if high is None else high
    if kind == "number" and "multipleOf" not in schema:
        return round(source.uniform(low, max(low, high)), 2) if high - low > 1 else (low + high) / 2
    first, last = -(-low // step), high // step
    value = source.randint(int(first), int(max(first, last))) * step
    return int(value) if kind == "integer" else value


def _number(schema: Mapping[str, Any], name: str, exclusive: str, step: float) -> float | None:
    if isinstance(value := schema.get(name), int | float):
        return value
    return value + step if isinstance(value := schema.get(exclusive), int | float) else None


def _resolve(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    if not reference.startswith("#") or found is None:
        raise UndrawableSchemaError(f"the schema has no {reference}")
    return found


def _is_filled(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and value >= 0 else default
