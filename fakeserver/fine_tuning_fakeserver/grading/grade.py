"""One function for every kind of grader."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from . import formula, python_runner
from .grader_models import Grader, LabelModel, Multi, Python, ScoreModel, StringCheck, SubGrader, TextSimilarity
from .result import ErrorFlag, GradingError, GradingOutcome
from .similarity import similarity
from .templates import GradingInput

Judge: TypeAlias = Callable[[ScoreModel | LabelModel, str], float | None]
"""Asks the model of a grader with a text, and returns the number it gives; None where it gives none."""

# vendor text: eq and ne compare exactly; like is "contains", ilike the same in any case
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda text, reference: text == reference,
    "ne": lambda text, reference: text != reference,
    "like": lambda text, reference: reference in text,
    "ilike": lambda text, reference: reference.casefold() in text.casefold(),
}
PASSING = 0.5
"""A label_model's number from here on stands for a passing label (ours)."""


def grade(grader: Grader | SubGrader, case: GradingInput, judge: Judge) -> GradingOutcome:
    """What *grader* makes of *case*; what goes wrong is in it."""
    if isinstance(grader, Multi):
        return _combine(grader, case, judge)
    model = grader.model if isinstance(grader, ScoreModel | LabelModel) else None
    try:
        return GradingOutcome(_reward(grader, case, judge), model=model)
    except GradingError as error:
        return GradingOutcome(0.0, (ErrorFlag(error.flag, error.details),), model=model)


def _combine(grader: Multi, case: GradingInput, judge: Judge) -> GradingOutcome:
    """The formula's value; a part that fails leaves it none (inferred)."""
    parts = {name: grade(part, case, judge) for name, part in grader.sub_graders().items()}
    rewards = {name: part.reward for name, part in parts.items()}
    faults = [fault for part in parts.values() for fault in part.errors]
    try:
        reward = formula.parse_formula(grader.calculate_output).value(rewards)
    except GradingError as error:
        faults.append(ErrorFlag(error.flag, error.details))
        reward = 0.0
    return _result(reward, faults, rewards)


def _result(reward: float, faults: list[ErrorFlag], rewards: dict[str, float]) -> GradingOutcome:
    return GradingOutcome(0.0 if faults else reward, tuple(faults), rewards)


def _reward(grader: SubGrader, case: GradingInput, judge: Judge) -> float:
    match grader:
        case StringCheck():
            compare = COMPARISONS[grader.operation]
            return float(compare(case.fill(grader.input), case.fill(grader.reference)))
        case TextSimilarity():
            return similarity(grader.evaluation_metric, case.fill(grader.input), case.fill(grader.reference))
        case Python():
            return python_runner.run(grader.source, case.sample, case.item)
        case ScoreModel():
            return _score(grader, judge(grader, case.fill(prompt_template(grader))))
        case _:
            return _label(judge(grader, case.fill(prompt_template(grader))))


def prompt_template(grader: ScoreModel | LabelModel) -> str:
    """All texts that the model is given, as one template; its pictures and sounds are not looked at."""
    return "\n".join(f"{item.role}: {text}" for item in grader.input for text in item.texts())


def _score(grader: ScoreModel, number: float | None) -> float:
    low, high = grader.range
    if number is None or not low <= number <= high:  # that the range is held to is inferred
        raise GradingError("model_grader_parse_error", f"The model gave no score from {low:g} to {high:g}.")
    return float(number)


def _label(number: float | None) -> float:
    if number is None:
        raise GradingError("model_grader_parse_error", "The model gave none of the labels.")
    return float(number >= PASSING)
