"""What happened in an account, as a text for people: its clock, jobs, requests, faults, and how to see it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter

from fine_tuning_formats.text import printable

from ..account.armed_faults import ArmedFault
from ..account.recorded_calls import numbered, recorded_call, redacted
from ..account.request_log import LogEntry
from ..api import response_objects
from ..clock import Pace
from ..domain.job import Job
from ..web.response import is_usage_error
from .base import AccountSnapshot, FakeBase
from .call_matching import last_n_of
from .reproduction import again

JOBS_AT_MOST, EVENTS_AT_MOST, REQUESTS_AT_MOST = 5, 3, 20
REFUSALS_AT_MOST = 10

_YEAR_10000 = 253402300800.0
"""The first Unix second that no date can tell."""


def render_report(scene: AccountSnapshot) -> str:
    """The whole text, without keys that the log has, and without control characters."""
    lines = [
        *_clock(scene),
        *_jobs(scene),
        *_requests(scene),
        *_faults(scene.faults),
        *_refused(scene.exchanges),
        *again(scene),
    ]
    secrets = frozenset(secret for each in scene.exchanges for secret in recorded_call(each).secrets)
    return "\n".join(printable(redacted(line, secrets)) for line in lines)


def usage_errors_in(exchanges: Iterable[LogEntry]) -> list[tuple[int, str]]:
    """The requests that the fake refused on its own account, which no service would: number and text."""
    return [(each.number, text) for each in exchanges if each.status >= 400 and (text := _own_text(each))]


def _own_text(exchange: LogEntry) -> str:
    if not is_usage_error(exchange.answer):
        return ""
    call = recorded_call(exchange)
    whole = isinstance(call.answer, dict)
    text = str(call.answer["fake_error"]) if whole else exchange.answer.decode(errors="replace")
    return printable(redacted(text, call.secrets))


def _clock(scene: AccountSnapshot) -> list[str]:
    at = (
        f"{datetime.fromtimestamp(scene.now, UTC):%Y-%m-%d %H:%M:%S} UTC"
        if 0 <= scene.now < _YEAR_10000
        else "far away"
    )
    own = [f"pace {_pace(scene.pace)}", f"seed {scene.settings.seed}", f"dialect {scene.settings.dialect}"]
    return [f"clock: {at}, {scene.now - scene.born:.1f} s after the account began; {', '.join(own)}"]


def _pace(pace: Pace) -> str:
    return pace if isinstance(pace, str) else f"{pace:g}"


def _jobs(scene: AccountSnapshot) -> list[str]:
    if not scene.jobs:
        return ["jobs: none"]
    shown = scene.jobs[-JOBS_AT_MOST:]
    return [f"jobs{last_n_of(len(shown), len(scene.jobs))}:", *(line for job in shown for line in _job(job, scene))]


def _job(job: Job, scene: AccountSnapshot) -> list[str]:
    life = job.timeline()
    visible = life.event_count(scene.now)
    changes = [(at, f"status {status}") for at, status in life.milestones if at <= scene.now]
    told = (
        response_objects.event_object(job, life, ordinal)
        for ordinal in range(max(visible - EVENTS_AT_MOST, 0), visible)
    )
    events = [(float(event["created_at"]), f"event  {event['message']}") for event in told]
    return [
        f"  {job.id}, {job.model}, {job.training_file}: {life.status(scene.now)}",
        *(f"  {_offset(at, scene)}  {text}" for at, text in sorted([*changes, *events], key=itemgetter(0))),
    ]


def _offset(at: float, scene: AccountSnapshot) -> str:
    """A virtual time, counted from when the account began."""
    return f"{max(at - scene.born, 0):>+12.1f} s"


def _requests(scene: AccountSnapshot) -> list[str]:
    if not scene.exchanges:
        return ["requests: none"]
    shown = scene.exchanges[-REQUESTS_AT_MOST:]
    lines = (f"  {_offset(each.at, scene)}  {recorded_call(each)}" for each in shown)
    return [f"requests{last_n_of(len(shown), scene.exchanges[-1].number)}:", *lines]


def _faults(faults: Sequence[ArmedFault]) -> list[str]:
    return ["faults:", *(f"  {describe_fault(fault)}" for fault in faults)] if faults else []


def describe_fault(fault: ArmedFault) -> str:
    """A fault in one line: what it is for, and which requests it hit."""
    given = {name: value for name, value in fault.spec.as_json().items() if name != "kind" and value is not None}
    fields = ", ".join(f"{name}={value!r}" for name, value in given.items())
    came = f"hit {numbered(fault.requests)}" if fault.fired else "never fired"
    return printable(f"{fault.number}  {fault.kind}({fields}): {came}")


def _refused(exchanges: Sequence[LogEntry]) -> list[str]:
    found = usage_errors_in(exchanges)
    if not found:
        return []
    shown = found[-REFUSALS_AT_MOST:]
    lines = (f"  request {number}: {text}" for number, text in shown)
    return [f"refused by the fake itself{last_n_of(len(shown), len(found))}:", *lines]


class Report(FakeBase):
    """What happened, as text."""

    def describe(self) -> str:
        """Return what happened so far: clock, the newest jobs with their events, the newest requests, faults.

        And the last request that failed, or else the last that changed something, as command lines to be tried on
        ``fake-fine-tuning serve``. No keys are in it. The text is for people and changes between versions.
        """
        world = self._world
        service, requests, scripts = world.service, world.requests, world.scripts
        with service.lock:
            now = service.clock.now()
            snapshot = AccountSnapshot(
                settings=service.settings,
                born=service.created_at,
                now=now,
                pace=service.account.pace,
                jobs=list(service.account.jobs.values()),
                exchanges=requests.find(),
                faults=world.faults.all(now),
                files=dict(service.account.files),
                is_scripted=bool(scripts.scripts or scripts.overrides or scripts.ended),
            )
        notes = requests.notes
        head = ["refused, and no answer tells it:"] if notes else []
        return "\n".join([render_report(snapshot), *head, *(f"  {note}" for note in notes)])

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
