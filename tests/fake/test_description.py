"""The fake describes itself, and what is not as described is noticed."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.api.request_models import CreateJobBody
from fine_tuning_fakeserver.web.documents import SCHEMAS
from fine_tuning_fakeserver.web.in_process import InProcessResponse
from fine_tuning_fakeserver.web.operations import OPERATIONS
from openapi_checks import check, document
from strategies import Http

pytestmark = pytest.mark.slow

MODEL = {"id": "gpt-4o-mini", "object": "model", "created": 1, "owned_by": "system"}


def reply(body: Any, status: int = 200, media: bytes = b"application/json") -> InProcessResponse:
    """An answer."""
    return InProcessResponse(status, [(b"content-type", media)], [json.dumps(body).encode()])


def test_the_document_is_served_without_a_key() -> None:
    """``GET /openapi.json`` is open, an OpenAPI 3.1 document, and the same bytes each time."""
    http = Http(FakeFineTuning(api_keys=["right"]))
    first = http.send("GET", "/openapi.json", None, ())

    assert first.status == 200
    assert dict(first.headers)[b"content-type"] == b"application/json"
    assert json.loads(first.body)["openapi"] == "3.1.0"
    assert first.body == http.send("GET", "/openapi.json", None, ()).body
    assert len(http.fake.requests) == 0


def test_every_route_is_described() -> None:
    """The document has every route of the API, under its name, and no other."""
    described = [
        (method.upper(), path, said["operationId"])
        for path, methods in document()["paths"].items()
        for method, said in methods.items()
    ]

    assert sorted(described) == sorted((each.method, each.path, each.name) for each in OPERATIONS)
    for operation in OPERATIONS:
        assert operation.response or operation.other_media, operation.name
        assert bool(operation.form) == bool(operation.file_bytes_at_most), operation.name
        assert not (operation.form and operation.request), operation.name


def test_every_schema_is_sound() -> None:
    """Each schema compiles, with all that it refers to; each object of an answer is referred to."""
    whole = document()
    text = json.dumps(whole)
    for name in whole["components"]["schemas"]:
        jsonschema_rs.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": whole["components"]}
        ).is_valid(None)
        assert f'"$ref": "#/components/schemas/{name}"' in text, name
    assert {schema.name for schema in SCHEMAS} <= set(whole["components"]["schemas"])


def test_others_can_read_it() -> None:
    """A tool that reads OpenAPI documents finds every operation."""
    found = schemathesis.openapi.from_dict(document())

    assert sum(1 for _ in found.get_all_operations()) == len(OPERATIONS)


def test_bodies_are_described_by_what_checks_them() -> None:
    """A body's schema is the model's that checks it: a field is there once it is in the model."""
    schema = document()["components"]["schemas"]["CreateJobBody"]

    assert list(schema["properties"]) == list(CreateJobBody.model_fields)
    assert schema["required"] == ["model", "training_file"]
    assert schema["additionalProperties"] is False


def test_what_is_described_passes() -> None:
    """A right answer is let through."""
    check("GET", "/v1/models/gpt-4o-mini", reply(MODEL))


@pytest.mark.parametrize(
    "body",
    [
        {**MODEL, "colour": "red"},
        {name: value for name, value in MODEL.items() if name != "owned_by"},
        {**MODEL, "created": "1"},
        {**MODEL, "object": "file"},
    ],
    ids=["a member more", "a member less", "another type", "another value"],
)
def test_an_answer_that_is_not_as_described(body: Any) -> None:
    """A member more, a member less, or another type is noticed."""
    with pytest.raises(jsonschema_rs.ValidationError):
        check("GET", "/v1/models/gpt-4o-mini", reply(body))


def test_a_status_that_is_not_described() -> None:
    """A status that a route has not is noticed."""
    with pytest.raises(AssertionError, match="GET /v1/models/x: 418 is not described"):
        check("GET", "/v1/models/x", reply(MODEL, 418))


def test_a_media_type_that_is_not_described() -> None:
    """Another media type is noticed."""
    with pytest.raises(AssertionError, match="has no text/csv"):
        check("GET", "/v1/models/x", reply(MODEL, media=b"text/csv"))


def test_a_path_that_is_no_route_answers_an_error() -> None:
    """What is no route is answered with an error, and with nothing else."""
    with pytest.raises(AssertionError):
        check("GET", "/v1/nothing", reply(MODEL))
    with pytest.raises(jsonschema_rs.ValidationError):
        check("GET", "/v1/nothing", reply(MODEL, 404))


def test_streamed_events_are_held_to_the_document() -> None:
    """An event that is not as described is noticed."""
    stream = InProcessResponse(200, [(b"content-type", b"text/event-stream")], [b'data: {"id": 1}\n\ndata: [DONE]\n\n'])

    with pytest.raises(jsonschema_rs.ValidationError):
        check("POST", "/v1/chat/completions", stream)
