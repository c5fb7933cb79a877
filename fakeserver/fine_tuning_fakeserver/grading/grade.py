"""Grade a sample by any kind of grader, and check graders without a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ..clock import steady
from . import python_runner
from .formula import parse_formula
from .grader_models import Grader, LabelModel, Multi, Python, ScoreModel, StringCheck, SubGrader, TextSimilarity
from .result import ErrorFlag, GradingError, GradingOutcome
from .similarity import similarity
from .templates import GradingInput, check_template

Model: TypeAlias = Callable[[ScoreModel | LabelModel, str], float]
"""Answers a text with the number that the model of a grader gives by itself."""

TakeScore: TypeAlias = Callable[[float], float | None]
"""Returns the next prepared score, None for a model that gives no number; without any, the number it is called with."""

SECONDS_AT_MOST = 30.0
"""How long all parts of a grader may take together (ours): as long as three python graders."""

_ITSELF = ""
"""The name of the one part of a grader that has no parts."""

# vendor text: eq and ne compare exactly; like is "contains", ilike the same in any case
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda text, reference: text == reference,
    "ne": lambda text, reference: text != reference,
    "like": lambda text, reference: reference in text,
    "ilike": lambda text, reference: reference.casefold() in text.casefold(),
}
PASSING = 0.5
"""A label_model's number from here on stands for a passing label (ours)."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """The number that the model of a grader answers, unless a score is prepared."""

    grader: ScoreModel | LabelModel
    number: float


PartResult: TypeAlias = float | GradingError | ModelAnswer
"""The reward of one grader, why it has none, or what comes of it when its model has answered."""


def grade_parts(
    grader: Grader, case: GradingInput, model: Model, is_wanted: Callable[[], bool]
) -> dict[str, PartResult]:
    """Grade *case* by each grader inside a multi grader, or by the grader itself, as far as no account is needed.

    It takes long for many parts, and longest for python graders; what is left after `SECONDS_AT_MOST`, or when the
    result is not wanted any more, fails.
    """
    end = steady() + SECONDS_AT_MOST

    def run_python(part: Python) -> float:
        limits = python_runner.DEFAULT_LIMITS
        limits = replace(limits, seconds=min(limits.seconds, end - steady()))
        return python_runner.run(part.source, case.sample, case.item, limits, is_wanted)

    def result(part: SubGrader) -> PartResult:
        if steady() >= end:
            return GradingError("other_error", f"The grader took longer than {SECONDS_AT_MOST:g} seconds.")
        if not is_wanted():
            return GradingError("other_error", "Nobody waits for the grader any more.")
        return _part_result(part, case, model, run_python)

    return {name: result(part) for name, part in _parts(grader).items()}


def combine_parts(grader: Grader, results: Mapping[str, PartResult], take_score: TakeScore) -> GradingOutcome:
    """Return the outcome of a grader, given that of its parts; a failure is part of it."""
    parts = {name: _part_outcome(part, results[name], take_score) for name, part in _parts(grader).items()}
    if not isinstance(grader, Multi):
        return parts[_ITSELF]
    # The formula over the parts' rewards; if a part fails, the reward is missing (inferred).
    rewards = {name: part.reward for name, part in parts.items()}
    errors = [error for part in parts.values() for error in part.errors]
    reward = 0.0
    try:
        reward = parse_formula(grader.calculate_output).value(rewards)
    except GradingError as error:
        errors.append(ErrorFlag(error.flag, error.details))
    return GradingOutcome(0.0 if errors else reward, tuple(errors), rewards)


def _parts(grader: Grader) -> Mapping[str, SubGrader]:
    return grader.sub_graders() if isinstance(grader, Multi) else {_ITSELF: grader}


def _part_result(
    grader: SubGrader, case: GradingInput, model: Model, run_python: Callable[[Python], float]
) -> PartResult:
    try:
        match grader:
            case StringCheck():
                compare = COMPARISONS[grader.operation]
                return float(compare(case.fill(grader.input), case.fill(grader.reference)))
            case TextSimilarity():
                return similarity(grader.evaluation_metric, case.fill(grader.input), case.fill(grader.reference))
            case Python():
                return run_python(grader)
            case _:
                return ModelAnswer(grader, model(grader, case.fill(prompt_template(grader))))
    except GradingError as error:
        return error


def _part_outcome(grader: SubGrader, result: PartResult, take_score: TakeScore) -> GradingOutcome:
    model = grader.model if isinstance(grader, ScoreModel | LabelModel) else None
    try:
        if isinstance(result, ModelAnswer):
            result = _model_reward(result.grader, take_score(result.number))
        if isinstance(result, GradingError):
            raise result
        return GradingOutcome(result, model=model)
    except GradingError as error:
        return GradingOutcome(0.0, (ErrorFlag(error.flag, error.details),), model=model)


def _model_reward(grader: ScoreModel | LabelModel, number: float | None) -> float:
    if isinstance(grader, ScoreModel):
        low, high = grader.range
        if number is None or not low <= number <= high:  # that the range is held to is inferred
            raise GradingError("model_grader_parse_error", f"The model gave no score from {low:g} to {high:g}.")
        return float(number)
    if number is None:
        raise GradingError("model_grader_parse_error", "The model gave none of the labels.")
    return float(number >= PASSING)


def prompt_template(grader: ScoreModel | LabelModel) -> str:
    """Join all texts for the model in one template; images and audio are left out."""
    return "\n".join(f"{item.role}: {text}" for item in grader.input for text in item.texts())


def check_grader(grader: Grader) -> None:
    """Check, without running it, whether a grader's formula, templates and source could ever work.

    All of it is inferred: no refusal of the service's was ever seen. In a run these are flags.

    Raises:
        GradingError: something in it can never work.
    """
    if not isinstance(grader, Multi):
        _check_single(grader)
        return
    parts = grader.sub_graders()
    for part in parts.values():
        _check_single(part)
    try:
        parse_formula(grader.calculate_output).value(dict.fromkeys(parts, 1.0))
    except GradingError as error:
        if error.flag != "other_error":  # with other rewards it may have a value
            raise


def _check_single(grader: SubGrader) -> None:
    match grader:
        case Python():
            # Its syntax is checked when it runs: to parse it here would bring its warnings into this process.
            if "grade" not in grader.source:
                raise GradingError("python_grader_runtime_error", "source has no function 'grade'")
        case ScoreModel():
            check_template(prompt_template(grader))
            if grader.range[0] >= grader.range[1]:
                raise GradingError("other_error", "range is empty")
        case LabelModel():
            check_template(prompt_template(grader))
            if unknown := [label for label in grader.passing_labels if label not in grader.labels]:
                raise GradingError("other_error", f"passing label '{unknown[0]}' is not one of the labels")
        case _:
            check_template(grader.input)
            check_template(grader.reference)
