"""Control routes: steer the fake over HTTP. JSON in and out, no API key; who may is in `access`."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from fine_tuning_formats.text import show_value

from ..account.request_log import secrets_of
from ..account.stored_account import StoredAccount
from ..account.world import World
from ..api import webhooks
from ..api.json_bodies import parse_control_object
from ..control import steering
from ..domain.checks import check_names
from ..domain.plan import Plan
from ..domain.webhook_events import WebhookConfig
from ..settings import CONTROL_FIELDS
from ..usage_errors import FakeUsageError
from ..version import VERSION
from .handle_endpoints import HANDLE_OPERATIONS
from .operation import CONTROL, Operation
from .request import ApiRequest
from .response import ApiResponse, whole_response


def arm_fault(request: ApiRequest) -> Any:
    """Arm one fault."""
    fault = _object(request, "POST /_fake/faults")
    return request.faults.arm(fault, request.service.clock.now()).as_json()


def list_faults(request: ApiRequest) -> Any:
    """List the faults that were armed."""
    return {"faults": [fault.as_json() for fault in request.faults.all(request.service.clock.now())]}


def disarm_faults(request: ApiRequest) -> Any:
    """Disarm all faults."""
    request.faults.disarm(request.service.clock.now())
    return list_faults(request)


def add_webhook(request: ApiRequest) -> Any:
    """Register a webhook endpoint."""
    body = _without_nulls(_object(request, "POST /_fake/webhooks"))
    return webhooks.add(request.service, WebhookConfig.parse(body)).as_json()


def list_webhooks(request: ApiRequest) -> Any:
    """List the webhook endpoints."""
    return {"webhooks": [endpoint.as_json() for endpoint in webhooks.list_endpoints(request.service)]}


def list_deliveries(request: ApiRequest) -> Any:
    """List the deliveries of webhooks."""
    return {"deliveries": [delivery.as_json() for delivery in webhooks.list_deliveries(request.service)]}


def remove_webhook(request: ApiRequest) -> Any:
    """Remove a webhook endpoint."""
    return webhooks.remove(request.service, request.path["webhook_id"])


IMPORT_BYTES_AT_MOST = 256 * 1024 * 1024


def get_state(request: ApiRequest) -> Any:
    """Return the account's state."""
    return {"version": VERSION, **steering.account_summary(request.world.service)}


def reset(request: ApiRequest) -> Any:
    """Begin a fresh account with the fields of `Settings` and ``faults``; fields left out are as at the start."""
    changes = _without_nulls(_object(request, "POST /_fake/reset"))
    check_names("setting", changes, (*CONTROL_FIELDS, "faults"))
    faults = changes.pop("faults", None)
    request.world.reset(changes, faults)
    return get_state(request)  # of the new account


def get_clock(request: ApiRequest) -> Any:
    """Return time and pace."""
    return steering.clock_state(request.service)


def set_pace(request: ApiRequest) -> Any:
    """Change the pace."""
    from ..api.request_models import parse_control
    from .control_bodies import PaceBody

    request.service.set_pace(parse_control(PaceBody, request.body, "PATCH /_fake/clock").pace)
    return get_clock(request)


def advance(request: ApiRequest) -> Any:
    """Advance the clock, by seconds or until a job reaches a status or step."""
    from ..api.request_models import parse_control
    from .control_bodies import AdvanceBody

    body = parse_control(AdvanceBody, request.body, "POST /_fake/clock/advance")
    if body.seconds is not None and (body.to, body.step, body.job) == (None, None, None):
        steering.advance(request.service, body.seconds)
    elif body.seconds is None:
        steering.advance_to(request.service, body.to, body.job, body.step)
    else:
        raise FakeUsageError("POST /_fake/clock/advance must have either seconds, or to or step of a job")
    return get_clock(request)


def set_dialect(request: ApiRequest) -> Any:
    """Answer in another dialect from now on."""
    from ..api.request_models import parse_control
    from .control_bodies import DialectBody

    request.service.set_dialect(parse_control(DialectBody, request.body, "PUT /_fake/dialect").dialect)
    return {"dialect": request.service.account.dialect.name}


def set_plan(request: ApiRequest) -> Any:
    """Change the plan of jobs to come."""
    plan = Plan().changed(_object(request, "PUT /_fake/plan"))
    return steering.set_plan(request.service, plan).as_json()


