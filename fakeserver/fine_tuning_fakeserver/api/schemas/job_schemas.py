"""Schemas of jobs, events, their data and checkpoints, and what backs statuses and the texts of events."""

from __future__ import annotations

from ...evidence import Evidence, inferred, printed, recorded, spec, vendor
from .object_schema import (
    EMPTY,
    INTEGER,
    MEASURED,
    NULL,
    NUMBER,
    STRING,
    UNIX,
    ObjectSchema,
    Schema,
    array,
    const,
    either,
    mapping,
    one_of,
    or_null,
    ref,
)

JOBS = recorded("FineTuningClientTests", "2025-09")
EVENTS = recorded("GetJobEvents", "2025-09")
CHECKPOINTS = recorded("GetCheckpoints", "2025-09")
METRICS = printed("events of supervised jobs", "2024-08 to 2025-04")
WANDB = printed("a job with wandb", "2025-06")
DPO = printed("jobs by preference", "2024-12")
REWARDED = spec("the example of a reinforcement job")

STATUSES = {
    "validating_files": JOBS,
    "queued": printed("sessions", "2024-08"),
    "running": printed("sessions", "2024-08"),
    "paused": spec("the example of pause; neither schema nor SDK has it"),
    "succeeded": recorded("GetCheckpoints", "2025-09"),
    "failed": recorded("GetJobs", "2025-09"),
    "cancelled": JOBS,
}

_SESSIONS = printed("events of supervised jobs", "2024-02 to 2025-04")
_PAUSES = inferred("nothing about a held job's events was found")

EVENT_TEXTS: dict[str, Evidence] = {
    "created": _SESSIONS,
    "validating": _SESSIONS,
    "validated": _SESSIONS,
    "started": _SESSIONS,
    "checkpoint": _SESSIONS,
    "model": _SESSIONS,
    "completed": _SESSIONS,
    "failed": inferred("the job's own error, as the event's text"),
    "stopping": vendor("a third party's reference"),
    "paused": _PAUSES,
    "resumed": _PAUSES,
    "restarted": _PAUSES,
}
"""By the kind of event (see `domain.timeline.KINDS`)."""

STEP_TEXTS: dict[str, Evidence] = {
    "supervised": _SESSIONS,
    "dpo": inferred("supervised jobs"),
    "reinforcement": vendor("the guide to reinforcement", "2025-05"),
}
"""By training method."""

AUTO_OR_NUMBER: Schema = either(const("auto"), NUMBER)
AUTO_OR_INTEGER: Schema = either(const("auto"), INTEGER)
NUMBERS: dict[str, Schema] = {
    "n_epochs": AUTO_OR_INTEGER,
    "batch_size": AUTO_OR_INTEGER,
    "learning_rate_multiplier": AUTO_OR_NUMBER,
}

HYPERPARAMETERS = ObjectSchema("Hyperparameters", ((JOBS, NUMBERS),))
DPO_HYPERPARAMETERS = ObjectSchema("DpoHyperparameters", ((DPO, {**NUMBERS, "beta": AUTO_OR_NUMBER}),))
REINFORCEMENT_HYPERPARAMETERS = ObjectSchema(
    "ReinforcementHyperparameters",
    (
        (
            REWARDED,
            {
                **NUMBERS,
                "eval_interval": AUTO_OR_INTEGER,
                "eval_samples": AUTO_OR_INTEGER,
                "compute_multiplier": AUTO_OR_NUMBER,
                "reasoning_effort": one_of("default", "low", "medium", "high"),
            },
        ),
    ),
)

SUPERVISED_PART = ObjectSchema("SupervisedPart", ((JOBS, {"hyperparameters": ref(HYPERPARAMETERS)}),))
SUPERVISED = ObjectSchema(
    "SupervisedMethod", ((JOBS, {"type": const("supervised"), "supervised": ref(SUPERVISED_PART)}),)
)
DPO_PART = ObjectSchema("DpoPart", ((DPO, {"hyperparameters": ref(DPO_HYPERPARAMETERS)}),))
BY_PREFERENCE = ObjectSchema("DpoMethod", ((DPO, {"type": const("dpo"), "dpo": ref(DPO_PART)}),))
REINFORCEMENT_PART = ObjectSchema(
    "ReinforcementPart",
    (
        (
            REWARDED,
            {
                "hyperparameters": ref(REINFORCEMENT_HYPERPARAMETERS),
                "grader": ref("Grader"),
                "response_format": {"type": ["object", "null"]},
            },
        ),
    ),
)
BY_REWARD = ObjectSchema(
    "ReinforcementMethod",
    ((REWARDED, {"type": const("reinforcement"), "reinforcement": ref(REINFORCEMENT_PART)}),),
)

