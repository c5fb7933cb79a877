"""Strategies and shorthands that the tests of the fake share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, Plan
from fine_tuning_fakeserver.account.records import ASIDES
from fine_tuning_fakeserver.domain.job_spec import Dataset, JobFile, JobSpec, build_job_spec
from fine_tuning_fakeserver.domain.plan import FAILURES, JobError
from fine_tuning_fakeserver.domain.timeline import (
    Cancel,
    FileLost,
    Intervention,
    Pause,
    Replan,
    Resume,
    Timeline,
    build_segments,
)
from fine_tuning_fakeserver.domain.training_methods import GraderRef, Hyperparameters, TrainingRequest
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from fine_tuning_formats.row_rules import CHAT, PREFERENCE
from openapi_checks import check

BORN = 1_700_000_000.0
ROW = {"messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Go away."}]}
ROWS = (json.dumps(ROW) + "\n") * 10
KEY = (b"authorization", b"Bearer any")


def example_count(quick: int, long: int = 1000) -> int:
    """Return how many examples a property tries: *quick*, and *long* in ``scripts/test long``."""
    return long if settings.get_current_profile_name() == "long" else quick


in_long_runs = pytest.mark.skipif(example_count(0, 1) == 0, reason="takes a second; in scripts/test long")
"""A test, or a case of one, of which a short run has another that is like it."""

lengths = st.floats(0, 1000, allow_nan=False) | st.integers(0, 60).map(float)


@st.composite
def plans(draw: st.DrawFn, may_fail: bool = True) -> Plan:
    """Any plan, or any plan that succeeds."""
    names = ("validating", "queued", "starting", "seconds_per_step", "finishing")
    fields: dict[str, Any] = {name: draw(lengths) for name in names}
    fields["curve"] = draw(st.sampled_from(["healthy", "overfit", "diverge", "plateau", "nan"]))
    ending = draw(st.sampled_from(["succeeded", "validation", "step"] if may_fail else ["succeeded"]))
    if ending != "succeeded":
        fields["fail_at"] = "validation" if ending == "validation" else draw(st.integers(1, 400))
        fields["error"] = draw(st.none() | st.sampled_from(sorted(FAILURES)))
    return Plan(**fields)


FORMATS = {"supervised": CHAT, "dpo": PREFERENCE, "reinforcement": CHAT}
GRADER = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "operation": "eq",
}


@st.composite
def job_specs(draw: st.DrawFn, may_fail: bool = True) -> JobSpec:
    """The spec of any job on valid data, by any method."""
    method = draw(st.sampled_from(sorted(FORMATS)))
    numbers = Hyperparameters(draw(st.integers(1, 5)), draw(st.integers(1, 4)), eval_interval=draw(st.integers(1, 40)))
    order = TrainingRequest("gpt-4o-mini-2024-07-18", method, numbers, (GraderRef("same", "string_check"),))
    training = JobFile("file-x", Dataset(draw(st.integers(10, 60)), 500, FORMATS[method]))
    validation = JobFile("file-y", Dataset(draw(st.integers(1, 60)), 500, FORMATS[method]))
    return build_job_spec(
        draw(plans(may_fail)), order, draw(st.integers(0, 9)), training, validation if draw(st.booleans()) else None
    )


def allowed_interventions(timeline: Timeline, spec: JobSpec, at: float) -> list[Intervention]:
    """The interventions that a job allows at this time."""
    status = timeline.status(at)
    acts: dict[str, list[Intervention]] = {
        "validating_files": [Cancel(at), FileLost(at, JobError("deleted_training_file", "gone"))],
        "queued": [Cancel(at), FileLost(at, JobError("deleted_training_file", "gone"))],
        "running": [Cancel(at), Pause(at)],
        "paused": [Cancel(at), Resume(at)],
    }
    allowed = acts.get(status, [])
    if allowed and not timeline.has_happened("trained", at) and not spec.error:
        allowed.append(Replan(at, spec))
    return allowed


def interesting_times(timeline: Timeline) -> list[float]:
    """The times just before, at and just after each event."""
    moments = {timeline.event(k).at for k in range(min(timeline.event_count(float("inf")), 60))} | {
        at for at, _ in timeline.milestones
    }
    return sorted({at + by for at in moments for by in (-0.5, 0.0, 0.5) if at + by >= BORN})


@st.composite
def disturbed_specs(draw: st.DrawFn, most: int = 4) -> tuple[JobSpec, tuple[Intervention, ...]]:
    """A spec and interventions that the job allows, in order of time, often exactly at an event."""
    spec = draw(job_specs())
    acts: tuple[Intervention, ...] = ()
    now = BORN
    for _ in range(draw(st.integers(0, most))):
        timeline = Timeline(build_segments(spec, BORN, acts))
        later = [at for at in interesting_times(timeline) if at >= now] or [now]
        now = draw(st.sampled_from(later) | st.floats(now, now + 500))
        if not (allowed := allowed_interventions(timeline, spec, now)):
            break
        acts = (*acts, draw(st.sampled_from(allowed)))
    return spec, acts


class Http:
    """Raw requests to a fake without a socket; `/v1` is added to paths without a prefix.

    Every response of the API is checked against the OpenAPI document, which describes the default dialect; pass
    *is_described* as False in another one.
    """

    def __init__(self, fake: FakeFineTuning, *, is_described: bool = True) -> None:
        self.fake = fake
        self.is_described = is_described

    def send(self, method: str, path: str, body: Any = None, headers: Any = (KEY,)) -> InProcessResponse:
        """Send one request; *body* is bytes, or a value to send as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        target = path if path.startswith(("/_fake", "/v1", "/openapi", "/health", "/ready")) else f"/v1{path}"
        reply = call_app(self.fake.asgi_app, method, target.encode(), list(headers), raw)
        if self.is_described and target.startswith("/v1"):
            check(method, target, reply)
        return reply

    def json(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON response to a request that must have *status*."""
        reply = self.send(method, path, body)
        assert reply.status == status, (reply.status, reply.body)
        return json.loads(reply.body)

    def upload(
        self, content: str | bytes = ROWS, filename: str = "train.jsonl", purpose: str = "fine-tune"
    ) -> InProcessResponse:
        """Upload a file as a form."""
        data = content.encode() if isinstance(content, str) else content
        return self.send("POST", "/files", form(data, filename, purpose), (KEY, FORM))

    def file(self, content: str | bytes = ROWS) -> str:
        """Upload a file; return its id."""
        reply = self.upload(content)
        assert reply.status == 200, reply.body
        return str(json.loads(reply.body)["id"])

    def job(self, **fields: Any) -> Any:
        """Create a job on a new file, or on the given one."""
        body = {"model": "gpt-4o-mini", **fields}
        if "training_file" not in body:
            body["training_file"] = self.file()
        return self.json("POST", "/fine_tuning/jobs", body)


FORM = (b"content-type", b"multipart/form-data; boundary=B")


def form(content: bytes, filename: str = "train.jsonl", purpose: str = "fine-tune") -> bytes:
    """The body of an upload form with the boundary "B"."""
    name = filename.encode()
    return (
        b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n' + purpose.encode() + b"\r\n"
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--B--\r\n"
    )


def part_form(content: bytes) -> bytes:
    """The body of the form of an upload's part with the boundary "B"."""
    return b'--B\r\nContent-Disposition: form-data; name="data"; filename="part"\r\n\r\n' + content + b"\r\n--B--\r\n"


def everything(fake: FakeFineTuning) -> tuple[object, ...]:
    """The whole state of an account with its faults and webhooks, for comparison."""
    return *held(fake), fake.faults, [each.as_json() for each in fake.webhooks]


def held(fake: FakeFineTuning) -> tuple[object, ...]:
    """The whole state of an account, for comparison."""
    service = fake._world.service
    account = service.account
    shelves = [list(account.file_shelf), list(account.job_shelf)]
    made = [account.file_shelf.results(), dict(account.models), set(account.deleted), dict(account.active)]
    clock = (fake.now, account.pace, account.plan, fake.settings)
    # a refused call leaves them, and they change nothing that is held
    records = [record for record in service.journal if not isinstance(record, ASIDES)]
    return records, dict(account.files), dict(account.jobs), shelves, made, clock


def refused(http: Http, method: str, path: str, body: Any) -> str:
    """Send a call that must be refused and change nothing; return the fake's own error message."""
    before = everything(http.fake)
    message: str = http.json(method, path, body, status=400)["fake_error"]
    assert everything(http.fake) == before
    return message
