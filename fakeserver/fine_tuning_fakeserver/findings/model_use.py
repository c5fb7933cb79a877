"""Rules about using what a job is to make, before it is made or although it never will be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..account.recorded_calls import Call
from .finding import FinalState, Finding
from .observed_jobs import TERMINAL, ObservedJob, observed_jobs
from .similar_calls import chains, is_same_job, uploads_of

_NOTHING = frozenset({"none", "null", "undefined", "nil", ""})
"""How languages spell what is not there, when it gets into a path or a text."""

_IN_PATH = frozenset({"retrieve_model", "delete_model"})
_IN_BODY = frozenset({"create_chat_completion", "create_completion", "create_job"})


def read_model_before_success(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A request names nothing for a model (null, empty, "None" …) while a job that its client had seen was not over.

    It is the job without a model that was seen last; of several in one answer, the newest. It cannot see a program
    that reads ``fine_tuned_model`` too early and asks nobody for it.
    """
    for last, calls in _nameless(own):
        if last.status not in TERMINAL:
            yield Finding(
                "read_model_before_success",
                f"{_named(calls[0])}: job {last.job_id} was still {last.status} when it was last seen",
                (last.call, *calls),
                "fine_tuned_model is null until the job has succeeded: wait for that status first",
            )


def ignored_job_error(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A client was told that a job failed, and went on as if it had not.

    Either a request names nothing for a model (as in `read_model_before_success`) after the job had failed or was
    cancelled; or a job is created with the very body of one that had been seen to fail because of that body: an error
    about a file (``invalid_…``, ``deleted_training_file``), which the same file brings about again, also when it is
    uploaded anew under its old name and with its old size. Trying again after a ``server_error`` is right.

    It cannot see whether anybody read ``error``.
    """
    for last, calls in _nameless(own):
        if last.status in TERMINAL:
            yield Finding(
                "ignored_job_error",
                f"{_named(calls[0])}: job {last.job_id} {last.ended}",
                (last.call, *calls),
                "look at status before using fine_tuned_model, and at error where it is failed",
            )
    yield from _asked_for_the_same(own)


def _asked_for_the_same(own: Sequence[Call]) -> Iterator[Finding]:
    creates, uploads = [call for call in own if call.operation == "create_job"], uploads_of(own)
    made = {call.job_id: call for call in creates if call.accepted}
    failures = {seen.job_id: seen for seen in reversed(observed_jobs(own)) if seen.status == "failed"}
    links = []
    for job, seen in reversed(failures.items()):
        if job in made and _is_of_the_request(seen.error):
            later = (call for call in creates if call.number > seen.call.number)
            again = next((call for call in later if is_same_job(made[job], call, uploads)), None)
            links += [(made[job], seen.call, again)] if again else []
    for chain in chains(links):
        first = failures[chain[0].job_id or ""]
        yield Finding(
            "ignored_job_error",
            f"job {first.job_id} {first.ended}, and the same was asked for again",
            chain,
            "an error about a file comes again with the file: mend it before you upload it anew",
        )


def _is_of_the_request(error: str | None) -> bool:
    return error is not None and (error.startswith("invalid_") or error == "deleted_training_file")


def _named(call: Call) -> str:
    return f"{call.operation} was sent {json.dumps(_model(call))} for a model"


def _nameless(own: Sequence[Call]) -> list[tuple[ObservedJob, list[Call]]]:
    """The jobs without a model whose model was asked for by no name, each with the calls that did so."""
    seen: dict[str, ObservedJob] = {}
    found: dict[str, tuple[ObservedJob, list[Call]]] = {}
    for call in own:
        if _names_nothing(call):
            without = [sighting for sighting in seen.values() if sighting.status != "succeeded"]
            for last in without[-1:]:
                found.setdefault(f"{last.job_id} {last.status}", (last, []))[1].append(call)
        for sighting in reversed(observed_jobs([call])):  # a list has the newest first, which most want
            seen.pop(sighting.job_id, None)
            seen[sighting.job_id] = sighting
    return list(found.values())


def _model(call: Call) -> object:
    return (call.model_id or "") if call.operation in _IN_PATH else call.options["model"]


def _names_nothing(call: Call) -> bool:
    if call.operation not in _IN_PATH and (call.operation not in _IN_BODY or "model" not in call.options):
        return False
    model = _model(call)
    if call.operation == "create_job" and model == "":  # a test of what is refused, rather
        return False
    return model is None or (isinstance(model, str) and model.lower() in _NOTHING)
