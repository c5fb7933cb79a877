"""The other door: steer the fake over HTTP. JSON in and out, no key, loopback peers only."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..api import graders, inference, webhooks
from ..api.request_models import parse_control
from ..control import seeding, seeds, steering
from ..domain import plan as plans
from ..domain.plan import Plan
from ..domain.webhook_events import WebhookConfig
from ..fidelity import report
from ..request_base import Body
from ..usage_errors import FakeUsageError
from ..version import version
from .operation import Operation
from .request import ApiRequest
from .response import CONTROL, JSON_TYPE, Response

FAULTS_PATH = "/_fake/faults"


class FaultBody(BaseModel):
    """``POST /_fake/faults``: one fault, as ``FakeFineTuning(faults=[…])`` takes it.

    ``kind`` says what goes wrong, with fields of its own; ``fail`` is the default:

    - ``fail``: ``status`` (400 to 599; 500), ``code``, ``message``, ``retry_after`` (seconds, or the header's text)
    - ``rate_limit``: ``retry_after`` (1; null for none), ``code``, ``message``
    - ``delay``: ``seconds``
    - ``disconnect``, ``refuse``
    - ``truncate``: ``bytes`` (how many of the body come; half of them)
    - ``malformed``: ``body`` (a page of HTML), ``status`` (200)
    - ``outage``: ``duration`` (virtual time, ``300`` or ``"5m"``), ``status`` (503), ``code``, ``message``,
      ``retry_after``

    All of them have: ``on`` (an operation's name, or several), ``job`` (its id), ``nth`` (that call only), ``times``
    (1; null for no end, the default with ``probability`` and of an outage), ``probability``, ``seed``, ``applied``.
    """

    model_config = ConfigDict(extra="allow", frozen=True)


def _arm(call: ApiRequest) -> Any:
    [spec] = call.faults.parse([parse_control(FaultBody, call.body, f"POST {FAULTS_PATH}").model_dump()])
    return call.faults.arm(spec, call.service.clock.now()).as_json()


def _list_faults(call: ApiRequest) -> Any:
    return {"faults": [fault.as_json() for fault in call.faults.all(call.service.clock.now())]}


def _clear(call: ApiRequest) -> Any:
    call.faults.disarm(call.service.clock.now())
    return _list_faults(call)


FAULT_OPERATIONS = (
    Operation(f"POST {FAULTS_PATH}", "POST", FAULTS_PATH, _arm, CONTROL),
    Operation(f"GET {FAULTS_PATH}", "GET", FAULTS_PATH, _list_faults, CONTROL),
    Operation(f"DELETE {FAULTS_PATH}", "DELETE", FAULTS_PATH, _clear, CONTROL),
)


WEBHOOKS_PATH = "/_fake/webhooks"


class WebhookBody(Body):
    """``POST /_fake/webhooks``: all of it can be left out."""

    url: str | None = None
    secret: str | None = None
    events: list[str] | None = None

    def target(self) -> WebhookConfig:
        """What is asked for."""
        return WebhookConfig.of(self.model_dump(exclude_none=True))


def check_not_a_page(call: ApiRequest) -> None:
    """Refuse a browser: a page can get at a loopback port, and must not come to have requests sent from here.

    Raises:
        FakeUsageError: the call comes from one.
    """
    if call.header(b"origin"):
        raise FakeUsageError("webhooks cannot be registered by a browser")


def _add(call: ApiRequest) -> Any:
    body = parse_control(WebhookBody, call.body, f"POST {WEBHOOKS_PATH}")
    check_not_a_page(call)
    return webhooks.add(call.service, body.target()).as_json()


def _list_webhooks(call: ApiRequest) -> Any:
    return {"webhooks": [endpoint.as_json() for endpoint in webhooks.list_endpoints(call.service)]}


def _list_deliveries(call: ApiRequest) -> Any:
    return {"deliveries": [delivery.as_json() for delivery in webhooks.list_deliveries(call.service)]}


def _remove(call: ApiRequest) -> Any:
    return webhooks.remove(call.service, call.path["webhook_id"])


WEBHOOK_OPERATIONS = (
    Operation(f"POST {WEBHOOKS_PATH}", "POST", WEBHOOKS_PATH, _add, CONTROL),
    Operation(f"GET {WEBHOOKS_PATH}", "GET", WEBHOOKS_PATH, _list_webhooks, CONTROL),
    Operation(f"GET {WEBHOOKS_PATH}/deliveries", "GET", f"{WEBHOOKS_PATH}/deliveries", _list_deliveries, CONTROL),
    Operation(f"DELETE {WEBHOOKS_PATH}/{{webhook_id}}", "DELETE", f"{WEBHOOKS_PATH}/{{webhook_id}}", _remove, CONTROL),
)


class PaceBody(Body):
    """``PATCH /_fake/clock``."""

    pace: str | float


class AdvanceBody(Body):
    """``POST /_fake/clock/advance``: one of `seconds`, `to` and `step`."""

    seconds: float | str | None = None
    to: str | None = None
    step: int | None = None
    job: str | None = None


class NextBody(Body):
    """``POST /_fake/next``: the id of the next file or job, and the job's seed."""

    kind: str
    id: str
    seed: int | None = None


class RepliesBody(Body):
    """``PUT /_fake/replies``."""

    replies: list[str]


class GraderScoresBody(Body):
    """``PUT /_fake/graders``."""

    scores: list[float | None]


class ResetBody(Body):
    """``POST /_fake/reset``: settings of the fresh account; what is left out stays as it was at the start."""

    seed: int | None = None
    start: float | None = None
    pace: str | float | None = None
    plan: dict[str, Any] | None = None
    organization_id: str | None = None
    organization: str | None = None
    owner: str | None = None
    project: str | None = None
    api_keys: list[str] | None = None
    max_active_jobs: int | None = None
    base64_results: bool | None = None
    run_python_graders: bool | None = None
    as_of: str | None = None
    organization_class: str | None = None
    dialect: str | None = None
    webhooks: list[WebhookBody] | None = None
    faults: list[dict[str, Any]] | None = None


class ForeignPeerError(FakeUsageError):
    """Somebody on another machine tried to steer the fake."""


def check_peer(operation: Operation, call: ApiRequest) -> None:
    """Let loopback peers through, and calls in this process, which have no peer."""
    client = call.scope.get("client")
    if operation.path in OPEN_TO_ALL or client is None or is_loopback(client[0]):
        return
    raise ForeignPeerError(
        f"control answers loopback peers only; {client[0]} is none: `serve --control-token` lets others in that have it"
    )


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine talking to itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "testclient")


def _state(call: ApiRequest) -> Any:
    return {"version": version(), **steering.state(call.service)}


def _reset(call: ApiRequest) -> Any:
    body = parse_control(ResetBody, call.body, "POST /_fake/reset")
    if body.run_python_graders and call.header(b"origin"):
        # A page can get at a loopback port under a name of its own; it must not come to run code here.
        raise ForeignPeerError("run_python_graders cannot be switched on by a browser")
    changes = {name: value for name, value in body if value is not None and name != "faults"}
    if body.webhooks:
        check_not_a_page(call)
        changes["webhooks"] = [webhook.target() for webhook in body.webhooks]
    faults = call.faults.parse(body.faults)
    call.service.reset(changes)
    call.requests.clear()
    call.faults.reset(faults, call.service.clock.now())
    return _state(call)


def _clock(call: ApiRequest) -> Any:
    return steering.clock_state(call.service)


def _set_pace(call: ApiRequest) -> Any:
    call.service.set_pace(parse_control(PaceBody, call.body, "PATCH /_fake/clock").pace)
    return _clock(call)


def _advance(call: ApiRequest) -> Any:
    body = parse_control(AdvanceBody, call.body, "POST /_fake/clock/advance")
    if body.seconds is not None and (body.to, body.step, body.job) == (None, None, None):
        steering.advance(call.service, body.seconds)
    elif body.seconds is None:
        steering.advance_to(call.service, body.to, body.job, body.step)
    else:
        raise FakeUsageError("POST /_fake/clock/advance: say either seconds, or a job's status (to) or step")
    return _clock(call)


def _set_plan(call: ApiRequest) -> Any:
    plan = Plan().changed(_object(call, "PUT /_fake/plan"))
    return plans.as_json(steering.set_plan(call.service, plan))


def _set_job_plan(call: ApiRequest) -> Any:
    job_id = call.path["job_id"]
    changes = _object(call, f"PUT /_fake/jobs/{job_id}/plan")
    return plans.as_json(steering.set_job_plan(call.service, job_id, changes))


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


def _object(call: ApiRequest, where: str) -> dict[str, Any]:
    return parse_control(_Anything, call.body, where).model_dump()


def _seed_file(call: ApiRequest) -> Any:
    return seeding.seed_file(call.service, parse_control(seeds.FileSeed, call.body, "POST /_fake/files"))


def _seed_job(call: ApiRequest) -> Any:
    return seeding.seed_job(call.service, parse_control(seeds.JobSeed, call.body, "POST /_fake/jobs"))


def _name_next(call: ApiRequest) -> Any:
    body = parse_control(NextBody, call.body, "POST /_fake/next")
    seeding.name_next(call.service, body.kind, body.id, body.seed)
    return body.model_dump()


def _set_grader_scores(call: ApiRequest) -> Any:
    body = parse_control(GraderScoresBody, call.body, "PUT /_fake/graders")
    return {"scores": graders.set_scores(call.service, body.scores)}


def _set_replies(call: ApiRequest) -> Any:
    body = parse_control(RepliesBody, call.body, "PUT /_fake/replies")
    return {"replies": inference.set_replies(call.service, body.replies)}


def _list_requests(call: ApiRequest) -> Any:
    query = call.query
    if unknown := sorted(set(query) - {"operation", "status", "limit"}):
        raise FakeUsageError(
            f"GET /_fake/requests: unknown parameter {unknown[0]!r}; there are operation, status, limit"
        )
    numbers = {name: _number(name, query[name]) for name in ("status", "limit") if name in query}
    found = call.requests.find(query.get("operation"), **numbers)
    return {"total": call.requests.count, "requests": [exchange.as_json() for exchange in found]}


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise FakeUsageError(f"GET /_fake/requests: {name} is {text!r}; a whole number is wanted")
    return int(text)


def _fidelity(call: ApiRequest) -> Any:
    return report.fidelity()


def _description(call: ApiRequest) -> Response:
    from .openapi.document import as_bytes  # what writes schemas is loaded by those who ask for them

    body = as_bytes()
    return Response(200, [JSON_TYPE, (b"content-length", b"%d" % len(body))], body)


def _alive(call: ApiRequest) -> Any:
    return {"status": "ok", "version": version()}


def _operation(method: str, path: str, ask: Callable[[ApiRequest], Any]) -> Operation:
    return Operation(f"{method} {path}", method, path, ask, CONTROL)


CONTROL_OPERATIONS = (
    _operation("GET", "/_fake", _state),
    _operation("POST", "/_fake/reset", _reset),
    _operation("GET", "/_fake/clock", _clock),
    _operation("PATCH", "/_fake/clock", _set_pace),
    _operation("POST", "/_fake/clock/advance", _advance),
    _operation("PUT", "/_fake/plan", _set_plan),
    _operation("PUT", "/_fake/jobs/{job_id}/plan", _set_job_plan),
    _operation("POST", "/_fake/files", _seed_file),
    _operation("POST", "/_fake/jobs", _seed_job),
    _operation("POST", "/_fake/next", _name_next),
    _operation("PUT", "/_fake/replies", _set_replies),
    _operation("PUT", "/_fake/graders", _set_grader_scores),
    *WEBHOOK_OPERATIONS,
    *FAULT_OPERATIONS,
    _operation("GET", "/_fake/requests", _list_requests),
    _operation("GET", "/_fake/fidelity", _fidelity),
    _operation("GET", "/openapi.json", _description),
    _operation("GET", "/health", _alive),
    _operation("GET", "/ready", _alive),
)
OPEN_TO_ALL = ("/openapi.json", "/health", "/ready")
