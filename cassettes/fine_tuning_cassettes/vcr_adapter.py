"""vcrpy's patches of HTTP libraries, answered by this package's policy.

vcrpy asks a cassette whether it can answer a request, for the response, and to append a new one. None of its own
matching, filtering and files is used.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any, Protocol

from vcr.cassette import Cassette as VcrCassette  # type: ignore[import-untyped]  # vcrpy has no types
from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]  # the same

from .errors import CassetteError
from .messages import RecordedRequest, RecordedResponse, decode_request


class CassetteBackend(Protocol):
    """The interface that replays and records in place of vcrpy."""

    def handles(self, url: str) -> bool:
        """Return whether a request to *url* is for the cassette at all."""

    def replay(self, request: RecordedRequest) -> RecordedResponse | None:
        """Return the recorded response; None if the request is to be sent."""

    def record(self, request: RecordedRequest, response: RecordedResponse) -> None:
        """Keep a new interaction."""


class VcrCassetteAdapter(VcrCassette):  # type: ignore[misc]  # the same
    """A cassette of vcrpy that leaves every decision to a backend."""

    def __init__(self, path: str, backend: CassetteBackend) -> None:
        super().__init__(path)
        self._backend = backend

    def _load(self) -> None:
        """Do nothing: the backend has read the file."""

    def _save(self, force: bool = False) -> None:
        """Do nothing: the backend writes the file."""

    @property
    def write_protected(self) -> bool:
        """Never: the backend refuses in `replay` what must not be sent."""
        return False

    def filter_request(self, request: VcrRequest) -> VcrRequest | None:
        """Return the request if it is for the cassette."""
        return request if self._backend.handles(request.uri) else None

    def can_play_response_for(self, request: VcrRequest) -> bool:
        """Return whether there is a response. Decided once a request, as vcrpy asks several times."""
        if not self._backend.handles(request.uri):
            return False
        if not hasattr(request, "replayed_response"):
            request.replayed_response = self._backend.replay(_to_request(request))
        return request.replayed_response is not None

    def play_response(self, request: VcrRequest) -> dict[str, Any]:
        """Return the response in vcrpy's form."""
        response: RecordedResponse = request.replayed_response
        headers: dict[str, list[str]] = {}
        for name, value in response.headers:
            headers.setdefault(name, []).append(value)
        status = {"code": response.status, "message": response.reason}
        return {"status": status, "headers": headers, "body": {"string": response.body}}

    def append(self, request: VcrRequest, response: dict[str, Any]) -> None:
        """Record a response that has just arrived."""
        if not self._backend.handles(request.uri):
            return
        status, body = response["status"], response["body"].get("string") or b""
        headers = tuple(
            (str(name).lower(), str(value)) for name, values in response["headers"].items() for value in values
        )
        recorded = RecordedResponse(int(status["code"]), status["message"] or "", headers, bytes(body))
        self._backend.record(_to_request(request), recorded)


def patch_http(path: str, backend: CassetteBackend) -> AbstractContextManager[Any]:
    """Return a context in which the HTTP libraries that vcrpy patches are answered by *backend*."""
    context: AbstractContextManager[Any] = VcrCassetteAdapter.use(path=path, backend=backend)
    return context


def _to_request(request: VcrRequest) -> RecordedRequest:
    headers = tuple((str(name).lower(), str(value)) for name, value in request.headers.items())
    body = request.body.read() if hasattr(request.body, "read") else request.body
    if isinstance(body, (dict, list)):  # aiohttp's json=
        body = json.dumps(body).encode()
    elif hasattr(body, "__next__"):
        body = b"".join(chunk.encode() if isinstance(chunk, str) else bytes(chunk) for chunk in body)
    if not isinstance(body, (bytes, bytearray, type(None))):
        raise CassetteError(
            f"{request.method} {request.uri}: the body must be bytes, text or JSON, got {type(body).__name__}, which "
            "cannot be read without sending it"
        )
    return decode_request(RecordedRequest(request.method.upper(), request.uri, headers, bytes(body or b"")))
