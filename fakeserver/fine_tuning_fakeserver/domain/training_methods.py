"""The methods of training: what each may be told, how it says so on the wire, and which files it reads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from .base_models import BY_ID, base_of
from .training_files import CHAT, COMPLETION, PREFERENCE, REINFORCEMENT

Number: TypeAlias = int | float
AutoOr: TypeAlias = Literal["auto"] | Number


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The numbers of a training; ``"auto"`` until the service has chosen. A method looks at its own only."""

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
    """One grader as the numbers of a training name it; `model` is the one that judges, where there is one."""

    name: str
    type: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingMethod:
    """A method of training.

    `members` are its hyperparameters in wire order, `created_members` the same in the answer to creation.
    `at_top` says whether the job shows them at its top level, too. `reads` is the format its rows must have, `takes`
    how such a file is judged by its first row.
    """

    name: str
    members: tuple[str, ...]
    created_members: tuple[str, ...]
    at_top: bool
    reads: str
    takes: str


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
MADE_FOR = {CHAT: "supervised", PREFERENCE: "dpo"}
"""The method that a format is named after, when a job of another method is given such a file."""


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What a job is asked to do."""

    model: str
    method: str = "supervised"
    numbers: Hyperparameters = field(default_factory=Hyperparameters)
    judges: tuple[GraderRef, ...] = ()

    @property
    def reads(self) -> str:
        """The format that rows must have: the oldest models learn from prompts and completions."""
        base = BY_ID.get(base_of(self.model))
        return COMPLETION if base and base.completions else METHODS[self.method].reads


def resolve_hyperparameters(order: TrainingRequest, examples: int) -> Hyperparameters:
    """The numbers with something chosen for every "auto"."""
    asked = order.numbers
    epochs = _auto_epochs(examples) if asked.n_epochs == "auto" else asked.n_epochs
    # vendor text: about 0.2 % of the examples, between 1 and 256
    batch = min(max(round(examples * 0.002), 1), 256) if asked.batch_size == "auto" else asked.batch_size
    base = BY_ID.get(base_of(order.model))
    chosen: dict[str, Any] = {
        "n_epochs": epochs,
        "batch_size": batch,
        "learning_rate_multiplier": _whole(base.multiplier if base else 1.0),
        "beta": 0.1,  # inferred: vendor text's example
        "compute_multiplier": 1.0,  # inferred
        "eval_interval": steps_per_epoch(examples, batch),  # inferred: once an epoch
        "eval_samples": 1,  # inferred
    }
    return replace(asked, **{name: value for name, value in chosen.items() if getattr(asked, name) == "auto"})


def steps_per_epoch(examples: int, batch_size: AutoOr) -> int:
    """How many steps go through the whole file once."""
    return max(1, -(-examples // int(batch_size)))


def _auto_epochs(examples: int) -> int:
    """Three epochs, more for few examples, fewer for many; fits every printed job (10 → 10, 80 and 100 → 3)."""
    if 0 < examples * 3 < 100:
        return min(25, 100 // examples)
    return max(1, 25_000 // examples) if examples * 3 > 25_000 else 3


def _whole(value: float) -> Number:
    """A whole multiplier is an integer in JSON when the service chose it (recording: GetCheckpoints)."""
    return int(value) if value == int(value) else value
