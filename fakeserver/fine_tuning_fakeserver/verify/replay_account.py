"""The account in which a recording is replayed: filled before its first request, steered on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from fine_tuning_formats.job_rules import base_model

from ..account.records import FileDeleted
from ..account.world import World
from ..api import files
from ..control import seeding, steering
from ..control.seeding import JobSeed
from ..domain.base_models import BASE_MODELS, MODELS_BY_ID, BaseModel
from ..domain.job import CheckpointOverride, Overrides
from ..domain.job_spec import PhaseDurations
from ..domain.plan import Plan
from ..domain.timeline import TERMINAL
from ..settings import Settings
from ..usage_errors import FakeUsageError
from ..web.app import create_app
from ..web.in_process import InProcessResponse, call_app
from ..web.operations import PATHS
from . import missing_bodies
from .azure_objects import OWN
from .inferred_state import STARTED, VALIDATED, InferredJob, InferredState, JobHistory
from .observed_objects import CREATED, EVENT, FILE, JOB, NO_FILE, PART, UPLOAD, created_object, objects_in
from .recording import Json, RecordedExchange

ID_KINDS = {FILE: "file", JOB: "job", UPLOAD: "upload", PART: "part"}
"""What `seeding.reserve_next_id` calls the kinds of objects."""

LONGEST = 2**63 - 1
"""The largest integer that an answer can have."""

FINAL_FIELDS = ("finished_at", "fine_tuned_model", "result_files", "trained_tokens")
CHECKPOINT_FIELDS = ("id", "created_at", "step_number", "fine_tuned_model_checkpoint", "metrics")
LONG = 1e8
"""Seconds in which an unfinished job of which no more is known does not go on by itself."""

_AT_ONCE: dict[str, float] = {"validating": 0, "queued": 0, "starting": 0, "seconds_per_step": 0, "finishing": 0}
DURATIONS_BY_STATUS = {
    "validating_files": {"validating": LONG},
    "queued": {"validating": 0, "queued": LONG},
    "running": {**_AT_ONCE, "starting": LONG},
    "paused": {**_AT_ONCE, "queued": 1, "starting": LONG},  # a resumption puts it into the queue again
    "failed": _AT_ONCE,
    "succeeded": {**_AT_ONCE, "finishing": 1},
}
"""Durations with which a job of which no times are known has got to its status, and stays there."""


class ReplayAccount:
    """An account with the inferred state; `problems` are the facts that it did not take.

    Args:
        state: what requests do not contain.
        settings: further settings of the account, such as a dialect's.
    """

    def __init__(self, state: InferredState, settings: Mapping[str, Any] | None = None) -> None:
        self.problems: list[str] = []
        self._state = state
        self._shared_ids: set[str] = set()
        inferred = {"start": float(state.start), "models": model_catalogue(state), **state.account}
        self._world = World(
            Settings(**{**inferred, **(settings or {}), "pace": "manual", "patience": None}), paths=PATHS
        )
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
            item = {"id": placeholder.id, "created_at": placeholder.created_at}
            if placeholder.kind == FILE:
                self._add_file({**item, "purpose": placeholder.purpose or "assistants"})
                continue
            with self._noting_problems(placeholder.id):
                seed = JobSeed.model_validate({**item, "training_file": NO_FILE, "status": "cancelled"})
                seeding.seed_job(self._world.service, seed)
        # The files of those jobs are gone by now, as far as the recording shows.
        self._world.service.commit(*(FileDeleted(file_id) for file_id in missing))

    def send(self, exchange: RecordedExchange, headers: Mapping[str, str], body: bytes) -> InProcessResponse:
        """Send a recorded request at its time, and under its recorded ids; return the fake's answer."""
        created = created_object(exchange)
        if created is not None:
            self._advance(float(created["created_at"]))
        self._move_time(exchange)
        self._free_placeholder(exchange, created)
        if created is not None:
            job = self._state.created_jobs.get(created["id"])
            of_job = (job.first.get("seed"), overrides_of(job)) if job else ()
            with self._noting_problems():
                seeding.reserve_next_id(self._world.service, ID_KINDS[created["object"]], created["id"], *of_job)
        pairs = [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()
        ]
        has_own_paths = self._world.account.dialect.http.requires_api_version
        target = exchange.azure_target if has_own_paths else exchange.target
        response = call_app(self._app, exchange.method, target.encode("ascii", "replace"), pairs, body)
        if created is not None:
            self._settle(created, is_created=response.status in CREATED)
        return response

    def _free_placeholder(self, exchange: RecordedExchange, created: Json | None) -> None:
        """Make room for another file under a recorder's placeholder, which stands for the ids of several.

        The last of them is the one that is read. When they are deleted one by one, each is there once more.
        """
        files = self._world.account.files
        if created is not None and created["object"] == FILE and created["id"] in files:
            self._shared_ids.add(created["id"])
            self._world.service.commit(FileDeleted(created["id"]))
        if exchange.operation == "delete_file" and exchange.status == 200:
            identifier = exchange.path.split("/")[-1]
            if identifier in self._shared_ids and identifier not in files:
                self._add_file({"id": identifier})

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

    def _add_job(self, job: InferredJob) -> None:
        with self._noting_problems(job.first["id"]):
            seed, own = seed_of(job), self._own_members(job)
            if any(result in self._world.account.files for result in seed.result_files):  # a placeholder for both
                seed = seed.model_copy(update={"result_files": []})
            try:
                seeding.seed_job(self._world.service, seed, own=own)
            except FakeUsageError:
                seeding.seed_job(self._world.service, without_times(seed), own=own)

    def _own_members(self, job: InferredJob) -> Json | None:
        """Return the members of a job that only Azure has, or shows at another time than the fake would."""
        if OWN not in job.first:
            return None
        shown = dict(job.first[OWN])
        if job.first.get("result_files") and job.first["result_files"] == job.last.get("result_files"):
            shown["result_files"] = job.first["result_files"]
        unsent = self._world.account.dialect.null_unless_sent
        return shown | {name: None for name in unsent if job.first.get(name) is None}

    def _move_time(self, exchange: RecordedExchange) -> None:
        """Let as much time pass as the answer shows has passed."""
        if exchange.operation == "pause_job" and exchange.status == 200:
            self._advance_to("running", exchange.path.split("/")[-2])
        if exchange.operation == "cancel_job" and exchange.status == 200:
            for shown in objects_in(exchange.json, JOB):
                self._advance(float(shown.get("finished_at") or 0))
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
            changes = plan_changes(inferred, job.spec.durations, job.spec.steps)
            if any(getattr(job.spec.plan, name) != value for name, value in changes.items()):
                with self._noting_problems():
                    steering.set_job_plan(self._world.service, job.id, changes)


