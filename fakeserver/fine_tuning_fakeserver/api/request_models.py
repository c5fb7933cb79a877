"""Request bodies: their models, and the service's words for what does not fit.

Imported when a body is checked: pydantic takes a third of the time in which all the rest starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, InitErrorDetails

from fine_tuning_formats.job_rules import MAX_METADATA_KEY, MAX_METADATA_PAIRS, MAX_METADATA_VALUE
from fine_tuning_formats.text import show_value

from ..api_errors import ApiError, invalid_field, not_json
from ..domain.dialects.dialect import Dialect
from ..domain.job import Objective
from ..domain.training_methods import ALL_AUTO, GraderRef, Hyperparameters, TrainingRequest
from ..grading.body_types import IN_PARTS, WRITABLE, Body, JsonObject, ShortCircuitList
from ..grading.grader_models import Grader, Lambda, Multi, as_sent
from ..usage_errors import FakeUsageError, unknown_name
from .json_bodies import field_error, parse_control_object

# spec: n_epochs 1..50, batch_size 1..256, learning_rate_multiplier > 0 (CreateFineTuningJobRequest)
Epochs = Literal["auto"] | Annotated[int, Field(ge=1, le=50)]
BatchSize = Literal["auto"] | Annotated[int, Field(ge=1, le=256)]
Multiplier = Literal["auto"] | Annotated[float, Field(gt=0, allow_inf_nan=False)]
Beta = Literal["auto"] | Annotated[float, Field(gt=0, le=2)]
Compute = Literal["auto"] | Annotated[float, Field(gt=1e-5, le=10)]
Count = Literal["auto"] | Annotated[int, Field(ge=1, le=2**53)]

Suffix = Annotated[str, Field(min_length=1, max_length=64)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=MAX_METADATA_KEY)], Annotated[str, Field(max_length=MAX_METADATA_VALUE)]],
    Field(max_length=MAX_METADATA_PAIRS),
    IN_PARTS,
]


class HyperparametersBody(Body):
    """``hyperparameters``, at the top or inside ``method.supervised``."""

    n_epochs: Epochs = "auto"
    batch_size: BatchSize = "auto"
    learning_rate_multiplier: Multiplier = "auto"

    def to_hyperparameters(self) -> Hyperparameters:
        """Convert to the domain's; a multiplier becomes a float (recording: 3 comes back as 3.0)."""
        return Hyperparameters(**self.model_dump())


class DpoHyperparametersBody(HyperparametersBody):
    """``method.dpo.hyperparameters``. Source: spec FineTuneDPOHyperparameters."""

    beta: Beta = "auto"


class ReinforcementHyperparametersBody(HyperparametersBody):
    """``method.reinforcement.hyperparameters``. Source: spec FineTuneReinforcementHyperparameters."""

    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"
    compute_multiplier: Compute = "auto"
    eval_interval: Count = "auto"
    eval_samples: Count = "auto"


class SupervisedBody(Body):
    """``method.supervised``."""

    hyperparameters: HyperparametersBody | None = None


class DpoBody(Body):
    """``method.dpo``."""

    hyperparameters: DpoHyperparametersBody | None = None


class ReinforcementBody(Body):
    """``method.reinforcement``; `response_format` is in the spec's example and in guides only."""

    grader: Grader
    hyperparameters: ReinforcementHyperparametersBody | None = None
    response_format: JsonObject | None = None

    def grader_refs(self) -> tuple[GraderRef, ...]:
        """Return the graders whose rewards the job reports: those inside a multi grader, or the grader itself."""
        grader = self.grader
        parts = grader.sub_graders().values() if isinstance(grader, Multi) else [grader]
        return tuple(GraderRef(part.name or part.type, part.type, getattr(part, "model", None)) for part in parts)


