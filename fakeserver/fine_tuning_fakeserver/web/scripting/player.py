"""The scripts of an account, the innermost first, and how what they say is answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...api import jobs
from ...api.schemas.job_schemas import JOB
from ...api_errors import ApiError
from ...usage_errors import FakeUsageError
from ..operation import Operation, id_name
from ..request import ApiRequest
from ..request_log import form_fields
from ..request_options import request_options
from ..response import Response
from . import acting
from .exceptions import ConnectionFailure
from .items import FileItem, Json, ObjectItem, PageItem, ScriptItem, StatusItem
from .script import Script, UnexpectedCallError


class ScriptStack:
    """A stack of scripts, and what they have said of things that later answers must say, too."""

    def __init__(self) -> None:
        self.clear()

    def __bool__(self) -> bool:
        return bool(self.stack or self._overrides)

    def clear(self) -> None:
        """Forget all."""
        self.stack: list[Script] = []
        self.ended: list[Script] = []
        """Scripts that are over, for what is left of them."""
        self._overrides: dict[str, Json] = {}
        self._events = 0

    def end(self, script: Script) -> None:
        """End *script*, and those that are inside of it; nothing if it is over already."""
        if script in self.stack:
            place = self.stack.index(script)
            self.ended += self.stack[place:]
            del self.stack[place:]

    def respond(self, operation: Operation, call: ApiRequest) -> Any:
        """What the innermost script says that has an answer, or else the twin; a `BrokenOff` for a lost connection.

        Raises:
            ApiError: a refusal is scripted, or it is the twin's own.
            FakeUsageError: the next answer is none to this, or a script is strict, and none has an answer left.
        """
        said = self._next(operation.name, call)
        if said is None:
            return self._with_overrides(operation.run(call))
        if isinstance(said, ApiError):
            raise said
        if isinstance(said, ConnectionFailure):
            return said
        if isinstance(said, FileItem):
            return Response(200, [(b"content-length", b"%d" % len(said.body))], said.body)
        return self._respond_from(said, operation, call)

    def _next(self, operation: str, call: ApiRequest) -> ScriptItem:
        for script in reversed(self.stack):
            if script.has_answer(operation):
                ids = {id_name(name): value for name, value in call.path.items()}
                return script.next(operation, ids, _options(call))
        if any(script.strict for script in self.stack):
            raise UnexpectedCallError(f"{operation} was called, and the strict script has no answer left for it")
        return None

    def _respond_from(self, said: ScriptItem, operation: Operation, call: ApiRequest) -> Any:
        if isinstance(said, PageItem):
            there = iter([job["id"] for job in jobs.snapshot(call.service)] if operation.name == "list_jobs" else [])
            data = [self._item(each, operation, call, there) for each in said.items]
            return {"object": "list", "data": data, "has_more": False, **said.page}
        if isinstance(said, StatusItem) or operation.response is JOB:
            return self._job(said, operation, call, call.path.get("job_id"))
        assert isinstance(said, ObjectItem)
        return self._thing(said.values, operation, call)

    def _item(self, said: ScriptItem, operation: Operation, call: ApiRequest, there: Iterator[str]) -> Json:
        """An item of a list; jobs without an id are those that are *there*, newest first, and then new ones."""
        if operation.name == "list_jobs":
            return self._job(said, operation, call, _id_of(said) or next(there, None))
        assert isinstance(said, ObjectItem)
        if operation.name == "list_job_events":
            self._events += 1
            return acting.scripted_event(call.service, self._events, said.values)
        return said.values

    def _job(self, said: ScriptItem, operation: Operation, call: ApiRequest, identifier: str | None) -> Json:
        """A job as it is said to be; the twin has it so, too, as far as it can."""
        values = {"status": said.status} if isinstance(said, StatusItem) else dict(getattr(said, "values", {}))
        status = values.pop("status", _AFTER.get(operation.name))
        identifier = self._found(values, operation, call, identifier)
        reached = status is None or acting.drive_to(call.service, identifier, str(status))
        shown = jobs.snapshot_of(call.service, identifier)
        self._overrides[identifier] = {**self._overrides.get(identifier, {}), **_lasting_overrides(values, shown)}
        # a status that the twin cannot have is said once: a loop that waits for another must come to its end
        return {**shown, **self._overrides[identifier], **values, **({} if reached else {"status": status})}

    def _found(self, values: Json, operation: Operation, call: ApiRequest, identifier: str | None) -> str:
        """The id of the job in the account that *values* tell of; it is put there if there is none."""
        identifier = identifier or values.get("id")
        if not isinstance(identifier, str | None):
            raise FakeUsageError(f"a job's id is {identifier!r}: a text is wanted")
        creating, service = operation.name == "create_job", call.service
        if creating and identifier not in service.account.jobs:
            if made := acting.create_scripted_job(operation, call, identifier):
                return made
            asked = {name: value for name, value in _options(call).items() if value is not None}
            values |= {name: asked[name] for name in ("model", "training_file") if name in asked and name not in values}
        return acting.ensure_job(service, identifier, values)

    def _thing(self, values: Json, operation: Operation, call: ApiRequest) -> Json:
        """Another object: the twin's own answer with what is said of it, or only that where the twin refuses."""
        try:
            if operation.name == "upload_file" and isinstance(values.get("id"), str):
                acting.name_upload(call, values["id"])
            answer = operation.run(call)
        except ApiError:
            answer = {}
        if not isinstance(answer, dict):
            raise FakeUsageError(f"{operation.name} cannot be scripted with a dict: {values!r}")
        if isinstance(answer.get("id"), str) and operation.name in _MAKING:
            self._overrides[answer["id"]] = _lasting_overrides(values, answer)
        return {**answer, **values}

    def _with_overrides(self, answer: Any) -> Any:
        """The twin's *answer*, with what scripts have said of the things in it."""
        if not self._overrides or not isinstance(answer, dict):
            return answer
        if isinstance(answer.get("data"), list):
            return {**answer, "data": [self._override(each) for each in answer["data"]]}
        return self._override(answer)

    def _override(self, thing: Any) -> Any:
        said = self._overrides.get(str(thing.get("id"))) if isinstance(thing, dict) else None
        return {**thing, **said} if said else thing


_MAKING = ("upload_file", "retrieve_file")
_AFTER = {"cancel_job": "cancelled", "pause_job": "paused", "resume_job": "queued"}
"""Where an operation takes a job that is scripted without a status."""


def _lasting_overrides(values: Json, shown: Json) -> Json:
    """What of *values* later answers must say, too: what the twin would not say by itself, and is there at all.

    A whole job as it stood at a time has members that the twin goes on from, or is yet to fill.
    """
    return {name: value for name, value in values.items() if value is not None and value != shown.get(name)}


def _id_of(said: ScriptItem) -> str | None:
    return said.values.get("id") if isinstance(said, ObjectItem) else None


def _options(call: ApiRequest) -> Json:
    """What is asked for; a body that cannot be read says nothing, and the twin says what is wrong with it."""
    query: str = call.scope["query_string"].decode("latin-1")
    return request_options(query, call.body, form_fields(call.form))
