"""An account as a test: what it was given, and its requests again, each with the answer that it had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from fine_tuning_formats.secret_rules import redact_known, redact_text

from ..account import records
from ..account.blobs import Blob
from ..account.records import Record
from ..account.request_log import LogEntry, json_or_none, secrets_of
from ..account.world import World
from ..api.response_objects import job_object
from ..domain.dialects.dialect import to_dialect
from ..domain.job import NO_OVERRIDES, Job
from ..domain.plan import Plan
from ..domain.timeline import TERMINAL, Cancel, Pause, Replan, Resume
from ..domain.training_methods import METHODS
from ..settings import DEFAULT_SETTINGS
from ..usage_errors import FakeUsageError
from ..web.request import ApiRequest
from .account_history import AccountHistory, ControlStep
from .queries import parse_query

CONTENT_AT_MOST = 200_000
"""A larger file is replaced by its first row, as often as it has rows."""
ROW = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
ROWS = 10
LISTED_AT_MOST = 20
"""How many ids of a list a test compares."""

COPIED = (
    "organization",
    "organization_id",
    "owner",
    "project",
    "max_active_jobs",
    "base64_results",
    "dialect",
)
IN_PARTS = ("create_upload", "add_upload_part", "complete_upload", "cancel_upload")
INTERVENTIONS = {Pause: "pause_job", Resume: "resume_job", Cancel: "cancel_job"}

UNFIRED_MARK = '@pytest.mark.filterwarnings("ignore::pytest_fine_tuning.UnfiredFaultWarning")\n'
"""For an account that has faults which hit no request: here they hit none either."""

HEAD = '''\
"""An account of fake-fine-tuning as a test: the same requests, and the same answers."""

import httpx
import pytest

BORN = {born!r}
{constants}

{marks}@pytest.mark.fake_fine_tuning({settings})
def test_the_account_again(fake_fine_tuning):
    """Each request is answered as it was."""
    fake = fake_fine_tuning
    client = httpx.Client(transport=fake.transport(), base_url="http://fake", timeout=None, headers={headers!r})

    def at(seconds):
        """Move to so many virtual seconds after the account began."""
        fake.advance(max(0, BORN + seconds - fake.now))

'''


def get_test(request: ApiRequest) -> Any:
    """Return the account as the text of a test."""
    parse_query(request)
    return {"text": write_test(request.world)}


def write_test(world: World) -> str:
    """Return a test that makes the account's files, jobs and plans, and its requests, again; its lock is held.

    Raises:
        FakeUsageError: the account has had scripts, whose answers are not recorded.
    """
    if world.scripts.was_used:
        raise FakeUsageError("an account that has had scripts cannot become a test: what they answered is not recorded")
    history = AccountHistory(world)
    writer = _TestWriter(world, history)
    for step in history.steps():
        if isinstance(step, LogEntry):
            writer.write_request(step)
        else:
            writer.write_record(step)
    writer.write_end()
    return writer.text()


class _TestWriter:
    """Writes a test step by step.

    Args:
        world: the account; its lock is held.
        history: what has happened in it.
    """

    def __init__(self, world: World, history: AccountHistory) -> None:
        self.world, self.history = world, history
        self.settings, self.born = world.service.settings, world.service.created_at
        self.lines: list[str] = []
        self.constants: dict[str, str] = {}
        """By the expression of a file's content, its name."""
        self.now, self.plan = self.born, self.settings.plan
        self.has_usage_errors = False
        self.skipped: set[int] = set()
        """Records, by identity, that an earlier step has written as well."""

    def text(self) -> str:
        """Return the whole test."""
        head = HEAD.format(
            born=self.born,
            constants="".join(f"{name} = {expression}\n" for expression, name in self.constants.items()),
            marks=UNFIRED_MARK if self.world.faults.unfired(self.now) else "",
            settings=_keywords(self.mark()),
            headers=self.headers(),
        )
        lines = self.lines or ["assert not fake.requests"]
        if forgotten := self.world.requests.forgotten:
            lines = [f"# the first {forgotten} requests are not in the log any more", *lines]
        if self.has_usage_errors:
            lines = [*lines, "", "fake.take_usage_errors()  # some requests were refused by the fake itself"]
        return head + "".join(f"    {line}\n" if line else "\n" for line in lines)

    def mark(self) -> dict[str, Any]:
        """Return the settings with which the test's account begins."""
        own, default = self.settings, DEFAULT_SETTINGS
        chosen = {name: getattr(own, name) for name in COPIED if getattr(own, name) != getattr(default, name)}
        plan = {"plan": changes} if (changes := _changes(own.plan, Plan())) else {}
        begin = {"seed": own.seed, "start": self.born, "pace": "manual"}
        return {**begin, **chosen, **plan, "patience": None, "findings": "off"}

    def headers(self) -> dict[str, str]:
        """Return the headers of all requests: a key, as the dialect takes it."""
        own_headers = {dialect.http.key_header.decode(): "any" for dialect in self.world.account.spoken}
        return {"authorization": "Bearer any", **{name: key for name, key in own_headers.items() if name}}

    def move_to(self, at: float | None) -> None:
        """Write the step to a later time."""
        if at is not None and at > self.now:
            self.now = at
            seconds = at - self.born
            self.lines += ["", f"at({int(seconds) if seconds == int(seconds) else seconds!r})"]

    def call(self, verb: str, *args: Any, **keywords: Any) -> None:
        """Write a call of the handle's."""
        arguments = [*(each if isinstance(each, _Name) else repr(each) for each in args)]
        if keywords:
            arguments.append(_keywords(keywords))
        self.lines.append(f"fake.{verb}({', '.join(arguments)})")

    def content(self, blob: Blob) -> _Name:
        """Return the name of a file's content."""
        expression = _content_expression(_content_for_test(blob))
        return _Name(self.constants.setdefault(expression, f"FILE_{len(self.constants) + 1}"))

    def write_record(self, step: ControlStep) -> None:
        """Write what was done by control."""
        record = step.record
        if id(record) in self.skipped:
            return
        match record:
            case records.FileUploaded(file):
                self.write_file(file)
            case records.JobCreated(job):
                self.write_job(job, step.following)
            case records.JobIntervened(identifier, Replan(at, spec)):
                self.move_to(at)
                self.call("plan_job", identifier, **_changes(spec.plan, self.history.plan_before(record)))
            case records.JobIntervened(identifier, act) if type(act) in INTERVENTIONS:
                self.move_to(act.at)
                self.call(INTERVENTIONS[type(act)], identifier)
            case records.FileDeleted(identifier):
                self.call("delete_file", identifier)
            case records.FaultArmed(at, _, spec):
                self.move_to(at)
                self.call("arm", spec.as_json())
            case records.FaultsDisarmed(at):
                self.move_to(at)
                self.call("clear_faults")
            case records.DialectSet(at, dialect):
                self.move_to(at)
                self.lines.append(f"fake.dialect = {dialect.name!r}")
            case _:
                self.write_preparation(record)

    def write_preparation(self, record: Record) -> None:
        """Write what was prepared for requests to come."""
        match record:
            case records.PlanSet(plan, once) if once:
                self.call("plan_next", **_changes(plan, self.plan))
            case records.PlanSet(plan):
                self.plan = plan
                self.lines.append(f"fake.plan = {_changes(plan, Plan())!r}")
            case records.PlanRuleAdded(rule):
                self.call("plan_when", **rule.when.as_json(), **_changes(rule.plan, self.plan))
            case records.NextIdReserved(kind, identifier, seed):
                self.call("name_next", kind, identifier, *([] if seed is None else [seed]))
            case records.RepliesSet(replies):
                self.call("replies", *replies)
            case records.GraderScoresSet(scores):
                self.call("grader_scores", list(scores))
            case records.WebhookAdded(endpoint):
                self.move_to(endpoint.created_at)
                self.call("add_webhook", events=list(endpoint.events))
            case records.ClockAdvanced(to):
                self.move_to(to)
            case _:
                pass  # what follows from the rest

    def write_file(self, file: records.StoredFile) -> None:
        """Write a file that was put into the account."""
        keywords: dict[str, Any] = {"id": file.id, "filename": file.filename, "purpose": file.purpose}
        if int(file.created_at) != int(self.now):
            keywords["created_at"] = int(file.created_at)
        self.call("add_file", self.content(file.content), **keywords)

    def write_job(self, job: Job, following: Record | None) -> None:
        """Write a job that was put into the account."""
        status, created = self.seeded_state(job)
        if isinstance(following, records.JobIntervened) and following.id == job.id and following.act.at <= self.now:
            status = {Pause: "paused", Cancel: "cancelled"}.get(type(following.act), status)
            self.skipped.add(id(following))
        method, requested = METHODS[job.spec.method], job.requested
        chosen = {
            name: value for name in method.members if (value := getattr(requested, name)) not in ("auto", "default")
        }
        keywords: dict[str, Any] = {
            "id": job.id,
            "model": job.model,
            "status": status,
            "created_at": created,
            "validation_file": job.validation_file,
            "suffix": job.suffix,
            "seed": job.seed,
            "metadata": job.metadata and dict(job.metadata),
            "plan": _changes(job.spec.plan, Plan()) or None,
        }
        if method.is_top_level and job.spec.method == "supervised":
            keywords["hyperparameters"] = chosen or None
        else:
            objective = {"grader": dict(job.objective.grader)} if job.objective else {}
            keywords["method"] = {"type": method.name, method.name: {"hyperparameters": chosen, **objective}}
        keywords |= _override_keywords(job)
        self.call(
            "add_job", job.training_file, **{name: value for name, value in keywords.items() if value is not None}
        )

    def seeded_state(self, job: Job) -> tuple[str, int | None]:
        """Return the status that a job was put into the account with, and when it was created, if that is to be said.

        At a time with a fraction a job was put into a state that began just then: its creation follows from that.
        """
        if job.created_at == int(job.created_at):
            self.move_to(job.created_at)
            return job.timeline().status(self.now), int(job.created_at)
        timeline = job.timeline()
        began = [(timeline.end if status in TERMINAL else at, status) for at, status in timeline.milestones]
        at, status = next(((at, status) for at, status in began if at >= self.now), began[-1])
        self.move_to(at)
        return status, None

    def write_request(self, entry: LogEntry) -> None:
        """Write one request, and what it was answered."""
        if reason := self.reason_to_skip(entry):
            self.lines.append(f"# request {entry.number}, {entry.method} {_one_line(entry)}: {reason}")
            return
        at = self.history.accepted_at(entry)
        self.move_to((entry.begun_at if entry.fault else entry.at) if at is None else at)
        known = secrets_of([entry])
        target = redact_known(entry.raw_path.decode("latin-1") or entry.path, known)
        arguments = [
            repr(entry.method),
            repr(target + (f"?{entry.query}" if entry.query else "")),
            *self.body(entry, known),
        ]
        if not ({"authorization", "api-key"} & entry.headers.keys()):
            arguments.append('headers={"authorization": ""}')
        if entry.fault == "delay" and not entry.status:
            arguments.append("timeout=0.001")
        call = f"client.request({', '.join(arguments)})"
        if not entry.status:
            self.lines += ["with pytest.raises(httpx.TransportError):", f"    {call}"]
            return
        self.lines += [f"reply = {call}", f"assert reply.status_code == {entry.status}"]
        answer = json_or_none(entry.answer)
        if isinstance(answer, dict):
            self.has_usage_errors |= "fake_error" in answer
            self.lines += [_comparison(expression, value) for expression, value in _expected(answer)]

    def write_end(self) -> None:
        """Write how the newest jobs are now."""
        service = self.world.service
        newest, _ = service.account.job_shelf.page(None, LISTED_AT_MOST)
        if newest:
            account, now = service.account, service.clock.now()
            self.move_to(now)
            objects = (job_object(account.jobs[each], now, account.dialect) for each in newest)
            shown = [to_dialect(account.dialect, each) for each in objects]
            statuses = {each["id"]: each["status"] for each in shown}
            self.lines += ["", f"now = {{job['id']: job['status'] for job in fake.jobs[:{len(newest)}]}}"]
            self.lines.append(f"assert now == {statuses!r}")

    def reason_to_skip(self, entry: LogEntry) -> str | None:
        """Return why a request cannot be sent again; None if it can."""
        if entry.operation in IN_PARTS:
            return "the bytes of parts are not kept; its file is added when it is complete"
        if not entry.is_whole:
            return "its body is not kept whole"
        if entry.form is not None and self.history.uploaded(entry) is None:
            return "its file is not kept"
        if entry.status == 401 and "authorization" in entry.headers:
            return "the key that was refused is not kept"
        return None

    def body(self, entry: LogEntry, known: list[str]) -> list[str]:
        """Return the arguments that are the request's body."""
        if entry.form is not None and (uploaded := self.history.uploaded(entry)):
            fields = {name: value for name, value in entry.form.items() if name not in ("filename", "bytes")}
            filename = entry.form.get("filename", "upload")
            content = self.content(uploaded)
            return [f"data={fields!r}", f"files={{'file': ({filename!r}, {content})}}"]
        if not entry.body:
            return []
        text = redact_text(entry.body.decode(errors="replace"), known)
        value = json_or_none(text.encode())
        return [f"json={value!r}"] if value is not None else [f"content={text!r}"]


