"""Chat and completion options that notebooks about fine-tuning use: tools, JSON, log probabilities, limits."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from strategies import Http

CHAT = "/chat/completions"
LAND = {"type": "function", "function": {"name": "land", "parameters": {"type": "object", "properties": {}}}}
FLY = {
    "type": "function",
    "function": {
        "name": "fly",
        "parameters": {
            "type": "object",
            "required": ["height"],
            "properties": {"height": {"type": "integer", "minimum": 3, "maximum": 4}},
        },
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "grape": {"type": "string", "enum": ["Merlot", "Gamay"]},
        "year": {"type": "integer", "minimum": 1900, "maximum": 1999},
        "price": {"anyOf": [{"type": "number", "exclusiveMinimum": 1}, {"type": "null"}]},
        "notes": {"type": "array", "items": {"$ref": "#/$defs/note"}, "minItems": 2, "maxItems": 3},
        "kind": {"const": "wine"},
        "is_red": {"type": ["boolean", "null"]},
        "bottled": {"type": "string", "format": "date"},
    },
    "required": ["grape", "year", "price", "notes", "kind", "is_red", "bottled"],
    "additionalProperties": False,
    "$defs": {
        "note": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "minLength": 3, "maxLength": 5},
                "next": {"$ref": "#/$defs/note"},
            },
            "required": ["text"],
        }
    },
}


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(pace="manual", seed=3))


def ask(http: Http, **options: Any) -> Any:
    """The first choice of an answer."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which one?"}], **options}
    return http.json("POST", CHAT, body)["choices"][0]


def test_a_required_tool_is_called(http: Http) -> None:
    """With tool_choice "required" the first tool is called with arguments of its schema, and content is null."""
    choice = ask(http, tools=[FLY, LAND], tool_choice="required")

    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "fly")
    assert json.loads(call["function"]["arguments"])["height"] in (3, 4)


def test_a_named_tool_is_called(http: Http) -> None:
    """The tool that tool_choice names is called; one that was not given is refused."""
    named = {"type": "function", "function": {"name": "land"}}
    assert ask(http, tools=[FLY, LAND], tool_choice=named)["message"]["tool_calls"][0]["function"]["name"] == "land"

    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "?"}],
        "tools": [FLY],
        "tool_choice": named,
    }
    assert http.json("POST", CHAT, body, 400)["error"]["param"] == "tool_choice"


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_tool_that_may_be_called_is_not(http: Http, choice: str | None) -> None:
    """Where a tool is a choice only, the model answers with a text."""
    assert "tool_calls" not in ask(http, tools=[FLY], tool_choice=choice)["message"]


def test_json_is_of_the_schema_that_was_asked_for(http: Http) -> None:
    """An answer by json_schema is valid, the same for the same seed, and another for the next question."""
    form = {"type": "json_schema", "json_schema": {"name": "wine", "strict": True, "schema": SCHEMA}}
    texts = [ask(http, response_format=form)["message"]["content"] for _ in range(20)]

    for text in texts:
        jsonschema_rs.validate(SCHEMA, json.loads(text))
    assert len(set(texts)) > 1
    assert ask(Http(FakeFineTuning(pace="manual", seed=3)), response_format=form)["message"]["content"] == texts[0]
    assert isinstance(json.loads(ask(http, response_format={"type": "json_object"})["message"]["content"]), dict)


@pytest.mark.parametrize(
    "schema", [{"$ref": "#"}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}, {"$ref": "#/x"}]
)
def test_a_schema_without_end_is_refused(http: Http, schema: dict[str, Any]) -> None:
    """A schema that no value of any size fits is refused with 400."""
    form = {"type": "json_schema", "json_schema": {"name": "endless", "schema": schema}}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "?"}], "response_format": form}

    assert http.json("POST", CHAT, body, 400)["error"]["param"] == "response_format"


