"""Check a grader without running it: whether its formula, templates and source could ever work.

All of it is inferred: no refusal of the service's was ever seen. A run is more lenient: there these are flags.
"""

from __future__ import annotations

from .formula import parse_formula
from .grade import prompt_template
from .grader_models import Grader, LabelModel, Multi, Python, ScoreModel, SubGrader
from .result import GradingError
from .templates import check_template


def check_grader(grader: Grader) -> None:
    """Check a grader and its parts.

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
