"""Apply a fault to a request: what its client gets instead of the answer, or after it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, Protocol, TypeVar

from starlette.types import Receive, Send

from fine_tuning_formats.lazy_dataclass import dataclass

from .. import api_errors
from ..account.account import Account
from ..account.armed_faults import ArmedFault
from ..account.looks import shows
from ..account.request_log import json_or_none
from ..api_errors import ApiError
from ..control import steering
from ..domain.fault_spec import FaultSpec
from . import dialect_adapter
from .operation import INFERENCE, Header, Operation
from .request import ApiRequest, Connection
from .response import JSON_TYPE, ApiResponse, dump, usage_error_response, whole_response

POLLS_PER_OUTAGE = 4
"""At a pace at which polling moves time: how many polls of a job an outage outlasts."""
POLLS = ("retrieve_job", "list_jobs", "list_job_events", "list_job_checkpoints")
"""The operations by which programs wait for a job."""

HTML_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>One moment</title></head><body><h1>One moment, please</h1></body></html>\n"
)
HTML_TYPE = (b"content-type", b"text/html; charset=utf-8")
UNAPPLIED_BODY = dump({"object": "truncated", "message": "fake-fine-tuning: the end of this answer never comes"})
"""What is truncated where the operation was not run."""

T = TypeVar("T")

CANNOT_CLOSE = (
    "this server cannot close a client's connection, as the fault {kind!r} would: serve the fake by serving(), "
    "by `fake-fine-tuning serve`, or in process"
)


@dataclass(slots=True)
class FaultOutcome:
    """The effect of a fault on the response and the connection.

    Args:
        response: what is sent; nothing where its status is 0.
        connection: what becomes of the connection then; ``gone`` is one that the client has closed itself.
    """

    response: ApiResponse
    connection: Literal["open", "closed", "reset", "gone"] = "open"

    async def send(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Send the response, or the part of it that comes, and end the connection if it is to end."""
        response = self.response
        if self.connection == "open":
            await response.send(send)
        elif response.status:
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            await send({"type": "http.response.body", "body": response.body, "more_body": True})
        if self.connection in ("closed", "reset"):
            await connection.close(receive, reset=self.connection == "reset")


class Performer(Protocol):
    """Does work on the account that a request is for: at once, or in a thread where it may wait for a store."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Return what *work* returns."""


async def at_once(work: Callable[[], T]) -> T:
    """Do *work*, which waits for nothing."""
    return work()


@dataclass(slots=True)
class FaultyCall:
    """A request that a fault hits.

    Args:
        fault: what goes wrong.
        operation: the operation that is requested.
        request: the request, which has been read.
        run: runs the operation, which takes effect; called once at most.
        perform: does what is done on the account.
        connection: what can be done with the client's connection.
        receive: tells when the client has disconnected.
    """

    fault: ArmedFault
    operation: Operation
    request: ApiRequest
    run: Callable[[], ApiResponse]
    perform: Performer
    connection: Connection
    receive: Receive

    @property
    def spec(self) -> FaultSpec:
        """What goes wrong, as it was declared."""
        return self.fault.spec

    async def run_if_applied(self) -> ApiResponse | None:
        """Run the operation if the fault lets the request take effect."""
        return await self.perform(self.run) if self.spec.applied else None


async def apply_fault(
    fault: ArmedFault,
    operation: Operation,
    request: ApiRequest,
    run: Callable[[], ApiResponse],
    perform: Performer,
    connection: Connection,
    receive: Receive,
) -> FaultOutcome:
    """Let *fault* hit a request; see `FaultyCall` for the arguments."""
    kind = fault.spec.kind
    if kind in CLOSING_KINDS and not connection.can_close:
        return FaultOutcome(usage_error_response(CANNOT_CLOSE.format(kind=kind), 502))
    return await FAULT_KINDS[kind](FaultyCall(fault, operation, request, run, perform, connection, receive))


async def fail(call: FaultyCall) -> FaultOutcome:
    """Answer with an error."""
    await call.run_if_applied()
    return FaultOutcome(_error_response(call))


async def outage(call: FaultyCall) -> FaultOutcome:
    """Answer with an error until the outage ends."""
    await call.run_if_applied()
    service, ends_at = call.request.service, call.fault.ends_at
    if ends_at is not None:
        service.keep_pace_until(ends_at)
    if _is_poll(call) and ends_at is not None and service.account.pace in ("polls", "instant"):
        await call.perform(lambda: call.request.world.run(lambda: _move_time_by_refused_poll(call, ends_at)))
    return FaultOutcome(_error_response(call))


def _move_time_by_refused_poll(call: FaultyCall, ends_at: float) -> None:
    """Move time as a poll does that is not refused: else an outage would never end at a pace that goes by polls."""
    scope, service = call.request.scope, call.request.service
    query = (scope["path"], scope["query_string"].decode("latin-1"))
    with service.lock:
        now = service.clock.now()
        # as where nothing is refused: a list moves time if it was refused at this time before
        if call.operation.name == "retrieve_job" or service.looks.is_repeated(("refused", query), now):
            left, step = ends_at - now, (call.spec.duration or 0.0) / POLLS_PER_OUTAGE
            now = service.advance_clock(ends_at if left < 1.5 * step else ends_at - left + step)
        service.remember("refused", query, now, now)


