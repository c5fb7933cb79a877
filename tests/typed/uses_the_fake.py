"""A user's file: how a test holds the fake, with the types that a type checker must find; it runs, too."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, assert_type

from fine_tuning_fakeserver import (
    ArmedFault,
    FakeFineTuning,
    Finding,
    JobError,
    Plan,
    PlanFields,
    Script,
    Settings,
    SettingsFields,
)

SLOW: PlanFields = {"queued": timedelta(hours=6), "seconds_per_step": "1m"}
FRESH: SettingsFields = {"seed": 7, "pace": "manual", "plan": SLOW, "api_keys": ["sk-one"]}


def settings_are_given() -> None:
    """Give every setting in the ways that people have."""
    fake = FakeFineTuning(
        start=1_700_000_000,
        pace=60,
        plan={"fail_at": 40, "error": "server_error"},
        organization_id="org-1",
        organization="acme",
        owner="acme",
        project="proj_1",
        max_active_jobs=3,
        base64_results=False,
        run_python_graders=False,
        webhooks=["http://127.0.0.1:9/hook", {"secret": "mine"}],
        allow_remote_webhooks=False,
        dialect="openai-2025-09",
        faults=[{"kind": "fail", "status": 503, "on": "create_job"}],
    )
    assert_type(fake.settings, Settings)
    fake.reset(as_of=date(2026, 7, 2), organization_class="inactive", start=None)
    fake.reset(**FRESH)


def time_and_plans(fake: FakeFineTuning, rows: str) -> None:
    """Say how jobs go, and go through one."""
    fake.plan = SLOW
    fake.plan = Plan(outcome="failed", fail_at="validation", error="invalid_training_file", curve="nan")
    fake.plan = Plan(error={"code": "odd", "message": "Odd."}, validating=1, starting="2s", finishing=3.5)
    assert_type(fake.plan, Plan)
    assert_type(fake.plan.failure, JobError | None)
    assert_type(fake.plan_all(finishing=3), Plan)
    assert_type(fake.time_module.monotonic(), float)
    assert_type(fake.plan_next(outcome="succeeded", queued=1), Plan)
    assert_type(fake.plan_when(suffix="x", metadata={"a": "b"}, fail_at=40), Plan)
    file = fake.add_file(rows, filename="a.jsonl", purpose="fine-tune", created_at=None)
    assert_type(file, dict[str, Any])
    job = fake.add_job(
        file["id"],
        status="running",
        model="gpt-4o-mini",
        suffix="mine",
        seed=1,
        metadata={"a": "b"},
        hyperparameters={"n_epochs": 3},
        plan={"finishing": 1},
    )
    assert_type(fake.plan_job(job["id"], fail_at=400, error=JobError("odd", "Odd.")), Plan)
    assert_type(fake.advance("90s"), float)
    assert_type(fake.advance_to("failed", job["id"]), float)
    assert_type(fake.outage("5m", on=["create_job"]), ArmedFault)
    assert_type(fake.findings, list[Finding])
    assert_type(fake.assert_nothing_called(), FakeFineTuning)


def scripts_and_servers() -> None:
    """Enter a fake and its scripts."""
    with FakeFineTuning() as fake, fake(["queued"], strict=True) as script:
        assert_type(fake, FakeFineTuning)
        assert_type(fake.base_url, str)
        assert_type(script, Script)
        assert_type(script.exhausted, bool)
        assert_type(script.prevent_stray().stop(), Script)
    fake.reset(defaults={"seed": 7, "faults": []}, pace="manual")
    fake.reset(defaults=Settings(seed=7))
