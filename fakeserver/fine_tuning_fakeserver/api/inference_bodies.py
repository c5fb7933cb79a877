"""The bodies of inference: their models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ..grading.body_types import WRITABLE, ShortCircuitList

Limit = Annotated[int, Field(ge=1)] | None


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

    tools: ShortCircuitList[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_tokens: Limit = None
    max_completion_tokens: Limit = None
    messages: Annotated[ShortCircuitList[dict[str, Any]], Field(min_length=1), WRITABLE]
    stream_options: StreamOptions | None = None


def _refuse_number(value: Any) -> Any:
    """Refuse a number: 0 is equal to False, and would pass as the literal."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("bool_type", "Input should be a valid boolean")
    return value


class CompletionBody(_PromptBody):
    """``POST /completions``."""

    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    max_tokens: Limit = None
    prompt: str | ShortCircuitList[str] = ""
    stream: Annotated[Literal[False] | None, BeforeValidator(_refuse_number)] = None
