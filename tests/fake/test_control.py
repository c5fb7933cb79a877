"""The control API: its routes, its refusals, and who may use it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant
from starlette.types import Receive, Scope, Send

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.job import Job
from fine_tuning_fakeserver.domain.timeline import Timeline
from fine_tuning_fakeserver.version import VERSION
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS, OPEN_TO_ALL
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from session_machine import Session
from strategies import BORN, FORM, ROWS, Http, everything, example_count, form, refused

JOBS = "/fine_tuning/jobs"


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(start=BORN, pace="manual"))


def from_peer(fake: FakeFineTuning, peer: str, method: str, path: str) -> InProcessResponse:
    """The response to a request from a peer with this address."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await fake.asgi_app({**scope, "client": (peer, 12345)}, receive, send)

    return call_app(app, method, path.encode(), [], b"")


CALLS = [(operation.method, operation.path) for operation in CONTROL_OPERATIONS]


@pytest.mark.parametrize(("method", "path"), CALLS, ids=lambda value: value)
def test_peers_on_other_machines(http: Http, method: str, path: str) -> None:
    """Peers on other machines may use health, readiness and the OpenAPI document, but no control route."""
    before = everything(http.fake)
    replies = [from_peer(http.fake, peer, method, path) for peer in ("10.0.0.1", "2001:db8::1", "example.org")]

    if path in OPEN_TO_ALL:
        assert {reply.status for reply in replies} == {200}
        return
    assert {reply.status for reply in replies} == {403}
    message = "control routes accept loopback clients only, got 10.0.0.1; others need `serve --control-token`"
    assert json.loads(replies[0].body) == {"fake_error": message, "message": f"fake-fine-tuning: {message}"}
    assert everything(http.fake) == before


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_peers_on_this_machine(http: Http, peer: str) -> None:
    """Peers on this machine need no key for the control API."""
    assert from_peer(http.fake, peer, "GET", "/_fake").status == 200


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_whether_the_fake_is_alive(path: str) -> None:
    """Health and readiness need no key, even if keys are checked."""
    http = Http(FakeFineTuning(start=BORN, api_keys=["right"]))

    reply = http.send("GET", path, None, ())

    assert (reply.status, json.loads(reply.body)) == (200, {"status": "ok", "version": VERSION})


def test_control_needs_no_key() -> None:
    """The control API needs no key, even if the API does."""
    http = Http(FakeFineTuning(start=BORN, api_keys=["right"]))

    assert http.send("GET", "/_fake", None, ()).status == 200
    assert http.send("GET", "/models", None, ()).status == 401


def test_the_state(http: Http) -> None:
    """The state has version, account, clock, plan and counts."""
    job = http.job()

    state = http.json("GET", "/_fake")

    assert state["version"] == VERSION
    assert state["clock"] == http.json("GET", "/_fake/clock") == {"now": BORN, "pace": "manual"}
    assert state["counts"] == {"files": 1, "jobs": 1, "models": 0, "by_status": {"validating_files": 1}}
    assert state["jobs"] == [{"id": job["id"], "status": "validating_files"}]
    assert state["account"]["organization_id"] == job["organization_id"]
    assert http.json("PUT", "/_fake/plan", state["plan"]) == state["plan"]


class Counted(Session):
    """Random requests to an account whose jobs are counted by status."""

    @invariant()
    def by_status(self) -> None:
        """The state's counts by status equal those from looking at each job."""
        fake = self.http.fake
        jobs = fake._world.service.account.jobs.values()
        expected = Counter(job.timeline().status(fake.now) for job in jobs)
        assert self.http.json("GET", "/_fake")["counts"]["by_status"] == dict(expected)


TestCounted = Counted.TestCase
TestCounted.settings = settings(max_examples=10, stateful_step_count=12, deadline=None)


