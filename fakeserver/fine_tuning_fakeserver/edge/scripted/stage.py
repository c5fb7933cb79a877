"""The scripts of an account, the innermost first, and how what they say is answered."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson

from ...domain.usage import FakeUsageError
from ...errors import ApiError
from ...verbs import jobs, seeding
from ..answers import Answer
from ..calls import Call
from ..routes import Operation
from . import acting
from .items import Content, Json, Listed, Members, Said, Words
from .queues import Script
from .refusals import as_cause

_STEERING = ("cancel_job", "pause_job", "resume_job")


class Scripts:
    """A stack of scripts, and what they have said of things that later answers must say, too."""

    def __init__(self) -> None:
        self.clear()

    def __bool__(self) -> bool:
        return bool(self.stack or self._said)

    def clear(self) -> None:
        """Forget all."""
        self.stack: list[Script] = []
        self._said: dict[str, Json] = {}
        self._events = 0

    def ask(self, operation: Operation, call: Call) -> Any:
        """What the innermost script says, or else the twin; a `BrokenOff` where a lost connection is scripted.

        Raises:
            ApiError: a refusal is scripted, or it is the twin's own.
            FakeUsageError: the script has no answer, or an impossible one.
        """
        said = self.stack[-1].next(operation.name, call.path, _options(call)) if self.stack else None
        if said is None:
            return self._dressed(operation, operation.ask(call))
        if isinstance(said, BaseException):
            cause = as_cause(said)
            if isinstance(cause, ApiError):
                raise cause
            return cause
        if isinstance(said, Content):
            return Answer(200, [(b"content-length", b"%d" % len(said.body))], said.body)
        return self._played(said, operation, call)

    def _played(self, said: Said, operation: Operation, call: Call) -> Any:
        if isinstance(said, Listed):
            data = [self._item(each, operation, call) for each in said.items]
            return {"object": "list", "data": data, "has_more": False, **said.page}
        if isinstance(said, Words) or operation.name in _JOB_OPERATIONS:
            return self._job(said, operation, call, call.path.get("job_id"))
        assert isinstance(said, Members)
        return self._thing(said.values, operation, call)

    def _item(self, said: Said, operation: Operation, call: Call) -> Json:
        if operation.name == "list_jobs":
            return self._job(said, operation, call, None)
        assert isinstance(said, Members)
        if operation.name == "list_job_events":
            self._events += 1
            return acting.event(call.service, self._events, said.values)
        return said.values

    def _job(self, said: Said, operation: Operation, call: Call, identifier: str | None) -> Json:
        """A job as it is said to be; the twin has it so, too, as far as it can."""
        values = {"status": said.status} if isinstance(said, Words) else dict(getattr(said, "values", {}))
        status = values.pop("status", _AFTER.get(operation.name))
        identifier = self._found(values, operation, call, identifier)
        reached = status is None or acting.bring(call.service, identifier, str(status))
        shown = jobs.snapshot_of(call.service, identifier)
        lasting = {**self._said.get(identifier, {}), **values}
        lasting.pop("status", None)
        self._said[identifier] = lasting if reached else {**lasting, "status": status}
        return {**shown, **self._said[identifier]}

    def _found(self, values: Json, operation: Operation, call: Call, identifier: str | None) -> str:
        """The id of the job in the account that *values* tell of; it is put there if there is none."""
        identifier = identifier or values.get("id")
        creating, service = operation.name == "create_job", call.service
        if creating and identifier not in service.account.jobs:
            if made := acting.create(operation, call, identifier):
                return made
            asked = {name: value for name, value in _options(call).items() if value is not None}
            values |= {name: asked[name] for name in ("model", "training_file") if name in asked and name not in values}
        return acting.ensure_job(service, identifier, values)

    def _thing(self, values: Json, operation: Operation, call: Call) -> Json:
        """Another object: the twin's own answer with what is said of it, or only that where the twin refuses."""
        if operation.name == "upload_file" and isinstance(values.get("id"), str):
            seeding.name_next(call.service, "file", values["id"])
        try:
            answer = operation.ask(call)
        except ApiError:
            answer = {}
        if not isinstance(answer, dict):
            raise FakeUsageError(f"{operation.name} cannot be scripted with a dict: {values!r}")
        if isinstance(answer.get("id"), str) and operation.name in _MAKING:
            self._said[answer["id"]] = values
        return {**answer, **values}

    def _dressed(self, operation: Operation, answer: Any) -> Any:
        """The twin's *answer*, with what scripts have said of the things in it."""
        if not self._said or not isinstance(answer, dict):
            return answer
        if isinstance(answer.get("data"), list):
            return {**answer, "data": [self._with_said(each) for each in answer["data"]]}
        if operation.name in _STEERING:  # the twin has taken over: what was only said of its status is history
            self._said.get(str(answer.get("id")), {}).pop("status", None)
        return self._with_said(answer)

    def _with_said(self, thing: Any) -> Any:
        said = self._said.get(str(thing.get("id"))) if isinstance(thing, dict) else None
        return {**thing, **said} if said else thing


_JOB_OPERATIONS = ("create_job", "retrieve_job", *_STEERING)
_MAKING = ("upload_file", "retrieve_file")
_AFTER = {"cancel_job": "cancelled", "pause_job": "paused", "resume_job": "queued"}
"""Where an operation takes a job that is scripted without a status."""


def _options(call: Call) -> Json:
    """The members of the query and of the body, as far as they can be read."""
    options: Json = dict(parse_qsl(call.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    if call.form is not None:
        return {**options, **_form(call)}
    try:
        body = orjson.loads(call.body or b"{}")
    except orjson.JSONDecodeError:
        body = {}  # the twin says what is wrong with it
    return {**options, **body} if isinstance(body, dict) else options


def _form(call: Call) -> Json:
    assert call.form is not None
    file = call.form.parts.get("file")
    return {"purpose": call.form.text("purpose"), "filename": file.filename if file else None}
