"""A plan: how a job will go, as the fake's user wishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypedDict

from ..usage_errors import FakeUsageError
from .durations import Duration, parse_seconds
from .loss_curves import curve

OUTCOMES = ("succeeded", "failed")
VALIDATION = "validation"

# Messages of the codes that a plan may name alone. printed outputs: see the failures of real jobs of 2023-2025;
# exceeded_quota and server_error are inferred (users name the codes only).
FAILURES: dict[str, tuple[str, str | None]] = {
    "invalid_training_file": (
        "The job failed due to an invalid training file. Invalid file format. "
        "Example 1, message 1 Discriminator 'role' is missing in value",
        "training_file",
    ),
    "invalid_file_format": (
        "The job failed due to a file format error in the training file. Invalid file format. "
        "Example 1 is missing key 'messages'.",
        "training_file",
    ),
    "invalid_n_examples": (
        "Training file has 7 example(s), but must have at least 10 examples",
        "training_file",
    ),
    "deleted_training_file": ("The job failed because the training file was deleted", "training_file"),
    "invalid_validation_file": ("The job failed due to an invalid validation file.", "validation_file"),
    "exceeded_quota": ("Creating this fine-tuning job would exceed your hard limit.", None),
    "server_error": ("The job failed due to an internal error.", None),
}


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, as its ``error`` member says it."""

    code: str
    message: str
    param: str | None = None


Failure: TypeAlias = JobError | Mapping[str, str | None] | str
"""Why a job is to fail: a code of `FAILURES`, a mapping with code, message and param, or a `JobError`."""


class PlanFields(TypedDict, total=False):
    """The fields of a `Plan` as keywords, and as a mapping."""

    outcome: str
    fail_at: str | int | None
    error: Failure | None
    validating: Duration
    queued: Duration
    starting: Duration
    seconds_per_step: Duration
    finishing: Duration
    curve: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a job goes. Durations are seconds, or text such as ``"90s"``; the defaults are the real service's.

    Args:
        outcome: ``"succeeded"`` (the default) or ``"failed"`` (implied by `fail_at` or `error`).
        fail_at: ``"validation"`` (the default of a failure), or the training step after which the job fails.
        error: a code of `FAILURES`, a mapping with code, message and param, or a `JobError`.
        validating: from creation until the files are validated.
        queued: from there until training starts; also after a resume.
        starting: from ``running`` until the first step begins.
        seconds_per_step: how long one training step takes.
        finishing: from the last step to ``finished_at``.
        curve: a name of `fine_tuning_fakeserver.domain.loss_curves.CURVES`, or CSV rows ``train_loss[,valid_loss]``;
            where rewards are told instead, a loss of x is a reward of exp(-x).

    Raises:
        FakeUsageError: a value is none of these.

    Source: default durations are two real jobs of 2024-08 and 2025-08 (47 s, 3 s, about 2 s a step, 8 s).
    """

    outcome: str = ""
    fail_at: str | int | None = None
    error: Failure | None = None
    validating: Duration = 47.0
    queued: Duration = 3.0
    starting: Duration = 120.0
    seconds_per_step: Duration = 2.0
    finishing: Duration = 8.0
    curve: str = "healthy"

    def __post_init__(self) -> None:
        for name in ("validating", "queued", "starting", "seconds_per_step", "finishing"):
            object.__setattr__(self, name, parse_seconds(getattr(self, name), name))
        object.__setattr__(self, "error", _job_error(self.error))
        wants_failure = self.fail_at is not None or self.error is not None
        object.__setattr__(self, "outcome", self.outcome or ("failed" if wants_failure else "succeeded"))
        _check_outcome(self, wants_failure)
        if not isinstance(self.curve, str):
            raise FakeUsageError(f"curve is {self.curve!r}: the name of a curve, or CSV text, is wanted")
        curve(self.curve)

    def changed(self, changes: Mapping[str, Any]) -> Plan:
        """This plan with *changes*, given as the control API or magic metadata gives them.

        Raises:
            FakeUsageError: a field is unknown or its value is no good.
        """
        if unknown := sorted(set(changes) - set(FIELDS)):
            raise FakeUsageError(f"a plan has no field {unknown[0]!r}: it has {', '.join(FIELDS)}")
        fresh = dict(changes)
        if fresh.get("outcome") == "succeeded":
            fresh = {"fail_at": None, "error": None, **fresh}
        elif {"fail_at", "error"} & set(fresh):
            fresh = {"outcome": "", **fresh}
        return replace(self, **fresh)

    @property
    def failure(self) -> JobError | None:
        """The error the job ends with; None where the plan is success."""
        if self.outcome == "succeeded":
            return None
        return _job_error(self.error) or _named("server_error" if self.fail_step else "invalid_training_file")

    @property
    def fail_step(self) -> int | None:
        """The step after which the job fails; None where it fails in validation or not at all."""
        return self.fail_at if isinstance(self.fail_at, int) else None


FIELDS = tuple(field.name for field in fields(Plan))


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as the control API shows it; `Plan().changed(as_json(plan))` is the plan again."""
    shown = {name: getattr(plan, name) for name in FIELDS}
    if error := _job_error(plan.error):
        shown["error"] = {"code": error.code, "message": error.message, "param": error.param}
    return shown


def _check_outcome(plan: Plan, wants_failure: bool) -> None:
    if plan.outcome not in OUTCOMES:
        raise FakeUsageError(f"outcome is {plan.outcome!r}: one of {', '.join(OUTCOMES)}")
    if plan.outcome == "succeeded" and wants_failure:
        raise FakeUsageError("a plan that succeeds has neither fail_at nor error: leave them out, or say failed")
    step = isinstance(plan.fail_at, int) and not isinstance(plan.fail_at, bool) and 1 <= plan.fail_at < 2**53
    if not (plan.fail_at in (None, VALIDATION) or step):
        raise FakeUsageError(f"fail_at is {plan.fail_at!r}: 'validation', or a training step from 1")


def _job_error(given: Any) -> JobError | None:
    if given is None or isinstance(given, JobError):
        return given
    if isinstance(given, str):
        return _named(given)
    if not isinstance(given, Mapping) or not set(given) <= {"code", "message", "param"} or "code" not in given:
        raise FakeUsageError(f"error is {given!r}: a code, or an object with code, message and param")
    if wrong := next((name for name, value in given.items() if not isinstance(value, str) and value is not None), None):
        raise FakeUsageError(f"error has the {wrong} {given[wrong]!r}: text is wanted")
    known = FAILURES.get(given["code"], (str(given["code"]), None))
    return JobError(given["code"], given.get("message", known[0]), given.get("param", known[1]))


def _named(code: str) -> JobError:
    if code not in FAILURES:
        raise FakeUsageError(
            f"error is {code!r}: one of {', '.join(FAILURES)}, or an object with code, message and param"
        )
    return JobError(code, *FAILURES[code])