class MethodBody(Body):
    """``method``: its type, and the part of that name; the parts of other methods count for nothing.

    Source: spec FineTuneMethod, whose parts are all optional; the SDKs' generated tests send all three.
    """

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: SupervisedBody | None = None
    dpo: DpoBody | None = None
    reinforcement: ReinforcementBody | None = None

    @model_validator(mode="before")
    @classmethod
    def _require_own_part(cls, value: Any) -> Any:
        """Inferred: the part of reinforcement, with its grader, is required for that method."""
        if isinstance(value, dict) and value.get("type") == "reinforcement" and value.get("reinforcement") is None:
            missing = InitErrorDetails(type="missing", loc=("reinforcement",), input=value)
            raise ValidationError.from_exception_data("method", [missing])
        return value

    @property
    def own_part(self) -> SupervisedBody | DpoBody | ReinforcementBody | None:
        """The part that bears the method's name."""
        return {"supervised": self.supervised, "dpo": self.dpo, "reinforcement": self.reinforcement}[self.type]

    def to_hyperparameters(self) -> Hyperparameters | None:
        """Return the hyperparameters of the method's own part; None without any."""
        part = self.own_part
        return part.hyperparameters.to_hyperparameters() if part and part.hyperparameters else None


class WandbBody(Body):
    """``integrations[].wandb``."""

    project: str
    name: str | None = None
    entity: str | None = None
    tags: ShortCircuitList[str] = Field([])


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
    integrations: Annotated[ShortCircuitList[IntegrationBody], Field(max_length=5)] | None = None
    metadata: Metadata | None = None

    @property
    def method_name(self) -> str:
        """The requested method; supervised by default."""
        return self.method.type if self.method else "supervised"

    def training_request(self, model: str) -> TrainingRequest:
        """Return the training of *model* that is requested; `method` wins over the deprecated top level (inferred)."""
        numbers = self.method.to_hyperparameters() if self.method else None
        if not numbers and self.hyperparameters and self.method_name == "supervised":
            numbers = self.hyperparameters.to_hyperparameters()
        part = self.method.own_part if self.method else None
        graders = part.grader_refs() if isinstance(part, ReinforcementBody) else ()
        return TrainingRequest(model, self.method_name, numbers or ALL_AUTO, graders)

    @property
    def objective(self) -> Objective | None:
        """The grader and response format of a reinforcement job."""
        part = self.method.own_part if self.method else None
        return Objective(as_sent(part.grader), part.response_format) if isinstance(part, ReinforcementBody) else None


class EndpointGrader(BaseModel):
    """A grader that is called, which only Azure has, as a preview; its other members are taken as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Annotated[Any, WRITABLE]]

    type: Literal["endpoint"]
    name: str | None = None
    url: Annotated[str, Field(min_length=1)]


def _grader_tag(value: Any) -> str:
    return "endpoint" if isinstance(value, dict) and value.get("type") == "endpoint" else "known"


class AzureReinforcementBody(ReinforcementBody):
    """``method.reinforcement`` where a grader may be an endpoint."""

    grader: Annotated[  # type: ignore[assignment]  # one kind more
        Annotated[Grader, Tag("known")] | Annotated[EndpointGrader, Tag("endpoint")], Discriminator(_grader_tag)
    ]


class AzureMethodBody(MethodBody):
    """``method`` where a grader may be an endpoint."""

    reinforcement: AzureReinforcementBody | None = None


class AzureCreateJobBody(CreateJobBody):
    """``POST /fine_tuning/jobs`` where a grader may be an endpoint."""

    method: AzureMethodBody | None = None


class LambdaReinforcementBody(ReinforcementBody):
    """``method.reinforcement`` where an AWS Lambda function can be the grader, too."""

    grader: Annotated[  # type: ignore[assignment]  # it has one more member
        Annotated[Grader, Tag("grader")] | Annotated[Lambda, Tag("lambda")],
        Discriminator(
            lambda value: "lambda" if isinstance(value, dict) and value.get("type") == "lambda" else "grader"
        ),
    ]


class LambdaMethodBody(MethodBody):
    """``method`` of a `LambdaJobBody`."""

    reinforcement: LambdaReinforcementBody | None = None


class LambdaJobBody(CreateJobBody):
    """``POST /fine_tuning/jobs`` where an AWS Lambda function can be a grader."""

    method: LambdaMethodBody | None = None


def job_body(dialect: Dialect) -> type[CreateJobBody]:
    """Return the model of a job's request in a dialect."""
    if dialect.endpoint_graders:
        return AzureCreateJobBody
    return LambdaJobBody if dialect.jobs and dialect.jobs.lambda_graders else CreateJobBody