def _encode_header(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def seed_of(job: InferredJob) -> JobSeed:
    """Return a job that existed before, in the state in which it was first seen.

    Raises:
        FakeUsageError: the fake knows no such job.
    """
    seed = {name: job.first[name] for name in JobSeed.model_fields if job.first.get(name) not in (None, {})}
    seed |= {name: job.last[name] for name in FINAL_FIELDS if job.last.get(name)}
    if (seed.get("method") or {}).get("type") == "supervised":
        seed.pop("method")  # its numbers are those of the top level, without the bounds of a request
    ids = job.history.ids
    seed |= {
        "suffix": job.first.get("user_provided_suffix"),
        "checkpoints": [{name: each[name] for name in CHECKPOINT_FIELDS} for each in job.checkpoints],
        "event_ids": [ids.get(ordinal) for ordinal in range(max(ids, default=-1) + 1)],
        "plan": plan_changes(job, PhaseDurations.for_plan(Plan()), job.steps),
        **_result_file(job),
    }
    return JobSeed.parse(seed)


def without_times(seed: JobSeed) -> JobSeed:
    """Return *seed* with a plan by which it has got to its status at any time."""
    return seed.model_copy(update={"plan": {**seed.plan, **DURATIONS_BY_STATUS.get(seed.status, {})}})


def overrides_of(job: InferredJob) -> Overrides:
    """Return the values of a job that the recording creates which the fake would derive otherwise."""
    last = job.last
    return Overrides(
        fine_tuned_model=last.get("fine_tuned_model"),
        result_file=next(iter(last.get("result_files") or ()), None),
        trained_tokens=last.get("trained_tokens"),
        finished_at=last.get("finished_at"),
        checkpoints=tuple(CheckpointOverride(*(each[name] for name in CHECKPOINT_FIELDS)) for each in job.checkpoints),
        event_ids=job.history.ids,
        models=job.history.models,
        estimated_finish=last.get("estimated_finish"),
        **_result_file(job),
    )


def _result_file(job: InferredJob) -> dict[str, Any]:
    if job.result is None:
        return {}
    return {"result_created_at": job.result["created_at"], "result_bytes": job.result["bytes"]}


def plan_changes(job: InferredJob, durations: PhaseDurations, steps: int) -> dict[str, Any]:
    """Return a plan's fields by which the job takes as long as it took, and ends as it ended."""
    plan: dict[str, Any] = {}
    history = job.history
    # Azure has the time of a cancellation, too, which ends no training
    finished_at = job.last.get("finished_at") if job.last["status"] == "succeeded" else None
    if steps and (VALIDATED in history.opening or history.steps or finished_at is not None):
        plan |= _fit_durations(durations, steps, int(job.first["created_at"]), finished_at, history)
    error = job.last.get("error") or {}
    if job.last["status"] == "failed" and error.get("code") != "deleted_training_file":  # a request deletes it
        plan |= {"error": error, "fail_at": max(history.steps, default=None) or "validation"}
    if job.first["status"] in TERMINAL:
        plan.pop("error", None)  # the seed's own member says it
    return plan


def _fit_durations(
    durations: PhaseDurations, steps: int, created_at: float, finished_at: int | None, history: JobHistory
) -> dict[str, float]:
    """Change the durations of a job's phases so that they fit its history."""
    fit: dict[str, float] = asdict(durations)
    validated, started = (history.opening.get(ordinal) for ordinal in (VALIDATED, STARTED))
    if validated is not None:
        fit["validating"] = validated - created_at
        if started is not None:
            fit["queued"] = started - validated
            if history.steps:
                first, last = min(history.steps), max(history.steps)
                if last > first:
                    fit["seconds_per_step"] = (history.steps[last] - history.steps[first]) / (last - first)
                fit["starting"] = history.steps[last] - started - last * fit["seconds_per_step"]
    if finished_at is not None:
        length = sum(fit.values()) + fit["seconds_per_step"] * (steps - 1)
        missing = finished_at - created_at - length
        if history.steps:
            fit["finishing"] += missing
        elif validated is not None:
            fit["starting"] += missing
        else:
            scale = (finished_at - created_at) / (length or 1.0)
            fit = {name: seconds * scale for name, seconds in fit.items()}
    return {name: max(float(seconds), 0.0) for name, seconds in fit.items()}


def model_catalogue(state: InferredState) -> tuple[BaseModel, ...]:
    """Return the models of the account, but for those that its jobs make."""
    if state.models is not None:
        return tuple(map(_base_model, state.models))
    models = {model.id: model for model in BASE_MODELS}
    models |= {model["id"]: _base_model(model) for model in state.single_models}
    return tuple(models.values())


def _base_model(model: Json) -> BaseModel:
    base = MODELS_BY_ID.get(base_model(model["id"]), BaseModel(model["id"], 0))  # no answer tells how a model is tuned
    created = min(max(model["created"], -LONGEST), LONGEST)  # a broken recording may have what no answer can
    return replace(base, id=model["id"], created=created, owned_by=model["owned_by"])
