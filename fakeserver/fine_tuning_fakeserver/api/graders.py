"""Graders: run one on a sample, or look one through. Source: spec (alpha); one published output of each answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import orjson

from ..account.records import GraderScoresSet, GraderScoreUsed
from ..account.service import Service, operation
from ..api_errors import ApiError, invalid_grader
from ..domain import ids
from ..grading import similarity, validation
from ..grading.grade import grade
from ..grading.grader_models import (
    Grader,
    LabelModel,
    Multi,
    Part,
    Python,
    RunGraderBody,
    ScoreModel,
    TextSimilarity,
    ValidateGraderBody,
    as_sent,
)
from ..grading.result import GradingError, GradingOutcome, answer
from ..grading.templates import GradingInput
from ..usage_errors import FakeUsageError
from . import response_objects
from .request_models import parse

B = TypeVar("B", RunGraderBody, ValidateGraderBody)

# Seconds that grading is said to take. Published outputs: a python grader 6.8, a model 4.4; the rest is inferred.
SLOWEST = {"string_check": 0.004, "text_similarity": 0.02, "python": 9.0, "score_model": 6.0, "multi": 9.0}


def body_of(shape: type[B], value: Any) -> B:
    """A request's body; what is wrong inside its grader is the grader's fault.

    Raises:
        ApiError: it does not fit.
    """
    try:
        return parse(shape, value)
    except ApiError as error:
        if (error.param or "").partition(".")[0] == "grader":
            raise invalid_grader(error.message) from None
        raise


def run(service: Service, body: RunGraderBody) -> response_objects.Json:
    """Grade a sample; the only lock it takes itself is for a model's score."""
    grader, seed = body.grader, service.settings.seed
    _check_able(grader, service.settings.run_python_graders)
    outcome = grade(grader, GradingInput.of(body.item or {}, body.model_sample), partial(_ask_model, service))
    return answer(_name(grader, seed), grader.type, outcome, _seconds(grader, body, outcome, seed))


def validate(service: Service, sent: Mapping[str, Any]) -> response_objects.Json:
    """Look a grader through, and show it completed.

    Source: a published output (the members as they were sent, then a name; no nulls); that a score_model's range
    comes like the name is inferred.

    Raises:
        ApiError: it can never work (inferred).
    """
    grader = body_of(ValidateGraderBody, sent).grader
    try:
        validation.check(grader)
    except GradingError as error:
        raise invalid_grader(f"invalid grader: {error.fault.details}") from None
    defaults: response_objects.Json = {"name": _name(grader, service.settings.seed)}
    if isinstance(grader, ScoreModel):
        defaults["range"] = list(grader.range)
    return {"grader": defaults_last(sent["grader"], defaults)}


def defaults_last(sent: Mapping[str, Any], defaults: Mapping[str, Any]) -> response_objects.Json:
    """What was sent, in its own order, then what it lacks."""
    return {**sent, **{name: value for name, value in defaults.items() if sent.get(name) is None}}


@operation
def set_scores(service: Service, now: float, scores: Sequence[float | None]) -> list[float | None]:
    """Let models that judge give these numbers next, one each time one is asked; None: no number.

    Raises:
        FakeUsageError: one is no number.
    """
    for score in scores:
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if score is not None and not (number and math.isfinite(score)):
            raise FakeUsageError(f"score is {score!r}: a finite number is wanted, or None for a model that gives none")
    service.commit(GraderScoresSet(tuple(scores)))
    return list(scores)


@operation
def _ask_model(service: Service, now: float, grader: ScoreModel | LabelModel, prompt: str) -> float | None:
    """The next of the given scores; without one, a number that depends on seed, grader and prompt alone."""
    scores = service.account.grader_scores
    if scores:
        score = scores[0]
        service.commit(GraderScoreUsed())
        return score
    low, high = grader.range if isinstance(grader, ScoreModel) else (0, 1)
    return low + (high - low) * _uniform("judge", service.settings.seed, _canonical(grader), prompt)


def _check_able(grader: Grader, run_python: bool) -> None:
    """Refuse what the fake, as it is, cannot grade, before anything is asked or run."""
    parts: Sequence[Part] = list(grader.parts().values()) if isinstance(grader, Multi) else [grader]
    if any(isinstance(part, Python) for part in parts) and not run_python:
        raise FakeUsageError(
            "a python grader is code, and the fake runs none that comes in a request unless it is told to: "
            'FakeFineTuning(run_python_graders=True), or POST /_fake/reset {"run_python_graders": true}'
        )
    if any(isinstance(part, TextSimilarity) for part in parts):
        similarity.check()


def _name(grader: Grader, seed: int) -> str:
    """The grader's name; one that was left out looks as in a published output, and is derived."""
    return grader.name or "grader-" + ids.to_digits(ids.derived_number("grader", seed, _canonical(grader)), 12)


def _seconds(grader: Grader, body: RunGraderBody, outcome: GradingOutcome, seed: int) -> float:
    """``execution_time``: derived, as all that the fake makes up."""
    return SLOWEST[grader.type] * (0.25 + 0.75 * _uniform("grading", seed, _canonical(grader), body.model_sample))


def _canonical(grader: Grader | LabelModel) -> str:
    return orjson.dumps(as_sent(grader)).decode()


def _uniform(*parts: object) -> float:
    return (ids.derived_number(*parts) >> 203) / 2**53
