"""The numbers of reinforcement training: rewards, and what sampling and grading cost.

Source: the one event that vendor text prints in full (a real job of 2025-05, step 10 of 20) gives members, order and
kinds of numbers. The values, and what is left out at a step without validation, are inferred.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from .job_spec import JobSpec
from .loss_curves import TrainingPoint, uniform
from .training_methods import GraderRef

Json: TypeAlias = dict[str, Any]

SAMPLES_A_PROMPT = 16
_ERRORS = ("other_error", "sample_parse_error", "invalid_variable_error")
_REASONING_TOKENS = {"low": 500.0, "default": 1500.0, "medium": 1500.0, "high": 4000.0}
_ANSWER_TOKENS = 46.0


@dataclass(frozen=True, slots=True)
class SampleSide:
    """One of the two sets of samples of a step: its name in members, its size, its reward and its reasoning."""

    name: str
    samples: int
    reward: float
    reasoning: float


@dataclass(frozen=True, slots=True)
class GraderVerdict:
    """One grader's part in a step; `seeded` are three numbers in 0..1 of this grader in this step."""

    grader: GraderRef
    sides: tuple[SampleSide, ...]
    seeded: tuple[float, float, float]

    @property
    def name(self) -> Json:
        """The members that name the grader."""
        return {"name": self.grader.name, "type": self.grader.type}

    def tokens(self, side: SampleSide) -> dict[str, int]:
        """Return how many tokens a model that grades has read and written."""
        prompt = 200 + len(self.grader.name)
        return {
            "prompt_tokens": prompt * side.samples,
            "completion_tokens": round((100 + 60 * self.seeded[0]) * side.samples),
        }

    def usage(self) -> Json:
        """Return the tokens of a model that grades, by side."""
        members = {**self.name, "model": self.grader.model}
        for side in self.sides:
            for kind, count in self.tokens(side).items():
                members |= {f"{side.name}_{kind}_mean": count / side.samples, f"{side.name}_{kind}_count": float(count)}
        return members

    def errors(self) -> Json:
        """Return how often the grader failed: never."""
        kinds = [f"{side.name}_{error}" for error in _ERRORS for side in self.sides]
        return self.name | {f"{kind}_{number}": 0.0 for kind in kinds for number in ("mean", "count")}

    def scores(self, is_alone: bool) -> Json:
        """Return the mean reward by side; one of several graders is stricter or milder than they are together."""
        shift = 0.0 if is_alone else 0.3 * (self.seeded[1] - 0.5)
        rewards = {side: min(max(side.reward + shift, 0.0), 1.0) for side in self.sides}
        means = {f"{side.name}_reward_mean": _sample_mean(reward, side.samples) for side, reward in rewards.items()}
        return self.name | means

    def latency(self) -> Json:
        """Return how long the grader took, by side."""
        spent = (2.0 + 3.0 * self.seeded[2]) * (1.0 if self.grader.model else 0.01)
        return self.name | {f"{side.name}_execution_latency_mean": spent for side in self.sides}


def data(spec: JobSpec, step: int) -> Json:
    """Return the data of the event of *step*, a function of spec and step alone."""
    point = spec.training_point(step)
    train, valid = _sample_sides(spec, step, point)
    sides = (train, valid) if valid else (train,)
    verdicts = [GraderVerdict(ref, sides, uniform(f"{spec.seed}/{step}/{ref.name}")) for ref in spec.graders]
    members = {
        "step": step,
        "usage": _usage(verdicts, sides),
        "errors": {"graders": [verdict.errors() for verdict in verdicts]},
        "scores": {
            "graders": [verdict.scores(is_alone=len(verdicts) == 1) for verdict in verdicts],
            **{f"{side.name}_reward_mean": side.reward for side in sides},
        },
        "timing": _timing(verdicts, spec.durations.seconds_per_step, valid is not None),
        "total_steps": spec.steps,
        "train_mean_reward": train.reward,
        "reasoning_tokens_mean": train.reasoning,
        "completion_tokens_mean": train.reasoning + _ANSWER_TOKENS,
        "mean_unresponsive_rewards": 0.0,
        "model_graders_token_usage": _usage_by_model(verdicts),
    }
    if valid:
        members |= {
            "full_valid_mean_reward": valid.reward,
            "full_valid_mean_parse_error": 0.0,
            "valid_reasoning_tokens_mean": valid.reasoning,
        }
    ordered: Json = _shortest_name_first(members)
    return ordered


