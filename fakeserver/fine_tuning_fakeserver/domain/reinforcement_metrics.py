"""The numbers of reinforcement training: rewards, and what sampling and grading cost.

Source: the one event that vendor text prints in full (a real job of 2025-05, step 10 of 20) gives members, order and
kinds of numbers. The values, and what is left out at a step without validation, are inferred.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from .job_spec import JobSpec
from .loss_curves import TrainingPoint, uniform
from .metrics_model import Json, MetricsModel, as_stored, losses, measured, training_point
from .training_methods import GraderRef

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

    judge: GraderRef
    sides: tuple[SampleSide, ...]
    seeded: tuple[float, float, float]

    def members(self, model: bool = False) -> Json:
        """How the grader is named."""
        named = {"name": self.judge.name, "type": self.judge.type}
        return {**named, "model": self.judge.model} if model else named

    def tokens(self, side: SampleSide) -> dict[str, int]:
        """What a model that judges has read and written."""
        prompt = 200 + len(self.judge.name)
        return {
            "prompt_tokens": prompt * side.samples,
            "completion_tokens": round((100 + 60 * self.seeded[0]) * side.samples),
        }


def data(script: JobSpec, step: int) -> Json:
    """The data of the event of *step*, a function of script and step alone."""
    where = training_point(script, step)
    train = _train(script, step, where)
    valid = _valid(script, step, where) if is_validated(script, step) else None
    sides = (train, valid) if valid else (train,)
    verdicts = [GraderVerdict(judge, sides, uniform(f"{script.seed}/{step}/{judge.name}")) for judge in script.judges]
    members = {
        "step": step,
        "usage": _usage(verdicts, sides),
        "errors": {"graders": [_errors(verdict) for verdict in verdicts]},
        "scores": _scores(verdicts, sides),
        "timing": _timing(verdicts, script.lengths.seconds_per_step, valid is not None),
        "total_steps": script.steps,
        "train_mean_reward": train.reward,
        "reasoning_tokens_mean": train.reasoning,
        "completion_tokens_mean": train.reasoning + _ANSWER_TOKENS,
        "mean_unresponsive_rewards": 0.0,
        "model_graders_token_usage": _usage_by_model(verdicts),
    }
    stored: Json = as_stored(members | (_of_validation(valid) if valid else {}))
    return stored


def _of_validation(valid: SampleSide) -> Json:
    return {
        "full_valid_mean_reward": valid.reward,
        "full_valid_mean_parse_error": 0.0,
        "valid_reasoning_tokens_mean": valid.reasoning,
    }


def is_validated(script: JobSpec, step: int) -> bool:
    """Whether validation data are looked at in *step*: every `eval_interval` steps, and in the last."""
    interval = script.hyperparameters.eval_interval
    return script.has_validation and (step == script.steps or step % int(interval) == 0)


def valid_reward(script: JobSpec, step: int) -> float:
    """The mean reward on validation data, by which checkpoints are kept."""
    return _share(_reward(losses(script, step, training_point(script, step)).valid), _valid_samples(script))


def _train(script: JobSpec, step: int, where: TrainingPoint) -> SampleSide:
    numbers = script.hyperparameters
    samples = max(1, round(SAMPLES_A_PROMPT * int(numbers.batch_size) * float(numbers.compute_multiplier)))
    reward = _share(_reward(losses(script, step, where).train), samples)
    return SampleSide("train", samples, reward, _reasoning(script, where, where.step[1], samples))


def _valid(script: JobSpec, step: int, where: TrainingPoint) -> SampleSide:
    samples = _valid_samples(script)
    return SampleSide("valid", samples, valid_reward(script, step), _reasoning(script, where, where.step[2], samples))


def _valid_samples(script: JobSpec) -> int:
    return max(1, (script.validation_examples or 0) * int(script.hyperparameters.eval_samples))


def _reward(loss: float) -> float:
    """A reward that goes with the curve's loss: 1 at 0, less as it grows."""
    return math.exp(-max(loss, 0.0)) if loss == loss else loss


