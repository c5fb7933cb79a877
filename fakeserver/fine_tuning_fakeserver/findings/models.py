"""Rules about using what a job is to make, before it is made or although it never will be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..calls import Call
from .finding import Facts, Finding
from .sightings import TERMINAL, Sighting, sightings

_NOTHING = frozenset({"none", "null", "undefined", "nil", ""})
"""How languages spell what is not there, when it gets into a path or a text."""

_IN_PATH = frozenset({"retrieve_model", "delete_model"})
_IN_BODY = frozenset({"create_chat_completion", "create_completion", "create_job"})


def read_model_before_success(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A request names nothing for a model (null, empty, "None" …) while the job seen last was not over.

    The job seen last is the one that the latest answer before it showed. It cannot see a program that reads
    ``fine_tuned_model`` too early and asks nobody for it.
    """
    for call, last in _nameless(calls):
        if last.status not in TERMINAL:
            yield Finding(
                "read_model_before_success",
                f"{call.operation} names no model: job {last.job_id} was still {last.status} when it was last seen",
                (last.call.number, call.number),
                "fine_tuned_model is null until the job has succeeded: wait for that status first",
            )


def ignored_job_error(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A client was told that a job failed, and went on as if it had not.

    Either a request names nothing for a model (as in `read_model_before_success`) after the job seen last had failed
    or was cancelled; or a job is created with the very body of one that had been seen to fail because of that body:
    an error about a file (``invalid_…``, ``deleted_training_file``), which the same file brings about again. Trying
    again after a ``server_error`` is right.

    It cannot see whether anybody read ``error``.
    """
    yield from _used_the_model(calls)
    yield from _asked_for_the_same(calls)


def _used_the_model(calls: Sequence[Call]) -> Iterator[Finding]:
    for call, last in _nameless(calls):
        if last.status in TERMINAL - {"succeeded"}:
            yield Finding(
                "ignored_job_error",
                f"{call.operation} names no model: job {last.job_id} had {_ended(last)}",
                (last.call.number, call.number),
                "look at status before using fine_tuned_model, and at error where it is failed",
            )


def _asked_for_the_same(calls: Sequence[Call]) -> Iterator[Finding]:
    made = {call.job_id: call for call in calls if call.operation == "create_job" and call.accepted}
    failures = {seen.job_id: seen for seen in reversed(sightings(calls)) if seen.status == "failed"}
    for job, seen in failures.items():
        if job not in made or not _is_of_the_request(seen.error):
            continue
        later = (call for call in calls if call.operation == "create_job" and call.number > seen.call.number)
        if again := next((call for call in later if call.sent == made[job].sent), None):
            yield Finding(
                "ignored_job_error",
                f"job {job} had failed ({seen.error}), and the same was asked for again",
                (made[job].number, seen.call.number, again.number),
                "an error about a file comes again with the file: mend it and upload it anew",
            )


def _is_of_the_request(error: str | None) -> bool:
    return error is not None and (error.startswith("invalid_") or error == "deleted_training_file")


def _ended(last: Sighting) -> str:
    return "been cancelled" if last.status == "cancelled" else f"failed ({last.error})" if last.error else "failed"


def _nameless(calls: Sequence[Call]) -> Iterator[tuple[Call, Sighting]]:
    """The requests that name nothing for a model, each with the sighting before it; without one it is no wonder."""
    last: Sighting | None = None
    for call in calls:
        if last and _names_nothing(call):
            yield call, last
        last = next(reversed(sightings([call])), last)


def _names_nothing(call: Call) -> bool:
    if call.operation in _IN_PATH:
        return (call.model_id or "").lower() in _NOTHING
    if call.operation not in _IN_BODY or "model" not in call.options:
        return False
    model = call.options["model"]
    if call.operation == "create_job" and model == "":  # a test of what is refused, rather
        return False
    return model is None or (isinstance(model, str) and model.lower() in _NOTHING)
