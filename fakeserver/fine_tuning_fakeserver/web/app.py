"""The fake as an ASGI application: route a request; authorize, read, apply faults or scripts, run, log, send."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from typing import Any
from urllib.parse import unquote

from starlette.routing import Match, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from fine_tuning_formats.secret_rules import redact_headers, redact_query
from fine_tuning_formats.text import printable

from ..account.armed_faults import ArmedFault
from ..account.request_log import LogEntry, TimingSample, cap_body, cap_form, retry_after_seconds
from ..account.world import DisturbedRequest, World
from ..api_errors import ApiError, ScriptedError, internal
from ..clock import elapsed, real_now
from ..domain.dialects.dialect import RECORDED
from ..usage_errors import FakeUsageError
from . import OBSERVED_KEY, PAGE_PATH, dialect_adapter, fault_responses, response
from .access import check_code_runner, check_control
from .control_endpoints import CONTROL_OPERATIONS
from .operation import CONTROL, GATEWAY, Operation
from .operations import OPERATIONS, own_operations
from .request import (
    ApiRequest,
    ClientGoneError,
    check_account,
    check_api_key,
    connection_of,
    drop_body,
    form_fields,
    read_body,
    read_form,
)
from .response import ApiResponse

log = logging.getLogger("fine_tuning_fakeserver")

_SLASHES = re.compile("/{2,}")
_ENCODED_SLASH = re.compile("%2f", re.IGNORECASE)
_ORIGIN = re.compile(rb"[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)
INNER_SLASH = "\udc2f"
"""Stands for an encoded slash while a path is routed. No path decodes to this character."""

HANDLER_KEY = "fine_tuning_fakeserver.handler"
"""Where a scope has the handler of the world that it is for."""


def create_app(world: World, page_router: Callable[[], Router] | None = None) -> ASGIApp:
    """Return the application that answers for *world*. It awaits the request's body; more only where a fault does.

    Args:
        world: the account.
        page_router: returns the routes of the page that shows the account, when a browser first comes; None: no page.
    """
    return NormalizePath(AccountApp(world, account_router(), page_router))


@cache
def account_router() -> Router:
    """Return the routes that each account has; all accounts of a process share them."""
    return create_router((*OPERATIONS, *CONTROL_OPERATIONS))


@cache
def _own_routes() -> tuple[tuple[str, Route], ...]:
    """Return the routes, each with its method, that only an account has which speaks as Azure does."""
    # on demand: most runs have no such account
    return tuple(
        (each.method, Route(each.path, endpoint=RouteEndpoint({each.method: each}))) for each in own_operations()
    )


def _own_endpoint(scope: Scope) -> tuple[ASGIApp, Scope] | None:
    """Return the endpoint of an operation of `_own_routes`, and its scope; None if the request is for another."""
    for method, route in _own_routes():
        if scope["method"] == method:
            match, found = route.matches(scope)
            if match is Match.FULL:
                return route.endpoint, {**scope, **found}
    return None


DEFAULT_ONLY = (RECORDED,)
"""The dialects of an account that has had the default only."""


def create_router(operations: Iterable[Operation]) -> Router:
    """Return the routes of *operations*, for an `AccountApp`."""
    by_path: defaultdict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in operations:
        by_path[operation.path][operation.method] = operation
    routes = [Route(path, endpoint=RouteEndpoint(methods)) for path, methods in by_path.items()]
    return Router(routes, redirect_slashes=False, default=RouteEndpoint({}))


class AccountApp:
    """Answers the requests to one world, whose paths are normalised."""

    def __init__(self, world: World, router: Router, page_router: Callable[[], Router] | None = None) -> None:
        self._world = world
        self._router = router
        self._page_router = page_router
        self._handler = _handler_of(world)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request."""
        dialect = self._world.service.account.dialect
        if scope["path"].startswith(dialect_adapter.PREFIXES):
            scope = dialect_adapter.to_v1_path(scope, self._world.service.account.spoken)
        scope[HANDLER_KEY] = self._handler
        if dialect.own_operations and (own := _own_endpoint(scope)):
            endpoint, own_scope = own
            return endpoint(own_scope, receive, send)
        if self._page_router and (scope["path"].startswith(PAGE_PATH) or scope["path"] == "/"):
            return self._page_router()(scope, receive, send)
        return self._router(scope, receive, send)


