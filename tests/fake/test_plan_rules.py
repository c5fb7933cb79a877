"""Plans by match: `plan_when` and its control route, for the new jobs of a model, suffix or metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.domain.plan import PlanRule
from strategies import BORN, ROWS, Http, refused


@pytest.fixture
def fake() -> FakeFineTuning:
    """A fake whose time stands still."""
    return FakeFineTuning(start=BORN, pace="manual")


@pytest.fixture
def outcome(fake: FakeFineTuning) -> Callable[..., str]:
    """Create a job over the API; return how it ends."""
    client, file = fake.openai(), fake.add_file(ROWS)["id"]

    def create(model: str = "gpt-4o-mini", **options: Any) -> str:
        job = client.fine_tuning.jobs.create(training_file=file, model=model, **options)
        fake.advance("10d")
        return client.fine_tuning.jobs.retrieve(job.id).status

    return create


def test_a_plan_is_for_the_jobs_that_match(fake: FakeFineTuning, outcome: Callable[..., str]) -> None:
    """A plan for a suffix has every job of this suffix, and no other."""
    fake.plan_when(suffix="bad", outcome="failed")

    found = [outcome(suffix=suffix) for suffix in ("bad", "good", "bad")]

    assert found == ["failed", "succeeded", "failed"]
    assert outcome() == "succeeded"


@pytest.mark.parametrize(
    ("when", "job", "expected"),
    [
        ({"model": "gpt-4o-mini"}, {}, "failed"),
        ({"model": "gpt-4o-mini-2024-07-18"}, {}, "failed"),
        ({"model": "gpt-4o-mini"}, {"model": "gpt-4o-mini-2024-07-18"}, "succeeded"),
        ({"model": "gpt-4.1-mini-2025-04-14"}, {}, "succeeded"),
        ({"metadata": {"team": "a"}}, {"metadata": {"team": "a", "run": "1"}}, "failed"),
        ({"metadata": {"team": "a", "run": "1"}}, {"metadata": {"team": "a"}}, "succeeded"),
        ({"metadata": {"team": "a"}}, {}, "succeeded"),
        ({"suffix": "x", "metadata": {"team": "a"}}, {"suffix": "x", "metadata": {"team": "a"}}, "failed"),
        ({"suffix": "x", "metadata": {"team": "a"}}, {"suffix": "x"}, "succeeded"),
    ],
    ids=str,
)
def test_what_matches(
    fake: FakeFineTuning, outcome: Callable[..., str], when: Any, job: dict[str, Any], expected: str
) -> None:
    """A job matches if it has all that is given: model as requested or dated, suffix, and pairs of metadata."""
    fake.plan_when(**when, outcome="failed")

    assert outcome(**job) == expected


def test_which_plan_wins(fake: FakeFineTuning, outcome: Callable[..., str]) -> None:
    """The job's own metadata wins over `plan_next`, this over the newest plan that matches, and this over `plan`."""
    fake.plan_when(model="gpt-4o-mini", outcome="succeeded")
    fake.plan_when(suffix="bad", outcome="failed")
    fake.plan = {"outcome": "failed"}
    assert [outcome(suffix="bad"), outcome(), outcome("gpt-4.1-mini-2025-04-14")] == ["failed", "succeeded", "failed"]

    fake.plan_when(suffix="bad", outcome="succeeded")
    assert outcome(suffix="bad") == "succeeded"

    fake.plan_next(outcome="failed")
    fake.plan_next(outcome="failed")
    assert outcome(suffix="bad", metadata={"fake_outcome": "succeeded"}) == "succeeded"
    assert [outcome(suffix="bad"), outcome(suffix="bad")] == ["failed", "succeeded"]


def test_what_a_plan_leaves_out_is_the_accounts(fake: FakeFineTuning) -> None:
    """Fields that are left out are those of the account's plan at the time of the call."""
    fake.plan = {"queued": 7}
    plan = fake.plan_when(suffix="x", starting=9)
    fake.plan = {"queued": 8}

    assert (plan.queued, plan.starting) == (7, 9)


def test_jobs_put_into_the_account_go_by_it(fake: FakeFineTuning) -> None:
    """A job that `add_job` puts into the account has the plan that matches it."""
    fake.plan_when(suffix="x", fail_at=3)
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running", suffix="x")

    fake.advance("10d")

    assert fake.jobs[0]["id"] == job["id"]
    assert fake.jobs[0]["status"] == "failed"


def test_a_crash_keeps_it_and_a_reset_removes_it(
    fake: FakeFineTuning, outcome: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan by match is still there after a crash has rolled the account back, and gone after a reset."""
    fake.plan_when(suffix="bad", outcome="failed")
    http = Http(fake)
    with monkeypatch.context() as broken:
        broken.setattr(PlanRule, "as_json", lambda _: 1 / 0)
        assert http.send("POST", "/_fake/plans", {"when": {"suffix": "bad"}}).status == 500

    assert outcome(suffix="bad") == "failed"
    assert len(http.json("GET", "/_fake/plans")["plans"]) == 1
    fake.reset()
    assert http.json("GET", "/_fake/plans") == {"plans": []}


def test_the_control_routes(fake: FakeFineTuning, outcome: Callable[..., str]) -> None:
    """Over HTTP a plan by match is added, and listed in the order in which they are tried."""
    http = Http(fake)
    for name in ("a", "b"):
        added = http.json("POST", "/_fake/plans", {"when": {"metadata": {"team": name}}, "error": "server_error"})

    assert added["when"] == {"metadata": {"team": "b"}}
    assert (added["outcome"], added["error"]["code"]) == ("failed", "server_error")
    assert [plan["when"]["metadata"]["team"] for plan in http.json("GET", "/_fake/plans")["plans"]] == ["b", "a"]
    assert outcome(metadata={"team": "a"}) == "failed"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "a plan for some jobs requires at least one of model, suffix, metadata"),
    ({"when": {}}, "requires at least one of model, suffix, metadata"),
    ({"when": {"metadata": {}}}, "requires at least one of model, suffix, metadata"),
    ({"when": "x"}, "when must be a mapping with model, suffix, metadata, got 'x'"),
    ({"when": {"sufix": "x"}}, "unknown field of when 'sufix' (did you mean 'suffix'?)"),
    ({"when": {"suffix": 1}}, "when 'suffix' must be a string, or None for any, got 1"),
    ({"when": {"metadata": {"a": 1}}}, "when 'metadata' must be a mapping of strings to strings, got {'a': 1}"),
    ({"when": {"suffix": "x"}, "outcom": "failed"}, "unknown plan field 'outcom' (did you mean 'outcome'?)"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED, ids=str)
def test_what_is_refused(fake: FakeFineTuning, body: dict[str, Any], words: str) -> None:
    """A plan by match that makes no sense is refused, and changes nothing."""
    http = Http(fake)

    assert words in refused(http, "POST", "/_fake/plans", body)
    assert http.json("GET", "/_fake/plans") == {"plans": []}


def test_plan_when_requires_a_condition(fake: FakeFineTuning) -> None:
    """A plan for no jobs in particular is refused, as it would be for all."""
    with pytest.raises(FakeUsageError, match="requires at least one of model, suffix, metadata"):
        fake.plan_when(outcome="failed")
