"""A plan: how a job will go, as the user of the fake sets it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, fields, replace
from typing import Annotated, Any, TypeAlias, TypedDict

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import Duration

from ..usage_errors import FakeUsageError, wrong_value
from .checks import Requirement, check_fields, check_names, is_number, is_text, one_of, optional, parse_seconds, text
from .loss_curves import check_curve

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


def parse_error(value: Any, name: str = "error") -> JobError | None:
    """Return *value* as an error; a code alone gets the message that belongs to it.

    Raises:
        FakeUsageError: *value* is not a form of `Failure`.
    """
    if value is None or isinstance(value, JobError):
        return value
    if isinstance(value, str):
        if value not in FAILURES:
            raise wrong_value(name, f"one of {', '.join(FAILURES)}, or an object with code, message and param", value)
        return JobError(value, *FAILURES[value])
    if not isinstance(value, Mapping) or not set(value) <= {"code", "message", "param"} or "code" not in value:
        raise wrong_value(name, "a code, or an object with code, message and param", value)
    for member, words in value.items():
        if not isinstance(words, str) and words is not None:
            raise wrong_value(f"{name}.{member}", "a string", words)
    message, param = FAILURES.get(value["code"], (str(value["code"]), None))
    return JobError(value["code"], value.get("message", message), value.get("param", param))


_FailAt = Requirement(
    f"{VALIDATION!r} or a training step from 1",
    lambda value: value in (None, VALIDATION) or (isinstance(value, int) and is_number(value, 1, 2**53 - 1)),
)
_Seconds = Annotated[Duration, parse_seconds]


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
            where a job has rewards instead, a loss of x is a reward of exp(-x).

    Raises:
        FakeUsageError: a value has the wrong type or is out of range.

    Source: default durations are two real jobs of 2024-08 and 2025-08 (47 s, 3 s, about 2 s a step, 8 s).
    """

    outcome: Annotated[str, one_of(OUTCOMES)] = ""
    fail_at: Annotated[str | int | None, _FailAt] = None
    error: Annotated[Failure | None, parse_error] = None
    validating: _Seconds = 47.0
    queued: _Seconds = 3.0
    starting: _Seconds = 120.0
    seconds_per_step: _Seconds = 2.0
    finishing: _Seconds = 8.0
    curve: Annotated[str, check_curve] = "healthy"

    def __post_init__(self) -> None:
        wants_failure = self.fail_at is not None or self.error is not None
        if not self.outcome:
            object.__setattr__(self, "outcome", "failed" if wants_failure else "succeeded")
        check_fields(self)
        if self.outcome == "succeeded" and wants_failure:
            raise FakeUsageError("a plan that succeeds has neither fail_at nor error: leave them out, or say failed")

    def changed(self, changes: Mapping[str, Any]) -> Plan:
        """Return this plan with *changes*, in the forms of the control API and of magic metadata.

        Raises:
            FakeUsageError: a field is unknown or its value does not fit.
        """
        check_names("plan field", changes, FIELDS)
        fresh = dict(changes)
        if fresh.get("outcome") == "succeeded":
            fresh = {"fail_at": None, "error": None, **fresh}
        elif {"fail_at", "error"} & set(fresh):
            fresh = {"outcome": "", **fresh}
        return replace(self, **fresh)

    @property
    def failure(self) -> JobError | None:
        """The error the job ends with; None if the plan is success."""
        if self.outcome == "succeeded":
            return None
        return parse_error(self.error or ("server_error" if self.fail_step else "invalid_training_file"))

    @property
    def fail_step(self) -> int | None:
        """The step after which the job fails; None if it fails in validation or not at all."""
        return self.fail_at if isinstance(self.fail_at, int) else None

    def as_json(self) -> dict[str, Any]:
        """The plan as the control API shows it; `Plan().changed(plan.as_json())` is the plan again."""
        members = {name: getattr(self, name) for name in FIELDS}
        return {**members, "error": asdict(self.error) if isinstance(self.error, JobError) else None}


FIELDS = tuple(field.name for field in fields(Plan))


def parse_plan(value: Any, name: str = "plan") -> Plan:
    """Return *value*, a plan or a mapping of its fields, as a plan.

    Raises:
        FakeUsageError: it is neither, or a field does not fit.
    """
    if isinstance(value, Plan):
        return value
    if not isinstance(value, Mapping):
        raise wrong_value(name, "a Plan, or a mapping of its fields", value)
    return Plan().changed(value)


_Text = Annotated[str | None, text.or_none("for any")]


def _copy_pairs(value: Any, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(is_text(each) for pair in value.items() for each in pair):
        raise wrong_value(name, "a mapping of strings to strings", value)
    return dict(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which new jobs a plan is for: those that have all that is given.

    Args:
        model: the model that the request names, or the dated name that it stands for.
        suffix: the suffix of the model's name.
        metadata: pairs that are among the job's metadata.

    Raises:
        FakeUsageError: nothing is given, or a value has the wrong type.
    """

    model: _Text = None
    suffix: _Text = None
    metadata: Annotated[Mapping[str, str] | None, optional(_copy_pairs)] = None

    def __post_init__(self) -> None:
        check_fields(self, "when")
        if not self.as_json():
            raise FakeUsageError(f"a plan for some jobs requires at least one of {', '.join(FILTER_FIELDS)}")

    @classmethod
    def parse(cls, value: Any) -> JobFilter:
        """Return a mapping of its fields as a filter.

        Raises:
            FakeUsageError: it is not a plan, or a field does not fit.
        """
        if not isinstance(value, Mapping):
            raise wrong_value("when", f"a mapping with {', '.join(FILTER_FIELDS)}", value)
        check_names("field of when", value, FILTER_FIELDS)
        return cls(**value)

    def matches(self, models: Container[str], suffix: str | None, metadata: Mapping[str, str] | None) -> bool:
        """Return whether a job is meant that has these names of its model, suffix and metadata."""
        return (
            (self.model is None or self.model in models)
            and self.suffix in (None, suffix)
            and (self.metadata or {}).items() <= (metadata or {}).items()
        )

    def as_json(self) -> dict[str, Any]:
        """Return the fields that are given."""
        members = {"model": self.model, "suffix": self.suffix, "metadata": self.metadata or None}
        return {name: value for name, value in members.items() if value is not None}


FILTER_FIELDS = tuple(field.name for field in fields(JobFilter))


@dataclass(frozen=True, slots=True)
class PlanRule:
    """A plan, and the new jobs that it is for."""

    when: JobFilter
    plan: Plan

    def as_json(self) -> dict[str, Any]:
        """The rule as the control API shows it: ``when``, and the fields of the plan."""
        return {"when": self.when.as_json(), **self.plan.as_json()}
