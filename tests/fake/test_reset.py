"""After any kind of reset a fake is indistinguishable from a new one."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fine_tuning_fakeserver import Call, FakeFineTuning, FakeUsageError, Plan
from fine_tuning_fakeserver.clock import Pace
from strategies import BORN, ROWS, Http, example_count

pytestmark = pytest.mark.slow

JOBS = "/fine_tuning/jobs"
DEAD_END = "http://127.0.0.1:9/"
"""A closed port of this machine."""

FAULTS: tuple[dict[str, Any], ...] = ({"status": 503, "on": "list_models", "times": 2},)
GRADER = {"type": "score_model", "name": "judge", "model": "gpt-4o", "input": [{"role": "user", "content": "Good?"}]}
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}


def new_fake(pace: Pace) -> Http:
    """A reachable fake with its own settings and faults."""
    fake = FakeFineTuning(
        seed=7, start=BORN, pace=pace, plan={"queued": 60}, max_active_jobs=3, webhooks=[{}], faults=FAULTS
    )
    _ = fake.asgi_app
    return Http(fake, is_described=False)


def newest(http: Http) -> str:
    """The id of the newest job, or of an unknown one."""
    return str(next(iter(http.fake.jobs), {"id": "ftjob-none"})["id"])


def create(http: Http) -> None:
    """Create a job on a new file."""
    reply = http.upload()
    file = json.loads(reply.body).get("id", "file-none") if reply.status == 200 else "file-none"
    http.send("POST", JOBS, {"model": "gpt-4o-mini", "training_file": file, "metadata": {"by": "code"}})


def end_a_script(http: Http) -> None:
    """End a script that is still in use, within another one."""
    with http.fake({"retrieve_job": ["paused"]}), http.fake(["running", "queued"]):
        http.send("GET", f"{JOBS}/{newest(http)}")


def lose_an_answer(http: Http) -> None:
    """Truncate the response to a wrong use of the fake, which leaves a note."""
    http.fake.truncate(applied=True, bytes=0)
    http.send("POST", JOBS, {"model": "gpt-4o-mini", "training_file": "file-x", "metadata": {"fake_outcome": "odd"}})


ACTIONS: dict[str, Callable[[Http], object]] = {
    "upload": lambda http: http.upload(),
    "create": create,
    "retrieve": lambda http: http.send("GET", f"{JOBS}/{newest(http)}"),
    "list": lambda http: http.send("GET", f"{JOBS}?limit=2"),
    "list events": lambda http: http.send("GET", f"{JOBS}/{newest(http)}/events"),
    "cancel": lambda http: http.send("POST", f"{JOBS}/{newest(http)}/cancel"),
    "list models": lambda http: http.send("GET", "/models"),
    "chat": lambda http: http.send("POST", "/chat/completions", ASK),
    "grade": lambda http: http.send("POST", "/fine_tuning/alpha/graders/run", {"grader": GRADER, "model_sample": "x"}),
    "leave the API": lambda http: http.send("POST", "/embeddings", {}),
    "use it wrong": lambda http: http.send("POST", JOBS, {"model": "gpt-4o-mini", "metadata": {"fake_outcome": "odd"}}),
    "lose an answer": lose_an_answer,
    "note": lambda http: http.fake.requests_log.note("a request that was refused"),
    "take errors": lambda http: http.fake.take_usage_errors(),
    "fail": lambda http: http.fake.fail(500, on="create_job"),
    "delay": lambda http: http.fake.delay(20, on=["upload_file", "retrieve_job"], times=None),
    "outage": lambda http: http.fake.outage("5m"),
    "clear faults": lambda http: http.fake.clear_faults(),
    "script": lambda http: http.fake(["succeeded", {"id": "ftjob-scripted", "status": "odd"}, "running"]),
    "script by operation": lambda http: http.fake(
        {"retrieve_job": [{"status": "running", "user_provided_suffix": "mine"}], "list_job_events": [["hello"]]}
    ),
    "script by function": lambda http: http.fake(lambda call: "failed" if call.operation == "retrieve_job" else None),
    "script strictly": lambda http: http.fake([], strict=True),
    "end a script": end_a_script,
    "add a webhook": lambda http: http.fake.add_webhook(),
    "add a dead webhook": lambda http: http.fake.add_webhook(DEAD_END),
    "deliver": lambda http: http.fake.deliver_webhooks(),
    "remove webhooks": lambda http: [
        http.send("DELETE", f"/_fake/webhooks/{webhook.id}") for webhook in http.fake.webhooks
    ],
    "advance": lambda http: http.fake.advance("10m"),
    "advance to the end": lambda http: http.fake.advance_to("succeeded"),
    "sleep": lambda http: http.fake.sleep(30),
    "pace": lambda http: setattr(http.fake, "pace", "instant"),
    "plan": lambda http: setattr(http.fake, "plan", Plan(outcome="failed", fail_at=3)),
    "plan next": lambda http: http.fake.plan_next(curve="diverge"),
    "plan job": lambda http: http.fake.plan_job(newest(http), seconds_per_step=1),
    "replies": lambda http: http.fake.replies("one", "two"),
    "grader scores": lambda http: http.fake.grader_scores([0.25, None]),
    "name next": lambda http: http.fake.name_next("file", "file-named"),
    "name next job": lambda http: http.fake.name_next("job", "ftjob-named", 5),
    "add a job": lambda http: http.fake.add_job(http.fake.add_file(ROWS)["id"], status="paused"),
    "reset otherwise": lambda http: http.fake.reset(seed=3, pace="polls", faults=[{"kind": "disconnect"}], webhooks=[]),
    "reset otherwise by control": lambda http: http.json("POST", "/_fake/reset", {"seed": 4, "faults": []}),
    "finish": lambda http: http.fake.finish_test(),
}


def reset_for_the_next_test(http: Http, pace: Pace) -> None:
    """Reset as the fixture does before a test, with new defaults."""
    http.fake.reset(defaults={"seed": 99, "faults": [{"kind": "refuse"}]})
    others = {"start": BORN, "plan": {"queued": 60}, "max_active_jobs": 3}
    http.fake.reset(defaults={"seed": 7, "pace": pace, "webhooks": [{}], "faults": FAULTS, **others})


WAYS: dict[str, Callable[[Http, Pace], object]] = {
    "handle": lambda http, pace: http.fake.reset(),
    "control": lambda http, pace: http.json("POST", "/_fake/reset", {}),
    "fixture": reset_for_the_next_test,
}


def visible_state(http: Http) -> dict[str, Any]:
    """All visible state of a fake, except real times."""
    fake = http.fake
    seen: dict[str, Any] = {
        name: getattr(fake, name) for name in ("settings", "born", "now", "pace", "plan", "jobs", "files", "webhooks")
    }
    names = [field.name for field in fields(Call) if field.name not in ("waits", "timing")]
    seen["calls"] = [[getattr(call, name) for name in names] for call in fake.calls]
    log = fake.requests_log
    seen["log"] = [exchange.as_json() for exchange in log.find()], log.count, log.forgotten, log.notes, log.slept_s
    seen["faults"] = [fault.as_json() for fault in fake.faults], [fault.as_json() for fault in fake.unfired_faults]
    seen["deliveries"] = [
        (delivery.id, delivery.body, delivery.status, [attempt.at for attempt in delivery.attempts])
        for delivery in fake.webhook_deliveries
    ]
    seen["report"] = fake.describe(), fake.state()
    seen["findings"] = [str(finding) for finding in fake.findings]
    for name in ("assert_script_exhausted", "assert_nothing_called"):
        try:
            seen[name] = getattr(fake, name)() is fake
        except (AssertionError, FakeUsageError) as error:
            seen[name] = str(error)
    return seen


SESSION = (
    "list models", "retrieve", "use it wrong", "lose an answer", "upload", "create", "retrieve", "list", "list events",
    "chat", "grade", "advance", "retrieve", "deliver", "leave the API",
)  # fmt: skip


def session_results(http: Http) -> list[Any]:
    """The results of a fixed session, from the first request to the state at its end."""
    seen: list[Any] = [visible_state(http)]
    for name in SESSION:
        answer: Any = ACTIONS[name](http)
        seen.append((answer.status, answer.headers, answer.body) if hasattr(answer, "headers") else name)
    return [*seen, visible_state(http), http.fake.take_usage_errors(), http.fake.take_usage_errors()]


@settings(max_examples=example_count(60))
@given(
    st.lists(st.sampled_from(sorted(ACTIONS)), max_size=12),
    st.sampled_from(sorted(WAYS)),
    st.sampled_from(["polls", "manual"]),
)
def test_after_a_reset_a_fake_is_as_new(history: list[str], way: str, pace: Pace) -> None:
    """After any history and any kind of reset a fake behaves like a new one."""
    http = new_fake(pace)
    for name in history:
        with suppress(FakeUsageError):
            ACTIONS[name](http)
    WAYS[way](http, pace)
    assert session_results(http) == session_results(new_fake(pace))


@pytest.mark.parametrize("way", sorted(WAYS))
def test_what_outlives_a_reset_does_not_reach_the_new_account(way: str) -> None:
    """Scripts and notes of the old account do not affect the account after a reset."""
    http = new_fake("manual")
    log = http.fake.requests_log
    with http.fake(["running"]) as script:
        WAYS[way](http, "manual")
        http.fake({"retrieve_job": ["queued"]})
    script.stop()
    log.note("late")
    assert http.fake.requests_log.notes == []
    with pytest.raises(AssertionError, match="retrieve_job: 'queued'"):
        http.fake.assert_script_exhausted()
