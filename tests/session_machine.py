"""Random sessions with the fake, as a Hypothesis state machine."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account.service import Service
from strategies import BORN, Http

PATHS = ("", "/events?limit=1000", "/checkpoints")


def answers(http: Http) -> dict[str, bytes]:
    """The responses to every read of the account."""
    jobs = http.json("GET", "/fine_tuning/jobs?limit=1000")["data"]
    files = http.json("GET", "/files")["data"]
    models = http.json("GET", "/models")["data"]
    paths = [
        *("/fine_tuning/jobs?limit=1000", "/files", "/models"),
        *(f"/fine_tuning/jobs/{job['id']}{path}" for job in jobs for path in PATHS),
        *(f"/files/{file['id']}" for file in files),
        *(f"/files/{file['id']}/content" for file in files),
        *(f"/models/{model['id']}" for model in models if model["id"].startswith("ft:")),
    ]
    return {path: http.send("GET", path).body for path in paths}


class Session(RuleBasedStateMachine):
    """Random requests; at any point, replaying their records into an empty account gives the same responses."""

    def __init__(self) -> None:
        super().__init__()
        self.http = Http(FakeFineTuning(pace="manual", start=BORN, seed=7))
        self.files: list[str] = []
        self.jobs: list[str] = []

    @rule()
    def upload(self) -> None:
        """Upload a training file."""
        self.files.append(self.http.file())

    @precondition(lambda self: self.files)
    @rule(data=st.data(), epochs=st.integers(1, 3), outcome=st.sampled_from(["succeeded", "failed"]))
    def create(self, data: st.DataObject, epochs: int, outcome: str) -> None:
        """Create a job on a file that may have been deleted."""
        body = {
            "training_file": data.draw(st.sampled_from(self.files)),
            "model": "gpt-4o-mini",
            "hyperparameters": {"n_epochs": epochs},
            "metadata": {"fake_outcome": outcome, "team": data.draw(st.sampled_from("ab"))},
        }
        reply = self.http.send("POST", "/fine_tuning/jobs", body)
        assert reply.status in (200, 400)
        if reply.status == 200:
            self.jobs.append(json.loads(reply.body)["id"])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), verb=st.sampled_from(["cancel", "pause", "resume"]))
    def intervene(self, data: st.DataObject, verb: str) -> None:
        """Cancel, pause or resume a job, whether its state allows it or not."""
        job = data.draw(st.sampled_from(self.jobs))
        assert self.http.send("POST", f"/fine_tuning/jobs/{job}/{verb}").status in (200, 400)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete_file(self, data: st.DataObject) -> None:
        """Delete a file that may be in use or already deleted."""
        file = data.draw(st.sampled_from(self.files))
        assert self.http.send("DELETE", f"/files/{file}").status in (200, 404)

    @rule(seconds=st.sampled_from([0, 1, 47, 50, 130, 1000]))
    def advance(self, seconds: int) -> None:
        """Advance virtual time."""
        self.http.fake.advance(seconds)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def delete_model(self, data: st.DataObject) -> None:
        """Delete a fine-tuned model."""
        model = self.http.json("GET", "/models")["data"][-1]["id"]
        self.http.send("DELETE", f"/models/{model}")

    @rule(curve=st.sampled_from(["healthy", "overfit"]))
    def plan(self, curve: str) -> None:
        """Change the plan of later jobs."""
        self.http.fake.plan = {"curve": curve}

    @rule(model=st.sampled_from(["gpt-4o-mini", "gpt-4.1-mini-2025-04-14"]), curve=st.sampled_from(["plateau", "nan"]))
    def plan_for_a_model(self, model: str, curve: str) -> None:
        """Change the plan of later jobs of a model."""
        self.http.fake.plan_when(model=model, curve=curve)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def replan(self, data: st.DataObject) -> None:
        """Change the plan of an existing job."""
        try:
            self.http.fake.plan_job(data.draw(st.sampled_from(self.jobs)), seconds_per_step=1, fail_at=9)
        except FakeUsageError:
            pass  # nothing was left to plan

    @invariant()
    def replays(self) -> None:
        """The records give an identical account, byte for byte."""
        service: Service = self.http.fake._world.service
        twin = FakeFineTuning(pace="manual", start=BORN, seed=7)
        twin._world.service.replay(service.journal)
        assert answers(Http(twin)) == answers(self.http)
