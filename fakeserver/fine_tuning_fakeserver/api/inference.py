"""Inference, as far as code needs it that tries what it has trained: scripted replies, or a deterministic one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fine_tuning_formats.token_estimate import count_message_tokens, count_text_tokens, message_text

from ..account.account import Account
from ..account.records import CompletionGiven, RepliesSet
from ..account.service import Service, operation
from ..api_errors import no_such_model_to_ask
from ..domain import ids
from ..usage_errors import FakeUsageError
from . import models
from .response_objects import Json


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model says: one text a choice. `created` is in Unix seconds."""

    id: str
    created: int
    model: str
    texts: tuple[str, ...]
    prompt_tokens: int

    @property
    def usage(self) -> Json:
        """Tokens of prompt and texts, estimated."""
        spent = sum(count_text_tokens(text) for text in self.texts)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": spent,
            "total_tokens": self.prompt_tokens + spent,
        }


@operation
def answer_prompt(
    service: Service, now: float, prefix: str, model: str, prompt: Sequence[Any], choices: int
) -> Completion:
    """Let a model answer: from the script while it lasts, then with words of its own.

    Raises:
        ApiError: the account has no such model, or has it no longer.
    """
    account = service.account
    unknown = model not in account.base_models and model not in account.models
    if unknown or models.is_gone(account, model, now):
        raise no_such_model_to_ask(model)
    scripted = list(account.replies)[:choices]
    texts = (*scripted, *[_seeded_text(model, prompt)] * (choices - len(scripted)))
    reply = Completion(_id(account, prefix, now), int(now), model, tuple(texts), count_message_tokens(list(prompt)))
    service.commit(CompletionGiven(now, len(scripted)))
    return reply


@operation
def set_replies(service: Service, now: float, replies: Sequence[str]) -> list[str]:
    """Let models answer with these texts first.

    Raises:
        FakeUsageError: one of them is no text.
    """
    if wrong := [reply for reply in replies if not isinstance(reply, str)]:
        raise FakeUsageError(f"reply {wrong[0]!r} is no text: replies('one', 'two') wants texts")
    service.commit(RepliesSet(tuple(replies)))
    return list(replies)


def _seeded_text(model: str, prompt: Sequence[Any]) -> str:
    asked = message_text(prompt[-1]).strip() if prompt else ""
    return f"{model} was asked: {asked}"


def _id(account: Account, prefix: str, now: float) -> str:
    """``chatcmpl-`` and 29 characters, 5 of them time (worked out from printed ids)."""
    drawn = ids.draw("answer", account.settings.seed, account.answers)
    return prefix + ids.base62(int(now) - ids.MODEL_EPOCH, 5) + ids.base62(drawn, 24)


def chat(reply: Completion) -> Json:
    """A chat completion. Source: printed output of 2024-02; ``refusal`` since 2024."""
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
            for index, text in enumerate(reply.texts)
        ],
        "usage": reply.usage,
        "system_fingerprint": None,
    }


def completion(reply: Completion) -> Json:
    """A completion of the older kind, of babbage-002 and davinci-002. Source: spec."""
    choices = [
        {"text": text, "index": index, "logprobs": None, "finish_reason": "stop"}
        for index, text in enumerate(reply.texts)
    ]
    return {
        "id": reply.id,
        "object": "text_completion",
        "created": reply.created,
        "model": reply.model,
        "choices": choices,
        "usage": reply.usage,
    }


def chat_stream(reply: Completion, with_usage: bool) -> Iterator[bytes]:
    """A chat completion as server-sent events: a role, the words one by one, an end. Source: spec."""
    for index, text in enumerate(reply.texts):
        yield _event(reply, [_delta(index, {"role": "assistant", "content": "", "refusal": None})])
        for word in _split_words(text):
            yield _event(reply, [_delta(index, {"content": word})])
        yield _event(reply, [_delta(index, {}, "stop")])
    if with_usage:
        yield _event(reply, [], reply.usage)
    yield b"data: [DONE]\n\n"


def _split_words(text: str) -> list[str]:
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def _delta(index: int, delta: Json, finish: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _event(reply: Completion, choices: list[Json], usage: Json | None = None) -> bytes:
    chunk = {
        "id": reply.id,
        "object": "chat.completion.chunk",
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": None,
        "choices": choices,
        **({"usage": usage} if usage else {}),
    }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
