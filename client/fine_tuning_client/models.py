"""What the service answered, typed, with nothing thrown away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

RUNNING = frozenset({"validating_files", "queued", "running", "pausing", "resuming"})
FINISHED = frozenset({"succeeded", "failed", "cancelled"})

# Of a job, by Azure and gateways in front of it; what they said stays in `raw`.
SPELLINGS = {"pending": "queued", "notRunning": "queued", "canceled": "cancelled"}

# A required field of another type is as good as missing; keys are annotations as written below.
KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": (int, float), "bool": bool}

OURS = frozenset({"extra", "raw", "provider"})  # not on the wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer; ``extra`` has the fields this version does not know, ``raw`` all of them."""

    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Self:
        """Read the service's JSON object.

        Raises:
            ValueError: *body* is no object, or lacks a required field.
        """
        if not isinstance(body, Mapping):
            raise ValueError(f"expected a JSON object, not {type(body).__name__}")
        known = {each.name: each for each in fields(cls) if each.name not in OURS}
        values = {name: _checked(cls, each, body) for name, each in known.items() if _is_expected(each, body)}
        extra = {name: value for name, value in body.items() if name not in known}
        return cls(**values, extra=extra, raw=body)

    def to_dict(self) -> dict[str, Any]:
        """Write the JSON object that `from_dict` reads."""
        known = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in OURS}
        return known | dict(self.extra)


def _required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _is_expected(each: Field[Any], body: Mapping[str, Any]) -> bool:
    return each.name in body or _required(each)


def _checked(cls: type[Response], each: Field[Any], body: Mapping[str, Any]) -> Any:
    value = body.get(each.name)
    kind = KINDS.get(str(each.type), object)
    if _required(each) and not isinstance(value, kind):
        found = "is missing" if each.name not in body else f"is {type(value).__name__}"
        raise ValueError(f"{cls.__name__} needs {each.name!r} ({each.type}), which {found}")
    if each.name == "status" and issubclass(cls, FineTuningJobResponse):
        return SPELLINGS.get(str(value), value)
    return value


@dataclass(frozen=True, slots=True)
class FineTuningJobResponse(Response):
    """A fine-tuning job as it was when it was asked for."""

    id: str
    status: str
    model: str
    training_file: str
    created_at: int
    finished_at: int | None = None
    error: dict[str, Any] | None = field(default=None, hash=False)
    hyperparameters: dict[str, Any] | None = field(default=None, hash=False)
    result_files: Sequence[str] | None = field(default=None, hash=False)
    trained_tokens: int | None = None
    fine_tuned_model: str | None = None
    validation_file: str | None = None
    seed: int | None = None
    method: dict[str, Any] | None = field(default=None, hash=False)
    metadata: dict[str, str] | None = field(default=None, hash=False)
    integrations: Sequence[dict[str, Any]] | None = field(default=None, hash=False)
    estimated_finish: int | None = None
    organization_id: str | None = None
    object: str = "fine_tuning.job"
    provider: str | None = field(default=None, compare=False, kw_only=True)

    def is_completed(self) -> bool:
        """Tell whether the job has succeeded."""
        return self.status == "succeeded"

    def is_running(self) -> bool:
        """Tell whether the job is on its way, waiting states included."""
        return self.status in RUNNING

    def is_paused(self) -> bool:
        """Tell whether the job waits to be resumed."""
        return self.status == "paused"

    def has_failed(self) -> bool:
        """Tell whether the job has failed."""
        return self.status == "failed"

    def was_cancelled(self) -> bool:
        """Tell whether somebody cancelled the job."""
        return self.status == "cancelled"

    def is_finished(self) -> bool:
        """Tell whether the job will never change again."""
        return self.status in FINISHED


@dataclass(frozen=True, slots=True)
class FineTuningEventResponse(Response):
    """A line of a job's log."""

    id: str
    message: str
    created_at: int
    level: str = "info"
    type: str = "message"
    data: dict[str, Any] | None = field(default=None, hash=False)
    object: str = "fine_tuning.job.event"


@dataclass(frozen=True, slots=True)
class FineTuningCheckpointResponse(Response):
    """A model as it was after some steps of training."""

    id: str
    step_number: int
    created_at: int
    metrics: dict[str, Any] = field(default_factory=dict, hash=False)
    fine_tuned_model_checkpoint: str | None = None
    fine_tuning_job_id: str | None = None
    object: str = "fine_tuning.job.checkpoint"


