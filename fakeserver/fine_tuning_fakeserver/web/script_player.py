"""Answer requests from the account's scripts, the innermost first.

The fake plays along: a scripted job is put into the account and goes where the script says, so that what comes later
agrees. A job that was created "succeeded" can be retrieved, has events and a model, and cannot be cancelled any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..account.recorded_calls import call_ids, request_options
from ..account.script_queue import Script, ScriptedCall
from ..account.service import Service
from ..api import files, jobs
from ..api.json_bodies import parse_json
from ..api.schemas.job_schemas import JOB
from ..api_errors import ApiError
from ..control import steering
from ..domain import ids
from ..usage_errors import FakeUsageError
from . import dialect_adapter
from .operation import Operation
from .request import ApiRequest, form_fields
from .response import ApiResponse
from .script_items import (
    ConnectionFailure,
    FileItem,
    InvalidScriptItem,
    Json,
    ObjectItem,
    PageItem,
    ScriptItem,
    StatusItem,
    parse_item,
    response_for_exception,
)

ROW = '{"messages":[{"role":"user","content":"Say %d."},{"role":"assistant","content":"%d"}]}'
ROWS = "\n".join(ROW % (number, number) for number in range(10)) + "\n"
"""The content of a training file that only a script has named: the fewest rows a job can be trained with."""

HINT = "; None lets the fake answer, and {'create_job': […]} keeps answers for one operation"

_MAKING = ("upload_file", "retrieve_file")
_STATUS_AFTER = {"cancel_job": "cancelled", "pause_job": "paused", "resume_job": "queued"}
"""Where an operation takes a job that is scripted without a status."""


class UnexpectedCallError(FakeUsageError):
    """A strict script has no answer left for a request."""


def respond(operation: Operation, request: ApiRequest) -> Any:
    """Return the answer of the innermost script that has one, or else the fake's own.

    A connection that a script breaks is a `ConnectionFailure`.

    Raises:
        ApiError: an error is scripted, or it is the fake's own.
        FakeUsageError: the next item does not fit, or a script is strict, and no answer is left.
    """
    item = _next_item(operation.name, request)
    if item is None:
        return _with_overrides(operation.run(request), request)
    if isinstance(item, ApiError):
        raise item
    if isinstance(item, ConnectionFailure):
        return item
    if isinstance(item, FileItem):
        return ApiResponse(200, [(b"content-length", b"%d" % len(item.body))], item.body)
    if isinstance(item, PageItem):
        known = iter([job["id"] for job in jobs.snapshot(request.service)] if operation.name == "list_jobs" else [])
        data = [_listed_object(each, operation, request, known) for each in item.items]
        return {"object": "list", "data": data, "has_more": False, **item.page}
    if isinstance(item, StatusItem) or operation.response is JOB:
        return _job(item, operation, request, request.path.get("job_id"))
    assert isinstance(item, ObjectItem)
    return _object(item.values, operation, request)


def _next_item(operation: str, request: ApiRequest) -> ScriptItem:
    """Return the item that answers a request, taken from its script; None leaves it to the fake."""
    scripts = request.scripts.scripts
    for script in reversed(scripts):
        if script.has_answer(operation):
            scripted = ScriptedCall(operation, call_ids(request.path), _options(request), script.calls)
            item = _resolve(script, scripted)
            script.take(operation)
            return item
    if any(script.strict for script in scripts):
        raise UnexpectedCallError(f"{operation} was called, and the strict script has no answer left for it")
    return None


def _resolve(script: Script, call: ScriptedCall) -> ScriptItem:
    """Parse the next item of *script*; call it if it is a function, whose exception is its answer.

    Raises:
        FakeUsageError: it does not fit the operation.
    """
    raw = script.next_item(call.operation)
    try:
        item = parse_item(raw, call.operation)
        if not callable(item):
            return item
        try:
            result = item(call)
        except FakeUsageError:
            raise
        except Exception as error:
            return response_for_exception(error)
        if callable(result) and not isinstance(result, type):
            raise FakeUsageError(f"the script's function answered {call.operation} with another function, {result!r}")
        return parse_item(result, call.operation)
    except InvalidScriptItem as error:
        hint = "" if script.has_own_queue(call.operation) else HINT
        raise InvalidScriptItem(f"{error}{'' if callable(raw) else f', which is kept{hint}'}") from None


def _options(request: ApiRequest) -> Json:
    """Return the options of a request; none where its body cannot be read, of which the fake complains itself."""
    query: str = request.scope["query_string"].decode("latin-1")
    return request_options(query, request.body, form_fields(request.form) if request.form else None)


def _listed_object(item: ScriptItem, operation: Operation, request: ApiRequest, known: Iterator[str]) -> Json:
    """Return an object of a list; jobs without an id are the *known* ones, newest first, and then new ones."""
    if operation.name == "list_jobs":
        identifier = item.values.get("id") if isinstance(item, ObjectItem) else None
        return _job(item, operation, request, identifier or next(known, None))
    assert isinstance(item, ObjectItem)
    if operation.name != "list_job_events":
        return item.values
    request.scripts.events += 1
    return {
        "object": "fine_tuning.job.event",
        "id": ids.derived_id("event", request.service.settings.seed, "scripted", request.scripts.events),
        "created_at": int(request.service.clock.now()),
        "level": "info",
        "message": "",
        "data": {},
        "type": "message",
        **item.values,
    }


def _job(item: ScriptItem, operation: Operation, request: ApiRequest, identifier: str | None) -> Json:
    """Return a job as scripted; the fake's own job goes there, too, as far as it can."""
    values = {"status": item.status} if isinstance(item, StatusItem) else dict(getattr(item, "values", {}))
    status = values.pop("status", _STATUS_AFTER.get(operation.name))
    identifier = _job_id(values, operation, request, identifier)
    is_reached = status is None or _drive_to(request.service, identifier, str(status))
    job, overrides = jobs.snapshot_of(request.service, identifier), request.scripts.overrides
    overrides[identifier] = {**overrides.get(identifier, {}), **_lasting_overrides(values, job)}
    # a status that the fake cannot have is shown once: a loop that waits for another must come to its end
    return {**job, **overrides[identifier], **values, **({} if is_reached else {"status": status})}


