"""What a question asks of its answer: a tool's call, JSON of a schema, a length, log probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from random import Random
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.token_estimate import split_tokens

from ..api_errors import invalid_field
from .response_objects import Json

OTHER_TOKENS = (" the", " a", "\n", " of", " and", " to", " in", " is", ".", ",", " it", " that", " on", " as", " for")


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """The options of a question; `top` is how many likeliest tokens to show, None without log probabilities."""

    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    most_tokens: int | None = None
    top: int | None = None

    def tool(self) -> Mapping[str, Any] | None:
        """Return the function that must be called; None where a text is an answer.

        Raises:
            ApiError: it is not among the tools (inferred).
        """
        choice = self.tool_choice
        functions: list[dict[str, Any]] = [
            tool["function"] for tool in self.tools if isinstance(tool.get("function"), dict)
        ]
        if choice == "required" and functions:
            return functions[0]
        if choice != "required" and not isinstance(choice, dict):
            return None
        named = choice.get("function") if isinstance(choice, dict) else None
        name = named.get("name") if isinstance(named, dict) else None
        for function in functions:
            if function.get("name") == name:
                return function
        raise invalid_field("tool_choice", ", it must name one of tools")

    def json_schema(self) -> Any:
        """Return the schema of the answer; None where it is a plain text."""
        form = self.response_format or {}
        if form.get("type") == "json_object":
            return {"type": "object"}
        inner = form.get("json_schema") if form.get("type") == "json_schema" else None
        return inner.get("schema", {"type": "object"}) if isinstance(inner, dict) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice: its text, or the call of a tool in the place of one; `finish` is why it ended."""

    text: str
    finish: str = "stop"
    call: Json | None = None


def draw_answer(options: AnswerOptions, text: str, number: int) -> Answer:
    """Return the answer that *options* ask for; *text* is the plain one, *number* what is drawn from.

    Raises:
        ApiError: they ask for what there is not.
    """
    source = Random(number)
    function = options.tool()
    if function is not None:
        arguments = _draw(function.get("parameters") or {"type": "object"}, source, "tools")
        call = {
            "id": f"call_{source.getrandbits(96):024x}",
            "type": "function",
            "function": {"name": str(function.get("name")), "arguments": arguments},
        }
        # vendor text: a call that was asked for by name ends with "stop"
        return Answer("", "tool_calls" if options.tool_choice == "required" else "stop", call)
    schema = options.json_schema()
    return limited(options, text if schema is None else _draw(schema, source, "response_format"))


def limited(options: AnswerOptions, text: str) -> Answer:
    """Return the answer *text*, cut to as many tokens as it may have."""
    tokens = split_tokens(text) if options.most_tokens is not None else []
    if options.most_tokens is None or len(tokens) <= options.most_tokens:
        return Answer(text)
    return Answer("".join(tokens[: options.most_tokens]), "length")


def _draw(schema: Any, source: Random, param: str) -> str:
    from .schema_values import UndrawableSchemaError, draw_value  # on demand: few questions have a schema

    try:
        return json.dumps(draw_value(schema, source), ensure_ascii=False)
    except UndrawableSchemaError as error:
        raise invalid_field(param, f", {error}") from None


def token_probabilities(text: str, top: int) -> list[tuple[str, float, list[tuple[str, float]]]]:
    """Return each token of *text* with its log probability, and the *top* likeliest tokens in its place."""
    measured = []
    for place, token in enumerate(split_tokens(text)):
        source = Random(f"{place}/{token}")
        share = 0.6 + 0.39 * source.random()
        others = [other for other in OTHER_TOKENS if other != token]
        likely = [(token, math.log(share))]
        for other in source.sample(others, min(max(top - 1, 0), len(others))):
            share = (1 - share) / 3 if len(likely) == 1 else share / 2
            likely.append((other, math.log(share)))
        measured.append((token, likely[0][1], likely[:top]))
    return measured
