"""An account: the state that records add up to. Only `apply` changes it."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, TypeAlias

from ..domain import base_models, ids
from ..domain.dialects import dialect_named
from ..domain.dialects.dialect import Dialect
from ..domain.job import Job, checkpoint_steps, finished_at, models_at
from ..domain.plan import Plan, PlanRule
from ..domain.timeline import TERMINAL, Intervention
from ..settings import Settings
from .blobs import Blob
from .indexes import FileShelf, IdIndex, OrderedIds, StatusCounts, Timetable, merged
from .records import (
    NAMED,
    CheckpointCopied,
    CompletionGiven,
    DeliveryAttempted,
    DialectSet,
    FileDeleted,
    FileUploaded,
    GraderScoresSet,
    GraderScoreUsed,
    JobCreated,
    JobDeleted,
    JobIntervened,
    ModelDeleted,
    NextIdReserved,
    PaceSet,
    PartAdded,
    PartUpload,
    Permission,
    PermissionGranted,
    PermissionRevoked,
    PlanRuleAdded,
    PlanSet,
    Record,
    RepliesSet,
    StoredFile,
    UploadChanged,
    WebhookAdded,
    WebhookRemoved,
)
from .webhook_queue import WebhookQueue

SHOWN_AT_MOST = 1000
"""So many result files are remembered with the jobs that were shown with them."""

NO_METADATA = ("", "")
"""The key under which jobs without metadata are found."""

Heap: TypeAlias = list[tuple[float, str]]
"""Times with the ids of what is due then, the earliest first."""


class Account:
    """The state that records add up to, with the look-ups that answers need.

    Result files and fine-tuned models are derived from jobs, not stored: `materialize` adds them to the look-ups once
    their job is over, and all that is kept of them is the id of the job.

    Args:
        settings: what it is born with.
        born: when it begins, in Unix seconds.
    """

    def __init__(self, settings: Settings, born: float = 0.0) -> None:
        self.settings = settings
        self.spoken: tuple[Dialect, ...] = ()
        """The dialects it has had, each once; paths and key headers of all of them are taken."""
        organization_id, project = ids.account_ids(settings.seed)
        self.organization_id = settings.organization_id or organization_id
        self.project = settings.project or project
        self.owner = settings.owner or settings.organization
        self.speak(dialect_named(settings.dialect))
        self.plan = settings.plan
        self.pace = settings.pace
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, Job] = {}
        self._numbered: list[str] = []
        """The ids of jobs in the order of their creation; the place of a job is its number in timetables."""
        self.result_sizes: dict[str, int] = {}
        """How many bytes the result files of jobs have, as far as somebody has asked: job id → bytes."""
        self._models: dict[str, str] = {}
        self._unnamed: list[int] = []
        """Jobs whose models nobody has asked for: their names are derived when somebody does."""
        self._unnamed_models = 0
        """How many models they have."""
        self._has_given_names = False
        """Whether a job's models may have names that do not tell which job it is."""
        self.deleted: set[str] = set()
        self.active: dict[str, None] = {}
        """Jobs that `materialize` has not seen the end of, oldest first."""
        self.status_counts = StatusCounts()
        self.files_made = 0
        self.answers = 0
        self.replies: deque[str] = deque()
        self.uploads: dict[str, PartUpload] = {}
        self.parts: defaultdict[str, dict[str, Blob]] = defaultdict(dict)
        """The parts of pending uploads, in order of arrival: upload id → part id → content."""
        self.unreferenced: list[str] = []
        """Files and uploads whose contents the account does not refer to any more."""
        self.copies: defaultdict[tuple[str, str], list[CheckpointCopied]] = defaultdict(list)
        """Copies of checkpoints, by the ids of job and checkpoint."""
        self.permissions: dict[str, Permission] = {}
        self.permissions_made = 0
        self.grader_scores: deque[float | None] = deque()
        self.next_plans: deque[Plan] = deque()
        """Plans of the next jobs to be created, one each."""
        self.plan_rules: deque[PlanRule] = deque()
        """Plans of some of the jobs to be created, the newest first: the first that is for a job has it."""
        self.named: dict[str, deque[NextIdReserved]] = {kind: deque() for kind in NAMED}
        """Ids of the next things to be created, see `NextIdReserved`."""
        self.job_shelf = OrderedIds()
        self.jobs_by_metadata = IdIndex(self.job_shelf, partial(_metadata_pairs, self.jobs))
        self.file_shelf = FileShelf(self.files, partial(_result_of, self.jobs, self._numbered))
        self._expiries: Heap = []
        """When files and uploads expire."""
        self._ends: defaultdict[ResultGap, Timetable] = defaultdict(Timetable)
        """When which active jobs end, as far as is known."""
        self._models_due: defaultdict[int, Timetable] = defaultdict(Timetable)
        """When which jobs make their models, by how many these are."""
        self._next_due = inf
        """Before this time, nothing happens to jobs."""
        self.awaited_until = born
        """When the last uploaded file is ready, and the last delivery that failed is tried again."""
        self.outbox = WebhookQueue(settings.seed)
        for target in settings.webhooks:
            self.outbox.add(self.outbox.endpoint_for(target, born))

    def speak(self, dialect: Dialect) -> None:
        """Answer in *dialect* from now on."""
        self.dialect = dialect
        self.spoken = (*(each for each in self.spoken if each is not dialect), dialect)
        known = (*self.settings.models, *dialect.models)
        self.base_models = {model.id: model for model in known if model.id not in dialect.other_names}
        self.snapshots = {**base_models.SNAPSHOTS, **dialect.snapshots}
        """By alias, the model that the service answers for."""

    def materialize(self, now: float) -> None:
        """Apply everything due by *now*: models and result files of jobs, expired files, uploads and deliveries."""
        while self._expiries and self._expiries[0][0] <= now:
            _, identifier = heapq.heappop(self._expiries)
            file = self.files.get(identifier)
            if file and file.expires_at is not None and file.expires_at <= now:
                _forget_file(self, identifier)
            elif identifier in self.uploads:
                _forget_parts(self, identifier)
        if self._next_due <= now:
            self._materialize_jobs(now)
        if self.outbox.ends:
            self.outbox.materialize(now, self.jobs)

    def _materialize_jobs(self, now: float) -> None:
        """Note which jobs have made models or are over; models and result files are derived on first use."""
        # an event has named models, be the job over or not (inferred)
        made = {models: table.take(now) for models, table in self._models_due.items()}
        self._unnamed.extend(merged(list(made.values())))
        self._unnamed_models += sum(models * len(numbers) for models, (_, numbers) in made.items())
        succeeded = []
        for gap, table in self._ends.items():
            if not (over := table.take(now))[1]:
                continue
            for number in over[1]:
                del self.active[self._numbered[number]]
            if gap != NO_RESULT:
                succeeded.append((gap, over))
        if len(succeeded) == 1:
            [(gap, (_, numbers))] = succeeded
            self.file_shelf.add_results(numbers, None if gap == GIVEN_RESULT else gap)
        elif succeeded:
            self.file_shelf.add_results(merged([over for _, over in succeeded]), None)
        tables = (*self._models_due.values(), *self._ends.values())
        self._next_due = min((first[0] for table in tables if (first := table.first())), default=inf)

    def note_shown(self, jobs: Iterable[Job], shown: Iterable[Mapping[str, Any]]) -> None:
        """Note the result files with which *jobs* are shown to a client, which may look for these next."""
        numbers = self.file_shelf.shown
        for job, members in zip(jobs, shown, strict=True):
            if job.number is not None and (results := members.get("result_files")):
                numbers[results[0]] = job.number
                if len(numbers) > SHOWN_AT_MOST:
                    del numbers[next(iter(numbers))]

    @property
    def models(self) -> dict[str, str]:
        """Derived models: model id → job id, those of the job that made them first at first."""
        if self._unnamed:
            self._name_models()
        return self._models

    def job_of_model(self, model: str) -> str | None:
        """Return the id of the job that has made a model; None if none has."""
        if self._unnamed and model not in self._models:
            if not self._has_given_names:
                return self._unnamed_maker(model)
            self._name_models()
        return self._models.get(model)

    def _unnamed_maker(self, model: str) -> str | None:
        """Return the id of the job whose models have no names yet, and which has made this one."""
        for number in reversed(ids.model_makers(model, self.organization_id, len(self._numbered))):
            if number in self._unnamed and model in _model_names(job := self.jobs[self._numbered[number]]):
                return job.id
        return None

    @property
    def model_count(self) -> int:
        """The number of derived models, without deriving their names."""
        return len(self._models) + self._unnamed_models

    def _name_models(self) -> None:
        for number in self._unnamed:
            job = self.jobs[self._numbered[number]]
            self._models.update((model, job.id) for model in _model_names(job))
        self._unnamed.clear()
        self._unnamed_models = 0

    def watch(self, job: Job) -> None:
        """Materialize a new *job* when it has made its models, and when it ends."""
        number, timeline = len(self._numbered), job.timeline()
        if job.has_given_names or (job.number, job.organization) != (number, self.organization_id):
            self._has_given_names = True
        self._numbered.append(job.id)
        self.status_counts.watch(timeline, number)
        self._expect_models(job, number)
        self._expect_end(job, number)

    def intervene(self, identifier: str, act: Intervention) -> None:
        """Change the course of a job; what it has made by now stays made."""
        before, number = self.jobs[identifier], self._number(identifier)
        timeline, (gap, end) = before.timeline(), _end_in_sight(before)
        makes_at = timeline.time_of("model")
        has_made = makes_at is not None and not self._models_due[_model_count(before)].discard(makes_at, number)
        if has_made:
            self._name_models()  # by the course that it had
        self.jobs[identifier] = job = replace(before, interventions=(*before.interventions, act))
        self.status_counts.follow(timeline, job.timeline(), number)
        if not has_made:
            self._expect_models(job, number)
        if self._ends[gap].discard(end, number):
            self._expect_end(job, number)

    def _number(self, identifier: str) -> int:
        number = self.jobs[identifier].number  # which seeds and what was saved long ago do not have
        if number is None or self._numbered[number : number + 1] != [identifier]:
            return self._numbered.index(identifier)
        return number

    def _expect_models(self, job: Job, number: int) -> None:
        if (at := job.timeline().time_of("model")) is not None:
            self._models_due[_model_count(job)].add(at, number)
            self._next_due = min(self._next_due, at)

    def _expect_end(self, job: Job, number: int) -> None:
        gap, end = _end_in_sight(job)
        self._ends[gap].add(end, number)
        self._next_due = min(self._next_due, end)
        if self.outbox.endpoints:
            self.outbox.schedule(job)

    def next_change(self, now: float) -> tuple[float, str, str] | None:
        """Return when which job changes to which status next; None if none does."""
        change = self.status_counts.next_change(now)
        return change and (change[0], self._numbered[change[1]], change[2])

    def schedule_expiry(self, identifier: str, at: float) -> None:
        """Forget a file, or the parts of an upload, at its expiry, in Unix seconds."""
        heapq.heappush(self._expiries, (at, identifier))

    def is_closed(self, now: float) -> bool:
        """Return whether fine-tuning has ended for the account's organization."""
        settings = self.settings
        return settings.as_of is not None and base_models.is_closed(settings.organization_class, now)

    @property
    def takes_any_model(self) -> bool:
        """Whether any name is a base model's: the dialect's service has models that are not known here."""
        return self.dialect.jobs is not None

    def is_shut_down(self, model: str, now: float) -> bool:
        """Return whether a model, or the base model under it, is shut down for the account."""
        return self.settings.as_of is not None and base_models.is_shut_down(model, now)

    def nothing_ahead_from(self) -> float:
        """Return when all jobs are over, files ready and webhooks delivered; infinity if a job has no end in sight."""
        return max((self.awaited_until, *(table.last(0.0) for table in self._ends.values())))

    def last_job_end(self) -> float:
        """Return when the last of the jobs ends that will end, in Unix seconds; 0 if none will."""
        return max((table.last_finite(0.0) for table in self._ends.values()), default=0.0)