class _Name(str):
    """A name in the test, which is written without quotes."""


def _changes(plan: Plan, base: Plan) -> dict[str, Any]:
    """Return the fields of *plan* that differ from *base*; what follows from another field is left out."""
    own, other = plan.as_json(), base.as_json()
    changes = {name: value for name, value in own.items() if value != other[name]}
    if changes.get("outcome") == "failed" and {"fail_at", "error"} & changes.keys():
        del changes["outcome"]
    return changes


def _override_keywords(job: Job) -> dict[str, Any]:
    own = job.overrides
    if own == NO_OVERRIDES:
        return {}
    return {
        "fine_tuned_model": own.fine_tuned_model,
        "result_files": [own.result_file] if own.result_file else None,
        "trained_tokens": own.trained_tokens,
        "finished_at": own.finished_at,
    }


def _keywords(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _comparison(expression: str, value: Any) -> str:
    return f"assert {expression} is None" if value is None else f"assert {expression} == {value!r}"


def _content_expression(raw: bytes) -> str:
    """Return an expression of *raw*, with rows that repeat written once."""
    lines = raw.splitlines(keepends=True)
    counted = [(line, sum(1 for _ in same)) for line, same in groupby(lines)]
    parts = [f"{line!r} * {count}" if count > 1 else repr(line) for line, count in counted]
    if len(parts) == 1:
        return parts[0]
    return "(\n    " + "\n    + ".join(parts) + "\n)" if parts else "b''"


def _content_for_test(blob: Blob) -> bytes:
    """Return the bytes of a file, or where they are too many or were dropped what makes as good a training file."""
    if blob.is_dropped:
        return ROW * ROWS
    if blob.size <= CONTENT_AT_MOST:
        return blob.read()
    first = next(iter(blob.lines(CONTENT_AT_MOST)), b"")
    return (first + b"\n") * (blob.size // (len(first) + 1))


def _one_line(entry: LogEntry) -> str:
    return repr(entry.path)[1:-1]


def _expected(answer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the expressions of an answer that a test compares, with their values."""
    error = answer.get("error")
    if isinstance(error, dict) and "message" in error and "object" not in answer:
        for name in ("code", "message"):
            yield f'reply.json()["error"]["{name}"]', error.get(name)
        return
    for name in ("id", "status", "fine_tuned_model", "deleted"):
        if answer.get(name) is not None:
            yield f'reply.json()["{name}"]', answer[name]
    data = answer.get("data")
    if isinstance(data, list) and all(isinstance(each, dict) and "id" in each for each in data):
        if len(data) <= LISTED_AT_MOST:
            yield '[each["id"] for each in reply.json()["data"]]', [each["id"] for each in data]
        else:
            yield 'len(reply.json()["data"])', len(data)
