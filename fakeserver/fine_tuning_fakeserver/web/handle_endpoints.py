"""Control routes for what a handle in Python does besides: waits, scripts, changes from outside, facts for assertions.

`fake.remote_fake` steers a running server by these and by those of `control_endpoints`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fine_tuning_formats.text import show_value

from ..account.request_log import FailedAssertion
from ..account.script_queue import Script
from ..account.service import Service
from ..api import files, jobs, webhooks
from ..api.json_bodies import parse_control_object
from ..api_errors import ApiError
from ..control import steering
from ..domain.checks import parse_seconds
from ..domain.dialects.dialect import to_dialect
from ..usage_errors import FakeUsageError
from .operation import CONTROL, Operation
from .operations import check_operation
from .request import ApiRequest


def sleep(request: ApiRequest) -> Any:
    """Let virtual time pass for a client that waits; tell how many real seconds it has to wait."""
    from ..api.request_models import parse_control
    from .control_bodies import SleepBody

    body = parse_control(SleepBody, request.body, "POST /_fake/clock/sleep")
    real_s = steering.sleep_as_client(request.world, body.seconds)
    return {**steering.clock_state(request.service), "real_seconds": real_s}


def plan_next(request: ApiRequest) -> Any:
    """Set the plan of the next job: the account's with these changes."""
    return steering.plan_next(request.service, parse_control_object(request.body, "POST /_fake/plan/next")).as_json()


def list_jobs(request: ApiRequest) -> Any:
    """List all jobs, newest first; this moves no time."""
    return {"jobs": _in_dialect(request, jobs.snapshot(request.service))}


def list_files(request: ApiRequest) -> Any:
    """List all files, newest first."""
    return {"files": _in_dialect(request, files.snapshot(request.service))}


def _in_dialect(request: ApiRequest, objects: list[dict[str, Any]]) -> list[Any]:
    return [to_dialect(request.service.account.dialect, each) for each in objects]


def _from_outside(verb: Callable[[Service, str], Any], parameter: str) -> Callable[[ApiRequest], Any]:
    """Return the endpoint that does as a colleague does in the dashboard; no request is in the log."""

    def change(request: ApiRequest) -> Any:
        identifier = request.path[parameter]
        try:
            return verb(request.service, identifier)
        except ApiError as error:
            raise FakeUsageError(f"{verb.__name__} {identifier}: {error.message}") from None

    change.__doc__ = f"{verb.__name__.capitalize()} it, as a colleague does in the dashboard."
    return change


def wait_for_deliveries(request: ApiRequest) -> Callable[[], None]:
    """Return what waits until every webhook that is due has been tried; it runs in a thread."""
    from ..api.request_models import parse_control
    from .control_bodies import DeliverBody

    body = parse_control(DeliverBody, request.body, "POST /_fake/webhooks/deliver")
    timeout_s = parse_seconds(body.timeout, "timeout")
    request.world.run(lambda: webhooks.list_deliveries(request.world.service))
    return lambda: request.world.sender.flush(timeout_s)


def list_deliveries(request: ApiRequest) -> Any:
    """List the deliveries of webhooks, after those that are due were tried."""
    return {"deliveries": [delivery.as_json() for delivery in webhooks.list_deliveries(request.service)]}


def list_unfired_faults(request: ApiRequest) -> Any:
    """List the faults that have hit nothing, disarmed ones too."""
    return {"faults": [fault.as_json() for fault in request.faults.unfired(request.service.clock.now())]}


def get_outcome(request: ApiRequest) -> Any:
    """Return what assertions and findings go by besides the requests."""
    return {"born": request.service.created_at, **steering.account_outcome(request.service)}


def take_notes(request: ApiRequest) -> Any:
    """Return the usage errors that no answer shows, and forget them."""
    return {"notes": request.requests.take_notes()}


def add_failed_assertion(request: ApiRequest) -> Any:
    """Keep an assertion of a handle that did not hold."""
    from ..api.request_models import parse_control
    from .control_bodies import FailedAssertionBody

    body = parse_control(FailedAssertionBody, request.body, "POST /_fake/requests/failed_assertions")
    failed = FailedAssertion(body.text, body.request, tuple(body.problems))
    request.requests.add_failed_assertion(failed)
    return asdict(failed)


def add_script(request: ApiRequest) -> Any:
    """Answer with prepared responses from now on."""
    from ..api.request_models import parse_control
    from .control_bodies import ScriptBody

    body = parse_control(ScriptBody, request.body, "POST /_fake/scripts")
    for operation in body.responses if isinstance(body.responses, dict) else ():
        check_operation(operation)
    return Script(request.scripts, body.responses, strict=body.strict).as_json()


def list_scripts(request: ApiRequest) -> Any:
    """List all scripts, those that have ended first."""
    return {"scripts": [script.as_json() for script in (*request.scripts.ended, *request.scripts.scripts)]}


def make_script_strict(request: ApiRequest) -> Any:
    """Make every call that no answer of the script is left for an error from now on."""
    return _script(request).prevent_stray().as_json()


def end_script(request: ApiRequest) -> Any:
    """End a script, and those that were begun after it."""
    return _script(request).stop().as_json()


def _script(request: ApiRequest) -> Script:
    known = (*request.scripts.ended, *request.scripts.scripts)
    number = request.path["script_number"]
    found = next((script for script in known if str(script.number) == number), None)
    if found is None:
        raise FakeUsageError(f"there is no script {show_value(number)}; GET /_fake/scripts lists them")
    return found


HANDLE_OPERATIONS = (
    *(
        Operation(f"{method} {path}", method, path, run, CONTROL)
        for method, path, run in (
            ("POST", "/_fake/clock/sleep", sleep),
            ("POST", "/_fake/plan/next", plan_next),
            ("GET", "/_fake/jobs", list_jobs),
            ("POST", "/_fake/jobs/{job_id}/cancel", _from_outside(jobs.cancel, "job_id")),
            ("POST", "/_fake/jobs/{job_id}/pause", _from_outside(jobs.pause, "job_id")),
            ("POST", "/_fake/jobs/{job_id}/resume", _from_outside(jobs.resume, "job_id")),
            ("GET", "/_fake/files", list_files),
            ("DELETE", "/_fake/files/{file_id}", _from_outside(files.delete, "file_id")),
            ("GET", "/_fake/faults/unfired", list_unfired_faults),
            ("GET", "/_fake/outcome", get_outcome),
            ("DELETE", "/_fake/requests/notes", take_notes),
            ("POST", "/_fake/requests/failed_assertions", add_failed_assertion),
            ("POST", "/_fake/scripts", add_script),
            ("GET", "/_fake/scripts", list_scripts),
            ("POST", "/_fake/scripts/{script_number}/strict", make_script_strict),
            ("DELETE", "/_fake/scripts/{script_number}", end_script),
        )
    ),
    Operation(
        "POST /_fake/webhooks/deliver",
        "POST",
        "/_fake/webhooks/deliver",
        list_deliveries,
        CONTROL,
        prepare=wait_for_deliveries,
    ),
)
