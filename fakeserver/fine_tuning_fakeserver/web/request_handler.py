"""The desk where calls to the service are taken: heard out, asked, answered and written down."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from ..account.service import Service
from ..api_errors import ApiError, internal
from ..clock import at_work, busy, elapsed, sleep_is_replaced
from ..domain.dialects.dialect import RECORDED
from ..usage_errors import FakeUsageError
from . import dialect_adapter, fault_responses, response, unknown_routes
from .connections import line_of
from .control_endpoints import ForeignPeerError, check_peer
from .fault_injector import Fault, Faults
from .operation import Operation
from .request import Call, ClientGoneError, check_key, drop_body, read_body, read_form
from .request_log import Exchange, RequestsLog, Waits, capped, form_fields, redacted, retry_after
from .response import CONTROL, GATEWAY, Answer
from .scripting.exceptions import BrokenOff, ScriptedRefusal
from .scripting.player import Scripts

log = logging.getLogger("fine_tuning_fakeserver")


class RequestHandler:
    """Takes calls to the service: reads the body, asks the verb, renders what comes of it."""

    def __init__(
        self,
        service: Service,
        requests: RequestsLog,
        faults: Faults,
        scripts: Scripts,
        afterwards: Callable[[], None],
    ) -> None:
        self._service = service
        self._requests = requests
        self._faults = faults
        self._scripts = scripts
        self._afterwards = afterwards

    async def serve(self, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what the operation's verb says."""
        call = self._call(scope, scope.get("path_params", {}))
        try:
            refusal = await _heard(operation, call, receive)
        except ClientGoneError:
            return
        if fault := self._faults.live and self._fault(operation, call):
            ask = lambda: refusal or self._told(operation, call)  # noqa: E731 - only a fault may ask, once
            await self._fall_short(fault, operation, call, ask, receive, send)
        elif isinstance(answer := refusal or self._asked(operation, call), Fault):
            await self._fall_short(answer, operation, call, _silent, receive, send)
        else:
            self._finish(operation, call, answer)
            await answer.send(send)
        self._afterwards()

    def _asked(self, operation: Operation, call: Call) -> Answer | Fault:
        """What a script says, or the operation's verb; a fault where a script breaks the connection."""
        scripted = bool(self._scripts) and operation.family is not CONTROL
        try:
            with call.service.all_or_nothing(looks_count=call.scope["method"] != "HEAD"):
                result = self._scripts.ask(operation, call) if scripted else operation.ask(call)
                if isinstance(result, BrokenOff):
                    line_of(call.scope).call_it(result.names, result.text)
                    return self._faults.once(result.fault)
                answer = result if isinstance(result, Answer) else dialect_adapter.success(result, operation, call)
        except Exception as error:
            return _refused(error, operation, call)
        call.took_effect = True
        return answer

    def _told(self, operation: Operation, call: Call) -> Answer:
        """The same to a call that a fault has hit already: one misfortune is enough."""
        answer = self._asked(operation, call)
        return _silent() if isinstance(answer, Fault) else answer

    async def handle_unknown_route(self, methods: tuple[str, ...], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for an unknown path, which has no *methods*, or a known one's wrong method."""
        call = self._call(scope, {})
        method, path = scope["method"], scope["path"]
        try:
            await drop_body(receive)
        except ClientGoneError:
            return
        manner = self._service.account.dialect.manner
        answer = (
            unknown_routes.beyond(methods, method, path)
            or dialect_adapter.unrouted(manner, path)
            or unknown_routes.redirect(scope)
            or unknown_routes.refusal(methods, method, path, as_invalid=manner.invalid_urls)
        )
        self._finish(None, call, answer)
        await answer.send(send)

    def _call(self, scope: Scope, path: dict[str, str]) -> Call:
        return Call(self._service, self._requests, self._faults, scope, path, self._service.clock.now())

    def _fault(self, operation: Operation, call: Call) -> Fault | None:
        """The fault that hits this call, which has come in whole; control calls are never hit."""
        if operation.family is CONTROL:
            return None
        seed = self._service.settings.seed
        return self._faults.next(operation.name, call.path.get("job_id"), self._service.clock.now(), seed)

    async def _fall_short(
        self,
        fault: Fault,
        operation: Operation,
        call: Call,
        ask: Callable[[], Answer],
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer as *fault* has it, or not at all; the request is in the log before anything else happens."""
        self._requests.add(exchange := self._exchange(operation, call))
        exchange.fault = fault.kind
        fault.requests.append(exchange.number)
        line = line_of(call.scope)
        broken = await fault_responses.carry_out(fault, operation, call, ask, line, receive)
        self._complete(exchange, operation, broken.answer)
        exchange.took_effect = call.took_effect
        if call.usage_error and not response.is_usage_answer(exchange.answer):
            self._requests.note(f"request {exchange.number}: {call.usage_error}")
        await broken.send(line, receive, send)

    def _finish(self, operation: Operation | None, call: Call, answer: Answer) -> None:
        """Name the request in its answer, and write both down; control calls are not written down."""
        if (operation and operation.family is CONTROL) or call.scope["path"].startswith("/_fake"):
            return
        exchange = self._exchange(operation, call)
        self._complete(exchange, operation, answer)
        exchange.took_effect = call.took_effect
        self._requests.add(exchange)

    def _exchange(self, operation: Operation | None, call: Call) -> Exchange:
        """The request, counted; it has no answer yet."""
        scope = call.scope
        return Exchange(
            self._requests.next_number(),
            call.begun_at,
            operation.name if operation else None,
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            redacted(scope["headers"]),
            capped(call.body),
            0,
            b"",
            form=form_fields(call.form),
            begun_at=call.begun_at,
            raw_path=scope.get("raw_path") or b"",
            caller=_caller(scope),
        )

    def _complete(self, exchange: Exchange, operation: Operation | None, answer: Answer) -> None:
        """Name the request in its answer, and write the answer down."""
        if answer.family is GATEWAY:
            operation = None
        family = operation.family if operation else GATEWAY
        response.identify(answer, family, self._service.account, exchange.number)
        if (dialect := self._service.account.dialect) is not RECORDED:
            dialect_adapter.restyle(answer, operation, dialect.manner)
        exchange.at = self._service.clock.now()
        exchange.status = answer.status
        exchange.answer = capped(answer.body) if isinstance(answer.body, bytes) else b""
        exchange.waits = Waits(elapsed(), self._requests.slept_s, sleep_is_replaced(), busy())
        exchange.retry_after_s = retry_after(answer.headers) if answer.status == 429 else None


async def _heard(operation: Operation, call: Call, receive: Receive) -> Answer | None:
    """Hear the call out; the answer to one that is refused before its verb is asked."""
    try:
        await _receive(operation, call, receive)
    except ClientGoneError:
        raise
    except Exception as error:
        return _refused(error, operation, call)
    return None


def _caller(scope: Scope) -> str:
    """The connection that a request came by, or who is at work where it came by none."""
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else at_work()


def _silent() -> Answer:
    """What comes when a client has waited as long as a script that says nothing lets it wait."""
    return response.usage_answer("a script lets this call time out, and its client has not given up", 504)


def _refused(error: Exception, operation: Operation, call: Call) -> Answer:
    if isinstance(error, FakeUsageError):
        call.usage_error = str(error)
        return response.usage_answer(str(error), 403 if isinstance(error, ForeignPeerError) else 400)
    if isinstance(error, ApiError):
        answer = dialect_adapter.refusal(error, operation, call.service.account.dialect)
        if isinstance(error, ScriptedRefusal):
            if error.page:
                media, body = error.page
                answer = Answer(error.status, [(b"content-type", media), (b"content-length", b"%d" % len(body))], body)
            answer.headers.extend(fault_responses.retry_after(error.retry_after))
        return answer
    # a bug of the fake: loud here, and a 500 there
    log.error("fake-fine-tuning has a bug: %s %s", call.scope["method"], call.scope["path"], exc_info=error)
    return response.error_answer(internal(f"{type(error).__name__}: {error}"), operation.family)


async def _receive(operation: Operation, call: Call, receive: Receive) -> None:
    """Let the call in, then take its body, and see to what takes long and needs no lock.

    A refused one is heard out, so that its client gets the answer.
    """
    try:
        _admit(operation, call)
    except (ApiError, FakeUsageError):
        await drop_body(receive)
        raise
    if operation.file_bytes_at_most:
        call.form = await read_form(receive, call.header(b"content-type"), operation.file_bytes_at_most)
    else:
        call.body = await read_body(receive)
    if operation.ahead and (work := operation.ahead(call)):
        call.ahead = await line_of(call.scope).aside(work)


def _admit(operation: Operation, call: Call) -> None:
    if operation.family is CONTROL:
        check_peer(operation, call)
    else:
        check_key(dialect_adapter.authorization(call), call.service.settings.api_keys)
