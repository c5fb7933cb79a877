"""The base of request models, and types of members, that stop at the first error.

Pydantic collects every error by default, and the fake reports one: a body of 8 MiB has room for millions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from .nesting import is_writable

K = TypeVar("K")
T = TypeVar("T")

PAIRS_AT_ONCE = 16
"""How many pairs of a dict are validated at a time; no such dict may be limited to fewer."""


class ClosedModel(BaseModel):
    """A model without further members; the first unknown one is refused, and the others are not looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _keep_one_unknown_member(cls, value: Any) -> Any:
        fields = cls.model_fields
        if not isinstance(value, dict) or len(value) <= len(fields) + 1:
            return value
        unknown = next(name for name in value if name not in fields)
        return {name: member for name, member in value.items() if name in fields or name == unknown}


class Body(ClosedModel):
    """The base of request models, a closed object: no further members, no value turned into another type."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True, protected_namespaces=())


def _validate_in_parts(value: Any, validate: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict) and len(value) > PAIRS_AT_ONCE:
        pairs = iter(value.items())
        while part := dict(islice(pairs, PAIRS_AT_ONCE)):
            validate(part)
    return validate(value)


ShortCircuitList = Annotated[list[T], Field(fail_fast=True)]
"""A list whose validation stops at the first wrong member."""

IN_PARTS = WrapValidator(_validate_in_parts)
"""Stops the validation of a dict soon after the first wrong pair, where pydantic's ``fail_fast`` is for lists only.

It comes after the limit of the dict's length, if there is one.
"""

ShortCircuitDict = Annotated[dict[K, T], IN_PARTS]
"""A dict whose validation stops soon after the first wrong pair."""


def _require_writable(value: T) -> T:
    if not is_writable(value):
        raise PydanticCustomError("too_deep", "Input is nested too deeply")
    return value


WRITABLE = AfterValidator(_require_writable)
"""Refuses what is nested too deeply to be worked with, and to be shown again (inferred)."""

JsonObject = Annotated[dict[str, Any], WRITABLE]
