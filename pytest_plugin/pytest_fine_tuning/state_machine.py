"""A Hypothesis state machine of the service: while your code runs, anything may happen to its jobs.

Subclass it, add rules that call your code, and state what must hold as invariants::

    class Orchestrated(FineTuningMachine):
        @rule()
        def look(self):
            self.orchestrator.poll()          # your code, on self.transport or self.fake.openai()

        @invariant()
        def never_forgets_a_job(self):
            assert self.orchestrator.known() == {job["id"] for job in self.fake.jobs}

    TestOrchestrated = Orchestrated.TestCase
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fine_tuning_fakeserver import FakeFineTuning, Plan
from fine_tuning_formats.job_rules import TERMINAL_STATUSES

from .strategies import faults, plans, training_files


class FineTuningMachine(RuleBasedStateMachine):
    """A fresh fake in `fake`, at pace "manual", with rules for what others and the service may do.

    Time passes; others create, pause, resume and cancel jobs and delete training files; requests fail. Set `meddles`
    or `fails` to False in a subclass to switch these off.
    """

    meddles = True
    """Whether others change the account."""
    fails = True
    """Whether requests may be hit by faults."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeFineTuning(pace="manual", start=1_750_000_000)

    @property
    def transport(self) -> Any:
        """An httpx transport to the fake, in process."""
        return self.fake.transport()

    def ids(self, *statuses: str) -> list[str]:
        """Return the jobs that are in one of *statuses* now, newest first."""
        return [job["id"] for job in self.fake.jobs if job["status"] in statuses]

    @initialize(plan=plans())
    def jobs_go_by(self, plan: Plan) -> None:
        """Set the plan of all jobs."""
        self.fake.plan = plan

    @rule(seconds=st.integers(0, 900))
    def time_passes(self, seconds: int) -> None:
        """Advance by up to a quarter of an hour."""
        self.fake.advance(seconds)

    @precondition(lambda self: self.meddles)
    @rule(file=training_files())
    def somebody_creates_a_job(self, file: bytes) -> None:
        """Create a job that is not from your code."""
        self.fake.add_job(self.fake.add_file(file)["id"], status="validating_files")

    @precondition(lambda self: self.meddles and self.ids("running"))
    @rule(data=st.data())
    def somebody_pauses_a_job(self, data: st.DataObject) -> None:
        """Pause a running job."""
        self.fake.pause_job(data.draw(st.sampled_from(self.ids("running"))))

    @precondition(lambda self: self.meddles and self.ids("paused"))
    @rule(data=st.data())
    def somebody_resumes_a_job(self, data: st.DataObject) -> None:
        """Resume a paused job."""
        self.fake.resume_job(data.draw(st.sampled_from(self.ids("paused"))))

    @precondition(lambda self: self.meddles and any(job["status"] not in TERMINAL_STATUSES for job in self.fake.jobs))
    @rule(data=st.data())
    def somebody_cancels_a_job(self, data: st.DataObject) -> None:
        """Cancel an unfinished job."""
        ids = [job["id"] for job in self.fake.jobs if job["status"] not in TERMINAL_STATUSES]
        self.fake.cancel_job(data.draw(st.sampled_from(ids)))

    @precondition(lambda self: self.meddles and self._files())
    @rule(data=st.data())
    def somebody_deletes_a_file(self, data: st.DataObject) -> None:
        """Delete a training file; a job that still needs it fails."""
        self.fake.delete_file(data.draw(st.sampled_from(self._files())))

    @precondition(lambda self: self.fails)
    @rule(fault=faults())
    def the_service_fails(self, fault: dict[str, Any]) -> None:
        """Arm a fault for the next requests."""
        self.fake.arm(fault)

    def _files(self) -> list[str]:
        return [file["id"] for file in self.fake.files if file["purpose"] == "fine-tune"]
