"""Random requests to the whole API, checked against a model of an account that shares no code with the fake.

The model counts down the remaining work of a job, where the fake computes a timeline, and keeps lists of what exists,
where the fake derives. Each response is also checked against the OpenAPI document.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from strategies import BORN, FORM, GRADER, KEY, ROWS, Http, example_count

pytestmark = pytest.mark.slow

T = TypeVar("T")
Json = dict[str, Any]

ASK, ANSWER = {"role": "user", "content": "Cold?"}, [{"role": "assistant", "content": "Yes."}]
PAIR = json.dumps({"input": {"messages": [ASK]}, "preferred_output": ANSWER, "non_preferred_output": ANSWER}) + "\n"
CONTENT = {"chat": ROWS, "few": ROWS[: len(ROWS) // 10 * 6], "pairs": PAIR * 10, "notes": "no JSONL at all"}
"""Of each but "notes", one half twice is the whole."""
READS = {"supervised": "chat", "dpo": "pairs", "reinforcement": "chat"}
LEARNS = {
    "gpt-4o-mini-2024-07-18": {"supervised", "dpo"},
    "gpt-3.5-turbo-0125": {"supervised"},
    "o4-mini-2025-04-16": {"reinforcement"},
}
LEGAL = {
    "cancel": {"validating_files", "queued", "running", "paused"},
    "pause": {"running"},
    "resume": {"paused"},
}
GENTLE = ("pause", "resume")
TERMINAL = {"succeeded", "failed", "cancelled"}
FOR_EVER = float("inf")
UNTIL_MODELS, UNTIL_LAST_EVENT = 2.0, 7.0
"""Seconds from the end of the training to the job's last event, which is its success."""
FIXED = ("id", "object", "model", "created_at", "training_file", "seed", "metadata", "user_provided_suffix", "eval_id")
"""What a job shows from its first answer on, and for ever."""

picks = st.integers(0, 999)
limits = st.lists(st.sampled_from([1, 2, 3, 7, 40, 1000]), min_size=1, max_size=3)
plans = st.fixed_dictionaries(
    {
        "validating": st.sampled_from([47, 0, 0.5]),
        "queued": st.sampled_from([3, 0, 500]),
        "starting": st.sampled_from([120, 0]),
        "seconds_per_step": st.sampled_from([2, 0, 0.25]),
        "finishing": st.sampled_from([8, 0]),
    },
    optional={"fail_at": st.sampled_from(["validation", "7"])},
)
DEFAULT = {"validating": 47, "queued": 3, "starting": 120, "seconds_per_step": 2, "finishing": 8}


def nth(items: Sequence[T] | Mapping[T, object], pick: int) -> T:
    """One of *items*, which are not empty."""
    return list(items)[pick % len(items)]


