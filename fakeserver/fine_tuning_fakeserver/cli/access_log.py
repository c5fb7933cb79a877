"""The access log: one line a request, for a person who watches the fake at work."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..fake import FakeFineTuning


class AccessLog:
    """The fake's application, with each of its answers written to *out*; no header is, so no key is.

    A line has the time, the virtual time since the account's birth, the answer's status, how long it took, and the
    request: ``12:03:41 +0:06:17 200     1.2 ms  GET /v1/fine_tuning/jobs?limit=2``.
    """

    def __init__(self, fake: FakeFineTuning, out: TextIO) -> None:
        self._fake = fake
        self._app: ASGIApp = fake.asgi_app
        self._out = out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then write its line."""
        status = "---"  # the client went away before there was an answer

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, noting)
        finally:
            if scope["type"] == "http":
                self._write(f"{status} {1000 * (time.perf_counter() - began):7.1f} ms  {_request(scope)}")

    def _write(self, text: str) -> None:
        age = timedelta(seconds=int(self._fake.now - self._fake.born))
        try:
            print(f"{datetime.now():%H:%M:%S} +{age} {text}", file=self._out, flush=True)
        except OSError:
            pass  # nobody reads the log any more, which is no reason to fail the request


def _request(scope: Scope) -> str:
    path, query = scope["raw_path"], scope["query_string"]  # as sent: what is escaped there cannot harm a terminal
    target = path + b"?" + query if query else path
    return f"{scope['method']} {target.decode('ascii', 'backslashreplace')}"
