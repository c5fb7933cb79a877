"""The account in which a recording is replayed: filled before its first request, steered on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..account.records import FileDeleted
from ..account.world import World
from ..api import files
from ..control import seeding, seeds, steering
from ..settings import Settings
from ..usage_errors import FakeUsageError
from ..web.app import create_app
from ..web.in_process import InProcessResponse, call_app
from ..web.operations import PATHS
from . import missing_bodies, seed_from_recording
from .inferred_state import InferredJob, InferredState
from .observed_objects import EVENT, FILE, JOB, NO_FILE, PART, UPLOAD, Placeholder, created_object, objects_in
from .recording import Json, RecordedExchange

ID_KINDS = {FILE: "file", JOB: "job", UPLOAD: "upload", PART: "part"}
"""What `seeding.reserve_next_id` calls the kinds of objects."""


class ReplayAccount:
    """An account with the inferred state; `problems` are the facts that it did not take.

    Args:
        state: what requests do not tell.
        settings: further settings of the account, such as a dialect's.
    """

    def __init__(self, state: InferredState, settings: Mapping[str, Any] | None = None) -> None:
        self.problems: list[str] = []
        self._state = state
        inferred = {"start": float(state.start), "models": seed_from_recording.model_catalogue(state), **state.account}
        self._world = World(Settings(**{**inferred, **(settings or {}), "pace": "manual"}), paths=PATHS)
        self._app = create_app(self._world)

        for file in (*state.files, *state.named_files):
            self._add_file(file)
        fields = ("training_file", "validation_file")
        named = {str(job.first[name]) for job in state.jobs for name in fields if job.first.get(name)}
        missing = sorted({*named, NO_FILE} - self._world.account.files.keys())
        for file_id in missing:
            self._add_file({"id": file_id})
        for job in state.jobs:
            self._add_job(job)
        for placeholder in state.placeholders:
            self._add_placeholder(placeholder)
        # The files of those jobs are gone by now, as far as the recording shows.
        self._world.service.commit(*(FileDeleted(file_id) for file_id in missing))

    def send(self, exchange: RecordedExchange, headers: Mapping[str, str], body: bytes) -> InProcessResponse:
        """Send a recorded request at its time, and under its recorded ids; return the fake's answer."""
        created = created_object(exchange)
        if created is not None:
            self._advance(float(created["created_at"]))
        self._move_time(exchange)
        if created is not None:
            job = self._state.created_jobs.get(created["id"])
            of_job = (job.first.get("seed"), seed_from_recording.overrides_of(job)) if job else ()
            with self._noting_problems():
                seeding.reserve_next_id(self._world.service, ID_KINDS[created["object"]], created["id"], *of_job)
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        response = call_app(self._app, exchange.method, exchange.target.encode("ascii", "replace"), pairs, body)
        if created is not None:
            self._settle(created, is_created=response.status == 200)
        return response

    @contextmanager
    def _noting_problems(self, subject: str = "") -> Iterator[None]:
        """Note a fact that the account does not take."""
        try:
            yield
        except (FakeUsageError, OSError, OverflowError) as error:
            self.problems.append(f"{subject} could not be put in: {error}" if subject else str(error))

    def _add_file(self, file: Json) -> None:
        if file["id"] in self._world.account.files:
            return
        size, purpose = file.get("bytes", 1000), file.get("purpose", "fine-tune")
        expires_at, now = file.get("expires_at"), self._world.now
        expires_after = None if expires_at is None else int(expires_at - now)
        shape = self._state.dataset_of(file["id"])
        with self._noting_problems(file["id"]):
            content = missing_bodies.placeholder_blob(size, shape)
            new = files.NewFile(content, file.get("filename", "recorded.jsonl"), purpose, expires_after)
            dataset = missing_bodies.placeholder_dataset(purpose, shape)
            files.store_file(self._world.service, new, dataset, file["id"], file.get("created_at"))

    def _add_placeholder(self, placeholder: Placeholder) -> None:
        item = {"id": placeholder.id, "created_at": placeholder.created_at}
        if placeholder.kind == FILE:
            self._add_file({**item, "purpose": placeholder.purpose or "assistants"})
            return
        seed = {**item, "training_file": NO_FILE, "status": "cancelled"}
        with self._noting_problems(placeholder.id):
            seeding.seed_job(self._world.service, seeds.JobSeed.model_validate(seed))

    def _add_job(self, job: InferredJob) -> None:
        with self._noting_problems(job.first["id"]):
            seed = seed_from_recording.seed_of(job)
            try:
                seeding.seed_job(self._world.service, seed)
            except FakeUsageError:
                seeding.seed_job(self._world.service, seed_from_recording.without_times(seed))

    def _move_time(self, exchange: RecordedExchange) -> None:
        """Let as much time pass as the answer shows has passed."""
        if exchange.operation == "pause_job" and exchange.status == 200:
            self._advance_to("running", exchange.path.split("/")[-2])
        if exchange.operation == "delete_file":  # a job that went on must have begun: before, it would have failed
            for job_id, inferred in self._state.created_jobs.items():
                went_on = inferred.last["status"] in ("running", "paused", "succeeded")
                if went_on and inferred.first.get("training_file") == exchange.path.split("/")[-1]:
                    self._advance_to("running", job_id)
        if exchange.method != "GET":
            return
        for event in objects_in(exchange.json, EVENT):
            self._advance(float(event["created_at"]))
        for file in objects_in(exchange.json, FILE):
            if file.get("status") == "processed":
                self._advance(file["created_at"] + self._world.account.dialect.new_file_status[1])
        job = self._world.account.jobs.get(exchange.path.split("/")[-2])
        ordinal = job.event_ordinal(exchange.query.get("after", "")) if job else None
        if job is not None and ordinal is not None:  # the event has happened that the page begins after
            try:
                self._advance(job.timeline().event(ordinal).at)
            except IndexError:
                pass  # it never happens here: the answer will differ, and say so
        for shown in objects_in(exchange.json, JOB):
            self._advance_to(shown["status"], shown["id"])

    def _advance(self, to: float) -> None:
        if (by := to - self._world.now) > 0:
            steering.advance(self._world.service, by)

    def _advance_to(self, status: str, job_id: str) -> None:
        job = self._world.account.jobs.get(job_id)
        if job is None or job.timeline().status(self._world.now) == status:
            return
        try:
            steering.advance_to(self._world.service, status, job_id)
        except FakeUsageError:
            pass  # it does not get there by itself: the answer will differ, and say so

    def _settle(self, created: Json, *, is_created: bool) -> None:
        """Let a new job go as it went; put in what the fake refused to create, for the requests that follow."""
        inferred = self._state.created_jobs.get(created["id"])
        if inferred is None:
            if created["object"] == FILE and not is_created:
                self._add_file(created)
            return
        if not is_created:
            self._add_job(inferred)
        elif job := self._world.account.jobs.get(created["id"]):
            changes = seed_from_recording.plan_changes(inferred, job.spec.durations, job.spec.steps)
            if any(getattr(job.spec.plan, name) != value for name, value in changes.items()):
                with self._noting_problems():
                    steering.set_job_plan(self._world.service, job.id, changes)