def _metadata_pairs(jobs: Mapping[str, Job], identifier: str) -> Collection[tuple[str, str]]:
    metadata = jobs[identifier].metadata
    return (NO_METADATA,) if metadata is None else tuple(metadata.items())  # spec: null, not {}


def _model_steps(job: Job) -> Collection[int]:
    """Return the steps that have a model once a job has made its models, the last step last."""
    return dict.fromkeys((*checkpoint_steps(job), job.spec.steps))


def _model_names(job: Job) -> list[str]:
    """Return the models of a job that has made them, the last step's at last."""
    made = models_at(job, job.timeline())
    return [job.model_at(step, made) for step in _model_steps(job)]


def _result_of(jobs: Mapping[str, Job], numbered: Sequence[str], number: int) -> tuple[float, str, str]:
    """Return when the result file of a job is created, the file's id, and the job's."""
    job = jobs[numbered[number]]
    return result_created_at(job), job.result_file, job.id


def _model_count(job: Job) -> int:
    steps = checkpoint_steps(job)
    return len(steps) + (job.spec.steps not in steps)


ResultGap: TypeAlias = float
"""How many seconds before its end a job was trained, if it makes a result file."""
NO_RESULT, GIVEN_RESULT = -1.0, inf
"""The gaps of jobs that do not succeed, and of those whose result files were given ids or times."""


