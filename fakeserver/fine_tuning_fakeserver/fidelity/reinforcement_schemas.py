"""What the data of a step of reinforcement looks like."""

from __future__ import annotations

from ..evidence import vendor
from .schema import INTEGER, MEASURED, NUMBER, STRING, ObjectSchema, Schema, array, mapping, ref

PRINTED_EVENT = vendor("the guide to reinforcement prints one event", "2025-05")

_SIDES = ("train", "valid")
_GRADER: dict[str, Schema] = {"name": STRING, "type": STRING}


def _of_sides(*members: str, schema: Schema = NUMBER) -> dict[str, Schema]:
    return {f"{side}_{member}": schema for side in _SIDES for member in members}


def _only_valid(members: dict[str, Schema]) -> frozenset[str]:
    """The members that a step without validation lacks."""
    return frozenset(name for name in members if name.startswith("valid_"))


def _shape(name: str, members: dict[str, Schema], *more: str) -> ObjectSchema:
    return ObjectSchema(name, ((PRINTED_EVENT, members),), _only_valid(members) | set(more))


_TOKENS = _of_sides("prompt_tokens_mean", "prompt_tokens_count", "completion_tokens_mean", "completion_tokens_count")
_ERRORS = ("other_error", "sample_parse_error", "invalid_variable_error")
_COUNTED = [f"{error}_{number}" for error in _ERRORS for number in ("mean", "count")]

GRADER_USAGE = _shape("GraderUsage", {**_GRADER, "model": STRING, **_TOKENS})
SAMPLE_USAGE = _shape("SampleUsage", _of_sides("reasoning_tokens_mean", "reasoning_tokens_count"))
GRADER_ERRORS = _shape("GraderErrors", {**_GRADER, **_of_sides(*_COUNTED)})
GRADER_SCORES = _shape("GraderScores", {**_GRADER, **_of_sides("reward_mean", schema=MEASURED)})
GRADER_TIMING = _shape("GraderTiming", {**_GRADER, **_of_sides("execution_latency_mean")})
STEP_TIMING = _shape(
    "StepTiming", {"eval": NUMBER, "sampling": NUMBER, "training": NUMBER, "full_iteration": NUMBER}, "eval"
)
MODEL_USAGE = ObjectSchema(
    "ModelUsage",
    (
        (
            PRINTED_EVENT,
            {
                f"{phase}_{kind}": INTEGER
                for phase in ("train", "eval")
                for kind in ("cached_tokens", "prompt_tokens", "completion_tokens")
            },
        ),
    ),
    frozenset({"eval_cached_tokens", "eval_prompt_tokens", "eval_completion_tokens"}),
)

USAGE = _shape("RewardUsage", {"graders": array(ref(GRADER_USAGE)), "samples": ref(SAMPLE_USAGE)})
ERRORS = _shape("RewardErrors", {"graders": array(ref(GRADER_ERRORS))})
SCORES = _shape("RewardScores", {"graders": array(ref(GRADER_SCORES)), **_of_sides("reward_mean", schema=MEASURED)})
TIMING = _shape("RewardTiming", {"step": ref(STEP_TIMING), "graders": array(ref(GRADER_TIMING))})

METRICS = ObjectSchema(
    "RewardMetrics",
    (
        (
            PRINTED_EVENT,
            {
                "step": INTEGER,
                "usage": ref(USAGE),
                "errors": ref(ERRORS),
                "scores": ref(SCORES),
                "timing": ref(TIMING),
                "total_steps": INTEGER,
                "train_mean_reward": MEASURED,
                "reasoning_tokens_mean": NUMBER,
                "completion_tokens_mean": NUMBER,
                "mean_unresponsive_rewards": NUMBER,
                "model_graders_token_usage": mapping(ref(MODEL_USAGE)),
                "full_valid_mean_reward": MEASURED,
                "full_valid_mean_parse_error": NUMBER,
                "valid_reasoning_tokens_mean": NUMBER,
            },
        ),
    ),
    frozenset({"full_valid_mean_reward", "full_valid_mean_parse_error", "valid_reasoning_tokens_mean"}),
)

SHAPES = (
    *(METRICS, USAGE, GRADER_USAGE, SAMPLE_USAGE, ERRORS, GRADER_ERRORS, SCORES, GRADER_SCORES),
    *(TIMING, STEP_TIMING, GRADER_TIMING, MODEL_USAGE),
)