class NormalizePath:
    """Normalise paths before they are routed.

    Several slashes are one (recording of 2023-10), and one that came encoded is part of a segment (RFC 3986, 2.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the app needs no start or stop."""
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
            marked = _ENCODED_SLASH.sub(INNER_SLASH, raw_path.decode("latin-1"))
            scope = {**scope, "path": unquote(marked)}
        if "//" in scope["path"]:
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
        await self._app(scope, receive, send)


class RouteEndpoint:
    """One path with its methods; the default endpoint, without any, answers for unknown paths."""

    def __init__(self, methods: dict[str, Operation]) -> None:
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if INNER_SLASH in scope["path"]:
            named = {name: value.replace(INNER_SLASH, "/") for name, value in scope.get("path_params", {}).items()}
            scope = {**scope, "path": scope["path"].replace(INNER_SLASH, "%2F"), "path_params": named}
        handler: RequestHandler = scope[HANDLER_KEY]
        operation = self._methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if operation:
            state = scope.get("state")
            if state and (observed := state.get(OBSERVED_KEY)) is not None:
                observed["operation"] = operation.name
            await handler.serve(operation, scope, receive, send)
        else:
            await handler.handle_unknown_route(tuple(self._methods), scope, receive, send)


def _handler_of(world: World) -> RequestHandler:
    if not world.is_stored:
        return RequestHandler(world)
    from .stored_requests import StoredRequestHandler  # imported on demand: most accounts are in memory

    return StoredRequestHandler(world)


