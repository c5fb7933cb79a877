"""Chat completions and completions of the account's models."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import httpx2
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, Http

ASK: Any = [{"role": "user", "content": "Are you there?"}]


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still and which has a fine-tuned model."""
    http = Http(FakeFineTuning(pace="manual", start=BORN))
    http.fake.add_job(http.file(), status="succeeded")
    return http


def tuned(http: Http) -> str:
    """The fine-tuned model."""
    return str(http.fake.jobs[0]["fine_tuned_model"])


def client(http: Http) -> openai.OpenAI:
    """The official client in process."""
    transport = http.fake.transport(httpx2)
    return openai.OpenAI(base_url="http://fake/v1", api_key="any", http_client=httpx2.Client(transport=transport))


def test_a_fine_tuned_model_answers_under_its_own_name(http: Http) -> None:
    """A chat completion has the fine-tuned model's name, an id in the service's form, and token counts."""
    answer = client(http).chat.completions.create(model=tuned(http), messages=ASK)

    assert answer.model == tuned(http)
    assert re.fullmatch(r"chatcmpl-[A-Za-z0-9]{29}", answer.id)
    assert answer.choices[0].message.content == f"{tuned(http)} was asked: Are you there?"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_scripted_replies_come_first_and_once(http: Http) -> None:
    """Prepared replies are used in order across choices and calls, then a derived text."""
    http.fake.replies("one", "two", "three")
    create: Any = client(http).chat.completions.create
    first = create(model=tuned(http), messages=ASK, n=2)
    second = create(model="gpt-4o-mini", messages=ASK, n=2)

    assert [choice.message.content for choice in first.choices] == ["one", "two"]
    assert [choice.message.content for choice in second.choices] == ["three", "gpt-4o-mini was asked: Are you there?"]


def test_a_stream_says_what_the_whole_says(http: Http) -> None:
    """The chunks of a stream add up to the prepared reply, with a finish reason and optional usage."""
    http.fake.replies("Yes, I am here.")
    stream = client(http).chat.completions.create(
        model=tuned(http),
        messages=ASK,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Yes, I am here."
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_unknown_or_deleted_model_does_not_answer(http: Http) -> None:
    """An unknown or deleted model is refused with the printed 404."""
    model = tuned(http)
    http.json("DELETE", f"/models/{model}")
    for name in (model, "gpt-none"):
        refused = http.json("POST", "/chat/completions", {"model": name, "messages": ASK}, status=404)["error"]
        assert refused == {
            "message": f"The model `{name}` does not exist or you do not have access to it.",
            "type": "invalid_request_error",
            "param": None,
            "code": "model_not_found",
        }


def test_a_completion_of_the_older_kind(http: Http) -> None:
    """`/completions` returns a text for models of the older kind."""
    http.json("PUT", "/_fake/replies", {"replies": [" positive"]})
    answer = client(http).completions.create(model="babbage-002", prompt="I like it ->")

    assert answer.choices[0].text == " positive"
    assert answer.object == "text_completion"


ASKED = {"model": "gpt-4o-mini", "messages": ASK}
REFUSED: list[tuple[dict[str, object], str | None, str | None, str]] = [
    ({"messages": ASK}, None, None, "you must provide a model parameter"),
    ({**ASKED, "model": 5}, "model", "invalid_type", "Invalid type for 'model': expected a string, but got an integer"),
    ({"model": "m"}, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."),
    (
        {"model": "m", "messages": []},
        "messages",
        "empty_array",
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    ),
    ({"model": "m", "messages": "hi"}, "messages", "invalid_type", "Invalid type for 'messages': expected an array"),
    ({"model": "m", "messages": ["hi"]}, "messages[0]", "invalid_type", "Invalid type for 'messages[0]': expected an"),
    ({**ASKED, "n": 0}, "n", "integer_below_min_value", "Invalid 'n': integer below minimum value. Expected a value"),
    (
        {**ASKED, "n": 130},
        "n",
        "integer_above_max_value",
        "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 130 instead.",
    ),
    (
        {**ASKED, "max_tokens": -678},
        "max_tokens",
        "integer_below_min_value",
        "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got -678 instead.",
    ),
    ({**ASKED, "max_tokens": 1.5}, "max_tokens", "invalid_type", "Invalid type for 'max_tokens': expected an integer"),
    ({**ASKED, "stream": None, "tool_choice": 5}, "tool_choice", "invalid_type", "Invalid type for 'tool_choice': exp"),
]


@pytest.mark.parametrize(("body", "param", "code", "words"), REFUSED)
def test_bodies_that_do_not_fit_are_refused(
    http: Http, body: dict[str, object], param: str | None, code: str | None, words: str
) -> None:
    """An invalid body is refused with 400 in the service's words of 2024, and uses up no prepared reply."""
    http.fake.replies("kept")

    error = http.json("POST", "/chat/completions", body, status=400)["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert error["message"].startswith(words)
    whole = http.json("POST", "/chat/completions", {"model": "gpt-4o-mini", "messages": ASK})
    assert whole["choices"][0]["message"]["content"] == "kept"


def test_a_stream_goes_over_a_socket(http: Http) -> None:
    """Over a socket the events of a stream end with [DONE]."""
    body = json.dumps({"model": "gpt-4o-mini", "messages": ASK, "stream": True})
    with http.fake.serving() as url, httpx.Client(trust_env=False) as raw:
        answer = raw.post(f"{url}/chat/completions", content=body, headers={"Authorization": "Bearer any"})

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "more", "param"),
    [
        ("/completions", {"stream": 0}, "stream"),
        ("/completions", {"stream": 0.0}, "stream"),
        ("/completions", {"stream": True}, "stream"),
        ("/chat/completions", {"messages": ASK, "stream": 0}, "stream"),
        (
            "/chat/completions",
            {"messages": ASK, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
        ),
    ],
)
def test_numbers_are_not_taken_for_yes_or_no(http: Http, path: str, more: dict[str, object], param: str) -> None:
    """0 and 1 are refused as booleans, and `/completions` refuses to stream."""
    error = http.json("POST", path, {"model": "gpt-4o-mini", **more}, status=400)["error"]

    assert error["param"] == param
