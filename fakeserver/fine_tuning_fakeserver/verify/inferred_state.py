"""Facts that requests do not contain: ids, times, seeds, the organisation, and the course of jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import field
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.row_rules import CHAT

from ..domain.timeline import COMPLETED_AFTER_S
from ..domain.training_methods import METHODS, TrainingRequest
from .observed_objects import (
    CHECKPOINT,
    EVENT,
    FILE,
    JOB,
    MODEL,
    SEEN_AT,
    ObjectStates,
    Placeholder,
    created_ids,
    created_object,
    objects_in,
    observed_objects,
    oldest_first,
    partly_seen_files,
    partly_seen_jobs,
    partly_seen_models,
    placeholders,
)
from .recording import Json, RecordedExchange

SOME_TIME = 1_760_000_000
"""When a recording takes place that has no time in it."""

# Ordinals of the events that every job begins with; they are the service's, and the fake's. Step k is 3 + k.
OPENING = ("Created fine-tuning job", "Validating training file", "Files validated", "Fine-tuning job started")
VALIDATED, STARTED = 2, 3

_STEP = re.compile(r"Step (\d+)/(\d+)")
_CHECKPOINT = re.compile(r"Checkpoint created at step (\d+) with Snapshot ID: (.+)")


@dataclass(frozen=True, slots=True)
class JobHistory:
    """The history of a job as its events show it; times are Unix seconds.

    Args:
        ids: event ids by ordinal, oldest first from 0.
        opening: times of the `OPENING` events, by ordinal.
        steps: times of training steps.
        total: how many steps there are; 0 if no event shows it.
        models: models by the step of their checkpoint.
    """

    ids: Mapping[int, str] = field(default_factory=dict)
    opening: Mapping[int, int] = field(default_factory=dict)
    steps: Mapping[int, int] = field(default_factory=dict)
    total: int = 0
    models: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetShape:
    """The known shape of a training file: number of examples and format; the default is the least."""

    examples: int = 10
    format: str = CHAT


@dataclass(frozen=True, slots=True)
class InferredJob:
    """A job as it was first and last seen, with its checkpoints, history and, if seen, its result file."""

    first: Json
    last: Json
    checkpoints: Sequence[Json]
    history: JobHistory
    result: Json | None

    @property
    def steps(self) -> int:
        """How many training steps it had; 0 if unknown."""
        return self.history.total or max((int(each["step_number"]) for each in self.checkpoints), default=0)

    @property
    def models(self) -> set[Any]:
        """The names of the models that it made."""
        checkpoints = (each["fine_tuned_model_checkpoint"] for each in self.checkpoints)
        return {self.last.get("fine_tuned_model"), *checkpoints, *self.history.models.values()}

    @property
    def dataset(self) -> DatasetShape:
        """What its training file held, as far as the job shows."""
        method = (self.first.get("method") or {}).get("type", "supervised")
        known_method = method if isinstance(method, str) and method in METHODS else "supervised"
        row_format = TrainingRequest(str(self.first.get("model")), known_method).row_format

        numbers = self.last.get("hyperparameters") or {}
        epochs, batch = numbers.get("n_epochs"), numbers.get("batch_size")
        if not isinstance(epochs, int) or not isinstance(batch, int) or epochs < 1:
            examples = 0
        elif self.steps:
            examples = self.steps // epochs * batch
        else:  # of few examples there are so many epochs that the steps are about a hundred
            examples = 100 // epochs if epochs > 3 else 0
        return DatasetShape(examples or DatasetShape().examples, row_format)


@dataclass(frozen=True, slots=True)
class InferredState:
    """The state that an account needs before the first request, and the settings needed later.

    Args:
        start: Unix seconds; the first request comes no earlier.
        account: settings of the account.
        files: files that existed before, oldest first.
        jobs: jobs that existed before, oldest first.
        created_jobs: jobs that the recording creates, by id.
        named_files: files that accepted requests name, and of which the recording shows little.
        placeholders: what lists imply besides.
        models: the base models, and tuned ones of other jobs; None if no list was recorded.
        single_models: models that were retrieved one by one.
    """

    start: int
    account: Mapping[str, Any]
    files: Sequence[Json]
    jobs: Sequence[InferredJob]
    created_jobs: Mapping[str, InferredJob]
    named_files: Sequence[Json]
    placeholders: Sequence[Placeholder]
    models: Sequence[Json] | None
    single_models: Sequence[Json]

    def dataset_of(self, file_id: str) -> DatasetShape:
        """Return what a training file held, as far as a job on it shows."""
        users = [
            job.dataset
            for job in (*self.jobs, *self.created_jobs.values())
            if file_id in (job.first["training_file"], job.first.get("validation_file"))
        ]
        return max(users, key=lambda dataset: dataset.examples, default=DatasetShape())


def infer_state(exchanges: Sequence[RecordedExchange]) -> InferredState:
    """Infer the state of the account in which *exchanges* were recorded."""
    files, seen = observed_objects(exchanges, FILE), observed_objects(exchanges, JOB)
    seen |= {job["id"]: [job] for job in partly_seen_jobs(exchanges, seen)}
    created = created_ids(exchanges)
    jobs = {job_id: _infer_job(states, files, exchanges) for job_id, states in seen.items()}
    created_jobs = {job_id: job for job_id, job in jobs.items() if job_id in created}
    earlier = {job_id: job for job_id, job in jobs.items() if job_id not in created}
    results = {job.result["id"] for job in jobs.values() if job.result}
    earlier_files = [states[0] for file_id, states in files.items() if file_id not in created | results]
    all_results = {str(file_id) for states in seen.values() for file_id in states[-1].get("result_files") or ()}

    listed, single = _listed_and_single_models(exchanges, created_jobs.values())
    known_models = {model["id"] for model in (*(listed or ()), *single)}.union(*(job.models for job in jobs.values()))
    return InferredState(
        start=_start(exchanges, earlier_files, earlier.values()),
        account=_account_settings(exchanges, [states[-1] for states in seen.values()]),
        files=oldest_first(earlier_files, exchanges),
        jobs=[earlier[job["id"]] for job in oldest_first([job.first for job in earlier.values()], exchanges)],
        created_jobs=created_jobs,
        named_files=_named_files(exchanges, created | files.keys() | all_results),
        placeholders=[
            *placeholders(exchanges, "list_files", FILE, files),
            *placeholders(exchanges, "list_jobs", JOB, seen),
        ],
        models=listed,
        single_models=[*single, *partly_seen_models(exchanges, known_models)],
    )


def _infer_job(states: Sequence[Json], files: ObjectStates, exchanges: Iterable[RecordedExchange]) -> InferredJob:
    first, last = states[0], states[-1]
    own = [each for each in exchanges if f"/jobs/{first['id']}/" in each.path]
    checkpoints = [seen[-1] for seen in observed_objects(own, CHECKPOINT).values()]
    result_id = (last.get("result_files") or [""])[0]
    return InferredJob(first, last, checkpoints, _read_history(own), files.get(result_id, [None])[0])


def _named_files(exchanges: Sequence[RecordedExchange], known: Set[str]) -> list[Json]:
    """Return the files that were read, deleted or named for a job, and that the service had."""
    read = partly_seen_files(exchanges, known)
    named: set[str] = set()
    for exchange in exchanges:
        if exchange.operation == "create_job":
            members = exchange.request_members or exchange.members
            accepted = (name for name in ("training_file", "validation_file") if name != exchange.error.get("param"))
            named |= {members[name] for name in accepted if isinstance(members.get(name), str)}
    return [*read, *({"id": file_id} for file_id in sorted(named - known - {file["id"] for file in read}))]


def _listed_and_single_models(
    exchanges: Iterable[RecordedExchange], jobs: Iterable[InferredJob]
) -> tuple[list[Json] | None, list[Json]]:
    """Return the models of the first recorded list, and those seen alone; without those that *jobs* made."""
    made: set[Any] = set().union(*(job.models for job in jobs))
    listed: list[Json] | None = None
    single: list[Json] = []
    for exchange in exchanges:
        models = [model for model in objects_in(exchange.json, MODEL) if model["id"] not in made]
        if "data" not in exchange.members:
            single += models
        elif models and listed is None:
            listed = models
    return listed, single


def _account_settings(exchanges: Sequence[RecordedExchange], jobs: Sequence[Json]) -> dict[str, Any]:
    """Return the organization and owner of the account, as far as jobs and models show them."""
    models = [model for exchange in exchanges for model in objects_in(exchange.json, MODEL)]
    tuned = [model for model in models if model["id"].startswith("ft:")]
    names = [str(job["fine_tuned_model"]) for job in jobs if job.get("fine_tuned_model")]
    names += [model["id"] for model in tuned]
    values: dict[str, list[Any]] = {
        "organization_id": [job.get("organization_id") for job in jobs],
        "organization": [name.split(":")[2] for name in names if name.count(":") > 2],
        "owner": [model.get("owned_by") for model in tuned],
    }
    return {name: next(filter(None, seen)) for name, seen in values.items() if any(seen)}


def _start(exchanges: Iterable[RecordedExchange], files: Iterable[Json], jobs: Iterable[InferredJob]) -> int:
    """Return the earliest time at which everything earlier can exist, and nothing that is created can yet."""
    earlier = [int(file["created_at"]) for file in files]
    for job in jobs:
        late = COMPLETED_AFTER_S if job.first["status"] == "succeeded" else 0
        ended = (job.first.get("finished_at") or job.first["created_at"] + 1) + late
        earlier.append(int(max(ended, job.first.get(SEEN_AT, 0))))
    new = [int(item["created_at"]) for each in exchanges if (item := created_object(each)) is not None]
    return min([*new, max(earlier, default=min(new, default=SOME_TIME))])


def _read_history(exchanges: Iterable[RecordedExchange]) -> JobHistory:
    """Read the history of a job from pages of its events."""
    ids: dict[int, str] = {}
    opening: dict[int, int] = {}
    steps: dict[int, int] = {}
    models: dict[int, str] = {}
    total = 0
    for page in exchanges:
        ids |= _event_ids(page, {event_id: ordinal for ordinal, event_id in ids.items()})
        for event in objects_in(page.json, EVENT):
            ordinal = _ordinal(event)
            if ordinal is not None and ordinal < len(OPENING):
                opening[ordinal] = event["created_at"]
            if step := _STEP.match(event["message"]):
                steps[int(step[1])], total = event["created_at"], int(step[2])
            if checkpoint := _CHECKPOINT.fullmatch(event["message"]):
                models[int(checkpoint[1])] = checkpoint[2]
    return JobHistory(ids, opening, steps, total, models)


def _event_ids(page: RecordedExchange, known: Mapping[str, int]) -> dict[int, str]:
    """Return ids by ordinal: one event whose ordinal is certain gives those of its whole page."""
    events = list(objects_in(page.json, EVENT))
    newest = known[page.query["after"]] - 1 if page.query.get("after") in known else None
    if newest is None and page.members.get("has_more") is False:
        newest = len(events) - 1
    for place, event in enumerate(events):
        if newest is None and (ordinal := _ordinal(event)) is not None:
            newest = ordinal + place
    if not events or newest is None or newest < len(events) - 1:
        return {}
    after = {newest + 1: page.query["after"]} if "after" in page.query else {}
    return after | {newest - place: str(event["id"]) for place, event in enumerate(events)}


def _ordinal(event: Json) -> int | None:
    message: str = event["message"]
    if step := _STEP.match(message):
        return len(OPENING) - 1 + int(step[1])
    return next((ordinal for ordinal, text in enumerate(OPENING) if message.startswith(text)), None)
