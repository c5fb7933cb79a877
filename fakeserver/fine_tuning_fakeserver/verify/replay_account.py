"""An account of the fake in which a recording takes place: filled before its first request, steered on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..account.records import FileDeleted
from ..account.world import World
from ..api import files
from ..control import seeding, seeds, steering
from ..settings import Settings
from ..usage_errors import FakeUsageError
from ..web.app import create_app
from ..web.endpoints import PATHS
from ..web.in_process import InProcessResponse, call_app
from . import placeholder_content, seed_from_recording
from .inferred_state import InferredJob, InferredState
from .observed_objects import EVENT, FILE, JOB, Placeholder, created_object, objects_in
from .partial_evidence import NO_FILE
from .recording import Json, RecordedExchange
from .route_of import operation_of

KIND_MADE = {
    "upload_file": "file",
    "complete_upload": "file",
    "create_upload": "upload",
    "add_upload_part": "part",
    "create_job": "job",
}


class ReplayAccount:
    """An account with what the facts say; `problems` are the facts that it did not take.

    Args:
        facts: what requests do not tell.
        settings: further settings of the account, such as a dialect's.
    """

    def __init__(self, facts: InferredState, settings: Mapping[str, Any] | None = None) -> None:
        self.problems: list[str] = []
        self._facts = facts
        told = {"start": float(facts.start), "models": seed_from_recording.model_catalogue(facts), **facts.account}
        self._world = World(Settings(**{**told, **(settings or {}), "pace": "manual"}), paths=PATHS)
        self._app = create_app(self._world)
        self._fill()

    def ask(self, exchange: RecordedExchange, headers: Mapping[str, str], body: bytes) -> InProcessResponse:
        """The fake's answer to a recorded request, at its time and under the ids that were given then."""
        thing = created_object(exchange)
        operation = operation_of(exchange)
        self._move_time(exchange, thing, operation.name if operation else "")
        if thing is not None and operation is not None:
            self._name(KIND_MADE[operation.name], thing)
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        target = exchange.target.encode("ascii", "replace")
        reply = call_app(self._app, exchange.method, target, pairs, body)
        if thing is not None and thing["object"] in (FILE, JOB):
            self._settle(thing, reply.status == 200)
        return reply

    def _fill(self) -> None:
        for file in self._facts.files:
            self._put_file(file)
        for file in self._facts.needed:
            self._put_file(file)
        borrowed = self._borrow(self._facts.jobs)
        for job in self._facts.jobs:
            self._put_job(job)
        for filler in self._facts.fillers:
            self._put_filler(filler)
        # The files of those jobs are gone by now, as far as the recording shows.
        self._world.service.commit(*(FileDeleted(identifier) for identifier in borrowed))

    def _put_file(self, told: Json) -> None:
        if told["id"] in self._world.account.files:
            return
        size, purpose = told.get("bytes", 1000), told.get("purpose", "fine-tune")
        until, now = told.get("expires_at"), self._world.now
        after = None if until is None else int(until - now)
        data = self._facts.data_of(told["id"])
        try:
            content = placeholder_content.content(size, data)
        except (OSError, OverflowError) as error:
            self.problems.append(f"{told['id']} could not be put in: {error}")
            return
        upload = files.NewFile(content, told.get("filename", "recorded.jsonl"), purpose, after)
        dataset = placeholder_content.dataset(purpose, data)
        files.store_file(self._world.service, upload, dataset, told["id"], told.get("created_at"))

    def _borrow(self, jobs: Iterable[InferredJob]) -> list[str]:
        """Put in the files that jobs were made with, and that are not there; they are to be given back."""
        named = {
            str(job.first[name]) for job in jobs for name in ("training_file", "validation_file") if job.first.get(name)
        }
        borrowed = sorted({*named, NO_FILE} - self._world.account.files.keys())
        for identifier in borrowed:
            self._put_file({"id": identifier})
        return borrowed

    def _put_filler(self, filler: Placeholder) -> None:
        if filler.kind == FILE:
            purpose = filler.purpose or "assistants"
            self._put_file({"id": filler.id, "purpose": purpose, "created_at": filler.created_at})
            return
        seed = {"id": filler.id, "training_file": NO_FILE, "created_at": filler.created_at, "status": "cancelled"}
        try:
            seeding.seed_job(self._world.service, seeds.JobSeed.model_validate(seed))
        except FakeUsageError as error:
            self.problems.append(f"{filler.id} could not be put in: {error}")

    def _put_job(self, job: InferredJob) -> None:
        try:
            seed = seed_from_recording.seed_of(job)
            try:
                seeding.seed_job(self._world.service, seed)
            except FakeUsageError:
                seeding.seed_job(self._world.service, seed_from_recording.without_times(seed))
        except FakeUsageError as error:
            self.problems.append(f"{job.first['id']} could not be put in: {error}")

    def _move_time(self, exchange: RecordedExchange, thing: Json | None, operation: str) -> None:
        """Let as much time pass as the answer shows has passed."""
        if thing is not None:
            self._advance(float(thing["created_at"]))
        if operation == "pause_job" and exchange.status == 200:
            self._advance_to("running", exchange.path.split("/")[-2])
        if operation == "delete_file":
            self._outlive(exchange.path.split("/")[-1])
        if exchange.method != "GET":
            return
        for event in objects_in(exchange.answer, EVENT):
            self._advance(float(event["created_at"]))
        for file in objects_in(exchange.answer, FILE):
            if file.get("status") == "processed":
                self._advance(file["created_at"] + self._world.account.dialect.unready[1])
        self._reach_cursor(exchange)
        for job in objects_in(exchange.answer, JOB):
            self._advance_to(job["status"], job["id"])

    def _reach_cursor(self, exchange: RecordedExchange) -> None:
        """Let the event happen that a page of events begins after."""
        job = self._world.account.jobs.get(exchange.path.split("/")[-2])
        ordinal = job.event_ordinal(exchange.query.get("after", "")) if job else None
        if job is None or ordinal is None:
            return
        try:
            self._advance(job.timeline().event(ordinal).at)
        except IndexError:
            pass  # it never happens here: the answer will differ, and say so

    def _outlive(self, file_id: str) -> None:
        """Let the jobs begin that went on after their file was deleted: before, they would have failed."""
        for job_id, job in self._facts.made_jobs.items():
            if job.first.get("training_file") == file_id and job.last["status"] in ("running", "paused", "succeeded"):
                self._advance_to("running", job_id)

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

    def _name(self, kind: str, thing: Json) -> None:
        job = self._facts.made_jobs.get(thing["id"]) if kind == "job" else None
        try:
            if job is None:
                seeding.name_next(self._world.service, kind, thing["id"])
            else:
                seeding.name_next(
                    self._world.service, kind, thing["id"], job.first.get("seed"), seed_from_recording.overrides_of(job)
                )
        except FakeUsageError as error:
            self.problems.append(str(error))

    def _settle(self, thing: Json, is_made: bool) -> None:
        """Let a new job go as it went; what the fake refused to make is put in, for the requests that follow."""
        job = self._facts.made_jobs.get(thing["id"])
        if job is not None and is_made:
            self._plan(job)
        elif job is not None:
            self._put_job(job)
        elif not is_made:
            self._put_file(thing)

    def _plan(self, facts: InferredJob) -> None:
        job = self._world.account.jobs.get(facts.first["id"])
        if job is None:
            return
        changes = seed_from_recording.plan_of(facts, job.spec.lengths, job.spec.steps)
        plan = job.spec.plan
        if any(getattr(plan, name) != value for name, value in changes.items()):
            try:
                steering.set_job_plan(self._world.service, job.id, changes)
            except FakeUsageError as error:
                self.problems.append(str(error))
