"""`dataclass` as the standard library has it, but each method is generated when it is first called, not on import.

To generate the methods of one class takes half a millisecond (Python 3.11), and few of those of a process are ever
called: it was more than half of what importing the fake took. The library generates them here, too, by
`make_dataclass`; only the time differs. Fields are known at once, as `fields` and `replace` want them.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # what type checkers know
else:

    def dataclass(kind=None, /, *, eq=True, frozen=False, unsafe_hash=False, kw_only=False, slots=False):
        """Make a dataclass of *kind*; options are those of the standard library's that are used here."""

        def prepare(kind: type) -> type:
            methods = {"__init__", "__repr__", *(["__eq__"] if eq else [])}
            if unsafe_hash or (eq and frozen):
                methods.add("__hash__")
            elif eq:
                kind.__hash__ = None
            methods -= set(vars(kind))
            parents = [base.__dataclass_params__ for base in kind.__mro__[1:] if dataclasses.is_dataclass(base)]
            extends_frozen = any(parent.frozen for parent in parents)  # the library insists on alike
            if frozen and not extends_frozen:
                kind.__setattr__, kind.__delattr__ = _refuse_to_set, _refuse_to_delete
                if slots:  # by default, state is restored by setting attributes
                    kind.__getstate__, kind.__setstate__ = _get_state, _set_state
            made = dataclasses.dataclass(
                init=False, repr=False, eq=False, frozen=frozen and extends_frozen, kw_only=kw_only, slots=slots
            )(kind)
            made.__dataclass_params__.frozen = frozen
            for name in methods:
                setattr(made, name, _GeneratedMethod(made, name, frozen))
            return made

        return prepare if kind is None else prepare(kind)


class _GeneratedMethod:
    """A method of a dataclass, generated when it is first looked up, by whoever calls or inspects it."""

    def __init__(self, kind: type[Any], name: str, frozen: bool) -> None:
        self._kind, self._name, self._frozen = kind, name, frozen

    def __get__(self, instance: object, owner: type) -> Any:
        kind, name = self._kind, self._name
        names = {each: getattr(kind, each) for each in ("__module__", "__qualname__")}
        if hasattr(kind, "__post_init__"):  # or it would not be called
            names["__post_init__"] = kind.__post_init__
        fields = dataclasses.fields(kind)
        model = dataclasses.make_dataclass(
            kind.__name__,
            # without the types, whose names it would look up in a module that may be gone
            [(field.name, object, copy.copy(field)) for field in fields],
            namespace=names,
            init=name == "__init__",
            repr=name == "__repr__",
            eq=name == "__eq__",
            unsafe_hash=name == "__hash__",
            frozen=self._frozen and name == "__init__",
        )
        method = vars(model)[name]
        if name == "__init__":
            types = {field.name: field.type for field in fields}
            method.__annotations__ = {each: types.get(each) for each in method.__annotations__}
        setattr(kind, name, method)  # another thread may have been here: its method does the same
        return method.__get__(instance, owner)


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _refuse_to_delete(self: Any, name: str) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _is_frozen(self: Any, name: str) -> bool:
    """Return whether a member is; a class that extends a dataclass, and is none, may have others that are not."""
    return "__dataclass_fields__" in vars(type(self)) or any(name == field.name for field in dataclasses.fields(self))


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
