"""The outcome of grading, a reward or errors, and the response that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass

# A published output of the live service (github eval-protocol/openai-rft-quickstart, README.md at 1d68cd67; its date is
# not known) has these members in this order, ten more than the spec's example, whose order they keep.
ERRORS: tuple[tuple[str, bool | None], ...] = (
    ("formula_parse_error", False),
    ("sample_parse_error", False),
    ("sample_parse_error_details", None),
    ("truncated_observation_error", False),
    ("unresponsive_reward_error", False),
    ("invalid_variable_error", False),
    ("invalid_variable_error_details", None),
    ("other_error", False),
    ("python_grader_server_error", False),
    ("python_grader_server_error_type", None),
    ("python_grader_runtime_error", False),
    ("python_grader_runtime_error_details", None),
    ("model_grader_server_error", False),
    ("model_grader_refusal_error", False),
    ("model_grader_refusal_error_details", None),
    ("model_grader_parse_error", False),
    ("model_grader_parse_error_details", None),
    ("model_grader_exceeded_max_tokens_error", False),
    ("model_grader_server_error_details", None),
    ("endpoint_grader_internal_error", False),
    ("endpoint_grader_internal_error_details", None),
    ("endpoint_grader_server_error", False),
    ("endpoint_grader_server_error_details", None),
    ("endpoint_grader_safety_check_error", False),
)


@dataclass(frozen=True, slots=True)
class ErrorFlag:
    """One flag of an answer that is set, with details where the answer has a member for them."""

    flag: str
    details: str


class GradingError(Exception):
    """A grader cannot give a reward; the request is answered all the same, with 200 and a flag (inferred)."""

    def __init__(self, flag: str, details: str) -> None:
        super().__init__(details)
        self.flag, self.details = flag, details


@dataclass(frozen=True, slots=True)
class GradingOutcome:
    """A grader's result for one sample; with errors the reward is 0 (inferred). `model` is the one that judged."""

    reward: float
    errors: tuple[ErrorFlag, ...] = ()
    sub_rewards: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None


def run_response(name: str, kind: str, outcome: GradingOutcome, execution_time: float) -> dict[str, Any]:
    """Return the answer to a run, members in the order of the spec's example and of the published output.

    Source: ``token_usage`` is null where no model was called (published output); none ever is here, and the schema
    allows it.
    """
    errors: dict[str, Any] = dict(ERRORS)
    for error in outcome.errors:
        details = f"{error.flag}_details"
        if details in errors and not errors[error.flag]:  # of several errors with one flag, the first one's details
            errors[details] = error.details
        errors[error.flag] = True
    metadata = {
        "name": name,
        "type": kind,
        "errors": errors,
        "execution_time": execution_time,
        "scores": {},
        "token_usage": None,
        "sampled_model_name": outcome.model,
    }
    return {
        "reward": outcome.reward,
        "metadata": metadata,
        "sub_rewards": dict(outcome.sub_rewards),
        "model_grader_token_usage_per_model": {},
    }
