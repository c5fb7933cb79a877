"""The fake as an ASGI application: what is where."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from urllib.parse import unquote

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ..account.service import Service
from . import dialect_adapter
from .control_endpoints import CONTROL_OPERATIONS
from .fault_injector import ArmedFaults
from .operation import Operation
from .operations import OPERATIONS
from .request_handler import RequestHandler
from .request_log import RequestLog
from .scripting.player import ScriptStack

_SLASHES = re.compile("/{2,}")
_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_ORIGIN = re.compile(rb"[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)
_INNER_SLASH = "\udc2f"
"""While a path is routed: a slash that came encoded, and so parts no segments. No path decodes to this character."""


def create_app(
    service: Service,
    requests: RequestLog | None = None,
    faults: ArmedFaults | None = None,
    scripts: ScriptStack | None = None,
    *,
    afterwards: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """The application that answers for *service*. It awaits the request's body; nothing else, unless *faults* say so.

    *afterwards* is called when a request has got its answer; it must not block.
    """
    log_of_requests = requests or RequestLog()
    by_path: defaultdict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in (*OPERATIONS, *CONTROL_OPERATIONS):
        by_path[operation.path][operation.method] = operation
    prepared = ScriptStack() if scripts is None else scripts  # an empty one is false
    desk = RequestHandler(service, log_of_requests, faults or ArmedFaults(), prepared, afterwards)
    routes = [Route(path, endpoint=RouteEndpoint(desk, methods)) for path, methods in by_path.items()]
    return NormalizePath(service, Router(routes, redirect_slashes=False, default=RouteEndpoint(desk, {})))


class NormalizePath:
    """Puts paths in order before they are routed.

    Several slashes are one (recording of 2023-10), and one that came encoded parts nothing (RFC 3986, 2.2).
    """

    def __init__(self, service: Service, router: Router) -> None:
        self._service = service
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; there is nothing to start or stop."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        raw_path: bytes = scope.get("raw_path") or b"/"
        if not raw_path.startswith(b"/") and (origin := _ORIGIN.match(raw_path)):
            # what a proxy is asked is for any server good enough (RFC 9112, 3.2.2)
            raw_path = raw_path[origin.end() :] or b"/"
            scope = {**scope, "raw_path": raw_path, "path": unquote(raw_path.decode("latin-1"))}
        if b"%2" in raw_path:
            # models may have slashes in their names, which SDKs encode
            marked = _ENCODED_SLASH.sub(_INNER_SLASH, raw_path.decode("latin-1"))
            scope = {**scope, "path": unquote(marked)}
        if "//" in scope["path"]:
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        if scope["path"].startswith(dialect_adapter.PREFIXES):
            scope = dialect_adapter.to_v1_path(scope, self._service.account.dialect.http)
        await self._router(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


class RouteEndpoint:
    """One path with its methods; the default one, with none, answers for what is no route."""

    def __init__(self, desk: RequestHandler, methods: dict[str, Operation]) -> None:
        self._desk = desk
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if _INNER_SLASH in scope["path"]:
            named = {name: value.replace(_INNER_SLASH, "/") for name, value in scope.get("path_params", {}).items()}
            scope = {**scope, "path": scope["path"].replace(_INNER_SLASH, "%2F"), "path_params": named}
        operation = self._methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if operation:
            await self._desk.serve(operation, scope, receive, send)
        else:
            await self._desk.handle_unknown_route(tuple(self._methods), scope, receive, send)