@shows("refused")
def _refused_at(account: Account, at: float, path: str, query: str) -> float:
    return at


def _is_poll(call: FaultyCall) -> bool:
    return call.operation.name in POLLS and call.request.scope["method"] != "HEAD"


async def delay(call: FaultyCall) -> FaultOutcome:
    """Delay the response; the operation runs after the delay, or before it if the fault is applied."""
    response = await call.run_if_applied()
    waited = await call.connection.delay(
        call.spec.seconds,
        call.receive,
        lambda seconds: call.request.world.run(lambda: steering.advance(call.request.service, seconds)),
    )
    if not waited:
        return FaultOutcome(_no_response(), "gone")
    return FaultOutcome(await call.perform(call.run) if response is None else response)


async def disconnect(call: FaultyCall) -> FaultOutcome:
    """Close the connection without a response."""
    await call.run_if_applied()
    return FaultOutcome(_no_response(), "closed")


async def refuse(call: FaultyCall) -> FaultOutcome:
    """Reset the connection, like a closed port."""
    return FaultOutcome(_no_response(), "reset")


async def truncate(call: FaultyCall) -> FaultOutcome:
    """Send a part of the body under the length of the whole, or of more than comes at any rate."""
    response = await call.run_if_applied() or ApiResponse(200, [JSON_TYPE], UNAPPLIED_BODY)
    whole = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    part = whole[: len(whole) // 2 if call.spec.bytes is None else call.spec.bytes]
    headers = [header for header in response.headers if header[0] != b"content-length"]
    headers.append((b"content-length", b"%d" % max(len(whole), len(part) + 1)))
    return FaultOutcome(ApiResponse(response.status, headers, part), "closed")


async def malformed(call: FaultyCall) -> FaultOutcome:
    """Answer with something other than the API's JSON."""
    await call.run_if_applied()
    text = HTML_PAGE if call.spec.body is None else call.spec.body
    body = text.encode() if isinstance(text, str) else text
    content_type = HTML_TYPE if body.startswith(b"<") else JSON_TYPE
    return FaultOutcome(whole_response(body, content_type, call.spec.status))


FAULT_KINDS: Mapping[str, Callable[[FaultyCall], Awaitable[FaultOutcome]]] = {
    "fail": fail,
    "rate_limit": fail,
    "delay": delay,
    "disconnect": disconnect,
    "refuse": refuse,
    "truncate": truncate,
    "malformed": malformed,
    "outage": outage,
}
"""What each of `fault_spec.KINDS` does to a request."""

CLOSING_KINDS = frozenset({"disconnect", "refuse", "truncate"})
"""Those that end the connection."""


def _no_response() -> ApiResponse:
    return ApiResponse(0, [], b"")


def _error_response(call: FaultyCall) -> ApiResponse:
    """Return an error in the service's words, as the account's dialect has it."""
    spec, account = call.spec, call.request.service.account
    error = _service_error(call)
    message = error.message if spec.message is None else spec.message
    code = error.code if spec.code is None else spec.code
    error = ApiError(spec.status, message, code=code, type=error.type)
    response = dialect_adapter.dialect_error_response(error, call.operation, account.dialect)
    response.headers.extend(retry_after_headers(spec.retry_after))
    if spec.kind == "rate_limit" and call.operation.group is INFERENCE:
        # printed: the names; these values are inferred
        response.headers += [
            (b"x-ratelimit-limit-requests", b"%d" % api_errors.RATE),
            (b"x-ratelimit-remaining-requests", b"0"),
            (b"x-ratelimit-reset-requests", _seconds_text(spec.retry_after).encode()),
        ]
    return response


def _service_error(call: FaultyCall) -> ApiError:
    spec = call.spec
    if make_error := _ERRORS.get((spec.status, spec.code)) or _ERRORS.get((spec.status, None)):
        return make_error()
    if spec.status != 429:
        return api_errors.refused_with(spec.status)
    body = json_or_none(call.request.body)
    model = body.get("model") if isinstance(body, dict) else None
    model = model if isinstance(model, str) else ""
    organization = call.request.service.account.organization_id
    return api_errors.rate_limited(organization, model, _seconds_text(spec.retry_after))


_ERRORS: Mapping[tuple[int, str | None], Callable[[], ApiError]] = {
    (429, "insufficient_quota"): api_errors.no_quota,
    (429, "credit_balance_exhausted"): api_errors.no_credits,
    (500, None): api_errors.server_error,
    (503, None): api_errors.overloaded,
}
"""Errors of the service that the status tells, or status and code."""


def _seconds_text(wait: float | str | None) -> str:
    return f"{wait:g}s" if isinstance(wait, int | float) else f"{60 // api_errors.RATE}s"


def retry_after_headers(wait: float | str | None) -> list[Header]:
    """Return whole seconds, as RFC 9110 has them, and a fraction in the header that the official SDKs read first."""
    if wait is None:
        return []
    if isinstance(wait, str):
        return [(b"retry-after", wait.encode())]
    exact = [] if wait == int(wait) else [(b"retry-after-ms", b"%d" % round(1000 * wait))]
    return [*exact, (b"retry-after", b"%d" % math.ceil(wait))]
