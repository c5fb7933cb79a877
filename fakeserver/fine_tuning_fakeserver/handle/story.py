"""What happened in an account, as a text for people: its clock, jobs, requests, faults, and how to see it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

from ..calls import call_of
from ..clock import Pace
from ..domain import progress
from ..domain.dialect import RECORDED
from ..domain.job import Job
from ..edge.faults import Fault
from ..edge.requests_log import Exchange
from ..settings import Settings

JOBS_AT_MOST, EVENTS_AT_MOST, REQUESTS_AT_MOST = 5, 3, 20
BODY_AT_MOST = 1000
"""How many characters of a body a command line is given."""

_YEAR_10000 = 253402300800.0
"""The first Unix second that no date can tell."""

_KEYS = {"authorization": "Authorization: Bearer any", "api-key": "api-key: any"}

ADDRESS = "http://127.0.0.1:4355"


@dataclass(frozen=True, slots=True)
class Scene:
    """An account at one moment, with what it was asked.

    Args:
        settings: what it was born with.
        born: when, in virtual Unix seconds.
        now: virtual Unix seconds.
        pace: how time passes.
        jobs: oldest first.
        exchanges: the requests log, newest last.
        faults: oldest first.
    """

    settings: Settings
    born: float
    now: float
    pace: Pace
    jobs: Sequence[Job]
    exchanges: Sequence[Exchange]
    faults: Sequence[Fault]


def story(scene: Scene) -> str:
    """The whole text. There are no keys in it: the log has none."""
    lines = [
        *_clock(scene),
        *_jobs(scene),
        *_requests(scene),
        *_faults(scene.faults),
        *_refused(scene.exchanges),
        *_again(scene),
    ]
    return "\n".join(lines)


def refusals(exchanges: Iterable[Exchange]) -> list[tuple[int, str]]:
    """The requests that the fake refused on its own account, which no service would: number and text."""
    return [(each.number, text) for each in exchanges if each.status >= 400 and (text := _own_text(each))]


def _own_text(exchange: Exchange) -> str:
    if b'"fake_error"' not in exchange.answer[:32]:
        return ""
    answer = call_of(exchange).answer
    return str(answer["fake_error"]) if isinstance(answer, dict) else exchange.answer.decode(errors="replace")


def _clock(scene: Scene) -> list[str]:
    at = (
        f"{datetime.fromtimestamp(scene.now, UTC):%Y-%m-%d %H:%M:%S} UTC"
        if 0 <= scene.now < _YEAR_10000
        else "far away"
    )
    own = [f"pace {_pace(scene.pace)}", f"seed {scene.settings.seed}", f"dialect {scene.settings.dialect}"]
    return [f"clock: {at}, {scene.now - scene.born:.1f} s after the account began; {', '.join(own)}"]


def _pace(pace: Pace) -> str:
    return pace if isinstance(pace, str) else f"{pace:g}"


def _jobs(scene: Scene) -> list[str]:
    if not scene.jobs:
        return ["jobs: none"]
    shown = scene.jobs[-JOBS_AT_MOST:]
    return [f"jobs{_of_all(shown, scene.jobs)}:", *(line for job in shown for line in _job(job, scene))]


def _job(job: Job, scene: Scene) -> list[str]:
    life = job.life()
    visible = life.events(scene.now)
    changes = [(at, f"status {status}") for at, status in life.milestones if at <= scene.now]
    told = (progress.event(job, life, ordinal) for ordinal in range(max(visible - EVENTS_AT_MOST, 0), visible))
    events = [(float(event["created_at"]), f"event  {event['message']}") for event in told]
    return [
        f"  {job.id}, {job.model}, {job.training_file}: {life.status(scene.now)}",
        *(f"  {_offset(at, scene)}  {text}" for at, text in sorted([*changes, *events], key=itemgetter(0))),
    ]


def _offset(at: float, scene: Scene) -> str:
    """A virtual time, counted from when the account began."""
    return f"{max(at - scene.born, 0):>+12.1f} s"


def _requests(scene: Scene) -> list[str]:
    if not scene.exchanges:
        return ["requests: none"]
    shown = scene.exchanges[-REQUESTS_AT_MOST:]
    lines = (f"  {_offset(each.at, scene)}  {call_of(each)}" for each in shown)
    return [f"requests{_of_all(shown, range(scene.exchanges[-1].number))}:", *lines]


def _of_all(shown: Sequence[object], everything: Sequence[object]) -> str:
    return f", the last {len(shown)} of {len(everything)}" if len(shown) < len(everything) else ""


def _faults(faults: Sequence[Fault]) -> list[str]:
    return ["faults:", *(f"  {describe_fault(fault)}" for fault in faults)] if faults else []


def describe_fault(fault: Fault) -> str:
    """A fault in one line: what it is for, and which requests it hit."""
    given = {name: value for name, value in fault.spec.as_json().items() if name != "kind" and value is not None}
    fields = ", ".join(f"{name}={value!r}" for name, value in given.items())
    came = f"hit request {', '.join(map(str, fault.requests))}" if fault.fired else "never fired"
    return f"{fault.number}  {fault.kind}({fields}): {came}"


def _refused(exchanges: Sequence[Exchange]) -> list[str]:
    found = refusals(exchanges)
    return ["refused by the fake itself:", *(f"  request {number}: {text}" for number, text in found)] if found else []


def _again(scene: Scene) -> list[str]:
    """The last request that failed as a command line, for a server that begins as this account did."""
    failed = [each for each in scene.exchanges if not 0 < each.status < 400]
    if not failed:
        return []
    last = next((each for each in reversed(failed) if each.fault is None), failed[-1])  # others would not fail again
    serve = ["fake-fine-tuning", "serve", "--pace", _pace(scene.settings.pace), "--seed", str(scene.settings.seed)]
    if scene.settings.dialect != RECORDED.name:
        serve += ["--dialect", scene.settings.dialect]
    return [f"request {last.number} again, in another terminal than `{shlex.join(serve)}`:", f"  {curl(last)}"]


def curl(exchange: Exchange) -> str:
    """The request as a command line, without its key; a file it brought, or a long body, has to be put back."""
    address = f"{ADDRESS}{exchange.path}" + (f"?{exchange.query}" if exchange.query else "")
    key = [word for name in _KEYS if name in exchange.headers for word in ("-H", _KEYS[name])]
    return shlex.join(["curl", "-sS", "-X", exchange.method, address, *key, *_body(exchange)])


def _body(exchange: Exchange) -> list[str]:
    if exchange.form is not None:
        texts = {name: value for name, value in exchange.form.items() if name not in ("filename", "bytes")}
        file = {"file": f"@{exchange.form['filename']}"} if "filename" in exchange.form else {}
        return [word for name, value in {**texts, **file}.items() for word in ("-F", f"{name}={value}")]
    if not exchange.body:
        return []
    text = exchange.body.decode(errors="replace")
    return ["-H", "Content-Type: application/json", "-d", text if len(text) <= BODY_AT_MOST else "@body.json"]
