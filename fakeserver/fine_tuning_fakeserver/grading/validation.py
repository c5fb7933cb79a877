"""What can be told of a grader without running it: whether its formula, its templates and its source are any.

All of it is inferred: no refusal of the service's was ever seen. A run is more lenient: there these are flags.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import formula, templates
from .grade import prompt_template
from .grader_models import Grader, LabelModel, Multi, Python, ScoreModel, SubGrader
from .result import GradingError


def check_grader(grader: Grader) -> None:
    """Look through a grader and its parts.

    Raises:
        GradingError: something in it can never work.
    """
    if not isinstance(grader, Multi):
        _check_part(grader)
        return
    parts = grader.sub_graders()
    for part in parts.values():
        _check_part(part)
    try:
        formula.parse_formula(grader.calculate_output).value(dict.fromkeys(parts, 1.0))
    except GradingError as error:
        if error.flag != "other_error":  # with other rewards it may have a value
            raise


def _check_part(part: SubGrader) -> None:
    if isinstance(part, Python):
        _check_source(part.source)
    for template in _templates(part):
        templates.check_template(template)
    if isinstance(part, LabelModel) and (stray := [each for each in part.passing_labels if each not in part.labels]):
        raise GradingError("other_error", f"passing label '{stray[0]}' is not one of the labels")
    if isinstance(part, ScoreModel) and part.range[0] >= part.range[1]:
        raise GradingError("other_error", "range is empty")


def _templates(part: SubGrader) -> Iterator[str]:
    match part:
        case Python():
            return
        case ScoreModel() | LabelModel():
            yield prompt_template(part)
        case _:
            yield from (part.input, part.reference)


def _check_source(source: str) -> None:
    # Its syntax is looked at when it runs: to parse it here would bring its warnings into this process.
    if "grade" not in source:
        raise GradingError("python_grader_runtime_error", "source has no function 'grade'")