def test_the_state_looks_at_few_jobs(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the state evaluates only the newest hundred jobs, and others once when their status may have changed."""
    file = http.file()
    for _ in range(150):
        http.job(training_file=file)
    looks: list[str] = []
    timeline = Job.timeline

    def look(job: Job) -> Timeline:
        looks.append(job.id)
        return timeline(job)

    monkeypatch.setattr(Job, "timeline", look)

    for wanted in ({"validating_files": 150}, {"succeeded": 150}):
        looks.clear()
        assert http.json("GET", "/_fake")["counts"]["by_status"] == wanted
        assert len(looks) == 100
        http.fake.advance("1d")
        http.json("GET", "/models")  # names the models of jobs that are over, which whoever asks first does


def test_reset(http: Http) -> None:
    """A reset starts an empty account with the given settings and keeps the others; repeating it changes nothing."""
    http.job()
    body = {"seed": 7, "start": BORN + 5, "organization": "acme", "plan": {"queued": "1m"}, "max_active_jobs": 1}

    first = http.json("POST", "/_fake/reset", body)
    second = http.json("POST", "/_fake/reset", body)

    assert first == second == http.json("GET", "/_fake")
    assert first["counts"] == {"files": 0, "jobs": 0, "models": 0, "by_status": {}}
    assert (first["account"]["seed"], first["account"]["organization"]) == (7, "acme")
    assert first["clock"] == {"now": BORN + 5, "pace": "manual"}
    assert first["plan"]["queued"] == 60
    assert http.json("GET", "/_fake/requests") == {"total": 0, "requests": []}
    http.job()
    http.json("POST", JOBS, {"model": "gpt-4o-mini", "training_file": http.file()}, status=429)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"sead": 7}, "unknown setting 'sead' (did you mean 'seed'?); expected one of: seed, start, pace, plan, "),
        ({"seed": "x"}, "seed must be a whole number of at most 64 bits, got 'x'"),
        ({"seed": 2**63}, "seed must be a whole number of at most 64 bits, got 9223372036854775808"),
        ({"start": "x"}, "start must be Unix seconds from 0 to 100000000000, or None for now, got 'x'"),
        ({"start": -1}, "start must be Unix seconds from 0 to 100000000000, or None for now, got -1"),
        ({"start": 1e300}, "or None for now, got 1e+300"),
        ({"pace": "fast"}, "pace must be 'polls', 'manual', 'instant', or a positive number"),
        ({"pace": 0}, "a positive number of virtual seconds a real second, got 0"),
        ({"plan": {"mood": 1}}, "unknown plan field 'mood'; expected one of: outcome, "),
        ({"plan": 5}, "plan must be a Plan, or a mapping of its fields, got 5"),
        ({"api_keys": "right"}, "api_keys must be a collection of keys, got 'right'"),
        ({"max_active_jobs": -1}, "max_active_jobs must be a whole number from 0, or None for no limit, got -1"),
        ({"organization": "Ω"}, "organization must be printable ASCII without spaces and colons, got 'Ω'"),
        ({"organization": "a\r\nb"}, "spaces and colons, got 'a\\r\\nb'"),
        ({"organization": "a:b"}, "spaces and colons, got 'a:b'"),
        ({"project": "a b"}, "project must be printable ASCII without spaces and colons, got 'a b'"),
        ({"base64_results": "perhaps"}, "base64_results must be True or False, got 'perhaps'"),
        ({"models": []}, "unknown setting 'models'"),
        ({"allow_remote_webhooks": True}, "unknown setting 'allow_remote_webhooks'"),
        ([], "POST /_fake/reset: the body must be a JSON object, got a list"),
        (b"{", "POST /_fake/reset: the body must be valid JSON ("),
    ],
    ids=lambda value: str(value)[:40],
)
def test_resets_that_are_refused(http: Http, body: Any, words: str) -> None:
    """An unknown or invalid setting is refused by name, and nothing is reset."""
    http.job()

    assert words in refused(http, "POST", "/_fake/reset", body)


def test_the_pace(http: Http) -> None:
    """The pace can be changed to a word or a number, and time continues from its current value."""
    for pace in ("polls", "instant", 60, "manual"):
        assert http.json("PATCH", "/_fake/clock", {"pace": pace})["pace"] == pace

    for body, words in [
        ({"pace": "fast"}, "a positive number of virtual seconds a real second, got 'fast'"),
        ({"pace": -1}, "a real second, got -1.0"),
        ({"pace": None}, "pace must be "),
        ({}, "pace is required"),
        ({"speed": 1}, "pace is required"),
    ]:
        assert words in refused(http, "PATCH", "/_fake/clock", body)


def test_advancing(http: Http) -> None:
    """Time advances by seconds, or until a job reaches a status or a step."""
    job = http.job()["id"]

    def advance(**body: Any) -> float:
        now = http.json("POST", "/_fake/clock/advance", body)["now"]
        assert now == http.fake.now
        return float(now) - BORN

    assert advance(seconds=5) == 5
    assert advance(seconds="1m") == 65
    assert advance(to="running") == 65
    assert advance(step=1, job=job) == 50 + 120 + 2
    assert advance(step=1) == 172
    assert advance(to="succeeded", job=job) == 50 + 120 + 200 + 8 + 7
    assert http.json("GET", f"{JOBS}/{job}")["status"] == "succeeded"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"hours": 1}, "unknown field 'hours'; expected one of: seconds, to, step, job"),
        ({}, "advance_to needs either a status or a step"),
        ({"seconds": -1}, "advance must be from 0 to 10000000000 seconds, got -1.0"),
        ({"seconds": 1e300}, "must be from 0 to 10000000000 seconds"),
        ({"seconds": "soon"}, "advance must be a number of seconds, a text such as '90s'"),
        ({"seconds": [5]}, "seconds must be "),
        ({"seconds": 5, "to": "running"}, "must have either seconds, or to or step of a job"),
        ({"seconds": 5, "job": "ftjob-x"}, "must have either seconds, or to or step of a job"),
        ({"to": "running", "step": 5}, "advance_to needs either a status or a step"),
        ({"to": ""}, "status must be one of validating_files, "),
        ({"to": "happy"}, "status must be one of validating_files, "),
        ({"to": "paused"}, "does not reach 'paused' from here: its way is validating_files → queued → running → "),
        ({"to": "failed"}, "does not reach 'failed' from here"),
        ({"step": 0}, "step must be a training step from 1, got 0"),
        ({"step": 101}, "does not reach step 101: it has 100 steps"),
        ({"step": "x"}, "step must be "),
        ({"to": "running", "job": "ftjob-none"}, "unknown job 'ftjob-none'; the newest are: ftjob-"),
        (b"nonsense", "POST /_fake/clock/advance: the body must be valid JSON ("),
    ],
    ids=lambda value: str(value)[:40],
)
def test_advances_that_are_refused(http: Http, body: Any, words: str) -> None:
    """An invalid advance is refused with the valid values, and no time passes."""
    http.job()

    assert words in refused(http, "POST", "/_fake/clock/advance", body)


def test_advancing_an_empty_account(http: Http) -> None:
    """An account without jobs cannot be advanced to a status."""
    assert refused(http, "POST", "/_fake/clock/advance", {"to": "running"}) == "there is no job yet; create one first"


@pytest.mark.parametrize(("method", "path"), [("GET", "/_fake/nothing"), ("GET", "/_fake/"), ("POST", "/_fake/clok")])
def test_what_is_no_control_route(http: Http, method: str, path: str) -> None:
    """An unknown path of the control API is refused in the fake's own words, which say where the APIs are."""
    refusal = f"unknown route of fake-fine-tuning: {method} {path}; the API is under /v1, control under /_fake"

    assert http.json(method, path, status=404)["fake_error"] == refusal


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [("GET", "/_fake/reset", "POST"), ("POST", "/health", "GET"), ("PUT", "/_fake/clock", "GET or PATCH")],
)
def test_a_wrong_method_of_control(http: Http, method: str, path: str, right: str) -> None:
    """A control route that is requested by a wrong method names the right ones."""
    refusal = f"{path} of fake-fine-tuning must be requested by {right}, got {method}"

    assert http.json(method, path, status=404)["fake_error"] == refusal


