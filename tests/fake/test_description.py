"""The fake's OpenAPI document, and the check of responses against it."""

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
    """A response."""
    return InProcessResponse(status, [(b"content-type", media)], [json.dumps(body).encode()])


def test_the_document_is_served_without_a_key() -> None:
    """``GET /openapi.json`` needs no key, is OpenAPI 3.1, and always has the same bytes."""
    http = Http(FakeFineTuning(api_keys=["right"]))
    first = http.send("GET", "/openapi.json", None, ())

    assert first.status == 200
    assert dict(first.headers)[b"content-type"] == b"application/json"
    assert json.loads(first.body)["openapi"] == "3.1.0"
    assert first.body == http.send("GET", "/openapi.json", None, ()).body
    assert len(http.fake.requests) == 0


def test_every_route_is_described() -> None:
    """The document has exactly the routes of the API, under their names."""
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
    """Each schema compiles with its references, and each is referred to."""
    whole = document()
    text = json.dumps(whole)
    for name in whole["components"]["schemas"]:
        jsonschema_rs.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": whole["components"]}
        ).is_valid(None)
        assert f'"$ref": "#/components/schemas/{name}"' in text, name
    assert {schema.name for schema in SCHEMAS} <= set(whole["components"]["schemas"])


def test_others_can_read_it() -> None:
    """Schemathesis finds every operation in the document."""
    found = schemathesis.openapi.from_dict(document())

    assert sum(1 for _ in found.get_all_operations()) == len(OPERATIONS)


def test_bodies_are_described_by_what_checks_them() -> None:
    """The schema of a body is generated from the model that validates it."""
    schema = document()["components"]["schemas"]["CreateJobBody"]

    assert list(schema["properties"]) == list(CreateJobBody.model_fields)
    assert schema["required"] == ["model", "training_file"]
    assert schema["additionalProperties"] is False


def test_what_is_described_passes() -> None:
    """A response that conforms passes the check."""
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
    """A response with an extra, missing or wrongly typed member fails the check."""
    with pytest.raises(jsonschema_rs.ValidationError):
        check("GET", "/v1/models/gpt-4o-mini", reply(body))


def test_a_status_that_is_not_described() -> None:
    """A status that the route does not describe fails the check."""
    with pytest.raises(AssertionError, match="GET /v1/models/x: 418 is not described"):
        check("GET", "/v1/models/x", reply(MODEL, 418))


def test_a_media_type_that_is_not_described() -> None:
    """A media type that the route does not describe fails the check."""
    with pytest.raises(AssertionError, match="has no text/csv"):
        check("GET", "/v1/models/x", reply(MODEL, media=b"text/csv"))


def test_a_path_that_is_no_route_answers_an_error() -> None:
    """For an unknown path only an error response passes the check."""
    with pytest.raises(AssertionError):
        check("GET", "/v1/nothing", reply(MODEL))
    with pytest.raises(jsonschema_rs.ValidationError):
        check("GET", "/v1/nothing", reply(MODEL, 404))


def test_streamed_events_are_held_to_the_document() -> None:
    """A streamed event that does not conform fails the check."""
    stream = InProcessResponse(200, [(b"content-type", b"text/event-stream")], [b'data: {"id": 1}\n\ndata: [DONE]\n\n'])

    with pytest.raises(jsonschema_rs.ValidationError):
        check("POST", "/v1/chat/completions", stream)
