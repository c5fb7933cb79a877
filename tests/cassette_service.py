"""A small in-process service for tests of cassettes, and a helper that records and replays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from fine_tuning_cassettes import use_cassette

URL = "https://api.openai.com/v1"
JOB = {"object": "fine_tuning.job", "id": "ftjob-1", "status": "running"}


class JsonService:
    """A service that responds with JSON by the end of the path, and with fixed headers."""

    def __init__(self, answers: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._answers, self._headers = answers or {}, headers or {}

    def post(self, path: str, **options: Any) -> Any:
        """Return the JSON response to a POST."""
        return self._send("POST", path, **options)

    def get(self, path: str, **options: Any) -> Any:
        """Return the JSON response to a GET."""
        return self._send("GET", path, **options)

    def _send(self, method: str, path: str, **options: Any) -> Any:
        with httpx.Client(transport=httpx.MockTransport(self._answer)) as client:
            return client.request(method, URL + path, **options).json()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        found = [answer for end, answer in self._answers.items() if request.url.path.endswith(end)]
        return httpx.Response(200, headers=self._headers, json=(found or [JOB])[0])


def record_and_replay(path: Path, session: Callable[[], object]) -> str:
    """Record a session and replay all of it; return the cassette's text."""
    with use_cassette(path, "once"):
        session()
    with use_cassette(path, on_unplayed="fail"):
        session()
    return path.read_text()