def test_prepared_replies_come_first(http: Http) -> None:
    """A prepared reply is given as it is, whatever was asked for."""
    http.fake.replies("As I said.")

    assert ask(http, tools=[FLY], tool_choice="required")["message"]["content"] == "As I said."


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_ends_at_its_limit(http: Http, name: str) -> None:
    """An answer has at most so many tokens, and says that its length was the reason to end."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which one?"}], name: 3}
    answer = http.json("POST", CHAT, body)

    assert answer["usage"]["completion_tokens"] == 3
    assert answer["choices"][0]["finish_reason"] == "length"
    assert ask(http, max_tokens=1000)["finish_reason"] == "stop"


def test_log_probabilities_of_a_stream(http: Http) -> None:
    """The chunks of a stream have other log probabilities than the whole answer, or some where none were asked for."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which one?"}], "stream": True}

    def chunks(**options: Any) -> list[Any]:
        lines = http.send("POST", CHAT, {**body, **options}).body.decode().split("\n\n")
        return [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines if line.startswith("data: {")]

    plain, measured = chunks(), chunks(logprobs=True, top_logprobs=2)
    assert all(each["logprobs"] is None for each in plain)
    assert [each["logprobs"] is None for each in measured] == [not each["delta"].get("content") for each in measured]
    assert all(each["logprobs"]["content"][0]["token"] == each["delta"]["content"] for each in measured[1:-1])
    texts = ["".join(each["delta"].get("content") or "" for each in found) for found in (plain, measured)]
    assert texts[0] == texts[1]


def test_log_probabilities_of_a_chat(http: Http) -> None:
    """Each token of a chat has its log probability and so many others below it."""
    choice = ask(http, logprobs=True, top_logprobs=3)

    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    for token in tokens:
        tops = [top["logprob"] for top in token["top_logprobs"]]
        assert tops == sorted(tops, reverse=True)
        assert (len(tops), tops[0]) == (3, token["logprob"])
        assert bytes(token["bytes"]).decode() == token["token"]
    assert ask(http, logprobs=False)["logprobs"] is None


def test_log_probabilities_of_a_completion(http: Http) -> None:
    """A completion has tokens, their log probabilities, the likeliest others and offsets."""
    body = {"model": "babbage-002", "prompt": "Bats ->", "max_tokens": 1, "temperature": 0, "logprobs": 2}
    answer = http.json("POST", "/completions", body)

    (choice,) = answer["choices"]
    assert answer["usage"]["completion_tokens"] == 1
    assert choice["logprobs"]["tokens"] == [choice["text"]]
    assert choice["logprobs"]["text_offset"] == [0]
    assert len(choice["logprobs"]["top_logprobs"][0]) == 2


def test_the_sdk_reads_them() -> None:
    """OpenAI's SDK parses a structured answer and a streamed tool call."""
    import pydantic

    class Wine(pydantic.BaseModel):
        grape: str
        year: int

    with FakeFineTuning().serving() as url:
        client = openai.OpenAI(base_url=url, api_key="key")
        said: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which one?"}]}
        parsed = client.chat.completions.parse(**said, response_format=Wine)
        assert isinstance(parsed.choices[0].message.parsed, Wine)
        called: Any = {"tools": [FLY], "tool_choice": "required"}
        chunks = list(client.chat.completions.create(**said, **called, stream=True))
        calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        assert calls[0].function.name == "fly"
        assert "height" in json.loads("".join(call.function.arguments or "" for call in calls))


@pytest.mark.parametrize(
    ("fields", "message", "param", "code"),
    [
        (
            {"messages": []},
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        ),
        (
            {"n": 130},
            "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 130 instead.",
            "n",
            "integer_above_max_value",
        ),
    ],
)
def test_refusals_in_the_services_words(
    http: Http, fields: dict[str, Any], message: str, param: str, code: str
) -> None:
    """A chat without messages, and one for too many choices, are refused as printed."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "?"}], **fields}

    assert http.json("POST", CHAT, body, 400)["error"] == {
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "code": code,
    }


def test_a_list_of_its_own_kind_ends(http: Http) -> None:
    """A schema that refers to itself or to null is always answered."""
    chain = {"anyOf": [{"$ref": "#"}, {"type": "null"}]}
    schema = {"type": "object", "properties": {"next": chain}, "required": ["next"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "chain", "schema": schema}}

    for _ in range(300):
        jsonschema_rs.validate(schema, json.loads(ask(http, response_format=form)["message"]["content"]))
