"""What sees each request to `serve` and its response, for logs and metrics."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.secret_rules import redact_known, redact_query

from ..web import OBSERVED_KEY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROBES = ("/health", "/ready", "/metrics")
"""Paths that machines ask for every few seconds."""


@dataclass(slots=True)
class ObservedRequest:
    """A request that is over.

    Args:
        scope: the request, as ASGI has it.
        duration_s: how many real seconds it took.
        operation: the name of the operation; None for an unknown path, or where the request did not get so far.
        account: the name of the account; None where the request did not get so far.
        status: the response's status; None if the client had closed the connection before there was one.
        request_id: the response's ``x-request-id``, if it has one.
    """

    scope: Scope
    duration_s: float
    operation: str | None
    account: str | None
    status: int | None
    request_id: str | None

    @property
    def target(self) -> str:
        """Path and query as they were sent, without keys; escaped, so that no character can harm a terminal."""
        return _redact_target(self.scope["raw_path"], self.scope["query_string"])


@lru_cache(maxsize=256)  # a client that polls repeats its own
def _redact_target(raw_path: bytes, query_string: bytes) -> str:
    path, query = (part.decode("ascii", "backslashreplace") for part in (raw_path, query_string))
    return redact_known(path) + (f"?{redact_query(query)}" if query else "")


class RequestObserver:
    """ASGI middleware that passes each request on, then tells `observe` of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and observe it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None
        request_id: str | None = None

        async def send_noting(message: Message) -> None:
            nonlocal status, request_id
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = next((value.decode() for key, value in message["headers"] if key == b"x-request-id"), None)
            await send(message)

        # shared with an observer around this one: the application notes operation and account in it
        observed: dict[str, Any] = scope.setdefault("state", {}).setdefault(OBSERVED_KEY, {})
        start = time.perf_counter()
        try:
            await self._app(scope, receive, send_noting)
        finally:
            duration_s = time.perf_counter() - start
            operation, account = observed.get("operation"), observed.get("account")
            self.observe(ObservedRequest(scope, duration_s, operation, account, status, request_id))

    def observe(self, request: ObservedRequest) -> None:
        """Take note of a request that is over."""
        raise NotImplementedError
