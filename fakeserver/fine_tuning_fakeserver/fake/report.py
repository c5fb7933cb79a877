"""What happened in an account, as a text for people: its clock, jobs, requests, faults, and how to see it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter

from fine_tuning_formats.text import printable

from ..api import response_objects
from ..clock import Pace
from ..domain.jobs import Job
from ..web.fault_injector import ArmedFault, ArmedFaults
from ..web.recorded_calls import numbered, recorded_call, redacted
from ..web.request_log import LogEntry
from ..web.response import is_usage_error
from ..web.scripting.player import ScriptStack
from .base import FakeBase
from .call_matching import last_n_of
from .reproduction import again
from .snapshot import AccountSnapshot

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
    """Tells people what happened."""

    _faults: ArmedFaults
    _scripts: ScriptStack
    _taken: int
    """Up to which request `take_usage_errors` has looked."""

    def describe(self) -> str:
        """What happened so far, in lines: clock, the newest jobs with their course, the newest requests, faults.

        And the last request that failed, or else the last that changed something, as command lines to be tried on
        ``fake-fine-tuning serve``. No keys are in it. The text is for people and changes between versions.
        """
        service = self._service
        with service.lock:
            now, jobs = service.clock.now(), list(service.account.jobs.values())
            faults = self._faults.all(now)
            pace, settings = service.account.pace, service.settings
            files = dict(service.account.files)
        is_scripted = bool(self._scripts or self._scripts.ended)
        text = render_report(
            AccountSnapshot(
                settings, service.created_at, now, pace, jobs, self.requests_log.find(), faults, files, is_scripted
            )
        )
        notes = self.requests_log.notes
        return "\n".join(
            [text, *(["refused, and no answer tells it:"] if notes else []), *(f"  {note}" for note in notes)]
        )

    def take_usage_errors(self) -> list[str]:
        """What clients were told with ``fake_error`` since this was asked last: no service would refuse so.

        Among them are magic metadata that makes no plan, a scripted answer that fits no operation, and a path outside
        of ``/v1`` or of a part of the API that the fake has not; also where a fault has kept the answer from the
        client. Under the fixture `fake_fine_tuning` they are joined by requests that the guard refused. Code under test
        may have taken them for errors of the API, or swallowed them, so there a test fails at its end unless it has
        taken them.
        """
        log = self.requests_log.find()
        texts = [f"request {number}: {text}" for number, text in usage_errors_in(log) if number > self._taken]
        self._taken = log[-1].number if log else self._taken
        return [*texts, *self.requests_log.take_notes()]
