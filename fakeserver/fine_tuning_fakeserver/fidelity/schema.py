"""Words to describe answers with: JSON schemas of values, and objects whose every member says what backs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..evidence import Evidence

Schema: TypeAlias = dict[str, Any]

COMPONENTS = "#/components/schemas/"

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
UNIX: Schema = {"type": "integer", "description": "Unix seconds"}
MEASURED: Schema = {"type": ["number", "null"], "description": "null where the number is none: NaN"}
EMPTY: Schema = {"type": "object", "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """A closed object. Its members stand in groups: what backs them, then their schemas by name."""

    name: str
    groups: tuple[tuple[Evidence, Mapping[str, Schema]], ...]
    optional: frozenset[str] = frozenset()
    """Members that are not always there; all others are."""

    def members(self) -> Iterator[tuple[str, Schema, Evidence]]:
        """Each member: its name, its schema, and what backs it."""
        for evidence, members in self.groups:
            for name, schema in members.items():
                yield name, schema, evidence

    def schema(self) -> Schema:
        """The object's JSON schema."""
        properties = {name: schema for name, schema, _ in self.members()}
        return {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in self.optional],
            "additionalProperties": False,
        }


def const(value: str | bool) -> Schema:
    """This value only."""
    return {"const": value}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def either(*schemas: Schema) -> Schema:
    """A value that fits one of *schemas*, or several."""
    return {"anyOf": list(schemas)}


def or_null(schema: Schema) -> Schema:
    """A value that fits *schema*, or null."""
    return {"anyOf": [schema, NULL]}


def array(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """An object with any names, and these values."""
    return {"type": "object", "additionalProperties": values}


def ref(shape: ObjectSchema | str) -> Schema:
    """A reference to an object of the document, by its shape or its name."""
    return {"$ref": COMPONENTS + (shape if isinstance(shape, str) else shape.name)}
