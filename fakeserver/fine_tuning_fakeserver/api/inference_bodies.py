"""The bodies of inference: their models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ..grading.body_types import WRITABLE, ShortCircuitList


class _PromptBody(BaseModel):
    """The members that the fake reads of any inference body; all others are accepted and ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)
    model: str
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stream: bool | None = None


class StreamOptions(BaseModel):
    """``stream_options``."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    include_usage: bool = False


class ChatBody(_PromptBody):
    """``POST /chat/completions``."""

    messages: Annotated[ShortCircuitList[dict[str, Any]], Field(min_length=1), WRITABLE]
    stream_options: StreamOptions | None = None


def _refuse_number(value: Any) -> Any:
    """Refuse a number: 0 is equal to False, and would pass as the literal."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("bool_type", "Input should be a valid boolean")
    return value


class CompletionBody(_PromptBody):
    """``POST /completions``."""

    prompt: str | ShortCircuitList[str] = ""
    stream: Annotated[Literal[False] | None, BeforeValidator(_refuse_number)] = None
