"""A scripted job, acted out by the twin: it is put into the account, and goes where it is said to be.

So that what comes later agrees: a job that was created "succeeded" can be retrieved, has events and a model, and is
not to be cancelled any more.
"""

from __future__ import annotations

from typing import Any

from ...account.service import Service
from ...api import files, job_creation, jobs
from ...api.request_models import CreateJobBody, parse, parse_json
from ...api_errors import ApiError
from ...control import seeding, seeds, steering
from ...domain import ids
from ...usage_errors import FakeUsageError
from .. import dialect_adapter
from ..operation import Operation
from ..request import ApiRequest

ROW = '{"messages":[{"role":"user","content":"Say %d."},{"role":"assistant","content":"%d"}]}'
ROWS = "\n".join(ROW % (number, number) for number in range(10)) + "\n"
"""What is in a training file that only a script has spoken of: the fewest rows a job can be trained with."""

_FAILS, _SUCCEEDS = {"outcome": "failed"}, {"outcome": "succeeded"}


def ensure_file(service: Service, identifier: Any) -> str:
    """Have a training file of this id in the account; give its id, that of a new one where *identifier* is none."""
    if not isinstance(identifier, str) or not identifier:
        return str(seeding.seed_file(service, seeds.FileSeed(content=ROWS))["id"])
    if identifier not in service.account.files:
        seeding.seed_file(service, seeds.FileSeed.parse({"id": identifier, "content": ROWS}))
    return identifier


def create_scripted_job(operation: Operation, call: ApiRequest, identifier: Any) -> str | None:
    """Let the twin create the job that is asked for, under this id if it is one; None where it would refuse."""
    service = call.service
    try:
        sent = parse_json(call.body)
        dialect_adapter.take_own_members(service.account.dialect, sent)
        body = parse(CreateJobBody, sent)
        for file in (body.training_file, body.validation_file):
            if file is not None:
                ensure_file(service, file)
        job_creation.prepare_job(service.account, service.clock.now(), body)
    except ApiError:
        return None
    if isinstance(identifier, str):
        seeding.reserve_next_id(service, "job", identifier)
    return str(operation.run(call)["id"])


def name_upload(call: ApiRequest, identifier: str) -> None:
    """Give the file of an upload this id, unless the twin would refuse it.

    Raises:
        ApiError: it would.
    """
    part = call.form.parts.get("file") if call.form else None
    if call.form and part:
        files.check_new_file(files.NewFile(part.content, part.filename or "upload", call.form.text("purpose")))
        seeding.reserve_next_id(call.service, "file", identifier)


def ensure_job(service: Service, identifier: str | None, said: dict[str, Any]) -> str:
    """Have a job of this id in the account, made of what is *said* of it as far as the twin can take it; its id."""
    if identifier is not None and identifier in service.account.jobs:
        return identifier
    training_file = ensure_file(service, said.get("training_file"))
    seed: dict[str, Any] = {"training_file": training_file, "status": "validating_files"}
    given = {name: said[name] for name in ("metadata", "suffix", "seed") if said.get(name) is not None}
    if identifier is not None:
        seed["id"] = identifier
    for wanted in ({**given, "model": said.get("model")}, {"metadata": given.get("metadata")}, {}):
        try:
            return str(seeding.seed_job(service, seeds.JobSeed.parse({**seed, **wanted}))["id"])
        except (ApiError, FakeUsageError):
            continue  # a test may say what the service would refuse: then the answer says it, and the twin does not
    raise FakeUsageError(f"a job cannot be scripted as {identifier!r}: that is no id a path can hold")


def drive_to(service: Service, identifier: str, status: str) -> bool:
    """Take a job to *status*; False where it cannot get there, or the twin knows no such status."""
    if status not in steering.STATUSES:
        return False
    try:
        _bring(service, identifier, status)
    except (ApiError, FakeUsageError):
        pass  # what could be done on the way stays done
    return bool(jobs.snapshot_of(service, identifier)["status"] == status)


def _bring(service: Service, identifier: str, status: str) -> None:
    now = jobs.snapshot_of(service, identifier)["status"]
    if now == status:
        return
    if now == "paused":
        jobs.resume(service, identifier)
    if status == "cancelled":
        jobs.cancel(service, identifier)
    elif status == "paused":
        steering.advance_to(service, "running", identifier)
        jobs.pause(service, identifier)
    else:
        if status in ("failed", "succeeded"):
            _plan(service, identifier, _FAILS if status == "failed" else _SUCCEEDS)
        steering.advance_to(service, status, identifier)


def _plan(service: Service, identifier: str, changes: dict[str, str]) -> None:
    """Let the job end so; one that is past its training ends as it does."""
    try:
        steering.set_job_plan(service, identifier, changes)
    except FakeUsageError:
        pass


def scripted_event(service: Service, ordinal: int, said: dict[str, Any]) -> dict[str, Any]:
    """An event of which only something is said, in full."""
    return {
        "object": "fine_tuning.job.event",
        "id": ids.derived_id("event", service.settings.seed, "scripted", ordinal),
        "created_at": int(service.clock.now()),
        "level": "info",
        "message": "",
        "data": {},
        "type": "message",
        **said,
    }
