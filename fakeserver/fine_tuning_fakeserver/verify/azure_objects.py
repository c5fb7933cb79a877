"""Azure's objects in the words of the fake's own answers, so that its state can be inferred from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .observed_objects import JOB
from .recording import Json, RecordedExchange

STATUSES = {"pausing": "paused", "resuming": "queued"}
"""The answers to a pause and a resumption. What is pending waits for its files, or for its turn."""

UNKNOWN_NUMBER = -1
"""What Azure shows of a hyperparameter that it has not chosen yet."""

OWN_MEMBERS = {"trainingType": "trainingType", "eval": "eval_id"}
OWN_NUMBERS, OWN_GRADERS_MEMBERS = frozenset({"l2_multiplier"}), frozenset({"pass_threshold"})
OWN = "own_members"
"""No member of a job: those that only Azure has, in the places where the fake's answers have them."""


def to_recorded(exchange: RecordedExchange) -> RecordedExchange:
    """Return an exchange with the jobs in its answer as OpenAI shows them."""
    return replace(exchange, json=_translate(exchange.json))


def _translate(value: Any) -> Any:
    if isinstance(value, list):
        return [_translate(item) for item in value]
    if not isinstance(value, dict):
        return value
    return (
        _translate_job(value)
        if value.get("object") == JOB
        else {name: _translate(each) for name, each in value.items()}
    )


def _translate_job(job: Json) -> Json:
    numbers = _numbers(job.get("hyperparameters"))
    translated = {**job, "hyperparameters": numbers, "method": _method(job.get("method")), OWN: _own_members(job)}
    status = job.get("status")
    if status == "pending":
        translated["status"] = "validating_files" if "auto" in (numbers or {}).values() else "queued"
    elif isinstance(status, str):
        translated["status"] = STATUSES.get(status, status)
    tokens = job.get("trained_tokens")
    if isinstance(tokens, int) and tokens < 0:  # of a model whose epochs stay unknown
        translated |= {"trained_tokens": None, OWN: {**translated[OWN], "trained_tokens": tokens}}
    if "suffix" in job:
        translated["user_provided_suffix"] = job["suffix"]
    return translated


def _numbers(numbers: Any) -> Json | None:
    if not isinstance(numbers, dict):
        return None
    return {
        name: "auto" if value == UNKNOWN_NUMBER else value for name, value in numbers.items() if name not in OWN_NUMBERS
    }


def _method(method: Any) -> Json | None:
    if not isinstance(method, dict):
        return None
    return {name: _part(part) if isinstance(part, dict) else part for name, part in method.items()}


def _part(part: Json) -> Json:
    translated = {**part, "hyperparameters": _numbers(part.get("hyperparameters"))}
    if isinstance(grader := part.get("grader"), dict):
        translated["grader"] = {name: value for name, value in grader.items() if name not in OWN_GRADERS_MEMBERS}
    return translated


def _own_members(job: Json) -> Json:
    """Return the members that only Azure has, or shows at another time than OpenAI."""
    own: Json = {name: job[source] for source, name in OWN_MEMBERS.items() if source in job}
    method = job.get("method")
    for name, part in method.items() if isinstance(method, dict) else ():
        if isinstance(part, dict):
            numbers = _only(part.get("hyperparameters"), OWN_NUMBERS)
            grader = _only(part.get("grader"), OWN_GRADERS_MEMBERS)
            members = {"hyperparameters": numbers, "grader": grader}
            own.setdefault("method", {})[name] = {member: value for member, value in members.items() if value}
    return own


def _only(value: Any, names: frozenset[str]) -> Json:
    return {name: value[name] for name in names if name in value} if isinstance(value, dict) else {}
