"""Records: one immutable value for every accepted change, with the ids and times that were decided.

Deciding and applying are two steps. An operation decides; `account.apply` is the only thing that changes an
account. The same records give the same account, byte for byte. Once a file is deleted or an upload over, its content is
dropped from its record: an account of fewer records, which has the file still, lacks its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ..clock import Pace
from ..domain.dialects.dialect import Dialect
from ..domain.fault_spec import FaultSpec
from ..domain.job import NO_OVERRIDES, Job, Overrides
from ..domain.job_spec import Dataset
from ..domain.plan import Plan, PlanRule
from ..domain.timeline import Intervention
from ..domain.webhook_events import DeliveryAttempt, WebhookEndpoint
from .blobs import Blob


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was uploaded or seeded; `dataset` is what a fine-tune file holds. Times are Unix seconds."""

    id: str
    filename: str
    purpose: str
    content: Blob
    created_at: float
    expires_at: float | None = None
    dataset: Dataset | None = None
    is_broken: bool = False
    """Whether it could not be imported: once it is not pending any more, it is an error."""


@dataclass(frozen=True, slots=True)
class FileUploaded:
    """A file was added to the account."""

    file: StoredFile


@dataclass(frozen=True, slots=True)
class FileDeleted:
    """A file, stored or derived, was deleted."""

    id: str


@dataclass(frozen=True, slots=True)
class JobCreated:
    """A job was accepted, with everything decided about it."""

    job: Job


@dataclass(frozen=True, slots=True)
class JobIntervened:
    """A job was paused, resumed, cancelled, replanned, or lost its file."""

    id: str
    act: Intervention


@dataclass(frozen=True, slots=True)
class JobDeleted:
    """A job that was over was deleted, which only Azure can; its models and its result file stay."""

    id: str


@dataclass(frozen=True, slots=True)
class CheckpointCopied:
    """A checkpoint was copied to another resource, which only Azure can."""

    job_id: str
    checkpoint_id: str
    destination: str
    region: str


@dataclass(frozen=True, slots=True)
class ModelDeleted:
    """A fine-tuned model was deleted."""

    id: str


@dataclass(frozen=True, slots=True)
class ClockAdvanced:
    """Virtual time jumped to `to`, in Unix seconds."""

    to: float


@dataclass(frozen=True, slots=True)
class PaceSet:
    """The pace changed at `at`, in Unix seconds."""

    at: float
    pace: Pace


@dataclass(frozen=True, slots=True)
class DialectSet:
    """Answers are in this dialect from `at` on, in Unix seconds; what there is keeps its ids and its events."""

    at: float
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class PlanSet:
    """Jobs created from now on go by this plan; with `once` only one job, after those of earlier such plans."""

    plan: Plan
    once: bool = False


@dataclass(frozen=True, slots=True)
class PlanRuleAdded:
    """Jobs created from now on that the rule is for go by its plan, unless a later rule or `PlanSet.once` has them."""

    rule: PlanRule


@dataclass(frozen=True, slots=True)
class NextIdReserved:
    """The next thing of a kind gets this id instead of a derived one; a job also this seed and these overrides."""

    kind: str
    id: str
    seed: int | None = None
    overrides: Overrides = NO_OVERRIDES


NAMED = ("file", "job", "upload", "part")
"""The kinds of things whose next id can be reserved."""


@dataclass(frozen=True, slots=True)
class PartUpload:
    """A file that comes in parts; `size` is what those named at its completion must add up to.

    `expires_at` is the upload's own end, `file_expires_after` the file's; seconds both.
    """

    id: str
    filename: str
    purpose: str
    size: int
    created_at: float
    expires_at: float
    file_expires_after: int | None = None
    status: Literal["pending", "completed", "cancelled"] = "pending"


@dataclass(frozen=True, slots=True)
class UploadChanged:
    """An upload was created, completed or cancelled: its new state."""

    upload: PartUpload


@dataclass(frozen=True, slots=True)
class PartAdded:
    """An upload got a part at `at`, in Unix seconds."""

    at: float
    upload: str
    id: str
    content: Blob


@dataclass(frozen=True, slots=True)
class Permission:
    """A project may use a checkpoint's model."""

    id: str
    created_at: float
    checkpoint: str
    project_id: str


@dataclass(frozen=True, slots=True)
class PermissionGranted:
    """A permission was granted."""

    permission: Permission


@dataclass(frozen=True, slots=True)
class PermissionRevoked:
    """A permission was deleted."""

    id: str


@dataclass(frozen=True, slots=True)
class RepliesSet:
    """Models answer with these texts next, in this order."""

    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompletionGiven:
    """A model answered; `scripted` is how many of the prepared texts it took."""

    at: float
    scripted: int


@dataclass(frozen=True, slots=True)
class GraderScoresSet:
    """Grading models give these scores next, in this order; None: an answer without a score."""

    scores: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class GraderScoreUsed:
    """A grading model gave the first of the scores."""


