"""What was printed of single answers of the service, each in one test."""

from __future__ import annotations

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from strategies import Http

JOBS = "/fine_tuning/jobs"
SCORE = {
    "type": "score_model",
    "name": "score",
    "model": "o3-mini-2025-01-31",
    "input": [{"role": "user", "content": "Rate {{sample.output_text}}"}],
    "pass_threshold": 0.75,
}


def test_the_event_of_a_failure_says_what_has_failed() -> None:
    """The event of a failed job has the error's code and param as its data."""
    http = Http(FakeFineTuning(pace="manual"))
    job = http.job(training_file=http.file(b'{"messages": [{"role": "user", "content": "?"}]}\n' * 10))
    http.fake.advance("24h")

    error = http.json("GET", f"{JOBS}/{job['id']}")["error"]
    event = http.json("GET", f"{JOBS}/{job['id']}/events")["data"][0]
    assert event["level"] == "error"
    assert event["data"] == {"error_code": error["code"], "error_param": error["param"]}


def test_a_threshold_of_a_grader_is_taken_and_shown() -> None:
    """A grader may say from which reward on a sample passes."""
    http = Http(FakeFineTuning(pace="manual"))

    answer = http.json("POST", "/fine_tuning/alpha/graders/validate", {"grader": SCORE})
    assert answer["grader"]["pass_threshold"] == 0.75


def test_a_deleted_model_in_the_recorded_order() -> None:
    """The receipt for a deleted model is as recorded in 2023-10, newline included."""
    http = Http(FakeFineTuning(pace="manual"))
    job = http.job()
    http.fake.advance("24h")
    model = http.json("GET", f"{JOBS}/{job['id']}")["fine_tuned_model"]

    body = http.send("DELETE", f"/models/{model}").body.decode()
    assert body == f'{{\n  "object": "model",\n  "id": "{model}",\n  "deleted": true\n}}\n'


@pytest.mark.parametrize(("dialect", "told"), [("openai-2023-11", False), ("openai-2024-10", True)])
def test_checkpoints_were_not_told_of_in_2023(dialect: str, told: bool) -> None:
    """There is no event of a checkpoint in 2023-11."""
    http = Http(FakeFineTuning(pace="manual", dialect=dialect), is_described=False)
    job = http.json("POST", JOBS, {"model": "gpt-3.5-turbo", "training_file": http.file()})
    http.fake.advance("24h")

    events = http.json("GET", f"{JOBS}/{job['id']}/events?limit=300")["data"]
    assert any("Checkpoint" in event["message"] for event in events) is told
