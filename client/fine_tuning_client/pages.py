"""Lists as the service answers them: one page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from fine_tuning_client.responses import (
    FileResponse,
    FineTuningCheckpointResponse,
    FineTuningEventResponse,
    FineTuningJobResponse,
    ModelResponse,
    Response,
)

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