@dataclass(frozen=True, slots=True)
class WebhookAdded:
    """A webhook endpoint was added."""

    endpoint: WebhookEndpoint


@dataclass(frozen=True, slots=True)
class WebhookRemoved:
    """A webhook endpoint was removed at `at`, in Unix seconds."""

    at: float
    id: str


@dataclass(frozen=True, slots=True)
class DeliveryAttempted:
    """A delivery was tried, or collected."""

    id: str
    attempt: DeliveryAttempt


@dataclass(frozen=True, slots=True)
class ListSeen:
    """A list was answered at the pace "polls", by `at`, in Unix seconds; what it showed follows from that.

    `query` is what tells the request from others for the operation: the arguments of its function in `looks.SHOWN_BY`.
    """

    at: float
    operation: str
    query: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class FaultArmed:
    """A fault was armed at `at`, in Unix seconds; `number` is its place in the order of arming, from 1."""

    at: float
    number: int
    spec: FaultSpec


@dataclass(frozen=True, slots=True)
class FaultsMatched:
    """A call came at `at` that these faults are for, by number; `hit` is the one that hits it, if one does."""

    at: float
    faults: tuple[int, ...]
    hit: int | None = None


@dataclass(frozen=True, slots=True)
class FaultHit:
    """A fault, by number, has hit the request of this number in the request log."""

    fault: int
    request: int


@dataclass(frozen=True, slots=True)
class FaultsDisarmed:
    """All faults were disarmed at `at`, in Unix seconds."""

    at: float


@dataclass(frozen=True, slots=True)
class ClockAnchored:
    """It was `at`, in virtual Unix seconds, at the real Unix second `real` of the store; clients wait until `awaited`.

    Kept by accounts in a store, where time passes by itself: all servers of an account have the same time.
    """

    at: float
    real: float
    awaited: float


@dataclass(frozen=True, slots=True)
class ScriptsSet:
    """The scripts in use, and how much of them was used, are these, as JSON. Kept by accounts in a store."""

    scripts: Mapping[str, Any]


Record: TypeAlias = (
    FileUploaded
    | FileDeleted
    | JobCreated
    | JobIntervened
    | JobDeleted
    | CheckpointCopied
    | ModelDeleted
    | ClockAdvanced
    | PaceSet
    | DialectSet
    | PlanSet
    | PlanRuleAdded
    | NextIdReserved
    | UploadChanged
    | PartAdded
    | PermissionGranted
    | PermissionRevoked
    | RepliesSet
    | CompletionGiven
    | GraderScoresSet
    | GraderScoreUsed
    | WebhookAdded
    | WebhookRemoved
    | DeliveryAttempted
    | ListSeen
    | FaultArmed
    | FaultsMatched
    | FaultHit
    | FaultsDisarmed
    | ClockAnchored
    | ScriptsSet
)
FAULT_RECORDS = (FaultArmed, FaultsMatched, FaultHit, FaultsDisarmed)
"""What `ArmedFaults` go by."""
ASIDES = (ListSeen, *FAULT_RECORDS, ClockAnchored, ScriptsSet)
"""Records of what has happened beside the account, which stays as it is."""


def accepted_at(record: Record) -> float | None:
    """Return when the change was accepted, in Unix seconds; None where the time does not matter."""
    match record:
        case FileUploaded(file):
            return file.created_at
        case JobCreated(job):
            return job.created_at
        case JobIntervened(_, act):
            return act.at
        case UploadChanged(upload):
            return upload.created_at
        case CompletionGiven(at, _):
            return at
        case PermissionGranted(permission):
            return permission.created_at
        case WebhookAdded(endpoint):
            return endpoint.created_at
        case DeliveryAttempted(_, attempt):
            return attempt.at
        case ClockAdvanced(at) | PaceSet(at, _) | DialectSet(at, _) | WebhookRemoved(at, _) | PartAdded(at):
            return at
        case FaultArmed(at) | FaultsMatched(at) | FaultsDisarmed(at) | ListSeen(at):
            return at
    return None


CONTENT_RECORDS = (FileUploaded, PartAdded)
"""Records that hold content."""


def content_owner(record: Record) -> str | None:
    """Return the id of the file or upload whose content *record* holds; None if it holds none."""
    if isinstance(record, FileUploaded):
        return record.file.id
    return record.upload if isinstance(record, PartAdded) else None


def content_of(record: Record) -> Blob | None:
    """Return the content that *record* holds, if it holds one."""
    if isinstance(record, FileUploaded):
        return record.file.content
    return record.content if isinstance(record, PartAdded) else None


def without_content(record: Record) -> Record:
    """Return *record* with the size of its content only."""
    if isinstance(record, FileUploaded):
        return FileUploaded(replace(record.file, content=Blob.dropped(record.file.content.size)))
    return replace(record, content=Blob.dropped(record.content.size)) if isinstance(record, PartAdded) else record
