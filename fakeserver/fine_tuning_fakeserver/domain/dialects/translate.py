"""An answer in the words of a dialect."""

from __future__ import annotations

from typing import Any

from .dialect import Dialect, ObjectStyle

_PLAIN = ObjectStyle()
_PAGE = ObjectStyle(within={"data": None})


def to_dialect(dialect: Dialect, answer: Any, operation: str = "") -> Any:
    """*answer*, the recorded one, as the dialect says it; it is left as it was.

    Only members that a shape names as objects are looked into: metadata, or a grader, are the client's own.
    """
    if not dialect.shapes:
        return answer
    return _translate(dialect, answer, dialect.shapes.get(operation))


def _translate(dialect: Dialect, value: Any, shape: ObjectStyle | None) -> Any:
    if isinstance(value, list | tuple):
        return [_translate(dialect, each, shape) for each in value]
    return _object(dialect, value, shape or _shape_of(dialect, value)) if isinstance(value, dict) else value


def _shape_of(dialect: Dialect, value: dict[str, Any]) -> ObjectStyle:
    """The shape of an object's kind; a receipt for a deletion is a kind of its own."""
    kind = f"{value.get('object')} deleted" if "deleted" in value else str(value.get("object"))
    return dialect.shapes.get(kind, _PAGE if kind == "list" else _PLAIN)


def _object(dialect: Dialect, value: dict[str, Any], shape: ObjectStyle) -> dict[str, Any]:
    sources = {name: shape.sources.get(name, name) for name in shape.members or value}
    found = {name: value[source] for name, source in sources.items() if source in value}
    members = ((name, _member(dialect, name, each, shape)) for name, each in found.items())
    return {name: each for name, each in members if each is not None or name not in shape.absent}


def _member(dialect: Dialect, name: str, value: Any, shape: ObjectStyle) -> Any:
    if name in shape.empties and value in (None, {}, []):
        return shape.empties[name]
    if name in shape.within:
        return _translate(dialect, value, shape.within[name])
    if isinstance(value, str) and name in shape.words:
        return shape.words[name].get(value, value)
    return int(value) if shape.whole and isinstance(value, float) and value.is_integer() else value
