"""An account: the state that records add up to. Only `apply` changes it."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from math import inf
from typing import TypeAlias

from ..domain import base_models, ids
from ..domain.dialects import dialect_named
from ..domain.dialects.dialect import Dialect
from ..domain.job import Job, checkpoint_steps, finished_at, models_at
from ..domain.plan import Plan, PlanRule
from ..domain.timeline import TERMINAL, Intervention
from ..settings import Settings
from .blobs import Blob
from .ordered_ids import IdIndex, OrderedIds
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

NO_METADATA = ("", "")
"""The key under which jobs without metadata are found."""


FIRST_STATUS = "validating_files"

Heap: TypeAlias = list[tuple[float, str]]
"""Times with the ids of what changes then, the earliest first; what has changed again has stale entries."""


def _without_stale(heap: Heap, live: Collection[str]) -> Heap:
    """Return *heap*, without the entries of ids that are not *live* once these are most."""
    if len(heap) <= 2 * len(live) + 100:
        return heap
    kept = [entry for entry in heap if entry[1] in live]
    heapq.heapify(kept)
    return kept


class StatusCounts:
    """Counts of jobs by status. To ask costs as much as statuses have changed since, however many jobs there are."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unfinished: dict[str, str] = {}
        """The status as which each job is counted that is not known to be over."""
        self._changes: Heap = []
        """When statuses change next. Stale entries do no harm."""

    def watch(self, job: Job) -> None:
        """Count a job that was created or changed."""
        at = job.created_at  # to be looked at the next time
        if job.id not in self._unfinished:
            self._unfinished[job.id] = FIRST_STATUS
            self._counts[FIRST_STATUS] += 1
            at = next((at for at, status in job.timeline().milestones if status != FIRST_STATUS), at)
        heapq.heappush(self._changes, (at, job.id))

    def finish(self, identifier: str, status: str) -> None:
        """Count a job as over, for good."""
        self._count_as(identifier, status)
        self._changes = _without_stale(self._changes, self._unfinished)

    def forget(self, identifier: str, status: str) -> None:
        """Count a deleted job, whose last status this is, no more."""
        self._counts[self._unfinished.pop(identifier, status)] -= 1

    def by_status(self, now: float, jobs: Mapping[str, Job]) -> dict[str, int]:
        """Return the counts at *now*, without zeros."""
        while self._changes and self._changes[0][0] <= now:
            _, identifier = heapq.heappop(self._changes)
            if identifier not in self._unfinished:
                continue
            timeline = jobs[identifier].timeline()
            self._count_as(identifier, timeline.status(now))
            if identifier in self._unfinished and (later := [at for at, _ in timeline.milestones if at > now]):
                heapq.heappush(self._changes, (later[0], identifier))
        return {status: count for status, count in self._counts.items() if count}

    def next_change(self, now: float, jobs: Mapping[str, Job]) -> tuple[float, str, str] | None:
        """Return when which job changes to which status next; None if none does."""
        self.by_status(now, jobs)
        while self._changes:
            at, identifier = self._changes[0]
            if identifier in self._unfinished:
                for changes_at, status in jobs[identifier].timeline().milestones:
                    if changes_at == at:
                        return at, identifier, status
            heapq.heappop(self._changes)  # a job that was changed has another entry
        return None

    def _count_as(self, identifier: str, status: str) -> None:
        if (counted := self._unfinished.pop(identifier, None)) is None:
            return
        self._counts[counted] -= 1
        self._counts[status] += 1
        if status not in TERMINAL:
            self._unfinished[identifier] = status


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
        self.results: dict[str, str] = {}
        """Derived result files: file id → job id."""
        self.result_sizes: dict[str, int] = {}
        """How many bytes the result files of jobs have, as far as somebody has asked: job id → bytes."""
        self._models: dict[str, str] = {}
        self._unnamed: dict[str, None] = {}
        """Jobs whose models nobody has asked for: their names are derived when somebody does."""
        self._counted_jobs = self._counted_models = 0
        """How many of these have been looked at to count their models, and how many models they have."""
        self._has_models: set[str] = set()
        """Unfinished jobs that have made their models."""
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
        self.file_shelf = OrderedIds()
        self.jobs_by_metadata = IdIndex(self.job_shelf, partial(_metadata_pairs, self.jobs))
        self.files_by_purpose = IdIndex(self.file_shelf, partial(_purpose, self.files))
        self._agenda: Heap = []
        self._ends: Heap = []
        """When jobs end, negative, so that the last is the first. Stale entries are skipped."""
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
        while self._agenda and self._agenda[0][0] <= now:
            _, identifier = heapq.heappop(self._agenda)
            file = self.files.get(identifier)
            if file and file.expires_at is not None and file.expires_at <= now:
                _forget_file(self, identifier)
            elif identifier in self.uploads:
                _forget_parts(self, identifier)
            elif identifier in self.active:
                self._materialize_job(self.jobs[identifier], now)
        if self.outbox.ends:
            self.outbox.materialize(now, self.jobs)

    def _materialize_job(self, job: Job, now: float) -> None:
        timeline = job.timeline()
        # an event has named them, be the job over or not (inferred)
        if job.id not in self._has_models and timeline.has_happened("model", now):
            self._unnamed[job.id] = None
            self._has_models.add(job.id)
        if timeline.end <= now and (status := timeline.status(now)) in TERMINAL:
            del self.active[job.id]
            self._has_models.discard(job.id)
            self._ends = _without_stale(self._ends, self.active)
            self.status_counts.finish(job.id, status)
            if status == "succeeded" and (result := job.result_file) not in self.deleted:
                self.results[result] = job.id
                _index_file(self, result, result_created_at(job))

    @property
    def models(self) -> dict[str, str]:
        """Derived models: model id → job id, those of the job that made them first at first."""
        if self._unnamed:
            self._name_models()
        return self._models

    @property
    def model_count(self) -> int:
        """How many derived models there are; none gets its name for that."""
        uncounted = islice(self._unnamed, self._counted_jobs, None)
        self._counted_models += sum(len(_model_steps(self.jobs[identifier])) for identifier in uncounted)
        self._counted_jobs = len(self._unnamed)
        return len(self._models) + self._counted_models

    def _name_models(self) -> None:
        for identifier in self._unnamed:
            job = self.jobs[identifier]
            made = models_at(job, job.timeline())
            for step in _model_steps(job):
                self._models[job.model_at(step, made)] = identifier
        self._unnamed.clear()
        self._counted_jobs = self._counted_models = 0

    def intervene(self, identifier: str, act: Intervention) -> None:
        """Change the course of a job; what it has made by now stays made."""
        if identifier in self._unnamed:
            self._name_models()
        job = self.jobs[identifier]
        self.jobs[identifier] = replace(job, interventions=(*job.interventions, act))
        self.schedule(self.jobs[identifier])

    def schedule(self, job: Job) -> None:
        """Materialize *job* when it has made its models, and when its timeline, as it is now, ends."""
        timeline = job.timeline()
        self.status_counts.watch(job)
        for at in {timeline.end, timeline.time_of("model") or timeline.end}:
            heapq.heappush(self._agenda, (at, job.id))
        heapq.heappush(self._ends, (-_end_in_sight(job), job.id))
        if self.outbox.endpoints:
            self.outbox.schedule(job)

    def schedule_expiry(self, identifier: str, at: float) -> None:
        """Forget a file, or the parts of an upload, at its expiry, in Unix seconds."""
        heapq.heappush(self._agenda, (at, identifier))

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
        while self._ends:
            negative_end, identifier = self._ends[0]
            if identifier in self.active and -negative_end == _end_in_sight(self.jobs[identifier]):
                return max(-negative_end, self.awaited_until)
            heapq.heappop(self._ends)
        return self.awaited_until

    def last_job_end(self) -> float:
        """Return when the last of the unfinished jobs ends, in Unix seconds; 0 if all are over."""
        return max((self.jobs[identifier].timeline().end for identifier in self.active), default=0.0)


