"""Schemas of graders' and inference's answers, and of errors."""

from __future__ import annotations

from ...evidence import printed, recorded, spec
from .object_schema import (
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    UNIX,
    ObjectSchema,
    Schema,
    array,
    const,
    mapping,
    one_of,
    or_null,
    ref,
)

GRADED = printed("an answer to graders/run", "2025-12")
CHATTED = printed("an answer of a fine-tuned model", "2024-02")
STREAMED = spec("CreateChatCompletionStreamResponse")
COMPLETED = spec("CreateCompletionResponse")
REFUSED = recorded("ExceptionThrownOnInvalidModelName", "2025-09")

_FLAG: Schema = {"type": "boolean"}
_DETAILS: Schema = or_null(STRING)

# spec RunGraderResponse has some of these only, and in the same order
GRADER_FLAGS = ObjectSchema(
    "GraderFlags",
    (
        (
            spec("RunGraderResponse"),
            {
                "formula_parse_error": _FLAG,
                "sample_parse_error": _FLAG,
                "truncated_observation_error": _FLAG,
                "unresponsive_reward_error": _FLAG,
                "invalid_variable_error": _FLAG,
                "other_error": _FLAG,
                "python_grader_server_error": _FLAG,
                "python_grader_server_error_type": _DETAILS,
                "python_grader_runtime_error": _FLAG,
                "python_grader_runtime_error_details": _DETAILS,
                "model_grader_server_error": _FLAG,
                "model_grader_refusal_error": _FLAG,
                "model_grader_parse_error": _FLAG,
                "model_grader_server_error_details": _DETAILS,
            },
        ),
        (
            GRADED,
            {
                "sample_parse_error_details": _DETAILS,
                "invalid_variable_error_details": _DETAILS,
                "model_grader_refusal_error_details": _DETAILS,
                "model_grader_parse_error_details": _DETAILS,
                "model_grader_exceeded_max_tokens_error": _FLAG,
                "endpoint_grader_internal_error": _FLAG,
                "endpoint_grader_internal_error_details": _DETAILS,
                "endpoint_grader_server_error": _FLAG,
                "endpoint_grader_server_error_details": _DETAILS,
                "endpoint_grader_safety_check_error": _FLAG,
            },
        ),
    ),
)
GRADER_METADATA = ObjectSchema(
    "GraderRunMetadata",
    (
        (
            GRADED,
            {
                "name": STRING,
                "type": STRING,
                "errors": ref(GRADER_FLAGS),
                "execution_time": NUMBER,
                "scores": mapping(NUMBER),
                "token_usage": NULL,
                "sampled_model_name": or_null(STRING),
            },
        ),
    ),
)
GRADER_RUN = ObjectSchema(
    "GraderRun",
    (
        (
            GRADED,
            {
                "reward": NUMBER,
                "metadata": ref(GRADER_METADATA),
                "sub_rewards": mapping(NUMBER),
                "model_grader_token_usage_per_model": {"type": "object", "additionalProperties": False},
            },
        ),
    ),
)
GRADER_VALIDATED = ObjectSchema(
    "GraderValidated", ((printed("an answer to graders/validate", "2025-12"), {"grader": ref("Grader")}),)
)