def add_plan_rule(request: ApiRequest) -> Any:
    """Plan the jobs to come that match."""
    changes = _object(request, "POST /_fake/plans")
    return steering.plan_when(request.service, changes.pop("when", {}), changes).as_json()


def list_plan_rules(request: ApiRequest) -> Any:
    """List the plans of jobs that match, in the order in which they are tried."""
    return {"plans": [rule.as_json() for rule in steering.list_plan_rules(request.service)]}


def set_job_plan(request: ApiRequest) -> Any:
    """Change the plan of one job."""
    job_id = request.path["job_id"]
    changes = _object(request, f"PUT /_fake/jobs/{job_id}/plan")
    return steering.set_job_plan(request.service, job_id, changes).as_json()


def _object(request: ApiRequest, where: str) -> dict[str, Any]:
    return parse_control_object(request.body, where)


def _without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def seed_file(request: ApiRequest) -> Any:
    """Put a file into the account."""
    from ..control import seeding

    return seeding.seed_file(request.service, seeding.FileSeed.parse(_object(request, "POST /_fake/files")))


def seed_job(request: ApiRequest) -> Any:
    """Put a job into the account."""
    from ..control import seeding

    return seeding.seed_job(request.service, seeding.JobSeed.parse(_object(request, "POST /_fake/jobs")))


def name_next(request: ApiRequest) -> Any:
    """Reserve the id of the next file or job."""
    from ..api.request_models import parse_control
    from ..control import seeding
    from .control_bodies import NextBody

    body = parse_control(NextBody, request.body, "POST /_fake/next")
    seeding.reserve_next_id(request.service, body.kind, body.id, body.seed)
    return body.model_dump()


def set_grader_scores(request: ApiRequest) -> Any:
    """Prepare the scores of graders that the fake cannot compute."""
    from ..api import graders
    from ..api.request_models import parse_control
    from .control_bodies import GraderScoresBody

    body = parse_control(GraderScoresBody, request.body, "PUT /_fake/graders")
    return {"scores": graders.set_scores(request.service, body.scores)}


def set_replies(request: ApiRequest) -> Any:
    """Prepare the texts of completions."""
    from ..api.inference import set_replies as set_texts
    from ..api.request_models import parse_control
    from .control_bodies import RepliesBody

    body = parse_control(RepliesBody, request.body, "PUT /_fake/replies")
    return {"replies": set_texts(request.service, body.replies)}


def is_count(text: str) -> bool:
    """Return whether a parameter of a query is a whole number of sensible length."""
    return text.isascii() and text.isdecimal() and len(text) < 16


def list_requests(request: ApiRequest) -> Any:
    """List logged requests."""
    query = request.query
    if unknown := sorted(set(query) - {"operation", "status", "limit", "details"}):
        name = show_value(unknown[0])
        raise FakeUsageError(
            f"GET /_fake/requests: unknown parameter {name}; expected one of: operation, status, limit, details"
        )
    if (details := query.get("details", "false")) not in ("true", "false"):
        raise FakeUsageError(f"GET /_fake/requests: details must be true or false, got {show_value(details)}")
    numbers: dict[str, int] = {}
    for name in ("status", "limit"):
        if (text := query.get(name)) is None:
            continue
        if not is_count(text):
            raise FakeUsageError(f"GET /_fake/requests: {name} must be a whole number, got {show_value(text)}")
        numbers[name] = int(text)
    known = secrets_of(request.requests.find())
    entries = request.requests.find(query.get("operation"), **numbers)
    listed = {"total": request.requests.count}
    if details == "false":
        return {**listed, "requests": [entry.as_json(known) for entry in entries]}
    listed["forgotten"] = request.requests.forgotten
    from ..account.log_format import entry_as_json  # imported on demand, as below

    return {**listed, "requests": [entry_as_json(entry, known) for entry in entries], "notes": request.requests.notes}


def write_account_ahead(request: ApiRequest) -> Callable[[], bytes]:
    """Return what writes the account as a file."""
    from . import account_file  # imported on demand, as below

    if (text := request.query.get("contents_at_most")) is not None and not is_count(text):
        message = f"contents_at_most must be a whole number, got {show_value(text)}"
        raise FakeUsageError(f"GET /_fake/export: {message}")
    at_most = None if text is None else int(text)
    return lambda: account_file.account_file(request.world.store(), at_most)


