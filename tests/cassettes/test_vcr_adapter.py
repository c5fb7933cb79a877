"""The adapter to vcrpy: requests as every HTTP library passes them, and responses to them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]  # vcrpy has no types

from fine_tuning_cassettes import CassetteError
from fine_tuning_cassettes.messages import RecordedRequest, RecordedResponse
from fine_tuning_cassettes.vcr_adapter import VcrCassetteAdapter

URL = "https://api.openai.com/v1/fine_tuning/jobs"


class StubBackend:
    """A backend for one host that always returns the same response and records its calls."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.recorded: list[RecordedResponse] = []

    def handles(self, url: str) -> bool:
        """Return whether the URL is for this host."""
        return "openai" in url

    def replay(self, request: RecordedRequest) -> RecordedResponse:
        """Return the same response to every request."""
        self.requests.append(request)
        return RecordedResponse(200, "OK", (("set-cookie", "a"), ("set-cookie", "b")), b"{}")

    def record(self, request: RecordedRequest, answer: RecordedResponse) -> None:
        """Keep the response."""
        self.recorded.append(answer)


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1}', '{"a": 1}', {"a": 1}, io.BytesIO(b'{"a": 1}'), iter([b'{"a"', b": 1}"]), iter(['{"a": 1}'])],
    ids=lambda body: type(body).__name__,
)
def test_a_body_is_read_in_every_form(body: Any) -> None:
    """Bytes, text, aiohttp's JSON, files and iterators are read as the same body."""
    backend = StubBackend()
    VcrCassetteAdapter("c.yaml", backend).can_play_response_for(VcrRequest("POST", URL, body, {}))
    assert backend.requests[0].body == b'{"a": 1}'


def test_a_body_that_cannot_be_read_is_refused() -> None:
    """An aiohttp form, which cannot be read without sending it, is refused."""
    form = type("FormData", (), {})()
    with pytest.raises(
        CassetteError,
        match="the body must be bytes, text or JSON, got FormData, which cannot be read without sending it",
    ):
        VcrCassetteAdapter("c.yaml", StubBackend()).can_play_response_for(VcrRequest("POST", URL, form, {}))


def test_one_request_is_decided_once() -> None:
    """Repeated questions of vcrpy about a request count as one, and repeated headers keep all values."""
    backend = StubBackend()
    adapter, request = VcrCassetteAdapter("c.yaml", backend), VcrRequest("GET", URL, None, {})
    assert [adapter.can_play_response_for(request) for _ in range(3)] == [True] * 3
    answer = adapter.play_response(request)
    assert len(backend.requests) == 1
    assert answer["headers"] == {"set-cookie": ["a", "b"]}
    assert answer["body"] == {"string": b"{}"}


def test_what_is_not_for_the_cassette_is_neither_played_nor_kept() -> None:
    """A request to another host never reaches the backend."""
    backend = StubBackend()
    adapter, request = VcrCassetteAdapter("c.yaml", backend), VcrRequest("GET", "https://elsewhere/v1/files", None, {})
    assert not adapter.can_play_response_for(request)
    assert adapter.filter_request(request) is None
    adapter.append(request, {"status": {"code": 200, "message": ""}, "headers": {}, "body": {"string": b""}})
    assert (backend.requests, backend.recorded) == ([], [])
