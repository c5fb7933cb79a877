"""An account: one isolated world of files, jobs and models. Only `apply` changes it."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Container
from dataclasses import replace

from ..domain import ids
from ..domain.dialects import dialect_named
from ..domain.job import Job, checkpoint_steps, finished_at, models_at
from ..domain.plan import Plan
from ..domain.timeline import TERMINAL
from ..settings import Settings
from .ordered_ids import OrderedIds
from .records import (
    NAMED,
    ClockAdvanced,
    CompletionGiven,
    DeliveryAttempted,
    FileDeleted,
    FileUploaded,
    GraderScoresSet,
    GraderScoreUsed,
    JobCreated,
    JobIntervened,
    ModelDeleted,
    NextIdReserved,
    PaceSet,
    PartUpload,
    Permission,
    PermissionGranted,
    PermissionRevoked,
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


class Account:
    """What the records add up to, with the look-ups that answers need.

    Result files and fine-tuned models are derived from jobs, not stored: `settle` makes them known once their job
    is over, and what is kept of them is no more than the way back to the job.

    Args:
        settings: what it is born with.
        born: when it begins, in Unix seconds.
    """

    def __init__(self, settings: Settings, born: float = 0.0) -> None:
        self.settings = settings
        self.dialect = dialect_named(settings.dialect)
        self.organization_id = settings.organization_id or ids.derived_id("org", settings.seed)
        self.project = settings.project or ids.derived_id("project", settings.seed)
        self.owner = settings.owner or settings.organization
        self.base_models = {model.id: model for model in (*settings.models, *self.dialect.models)}
        self.plan = settings.plan
        self.pace = settings.pace
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, Job] = {}
        self.results: dict[str, str] = {}
        """Derived result files: file id → job id."""
        self.models: dict[str, str] = {}
        """Derived models: model id → job id."""
        self.deleted: set[str] = set()
        self.active: dict[str, None] = {}
        """Jobs that `settle` has not seen the end of, oldest first."""
        self.files_made = 0
        self.answers = 0
        self.replies: deque[str] = deque()
        self.uploads: dict[str, PartUpload] = {}
        self.permissions: dict[str, Permission] = {}
        self.permissions_made = 0
        self.grader_scores: deque[float | None] = deque()
        self.next_plans: deque[Plan] = deque()
        """Plans that wait for the next jobs to be made, one each."""
        self.named: dict[str, deque[NextIdReserved]] = {kind: deque() for kind in NAMED}
        """Ids that wait for the next things to be made, see `NextNamed`."""
        self.job_shelf = OrderedIds()
        self.file_shelf = OrderedIds()
        self.jobs_by_metadata: defaultdict[tuple[str, str], OrderedIds] = defaultdict(OrderedIds)
        self.files_by_purpose: defaultdict[str, OrderedIds] = defaultdict(OrderedIds)
        self._agenda: list[tuple[float, str]] = []
        self.outbox = WebhookQueue(settings.seed)
        for target in settings.webhooks:
            self.outbox.add(self.outbox.endpoint_for(target, born))

    def materialize(self, now: float) -> None:
        """Make known what has come to be by *now*: what jobs have left that are over, and files that are no more."""
        while self._agenda and self._agenda[0][0] <= now:
            _, identifier = heapq.heappop(self._agenda)
            if identifier not in self.jobs:
                _expire(self, identifier, now)
                continue
            if identifier in self.active:
                self._materialize_job(self.jobs[identifier], now)
        self.outbox.materialize(now, self.jobs)

    def _materialize_job(self, job: Job, now: float) -> None:
        life = job.timeline()
        if life.has_happened("model", now):
            _show_models(self, job)
        if life.end <= now and life.status(now) in TERMINAL:
            del self.active[job.id]
            if life.status(now) == "succeeded":
                _show_result(self, job)

    def schedule(self, job: Job) -> None:
        """Look at *job* again when it has made its models, and when its timeline, as it is now, has come to its end."""
        life = job.timeline()
        for at in {life.end, life.time_of("model") or life.end}:
            heapq.heappush(self._agenda, (at, job.id))
        self.outbox.schedule(job)

    def schedule_job_end(self, file: str, at: float) -> None:
        """Forget *file* when its time has come, in Unix seconds."""
        heapq.heappush(self._agenda, (at, file))

    def last_job_end(self) -> float:
        """When the last of the unfinished jobs will be over, in Unix seconds; 0 when all are."""
        return max((self.jobs[identifier].timeline().end for identifier in self.active), default=0.0)


def apply(account: Account, record: Record) -> None:
    """Change the account by one accepted record; it never refuses."""
    match record:
        case FileUploaded(file):
            _store_file(account, file.id, file.purpose, file.created_at)
            account.files[file.id] = file
            account.files_made += 1
            _used(account, "file", file.id)
            if file.expires_at is not None:
                account.schedule_job_end(file.id, file.expires_at)
        case FileDeleted(identifier):
            _forget_file(account, identifier)
        case JobCreated(job):
            if account.next_plans:
                account.next_plans.popleft()
            _add_job(account, job)
            _used(account, "job", job.id)
        case JobIntervened(identifier, act):
            job = account.jobs[identifier]
            account.jobs[identifier] = replace(job, interventions=(*job.interventions, act))
            account.schedule(account.jobs[identifier])
        case ModelDeleted(identifier):
            account.deleted.add(identifier)
            account.models.pop(identifier, None)
        case PaceSet(_, pace):
            account.pace = pace
        case PlanSet(plan, once):
            if once:
                account.next_plans.append(plan)
            else:
                account.plan = plan
        case UploadChanged(upload):
            account.uploads[upload.id] = upload
            _used(account, "upload", upload.id)
            if upload.parts:
                _used(account, "part", upload.parts[-1][0])
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
        case ClockAdvanced():
            pass  # the clock's, see Service.replay


def next_id(account: Account, kind: str, derive: Callable[[int], str], taken: Container[str], ordinal: int) -> str:
    """The id of the next thing of a *kind*: the one that waits for it, or the first derived one that is not *taken*."""
    if account.named[kind]:
        return account.named[kind][0].id
    while (identifier := derive(ordinal)) in taken:
        ordinal += 1
    return identifier


def _used(account: Account, kind: str, identifier: str) -> None:
    names = account.named[kind]
    if any(name.id == identifier for name in names):
        account.named[kind] = deque(name for name in names if name.id != identifier)


def _add_job(account: Account, job: Job) -> None:
    account.jobs[job.id] = job
    account.active[job.id] = None
    account.job_shelf.add(job.id, job.created_at)
    for pair in (job.metadata or {}).items() or (NO_METADATA,):
        account.jobs_by_metadata[pair].add(job.id, job.created_at)
    account.schedule(job)


def _store_file(account: Account, identifier: str, purpose: str, created_at: float) -> None:
    account.file_shelf.add(identifier, created_at)
    account.files_by_purpose[purpose].add(identifier, created_at)


def _expire(account: Account, identifier: str, now: float) -> None:
    file = account.files.get(identifier)
    if file and file.expires_at is not None and file.expires_at <= now:
        _forget_file(account, identifier)


def _forget_file(account: Account, identifier: str) -> None:
    account.deleted.add(identifier)
    account.results.pop(identifier, None)
    purpose = account.files.pop(identifier).purpose if identifier in account.files else RESULTS
    account.file_shelf.remove(identifier)
    account.files_by_purpose[purpose].remove(identifier)


RESULTS = "fine-tune-results"
RESULT_AFTER = 3.0
"""Seconds from ``finished_at`` to the result file's ``created_at`` (recording of 2023-11: 2 to 4)."""


def result_created_at(job: Job) -> float:
    """When the job's result file came into being."""
    return job.overrides.result_created_at or finished_at(job, job.timeline()) + RESULT_AFTER


def _show_result(account: Account, job: Job) -> None:
    """Make known the result file of a job that has succeeded."""
    if job.result_file not in account.deleted:
        account.results[job.result_file] = job.id
        _store_file(account, job.result_file, RESULTS, result_created_at(job))


def _show_models(account: Account, job: Job) -> None:
    """Make known the models of a job whose event has named them, be it over or not (inferred)."""
    made = models_at(job, job.timeline())
    for step in dict.fromkeys((*checkpoint_steps(job), job.spec.steps)):
        if (model := job.model_at(step, made)) not in account.deleted:
            account.models[model] = job.id


def model_created(identifier: str, otherwise: float = 0) -> int:
    """When a fine-tuned model was created; the job's own comes a second after the time in its id.

    *otherwise* is when the job made its models: a seeded name may hold no time.

    Source: recording ListModels (checkpoints: the same second; the final model: one more).
    """
    return (ids.model_time(identifier) or int(otherwise)) + (":ckpt-step-" not in identifier)
