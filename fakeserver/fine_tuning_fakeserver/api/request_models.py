"""Request bodies: their shapes, and the service's words for what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import orjson
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from fine_tuning_formats.job_rules import MAX_METADATA_KEY, MAX_METADATA_PAIRS, MAX_METADATA_VALUE

from ..api_errors import ApiError, invalid_field, not_json
from ..domain.jobs import Objective
from ..domain.training_methods import Hyperparameters, TrainingRequest
from ..request_base import Body
from ..usage_errors import FakeUsageError
from .method_models import HyperparametersBody, MethodBody

JSON_BYTES_AT_MOST = 8 * 1024 * 1024


Suffix = Annotated[str, Field(min_length=1, max_length=64)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=MAX_METADATA_KEY)], Annotated[str, Field(max_length=MAX_METADATA_VALUE)]],
    Field(max_length=MAX_METADATA_PAIRS),
]


class WandbBody(Body):
    """``integrations[].wandb``."""

    project: str
    name: str | None = None
    entity: str | None = None
    tags: list[str] = Field([])


class IntegrationBody(Body):
    """One of ``integrations``."""

    type: Literal["wandb"]
    wandb: WandbBody


class CreateJobBody(Body):
    """``POST /fine_tuning/jobs``. Source: spec CreateFineTuningJobRequest."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: Suffix | None = None
    hyperparameters: HyperparametersBody | None = None
    method: MethodBody | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    integrations: Annotated[list[IntegrationBody], Field(max_length=5)] | None = None
    metadata: Metadata | None = None

    @property
    def method_name(self) -> str:
        """The method asked for; supervised where none is."""
        return self.method.type if self.method else "supervised"

    def order(self, model: str) -> TrainingRequest:
        """What is asked of *model*; `method` wins over the deprecated top level (inferred)."""
        numbers = self.method.asked() if self.method else None
        if not numbers and self.hyperparameters and self.method_name == "supervised":
            numbers = self.hyperparameters.asked()
        rewarded = self.method.reinforcement if self.method else None
        return TrainingRequest(
            model, self.method_name, numbers or Hyperparameters(), rewarded.judges() if rewarded else ()
        )

    @property
    def objective(self) -> Objective | None:
        """What a reinforcement job learns by."""
        return self.method.reinforcement.objective() if self.method and self.method.reinforcement else None


class ExpiresAfterBody(Body):
    """``expires_after``. Source: spec FileExpirationAfter."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class CreateUploadBody(Body):
    """``POST /uploads``. Source: spec CreateUploadRequest; at most 8 GB."""

    filename: Annotated[str, Field(min_length=1)]
    purpose: str
    bytes: Annotated[int, Field(ge=1, le=8 * 1024**3)]
    mime_type: str
    expires_after: ExpiresAfterBody | None = None


class CompleteUploadBody(Body):
    """``POST /uploads/{id}/complete``. Source: spec CompleteUploadRequest."""

    part_ids: Annotated[list[str], Field(min_length=1)]
    md5: str | None = None


class CreatePermissionsBody(Body):
    """``POST …/permissions``. Source: spec CreateFineTuningCheckpointPermissionRequest."""

    project_ids: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


B = TypeVar("B", bound=BaseModel)


def parse_json(raw: bytes) -> Any:
    """The JSON value of a request body.

    Raises:
        ApiError: it does not parse, or is nested past any sense.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise not_json() from None


def parse(shape: type[B], value: Any, complaints: Mapping[str, str] = MappingProxyType({})) -> B:
    """*value* in the shape of *shape*; *complaints* are a dialect's own, by kind.

    Raises:
        ApiError: it does not fit, in the service's words.
    """
    if not isinstance(value, dict):
        raise not_json()
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        _refuse(error, value, complaints)


def _refuse(error: ValidationError, value: Mapping[str, Any], complaints: Mapping[str, str]) -> NoReturn:
    """Answer for the first thing wrong; of a union's complaints the last one names what was nearest."""
    problems = error.errors(include_url=False, include_context=False)
    name = _name(problems[0], value)
    problem = [each for each in problems if _name(each, value) == name][-1]
    if complaint := complaints.get(problem["type"]):
        raise invalid_field(name, f", {complaint}")
    raise refusal(name, problem["type"], _text(problem), problem["input"])


def _name(problem: ErrorDetails, value: Any) -> str:
    """The dotted path of a complaint, without the tags that a union adds to it."""
    path: list[str] = []
    last = len(problem["loc"]) - 1
    for depth, place in enumerate(problem["loc"]):
        if isinstance(value, dict):
            if place in value or (depth == last and problem["type"] == "missing"):
                path.append(str(place))
                value = value.get(place)
        elif isinstance(value, list) and isinstance(place, int):
            path.append(str(place))
            value = value[place] if place < len(value) else None
    return ".".join(path)


def _text(problem: ErrorDetails) -> str:
    """The complaint, without the names of our classes."""
    return problem["msg"].partition(" or instance of ")[0].partition(" or object to ")[0]


def refusal(name: str, kind: str, message: str, value: Any) -> ApiError:
    """The service's answer to a field that does not fit.

    Source: ``extra inputs are not permitted`` is a printed output of 2024-09; the family is inferred from it.
    """
    text = message[:1].lower() + message[1:]
    if kind == "missing":
        return invalid_field(name, f", {text}")
    return invalid_field(name, f": {_shown(value)[:200]}, {text}")


def _shown(value: Any) -> str:
    try:
        return value if isinstance(value, str) else repr(value)
    except RecursionError:  # JSON may be nested deeper than Python can print
        return "..."


def parse_control(shape: type[B], raw: bytes, where: str) -> B:
    """A control body in the shape of *shape*; an empty body is ``{}``.

    Raises:
        FakeUsageError: it does not fit; the message names the field, and the fields there are.
    """
    try:
        value = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise FakeUsageError(f"{where}: the body is no JSON ({error})") from None
    if not isinstance(value, dict):
        raise FakeUsageError(f"{where}: the body is a {type(value).__name__}; a JSON object is wanted")
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        field = _name(problem, value)
        fields = ", ".join(shape.model_fields)
        raise FakeUsageError(f"{where}: field {field!r}: {_text(problem).lower()}; the fields are {fields}") from None