def one(there: Sequence[T] | Mapping[T, object], ever: Sequence[T], pick: int) -> T:
    """One that exists; sometimes, or if none exists, one that ever existed."""
    return nth(there if there and pick % 4 else ever, pick // 4)


@dataclass(slots=True)
class Job:
    """The expected job: its remaining phases with their durations, and what was seen of it."""

    born: float
    now: float
    file: str
    steps: int
    queue: float
    phases: list[tuple[str, float]]
    since: float = 0.0
    """When it came to its status."""
    held: list[tuple[str, float]] = field(default_factory=list)
    has_run: bool = False
    has_models: bool = False
    models: set[str] = field(default_factory=set)
    answer: Json = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.since = self.now
        self.has_models = self.status == "succeeded"

    @property
    def status(self) -> str:
        """The job's status; a job that is saving its models counts as running."""
        return "running" if self.phases[0][0] == "ending" else self.phases[0][0]

    @property
    def next(self) -> float:
        """When the next phase begins, without interventions."""
        return self.now + self.phases[0][1]

    def pass_time(self, seconds: float) -> None:
        """Work for some seconds, the last instant included."""
        end = self.now + seconds
        while self.next <= end:
            was, self.now = self.status, self.next
            self.phases.pop(0)
            self.since = self.since if self.status == was else self.now
            self.has_models = self.has_models or self.phases[0][0] == "ending"
        phase, left = self.phases[0]
        self.phases[0] = (phase, left - (end - self.now))
        self.now = end
        self.has_run = self.has_run or phase not in ("validating_files", "queued")

    def take(self, verb: str) -> None:
        """Apply an intervention."""
        if verb == "lose" and self.status == "validating_files":  # it fails when its validation is over
            self.phases = [self.phases[0], ("failed", FOR_EVER)]
            return
        self.since = self.now
        if verb == "pause":
            self.held, self.phases = self.phases, [("paused", FOR_EVER)]
        elif verb == "resume":
            self.phases = [("queued", self.queue), *self.held]
        else:
            self.phases = [({"cancel": "cancelled", "lose": "failed"}[verb], FOR_EVER)]
        self.pass_time(0)


def phases(plan: Mapping[str, Any], steps: int, is_readable: bool = True) -> list[tuple[str, float]]:
    """The phases of a job without interventions."""
    start: list[tuple[str, float]] = [("validating_files", plan["validating"])]
    if not is_readable or plan.get("fail_at") == "validation":
        return [*start, ("failed", FOR_EVER)]
    done = min(int(plan.get("fail_at", steps)), steps)
    work = plan["starting"] + done * plan["seconds_per_step"]
    start.append(("queued", plan["queued"]))
    if "fail_at" in plan:
        return [*start, ("running", work), ("failed", FOR_EVER)]
    start.append(("running", work + plan["finishing"] + UNTIL_MODELS))
    return [*start, ("ending", UNTIL_LAST_EVENT - UNTIL_MODELS), ("succeeded", FOR_EVER)]


@dataclass(slots=True)
class Upload:
    """The expected upload in parts."""

    kind: str
    size: int
    born: float
    parts: list[str] = field(default_factory=list)
    is_over: bool = False


def has_given(prefix: str) -> Callable[[Surface], bool]:
    """A precondition: some id of this kind exists or existed."""
    return lambda machine: len(machine.known(prefix)) > 1


class Surface(RuleBasedStateMachine):
    """Random requests of every kind, checked against the model."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BORN
        self.files: dict[str, float] = {}
        """Those that are there, with the time by which lists sort them."""
        self.kinds: dict[str, str] = {}
        self.expiry: dict[str, float] = {}
        self.jobs: dict[str, Job] = {}
        self.models: dict[str, set[str]] = {}
        """Those that were made and not deleted, with the methods that they learn by."""
        self.uploads: dict[str, Upload] = {}
        self.grants: dict[str, tuple[str, str]] = {}
        self.ids: list[str] = ["file-none", "ftjob-none", "ft:gpt-4o:none::12345678", "cp_none"]
        """Every id that was ever given, and some that never were."""
        self.orders: dict[str, list[str]] = {}

    @initialize(limit=st.none() | st.just(3))
    def begin(self, limit: int | None) -> None:
        """Start an account, with or without a limit of active jobs."""
        self.limit = limit
        self.fake = FakeFineTuning(pace="manual", start=BORN, seed=7, max_active_jobs=limit)
        self.http = Http(self.fake)

    def ask(self, method: str, path: str, body: Any = None, *, refused: int = 0) -> Any:
        """The response to a request; *refused* is the status if it must be refused."""
        return self.http.json(method, path, body, status=refused or 200)

    def known(self, prefix: str) -> list[str]:
        """All ids of a kind that ever existed, newest first, and an unknown one."""
        return [identifier for identifier in reversed(self.ids) if identifier.startswith(prefix)]

    def new(self, identifier: str) -> str:
        """Record an id, which must be new."""
        assert identifier not in self.ids
        self.ids.append(identifier)
        return identifier

    # Files

    @rule(kind=st.sampled_from(sorted(CONTENT)))
    def upload(self, kind: str) -> None:
        """An uploaded file is listed first at once."""
        purpose = "assistants" if kind == "notes" else "fine-tune"
        reply = self.http.upload(CONTENT[kind], "train.jsonl", purpose)
        self.add_file(json.loads(reply.body), kind, self.now)
        assert self.ask("GET", "/files?limit=1")["first_id"] == nth(self.files, -1)

    def add_file(self, file: Json, kind: str, born: float) -> None:
        """A new file has the right members and can be retrieved."""
        assert (file["bytes"], file["created_at"]) == (len(CONTENT[kind]), int(born))
        assert self.ask("GET", f"/files/{file['id']}") == file
        self.files[self.new(file["id"])] = born
        self.kinds[file["id"]] = kind

    @precondition(lambda self: self.kinds)
    @rule(pick=picks)
    def delete_file(self, pick: int) -> None:
        """An existing file can be deleted once, which fails jobs that still need it."""
        needed = [job.file for job in self.jobs.values() if job.status not in TERMINAL and job.file in self.files]
        file = one([*needed, *self.files], self.known("file-"), pick)
        self.download(file)
        self.ask("DELETE", f"/files/{file}", refused=0 if file in self.files else 404)
        for job in self.jobs.values() if self.files.pop(file, None) else ():
            if job.file == file and not job.has_run and job.status not in TERMINAL:
                job.take("lose")
        self.ask("DELETE", f"/files/{file}", refused=404)

    def download(self, file: str) -> None:
        """A downloaded file has its uploaded content, if its purpose allows downloads."""
        kind = self.kinds.get(file)
        status = 404 if file not in self.files else 400 if kind == "notes" else 200
        reply = self.http.send("GET", f"/files/{file}/content")
        assert reply.status == status
        assert status != 200 or kind is None or reply.body.decode() == CONTENT[kind]

    # Uploads in parts

    @rule(
        kind=st.sampled_from(sorted({*READS.values()})),
        halves=st.sampled_from([2, 2, 2, 0, 3]),
        more=st.sampled_from([0, 0, 0, 1]),
    )
    def begin_upload(self, kind: str, halves: int, more: int) -> None:
        """A new upload is empty and open for an hour, and its file expires as requested."""
        size = len(CONTENT[kind]) + more
        body = {"filename": "x.jsonl", "purpose": "fine-tune", "bytes": size, "mime_type": "text/jsonl"}
        made = self.ask("POST", "/uploads", {**body, "expires_after": {"anchor": "created_at", "seconds": 3600}})
        assert (made["status"], made["expires_at"]) == ("pending", int(self.now) + 3600)
        self.uploads[self.new(made["id"])] = Upload(kind, size, self.now)
        for _ in range(halves):
            self.add_part(made["id"])

    def one_upload(self, pick: int) -> str:
        """An open upload if there is one, else any."""
        is_open = [identifier for identifier, upload in self.uploads.items() if self.is_open(upload)]
        return one(is_open, list(self.uploads), pick)

    def is_open(self, upload: Upload) -> bool:
        """Whether an upload still accepts parts."""
        return not upload.is_over and self.now < upload.born + 3600

    def add_part(self, identifier: str) -> None:
        """An open upload accepts parts repeatedly, and others are refused."""
        upload = self.uploads[identifier]
        data = CONTENT[upload.kind][: len(CONTENT[upload.kind]) // 2].encode()
        body = b'--B\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + data + b"\r\n--B--\r\n"
        reply = self.http.send("POST", f"/uploads/{identifier}/parts", body, (KEY, FORM))
        assert reply.status == (200 if self.is_open(upload) else 400)
        if reply.status == 200:
            upload.parts.append(self.new(json.loads(reply.body)["id"]))

    @precondition(lambda self: self.uploads)
    @rule(pick=picks, backwards=st.booleans())
    def complete_upload(self, pick: int, backwards: bool) -> None:
        """An upload whose two parts add up to its size becomes a file."""
        upload = self.uploads[identifier := self.one_upload(pick)]
        is_whole = len(upload.parts) >= 2 and upload.size == len(CONTENT[upload.kind])
        newest = upload.parts[-2:]
        body = {"part_ids": newest[::-1] if backwards else newest}
        refused = 0 if self.is_open(upload) and is_whole else 400
        answer = self.ask("POST", f"/uploads/{identifier}/complete", body, refused=refused)
        if not refused:
            upload.is_over = True
            self.add_file(answer["file"], upload.kind, upload.born)
            self.expiry[answer["file"]["id"]] = upload.born + 3600

    @precondition(lambda self: self.uploads)
    @rule(pick=picks)
    def cancel_upload(self, pick: int) -> None:
        """An open upload can be cancelled, and later parts are refused."""
        upload = self.uploads[identifier := self.one_upload(pick)]
        self.ask("POST", f"/uploads/{identifier}/cancel", refused=0 if self.is_open(upload) else 400)
        upload.is_over = True
        self.add_part(identifier)

    # Jobs

    @rule(file=picks, model=picks, method=st.sampled_from([*READS]), epochs=st.integers(1, 4), plan=plans)
    def create(self, file: int, model: int, method: str, epochs: int, plan: Json) -> None:
        """A job is created, or refused for its file, model or the limit, in this order."""
        asked = nth([*LEARNS, *self.known("ft:")], model)
        training = nth(self.known("file-"), file)
        answer = self.ask_for_job(asked, training, method, epochs, plan)
        if refusal := self.refusal(training, asked, method):
            assert (answer["error"]["param"], answer["error"]["code"]) == refusal
            return
        is_readable = self.kinds[training] == READS[method]
        job = Job(self.now, self.now, training, 10 * epochs, plan["queued"], phases(plan, 10 * epochs, is_readable))
        self.add_job(job, answer)
        assert self.ask("GET", "/fine_tuning/jobs?limit=1")["data"] == [answer]

    @rule(model=picks, epochs=st.integers(1, 4), plan=plans)
    def create_soundly(self, model: int, epochs: int, plan: Json) -> None:
        """Create a job on a valid new file and any existing model."""
        asked = nth({**LEARNS, **self.models}, model)
        method = nth(sorted(self.methods_of(asked)), epochs)
        self.upload(READS[method])
        self.create(0, [*LEARNS, *self.known("ft:")].index(asked), method, epochs, plan)

    def ask_for_job(self, model: str, file: str, method: str, epochs: int, plan: Mapping[str, Any]) -> Json:
        """The response to a job's creation, with its plan in the metadata."""
        grader = {"grader": GRADER} if method == "reinforcement" else {}
        parts = {"type": method, method: {**grader, "hyperparameters": {"n_epochs": epochs, "batch_size": 1}}}
        metadata = {f"fake_{name}": str(value) for name, value in plan.items()}
        body = {"model": model, "training_file": file, "method": parts, "metadata": metadata}
        answer: Json = json.loads(self.http.send("POST", "/fine_tuning/jobs", body).body)
        return answer

    def refusal(self, file: str, model: str, method: str) -> tuple[str | None, str | None] | None:
        """The param and code with which a job must be refused, or None."""
        if file not in self.files or self.kinds.get(file, "notes") == "notes":
            return "training_file", None
        if method not in (LEARNS | self.models).get(model, ()):
            return None, "model_not_available"
        active = [job for job in self.jobs.values() if job.status not in TERMINAL and job.answer["model"] == model]
        return (None, "rate_limit_exceeded") if self.limit is not None and len(active) >= self.limit else None

    def add_job(self, job: Job, answer: Json) -> None:
        """A new job has its status, and no results yet."""
        job.answer = answer
        job.pass_time(0)
        assert (answer["status"], answer["created_at"]) == (job.status, int(job.born))
        self.jobs[self.new(answer["id"])] = job
        self.name_models(answer["id"])
        if job.status == "succeeded":
            self.bear(answer["id"])

    @precondition(lambda self: self.jobs)
    @rule(pick=picks)
    def steer(self, pick: int) -> None:
        """An intervention that the status allows takes effect at once, and others are refused."""
        apt = [(known, verb) for known, job in self.jobs.items() for verb in GENTLE if job.status in LEGAL[verb]]
        identifier, verb = one(apt, [(known, verb) for known in self.known("ftjob-") for verb in LEGAL], pick)
        job = self.jobs.get(identifier)
        legal = job is not None and job.status in LEGAL[verb]
        answer = self.ask("POST", f"/fine_tuning/jobs/{identifier}/{verb}", refused=0 if legal else 400 if job else 404)
        if job and legal:
            job.take(verb)
            assert answer["status"] == job.status

    @precondition(lambda self: self.jobs)
    @rule(pick=picks, cuts=limits)
    def look(self, pick: int, cuts: list[int]) -> None:
        """Reading a job shows its expected state and history."""
        self.look_at(nth(self.jobs, pick), cuts)

    def look_at(self, identifier: str, cuts: list[int]) -> None:
        """Check one job on all of its routes."""
        job, path = self.jobs[identifier], f"/fine_tuning/jobs/{identifier}"
        answer = self.ask("GET", path)
        assert answer["status"] == job.status
        assert [answer[name] for name in FIXED] == [job.answer[name] for name in FIXED]
        assert job.answer["status"] not in TERMINAL or answer == job.answer
        assert (answer["error"] != {}) == (job.status == "failed")
        assert bool(answer["fine_tuned_model"] and answer["result_files"]) == (job.status == "succeeded")
        assert len(self.walk(f"{path}/checkpoints", cuts)) == (min(3, job.steps // 10) if answer["finished_at"] else 0)
        job.answer = answer
        self.look_at_events(job, self.walk(f"{path}/events", cuts))

    def look_at_events(self, job: Job, events: list[Json]) -> None:
        """Events are only added, never changed; each step comes once, and all before success."""
        texts = [json.dumps(event) for event in events]
        assert texts[len(texts) - len(job.events) :] == job.events
        job.events = texts
        assert all(newer["created_at"] >= older["created_at"] for newer, older in pairwise(events))
        assert job.status in ("running", "cancelled") or events[0]["created_at"] == int(job.since)
        steps = [event["data"]["step"] for event in events if event["type"] == "metrics"]
        assert steps == list(range(len(steps), 0, -1))
        assert len(steps) == job.steps or job.status != "succeeded"

    # Time

    @rule(seconds=st.sampled_from([0, 0.25, 1, 170, 3600]))
    def advance(self, seconds: float) -> None:
        """Advance time."""
        self.pass_time(seconds)

    @precondition(lambda self: self.turns())
    @rule(pick=picks, early=st.sampled_from([0, 0, 0.25]))
    def advance_to_a_turn(self, pick: int, early: float) -> None:
        """Advance time to the next change, or to just before it."""
        self.pass_time(max(nth(self.turns(), pick) - early, 0))

    def turns(self) -> list[float]:
        """In how many seconds something changes by itself."""
        ends = [*self.expiry.values(), *(upload.born + 3600 for upload in self.uploads.values() if not upload.is_over)]
        work = [job.phases[0][1] for job in self.jobs.values() if job.phases[0][1] < FOR_EVER]
        return work + [end - self.now for end in ends if end > self.now]

    def pass_time(self, seconds: float) -> None:
        """Advance time in the fake and in the model, and check what has appeared."""
        self.now += seconds
        assert self.fake.advance(seconds) == self.now
        for identifier, job in self.jobs.items():
            was = job.status
            job.pass_time(seconds)
            self.name_models(identifier)
            if job.status == "succeeded" != was:
                self.bear(identifier)
        for file in [file for file, until in self.expiry.items() if until <= self.now]:
            self.files.pop(file, None)

    def name_models(self, identifier: str) -> None:
        """A job that has saved its models has named them, and their names are new."""
        job, path = self.jobs[identifier], f"/fine_tuning/jobs/{identifier}"
        if job.has_models and not job.models:
            texts = [event["message"] for event in self.walk(f"{path}/events", [40])]
            job.models = {text.rpartition(" ")[2] for text in texts if "model created: " in text or "Snapshot" in text}
            for model in job.models:
                self.models[self.new(model)] = self.methods_of(job.answer["model"])

    def bear(self, identifier: str) -> None:
        """A succeeded job has a new result file, and checkpoints of the models it named."""
        job, path = self.jobs[identifier], f"/fine_tuning/jobs/{identifier}"
        answer = self.ask("GET", path)
        (result,) = answer["result_files"]
        plain = base64.b64decode(self.http.send("GET", f"/files/{result}/content").body)
        assert len(plain) == self.ask("GET", f"/files/{result}")["bytes"]
        assert plain.count(b"\n") == job.steps + 1
        assert job.born <= answer["finished_at"] + 1 <= self.now + 1
        self.files[self.new(result)] = answer["finished_at"] + 3
        points = self.walk(f"{path}/checkpoints", [1])
        assert points[0]["fine_tuned_model_checkpoint"] == answer["fine_tuned_model"]
        assert [point["step_number"] for point in points] == [*range(job.steps, 0, -10)][:3]
        assert {point["fine_tuned_model_checkpoint"] for point in points} == job.models

    def methods_of(self, model: str) -> set[str]:
        """The training methods that a model accepts."""
        return next(methods for base, methods in LEARNS.items() if model == base or f"ft:{base}:" in model)

    # Models

    @precondition(has_given("ft:"))
    @rule(pick=picks)
    def delete_model(self, pick: int) -> None:
        """A fine-tuned model can be deleted once, and its job still names it."""
        model = one(self.models, [*self.known("ft:"), "gpt-4o-mini"], pick)
        self.chat(model)
        self.ask("DELETE", f"/models/{model}", refused=0 if model in self.models else 404)
        self.models.pop(model, None)
        self.ask("DELETE", f"/models/{model}", refused=404)
        self.chat(model)

    def chat(self, model: str) -> None:
        """An existing model can be retrieved and called, and others are unknown."""
        refused = 0 if model == "gpt-4o-mini" or model in self.models else 404
        self.ask("GET", f"/models/{model}", refused=refused)
        answer = self.ask("POST", "/chat/completions", {"model": model, "messages": [ASK]}, refused=refused)
        assert refused or answer["model"] == model

    @precondition(has_given("ft:"))
    @rule(pick=picks, projects=st.lists(st.sampled_from(["proj_a", "proj_b", "proj_c"]), min_size=1, max_size=3))
    def grant(self, pick: int, projects: list[str]) -> None:
        """Projects can be granted an existing model, and a repeated grant is the same permission."""
        self.grant_to(projects, one(self.models, self.known("ft:"), pick))

    def grant_to(self, projects: list[str], model: str) -> None:
        """Grant permissions, some of which may exist."""
        path, refused = f"/fine_tuning/checkpoints/{model}/permissions", 0 if model in self.models else 404
        answer = self.ask("POST", path, {"project_ids": projects}, refused=refused)
        for each in [] if refused else answer["data"]:
            if (model, each["project_id"]) not in self.grants.values():
                self.grants[self.new(each["id"])] = (model, each["project_id"])
            assert self.grants[each["id"]] == (model, each["project_id"])
        assert refused or [each["project_id"] for each in answer["data"]] == list(dict.fromkeys(projects))

    @precondition(has_given("cp_"))
    @rule(pick=picks, again=st.booleans())
    def revoke(self, pick: int, again: bool) -> None:
        """A permission can be revoked once, and granting again gives a new one."""
        permission = one(self.grants, self.known("cp_"), pick)
        model, project = self.grants.get(permission, (nth(self.known("ft:"), pick), "proj_a"))
        there = permission in self.grants and model in self.models
        path = f"/fine_tuning/checkpoints/{model}/permissions/{permission}"
        self.ask("DELETE", path, refused=0 if there else 404)
        self.grants = {known: given for known, given in self.grants.items() if not there or known != permission}
        if again:
            self.grant_to([project], model)

    # Seeding

    @rule(status=st.sampled_from([*sorted(LEGAL["cancel"] | TERMINAL), "succeeded"]), epochs=st.integers(1, 4))
    def seed(self, status: str, epochs: int) -> None:
        """A job can be seeded in any status, as if it had just reached it."""
        self.add_file(file := self.fake.add_file(CONTENT["chat"]), "chat", self.now)
        way = phases(DEFAULT | ({"fail_at": "validation"} if status == "failed" else {}), 10 * epochs)
        seeded = self.fake.add_job(file["id"], status=status, hyperparameters={"n_epochs": epochs})
        reached = {"cancelled": "validating_files", "paused": "running"}.get(status, status)
        place = [each for each, _ in way].index(reached)
        born = self.now - sum(length for _, length in way[:place])
        job = Job(born, self.now, file["id"], 10 * epochs, 3, way[place:], has_run=place > 1)
        if status in ("cancelled", "paused"):
            job.take({"cancelled": "cancel", "paused": "pause"}[status])
        self.add_job(job, seeded)

    @precondition(lambda self: self.files)
    @rule(pick=picks)
    def seed_badly(self, pick: int) -> None:
        """An existing id, or an unknown file, cannot be seeded."""
        with pytest.raises(FakeUsageError):
            self.fake.add_file(ROWS, id=nth(self.files, pick))
        with pytest.raises(FakeUsageError):
            self.fake.add_job("file-none", status="queued")

    # Lists

    def walk(self, path: str, cuts: list[int], query: str = "") -> list[Json]:
        """All items of a list in pages of these lengths; every page but the last is full."""
        items: list[Json] = []
        for turn in range(2000):
            limit = cuts[turn % len(cuts)]
            after = f"&after={items[-1]['id']}" if items else ""
            page = self.ask("GET", f"{path}?limit={limit}{after}&{query}")
            items += page["data"]
            ends = [item["id"] for item in page["data"][:1] + page["data"][-1:]] or [None, None]
            assert [page.get("first_id", ends[0]), page.get("last_id", ends[1])] == ends
            assert len(page["data"]) == limit or not page["has_more"]
            assert page["data"] or not items, "the page before said that there is more"
            if not page["has_more"]:
                return items
        raise AssertionError(f"{path} never ends")

    @rule(cuts=limits, purpose=st.sampled_from(["fine-tune", "fine-tune-results", "assistants"]))
    def page(self, cuts: list[int], purpose: str) -> None:
        """A list is the same with any page lengths, filters and orders."""
        assert self.walk("/fine_tuning/jobs", cuts) == self.ask("GET", "/fine_tuning/jobs?limit=1000")["data"]
        whole: list[Json] = self.ask("GET", "/files")["data"]
        assert self.walk("/files", cuts) == whole
        assert self.walk("/files", cuts, "order=asc") == whole[::-1]
        wanted = [file for file in whole if file["purpose"] == purpose]
        assert self.walk("/files", cuts, f"purpose={purpose}") == wanted
        for model in self.models:
            self.page_permissions(model, cuts)

    def page_permissions(self, model: str, cuts: list[int]) -> None:
        """A model's permissions are listed in the order of their grants, or reversed."""
        granted = [permission for permission, (given, _) in self.grants.items() if given == model]
        path = f"/fine_tuning/checkpoints/{model}/permissions"
        assert [each["id"] for each in self.walk(path, cuts)] == granted[::-1]
        assert [each["id"] for each in self.walk(path, cuts, "order=ascending")] == granted

    @invariant()
    def what_is_there(self) -> None:
        """Files, jobs and models are exactly the expected ones, newest first."""
        jobs = self.ask("GET", "/fine_tuning/jobs?limit=1000")["data"]
        assert {job["id"]: job["status"] for job in jobs} == {known: job.status for known, job in self.jobs.items()}
        self.check_order("jobs", jobs, {known: job.born for known, job in self.jobs.items()})
        self.check_order("files", self.ask("GET", "/files")["data"], self.files)
        models = {model["id"] for model in self.ask("GET", "/models")["data"]}
        assert {model for model in models if model.startswith("ft:")} == set(self.models)
        assert self.fake.now == self.now

    def check_order(self, name: str, items: list[Json], born: Mapping[str, float]) -> None:
        """A list has the expected items, newest first, and never changes their order."""
        ids = [item["id"] for item in items]
        assert sorted(ids) == sorted(born)
        assert [born[known] for known in ids] == sorted(born.values(), reverse=True)
        before = self.orders.get(name, [])
        assert [known for known in ids if known in before] == [known for known in before if known in born]
        self.orders[name] = ids

    def teardown(self) -> None:
        """Check everything again at the end."""
        for identifier in self.jobs:
            self.look_at(identifier, [1, 1, 40])
        if self.jobs:
            self.page([1, 2, 1000], "fine-tune")


TestSurface = Surface.TestCase
TestSurface.settings = settings(
    max_examples=example_count(60, 2000),
    stateful_step_count=example_count(30, 50),
    deadline=None,
    report_multiple_bugs=False,
)