USAGE = ObjectSchema(
    "Usage",
    ((CHATTED, {"prompt_tokens": INTEGER, "completion_tokens": INTEGER, "total_tokens": INTEGER}),),
)
_CALLED: Schema = {"name": STRING, "arguments": STRING}
CALLED_FUNCTION = ObjectSchema(
    "CalledFunction", ((spec("ChatCompletionMessageToolCall"), _CALLED),), frozenset({"name"})
)
TOOL_CALL = ObjectSchema(
    "ToolCall",
    (
        (
            spec("ChatCompletionMessageToolCall; the chunk's has an index"),
            {"index": INTEGER, "id": STRING, "type": const("function"), "function": ref(CALLED_FUNCTION)},
        ),
    ),
    frozenset({"index", "id", "type"}),
)
_TOKEN: Schema = {"token": STRING, "logprob": NUMBER, "bytes": array(INTEGER)}
LIKELY_TOKEN = ObjectSchema("LikelyToken", ((spec("ChatCompletionTokenLogprob"), _TOKEN),))
TOKEN_PROBABILITY = ObjectSchema(
    "TokenProbability",
    ((spec("ChatCompletionTokenLogprob"), {**_TOKEN, "top_logprobs": array(ref(LIKELY_TOKEN))}),),
)
CHAT_PROBABILITIES = ObjectSchema(
    "ChatProbabilities",
    ((spec("CreateChatCompletionResponse"), {"content": array(ref(TOKEN_PROBABILITY)), "refusal": NULL}),),
)
TEXT_PROBABILITIES = ObjectSchema(
    "TextProbabilities",
    (
        (
            spec("CreateCompletionResponse"),
            {
                "tokens": array(STRING),
                "token_logprobs": array(NUMBER),
                "top_logprobs": array(mapping(NUMBER)),
                "text_offset": array(INTEGER),
            },
        ),
    ),
)
FINISH = one_of("stop", "length", "tool_calls")
MESSAGE = ObjectSchema(
    "ChatMessage",
    (
        (CHATTED, {"role": const("assistant"), "content": or_null(STRING)}),
        (spec("ChatCompletionResponseMessage"), {"tool_calls": array(ref(TOOL_CALL)), "refusal": NULL}),
    ),
    frozenset({"tool_calls"}),
)
CHAT_CHOICE = ObjectSchema(
    "ChatChoice",
    (
        (
            CHATTED,
            {
                "index": INTEGER,
                "message": ref(MESSAGE),
                "logprobs": or_null(ref(CHAT_PROBABILITIES)),
                "finish_reason": FINISH,
            },
        ),
    ),
)
CHAT = ObjectSchema(
    "ChatCompletion",
    (
        (
            CHATTED,
            {
                "id": STRING,
                "object": const("chat.completion"),
                "created": UNIX,
                "model": STRING,
                "choices": array(ref(CHAT_CHOICE)),
                "usage": ref(USAGE),
                "system_fingerprint": NULL,
            },
        ),
    ),
)
COMPLETION_CHOICE = ObjectSchema(
    "CompletionChoice",
    (
        (
            COMPLETED,
            {
                "text": STRING,
                "index": INTEGER,
                "logprobs": or_null(ref(TEXT_PROBABILITIES)),
                "finish_reason": one_of("stop", "length"),
            },
        ),
    ),
)
COMPLETION = ObjectSchema(
    "Completion",
    (
        (
            COMPLETED,
            {
                "id": STRING,
                "object": const("text_completion"),
                "created": UNIX,
                "model": STRING,
                "choices": array(ref(COMPLETION_CHOICE)),
                "usage": ref(USAGE),
            },
        ),
    ),
)

DELTA = ObjectSchema(
    "ChatDelta",
    (
        (
            STREAMED,
            {
                "role": const("assistant"),
                "content": or_null(STRING),
                "tool_calls": array(ref(TOOL_CALL)),
                "refusal": NULL,
            },
        ),
    ),
    frozenset({"role", "content", "tool_calls", "refusal"}),
)
CHUNK_CHOICE = ObjectSchema(
    "ChatChunkChoice",
    (
        (
            STREAMED,
            {
                "index": INTEGER,
                "delta": ref(DELTA),
                "logprobs": or_null(ref(CHAT_PROBABILITIES)),
                "finish_reason": or_null(FINISH),
            },
        ),
    ),
)
CHUNK = ObjectSchema(
    "ChatChunk",
    (
        (
            STREAMED,
            {
                "id": STRING,
                "object": const("chat.completion.chunk"),
                "created": UNIX,
                "model": STRING,
                "system_fingerprint": NULL,
                "choices": array(ref(CHUNK_CHOICE)),
                "usage": ref(USAGE),
            },
        ),
    ),
    frozenset({"usage"}),
)

ERROR = ObjectSchema(
    "Error",
    (
        (
            REFUSED,
            {
                "message": STRING,
                "type": one_of("invalid_request_error", "server_error"),
                "param": or_null(STRING),
                "code": or_null(STRING),
            },
        ),
    ),
)
REFUSAL = ObjectSchema("Refusal", ((REFUSED, {"error": ref(ERROR)}),))
ERROR_DETAIL = ObjectSchema(
    "ErrorTwin",
    ((recorded("GetFileCanParseServiceError", "2026-05"), {"message": STRING, "code": or_null(STRING)}),),
)
FILES_REFUSAL = ObjectSchema(
    "FilesRefusal",
    ((recorded("GetFileCanParseServiceError", "2026-05"), {"error": ref(ERROR), "detail": ref(ERROR_DETAIL)}),),
)

SCHEMAS = (
    *(GRADER_RUN, GRADER_METADATA, GRADER_FLAGS, GRADER_VALIDATED),
    *(CALLED_FUNCTION, TOOL_CALL, LIKELY_TOKEN, TOKEN_PROBABILITY, CHAT_PROBABILITIES, TEXT_PROBABILITIES),
    *(CHAT, CHAT_CHOICE, MESSAGE, CHUNK, CHUNK_CHOICE, DELTA, COMPLETION, COMPLETION_CHOICE, USAGE),
    *(ERROR, REFUSAL, FILES_REFUSAL, ERROR_DETAIL),
)
