"""Inference, for code that tries the model it has trained: prepared replies, or a deterministic one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.token_estimate import count_message_tokens, count_text_tokens, message_text

from ..account.records import CompletionGiven, RepliesSet
from ..account.service import Service, operation
from ..api_errors import no_such_model_to_ask
from ..domain import ids
from ..usage_errors import wrong_value
from .answer_options import Answer, AnswerOptions, draw_answer, limited, token_probabilities
from .response_objects import Json

PLAIN = AnswerOptions()


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer of a model: one text, or call of a tool, a choice. `created` is in Unix seconds."""

    id: str
    created: int
    model: str
    answers: tuple[Answer, ...]
    prompt_tokens: int

    @property
    def usage(self) -> Json:
        """Tokens of prompt and texts, estimated."""
        completion_tokens = sum(
            count_text_tokens(answer.call["function"]["arguments"] if answer.call else answer.text)
            for answer in self.answers
        )
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        }


@operation
def answer_prompt(
    service: Service,
    now: float,
    prefix: str,
    model: str,
    prompt: Sequence[Any],
    choices: int,
    options: AnswerOptions = PLAIN,
) -> Completion:
    """Let a model answer: with the prepared replies while they last, then with a text of its own.

    Args:
        prefix: of the answer's id.
        options: what is asked of the answer; a prepared reply is only cut to its length.

    Raises:
        ApiError: the account does not have such a model, or it is shut down; or the options ask for what there is not.
    """
    account = service.account
    unknown = model not in account.base_models and account.job_of_model(model) is None
    if account.takes_any_model and unknown:
        unknown = model.startswith("ft:")  # a fine-tuned model that there is not
    if unknown or account.is_shut_down(model, now):
        raise no_such_model_to_ask(model)
    prepared = list(account.replies)[:choices]
    question = message_text(prompt[-1]).strip() if prompt else ""
    # "chatcmpl-" and 29 characters, 5 of them time (worked out from printed ids)
    drawn = ids.derived_number("answer", account.settings.seed, account.answers)
    own = f"{model} was asked: {question}"
    answers = [limited(options, reply) for reply in prepared]
    answers += [draw_answer(options, own, drawn + place) for place in range(len(prepared), choices)]
    identifier = prefix + ids.to_digits(int(now) - ids.MODEL_EPOCH, 5) + ids.to_digits(drawn, 24)
    completion = Completion(identifier, int(now), model, tuple(answers), count_message_tokens(list(prompt)))
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


def _message(answer: Answer) -> Json:
    if answer.call:
        return {"role": "assistant", "content": None, "tool_calls": [answer.call], "refusal": None}
    return {"role": "assistant", "content": answer.text, "refusal": None}


def _chat_probabilities(text: str, top: int) -> Json:
    tokens = [
        {
            **_probability(token, value),
            "top_logprobs": [_probability(*each) for each in likely[:top]],
        }
        for token, value, likely in token_probabilities(text, top)
    ]
    return {"content": tokens, "refusal": None}


def _probability(token: str, value: float) -> Json:
    return {"token": token, "logprob": value, "bytes": list(token.encode())}


def chat_completion_object(completion: Completion, top: int | None = None) -> Json:
    """Return a chat completion. Source: printed output of 2024-02; ``refusal`` since 2024, options: spec.

    Args:
        top: how many likeliest tokens to show in the place of each; None without log probabilities.
    """
    return {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": completion.model,
        "choices": [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": None if top is None or answer.call else _chat_probabilities(answer.text, top),
                "finish_reason": answer.finish,
            }
            for index, answer in enumerate(completion.answers)
        ],
        "usage": completion.usage,
        "system_fingerprint": None,
    }


def _text_probabilities(text: str, top: int) -> Json:
    measured = token_probabilities(text, top)
    tokens = [token for token, _, _ in measured]
    return {
        "tokens": tokens,
        "token_logprobs": [value for _, value, _ in measured],
        "top_logprobs": [dict(likely) for _, _, likely in measured],
        "text_offset": [sum(map(len, tokens[:place])) for place in range(len(tokens))],
    }


def text_completion_object(completion: Completion, top: int | None = None) -> Json:
    """Return a completion of the older kind, of babbage-002 and davinci-002; *top* as for a chat. Source: spec."""
    choices = [
        {
            "text": answer.text,
            "index": index,
            "logprobs": None if top is None else _text_probabilities(answer.text, top),
            "finish_reason": answer.finish,
        }
        for index, answer in enumerate(completion.answers)
    ]
    return {
        "id": completion.id,
        "object": "text_completion",
        "created": completion.created,
        "model": completion.model,
        "choices": choices,
        "usage": completion.usage,
    }


def chat_completion_events(completion: Completion, with_usage: bool, top: int | None = None) -> Iterator[bytes]:
    """Yield a chat completion as server-sent events: a role, the words one by one, an end. Source: spec.

    With log probabilities, of which *top* says how many as for a whole chat, there are tokens in place of words.
    """
    for index, answer in enumerate(completion.answers):
        if answer.call:
            arguments = answer.call["function"]["arguments"]
            call = {"index": 0, **answer.call, "function": {**answer.call["function"], "arguments": ""}}
            yield _event(
                completion,
                [_choice(index, {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None})],
            )
            rest = {"index": 0, "function": {"arguments": arguments}}
            yield _event(completion, [_choice(index, {"tool_calls": [rest]})])
        else:
            yield _event(completion, [_choice(index, {"role": "assistant", "content": "", "refusal": None})])
            for text, probabilities in _deltas(answer.text, top):
                yield _event(completion, [_choice(index, {"content": text}, logprobs=probabilities)])
        yield _event(completion, [_choice(index, {}, answer.finish)])
    if with_usage:
        yield _event(completion, [], completion.usage)
    yield b"data: [DONE]\n\n"


def _deltas(text: str, top: int | None) -> list[tuple[str, Json | None]]:
    if top is None:
        first, *words = text.split(" ")
        return [(word, None) for word in (first, *(f" {word}" for word in words))]
    tokens = _chat_probabilities(text, top)["content"]
    return [(token["token"], {"content": [token], "refusal": None}) for token in tokens]


def _choice(index: int, delta: Json, finish_reason: str | None = None, logprobs: Json | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


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
