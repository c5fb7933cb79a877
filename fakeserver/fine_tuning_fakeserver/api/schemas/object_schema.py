"""Describe answers: JSON schemas of values, and objects whose members each say what backs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ...evidence import Evidence

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
BINARY: Schema = {"type": "string", "format": "binary"}
CURSOR: Schema = {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """A JSON object, by default without further members.

    Args:
        name: its name in the OpenAPI document.
        groups: its members in order, grouped by what backs them: the evidence, then schemas by name.
        optional: members that may be absent.
        items: the objects in it, if it is a list.
        values: the objects that it has under any further names.
    """

    name: str
    groups: tuple[tuple[Evidence, Mapping[str, Schema]], ...]
    optional: frozenset[str] = frozenset()
    items: ObjectSchema | None = None
    values: ObjectSchema | None = None

    @property
    def kind(self) -> str:
        """The value of its member ``object``, such as ``fine_tuning.job``; empty if the object lacks it."""
        return str(next((schema["const"] for name, schema, _ in self.members() if name == "object"), ""))

    @property
    def noun(self) -> str:
        """The last part of its kind, such as ``job``."""
        return self.kind.rpartition(".")[2]

    def members(self) -> Iterator[tuple[str, Schema, Evidence]]:
        """Yield name, schema and evidence of each member."""
        for evidence, members in self.groups:
            for name, schema in members.items():
                yield name, schema, evidence

    def schema(self) -> Schema:
        """Return its JSON schema."""
        properties = {name: schema for name, schema, _ in self.members()}
        return {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in self.optional],
            "additionalProperties": ref(self.values) if self.values else False,
        }


def const(value: str | bool) -> Schema:
    """Describe this value."""
    return {"const": value}


def one_of(*values: str) -> Schema:
    """Describe one of these strings."""
    return {"type": "string", "enum": list(values)}


def either(*schemas: Schema) -> Schema:
    """Describe a value that fits at least one of *schemas*."""
    return {"anyOf": list(schemas)}


def or_null(schema: Schema) -> Schema:
    """Describe a value that fits *schema*, or null."""
    return {"anyOf": [schema, NULL]}


def array(items: Schema) -> Schema:
    """Describe a list of *items*."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """Describe an object with any names, and these *values*."""
    return {"type": "object", "additionalProperties": values}


def page_limit(default: int, at_most: int) -> Schema:
    """Describe the parameter ``limit`` of a list."""
    return {"type": "integer", "minimum": 0, "maximum": at_most, "default": default}


def ref(schema: ObjectSchema | str) -> Schema:
    """Refer to an object of the document, by its schema or its name."""
    return {"$ref": COMPONENTS + (schema if isinstance(schema, str) else schema.name)}
