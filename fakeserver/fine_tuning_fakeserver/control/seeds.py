"""The fields of a file or a job that is put into an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..api.request_models import Metadata, MethodBody, Suffix, usage_error
from ..domain.plan import PlanFields


class _Seed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Self:
        """Return the seed with these fields.

        Raises:
            FakeUsageError: there is no such field, or its value does not fit.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise usage_error(error, fields, cls.model_fields, "seed field") from None


Identifier = Annotated[str, Field(pattern=r"^[^\s/?#%]+$")]
"""An id that a path can hold."""
Second = Annotated[int, Field(ge=0, le=100_000_000_000)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class FileSeed(_Seed):
    """A file to put into the account; `created_at` is in Unix seconds, by default now."""

    id: Identifier | None = None
    filename: str = "seeded.jsonl"
    purpose: str = "fine-tune"
    content: str
    created_at: Second | None = None


class CheckpointSeed(_Seed):
    """A checkpoint of a seeded job, as the service lists it."""

    id: str
    created_at: int
    step_number: int
    fine_tuned_model_checkpoint: str
    metrics: dict[str, int | float | str | None]


class HyperparametersSeed(_Seed):
    """The hyperparameters of a seeded job: numbers, or "auto"."""

    n_epochs: Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"] = "auto"
    batch_size: Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"] = "auto"
    learning_rate_multiplier: Annotated[int | float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"] = "auto"


class JobSeed(_Seed):
    """A job to put into the account. What is left out is derived, as for a created job.

    Members are those of the service's job object, `suffix` besides; `created_at` and `finished_at` are in Unix
    seconds. `event_ids` are the ids of its first events, oldest first; `result_created_at` and `result_bytes` are of
    its result file.
    """

    id: Identifier | None = None
    model: str | None = None
    training_file: str
    status: str = "succeeded"
    created_at: Second | None = None
    finished_at: Second | None = None
    validation_file: str | None = None
    suffix: Suffix | None = None
    seed: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    hyperparameters: HyperparametersSeed | None = None
    method: MethodBody | None = None
    metadata: Metadata | None = None
    error: dict[str, Any] | str | None = None
    fine_tuned_model: str | None = None
    result_files: list[str] = []
    trained_tokens: Count | None = None
    checkpoints: list[CheckpointSeed] = []
    event_ids: list[str | None] = []
    result_created_at: Second | None = None
    result_bytes: Count | None = None
    plan: dict[str, Any] = {}


class FileSeedFields(TypedDict, total=False):
    """The keywords of `FakeFineTuning.add_file`: the fields of `FileSeed` but for its content."""

    id: str | None
    filename: str
    purpose: str
    created_at: int | None


class JobSeedFields(TypedDict, total=False):
    """The keywords of `FakeFineTuning.add_job`: the fields of `JobSeed` but for its training file."""

    id: str | None
    model: str | None
    status: str
    created_at: int | None
    finished_at: int | None
    validation_file: str | None
    suffix: str | None
    seed: int | None
    hyperparameters: Mapping[str, float | Literal["auto"]] | None
    method: Mapping[str, Any] | None
    metadata: Mapping[str, str] | None
    error: Mapping[str, str | None] | str | None
    fine_tuned_model: str | None
    result_files: Sequence[str]
    trained_tokens: int | None
    checkpoints: Sequence[Mapping[str, Any]]
    event_ids: Sequence[str | None]
    result_created_at: int | None
    result_bytes: int | None
    plan: PlanFields
