"""The fake as an ASGI application: its routes."""

from __future__ import annotations

import re
from collections import defaultdict
from urllib.parse import unquote

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..account.world import World
from . import dialect_adapter
from .control_endpoints import CONTROL_OPERATIONS
from .operation import Operation
from .operations import OPERATIONS
from .request_handler import RequestHandler

_SLASHES = re.compile("/{2,}")
_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_ORIGIN = re.compile(rb"[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)
_INNER_SLASH = "\udc2f"
"""Stands for an encoded slash while a path is routed. No path decodes to this character."""


def create_app(world: World) -> ASGIApp:
    """Return the application that answers for *world*. It awaits the request's body; more only where a fault does."""
    by_path: defaultdict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in (*OPERATIONS, *CONTROL_OPERATIONS):
        by_path[operation.path][operation.method] = operation
    handler = RequestHandler(world)
    routes = [Route(path, endpoint=RouteEndpoint(handler, methods)) for path, methods in by_path.items()]
    return NormalizePath(world, Router(routes, redirect_slashes=False, default=RouteEndpoint(handler, {})))


class NormalizePath:
    """Normalise paths before they are routed.

    Several slashes are one (recording of 2023-10), and one that came encoded is part of a segment (RFC 3986, 2.2).
    """

    def __init__(self, world: World, router: Router) -> None:
        self._world = world
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; there is nothing to start or stop."""
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        if scope["type"] != "http":
            return
        raw_path: bytes = scope.get("raw_path") or b"/"
        if not raw_path.startswith(b"/") and (origin := _ORIGIN.match(raw_path)):
            # a server accepts the absolute form, too, which proxies get (RFC 9112, 3.2.2)
            raw_path = raw_path[origin.end() :] or b"/"
            scope = {**scope, "raw_path": raw_path, "path": unquote(raw_path.decode("latin-1"))}
        if b"%2" in raw_path:
            # models may have slashes in their names, which SDKs encode
            marked = _ENCODED_SLASH.sub(_INNER_SLASH, raw_path.decode("latin-1"))
            scope = {**scope, "path": unquote(marked)}
        if "//" in scope["path"]:
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        if scope["path"].startswith(dialect_adapter.PREFIXES):
            scope = dialect_adapter.to_v1_path(scope, self._world.service.account.dialect.http)
        await self._router(scope, receive, send)


class RouteEndpoint:
    """One path with its methods; the default endpoint, without any, answers for unknown paths."""

    def __init__(self, handler: RequestHandler, methods: dict[str, Operation]) -> None:
        self._handler = handler
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if _INNER_SLASH in scope["path"]:
            named = {name: value.replace(_INNER_SLASH, "/") for name, value in scope.get("path_params", {}).items()}
            scope = {**scope, "path": scope["path"].replace(_INNER_SLASH, "%2F"), "path_params": named}
        operation = self._methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if operation:
            await self._handler.serve(operation, scope, receive, send)
        else:
            await self._handler.handle_unknown_route(tuple(self._methods), scope, receive, send)