class RequestHandler:
    """Handles the requests to one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def serve(self, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for *operation*."""
        disturbance = self._world.disturbance
        if disturbance is None or operation.group is CONTROL:
            await self._answer(operation, scope, receive, send)
            return
        in_callers_thread = connection_of(scope).in_callers_thread
        disturbed = disturbance.before_request(operation.name, in_callers_thread=in_callers_thread)
        try:
            await self._answer(operation, scope, receive, send, disturbed)
        finally:
            disturbance.after_request(disturbed)

    async def _answer(
        self,
        operation: Operation,
        scope: Scope,
        receive: Receive,
        send: Send,
        disturbed: DisturbedRequest | None = None,
    ) -> None:
        request = self._new_request(scope, scope.get("path_params", {}))
        try:
            refusal = await read_request(operation, request, receive)
        except ClientGoneError:
            return
        fault = None
        if request.faults.active and operation.group is not CONTROL:
            fault = next_fault(operation, request)
        if not fault and disturbed and disturbed.fault and self._world.disturbance:
            self._world.disturbance.hit(disturbed)
            fault = request.faults.unarmed_fault(disturbed.fault)
        if fault:

            def run_once() -> ApiResponse:  # a fault may run the operation at most once
                answer = refusal or execute(operation, request)
                # one fault hits a request: a script's is ignored here
                return unanswered_response() if isinstance(answer, ArmedFault) else answer

            await respond_with_fault(fault, operation, request, run_once, receive, send)
        elif isinstance(answer := refusal or execute(operation, request), ArmedFault):
            await respond_with_fault(answer, operation, request, unanswered_response, receive, send)
        else:
            log_response(operation, request, answer)
            await answer.send(send)
        self._wake_sender()

    async def handle_unknown_route(self, methods: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for an unknown path, which has no *methods*, or for a wrong method of a known one."""
        request = self._new_request(scope, {})
        method, path = scope["method"], scope["path"]
        try:
            await drop_body(receive)
        except ClientGoneError:
            return
        style = request.service.account.dialect.http
        answer = (
            response.not_modelled_response(methods, method, path)
            or dialect_adapter.unknown_path_response(style, path)
            or response.redirect_response(scope)
            or response.unknown_route_response(methods, method, path, as_invalid=style.invalid_url_errors)
        )
        await self._log(request, answer)
        await answer.send(send)

    async def _log(self, request: ApiRequest, answer: ApiResponse) -> None:
        """Log the answer for an unknown path."""
        log_response(None, request, answer)

    def _new_request(self, scope: Scope, path: dict[str, str]) -> ApiRequest:
        world = self._world
        service = world.service
        now = service.clock.now()
        return ApiRequest(world, service, world.requests, world.faults, world.scripts, scope, path, now)

    def _wake_sender(self) -> None:
        if self._world.service.account.outbox.endpoints:
            self._world.sender.wake()


def next_fault(operation: Operation, request: ApiRequest) -> ArmedFault | None:
    """Return the armed fault that hits a request, if one does; the request is counted."""
    now, seed = request.service.clock.now(), request.service.settings.seed
    return request.faults.next_for(operation.name, request.path.get("job_id"), now, seed)


class LongWorkError(Exception):
    """There is work for a request that takes long."""


async def read_request(
    operation: Operation, request: ApiRequest, receive: Receive, *, at_once: bool = False
) -> ApiResponse | None:
    """Authorise a request and read its body; return the answer to one that is refused.

    Raises:
        ClientGoneError: the client disconnected meanwhile.
        LongWorkError: it was to be *at_once*, and there is work that takes long.
    """
    try:
        try:
            # before the body is parsed: an unauthorized request gets its 401 or 403 whatever is wrong with its body
            if operation.group is CONTROL:
                if not operation.is_open:
                    check_control(request)
            else:
                is_default_only = request.service.account.spoken == DEFAULT_ONLY
                key = request.header(b"authorization") if is_default_only else dialect_adapter.authorization(request)
                check_api_key(key, request.service.settings.api_keys)
                check_account(request)
                if operation.runs_code and request.service.settings.run_python_graders:
                    check_code_runner(request)
        except (ApiError, FakeUsageError):
            await drop_body(receive)  # a client that is still sending would not get the answer
            raise
        if operation.file_bytes_at_most:
            request.form = await read_form(receive, request.header(b"content-type"), operation.file_bytes_at_most)
        else:
            request.body = await read_body(receive, operation.body_bytes_at_most)
        if operation.prepare and (work := operation.prepare(request)):
            if at_once:
                raise LongWorkError
            connection = connection_of(request.scope)
            request.read_ahead_result = await connection.run_in_thread(
                work, receive, request.abandon, grades=operation.runs_code
            )
    except (ClientGoneError, LongWorkError):
        raise
    except Exception as error:
        return _error_response(error, operation, request)
    return None


def execute(operation: Operation, request: ApiRequest) -> ApiResponse | ArmedFault:
    """Run the operation, or answer from a script; return a fault where a script breaks the connection."""
    scripts = request.scripts
    is_scripted = (scripts.scripts or scripts.overrides) and operation.group is not CONTROL
    try:
        is_poll = request.scope["method"] == "GET" and operation.group is not CONTROL
        with request.service.transaction(counts_as_poll=is_poll):
            result = _scripted_result(operation, request) if is_scripted else operation.run(request)
            if isinstance(result, ArmedFault):
                return result
            if isinstance(result, ApiResponse):
                answer = result
            elif request.service.account.dialect is RECORDED:
                answer = response.json_response(result, operation.group)
            else:
                answer = dialect_adapter.success_response(result, operation, request)
    except Exception as error:
        return _error_response(error, operation, request)
    request.took_effect = True
    return answer


def _scripted_result(operation: Operation, request: ApiRequest) -> Any:
    """Return what a script answers, or the fault by which it breaks the connection."""
    from . import script_player  # on demand: most runs have no scripts
    from .script_items import ConnectionFailure

    result = script_player.respond(operation, request)
    if not isinstance(result, ConnectionFailure):
        return result
    connection_of(request.scope).set_client_error(result.names, result.text)
    return request.faults.unarmed_fault(result.fault)


async def respond_with_fault(
    fault: ArmedFault,
    operation: Operation,
    request: ApiRequest,
    run: Callable[[], ApiResponse],
    receive: Receive,
    send: Send,
    perform: fault_responses.Performer = fault_responses.at_once,
) -> None:
    """Answer as *fault* has it, or not at all; the request is in the log before anything else happens."""
    entry = _new_entry(operation, request)
    entry.fault = fault.kind

    def begin() -> None:
        request.requests.add(entry)
        request.world.run(lambda: request.faults.add_hit(fault, entry.number))

    def end() -> None:
        _complete_entry(entry, operation, request, outcome.response)
        request.requests.update(entry)
        if request.usage_error and not response.is_usage_error(entry.answer):
            request.requests.note(f"request {entry.number}: {printable(entry.redact(request.usage_error))}")

    await perform(begin)
    connection = connection_of(request.scope)
    outcome = await fault_responses.apply_fault(fault, operation, request, run, perform, connection, receive)
    await perform(end)
    await outcome.send(connection, receive, send)


def log_response(operation: Operation | None, request: ApiRequest, answer: ApiResponse) -> None:
    """Add the request id to its answer, and log both; control requests are not logged."""
    if (operation and operation.group is CONTROL) or request.scope["path"].startswith("/_fake"):
        return
    entry = _new_entry(operation, request)
    _complete_entry(entry, operation, request, answer)
    request.requests.add(entry)


def _new_entry(operation: Operation | None, request: ApiRequest) -> LogEntry:
    """Count the request; return its entry, which has no answer yet."""
    scope = request.scope
    if client := scope.get("client"):
        caller = f"{client[0]}:{client[1]}"
    else:  # in process: requests of one thread and asyncio task follow each other
        loop = asyncio._get_running_loop()  # current_task() is slow where no loop runs
        task = asyncio.current_task(loop) if loop else None
        caller = f"{threading.get_ident()}/{id(task) if task else ''}"
    return LogEntry(
        request.requests.next_number(),
        request.begun_at,
        operation.name if operation else None,
        scope["method"],
        scope["path"],
        redact_query(scope["query_string"].decode("latin-1")) if scope["query_string"] else "",
        redact_headers(scope["headers"]),
        cap_body(request.body),
        0,
        b"",
        form=cap_form(form_fields(request.form)) if request.form else None,
        ids=request.path,
        created_id=operation.made_id if operation else None,
        begun_at=request.begun_at,
        raw_path=scope.get("raw_path") or b"",
        caller=caller,
    )


def _complete_entry(entry: LogEntry, operation: Operation | None, request: ApiRequest, answer: ApiResponse) -> None:
    """Add the request id to the answer, and the answer to the entry."""
    service = request.service
    if answer.group is GATEWAY:
        operation = None
    response.add_request_id(
        answer, operation.group if operation else GATEWAY, service.account, request.requests.request_ordinal(entry)
    )
    if (dialect := service.account.dialect) is not RECORDED:
        dialect_adapter.apply_header_style(answer, operation, dialect.http)
    entry.at = service.clock.now()
    entry.status = answer.status
    entry.answer = cap_body(answer.body) if isinstance(answer.body, bytes) else b""
    entry.timing = TimingSample(
        elapsed(), request.requests.slept_s, service.account.pace, request.world.waits_are_virtual
    )
    if answer.status == 429:
        entry.retry_after_s = retry_after_seconds(answer.headers, (entry.at, real_now()))
    entry.took_effect = request.took_effect
    entry.head = len(service.journal)


def unanswered_response() -> ApiResponse:
    """Build the 504 for a call that a script leaves unanswered, and whose client still waits."""
    return response.usage_error_response("a script leaves this call unanswered, and its client has not given up", 504)


def _error_response(error: Exception, operation: Operation, request: ApiRequest) -> ApiResponse:
    if isinstance(error, FakeUsageError):
        request.usage_error = str(error)
        return response.usage_error_response(str(error), error.status)
    if isinstance(error, ApiError):
        answer = dialect_adapter.dialect_error_response(error, operation, request.service.account.dialect)
        if isinstance(error, ScriptedError):
            if error.page:
                media, body = error.page
                answer = response.whole_response(body, (b"content-type", media), error.status)
            answer.headers.extend(fault_responses.retry_after_headers(error.retry_after))
        return answer
    if refusal := response.machine_error(error):
        log.error("%s: %s", operation.name, refusal.message)
        return response.error_response(refusal, operation.group)
    # a bug of the fake: loud here, and a 500 there
    target = printable(f"{request.scope['method']} {request.scope['path']}")
    log.error("fake-fine-tuning has a bug: %s", target, exc_info=error)
    return response.error_response(internal(f"{type(error).__name__}: {error}"), operation.group)