def _end_in_sight(job: Job) -> tuple[ResultGap, float]:
    """Return whether and when a job makes a result file, and when it ends; infinity if it is paused."""
    timeline, given = job.timeline(), job.overrides
    status = timeline.milestones[-1][1]
    end = timeline.end if status in TERMINAL else inf
    if status != "succeeded":
        return NO_RESULT, end
    if given.result_file or given.result_created_at or given.finished_at:
        return GIVEN_RESULT, end
    return round(end - (timeline.time_of("trained") or 0.0), 6), end


def apply(account: Account, record: Record) -> None:
    """Change the account by one accepted record; it never refuses."""
    match record:
        case FileUploaded(file):
            account.files[file.id] = file
            account.file_shelf.add(file.id, file.created_at)
            account.files_made += 1
            _release_id(account, "file", file.id)
            account.awaited_until = max(account.awaited_until, file.created_at + account.dialect.new_file_status[1])
            if file.expires_at is not None:
                account.schedule_expiry(file.id, file.expires_at)
        case FileDeleted(identifier):
            _forget_file(account, identifier)
        case JobCreated(job):
            if account.next_plans:
                account.next_plans.popleft()
            account.jobs[job.id] = job
            account.active[job.id] = None
            account.job_shelf.add(job.id, job.created_at)
            account.jobs_by_metadata.add(job.id)
            account.watch(job)
            _release_id(account, "job", job.id)
        case JobIntervened(identifier, act):
            account.intervene(identifier, act)
        case JobDeleted(identifier):
            _forget_job(account, identifier)
        case CheckpointCopied(job_id, checkpoint_id):
            account.copies[job_id, checkpoint_id].append(record)
        case ModelDeleted(identifier):
            account.models.pop(identifier, None)
            account.deleted.add(identifier)
        case PaceSet(_, pace):
            account.pace = pace
        case DialectSet(_, dialect):
            account.speak(dialect)
            if account.files:
                newest = max(file.created_at for file in account.files.values())
                account.awaited_until = max(account.awaited_until, newest + dialect.new_file_status[1])
        case PlanSet(plan, once):
            if once:
                account.next_plans.append(plan)
            else:
                account.plan = plan
        case PlanRuleAdded(rule):
            account.plan_rules.appendleft(rule)
        case UploadChanged(upload):
            account.uploads[upload.id] = upload
            _release_id(account, "upload", upload.id)
            if upload.status == "pending":
                account.schedule_expiry(upload.id, upload.expires_at)
            else:
                _forget_parts(account, upload.id)
        case PartAdded(_, upload_id, identifier, content):
            account.parts[upload_id][identifier] = content
            _release_id(account, "part", identifier)
        case PermissionGranted(permission):
            account.permissions[permission.id] = permission
            account.permissions_made += 1
        case PermissionRevoked(identifier):
            del account.permissions[identifier]
        case RepliesSet(replies):
            account.replies = deque(replies)
        case CompletionGiven(_, scripted):
            account.answers += 1
            for _ in range(scripted):
                account.replies.popleft()
        case GraderScoresSet(scores):
            account.grader_scores = deque(scores)
        case GraderScoreUsed():
            account.grader_scores.popleft()
        case NextIdReserved(kind):
            account.named[kind].append(record)
        case WebhookAdded(endpoint):
            account.outbox.add(endpoint, (account.jobs[identifier] for identifier in account.active))
        case WebhookRemoved(_, identifier):
            account.outbox.remove(identifier)
        case DeliveryAttempted(identifier, attempt):
            account.outbox.record_attempt(identifier, attempt)
            account.awaited_until = max(
                account.awaited_until, account.outbox.deliveries[identifier].next_attempt_at or 0.0
            )
        case _:
            pass  # the clock's, the looks' or the faults'


