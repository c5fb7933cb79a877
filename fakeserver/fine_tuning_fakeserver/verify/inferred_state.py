"""What cannot be known from requests: ids, times, seeds, the organisation, how jobs ended, and their final numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from ..domain.timeline import COMPLETED_AFTER
from ..domain.training_methods import METHODS, TrainingRequest
from . import partial_evidence
from .job_history import JobHistory, job_history
from .observed_objects import (
    CHECKPOINT,
    EVENT,
    FILE,
    JOB,
    MODEL,
    Placeholder,
    Sightings,
    created_ids,
    created_object,
    objects_in,
    observed_objects,
    older_first,
    placeholders,
)
from .placeholder_content import DatasetShape
from .recording import Json, RecordedExchange
from .route_of import operation_of

SOME_TIME = 1_760_000_000
"""When a recording takes place that tells no time."""


@dataclass(frozen=True, slots=True)
class InferredJob:
    """A job as it was first and last seen, with its checkpoints, its course, and its result file where one was seen."""

    first: Json
    last: Json
    checkpoints: Sequence[Json]
    course: JobHistory
    result: Json | None

    @property
    def steps(self) -> int:
        """How many training steps it had; 0 where nothing tells."""
        return self.course.total or max((int(point["step_number"]) for point in self.checkpoints), default=0)

    @property
    def data(self) -> DatasetShape:
        """What its training file held, as far as the job tells."""
        method = (self.first.get("method") or {}).get("type", "supervised")
        order = TrainingRequest(
            str(self.first.get("model")), method if isinstance(method, str) and method in METHODS else "supervised"
        )
        return DatasetShape(self.examples or DatasetShape().examples, order.row_format)

    @property
    def examples(self) -> int:
        """How many examples it was trained on, as far as its numbers tell; 0 where they do not."""
        numbers = self.last.get("hyperparameters") or {}
        epochs, batch = numbers.get("n_epochs"), numbers.get("batch_size")
        if not isinstance(epochs, int) or not isinstance(batch, int) or epochs < 1:
            return 0
        # Of few examples there are so many epochs that the steps are about a hundred.
        return self.steps // epochs * batch if self.steps else 100 // epochs if epochs > 3 else 0


@dataclass(frozen=True, slots=True)
class InferredState:
    """What an account must hold before the first request, and what it must be told on the way.

    Args:
        start: Unix seconds; the first request comes no earlier.
        account: settings of the account.
        files: files that were there, oldest first.
        jobs: jobs that were there, oldest first.
        made_jobs: jobs that the recording makes, by id.
        needed: files that accepted requests name, and of which the recording tells little.
        fillers: what lists say there was besides.
        models: the base models, and tuned ones of other jobs; None where no list was recorded.
        single_models: models that were retrieved one by one.
    """

    start: int
    account: Mapping[str, Any]
    files: Sequence[Json]
    jobs: Sequence[InferredJob]
    made_jobs: Mapping[str, InferredJob]
    needed: Sequence[Json]
    fillers: Sequence[Placeholder]
    models: Sequence[Json] | None
    single_models: Sequence[Json]

    def data_of(self, file_id: str) -> DatasetShape:
        """What a training file held, as far as a job on it tells."""
        jobs = [*self.jobs, *self.made_jobs.values()]
        on_it = [job.data for job in jobs if file_id in (job.first["training_file"], job.first.get("validation_file"))]
        return max(on_it, key=lambda data: data.examples, default=DatasetShape())


def infer_state(exchanges: Sequence[RecordedExchange]) -> InferredState:
    """The facts of a recording."""
    files, seen = observed_objects(exchanges, FILE), observed_objects(exchanges, JOB)
    seen |= {job["id"]: [job] for job in partial_evidence.jobs(exchanges, seen)}
    ours = created_ids(exchanges)
    jobs = {job_id: _job(states, files, exchanges) for job_id, states in seen.items()}
    before = {job_id: job for job_id, job in jobs.items() if job_id not in ours}
    results = {job.result["id"] for job in jobs.values() if job.result}
    there = [states[0] for file_id, states in files.items() if file_id not in ours | results]
    listed, single = _models(exchanges, [job for job_id, job in jobs.items() if job_id in ours])
    return InferredState(
        start=_start(exchanges, there, before.values()),
        account=_account(exchanges, seen),
        files=older_first(there, exchanges),
        jobs=[before[job["id"]] for job in older_first([job.first for job in before.values()], exchanges)],
        made_jobs={job_id: job for job_id, job in jobs.items() if job_id in ours},
        needed=_needed(exchanges, ours | files.keys() | _results(seen)),
        fillers=[*placeholders(exchanges, "list_files", FILE, files), *placeholders(exchanges, "list_jobs", JOB, seen)],
        models=listed,
        single_models=[*single, *partial_evidence.models(exchanges, _known_models(listed, single, jobs.values()))],
    )


def _job(states: Sequence[Json], files: Sightings, exchanges: Iterable[RecordedExchange]) -> InferredJob:
    job_id = states[0]["id"]
    of_job = [each for each in exchanges if f"/jobs/{job_id}/" in each.path]
    points = observed_objects(of_job, CHECKPOINT)
    pages = [each for each in of_job if any(objects_in(each.answer, EVENT))]
    results = states[-1].get("result_files") or [""]
    result = files.get(results[0], [None])[0]
    return InferredJob(states[0], states[-1], [found[-1] for found in points.values()], job_history(pages), result)


def _results(jobs: Sightings) -> set[str]:
    return {str(file_id) for states in jobs.values() for file_id in states[-1].get("result_files") or ()}


def _needed(exchanges: Iterable[RecordedExchange], known: Set[str]) -> list[Json]:
    read = partial_evidence.files(exchanges, known)
    named = _named_files(exchanges) - known - {file["id"] for file in read}
    return [*read, *({"id": identifier} for identifier in sorted(named))]


def _named_files(exchanges: Iterable[RecordedExchange]) -> set[str]:
    """The files that requests for jobs name and the service found."""
    named: set[str] = set()
    for exchange in exchanges:
        if not ((operation := operation_of(exchange)) and operation.name == "create_job"):
            continue
        asked = exchange.asked or exchange.members
        refused = exchange.error.get("param")
        names = [name for name in ("training_file", "validation_file") if name != refused]
        named |= {asked[name] for name in names if isinstance(asked.get(name), str)}
    return named


def _models(exchanges: Iterable[RecordedExchange], jobs: Iterable[InferredJob]) -> tuple[list[Json] | None, list[Json]]:
    """The models of the first list that was recorded, and those seen alone; without those that *jobs* leave."""
    own: set[Any] = set()
    for job in jobs:
        own |= {job.last.get("fine_tuned_model"), *(point["fine_tuned_model_checkpoint"] for point in job.checkpoints)}
    listed: list[Json] | None = None
    single: list[Json] = []
    for exchange in exchanges:
        found = [model for model in objects_in(exchange.answer, MODEL) if model["id"] not in own]
        if "data" not in exchange.members:
            single += found
        elif found and listed is None:
            listed = found
    return listed, single


def _known_models(listed: Iterable[Json] | None, single: Iterable[Json], jobs: Iterable[InferredJob]) -> set[Any]:
    """The ids of models of which the recording tells something."""
    named = {model["id"] for model in (*(listed or ()), *single)}
    for job in jobs:
        named |= {
            job.last.get("fine_tuned_model"),
            *(point["fine_tuned_model_checkpoint"] for point in job.checkpoints),
        }
    return named


def _account(exchanges: Sequence[RecordedExchange], jobs: Sightings) -> dict[str, Any]:
    """Who the account belongs to, as far as headers, jobs and models tell."""
    seen = [states[-1] for states in jobs.values()]
    tuned = [model for model in _all_models(exchanges) if model["id"].startswith("ft:")]
    names = [str(job["fine_tuned_model"]) for job in seen if job.get("fine_tuned_model")] + [
        model["id"] for model in tuned
    ]
    told = {
        "organization_id": [job.get("organization_id") for job in seen],
        "organization": [name.split(":")[2] for name in names if name.count(":") > 2],
        "owner": [model.get("owned_by") for model in tuned],
    }
    return {name: next(filter(None, values)) for name, values in told.items() if any(values)}


def _all_models(exchanges: Iterable[RecordedExchange]) -> list[Json]:
    return [model for exchange in exchanges for model in objects_in(exchange.answer, MODEL)]


def _start(exchanges: Iterable[RecordedExchange], files: Iterable[Json], jobs: Iterable[InferredJob]) -> int:
    """The earliest time at which all that was there could be there, and what is made could not yet."""
    there = [int(file["created_at"]) for file in files]
    for job in jobs:
        late = COMPLETED_AFTER if job.first["status"] == "succeeded" else 0
        ended = (job.first.get("finished_at") or job.first["created_at"] + 1) + late
        there.append(int(max(ended, job.first.get(partial_evidence.SEEN_AT, 0))))
    new = [int(thing["created_at"]) for each in exchanges if (thing := created_object(each)) is not None]
    return min([*new, max(there, default=min(new, default=SOME_TIME))])
