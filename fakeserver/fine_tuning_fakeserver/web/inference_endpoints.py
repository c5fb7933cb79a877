"""Adapters of the inference routes: JSON in, JSON or a stream of events out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ..api import inference
from ..api.request_models import parse
from .request import ApiRequest, json_body
from .response import Response


class _AskBody(BaseModel):
    """What every inference body has; its many other members are taken, and mean nothing to the fake."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)
    model: str
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stream: bool | None = None


class StreamOptions(BaseModel):
    """``stream_options``."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    include_usage: bool = False


class ChatBody(_AskBody):
    """``POST /chat/completions``."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    stream_options: StreamOptions | None = None


def _no_number(value: Any) -> Any:
    """Refuse a number: 0 is equal to False, which a literal goes by."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("bool_type", "Input should be a valid boolean")
    return value


class CompletionBody(_AskBody):
    """``POST /completions``."""

    prompt: str | list[str] = ""
    stream: Annotated[Literal[False] | None, BeforeValidator(_no_number)] = None


def chat(call: ApiRequest) -> Any:
    """A chat completion, whole or as it comes."""
    body = parse(ChatBody, json_body(call))
    reply = inference.answer_prompt(call.service, "chatcmpl-", body.model, body.messages, body.n or 1)
    if not body.stream:
        return inference.chat_completion_object(reply)
    with_usage = bool(body.stream_options and body.stream_options.include_usage)
    return Response(
        200,
        [(b"content-type", b"text/event-stream; charset=utf-8")],
        inference.chat_completion_events(reply, with_usage),
    )


def complete(call: ApiRequest) -> Any:
    """A completion of the older kind; of several prompts the last counts."""
    body = parse(CompletionBody, json_body(call))
    prompt = body.prompt if isinstance(body.prompt, str) else " ".join(body.prompt[-1:])
    reply = inference.answer_prompt(call.service, "cmpl-", body.model, [{"content": prompt}], body.n or 1)
    return inference.text_completion_object(reply)
