"""Requests to an account in a store: what waits for the store does so in threads, while other requests go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from starlette.types import Receive, Scope, Send

from ..account.armed_faults import ArmedFault
from ..account.stored_world import StoredWorld
from ..account.world import DisturbedRequest
from ..stores import StoreError
from .app import (
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
            await self._look(scope, self._world.catch_up)
        except StoreError as error:
            await _refuse(error, receive, send)
            return
        request = self._new_request(scope, scope.get("path_params", {}))
        try:
            refusal = await read_request(operation, request, receive)
        except ClientGoneError:
            return
        try:
            await self._respond(operation, request, refusal, receive, send)
        except StoreError as error:
            await usage_error_response(str(error), 503).send(send)

    async def _respond(
        self, operation: Operation, request: ApiRequest, refusal: ApiResponse | None, receive: Receive, send: Send
    ) -> None:
        scope = request.scope
        if request.form:
            parts = request.form.parts.items()
            contents = [part.content for name, part in parts if name in FILE_PARTS or part.filename is not None]
            await in_thread(scope, lambda: self._world.keep_contents(contents))  # while no other request waits for it
        fault = None
        if request.faults.active and operation.group is not CONTROL:
            fault = await in_thread(scope, lambda: self._world.run(lambda: next_fault(operation, request.renew())))
        if fault:

            def run_once() -> ApiResponse:
                answer = refusal or self._world.run(lambda: execute(operation, request.renew()))
                return unanswered_response() if isinstance(answer, ArmedFault) else answer

            await respond_with_fault(fault, operation, request, run_once, receive, send)
            return

        def work() -> ApiResponse | ArmedFault:
            run = self._world.run if changes else self._world.look
            answer = refusal or run(lambda: execute(operation, request.renew()))
            if isinstance(answer, ApiResponse):
                request.requests = self._world.requests  # the account may have begun just now
                log_response(operation, request, answer)
            return answer

        changes = self._may_change(operation, request)
        answer = await (in_thread(scope, work) if changes else self._look(scope, work))
        if isinstance(answer, ArmedFault):
            await respond_with_fault(answer, operation, request, unanswered_response, receive, send)
        else:
            await answer.send(send)
        self._wake_sender()

    def _may_change(self, operation: Operation, request: ApiRequest) -> bool:
        """Return whether the account will probably be changed: also by a look that moves time, or uses a script."""
        if request.scope["method"] != "GET":
            return True
        if operation.group is CONTROL:
            return False
        return request.service.account.pace in ("polls", "instant") or bool(request.scripts.scripts)

    async def _look(self, scope: Scope, work: Callable[[], T]) -> T:
        """Run *work*, which reads from the store, and seldom changes anything."""
        return await in_thread(scope, work) if self._world.suspends else work()

    async def _log(self, request: ApiRequest, answer: ApiResponse) -> None:
        await self._look(request.scope, lambda: log_response(None, request, answer))


async def _refuse(error: StoreError, receive: Receive, send: Send) -> None:
    try:
        await drop_body(receive)
    except ClientGoneError:
        return
    await usage_error_response(str(error), 503).send(send)