@dataclass(frozen=True, slots=True)
class FileResponse(Response):
    """An uploaded file, or one the service made."""

    id: str
    filename: str
    bytes: int
    created_at: int
    purpose: str
    status: str | None = None
    status_details: str | None = None
    expires_at: int | None = None
    object: str = "file"


@dataclass(frozen=True, slots=True)
class ModelResponse(Response):
    """A model, the service's own or a fine-tuned one."""

    id: str
    created: int | None = None
    owned_by: str | None = None
    object: str = "model"


@dataclass(frozen=True, slots=True)
class DeletionResponse(Response):
    """The receipt for a deleted file or model."""

    id: str
    deleted: bool
    object: str | None = None


Item = FineTuningJobResponse | FineTuningEventResponse | FineTuningCheckpointResponse | FileResponse
T = TypeVar("T", bound=Item | ModelResponse)

ENVELOPE = ("first_id", "last_id", "object")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Response, Sequence[T], Generic[T]):
    """One page of a list, newest first; a sequence of its items."""

    NOUN: ClassVar[str]
    ITEM: ClassVar[type[Response]]

    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None
    object: str = "list"

    def __post_init__(self) -> None:
        items = tuple(getattr(self, self.NOUN))
        object.__setattr__(self, self.NOUN, items)
        if items and self.last_id is None:  # only checkpoints and files carry cursors on the wire
            object.__setattr__(self, "last_id", items[-1].id)

    @property
    def data(self) -> tuple[T, ...]:
        """The items, under the name they have on the wire."""
        items: tuple[T, ...] = getattr(self, self.NOUN)
        return items

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.data[index]

    def __len__(self) -> int:
        return len(self.data)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Self:
        """Read a list object; one item that cannot be read fails the whole page."""
        data = body.get("data") if isinstance(body, Mapping) else None
        if not isinstance(data, list):
            raise ValueError(f"{cls.__name__} needs 'data' (list)")
        envelope = {name: body[name] for name in ENVELOPE if isinstance(body.get(name), str)}
        extra = {name: value for name, value in body.items() if name not in {*ENVELOPE, "data", "has_more"}}
        items: dict[str, Any] = {cls.NOUN: [cls.ITEM.from_dict(each) for each in data]}
        return cls(**items, has_more=body.get("has_more") is True, **envelope, extra=extra, raw=body)

    def to_dict(self) -> dict[str, Any]:
        """Write the list object that `from_dict` reads."""
        data = [each.to_dict() for each in self.data]
        cursors = {"has_more": self.has_more, "first_id": self.first_id, "last_id": self.last_id}
        return {"object": self.object, "data": data} | cursors | dict(self.extra)


@dataclass(frozen=True, slots=True)
class FineTuningJobListResponse(Page[FineTuningJobResponse]):
    """One page of jobs."""

    NOUN: ClassVar[str] = "jobs"
    ITEM: ClassVar[type[Response]] = FineTuningJobResponse
    jobs: Sequence[FineTuningJobResponse] = ()


@dataclass(frozen=True, slots=True)
class FineTuningEventListResponse(Page[FineTuningEventResponse]):
    """One page of a job's events."""

    NOUN: ClassVar[str] = "events"
    ITEM: ClassVar[type[Response]] = FineTuningEventResponse
    events: Sequence[FineTuningEventResponse] = ()


@dataclass(frozen=True, slots=True)
class FineTuningCheckpointListResponse(Page[FineTuningCheckpointResponse]):
    """One page of a job's checkpoints."""

    NOUN: ClassVar[str] = "checkpoints"
    ITEM: ClassVar[type[Response]] = FineTuningCheckpointResponse
    checkpoints: Sequence[FineTuningCheckpointResponse] = ()


@dataclass(frozen=True, slots=True)
class FileListResponse(Page[FileResponse]):
    """One page of files."""

    NOUN: ClassVar[str] = "files"
    ITEM: ClassVar[type[Response]] = FileResponse
    files: Sequence[FileResponse] = ()


@dataclass(frozen=True, slots=True)
class ModelListResponse(Page[ModelResponse]):
    """All models; the service does not page them."""

    NOUN: ClassVar[str] = "models"
    ITEM: ClassVar[type[Response]] = ModelResponse
    models: Sequence[ModelResponse] = ()
