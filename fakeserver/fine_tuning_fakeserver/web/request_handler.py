"""The desk where calls to the service are taken: heard out, asked, answered and written down."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from ..account.service import Service
from ..api_errors import ApiError, internal
from ..clock import elapsed
from ..domain.dialects.dialect import RECORDED
from ..usage_errors import FakeUsageError
from . import dialect_adapter, fault_responses, response, unknown_routes
from .connections import connection_of
from .control_endpoints import ForeignPeerError, check_peer
from .fault_injector import ArmedFault, ArmedFaults
from .operation import CONTROL, GATEWAY, Operation
from .request import ApiRequest, ClientGoneError, check_api_key, drop_body, read_body, read_form
from .request_log import LogEntry, RequestLog, TimingSample, cap_body, form_fields, redact_headers, retry_after_seconds
from .response import Response
from .scripting.exceptions import ConnectionFailure, ScriptedError
from .scripting.player import ScriptStack

log = logging.getLogger("fine_tuning_fakeserver")


class RequestHandler:
    """Takes calls to the service: reads the body, asks the verb, renders what comes of it."""

    def __init__(
        self,
        service: Service,
        requests: RequestLog,
        faults: ArmedFaults,
        scripts: ScriptStack,
        afterwards: Callable[[], None],
    ) -> None:
        self._service = service
        self._requests = requests
        self._faults = faults
        self._scripts = scripts
        self._afterwards = afterwards

    async def serve(self, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what the operation's verb says."""
        call = self._new_request(scope, scope.get("path_params", {}))
        try:
            refusal = await _read_request(operation, call, receive)
        except ClientGoneError:
            return
        if fault := self._faults.active and self._next_fault(operation, call):
            ask = lambda: refusal or self._execute_for_fault(operation, call)  # noqa: E731 - only a fault may ask, once
            await self._respond_with_fault(fault, operation, call, ask, receive, send)
        elif isinstance(answer := refusal or self._execute(operation, call), ArmedFault):
            await self._respond_with_fault(answer, operation, call, _script_timeout_response, receive, send)
        else:
            self._log_response(operation, call, answer)
            await answer.send(send)
        self._afterwards()

    def _execute(self, operation: Operation, call: ApiRequest) -> Response | ArmedFault:
        """What a script says, or the operation's verb; a fault where a script breaks the connection."""
        scripted = bool(self._scripts) and operation.group is not CONTROL
        try:
            with call.service.transaction(looks_count=call.scope["method"] != "HEAD"):
                result = self._scripts.respond(operation, call) if scripted else operation.run(call)
                if isinstance(result, ConnectionFailure):
                    connection_of(call.scope).set_client_error(result.names, result.text)
                    return self._faults.unarmed_fault(result.fault)
                answer = (
                    result
                    if isinstance(result, Response)
                    else dialect_adapter.success_response(result, operation, call)
                )
        except Exception as error:
            return _error_response(error, operation, call)
        call.took_effect = True
        return answer

    def _execute_for_fault(self, operation: Operation, call: ApiRequest) -> Response:
        """The same to a call that a fault has hit already: one misfortune is enough."""
        answer = self._execute(operation, call)
        return _script_timeout_response() if isinstance(answer, ArmedFault) else answer

    async def handle_unknown_route(self, methods: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for an unknown path, which has no *methods*, or a known one's wrong method."""
        call = self._new_request(scope, {})
        method, path = scope["method"], scope["path"]
        try:
            await drop_body(receive)
        except ClientGoneError:
            return
        manner = self._service.account.dialect.http
        answer = (
            unknown_routes.not_modelled_response(methods, method, path)
            or dialect_adapter.unknown_path_response(manner, path)
            or unknown_routes.redirect_response(scope)
            or unknown_routes.unknown_route_response(methods, method, path, as_invalid=manner.invalid_url_errors)
        )
        self._log_response(None, call, answer)
        await answer.send(send)

    def _new_request(self, scope: Scope, path: dict[str, str]) -> ApiRequest:
        return ApiRequest(self._service, self._requests, self._faults, scope, path, self._service.clock.now())

    def _next_fault(self, operation: Operation, call: ApiRequest) -> ArmedFault | None:
        """The fault that hits this call, which has come in whole; control calls are never hit."""
        if operation.group is CONTROL:
            return None
        seed = self._service.settings.seed
        return self._faults.next_for(operation.name, call.path.get("job_id"), self._service.clock.now(), seed)

    async def _respond_with_fault(
        self,
        fault: ArmedFault,
        operation: Operation,
        call: ApiRequest,
        ask: Callable[[], Response],
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer as *fault* has it, or not at all; the request is in the log before anything else happens."""
        self._requests.add(exchange := self._new_entry(operation, call))
        exchange.fault = fault.kind
        fault.requests.append(exchange.number)
        line = connection_of(call.scope)
        broken = await fault_responses.apply_fault(fault, operation, call, ask, line, receive)
        self._complete_entry(exchange, operation, broken.response)
        exchange.took_effect = call.took_effect
        if call.usage_error and not response.is_usage_error(exchange.answer):
            self._requests.note(f"request {exchange.number}: {call.usage_error}")
        await broken.send(line, receive, send)

    def _log_response(self, operation: Operation | None, call: ApiRequest, answer: Response) -> None:
        """Name the request in its answer, and write both down; control calls are not written down."""
        if (operation and operation.group is CONTROL) or call.scope["path"].startswith("/_fake"):
            return
        exchange = self._new_entry(operation, call)
        self._complete_entry(exchange, operation, answer)
        exchange.took_effect = call.took_effect
        self._requests.add(exchange)

    def _new_entry(self, operation: Operation | None, call: ApiRequest) -> LogEntry:
        """The request, counted; it has no answer yet."""
        scope = call.scope
        return LogEntry(
            self._requests.next_number(),
            call.begun_at,
            operation.name if operation else None,
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            redact_headers(scope["headers"]),
            cap_body(call.body),
            0,
            b"",
            form=form_fields(call.form),
            begun_at=call.begun_at,
            raw_path=scope.get("raw_path") or b"",
            caller=_caller(scope),
        )

    def _complete_entry(self, exchange: LogEntry, operation: Operation | None, answer: Response) -> None:
        """Name the request in its answer, and write the answer down."""
        if answer.group is GATEWAY:
            operation = None
        family = operation.group if operation else GATEWAY
        response.add_request_id(answer, family, self._service.account, exchange.number)
        if (dialect := self._service.account.dialect) is not RECORDED:
            dialect_adapter.apply_header_style(answer, operation, dialect.http)
        exchange.at = self._service.clock.now()
        exchange.status = answer.status
        exchange.answer = cap_body(answer.body) if isinstance(answer.body, bytes) else b""
        exchange.timing = TimingSample(elapsed(), self._requests.slept_s, self._service.account.pace)
        exchange.retry_after_s = retry_after_seconds(answer.headers) if answer.status == 429 else None


async def _read_request(operation: Operation, call: ApiRequest, receive: Receive) -> Response | None:
    """Hear the call out; the answer to one that is refused before its verb is asked."""
    try:
        await _receive_body(operation, call, receive)
    except ClientGoneError:
        raise
    except Exception as error:
        return _error_response(error, operation, call)
    return None


def _caller(scope: Scope) -> str:
    """Return the connection that a request came by; in process, the thread and asyncio task."""
    if client := scope.get("client"):
        return f"{client[0]}:{client[1]}"
    loop = asyncio._get_running_loop()  # current_task() is slow to find that there is none
    task = asyncio.current_task(loop) if loop else None
    return f"{threading.get_ident()}/{id(task) if task else ''}"


def _script_timeout_response() -> Response:
    """What comes when a client has waited as long as a script that says nothing lets it wait."""
    return response.usage_error_response("a script lets this call time out, and its client has not given up", 504)


def _error_response(error: Exception, operation: Operation, call: ApiRequest) -> Response:
    if isinstance(error, FakeUsageError):
        call.usage_error = str(error)
        return response.usage_error_response(str(error), 403 if isinstance(error, ForeignPeerError) else 400)
    if isinstance(error, ApiError):
        answer = dialect_adapter.dialect_error_response(error, operation, call.service.account.dialect)
        if isinstance(error, ScriptedError):
            if error.page:
                media, body = error.page
                answer = Response(
                    error.status, [(b"content-type", media), (b"content-length", b"%d" % len(body))], body
                )
            answer.headers.extend(fault_responses.retry_after_headers(error.retry_after))
        return answer
    # a bug of the fake: loud here, and a 500 there
    log.error("fake-fine-tuning has a bug: %s %s", call.scope["method"], call.scope["path"], exc_info=error)
    return response.error_response(internal(f"{type(error).__name__}: {error}"), operation.group)


async def _receive_body(operation: Operation, call: ApiRequest, receive: Receive) -> None:
    """Let the call in, then take its body, and see to what takes long and needs no lock.

    A refused one is heard out, so that its client gets the answer.
    """
    try:
        # before the body is parsed: an unauthorized request gets its 401 (or 403) whatever is wrong with its body
        _authorize(operation, call)
    except (ApiError, FakeUsageError):
        await drop_body(receive)
        raise
    if operation.file_bytes_at_most:
        call.form = await read_form(receive, call.header(b"content-type"), operation.file_bytes_at_most)
    else:
        call.body = await read_body(receive)
    if operation.prepare and (work := operation.prepare(call)):
        call.read_ahead_result = await connection_of(call.scope).run_in_thread(work)


def _authorize(operation: Operation, call: ApiRequest) -> None:
    if operation.group is CONTROL:
        check_peer(operation, call)
    else:
        check_api_key(dialect_adapter.authorization(call), call.service.settings.api_keys)
