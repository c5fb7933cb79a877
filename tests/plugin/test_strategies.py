"""The public strategies and state machine draw what the service accepts and returns."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from fine_tuning_client import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    BadRequestError,
    FineTuningClient,
    FineTuningJobResponse,
)
from fine_tuning_fakeserver import FakeFineTuning, Plan
from pytest_fine_tuning import strategies
from pytest_fine_tuning.state_machine import FineTuningMachine

pytestmark = pytest.mark.slow

QUICK = settings(max_examples=40, database=None, deadline=None)
METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "supervised": {"model": "gpt-4o-mini"},
    "dpo": {"model": "gpt-4.1-mini", "method": {"type": "dpo"}},
    "reinforcement": {
        "model": "o4-mini",
        "method": {"type": "reinforcement", "reinforcement": {"grader": strategies.GRADER}},
    },
}


def _client(fake: FakeFineTuning) -> FineTuningClient:
    http = httpx.Client(transport=fake.transport())
    return FineTuningClient("fake", base_url="http://fake/v1", http_client=http, max_retries=0, sleep=fake.sleep)


@pytest.mark.parametrize("method", strategies.METHODS)
@settings(max_examples=20)
@given(data=st.data())
def test_training_files_are_accepted(method: str, data: st.DataObject) -> None:
    """A drawn training file is accepted, and a job trained on it by its method succeeds."""
    fake = FakeFineTuning(pace="polls")
    client = _client(fake)
    file = client.upload_file(data.draw(strategies.training_files(method)))
    job = client.create_job(file.id, **METHOD_OPTIONS[method])
    assert client.wait_for_job(job.id).is_completed(), fake.jobs[0]["error"]


@given(content=strategies.broken_training_files())
def test_broken_training_files_are_not(content: bytes) -> None:
    """A drawn broken training file is refused at upload, or fails its job."""
    client = _client(FakeFineTuning(pace="polls"))
    try:
        file = client.upload_file(content)
    except BadRequestError:
        return
    job = client.wait_for_job(client.create_job(file.id, "gpt-4o-mini").id)
    assert job.has_failed()
    assert "training_file" in str(job.error)


@given(metadata=strategies.metadata(), suffix=strategies.suffixes(), hyperparameters=strategies.hyperparameters())
def test_options_are_accepted(metadata: dict[str, str], suffix: str, hyperparameters: dict[str, Any]) -> None:
    """A job with drawn metadata, suffix and hyperparameters is created with exactly these."""
    fake = FakeFineTuning(pace="manual")
    row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    client = _client(fake)
    file = client.upload_file((row * 10).encode())
    job = client.create_job(file.id, "gpt-4o-mini", metadata=metadata, suffix=suffix, hyperparameters=hyperparameters)
    assert job.metadata == metadata
    assert job.extra["user_provided_suffix"] == suffix
    assert {name: (job.hyperparameters or {})[name] for name in hyperparameters} == hyperparameters


@given(job=strategies.jobs())
def test_jobs_are_what_the_service_answers(job: dict[str, Any]) -> None:
    """A drawn job is parsed by the client and written back unchanged."""
    read = FineTuningJobResponse.from_dict(job)
    assert read.to_dict() == job
    assert read.status in strategies.STATUSES


@pytest.mark.parametrize("status", strategies.STATUSES)
@settings(max_examples=10)
@given(data=st.data())
def test_jobs_of_a_status_have_it(status: str, data: st.DataObject) -> None:
    """A job drawn with a status has that status."""
    assert data.draw(strategies.jobs(status))["status"] == status


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
@settings(max_examples=20)
@given(data=st.data())
def test_plans_of_an_outcome_have_it(outcome: str, data: st.DataObject) -> None:
    """A job with a plan drawn for an outcome ends with that outcome."""
    plan: Plan = data.draw(strategies.plans(outcome))
    fake = FakeFineTuning(pace="manual", plan=plan)
    fake.add_job(fake.add_file(data.draw(strategies.training_files()))["id"], status="validating_files")
    fake.advance("30d")
    assert fake.jobs[0]["status"] == outcome


@given(fault=strategies.faults("list_jobs"))
def test_faults_are_met_and_pass(fault: dict[str, Any]) -> None:
    """A drawn fault hits exactly as many calls as it says."""
    fake = FakeFineTuning(faults=[fault])
    client = _client(fake)
    for _ in range(fault["times"]):
        with pytest.raises((APIStatusError, APIConnectionError, APIResponseError)):
            client.list_jobs()
    client.list_jobs()
    assert [each.fired for each in fake.faults] == [fault["times"]]


@pytest.mark.parametrize(
    "draw", [strategies.rows, strategies.plans, strategies.jobs], ids=["a method", "an outcome", "a status"]
)
def test_what_there_is_not_is_refused(draw: Any) -> None:
    """A strategy for an unknown method, outcome or status is refused with the known ones."""
    with pytest.raises(ValueError, match=r"must be .*(succeeded|supervised).*got 'nonsense'"):
        draw("nonsense")


class Watcher(FineTuningMachine):
    """A user's machine: the code under test records how each job ended."""

    def __init__(self) -> None:
        super().__init__()
        self.client = FineTuningClient(
            "fake", base_url="http://fake/v1", http_client=httpx.Client(transport=self.transport), max_retries=0
        )
        self.ended: dict[str, str] = {}

    @rule()
    def look(self) -> None:
        """Code under test: record every finished job."""
        try:
            for job in self.client.list_jobs(limit=100):
                if job.is_finished():
                    self.ended.setdefault(job.id, job.status)
        except (APIStatusError, APIConnectionError, APIResponseError):
            pass  # the next look will tell

    @invariant()
    def an_end_is_an_end(self) -> None:
        """A finished job keeps its status."""
        now = {job["id"]: job["status"] for job in self.fake.jobs}
        assert all(now[job] == status for job, status in self.ended.items())


class Hasty(FineTuningMachine):
    """A user's machine with a bug: it takes every job that is not running for succeeded."""

    @precondition(lambda self: self.fake.jobs)
    @rule()
    def look(self) -> None:
        """Code under test, which knows only two statuses."""
        assert all(job["status"] in ("running", "succeeded") for job in self.fake.jobs)


def test_the_machine_runs_with_a_users_code() -> None:
    """A user's machine with correct code passes."""
    run_state_machine_as_test(Watcher, settings=settings(QUICK, stateful_step_count=25))


def test_the_machine_finds_a_users_bug() -> None:
    """A user's machine with a bug fails."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Hasty, settings=settings(max_examples=40, database=None, deadline=None, phases=[Phase.generate])
        )


def test_the_machine_meets_every_kind_of_job() -> None:
    """Runs of the machine without user code see jobs in every status."""
    seen: set[str] = set()

    class Noting(FineTuningMachine):
        fails = False  # faults hit requests; nobody sends any here

        @invariant()
        def note(self) -> None:
            seen.update(job["status"] for job in self.fake.jobs)

    for number in range(32):  # a class of another name draws other examples, the same in each run of the tests
        machine = type(f"Noting{number}", (Noting,), {})
        run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=5, derandomize=True))
        if seen == set(strategies.STATUSES):
            break
    assert seen == set(strategies.STATUSES)