RUN = ObjectSchema(
    "WandbRun",
    (
        (WANDB, {"project": STRING, "entity": or_null(STRING), "run_id": STRING}),
        (spec("FineTuningIntegration"), {"name": or_null(STRING), "tags": array(STRING)}),
    ),
)
INTEGRATION = ObjectSchema("Integration", ((WANDB, {"type": const("wandb"), "wandb": ref(RUN)}),))

JOB_ERROR = ObjectSchema(
    "JobError",
    ((recorded("GetJobs", "2025-09"), {"code": STRING, "param": or_null(STRING), "message": STRING}),),
)

JOB = ObjectSchema(
    "FineTuningJob",
    (
        (
            JOBS,
            {
                "object": const("fine_tuning.job"),
                "id": STRING,
                "model": STRING,
                "created_at": UNIX,
                "finished_at": or_null(UNIX),
                "fine_tuned_model": or_null(STRING),
                "organization_id": STRING,
                "result_files": {**array(STRING), "maxItems": 1},
                "status": one_of(*STATUSES),
                "validation_file": or_null(STRING),
                "training_file": STRING,
                "hyperparameters": or_null(ref(HYPERPARAMETERS)),
                "trained_tokens": or_null(INTEGER),
                "error": either(ref(JOB_ERROR), EMPTY),
                "user_provided_suffix": or_null(STRING),
                "seed": INTEGER,
                "estimated_finish": NULL,
                "integrations": array(ref(INTEGRATION)),
                "metadata": or_null(mapping(STRING)),
                "usage_metrics": NULL,
                "shared_with_openai": const(False),
                "method": either(ref(SUPERVISED), ref(BY_PREFERENCE), ref(BY_REWARD)),
            },
        ),
        (vendor("the guide to reinforcement; recorded as null", "2025"), {"eval_id": or_null(STRING)}),
    ),
    frozenset({"hyperparameters"}),  # a reinforcement job has none: printed in 2025-12
)

_TRAIN: dict[str, Schema] = {"step": INTEGER, "train_loss": MEASURED, "train_mean_token_accuracy": MEASURED}
_VALID: dict[str, Schema] = {"valid_loss": MEASURED, "valid_mean_token_accuracy": MEASURED}
_FULL: dict[str, Schema] = {"full_valid_loss": MEASURED, "full_valid_mean_token_accuracy": MEASURED}

STEP_METRICS = ObjectSchema(
    "StepMetrics", ((METRICS, {**_TRAIN, "total_steps": INTEGER, **_VALID, **_FULL}),), frozenset({*_VALID, *_FULL})
)

FAILURE = ObjectSchema(
    "FailureData",
    (
        (
            printed(
                "the event of a failed job: openai-php/client issue 227; that it is so today is inferred", "2023-10"
            ),
            {"error_code": STRING, "error_param": or_null(STRING)},
        ),
    ),
)
EVENT = ObjectSchema(
    "FineTuningJobEvent",
    (
        (
            EVENTS,
            {
                "object": const("fine_tuning.job.event"),
                "id": STRING,
                "created_at": UNIX,
                "level": one_of("info", "warn", "error"),
                "message": STRING,
                "data": either(NULL, EMPTY, ref(FAILURE), ref(STEP_METRICS), ref("RewardMetrics")),
                "type": one_of("message", "metrics"),
            },
        ),
    ),
)

