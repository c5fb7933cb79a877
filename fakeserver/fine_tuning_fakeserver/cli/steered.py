"""Control calls from other machines, such as the containers beside that of `serve`: by a token."""

from __future__ import annotations

from hmac import compare_digest

from starlette.types import ASGIApp, Receive, Scope, Send

CONTROL = "/_fake"
HERE = ("127.0.0.1", 0)


class Steered:
    """Takes whoever sends the token with a control call for somebody on this machine.

    Args:
        app: the fake's.
        token: sent as ``Authorization: Bearer …``.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith(CONTROL) and self._knows(scope):
            scope = {**scope, "client": HERE}
        await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return compare_digest(sent, self._wanted)
