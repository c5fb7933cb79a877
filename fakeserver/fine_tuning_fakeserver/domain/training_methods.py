"""The methods of training: their hyperparameters, and the files they read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from .base_models import MODELS_BY_ID, base_model_name
from .training_files import CHAT, COMPLETION, PREFERENCE, REINFORCEMENT

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
    `is_top_level` says whether the job shows them at its top level, too. `row_format` is the format its rows must
    have, `file_format` the one that such a file has by its first row.
    """

    name: str
    members: tuple[str, ...]
    created_members: tuple[str, ...]
    is_top_level: bool
    row_format: str
    file_format: str


_THREE = ("n_epochs", "batch_size", "learning_rate_multiplier")
_DPO = ("beta", "batch_size", "learning_rate_multiplier", "n_epochs")
_REWARDED = (
    *("batch_size", "learning_rate_multiplier", "n_epochs"),
    *("eval_interval", "eval_samples", "compute_multiplier", "reasoning_effort"),
)
# supervised: recordings MinimalRequiredParams (sorted at creation) and GetCheckpoints.
# dpo: printed outputs of 2024-12. reinforcement: members as in the spec's example; a null top level is inferred.
METHODS = {
    "supervised": TrainingMethod("supervised", _THREE, tuple(sorted(_THREE)), True, CHAT, CHAT),
    "dpo": TrainingMethod("dpo", _DPO, _DPO, False, PREFERENCE, PREFERENCE),
    "reinforcement": TrainingMethod("reinforcement", _REWARDED, _REWARDED, False, REINFORCEMENT, CHAT),
}
METHOD_OF_FORMAT = {CHAT: "supervised", PREFERENCE: "dpo"}
"""The method that a format is named after, when a job of another method is given such a file."""


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """The training that a request for a job asks for."""

    model: str
    method: str = "supervised"
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    graders: tuple[GraderRef, ...] = ()

    @property
    def row_format(self) -> str:
        """The format that rows must have: that of the oldest models is prompts and completions."""
        base = MODELS_BY_ID.get(base_model_name(self.model))
        return COMPLETION if base and base.completions else METHODS[self.method].row_format


def resolve_hyperparameters(request: TrainingRequest, examples: int) -> Hyperparameters:
    """Return the hyperparameters with a number for every "auto"."""
    given = request.hyperparameters
    # vendor text: about 0.2 % of the examples, between 1 and 256
    batch = min(max(round(examples * 0.002), 1), 256) if given.batch_size == "auto" else given.batch_size
    base = MODELS_BY_ID.get(base_model_name(request.model))
    multiplier = base.multiplier if base else 1.0
    chosen: dict[str, Any] = {
        "n_epochs": _auto_epochs(examples),
        "batch_size": batch,
        # a whole multiplier is an integer in JSON when the service chose it (recording: GetCheckpoints)
        "learning_rate_multiplier": int(multiplier) if multiplier == int(multiplier) else multiplier,
        "beta": 0.1,  # inferred: vendor text's example
        "compute_multiplier": 1.0,  # inferred
        "eval_interval": steps_per_epoch(examples, batch),  # inferred: once an epoch
        "eval_samples": 1,  # inferred
    }
    return replace(given, **{name: value for name, value in chosen.items() if getattr(given, name) == "auto"})


def steps_per_epoch(examples: int, batch_size: AutoOr) -> int:
    """Return how many steps go through the whole file once."""
    return max(1, -(-examples // int(batch_size)))


def _auto_epochs(examples: int) -> int:
    """Return 3, or more for few examples, fewer for many; fits every printed job (10 → 10, 80 and 100 → 3)."""
    if 0 < examples * 3 < 100:
        return min(25, 100 // examples)
    return max(1, 25_000 // examples) if examples * 3 > 25_000 else 3