CHECKPOINT_METRICS = ObjectSchema(
    "CheckpointMetrics",
    (
        (CHECKPOINTS, {**_TRAIN, "type": one_of("supervised", "dpo")}),
        (printed("checkpoints of a job with a validation file", "2024-08"), _VALID),
    ),
    frozenset(_VALID),
)
REWARD_CHECKPOINT_METRICS = ObjectSchema(
    "RewardCheckpointMetrics",
    (
        (
            inferred("the two numbers that vendor text says to watch"),
            {
                "step": INTEGER,
                "train_reward_mean": MEASURED,
                "valid_reward_mean": MEASURED,
                "type": const("reinforcement"),
            },
        ),
    ),
    frozenset({"valid_reward_mean"}),
)
CHECKPOINT = ObjectSchema(
    "FineTuningJobCheckpoint",
    (
        (
            CHECKPOINTS,
            {
                "object": const("fine_tuning.job.checkpoint"),
                "id": STRING,
                "created_at": UNIX,
                "fine_tuned_model_checkpoint": STRING,
                "fine_tuning_job_id": STRING,
                "metrics": either(ref(CHECKPOINT_METRICS), ref(REWARD_CHECKPOINT_METRICS)),
                "step_number": INTEGER,
            },
        ),
    ),
)

PRINTED_EVENT = vendor("the guide to reinforcement prints one event", "2025-05")

_SETS = ("train", "valid")
_GRADER: dict[str, Schema] = {"name": STRING, "type": STRING}


def _in_both_sets(*members: str, schema: Schema = NUMBER) -> dict[str, Schema]:
    return {f"{name}_{member}": schema for name in _SETS for member in members}


def _reward_schema(name: str, members: dict[str, Schema], *optional: str) -> ObjectSchema:
    only_with_validation = {member for member in members if member.startswith("valid_")}
    return ObjectSchema(name, ((PRINTED_EVENT, members),), frozenset({*only_with_validation, *optional}))


_TOKENS = _in_both_sets(
    "prompt_tokens_mean", "prompt_tokens_count", "completion_tokens_mean", "completion_tokens_count"
)
_ERRORS = ("other_error", "sample_parse_error", "invalid_variable_error")
_ERROR_FIGURES = [f"{error}_{number}" for error in _ERRORS for number in ("mean", "count")]

GRADER_USAGE = _reward_schema("GraderUsage", {**_GRADER, "model": STRING, **_TOKENS})
SAMPLE_USAGE = _reward_schema("SampleUsage", _in_both_sets("reasoning_tokens_mean", "reasoning_tokens_count"))
GRADER_ERRORS = _reward_schema("GraderErrors", {**_GRADER, **_in_both_sets(*_ERROR_FIGURES)})
GRADER_SCORES = _reward_schema("GraderScores", {**_GRADER, **_in_both_sets("reward_mean", schema=MEASURED)})
GRADER_TIMING = _reward_schema("GraderTiming", {**_GRADER, **_in_both_sets("execution_latency_mean")})
STEP_TIMING = _reward_schema(
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

USAGE = _reward_schema("RewardUsage", {"graders": array(ref(GRADER_USAGE)), "samples": ref(SAMPLE_USAGE)})
ERRORS = _reward_schema("RewardErrors", {"graders": array(ref(GRADER_ERRORS))})
SCORES = _reward_schema(
    "RewardScores", {"graders": array(ref(GRADER_SCORES)), **_in_both_sets("reward_mean", schema=MEASURED)}
)
TIMING = _reward_schema("RewardTiming", {"step": ref(STEP_TIMING), "graders": array(ref(GRADER_TIMING))})

REWARD_METRICS = ObjectSchema(
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
    *(JOB, JOB_ERROR, HYPERPARAMETERS, SUPERVISED, SUPERVISED_PART, BY_PREFERENCE, DPO_PART, DPO_HYPERPARAMETERS),
    *(BY_REWARD, REINFORCEMENT_PART, REINFORCEMENT_HYPERPARAMETERS, INTEGRATION, RUN),
    *(EVENT, FAILURE, STEP_METRICS, CHECKPOINT, CHECKPOINT_METRICS, REWARD_CHECKPOINT_METRICS),
    *(REWARD_METRICS, USAGE, GRADER_USAGE, SAMPLE_USAGE, ERRORS, GRADER_ERRORS, SCORES, GRADER_SCORES),
    *(TIMING, STEP_TIMING, GRADER_TIMING, MODEL_USAGE),
)
