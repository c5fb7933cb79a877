"""The responses of the service, typed, with nothing thrown away."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, field, fields
from functools import cache
from math import isfinite
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from fine_tuning_client.effects import Failure, RawResponse
from fine_tuning_client.errors import APIConnectionError, APIResponseError, APIStatusError, APITimeoutError, error_class
from fine_tuning_formats.job_rules import TERMINAL_STATUSES
from fine_tuning_formats.lazy_dataclass import dataclass

RUNNING_STATUSES = frozenset({"validating_files", "queued", "running", "pausing", "resuming"})

# A required field of another type is as good as missing; keys are annotations as written below.
REQUIRED_TYPES: dict[str, type | tuple[type, ...]] = {"str": str, "int": (int, float), "bool": bool}

NOT_ON_THE_WIRE = frozenset({"extra", "raw", "provider"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A JSON object; ``extra`` has the fields this version does not know, ``raw`` all of them."""

    # As Azure and gateways in front of it spell the status of a job; the original stays in `raw`.
    _STATUS_SPELLINGS: ClassVar[Mapping[str, str]] = {}

    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Self:
        """Read the service's JSON object.

        Raises:
            ValueError: *body* is not an object, or lacks a required field.
        """
        if not isinstance(body, Mapping):
            raise ValueError(f"expected a JSON object, got {type(body).__name__}")
        required, known = cls._members()
        for name, expected in required.items():
            if not isinstance(value := body.get(name), REQUIRED_TYPES[expected]):
                problem = "is missing" if name not in body else f"is {type(value).__name__}"
                raise ValueError(f"{cls.__name__} needs {name!r} ({expected}), which {problem}")
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, value in body.items():
            (values if name in known else extra)[name] = value
        if cls._STATUS_SPELLINGS:
            values["status"] = cls._STATUS_SPELLINGS.get(str(values["status"]), values["status"])
        return cls(**values, extra=extra, raw=body)

    def to_dict(self) -> dict[str, Any]:
        """Write the JSON object that `from_dict` reads."""
        known = {name: getattr(self, name) for name in self._members()[1]}
        return known | dict(self.extra)

    @classmethod
    @cache
    def _members(cls) -> tuple[Mapping[str, str], Mapping[str, None]]:
        """Return the members of the JSON object: the types of those it must have, and the names of all, in order."""
        known = [each for each in fields(cls) if each.name not in NOT_ON_THE_WIRE]
        required = [each for each in known if each.default is MISSING and each.default_factory is MISSING]
        return {each.name: str(each.type) for each in required}, dict.fromkeys(each.name for each in known)


@dataclass(frozen=True, slots=True)
class FineTuningJobResponse(Response):
    """A fine-tuning job as it was when the service answered."""

    _STATUS_SPELLINGS: ClassVar[Mapping[str, str]] = {
        "pending": "queued",
        "notRunning": "queued",
        "canceled": "cancelled",
    }

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
        """Return whether the job has succeeded."""
        return self.status == "succeeded"

    def is_running(self) -> bool:
        """Return whether the job is under way, waiting states included."""
        return self.status in RUNNING_STATUSES

    def is_paused(self) -> bool:
        """Return whether the job waits to be resumed."""
        return self.status == "paused"

    def has_failed(self) -> bool:
        """Return whether the job has failed."""
        return self.status == "failed"

    def was_cancelled(self) -> bool:
        """Return whether the job was cancelled."""
        return self.status == "cancelled"

    def is_finished(self) -> bool:
        """Return whether the job will never change again."""
        return self.status in TERMINAL_STATUSES


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Response, Sequence[T], Generic[T]):
    """A response that is one page of a list, newest first; a sequence of its items.

    A subclass names its items in ``NOUN``, the field that has them, and ``ITEM``, their class.
    """

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
        values: dict[str, Any] = {cls.NOUN: [cls.ITEM.from_dict(each) for each in data]}
        texts = ("first_id", "last_id", "object")
        values |= {name: body[name] for name in texts if isinstance(body.get(name), str)}
        extra = {name: value for name, value in body.items() if name not in {*texts, "data", "has_more"}}
        return cls(**values, has_more=body.get("has_more") is True, extra=extra, raw=body)

    def to_dict(self) -> dict[str, Any]:
        """Write the list object that `from_dict` reads."""
        data = [each.to_dict() for each in self.data]
        cursors = {"has_more": self.has_more, "first_id": self.first_id, "last_id": self.last_id}
        return {"object": self.object, "data": data} | cursors | dict(self.extra)


@dataclass(frozen=True, slots=True)
class FineTuningJobListResponse(Page[FineTuningJobResponse]):
    """One page of jobs."""

    NOUN, ITEM = "jobs", FineTuningJobResponse
    jobs: Sequence[FineTuningJobResponse] = ()


