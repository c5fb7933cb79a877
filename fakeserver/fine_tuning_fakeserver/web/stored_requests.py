"""Requests to an account in a store: what waits for the store does so in threads, while other requests go on."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from starlette.types import Message, Receive, Scope, Send

from fine_tuning_formats.lazy_dataclass import dataclass

from ..account.armed_faults import ArmedFault
from ..account.stored_world import StoredWorld
from ..account.world import DisturbedRequest
from ..stores import StoreError
from .app import (
    LongWorkError,
    RequestHandler,
    execute,
    log_response,
    next_fault,
    read_request,
    respond_with_fault,
    unanswered_response,
)
from .operation import CONTROL, Operation
from .request import ApiRequest, ClientGoneError, connection_of, drop_body
from .response import ApiResponse, usage_error_response
from .upload_form import FILE_PARTS

log = logging.getLogger("fine_tuning_fakeserver")

T = TypeVar("T")

THREADS = 16
"""How many requests of a process wait for its store at the same time."""


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "fake-fine-tuning store")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # the child has none of the threads


async def in_thread(scope: Scope, work: Callable[[], T]) -> T:
    """Run *work*, which waits for a store, while other requests go on; in process, where nothing may wait, at once."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a server that runs on another library, or none
        return work()
    return work() if connection_of(scope).in_callers_thread else await loop.run_in_executor(_threads(), work)


class StoredRequestHandler(RequestHandler):
    """Handles the requests to one account in a store.

    A request sees the account as the store has it, and what it changes is in the store before it is answered.
    """

    _world: StoredWorld

    async def _answer(
        self,
        operation: Operation,
        scope: Scope,
        receive: Receive,
        send: Send,
        disturbed: DisturbedRequest | None = None,
    ) -> None:
        try:
            if operation.file_bytes_at_most or (operation.prepare and not operation.seldom_prepares):
                decided = await self._decide_long(operation, scope, receive)
            else:
                decided = await self._decide(operation, scope, receive)
            if isinstance(decided.answer, ArmedFault):
                await self._respond_with_fault(operation, decided.answer, decided, receive, send)
            else:
                await decided.answer.send(send)
        except ClientGoneError:
            return
        except StoreError as error:
            await usage_error_response(str(error), 503).send(send)
        self._wake_sender()

    async def _decide(self, operation: Operation, scope: Scope, receive: Receive) -> Decided:
        """Decide on a request in one step, once its body has come, unless there is work that takes long."""
        body = await _read_at_most(receive, operation.body_bytes_at_most + 1)

        def decide() -> Decided:
            request = self._new_request(scope, scope.get("path_params", {}))
            refusal = _finish(read_request(operation, request, _replayed(body, receive), at_once=True))
            return self._decide_read(operation, request, refusal)

        try:
            return await self._run(operation, scope, decide)
        except LongWorkError:
            return await self._decide_long(operation, scope, _replayed(body, receive))

    async def _decide_long(self, operation: Operation, scope: Scope, receive: Receive) -> Decided:
        """Decide on a request whose body is large, or is worked on, while others are answered."""
        try:
            await self._look(scope, self._world.catch_up)
        except StoreError:
            await drop_body(receive)  # a client that is still sending would not get the answer
            raise
        request = self._new_request(scope, scope.get("path_params", {}))
        refusal = await read_request(operation, request, receive)
        if request.form:
            parts = request.form.parts.items()
            contents = [part.content for name, part in parts if name in FILE_PARTS or part.filename is not None]
            await in_thread(scope, lambda: self._world.keep_contents(contents))  # while no other request waits for it
        return await self._run(operation, scope, lambda: self._decide_read(operation, request.renew(), refusal))

    def _decide_read(self, operation: Operation, request: ApiRequest, refusal: ApiResponse | None) -> Decided:
        """Decide on a request that was read, on the account as the store has it."""
        if request.faults.active and operation.group is not CONTROL and (fault := next_fault(operation, request)):
            return Decided(request, fault, refusal)
        return Decided(request, refusal or execute(operation, request), refusal)

    async def _run(self, operation: Operation, scope: Scope, decide: Callable[[], Decided]) -> Decided:
        """Decide, and log what was not left to a fault; wait for the store in a thread."""
        changes = self._may_change(operation, scope)

        def work() -> Decided:
            if operation.of_server:  # it is about other accounts, each of which it takes its turn at
                self._world.catch_up()
                return decide()
            if changes:
                decided = self._world.run(decide, may_begin=scope["method"] not in ("GET", "HEAD"))
            else:
                decided = self._world.look(decide)
            decided.request.requests = self._world.requests  # the account may have begun just now
            if isinstance(decided.answer, ApiResponse):
                self._log_decided(operation, decided.request, decided.answer)
            return decided

        return await (in_thread(scope, work) if changes else self._look(scope, work))

    def _log_decided(self, operation: Operation, request: ApiRequest, answer: ApiResponse) -> None:
        """Log an answer; where the log cannot be written, what was answered counts all the same."""
        try:
            log_response(operation, request, answer)
        except StoreError as error:
            log.error("a request is not in the log: %s", error)

    def _may_change(self, operation: Operation, scope: Scope) -> bool:
        """Return whether the account will probably be changed: also by a look that moves time, or uses a script."""
        if scope["method"] != "GET":
            return True
        if operation.group is CONTROL:
            return False
        world = self._world
        return world.account.pace in ("polls", "instant") or bool(world.scripts.scripts or world.faults.active)

    async def _respond_with_fault(
        self, operation: Operation, fault: ArmedFault, decided: Decided, receive: Receive, send: Send
    ) -> None:
        request = decided.request

        def run_once() -> ApiResponse:
            if not fault.number:  # a script's, which has run
                return unanswered_response()
            answer = decided.refusal or self._world.run(lambda: execute(operation, request.renew()))
            return unanswered_response() if isinstance(answer, ArmedFault) else answer

        def perform(work: Callable[[], T]) -> Awaitable[T]:
            return in_thread(request.scope, work)

        await respond_with_fault(fault, operation, request, run_once, receive, send, perform)

    async def _look(self, scope: Scope, work: Callable[[], T]) -> T:
        """Run *work*, which reads from the store, and seldom changes anything."""
        is_long = self._world.suspends or self._world.is_busy
        return await in_thread(scope, work) if is_long else work()

    async def _log(self, request: ApiRequest, answer: ApiResponse) -> None:
        await self._look(request.scope, lambda: log_response(None, request, answer))


@dataclass(frozen=True, slots=True)
class Decided:
    """A request, and its answer or the fault that hits it.

    Args:
        request: the request.
        answer: its answer, or the fault.
        refusal: the answer to a request that must not be carried out.
    """

    request: ApiRequest
    answer: ApiResponse | ArmedFault
    refusal: ApiResponse | None


async def _read_at_most(receive: Receive, size: int) -> bytes:
    """Read a whole body, and return its beginning."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")[: size - len(body)]
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has come, then what comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("reading a request whose body has come must not wait")