def _job_id(values: Json, operation: Operation, request: ApiRequest, identifier: str | None) -> str:
    """Return the id of the job that *values* describe; it is put into the account if it is not there."""
    identifier = identifier or values.get("id")
    if not isinstance(identifier, str | None):
        raise FakeUsageError(f"a scripted job's id must be a string, got {identifier!r}")
    if operation.name == "create_job" and identifier not in request.service.account.jobs:
        if created := _create_job(operation, request, identifier):
            return created
        sent = {name: value for name, value in _options(request).items() if value is not None}
        values |= {name: sent[name] for name in ("model", "training_file") if name in sent and name not in values}
    return _ensure_job(request.service, identifier, values)


def _create_job(operation: Operation, request: ApiRequest, identifier: str | None) -> str | None:
    """Let the fake create the job of a request, under this id if there is one; return None where it would refuse."""
    from ..api.request_models import job_body, parse
    from ..control import seeding

    service = request.service
    try:
        sent = parse_json(request.body)
        dialect = service.account.dialect
        dialect_adapter.take_own_members(dialect, sent)
        if dialect.jobs:
            from .open_weight_jobs import take_own_members

            take_own_members(dialect.jobs, sent)
        body = parse(job_body(dialect), sent)
        for file in (body.training_file, body.validation_file):
            if file is not None:
                _ensure_file(service, file)
        jobs.prepare_job(service.account, service.clock.now(), body)
    except ApiError:
        return None
    if identifier is not None:
        seeding.reserve_next_id(service, "job", identifier)
    return str(operation.run(request)["id"])


