"""The way to vcrpy: its patches of HTTP libraries, asked by this package's policy.

vcrpy calls a cassette three times: whether it can answer a request, for the answer, and to append a new one. None of
its own matching, filtering and files is used.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any, Protocol

from vcr.cassette import Cassette as VcrCassette  # type: ignore[import-untyped]  # vcrpy has no types
from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]  # the same

from .body_decoding import decode_request_body
from .errors import CassetteError
from .forms import opened
from .messages import Headers, Request, Response


class CassetteBackend(Protocol):
    """What a tape asks: something that plays and records."""

    def handles(self, url: str) -> bool:
        """Whether a request to *url* is for the cassette at all."""

    def replay(self, asked: Request) -> Response | None:
        """The recorded answer; None where the request is to be sent."""

    def record(self, asked: Request, answer: Response) -> None:
        """Keep an interaction that has just been."""


class VcrCassetteAdapter(VcrCassette):  # type: ignore[misc]  # the same
    """A cassette of vcrpy that leaves every decision to a deck."""

    def __init__(self, path: str, deck: CassetteBackend) -> None:
        super().__init__(path)
        self._deck = deck

    def _load(self) -> None:
        """Nothing: the deck has read the file."""

    def _save(self, force: bool = False) -> None:
        """Nothing: the deck writes the file."""

    @property
    def write_protected(self) -> bool:
        """Never: what may not be sent is refused when it is asked for."""
        return False

    def filter_request(self, request: VcrRequest) -> VcrRequest | None:
        """The request, if it is one for the cassette."""
        return request if self._deck.handles(request.uri) else None

    def can_play_response_for(self, request: VcrRequest) -> bool:
        """Whether there is an answer. Decided once for each request: vcrpy asks several times."""
        if not self._deck.handles(request.uri):
            return False
        if not hasattr(request, "recorded_answer"):
            request.recorded_answer = self._deck.replay(_asked(request))
        return request.recorded_answer is not None

    def play_response(self, request: VcrRequest) -> dict[str, Any]:
        """The answer, in vcrpy's form."""
        answer: Response = request.recorded_answer
        headers: dict[str, list[str]] = {}
        for name, value in answer.headers:
            headers.setdefault(name, []).append(value)
        status = {"code": answer.status, "message": answer.reason}
        return {"status": status, "headers": headers, "body": {"string": answer.body}}

    def append(self, request: VcrRequest, response: dict[str, Any]) -> None:
        """Keep an answer that has just come."""
        if self._deck.handles(request.uri):
            self._deck.record(_asked(request), _answer(response))


def playing(path: str, deck: CassetteBackend) -> AbstractContextManager[Any]:
    """A context in which what vcrpy patches goes by *deck*."""
    tape: AbstractContextManager[Any] = VcrCassetteAdapter.use(path=path, deck=deck)
    return tape


def _asked(request: VcrRequest) -> Request:
    headers = tuple((str(name).lower(), str(value)) for name, value in request.headers.items())
    return opened(decode_request_body(Request(request.method.upper(), request.uri, headers, _body(request))))


def _body(request: VcrRequest) -> bytes:
    body = request.body
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, (dict, list)):  # aiohttp's json=
        return json.dumps(body).encode()
    if hasattr(body, "__next__"):
        body = b"".join(each.encode() if isinstance(each, str) else bytes(each) for each in body)
    if body is None or isinstance(body, (bytes, bytearray)):
        return bytes(body or b"")
    raise CassetteError(
        f"{request.method} {request.uri}: its body is a {type(body).__name__}, which cannot be read without sending "
        "it: send bytes, text or JSON"
    )


def _answer(response: dict[str, Any]) -> Response:
    headers: Headers = tuple(
        (str(name).lower(), str(value)) for name, values in response["headers"].items() for value in values
    )
    status = response["status"]
    return Response(int(status["code"]), status["message"] or "", headers, bytes(response["body"].get("string") or b""))
