"""Grade a sample by any kind of grader, and check graders without a sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from . import python_runner
from .formula import parse_formula
from .grader_models import Grader, LabelModel, Multi, Python, ScoreModel, StringCheck, SubGrader, TextSimilarity
from .result import ErrorFlag, GradingError, GradingOutcome
from .similarity import similarity
from .templates import GradingInput, check_template

ModelCall: TypeAlias = Callable[[ScoreModel | LabelModel, str], float | None]
"""Sends a text to the model of a grader, and returns the number in its answer, or None."""

# vendor text: eq and ne compare exactly; like is "contains", ilike the same in any case
COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda text, reference: text == reference,
    "ne": lambda text, reference: text != reference,
    "like": lambda text, reference: reference in text,
    "ilike": lambda text, reference: reference.casefold() in text.casefold(),
}
PASSING = 0.5
"""A label_model's number from here on stands for a passing label (ours)."""


def grade(grader: Grader | SubGrader, case: GradingInput, call_model: ModelCall) -> GradingOutcome:
    """Grade *case*; a failure is part of the outcome."""
    if isinstance(grader, Multi):
        # The formula over the parts' rewards; if a part fails, there is no reward (inferred).
        parts = {name: grade(part, case, call_model) for name, part in grader.sub_graders().items()}
        rewards = {name: part.reward for name, part in parts.items()}
        errors = [error for part in parts.values() for error in part.errors]
        reward = 0.0
        try:
            reward = parse_formula(grader.calculate_output).value(rewards)
        except GradingError as error:
            errors.append(ErrorFlag(error.flag, error.details))
        return GradingOutcome(0.0 if errors else reward, tuple(errors), rewards)
    model = grader.model if isinstance(grader, ScoreModel | LabelModel) else None
    try:
        return GradingOutcome(_reward(grader, case, call_model), model=model)
    except GradingError as error:
        return GradingOutcome(0.0, (ErrorFlag(error.flag, error.details),), model=model)


def _reward(grader: SubGrader, case: GradingInput, call_model: ModelCall) -> float:
    match grader:
        case StringCheck():
            compare = COMPARISONS[grader.operation]
            return float(compare(case.fill(grader.input), case.fill(grader.reference)))
        case TextSimilarity():
            return similarity(grader.evaluation_metric, case.fill(grader.input), case.fill(grader.reference))
        case Python():
            return python_runner.run(grader.source, case.sample, case.item)
        case ScoreModel():
            low, high = grader.range
            score = call_model(grader, case.fill(prompt_template(grader)))
            if score is None or not low <= score <= high:  # that the range is held to is inferred
                raise GradingError("model_grader_parse_error", f"The model gave no score from {low:g} to {high:g}.")
            return float(score)
        case _:
            number = call_model(grader, case.fill(prompt_template(grader)))
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