@dataclass(frozen=True, slots=True)
class FineTuningEventListResponse(Page[FineTuningEventResponse]):
    """One page of a job's events."""

    NOUN, ITEM = "events", FineTuningEventResponse
    events: Sequence[FineTuningEventResponse] = ()


@dataclass(frozen=True, slots=True)
class FineTuningCheckpointListResponse(Page[FineTuningCheckpointResponse]):
    """One page of a job's checkpoints."""

    NOUN, ITEM = "checkpoints", FineTuningCheckpointResponse
    checkpoints: Sequence[FineTuningCheckpointResponse] = ()


@dataclass(frozen=True, slots=True)
class FileListResponse(Page[FileResponse]):
    """One page of files."""

    NOUN, ITEM = "files", FileResponse
    files: Sequence[FileResponse] = ()


@dataclass(frozen=True, slots=True)
class ModelListResponse(Page[ModelResponse]):
    """All models; the service does not page them."""

    NOUN, ITEM = "models", ModelResponse
    models: Sequence[ModelResponse] = ()


R = TypeVar("R", bound=Response)

MAX_SNIPPET = 200  # characters of an unreadable body that go into a message
MESSAGE_KEYS = ("message", "detail", "msg", "error", "errors", "title")  # where services put theirs, likeliest first
MAX_DEPTH = 4  # below which no message is expected


def check_response(outcome: RawResponse | Failure) -> RawResponse:
    """Return a successful response.

    Raises:
        APIConnectionError: No response was received.
        APIStatusError: The service refused.
    """
    if isinstance(outcome, Failure):
        kind = APITimeoutError if outcome.timed_out else APIConnectionError
        why = str(outcome.cause) or type(outcome.cause).__name__
        raise kind(f"no answer from {outcome.provider}: {why}", provider=outcome.provider) from outcome.cause
    if not 200 <= outcome.status < 300:
        raise status_error(outcome)
    return outcome


def parse_response(kind: type[R], response: RawResponse) -> R:
    """Parse the body of a successful response.

    Raises:
        APIResponseError: It is not JSON, or lacks a required field.
    """
    try:
        return kind.from_dict(json.loads(response.content))
    except (ValueError, RecursionError) as error:  # json gives up on deep nesting with the latter
        media_type = response.redact(response.headers.get("content-type", "")) or "of no content type"
        body = f"{error}; it is {media_type}: {_shorten(response.text) or 'empty'}"
        message = f"{response.provider} answered {response.status} with a body that cannot be used: {body}"
        raise APIResponseError(message + _reference(response), **_error_fields(response)) from error


def status_error(response: RawResponse) -> APIStatusError:
    """Return the error for a refusal, whatever its body looks like."""
    common = _error_fields(response)
    body = common["body"]
    error = body.get("error", body) if isinstance(body, dict) else body
    members = error if isinstance(error, dict) else {}
    message = find_message(error) or _shorten(response.text)
    if not message and (location := response.redact(response.headers.get("location", ""))):
        message = f"it is at {location}, and the key goes nowhere but to the base URL"
    return error_class(response.status)(
        f"{response.provider} answered {response.status}: {message or 'no message'}{_reference(response)}",
        **common,
        **{name: str(members[name]) for name in ("code", "type", "param") if members.get(name) not in (None, "")},
        retry_after=retry_after(response),
    )


def _error_fields(response: RawResponse) -> dict[str, Any]:
    body: Any = response.text
    try:
        body = json.loads(body)
    except (ValueError, RecursionError):
        pass  # then it is text
    return {
        "provider": response.provider,
        "request_id": response.request_id,
        "status_code": response.status,
        "body": body,
    }


def _reference(response: RawResponse) -> str:
    return f" (request {response.request_id})" if response.request_id else ""


def find_message(error: Any, depth: int = MAX_DEPTH) -> str:
    """Return the sentence for a person in an error: OpenAI's, FastAPI's, or a gateway's."""
    if depth == 0 or error is None:
        return ""
    if isinstance(error, dict):
        return find_message(next((error[name] for name in MESSAGE_KEYS if error.get(name)), None), depth - 1)
    if isinstance(error, list):  # FastAPI lists what is wrong, each with its place
        return "; ".join(find_message(each, depth - 1) for each in error[:5])
    return _shorten(str(error))


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_SNIPPET else words[:MAX_SNIPPET] + "…"


def retry_after(response: RawResponse) -> float | None:
    """Return how many seconds the service asks to wait, if it does."""
    headers = response.headers
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if isfinite(seconds) and seconds >= 0:
            return seconds * unit

    from email.utils import parsedate_to_datetime  # slow to import, seldom needed

    try:  # both dates are by the service's clock, so ours need not be right
        wait = parsedate_to_datetime(headers.get("retry-after", "")) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