def _shortest_name_first(value: Any) -> Any:
    """Return *value* with the members of each object in the order of the service's data: the shortest name first.

    Source: every printed event of a step, supervised and reinforcement, is so ordered at each depth.
    """
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name), name))
        return {name: _shortest_name_first(value[name]) for name in names}
    return [_shortest_name_first(item) for item in value] if isinstance(value, list) else value


def message(data: Json, total: int) -> str:
    """Return the message of a step's event; the blank before the comma is the service's."""
    text = f"Step {data['step']}/{total} , train mean reward={data['train_mean_reward']:.2f}"
    if "full_valid_mean_reward" in data:
        text += f", full validation mean reward={data['full_valid_mean_reward']:.2f}"
        text += f", full validation mean parse error={data['full_valid_mean_parse_error']:.2f}"
    return text


def is_validated(spec: JobSpec, step: int) -> bool:
    """Return whether *step* measures validation: every `eval_interval` steps, and the last, do."""
    interval = spec.hyperparameters.eval_interval
    return spec.has_validation and (step == spec.steps or step % int(interval) == 0)


def valid_reward(spec: JobSpec, step: int) -> float:
    """Return the mean reward on validation data, by which checkpoints are kept."""
    return _sample_mean(_reward(spec.losses(step, spec.training_point(step)).valid), _valid_samples(spec))


def _sample_sides(spec: JobSpec, step: int, point: TrainingPoint) -> tuple[SampleSide, SampleSide | None]:
    """Return the samples of *step* on training data and, at a step that looks at them, on validation data."""
    numbers = spec.hyperparameters
    samples = max(1, round(SAMPLES_A_PROMPT * int(numbers.batch_size) * float(numbers.compute_multiplier)))
    reward = _sample_mean(_reward(spec.losses(step, point).train), samples)
    train = SampleSide("train", samples, reward, _reasoning(spec, point, 1, samples))
    if not is_validated(spec, step):
        return train, None
    samples = _valid_samples(spec)
    return train, SampleSide("valid", samples, valid_reward(spec, step), _reasoning(spec, point, 2, samples))


def _valid_samples(spec: JobSpec) -> int:
    return max(1, (spec.validation_examples or 0) * int(spec.hyperparameters.eval_samples))


def _reward(loss: float) -> float:
    """Return a reward that goes with the curve's loss: 1 at 0, less as it grows."""
    return math.exp(-max(loss, 0.0)) if loss == loss else loss


def _sample_mean(value: float, count: int) -> float:
    """Return the nearest mean that *count* samples, each of which passes or fails, can have."""
    return round(value * count) / count if value == value else value


def _reasoning(spec: JobSpec, point: TrainingPoint, ordinal: int, samples: int) -> float:
    mean = _REASONING_TOKENS[spec.hyperparameters.reasoning_effort] * (0.6 + 0.8 * point.progress)
    return round(mean * (0.9 + 0.2 * point.step[ordinal]) * samples) / samples


def _usage(verdicts: list[GraderVerdict], sides: tuple[SampleSide, ...]) -> Json:
    samples = {f"{side.name}_reasoning_tokens_mean": side.reasoning for side in sides}
    samples |= {f"{side.name}_reasoning_tokens_count": float(round(side.reasoning * side.samples)) for side in sides}
    return {"graders": [verdict.usage() for verdict in verdicts if verdict.grader.model], "samples": samples}


def _usage_by_model(verdicts: list[GraderVerdict]) -> Json:
    usage: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        for side in verdict.sides if verdict.grader.model else ():
            counts = {"cached_tokens": 0, **verdict.tokens(side)}
            prefix = "eval" if side.name == "valid" else "train"
            usage[str(verdict.grader.model)].update({f"{prefix}_{kind}": count for kind, count in counts.items()})
    return {model: dict(counts) for model, counts in usage.items()}


def _timing(verdicts: list[GraderVerdict], whole: float, validated: bool) -> Json:
    shares = {"sampling": 0.31, "training": 0.54 if validated else 0.68, **({"eval": 0.14} if validated else {})}
    spent = {name: share * whole for name, share in shares.items()}
    return {"step": {**spent, "full_iteration": whole}, "graders": [verdict.latency() for verdict in verdicts]}
