"""Models and inference: each operation, and the function that runs it for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ..api import models
from ..api.schemas import file_schemas, grader_and_chat_schemas
from ..api.schemas.object_schema import Schema, ref
from ..api_errors import no_model
from ..evidence import inferred, printed, recorded, spec
from .operation import INFERENCE, MODEL_DELETED, MODELS, Operation, api_route
from .request import ApiRequest, by_id, json_body
from .response import ApiResponse

if TYPE_CHECKING:
    from ..api.inference_bodies import ChatBody, CompletionBody

B = TypeVar("B", bound="ChatBody | CompletionBody")


def create_chat_completion(request: ApiRequest) -> Any:
    """Answer a chat, whole or as a stream of events."""
    from ..api import inference
    from ..api.answer_options import AnswerOptions
    from ..api.inference_bodies import ChatBody

    body = _parse_prompt(ChatBody, request)
    options = AnswerOptions(
        tools=tuple(body.tools or ()),
        tool_choice=body.tool_choice,
        response_format=body.response_format,
        most_tokens=body.max_completion_tokens or body.max_tokens,
    )
    reply = inference.answer_prompt(request.service, "chatcmpl-", body.model, body.messages, body.n or 1, options)
    top = (body.top_logprobs or 0) if body.logprobs else None
    if not body.stream:
        return inference.chat_completion_object(reply, top)
    with_usage = bool(body.stream_options and body.stream_options.include_usage)
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    return ApiResponse(200, headers, inference.chat_completion_events(reply, with_usage, top))


def create_completion(request: ApiRequest) -> Any:
    """Answer a prompt; of several the last counts."""
    from ..api import inference
    from ..api.answer_options import AnswerOptions
    from ..api.inference_bodies import CompletionBody

    body = _parse_prompt(CompletionBody, request)
    prompt = body.prompt if isinstance(body.prompt, str) else " ".join(body.prompt[-1:])
    options = AnswerOptions(most_tokens=body.max_tokens)
    reply = inference.answer_prompt(request.service, "cmpl-", body.model, [{"content": prompt}], body.n or 1, options)
    return inference.text_completion_object(reply, body.logprobs)


def _parse_prompt(model: type[B], request: ApiRequest) -> B:
    """Read the body of a request to a model.

    Raises:
        ApiError: it does not fit.
    """
    from ..api.parameter_errors import parameter_error
    from ..api.request_models import parse

    sent = json_body(request)
    if isinstance(sent, dict) and sent.get("model") in (None, ""):
        raise no_model()
    return parse(model, sent, refusal=parameter_error)


_UNKNOWN_MODEL = recorded("ModelsTests", "2025-09")
_UNKNOWN_PROMPTED = printed("a chat with an unknown model", "2024")
_BODY = printed("chats with fields that do not fit, of each kind", "2024 to 2025")

_STREAM: Schema = {
    "type": "object",
    "description": "One server-sent event.",
    "properties": {
        "data": {
            "anyOf": [
                {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": ref(grader_and_chat_schemas.CHUNK),
                },
                {"const": "[DONE]"},
            ]
        }
    },
    "required": ["data"],
}

MODEL_OPERATIONS = (
    Operation(
        *api_route("list_models"),
        run=lambda request: models.list_models(request.service),
        group=MODELS,
        response=file_schemas.MODEL_LIST,
        evidence={"200": recorded("ListModels", "2025-09")},
    ),
    Operation(
        *api_route("retrieve_model"),
        run=by_id("model", models.retrieve),
        group=MODELS,
        response=file_schemas.MODEL,
        evidence={"200": recorded("GetModelInfo", "2025-09"), "404": _UNKNOWN_MODEL},
    ),
    Operation(
        *api_route("delete_model"),
        run=by_id("model", models.delete),
        group=MODEL_DELETED,
        response=file_schemas.MODEL_DELETED,
        evidence={"200": recorded("models in the recordings of dd-trace-py", "2023-10"), "404": _UNKNOWN_MODEL},
    ),
    Operation(
        *api_route("create_chat_completion"),
        run=create_chat_completion,
        group=INFERENCE,
        body="api.inference_bodies.ChatBody",
        response=grader_and_chat_schemas.CHAT,
        other_media={"text/event-stream": _STREAM},
        evidence={
            "200": printed("an answer of a fine-tuned model", "2024-02"),
            "200 streamed": spec("CreateChatCompletionStreamResponse"),
            "400": _BODY,
            "404": _UNKNOWN_PROMPTED,
        },
    ),
    Operation(
        *api_route("create_completion"),
        run=create_completion,
        group=INFERENCE,
        body="api.inference_bodies.CompletionBody",
        response=grader_and_chat_schemas.COMPLETION,
        evidence={
            "200": spec("CreateCompletionResponse"),
            "400 no model": printed("a completion without a model", "2023-02"),
            "400 other fields": inferred("the answers to chats"),
            "404": _UNKNOWN_PROMPTED,
        },
    ),
)