class ExpiresAfterBody(Body):
    """``expires_after``. Source: spec FileExpirationAfter."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class CreateUploadBody(Body):
    """``POST /uploads``. Source: spec CreateUploadRequest, which bounds no size; at most 8 GB."""

    filename: Annotated[str, Field(min_length=1)]
    purpose: str
    bytes: Annotated[int, Field(ge=0, le=8 * 1024**3)]
    mime_type: str
    expires_after: ExpiresAfterBody | None = None


class CompleteUploadBody(Body):
    """``POST /uploads/{id}/complete``. Source: spec CompleteUploadRequest."""

    part_ids: Annotated[ShortCircuitList[str], Field(min_length=1)]
    md5: str | None = None


class CreatePermissionsBody(Body):
    """``POST …/permissions``. Source: spec CreateFineTuningCheckpointPermissionRequest."""

    project_ids: Annotated[ShortCircuitList[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


B = TypeVar("B", bound=BaseModel)


Refusal: TypeAlias = Callable[[str, Sequence[ErrorDetails]], ApiError]
"""Makes the error of a field from its dotted path and what pydantic has to say about it."""


def parse(
    model: type[B],
    value: Any,
    complaints: Mapping[str, str] = MappingProxyType({}),
    refusal: Refusal | None = None,
) -> B:
    """Validate a JSON value as *model*.

    Args:
        complaints: a dialect's own texts, by pydantic's type of error.
        refusal: makes the error, if the route does not answer as the creation of jobs does.

    Raises:
        ApiError: it does not fit, in the service's words.
    """
    if not isinstance(value, dict):
        raise not_json()
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        name = _field_path(problems[0], value)
        # The first field counts. A union has a problem for each of its members; the last is of the one that came
        # nearest.
        of_field = [each for each in problems if _field_path(each, value) == name]
        if refusal:
            raise refusal(name, of_field) from None
        problem = of_field[-1]
        if complaint := complaints.get(problem["type"]):
            raise invalid_field(name, f", {complaint}") from None
        raise field_error(name, problem["type"], _message(problem), problem["input"]) from None


def _field_path(problem: ErrorDetails, value: Any) -> str:
    """Return the dotted path of the field, without the tags that pydantic adds for the members of a union."""
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


def _message(problem: ErrorDetails) -> str:
    # Pydantic names our classes after these words; the service has none of that name.
    return problem["msg"].partition(" or instance of ")[0].partition(" or object to ")[0]


def parse_control(model: type[B], raw: bytes, where: str) -> B:
    """Parse the body of a control request as *model*; an empty body is ``{}``.

    Args:
        where: method and path, for the message.

    Raises:
        FakeUsageError: it does not fit; the message names the field, and what it may be.
    """
    value = parse_control_object(raw, where)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise FakeUsageError(f"{where}: {usage_error(error, value, model.model_fields)}") from None


def usage_error(
    error: ValidationError, value: Mapping[str, Any], known: Mapping[str, FieldInfo], thing: str = "field"
) -> FakeUsageError:
    """Return the fake's own error for the first field of *value* that does not fit.

    Args:
        known: the fields there are.
        thing: what the fields are called.
    """
    problem = error.errors(include_url=False, include_context=False)[0]
    field, message = _field_path(problem, value), _message(problem)
    if problem["type"] == "missing":
        return FakeUsageError(f"{field} is required")
    if problem["type"] == "extra_forbidden":
        within, _, name = field.rpartition(".")
        known_there = _fields_within(known, within.split(".")) if within else known
        return unknown_name(f"{thing} of {within}" if within else thing, name, known_there)
    # "Input should be a valid integer", "String should have at most 64 characters"
    _, should, requirement = message.partition(" should ")
    got = f"got {show_value(problem['input'])}"
    return FakeUsageError(f"{field} must {requirement}, {got}" if should else f"{field}: {message.lower()}, {got}")


def _fields_within(fields: Mapping[str, FieldInfo], path: Sequence[str]) -> list[str]:
    """Return the names that the fields at *path* can have: of a union, those of all its models."""
    for name in path:
        if name in fields:  # not the place in a list
            fields = {each: field for model in _models_in(fields[name]) for each, field in model.model_fields.items()}
    return list(fields)


def _models_in(declared: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of a field or type, whatever they are wrapped in."""
    if isinstance(declared, FieldInfo):
        declared = declared.annotation
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        yield declared
    for part in get_args(declared):
        yield from _models_in(part)
