"""The methods of training and their hyperparameters."""

from __future__ import annotations

from dataclasses import field, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from fine_tuning_formats.job_rules import (
    auto_batch_size,
    auto_epochs,
    auto_learning_rate_multiplier,
    base_model,
)
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.training_file import expected_format

from .base_models import MODELS_BY_ID

Number: TypeAlias = int | float
AutoOr: TypeAlias = Literal["auto"] | Number


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The numbers of a training; ``"auto"`` until the service has chosen. Each method has some of them."""

    n_epochs: AutoOr = "auto"
    batch_size: AutoOr = "auto"
    learning_rate_multiplier: AutoOr = "auto"
    beta: AutoOr = "auto"
    compute_multiplier: AutoOr = "auto"
    eval_interval: AutoOr = "auto"
    eval_samples: AutoOr = "auto"
    reasoning_effort: str = "default"


@dataclass(frozen=True, slots=True)
class GraderRef:
    """A grader as a training's events name it; `model` is the model that grades, if one does."""

    name: str
    type: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingMethod:
    """A method of training.

    `members` are its hyperparameters in wire order, `created_members` the same in the answer to creation.
    `is_top_level` says whether the job shows them at its top level, too; `has_top_level` whether it has the member.
    """

    name: str
    members: tuple[str, ...]
    created_members: tuple[str, ...]
    is_top_level: bool
    has_top_level: bool = True


_THREE = ("n_epochs", "batch_size", "learning_rate_multiplier")
_DPO = ("beta", "batch_size", "learning_rate_multiplier", "n_epochs")
_REWARDED = (
    *("batch_size", "learning_rate_multiplier", "n_epochs"),
    *("eval_interval", "eval_samples", "compute_multiplier", "reasoning_effort"),
)
# supervised: recordings MinimalRequiredParams (sorted at creation) and GetCheckpoints.
# dpo: printed outputs of 2024-12.
# reinforcement: members as in the spec's example; no top level: a printed job of 2025-12.
METHODS = {
    "supervised": TrainingMethod("supervised", _THREE, tuple(sorted(_THREE)), True),
    "dpo": TrainingMethod("dpo", _DPO, _DPO, False),
    "reinforcement": TrainingMethod("reinforcement", _REWARDED, _REWARDED, False, has_top_level=False),
}


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """The training that a request for a job describes."""

    model: str
    method: str = "supervised"
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    graders: tuple[GraderRef, ...] = ()

    @property
    def row_format(self) -> str:
        """The format that rows must have: that of the oldest models is prompts and completions."""
        return expected_format(self.method, base_model(self.model))


ALL_AUTO = Hyperparameters()
"""What a request asks for that names none; jobs share it."""


def resolve_hyperparameters(request: TrainingRequest, examples: int) -> Hyperparameters:
    """Return the hyperparameters with a number for every "auto"."""
    requested, base = request.hyperparameters, base_model(request.model)
    return _automatic(base, examples) if requested is ALL_AUTO else _chosen(requested, base, examples)


@lru_cache(maxsize=64)  # not for numbers of a request: 1 and 1.0 would be the same
def _automatic(base: str, examples: int) -> Hyperparameters:
    return _chosen(ALL_AUTO, base, examples)


def _chosen(requested: Hyperparameters, base: str, examples: int) -> Hyperparameters:
    batch = auto_batch_size(examples) if requested.batch_size == "auto" else requested.batch_size
    chosen: dict[str, Any] = {
        "n_epochs": auto_epochs(examples),
        "batch_size": batch,
        "learning_rate_multiplier": auto_learning_rate_multiplier(base) if base in MODELS_BY_ID else 1,
        "beta": 0.1,  # inferred: vendor text's example
        "compute_multiplier": 1.0,  # inferred
        "eval_interval": steps_per_epoch(examples, batch),  # inferred: once an epoch
        "eval_samples": 1,  # inferred
    }
    return replace(requested, **{name: value for name, value in chosen.items() if getattr(requested, name) == "auto"})


def steps_per_epoch(examples: int, batch_size: AutoOr) -> int:
    """Return how many steps go through the whole file once."""
    return max(1, -(-examples // int(batch_size)))