def test_a_control_body_past_the_limit(http: Http) -> None:
    """A control body of more than 8 MB is refused with 413."""
    assert http.send("POST", "/_fake/files", b"x" * ((8 << 20) + 1)).status == 413


fields = ["seed", "start", "pace", "plan", "organization", "api_keys", "max_active_jobs", "seconds", "to", "step"]
fields += ["job", "kind", "id", "content", "purpose", "filename", "created_at", "model", "training_file", "status"]
fields += ["finished_at", "suffix", "hyperparameters", "n_epochs", "metadata", "error", "result_files", "checkpoints"]
fields += ["event_ids", "outcome", "fail_at", "queued", "curve", "code", "message", "metrics", "step_number"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["auto", "FILE", "5s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(fields), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=example_count(100))
@given(st.sampled_from(CALLS), st.dictionaries(st.sampled_from(fields), values, max_size=4), st.data())
def test_nothing_that_is_sent_breaks_the_fake(call: tuple[str, str], body: dict[str, Any], data: st.DataObject) -> None:
    """Any request to a control route gets 200 or the fake's own error, and the fake still works."""
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    job = http.job()
    method, path = call
    if path == "/_fake/files":
        body.setdefault("content", ROWS)
    if path == "/_fake/jobs":
        body["training_file"] = job["training_file"]

    reply = http.send(method, path.replace("{job_id}", job["id"]), body)

    assert reply.status == 200 or "fake_error" in json.loads(reply.body), reply.body
    http.fake.requests_log.clear()
    http.fake.clear_faults()
    key = sorted(http.fake.settings.api_keys or ["any"])[0]
    headers = [(b"authorization", b"Bearer " + key.encode("latin-1", "replace"))]
    for path in ("/files", JOBS, "/models"):
        assert http.send("GET", path, None, headers).status in (200, 401)
    assert http.send("POST", "/files", form(ROWS.encode()), [*headers, FORM]).status in (200, 401)