def _share(value: float, count: int) -> float:
    """*value* as a mean of *count* samples that pass or fail can have it."""
    return round(value * count) / count if value == value else value


def _reasoning(script: JobSpec, where: TrainingPoint, seeded: float, samples: int) -> float:
    mean = _REASONING_TOKENS[script.hyperparameters.reasoning_effort] * (0.6 + 0.8 * where.progress)
    return round(mean * (0.9 + 0.2 * seeded) * samples) / samples


def _usage(verdicts: list[GraderVerdict], sides: tuple[SampleSide, ...]) -> Json:
    samples = {f"{side.name}_reasoning_tokens_mean": side.reasoning for side in sides}
    samples |= {f"{side.name}_reasoning_tokens_count": float(round(side.reasoning * side.samples)) for side in sides}
    return {"graders": [_usage_of(verdict) for verdict in verdicts if verdict.judge.model], "samples": samples}


def _usage_of(verdict: GraderVerdict) -> Json:
    members = verdict.members(model=True)
    for side in verdict.sides:
        for kind, count in verdict.tokens(side).items():
            members |= {f"{side.name}_{kind}_mean": count / side.samples, f"{side.name}_{kind}_count": float(count)}
    return members


def _usage_by_model(verdicts: list[GraderVerdict]) -> Json:
    usage: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        for side in verdict.sides if verdict.judge.model else ():
            used = {"cached_tokens": 0, **verdict.tokens(side)}
            prefix = "eval" if side.name == "valid" else "train"
            usage[str(verdict.judge.model)].update({f"{prefix}_{kind}": count for kind, count in used.items()})
    return {model: dict(used) for model, used in usage.items()}


def _errors(verdict: GraderVerdict) -> Json:
    kinds = [f"{side.name}_{error}" for error in _ERRORS for side in verdict.sides]
    return verdict.members() | {f"{kind}_{number}": 0.0 for kind in kinds for number in ("mean", "count")}


def _scores(verdicts: list[GraderVerdict], sides: tuple[SampleSide, ...]) -> Json:
    alone = len(verdicts) == 1
    total = {f"{side.name}_reward_mean": side.reward for side in sides}
    return {"graders": [_scores_of(verdict, alone) for verdict in verdicts], **total}


def _scores_of(verdict: GraderVerdict, alone: bool) -> Json:
    """One of several graders is stricter or milder than they are together."""
    shift = 0.0 if alone else 0.3 * (verdict.seeded[1] - 0.5)
    rewards = {side: min(max(side.reward + shift, 0.0), 1.0) for side in verdict.sides}
    return verdict.members() | {f"{s.name}_reward_mean": _share(reward, s.samples) for s, reward in rewards.items()}


def _timing(verdicts: list[GraderVerdict], whole: float, validated: bool) -> Json:
    shares = {"eval": 0.14 if validated else None, "sampling": 0.31, "training": 0.54 if validated else 0.68}
    spent = {name: share * whole for name, share in measured(shares).items()}
    return {"step": {**spent, "full_iteration": whole}, "graders": [_latency(verdict) for verdict in verdicts]}


def _latency(verdict: GraderVerdict) -> Json:
    spent = (2.0 + 3.0 * verdict.seeded[2]) * (1.0 if verdict.judge.model else 0.01)
    return verdict.members() | {f"{side.name}_execution_latency_mean": spent for side in verdict.sides}


def text(data: Json, total: int) -> str:
    """The message of a step's event; the blank before the comma is the service's."""
    message = f"Step {data['step']}/{total} , train mean reward={data['train_mean_reward']:.2f}"
    if "full_valid_mean_reward" in data:
        message += f", full validation mean reward={data['full_valid_mean_reward']:.2f}"
        message += f", full validation mean parse error={data['full_valid_mean_parse_error']:.2f}"
    return message


# inferred: the two numbers that vendor text says to watch, under the names it gives them
_WATCHED = (
    ("step", "step"),
    ("train_reward_mean", "train_mean_reward"),
    ("valid_reward_mean", "full_valid_mean_reward"),
)
REPORT = MetricsModel(data, text, checkpoint=_WATCHED, columns=_WATCHED)
