"""Inference, for code that tries the model it has trained: prepared replies, or a deterministic one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fine_tuning_formats.token_estimate import count_message_tokens, count_text_tokens, message_text

from ..account.records import CompletionGiven, RepliesSet
from ..account.service import Service, operation
from ..api_errors import no_such_model_to_ask
from ..domain import ids
from ..usage_errors import wrong_value
from .response_objects import Json


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer of a model: one text a choice. `created` is in Unix seconds."""

    id: str
    created: int
    model: str
    texts: tuple[str, ...]
    prompt_tokens: int

    @property
    def usage(self) -> Json:
        """Tokens of prompt and texts, estimated."""
        completion_tokens = sum(count_text_tokens(text) for text in self.texts)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        }


@operation
def answer_prompt(
    service: Service, now: float, prefix: str, model: str, prompt: Sequence[Any], choices: int
) -> Completion:
    """Let a model answer: with the prepared replies while they last, then with a text of its own.

    Args:
        prefix: of the answer's id.

    Raises:
        ApiError: the account does not have such a model, or it is shut down.
    """
    account = service.account
    unknown = model not in account.base_models and model not in account.models
    if unknown or account.is_shut_down(model, now):
        raise no_such_model_to_ask(model)
    prepared = list(account.replies)[:choices]
    question = message_text(prompt[-1]).strip() if prompt else ""
    texts = [*prepared, *[f"{model} was asked: {question}"] * (choices - len(prepared))]
    # "chatcmpl-" and 29 characters, 5 of them time (worked out from printed ids)
    drawn = ids.derived_number("answer", account.settings.seed, account.answers)
    identifier = prefix + ids.to_digits(int(now) - ids.MODEL_EPOCH, 5) + ids.to_digits(drawn, 24)
    completion = Completion(identifier, int(now), model, tuple(texts), count_message_tokens(list(prompt)))
    service.commit(CompletionGiven(now, len(prepared)))
    return completion


@operation
def set_replies(service: Service, now: float, replies: Sequence[str]) -> list[str]:
    """Prepare the texts with which models answer next.

    Raises:
        FakeUsageError: one of them is not a string.
    """
    if wrong := [reply for reply in replies if not isinstance(reply, str)]:
        raise wrong_value("reply", "a string", wrong[0], "for example replies('one', 'two')")
    service.commit(RepliesSet(tuple(replies)))
    return list(replies)


def chat_completion_object(completion: Completion) -> Json:
    """Return a chat completion. Source: printed output of 2024-02; ``refusal`` since 2024."""
    return {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": completion.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
            for index, text in enumerate(completion.texts)
        ],
        "usage": completion.usage,
        "system_fingerprint": None,
    }


def text_completion_object(completion: Completion) -> Json:
    """Return a completion of the older kind, of babbage-002 and davinci-002. Source: spec."""
    choices = [
        {"text": text, "index": index, "logprobs": None, "finish_reason": "stop"}
        for index, text in enumerate(completion.texts)
    ]
    return {
        "id": completion.id,
        "object": "text_completion",
        "created": completion.created,
        "model": completion.model,
        "choices": choices,
        "usage": completion.usage,
    }


def chat_completion_events(completion: Completion, with_usage: bool) -> Iterator[bytes]:
    """Yield a chat completion as server-sent events: a role, the words one by one, an end. Source: spec."""
    for index, text in enumerate(completion.texts):
        yield _event(completion, [_choice(index, {"role": "assistant", "content": "", "refusal": None})])
        first, *rest = text.split(" ")
        for word in [first, *(f" {word}" for word in rest)]:
            yield _event(completion, [_choice(index, {"content": word})])
        yield _event(completion, [_choice(index, {}, "stop")])
    if with_usage:
        yield _event(completion, [], completion.usage)
    yield b"data: [DONE]\n\n"


def _choice(index: int, delta: Json, finish_reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _event(completion: Completion, choices: list[Json], usage: Json | None = None) -> bytes:
    chunk = {
        "id": completion.id,
        "object": "chat.completion.chunk",
        "created": completion.created,
        "model": completion.model,
        "system_fingerprint": None,
        "choices": choices,
        **({"usage": usage} if usage else {}),
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
