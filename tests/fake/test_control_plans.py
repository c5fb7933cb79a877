"""Plans set by the control API: the default plan, plans of single jobs, and invalid ones."""

from __future__ import annotations

from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, Http, refused

JOBS = "/fine_tuning/jobs"


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(start=BORN, pace="manual"))


def test_the_default_plan(http: Http) -> None:
    """The default plan applies only to jobs created after it is set."""
    before = http.job()["id"]

    plan = http.json("PUT", "/_fake/plan", {"fail_at": "validation", "error": "invalid_n_examples", "validating": "5s"})
    after = http.job()["id"]
    http.fake.advance("1h")

    assert (plan["outcome"], plan["validating"], plan["error"]["code"]) == ("failed", 5, "invalid_n_examples")
    found = [http.json("GET", f"{JOBS}/{job}") for job in (before, after)]
    assert [job["status"] for job in found] == ["succeeded", "failed"]
    assert found[1]["error"]["code"] == "invalid_n_examples"
    assert http.json("PUT", "/_fake/plan", {})["outcome"] == "succeeded"


PLANS = [
    ({"mood": 1}, "unknown plan field 'mood'; expected one of: outcome, fail_at, error, validating, queued, "),
    ({"outcome": "maybe"}, "outcome must be one of succeeded, failed, got 'maybe'"),
    ({"outcome": "succeeded", "fail_at": 5}, "a plan that succeeds has neither fail_at nor error"),
    ({"fail_at": 0}, "fail_at must be 'validation' or a training step from 1, got 0"),
    ({"fail_at": True}, "or a training step from 1, got True"),
    ({"fail_at": 2**63}, "or a training step from 1, got 9223372036854775808"),
    ({"error": "bad_luck"}, "error must be one of invalid_training_file, "),
    ({"error": {"code": []}}, "error.code must be a string, got []"),
    ({"error": {"code": "x", "message": 5}}, "error.message must be a string, got 5"),
    ({"error": 5}, "error must be a code, or an object with code, message and param, got 5"),
    ({"queued": -1}, "queued must be from 0 to 10000000000 seconds, got -1.0"),
    ({"queued": "soon"}, "queued must be a number of seconds, a text such as '90s'"),
    ({"queued": 1e11}, "must be from 0 to 10000000000 seconds"),
    ({"queued": None}, "queued must be a number of seconds"),
    ({"seconds_per_step": True}, "seconds_per_step must be a number of seconds"),
    ({"curve": "steep"}, "curve must be one of healthy, overfit, diverge, plateau, nan, or CSV rows"),
    ({"curve": ""}, "or CSV rows train_loss[,valid_loss], got ''"),
    ({"curve": 5}, "curve must be the name of a curve, or CSV text, got 5"),
    ({"curve": "1,2\nx,3"}, "or CSV rows train_loss[,valid_loss]"),
    ({"curve": "1" * 200_000}, f"or CSV rows train_loss[,valid_loss], got '{'1' * 80}'"),
]


@pytest.mark.parametrize(("body", "words"), PLANS, ids=lambda value: str(value)[:40])
def test_plans_that_are_refused(http: Http, body: Any, words: str) -> None:
    """An invalid plan is refused with the valid values, as default and for one job."""
    job = http.job()["id"]

    assert words in refused(http, "PUT", "/_fake/plan", body)
    assert words in refused(http, "PUT", f"/_fake/jobs/{job}/plan", body)


def test_the_plan_of_one_job(http: Http) -> None:
    """A job's own plan changes only its future, and no other job."""
    job, other = http.job()["id"], http.job()["id"]
    http.fake.advance_to(step=40, job=job)
    seen = http.json("GET", f"{JOBS}/{job}/events?limit=1000")["data"]

    http.json("PUT", f"/_fake/jobs/{job}/plan", {"fail_at": 10, "error": "server_error", "curve": "plateau"})
    http.fake.advance("1h")

    events = http.json("GET", f"{JOBS}/{job}/events?limit=1000")["data"]
    assert events[-len(seen) :] == seen
    assert [event["level"] for event in events[: -len(seen)]] == ["error", "info"]
    assert events[1]["data"]["step"] == 41
    assert http.json("GET", f"{JOBS}/{job}")["error"]["code"] == "server_error"
    assert http.json("GET", f"{JOBS}/{other}")["status"] == "succeeded"


def test_a_job_that_is_over_has_no_plan(http: Http) -> None:
    """The plan of a finished, trained or unknown job cannot be changed."""
    job = http.job()["id"]
    http.fake.advance_to(step=100, job=job)
    http.fake.advance(9)

    assert "is running and its training is over" in refused(http, "PUT", f"/_fake/jobs/{job}/plan", {"queued": 1})
    http.fake.advance("1h")
    assert "is succeeded and its training is over" in refused(http, "PUT", f"/_fake/jobs/{job}/plan", {"queued": 1})
    assert "unknown job 'ftjob-none'" in refused(http, "PUT", "/_fake/jobs/ftjob-none/plan", {"queued": 1})
