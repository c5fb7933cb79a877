"""``method`` as a request body: the three ways to train, each with its own numbers and their ranges."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

import orjson
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from ..domain.jobs import Objective
from ..domain.training_methods import METHODS, GraderRef, Hyperparameters
from ..grading.grader_models import Grader, Multi, as_sent
from ..request_base import Body

# spec: n_epochs 1..50, batch_size 1..256, learning_rate_multiplier > 0 (CreateFineTuningJobRequest)
Epochs = Literal["auto"] | Annotated[int, Field(ge=1, le=50)]
BatchSize = Literal["auto"] | Annotated[int, Field(ge=1, le=256)]
Multiplier = Literal["auto"] | Annotated[float, Field(gt=0, allow_inf_nan=False)]
Beta = Literal["auto"] | Annotated[float, Field(gt=0, le=2)]
Compute = Literal["auto"] | Annotated[float, Field(gt=1e-5, le=10)]
Count = Literal["auto"] | Annotated[int, Field(ge=1, le=2**53)]


def _printable(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what could be read, but not be written again inside a page of jobs: it is nested too deeply (inferred)."""
    try:
        orjson.dumps([[[[[[value]]]]]])
    except orjson.JSONEncodeError:
        raise PydanticCustomError("too_deep", "Input is nested too deeply") from None
    return value


ResponseFormat = Annotated[dict[str, Any], AfterValidator(_printable)]


class HyperparametersBody(Body):
    """``hyperparameters``, at the top or inside ``method.supervised``."""

    n_epochs: Epochs = "auto"
    batch_size: BatchSize = "auto"
    learning_rate_multiplier: Multiplier = "auto"

    def to_hyperparameters(self) -> Hyperparameters:
        """The same for the domain; a given multiplier is a float (recording: 3 comes back as 3.0)."""
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
    response_format: ResponseFormat | None = None

    def objective(self) -> Objective:
        """What a job learns by."""
        return Objective(as_sent(self.grader), self.response_format)

    def grader_refs(self) -> tuple[GraderRef, ...]:
        """The graders that a job's numbers name: those inside a multi grader, or the one there is."""
        grader = self.grader
        parts = grader.sub_graders().values() if isinstance(grader, Multi) else [grader]
        return tuple(GraderRef(part.name or part.type, part.type, getattr(part, "model", None)) for part in parts)


class MethodBody(Body):
    """``method``: its type, and the part of that name. Source: spec FineTuneMethod."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: SupervisedBody | None = None
    dpo: DpoBody | None = None
    reinforcement: ReinforcementBody | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_its_own_part(cls, value: Any) -> Any:
        """Inferred: another method's part is refused as unknown, and reinforcement's, with its grader, is required."""
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind in METHODS:
            other = next((name for name in METHODS if name != kind and value.get(name) is not None), None)
            if other:
                _refuse("extra_forbidden", other, value[other])
            if kind == "reinforcement" and value.get("reinforcement") is None:
                _refuse("missing", "reinforcement", value)
        return value

    def to_hyperparameters(self) -> Hyperparameters | None:
        """The hyperparameters in the part named as the method; None where there are none."""
        part = self.supervised or self.dpo or self.reinforcement
        return part.hyperparameters.to_hyperparameters() if part and part.hyperparameters else None


def _refuse(kind: str, name: str, value: Any) -> NoReturn:
    raise ValidationError.from_exception_data("method", [InitErrorDetails(type=kind, loc=(name,), input=value)])
