"""The way to vcrpy: what its patches hand over, in the forms of every library, and what they get back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]  # vcrpy has no types

from fine_tuning_cassettes import CassetteError
from fine_tuning_cassettes.messages import Request, Response
from fine_tuning_cassettes.vcr_adapter import VcrCassetteAdapter

URL = "https://api.openai.com/v1/fine_tuning/jobs"


class Deck:
    """Takes everything at one host, has one answer, and remembers what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.kept: list[Response] = []

    def handles(self, url: str) -> bool:
        """Whether it is for this host."""
        return "openai" in url

    def replay(self, asked: Request) -> Response:
        """Always the same."""
        self.asked.append(asked)
        return Response(200, "OK", (("set-cookie", "a"), ("set-cookie", "b")), b"{}")

    def record(self, asked: Request, answer: Response) -> None:
        """Remember it."""
        self.kept.append(answer)


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1}', '{"a": 1}', {"a": 1}, io.BytesIO(b'{"a": 1}'), iter([b'{"a"', b": 1}"]), iter(['{"a": 1}'])],
    ids=lambda body: type(body).__name__,
)
def test_a_body_is_read_in_every_form(body: Any) -> None:
    """Bytes, text, aiohttp's JSON, files and iterators are the same request."""
    deck = Deck()
    VcrCassetteAdapter("c.yaml", deck).can_play_response_for(VcrRequest("POST", URL, body, {}))
    assert deck.asked[0].body == b'{"a": 1}'


def test_a_body_that_cannot_be_read_is_refused() -> None:
    """aiohttp's forms are read only by sending them: the request is refused, and names what would do."""
    form = type("FormData", (), {})()
    with pytest.raises(
        CassetteError, match="its body is a FormData, which cannot be read without sending it: send bytes"
    ):
        VcrCassetteAdapter("c.yaml", Deck()).can_play_response_for(VcrRequest("POST", URL, form, {}))


def test_one_request_is_decided_once() -> None:
    """However often vcrpy asks about a request, it counts as one look, and each header keeps all its values."""
    deck = Deck()
    tape, request = VcrCassetteAdapter("c.yaml", deck), VcrRequest("GET", URL, None, {})
    assert [tape.can_play_response_for(request) for _ in range(3)] == [True] * 3
    answer = tape.play_response(request)
    assert len(deck.asked) == 1
    assert answer["headers"] == {"set-cookie": ["a", "b"]}
    assert answer["body"] == {"string": b"{}"}


def test_what_is_not_for_the_cassette_is_neither_played_nor_kept() -> None:
    """A request to another host is never shown to the deck."""
    deck = Deck()
    tape, request = VcrCassetteAdapter("c.yaml", deck), VcrRequest("GET", "https://elsewhere/v1/files", None, {})
    assert not tape.can_play_response_for(request)
    assert tape.filter_request(request) is None
    tape.append(request, {"status": {"code": 200, "message": ""}, "headers": {}, "body": {"string": b""}})
    assert (deck.asked, deck.kept) == ([], [])