def _metadata_pairs(jobs: Mapping[str, Job], identifier: str) -> Collection[tuple[str, str]]:
    metadata = jobs[identifier].metadata
    return (NO_METADATA,) if metadata is None else tuple(metadata.items())  # spec: null, not {}


def _purpose(files: Mapping[str, StoredFile], identifier: str) -> tuple[str]:
    return (files[identifier].purpose if identifier in files else RESULTS,)


def _model_steps(job: Job) -> Collection[int]:
    """Return the steps of which a job that has made its models has one, the last step at last."""
    return dict.fromkeys((*checkpoint_steps(job), job.spec.steps))


def _end_in_sight(job: Job) -> float:
    timeline = job.timeline()
    return timeline.end if timeline.milestones[-1][1] in TERMINAL else inf


def apply(account: Account, record: Record) -> None:
    """Change the account by one accepted record; it never refuses."""
    match record:
        case FileUploaded(file):
            account.files[file.id] = file
            _index_file(account, file.id, file.created_at)
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
            account.schedule(job)
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


def _index_file(account: Account, identifier: str, created_at: float) -> None:
    account.file_shelf.add(identifier, created_at)
    account.files_by_purpose.add(identifier)


def _forget_file(account: Account, identifier: str) -> None:
    account.deleted.add(identifier)
    account.files_by_purpose.remove(identifier)
    account.file_shelf.remove(identifier)
    if (job_id := account.results.pop(identifier, None)) is not None:
        account.result_sizes.pop(job_id, None)
    if account.files.pop(identifier, None):
        account.unreferenced.append(identifier)


def _forget_job(account: Account, identifier: str) -> None:
    """Take a job out of lists and counts; its models and its result file are derived from it still."""
    job = account.jobs[identifier]
    account.deleted.add(identifier)
    account.job_shelf.remove(identifier)
    account.jobs_by_metadata.remove(identifier)
    timeline = job.timeline()
    account.status_counts.forget(identifier, timeline.status(timeline.end))


def _forget_parts(account: Account, upload: str) -> None:
    if account.parts.pop(upload, None):
        account.unreferenced.append(upload)


RESULTS = "fine-tune-results"
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