def next_id(account: Account, kind: str, derive: Callable[[int], str], taken: Container[str], ordinal: int) -> str:
    """Return the id of the next thing of a *kind*: the reserved one, or the first derived one that is not *taken*."""
    if account.named[kind]:
        return account.named[kind][0].id
    while (identifier := derive(ordinal)) in taken:
        ordinal += 1
    return identifier


def _release_id(account: Account, kind: str, identifier: str) -> None:
    reserved = account.named[kind]
    if any(record.id == identifier for record in reserved):
        account.named[kind] = deque(record for record in reserved if record.id != identifier)


def _forget_file(account: Account, identifier: str) -> None:
    account.deleted.add(identifier)
    if (job_id := account.file_shelf.remove(identifier)) is not None:
        account.result_sizes.pop(job_id, None)
    if account.files.pop(identifier, None):
        account.unreferenced.append(identifier)


def _forget_job(account: Account, identifier: str) -> None:
    """Take a job out of lists and counts; its models and its result file are derived from it still."""
    job = account.jobs[identifier]
    account.deleted.add(identifier)
    account.job_shelf.remove(identifier)
    account.jobs_by_metadata.remove(identifier)
    account.status_counts.forget(job.timeline(), account._number(identifier))


def _forget_parts(account: Account, upload: str) -> None:
    if account.parts.pop(upload, None):
        account.unreferenced.append(upload)


RESULT_AFTER = 3.0
"""Seconds from ``finished_at`` to the result file's ``created_at`` (recording of 2023-11: 2 to 4)."""


def result_created_at(job: Job) -> float:
    """Return when the result file of a job is created."""
    return job.overrides.result_created_at or finished_at(job, job.timeline()) + RESULT_AFTER


def model_created(identifier: str, otherwise: float = 0) -> int:
    """Return when a fine-tuned model was created; the job's own comes a second after the time in its id.

    *otherwise* is when the job made its models: a seeded name may hold no time.

    Source: recording ListModels (checkpoints: the same second; the final model: one more).
    """
    return (ids.model_time(identifier) or int(otherwise)) + (":ckpt-step-" not in identifier)
