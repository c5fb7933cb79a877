"""Schemas of the data of a reinforcement step's event."""

from __future__ import annotations

from ...evidence import vendor
from .object_schema import INTEGER, MEASURED, NUMBER, STRING, ObjectSchema, Schema, array, mapping, ref

PRINTED_EVENT = vendor("the guide to reinforcement prints one event", "2025-05")

_SETS = ("train", "valid")
_GRADER: dict[str, Schema] = {"name": STRING, "type": STRING}


def _in_both_sets(*members: str, schema: Schema = NUMBER) -> dict[str, Schema]:
    return {f"{name}_{member}": schema for name in _SETS for member in members}


def _schema(name: str, members: dict[str, Schema], *optional: str) -> ObjectSchema:
    only_with_validation = {member for member in members if member.startswith("valid_")}
    return ObjectSchema(name, ((PRINTED_EVENT, members),), frozenset({*only_with_validation, *optional}))


_TOKENS = _in_both_sets(
    "prompt_tokens_mean", "prompt_tokens_count", "completion_tokens_mean", "completion_tokens_count"
)
_ERRORS = ("other_error", "sample_parse_error", "invalid_variable_error")
_ERROR_FIGURES = [f"{error}_{number}" for error in _ERRORS for number in ("mean", "count")]

GRADER_USAGE = _schema("GraderUsage", {**_GRADER, "model": STRING, **_TOKENS})
SAMPLE_USAGE = _schema("SampleUsage", _in_both_sets("reasoning_tokens_mean", "reasoning_tokens_count"))
GRADER_ERRORS = _schema("GraderErrors", {**_GRADER, **_in_both_sets(*_ERROR_FIGURES)})
GRADER_SCORES = _schema("GraderScores", {**_GRADER, **_in_both_sets("reward_mean", schema=MEASURED)})
GRADER_TIMING = _schema("GraderTiming", {**_GRADER, **_in_both_sets("execution_latency_mean")})
STEP_TIMING = _schema(
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

USAGE = _schema("RewardUsage", {"graders": array(ref(GRADER_USAGE)), "samples": ref(SAMPLE_USAGE)})
ERRORS = _schema("RewardErrors", {"graders": array(ref(GRADER_ERRORS))})
SCORES = _schema(
    "RewardScores", {"graders": array(ref(GRADER_SCORES)), **_in_both_sets("reward_mean", schema=MEASURED)}
)
TIMING = _schema("RewardTiming", {"step": ref(STEP_TIMING), "graders": array(ref(GRADER_TIMING))})

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

SCHEMAS = (
    *(METRICS, USAGE, GRADER_USAGE, SAMPLE_USAGE, ERRORS, GRADER_ERRORS, SCORES, GRADER_SCORES),
    *(TIMING, STEP_TIMING, GRADER_TIMING, MODEL_USAGE),
)
