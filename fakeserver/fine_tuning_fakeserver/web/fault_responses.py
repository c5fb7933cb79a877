"""Faults carried out: what a client gets instead of its answer, or after all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.types import Receive, Send

from .. import api_errors
from ..account.armed_faults import ArmedFault
from ..account.recorded_calls import json_or_none
from ..account.service import Service
from ..api_errors import ApiError
from ..control import steering
from ..domain.fault_spec import FaultSpec
from . import dialect_adapter
from .connections import Connection
from .operation import Operation
from .request import ApiRequest
from .response import INFERENCE, JSON_TYPE, Header, Response, dump, usage_error_response

LOOKS = 4
"""At a pace at which looking moves time: how many looks at a job an outage outlasts."""

PAGE = b"<!DOCTYPE html>\n<html><head><title>One moment</title></head><body><h1>One moment, please</h1></body></html>\n"
PAGE_TYPE = (b"content-type", b"text/html; charset=utf-8")
UNMADE = dump({"object": "truncated", "message": "fake-fine-tuning: the end of this answer never comes"})
"""What is cut short where the verb was not asked."""

NO_WAY_TO_HANG_UP = (
    "this server has no way to hang up on a client, as the fault {kind!r} would: serve the fake by serving(), "
    "by `fake-fine-tuning serve`, or in process"
)


@dataclass(slots=True)
class FaultOutcome:
    """What came of a call that was hit: an answer, or none (its status is 0), and how the line ends."""

    answer: Response
    end: Literal["kept", "hung up", "reset", "gone"] = "kept"

    async def send(self, line: Connection, receive: Receive, send: Send) -> None:
        """Send what there is of the answer, then do with the line what is to be done."""
        if self.end == "kept":
            await self.answer.send(send)
        elif self.answer.status:
            await send({"type": "http.response.start", "status": self.answer.status, "headers": self.answer.headers})
            await send({"type": "http.response.body", "body": self.answer.body, "more_body": True})
        if self.end in ("hung up", "reset"):
            await line.close(receive, reset=self.end == "reset")


async def apply_fault(
    fault: ArmedFault,
    operation: Operation,
    call: ApiRequest,
    ask: Callable[[], Response],
    line: Connection,
    receive: Receive,
) -> FaultOutcome:
    """Let *fault* hit a call, whose request has been read.

    Args:
        fault: what goes wrong.
        operation: what was called.
        call: the request.
        ask: asks the verb, which takes effect; called once at most.
        line: what can be done with the client.
        receive: tells when the client is gone.
    """
    spec = fault.spec
    if spec.kind == "delay":
        return await _late(spec, call.service, ask, line, receive)
    if not line.can_hang_up and spec.kind in ("disconnect", "refuse", "truncate"):
        return FaultOutcome(usage_error_response(NO_WAY_TO_HANG_UP.format(kind=spec.kind), 502))
    made = ask() if spec.applied else None
    if spec.kind == "truncate":
        return FaultOutcome(_cut(made or Response(200, [JSON_TYPE], UNMADE), spec.bytes), "hung up")
    if spec.kind in ("disconnect", "refuse"):
        return FaultOutcome(_no_answer(), "hung up" if spec.kind == "disconnect" else "reset")
    if spec.kind == "malformed":
        return FaultOutcome(_raw_error_response(spec))
    if fault.ends_at is not None and operation.name == "retrieve_job" and call.scope["method"] != "HEAD":
        _advance_towards_end(fault.ends_at, spec.duration or 0.0, call.service)
    return FaultOutcome(_failure(spec, operation, call))


def _no_answer() -> Response:
    return Response(0, [], b"")


async def _late(
    spec: FaultSpec, service: Service, ask: Callable[[], Response], line: Connection, receive: Receive
) -> FaultOutcome:
    made = ask() if spec.applied else None
    if not await line.delay(spec.seconds, receive, lambda seconds: steering.advance(service, seconds)):
        return FaultOutcome(_no_answer(), "gone")
    return FaultOutcome(made or ask())


def _cut(answer: Response, size: int | None) -> Response:
    """*answer* with a part of its body, and the length of the whole, or of more than comes at any rate."""
    whole = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    part = whole[: len(whole) // 2 if size is None else size]
    length = (b"content-length", b"%d" % max(len(whole), len(part) + 1))
    return Response(answer.status, [*(each for each in answer.headers if each[0] != length[0]), length], part)


def _raw_error_response(spec: FaultSpec) -> Response:
    given = spec.body.encode() if isinstance(spec.body, str) else spec.body
    body = PAGE if given is None else given
    media = PAGE_TYPE if body.startswith(b"<") else JSON_TYPE
    return Response(spec.status, [media, (b"content-length", b"%d" % len(body))], body)


def _advance_towards_end(ends_at: float, duration: float, service: Service) -> None:
    """Move time where looking at a job does so: it is a look that the outage turns away, but must end one day."""
    if service.account.pace not in ("polls", "instant"):
        return
    with service.lock:
        left, step = ends_at - service.clock.now(), duration / LOOKS
        service.advance_clock(ends_at if left < 1.5 * step else ends_at - left + step)


def _failure(spec: FaultSpec, operation: Operation, call: ApiRequest) -> Response:
    """A refusal in the service's words, in the manner of the account's dialect."""
    answer = dialect_adapter.dialect_error_response(_error(spec, call), operation, call.service.account.dialect)
    answer.headers.extend(retry_after_headers(spec.retry_after))
    if spec.kind == "rate_limit" and operation.group is INFERENCE:
        answer.headers.extend(_rate(spec))
    return answer


def _error(spec: FaultSpec, call: ApiRequest) -> ApiError:
    error = _is_known_model(spec, call)
    message = error.message if spec.message is None else spec.message
    code = error.code if spec.code is None else spec.code
    return ApiError(spec.status, message, code=code, type=error.type)


def _is_known_model(spec: FaultSpec, call: ApiRequest) -> ApiError:
    if spec.status == 429:
        if spec.code in _OF_QUOTA:
            return _OF_QUOTA[spec.code]()
        return api_errors.rate_limited(call.service.account.organization_id, _model(call), _wait(spec.retry_after))
    return _OF_SERVER[spec.status]() if spec.status in _OF_SERVER else api_errors.refused_with(spec.status)


_OF_QUOTA: Mapping[str | None, Callable[[], ApiError]] = {
    "insufficient_quota": api_errors.no_quota,
    "credit_balance_exhausted": api_errors.no_credits,
}
_OF_SERVER: Mapping[int, Callable[[], ApiError]] = {500: api_errors.server_error, 503: api_errors.overloaded}


def _model(call: ApiRequest) -> str:
    """The model that a request names, if any."""
    sent = json_or_none(call.body)
    named = sent.get("model") if isinstance(sent, dict) else None
    return named if isinstance(named, str) else ""


def retry_after_headers(wait: float | str | None) -> list[Header]:
    """Whole seconds, as RFC 9110 has them; a part of one in the header that the official SDKs read first."""
    if wait is None:
        return []
    if isinstance(wait, str):
        return [(b"retry-after", wait.encode())]
    exact = [] if wait == int(wait) else [(b"retry-after-ms", b"%d" % round(1000 * wait))]
    return [*exact, (b"retry-after", b"%d" % math.ceil(wait))]


def _rate(spec: FaultSpec) -> list[Header]:
    """What inference says of its limits (printed: the names; these values are inferred)."""
    said = {b"limit": b"%d" % api_errors.RATE, b"remaining": b"0", b"reset": _wait(spec.retry_after).encode()}
    return [(b"x-ratelimit-%s-requests" % name, value) for name, value in said.items()]


def _wait(wait: float | str | None) -> str:
    return f"{wait:g}s" if isinstance(wait, int | float) else f"{60 // api_errors.RATE}s"
