"""The limits of an organization: active jobs, jobs a day, and how they are told."""

from __future__ import annotations

from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from strategies import Http

JOBS = "/fine_tuning/jobs"
LIMITS = "/fine_tuning/model_limits"
NANO, MINI = "gpt-4.1-nano-2025-04-14", "gpt-4o-mini-2024-07-18"


def account(**settings: Any) -> Http:
    """Raw requests to an account whose time stands still."""
    return Http(FakeFineTuning(pace="manual", **settings))


def create(http: Http, status: int = 200, model: str = NANO) -> Any:
    """Create a job; return the response, which must have *status*."""
    return http.json("POST", JOBS, {"model": model, "training_file": http.file()}, status)


def test_a_model_has_so_many_jobs_a_day() -> None:
    """One job too many for its model within 24 hours is refused in the service's words; another model's is not."""
    http = account(max_jobs_per_day=1)
    create(http)

    refused = create(http, 429, "gpt-4.1-nano")
    create(http, 200, MINI)

    assert refused["error"] == {
        "message": "This fine-tune request has been rate-limited. Your organization has reached the maximum of 1 "
        f"fine-tuning requests per day for the model '{NANO}'.",
        "type": "invalid_request_error",
        "param": None,
        "code": "daily_rate_limit_exceeded",
    }


def test_a_day_is_over_after_24_hours() -> None:
    """A job counts for 24 hours, whether it has ended or not."""
    http = account(max_jobs_per_day=1)
    job = create(http)
    http.json("POST", f"{JOBS}/{job['id']}/cancel")

    http.fake.advance("23h")
    create(http, 429)
    http.fake.advance("1h")
    create(http)


def test_other_projects_take_slots() -> None:
    """Jobs of other projects count as running for each model."""
    http = account(max_active_jobs=3, other_jobs=2)
    create(http)

    refused = create(http, 429)
    assert "maximum of 3 active requests (2 running, 1 pending) for the model" in refused["error"]["message"]
    create(http, 200, MINI)


def test_model_limits_tell_what_is_taken() -> None:
    """The limits of each model that can be trained are told with the number of its active jobs, null without limit."""
    http = account(max_active_jobs=3, other_jobs=1)
    create(http)

    limits = http.json("GET", LIMITS)
    assert limits[NANO] == {"max_total_jobs": None, "max_concurrent_jobs": 3, "active_jobs": 2}
    assert limits[MINI] == {"max_total_jobs": None, "max_concurrent_jobs": 3, "active_jobs": 1}
    assert "gpt-4.1-nano" not in limits

    assert account(max_jobs_per_day=5).json("GET", LIMITS)[NANO]["max_total_jobs"] == 5


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "Your organization can no longer create fine-tuning jobs."),
        (500, "The server had an error while processing your request. Sorry about that!"),
    ],
)
def test_the_end_is_a_refusal_or_a_failure(status: int, message: str) -> None:
    """After its end creation is refused with 403, or fails with 500 as one project saw it."""
    http = account(as_of="2027-01-06", closed_status=status)

    assert create(http, status, MINI)["error"]["message"] == message


def test_the_end_has_two_forms() -> None:
    """Another status than 403 and 500 is an error of the fake's user."""
    with pytest.raises(FakeUsageError, match="closed_status must be 403 or 500, got 404"):
        FakeFineTuning(as_of="2027-01-06", closed_status=404)


def test_a_cancel_that_comes_too_late_says_so() -> None:
    """A job that is over cannot be cancelled; the text has the words that a client's live test looks for."""
    http = account()
    job = create(http)
    http.fake.advance("24h")

    refused = http.json("POST", f"{JOBS}/{job['id']}/cancel", None, 400)
    assert "Job has already completed" in refused["error"]["message"]


def test_a_job_that_has_lost_its_file_can_be_cancelled_while_it_validates() -> None:
    """A deleted training file fails a job at the end of its validation, and not before."""
    http = account()
    training = http.file()
    first, second = (http.json("POST", JOBS, {"model": MINI, "training_file": training}) for _ in range(2))
    http.json("DELETE", f"/files/{training}")

    assert http.json("POST", f"{JOBS}/{first['id']}/cancel")["status"] == "cancelled"
    assert http.json("GET", f"{JOBS}/{second['id']}")["status"] == "validating_files"
    http.fake.advance("24h")
    failed = http.json("GET", f"{JOBS}/{second['id']}")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "deleted_training_file")