def export_account(request: ApiRequest) -> ApiResponse:
    """Return the account as a file."""
    return whole_response(request.read_ahead_result, (b"content-type", b"application/zip"))


def read_account_ahead(request: ApiRequest) -> Callable[[], StoredAccount]:
    """Return what reads the account of a file."""
    from . import account_file

    _require_empty(request.world)
    allowed = request.world.service.settings.allow_remote_webhooks
    return lambda: account_file.read_account(BytesIO(request.body), allow_remote_webhooks=allowed)


def import_account(request: ApiRequest) -> Any:
    """Go on with the account of a file, if this one is still empty."""
    _require_empty(request.world)  # still: others were answered in the meantime
    request.world.restore(request.read_ahead_result)
    return get_state(request)  # of the new account


def _require_empty(world: World) -> None:
    if world.has_happened:
        raise FakeUsageError(
            f"the account must be empty for an import, got one with {len(world.service.journal)} records and "
            f"{world.requests.count} requests; POST /_fake/reset first"
        )


def rewind(request: ApiRequest) -> Any:
    """Take the account back to where it was when a request was answered, or at a time."""
    from ..api.request_models import parse_control
    from .control_bodies import RewindBody

    body = parse_control(RewindBody, request.body, "POST /_fake/rewind")
    request.world.rewind(body.request, body.time)
    return get_state(request)


def get_fidelity(request: ApiRequest) -> Any:
    """Return the fidelity ledger."""
    from . import documents  # imported on demand, as below

    return documents.fidelity()


def get_openapi(request: ApiRequest) -> ApiResponse:
    """Return the OpenAPI document."""
    from . import documents  # imported on demand: writing schemas loads a part of pydantic that nothing else needs

    return whole_response(documents.openapi_bytes())


def health(request: ApiRequest) -> Any:
    """Tell that the fake is up."""
    return {"status": "ok", "version": VERSION}


_EXPORT = Operation("GET /_fake/export", "GET", "/_fake/export", export_account, CONTROL, prepare=write_account_ahead)
_IMPORT = Operation(
    "POST /_fake/import",
    "POST",
    "/_fake/import",
    import_account,
    CONTROL,
    prepare=read_account_ahead,
    body_bytes_at_most=IMPORT_BYTES_AT_MOST,
)
CONTROL_OPERATIONS = (
    _EXPORT,
    _IMPORT,
    *HANDLE_OPERATIONS,
    *(
        Operation(f"{method} {path}", method, path, run, CONTROL)
        for method, path, run in (
            ("GET", "/_fake", get_state),
            ("POST", "/_fake/reset", reset),
            ("GET", "/_fake/clock", get_clock),
            ("PATCH", "/_fake/clock", set_pace),
            ("POST", "/_fake/clock/advance", advance),
            ("PUT", "/_fake/dialect", set_dialect),
            ("PUT", "/_fake/plan", set_plan),
            ("POST", "/_fake/plans", add_plan_rule),
            ("GET", "/_fake/plans", list_plan_rules),
            ("PUT", "/_fake/jobs/{job_id}/plan", set_job_plan),
            ("POST", "/_fake/files", seed_file),
            ("POST", "/_fake/jobs", seed_job),
            ("POST", "/_fake/next", name_next),
            ("PUT", "/_fake/replies", set_replies),
            ("PUT", "/_fake/graders", set_grader_scores),
            ("POST", "/_fake/webhooks", add_webhook),
            ("GET", "/_fake/webhooks", list_webhooks),
            ("GET", "/_fake/webhooks/deliveries", list_deliveries),
            ("DELETE", "/_fake/webhooks/{webhook_id}", remove_webhook),
            ("POST", "/_fake/faults", arm_fault),
            ("GET", "/_fake/faults", list_faults),
            ("DELETE", "/_fake/faults", disarm_faults),
            ("GET", "/_fake/requests", list_requests),
            ("POST", "/_fake/rewind", rewind),
            ("GET", "/_fake/fidelity", get_fidelity),
        )
    ),
    *(
        Operation(f"GET {path}", "GET", path, run, CONTROL, is_open=True)
        for path, run in (("/openapi.json", get_openapi), ("/health", health), ("/ready", health))
    ),
)
OPEN_TO_ALL = tuple(operation.path for operation in CONTROL_OPERATIONS if operation.is_open)
"""Paths that other machines may request, too."""
