"""Graders: run or validate one. Source: spec (alpha); one published output of each answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import orjson
from pydantic_core import ErrorDetails

from fine_tuning_formats.lazy_dataclass import dataclass

from ..account.records import GraderScoresSet, GraderScoreUsed
from ..account.service import Service, operation
from ..api_errors import ApiError, invalid_grader
from ..domain import ids
from ..grading import similarity
from ..grading.grade import PartResult, check_grader, combine_parts, grade_parts
from ..grading.grader_models import (
    Grader,
    LabelModel,
    Multi,
    Python,
    RunGraderBody,
    ScoreModel,
    TextSimilarity,
    ValidateGraderBody,
    as_sent,
)
from ..grading.result import GradingError, run_response
from ..grading.templates import GradingInput
from ..settings import Settings
from ..usage_errors import FakeUsageError, wrong_value
from .parameter_errors import parameter_error
from .request_models import parse
from .response_objects import Json

B = TypeVar("B", RunGraderBody, ValidateGraderBody)

# Seconds of grading in the answer. Published outputs: a python grader 6.8, a model 4.4; the rest is inferred.
SLOWEST = {"string_check": 0.004, "text_similarity": 0.02, "python": 9.0, "score_model": 6.0, "multi": 9.0}


def parse_grader_body(model: type[B], value: Any) -> B:
    """Validate a request's body.

    Raises:
        ApiError: it does not fit.
    """
    return parse(model, value, refusal=_refuse)


def _refuse(path: str, problems: Sequence[ErrorDetails]) -> ApiError:
    """Return the error for a field; one inside the grader is named from there (printed: ``graders.input``)."""
    return parameter_error(path.removeprefix("grader."), problems)


@dataclass(frozen=True, slots=True)
class GradedParts:
    """What `grade_ahead` has made of a sample; `seconds` are those that the answer tells."""

    grader: Grader
    name: str
    seconds: float
    results: Mapping[str, PartResult]


def grade_ahead(settings: Settings, body: RunGraderBody, is_wanted: Callable[[], bool]) -> GradedParts:
    """Grade a sample as far as no account is needed, which may take long: code of a grader runs here.

    Args:
        settings: those of the account.
        body: the request.
        is_wanted: whether anybody waits for the result still; python graders are ended when nobody does.

    Raises:
        FakeUsageError: the fake, as it is set up, cannot grade it.
    """
    grader, seed = body.grader, settings.seed
    _require_gradable(grader, settings.run_python_graders)
    seconds = SLOWEST[grader.type] * (0.25 + 0.75 * _uniform("grading", seed, _canonical(grader), body.model_sample))
    case = GradingInput.of(body.item or {}, body.model_sample)
    results = grade_parts(grader, case, partial(_model_number, seed), is_wanted)
    return GradedParts(grader, _name(grader, seed), seconds, results)


@operation
def run(service: Service, now: float, graded: GradedParts) -> Json:
    """Return the outcome of a sample that was graded, with the prepared scores of models, which are used up."""
    outcome = combine_parts(graded.grader, graded.results, partial(_take_score, service))
    return run_response(graded.name, graded.grader.type, outcome, graded.seconds)


def validate(service: Service, sent: Mapping[str, Any]) -> Json:
    """Check a grader without running it, and return it completed.

    Source: a published output (the members as they were sent, then a name; no nulls); that a score_model's range
    comes like the name is inferred.

    Raises:
        ApiError: it can never work (inferred).
    """
    grader = parse_grader_body(ValidateGraderBody, sent).grader
    try:
        check_grader(grader)
    except GradingError as error:
        raise invalid_grader(f"invalid grader: {error.details}") from None
    defaults: Json = {"name": _name(grader, service.settings.seed)}
    if isinstance(grader, ScoreModel):
        defaults["range"] = list(grader.range)
    missing = {name: value for name, value in defaults.items() if sent["grader"].get(name) is None}
    return {"grader": {**sent["grader"], **missing}}


@operation
def set_scores(service: Service, now: float, scores: Sequence[float | None]) -> list[float | None]:
    """Prepare the numbers that grading models return next, one each; None: the model gives no number.

    Raises:
        FakeUsageError: one is not a finite number.
    """
    for score in scores:
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if score is not None and not (number and math.isfinite(score)):
            raise wrong_value("score", "a finite number, or None for a model that gives no number", score)
    service.commit(GraderScoresSet(tuple(scores)))
    return list(scores)


def _take_score(service: Service, otherwise: float) -> float | None:
    """Take the next prepared score, the first of which is used up."""
    scores = service.account.grader_scores
    if not scores:
        return otherwise
    score = scores[0]
    service.commit(GraderScoreUsed())
    return score


def _model_number(seed: int, grader: ScoreModel | LabelModel, prompt: str) -> float:
    """Derive the number of a model from seed, grader and prompt alone."""
    low, high = grader.range if isinstance(grader, ScoreModel) else (0, 1)
    return low + (high - low) * _uniform("judge", seed, _canonical(grader), prompt)


def _require_gradable(grader: Grader, run_python: bool) -> None:
    """Refuse what the fake, as it is set up, cannot grade, before any part of a multi grader has run."""
    parts = list(grader.sub_graders().values()) if isinstance(grader, Multi) else [grader]
    if any(isinstance(part, Python) for part in parts) and not run_python:
        raise FakeUsageError(
            "a python grader is code, and the fake does not run code from a request unless it is allowed to: "
            'FakeFineTuning(run_python_graders=True), or POST /_fake/reset {"run_python_graders": true}'
        )
    if any(isinstance(part, TextSimilarity) for part in parts):
        similarity.require_libraries()


def _name(grader: Grader, seed: int) -> str:
    """Return the grader's name, or a derived one that looks as in a published output."""
    return grader.name or "grader-" + ids.to_digits(ids.derived_number("grader", seed, _canonical(grader)), 12)


def _canonical(grader: Grader | LabelModel) -> str:
    return orjson.dumps(as_sent(grader)).decode()


def _uniform(*parts: object) -> float:
    """Derive a number from 0 to 1."""
    return (ids.derived_number(*parts) >> 203) / 2**53  # 256 bits drawn, 53 in a float
