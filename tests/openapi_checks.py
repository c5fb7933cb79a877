"""The fake's own OpenAPI document, and checks of responses against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app

_PLACEHOLDER = re.compile(r"\\\{\w+\\\}")
UNROUTED = {404, 405}
"""The statuses of the response to an unknown path or method."""


@cache
def document() -> Any:
    """The OpenAPI document as the fake serves it."""
    return json.loads(call_app(FakeFineTuning().asgi_app, "GET", b"/openapi.json", [], b"").body)


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    return [
        (re.compile(_PLACEHOLDER.sub("[^/]+", re.escape(path))), methods)
        for path, methods in document()["paths"].items()
    ]


def described(method: str, target: str) -> dict[str, Any] | None:
    """The document's operation for a request, or None."""
    raw = re.sub("%2f", "%252F", target.partition("?")[0], flags=re.IGNORECASE)  # an encoded slash parts nothing
    path = re.sub("/{2,}", "/", unquote(raw))
    methods = next((methods for pattern, methods in _paths() if pattern.fullmatch(path)), {})
    found: dict[str, Any] | None = methods.get(method.lower())
    return found


@cache
def _validator(schema: str) -> Any:
    """A compiled validator of a JSON schema, whose references are into the document."""
    whole = {**json.loads(schema), "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole)


def _validate(schema: Any, value: Any) -> None:
    _validator(json.dumps(schema)).validate(value)


def check(method: str, target: str, reply: InProcessResponse) -> None:
    """Check the response to a request of the API against the document.

    Raises:
        AssertionError: its status or its media type is not in the document.
        jsonschema_rs.ValidationError: its body does not match its schema.
    """
    if method == "HEAD":
        return
    operation = described(method, target)
    if operation is None:
        _check_unrouted(reply)
        return
    where = f"{method} {target}: {reply.status}"
    assert str(reply.status) in operation["responses"], f"{where} is not described"
    media = dict(reply.headers)[b"content-type"].decode().partition(";")[0]
    content = operation["responses"][str(reply.status)]["content"]
    assert media in content, f"{where} has no {media}"
    if media == "application/json":
        _validate(content[media]["schema"], json.loads(reply.body))
    for event in _events(reply) if media == "text/event-stream" else ():
        _validate({"$ref": "#/components/schemas/ChatChunk"}, event)


def _check_unrouted(reply: InProcessResponse) -> None:
    if reply.status != 307:
        assert reply.status in UNROUTED
        _validate({"$ref": "#/components/schemas/Refusal"}, json.loads(reply.body))


def _events(reply: InProcessResponse) -> Iterator[Any]:
    *events, last, end = reply.body.decode().split("\n\n")
    assert (last, end) == ("data: [DONE]", "")
    return (json.loads(event.removeprefix("data: ")) for event in events)
