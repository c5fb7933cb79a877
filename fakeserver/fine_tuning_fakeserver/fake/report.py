"""The description of an account as text: clock, jobs, requests, faults."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from operator import itemgetter

from fine_tuning_formats.secret_rules import redact_text
from fine_tuning_formats.text import printable

from ..account.armed_faults import ArmedFault
from ..account.recorded_calls import numbered, recorded_call
from ..account.request_log import LogEntry, json_or_none, secrets_of
from ..account.world import AccountSnapshot, World
from ..api import response_objects
from ..domain.job import Job
from ..web.response import is_usage_error
from .assertions import last_n_of

JOBS_AT_MOST, EVENTS_AT_MOST, REQUESTS_AT_MOST = 5, 3, 20
REFUSALS_AT_MOST = 10

_YEAR_10000 = 253402300800.0
"""The first Unix second that `datetime` cannot show."""


def render_report(snapshot: AccountSnapshot) -> str:
    """Return the report, without keys that are in the log, and without control characters."""

    entries, jobs, settings = snapshot.requests, snapshot.jobs, snapshot.settings
    newest_jobs, newest_entries = jobs[-JOBS_AT_MOST:], entries[-REQUESTS_AT_MOST:]
    errors = usage_errors_in(entries)
    newest_errors = errors[-REFUSALS_AT_MOST:]
    is_date = 0 <= snapshot.now < _YEAR_10000
    at = f"{datetime.fromtimestamp(snapshot.now, UTC):%Y-%m-%d %H:%M:%S} UTC" if is_date else "far away"
    pace = snapshot.pace if isinstance(snapshot.pace, str) else f"{snapshot.pace:g}"
    lines = [
        f"clock: {at}, {snapshot.now - snapshot.born:.1f} s after the account began; "
        f"pace {pace}, seed {settings.seed}, dialect {snapshot.dialect}",
        f"jobs{last_n_of(len(newest_jobs), len(jobs))}:" if jobs else "jobs: none",
        *(line for job in newest_jobs for line in _job_lines(job, snapshot)),
        f"requests{last_n_of(len(newest_entries), entries[-1].number)}:" if entries else "requests: none",
        *(f"  {_offset(entry.at, snapshot)}  {recorded_call(entry)}" for entry in newest_entries),
        *(["faults:"] if snapshot.faults else []),
        *(f"  {describe_fault(fault)}" for fault in snapshot.faults),
        *([f"refused by the fake itself{last_n_of(len(newest_errors), len(errors))}:"] if errors else []),
        *(f"  request {number}: {text}" for number, text in newest_errors),
    ]
    known = secrets_of(entries)
    return "\n".join(printable(redact_text(line, known)) for line in lines)


def _job_lines(job: Job, snapshot: AccountSnapshot) -> list[str]:
    life = job.timeline()
    visible = life.event_count(snapshot.now)
    changes = [(at, f"status {status}") for at, status in life.milestones if at <= snapshot.now]
    newest_events = (
        response_objects.event_object(job, life, ordinal)
        for ordinal in range(max(visible - EVENTS_AT_MOST, 0), visible)
    )
    events = [(float(event["created_at"]), f"event  {event['message']}") for event in newest_events]
    return [
        f"  {job.id}, {job.model}, {job.training_file}: {life.status(snapshot.now)}",
        *(f"  {_offset(at, snapshot)}  {text}" for at, text in sorted([*changes, *events], key=itemgetter(0))),
    ]


def _offset(at: float, snapshot: AccountSnapshot) -> str:
    """Return a virtual time, counted from when the account began."""
    return f"{max(at - snapshot.born, 0):>+12.1f} s"


def usage_errors_in(entries: Iterable[LogEntry]) -> list[tuple[int, str]]:
    """Return the usage errors that requests were answered with, which no service would: number and text."""
    errors = []
    for entry in entries:
        if entry.status >= 400 and is_usage_error(entry.answer):
            answer = json_or_none(entry.answer)
            text = str(answer["fake_error"]) if isinstance(answer, dict) else entry.answer.decode(errors="replace")
            errors.append((entry.number, printable(entry.redact(text))))
    return errors


def describe_fault(fault: ArmedFault) -> str:
    """Return a fault in one line: its fields, and which requests it hit."""
    members = {name: value for name, value in fault.spec.as_json().items() if name != "kind" and value is not None}
    fields = ", ".join(f"{name}={value!r}" for name, value in members.items())
    hits = f"hit {numbered(fault.requests)}" if fault.fired else "never fired"
    return printable(f"{fault.number}  {fault.kind}({fields}): {hits}")


class Report:
    """What happened, as text."""

    _world: World

    def describe(self) -> str:
        """Return what happened so far: clock, the newest jobs with their events, the newest requests, faults.

        No keys are in it. The text is for people and changes between versions. To try what comes next, `save` the
        account and open it: ``fake-fine-tuning serve --load FILE``.
        """
        notes = self._world.requests.notes
        head = ["refused, and no answer tells it:"] if notes else []
        return "\n".join([render_report(self._world.snapshot()), *head, *(f"  {note}" for note in notes)])

    def take_usage_errors(self) -> list[str]:
        """Return the answers with ``fake_error`` since the last call: no service would refuse so.

        Among them are unknown control keys in metadata, a scripted answer that does not fit the operation, and a path
        that is not under ``/v1`` or of a part of the API that the fake does not have; also where a fault has kept the
        answer from the client. Under the fixture `fake_fine_tuning` the requests that the network guard refused are
        added. Code under test may have taken them for errors of the API, or swallowed them, so under the fixture a test
        fails at its end unless it has taken them.
        """
        requests = self._world.requests
        entries, read_to = requests.find(), requests.errors_read_to
        errors = [f"request {number}: {text}" for number, text in usage_errors_in(entries) if number > read_to]
        if entries:
            requests.errors_read_to = entries[-1].number
        return [*errors, *requests.take_notes()]