def _ensure_job(service: Service, identifier: str | None, values: Json) -> str:
    """Return the id of the job; it is seeded from *values*, as far as the fake takes them, if it is not there."""
    from ..control import seeding

    if identifier is not None and identifier in service.account.jobs:
        return identifier
    training_file = _ensure_file(service, values.get("training_file"))
    seed: Json = {"training_file": training_file, "status": "validating_files"}
    members = {name: values[name] for name in ("metadata", "suffix", "seed") if values.get(name) is not None}
    if identifier is not None:
        seed["id"] = identifier
    for fields in ({**members, "model": values.get("model")}, {"metadata": members.get("metadata")}, {}):
        try:
            return str(seeding.seed_job(service, seeding.JobSeed.parse({**seed, **fields}))["id"])
        except (ApiError, FakeUsageError):
            continue  # a test may script what the service would refuse: then only the answer has it
    raise FakeUsageError(f"a job cannot be scripted as {identifier!r}: no path can hold that id")


def _ensure_file(service: Service, identifier: Any) -> str:
    """Return the id of a training file in the account; it is seeded if it is not there."""
    from ..control import seeding

    if not isinstance(identifier, str) or not identifier:
        return str(seeding.seed_file(service, seeding.FileSeed(content=ROWS))["id"])
    if identifier not in service.account.files:
        seeding.seed_file(service, seeding.FileSeed.parse({"id": identifier, "content": ROWS}))
    return identifier


def _drive_to(service: Service, identifier: str, status: str) -> bool:
    """Take a job to *status*; return False where it cannot get there, or the fake knows no such status."""
    if status not in steering.STATUSES:
        return False
    try:
        now = jobs.snapshot_of(service, identifier)["status"]
        if now == status:
            return True
        if now == "paused":
            jobs.resume(service, identifier)
        if status == "cancelled":
            jobs.cancel(service, identifier)
        elif status == "paused":
            steering.advance_to(service, "running", identifier)
            jobs.pause(service, identifier)
        else:
            if status in ("failed", "succeeded"):
                with suppress(FakeUsageError):  # past its training, it ends as it does
                    steering.set_job_plan(service, identifier, {"outcome": status})
            steering.advance_to(service, status, identifier)
    except (ApiError, FakeUsageError):
        pass  # what could be done on the way stays done
    return bool(jobs.snapshot_of(service, identifier)["status"] == status)


def _object(values: Json, operation: Operation, request: ApiRequest) -> Json:
    """Return another object: the fake's own answer with the scripted members, or only these where the fake refuses."""
    try:
        if operation.name == "upload_file" and isinstance(values.get("id"), str):
            part = request.form.parts.get("file") if request.form else None
            if request.form and part:  # the file gets this id, unless the fake would refuse it
                file = files.NewFile(part.content, part.filename or "upload", request.form.text("purpose"))
                files.check_new_file(file, request.service.account.dialect)
                from ..control import seeding

                seeding.reserve_next_id(request.service, "file", values["id"])
        answer = operation.run(request)
    except ApiError:
        answer = {}
    if not isinstance(answer, dict):
        raise FakeUsageError(f"{operation.name} cannot be scripted with a dict: {values!r}")
    if isinstance(answer.get("id"), str) and operation.name in _MAKING:
        request.scripts.overrides[answer["id"]] = _lasting_overrides(values, answer)
    return {**answer, **values}


def _lasting_overrides(values: Json, answer: Json) -> Json:
    """Return the members that later answers must have, too: those that differ from the fake's own, and are not null.

    A whole job as it stood at some time has members that the fake goes on from, or is yet to fill.
    """
    return {name: value for name, value in values.items() if value is not None and value != answer.get(name)}


def _with_overrides(answer: Any, request: ApiRequest) -> Any:
    """Return the fake's *answer*, an object or a list, with the members that scripts have set in its objects."""
    if not isinstance(answer, dict):
        return answer
    if isinstance(answer.get("data"), list):
        return {**answer, "data": [_with_overrides(item, request) for item in answer["data"]]}
    members = request.scripts.overrides.get(str(answer.get("id")))
    return {**answer, **members} if members else answer
