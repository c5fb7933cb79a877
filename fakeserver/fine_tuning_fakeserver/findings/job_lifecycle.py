"""Rules about the ends of jobs: models used before or without them; jobs and files left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..account.recorded_calls import Call
from .observed_calls import (
    FILES,
    TERMINAL,
    UNDER_WAY,
    ObservedJob,
    is_reupload,
    is_same_job,
    join_chains,
    observed_jobs,
    retrieved_jobs,
    uploads_by_file,
)
from .rules import FinalState, Finding, rule

_NULLS = frozenset({"none", "null", "undefined", "nil", ""})
"""How languages spell a missing value that gets into a path or a text."""

_MODEL_IN_PATH = frozenset({"retrieve_model", "delete_model"})
_MODEL_IN_BODY = frozenset({"create_chat_completion", "create_completion", "create_job"})


@rule("a request named no model because the job that makes it was not over")
def read_model_before_success(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A request named no model (null, empty, "None" …) while a job that its client had seen was not over.

    It is the job without a model that was seen last; of several in one answer, the newest. It cannot see a program
    that reads ``fine_tuned_model`` too early and sends no request for it.
    """
    for job, uses in _uses_without_model(calls):
        if job.status not in TERMINAL:
            yield Finding(
                "read_model_before_success",
                f"{_sent_model(uses[0])}: job {job.job_id} was still {job.status} when it was last seen",
                (job.call, *uses),
                "fine_tuned_model is null until the job has succeeded: wait for that status first",
            )


@rule("a job failed, and its model was used, or the same job was created again unchanged")
def ignored_job_error(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A client received the failure of a job, and went on as if it had not.

    Either a request names nothing for a model (as in `read_model_before_success`) after the job had failed or was
    cancelled; or a job is created with the very body of one that had been seen to fail because of that body: an error
    about a file (``invalid_…``, ``deleted_training_file``), which the same file brings about again, also when it is
    uploaded anew under its old name and with its old size. Trying again after a ``server_error`` is right.

    It cannot see whether anybody read ``error``.
    """
    for job, uses in _uses_without_model(calls):
        if job.status in TERMINAL:
            yield Finding(
                "ignored_job_error",
                f"{_sent_model(uses[0])}: job {job.job_id} {job.ended}",
                (job.call, *uses),
                "look at status before using fine_tuned_model, and at error where it is failed",
            )

    creates, uploads = [call for call in calls if call.operation == "create_job"], uploads_by_file(calls)
    created = {call.job_id: call for call in creates if call.accepted}
    failures = {job.job_id: job for job in reversed(observed_jobs(calls)) if job.status == "failed"}
    links = []
    for job_id, failure in reversed(failures.items()):
        error = failure.error or ""
        if job_id in created and (error.startswith("invalid_") or error == "deleted_training_file"):
            later = (call for call in creates if call.number > failure.call.number)
            again = next((call for call in later if is_same_job(created[job_id], call, uploads)), None)
            links += [(created[job_id], failure.call, again)] if again else []
    for chain in join_chains(links):
        first = failures[chain[0].job_id or ""]
        yield Finding(
            "ignored_job_error",
            f"job {first.job_id} {first.ended}, and the same was asked for again",
            chain,
            "an error about a file comes again with the file: mend it before you upload it anew",
        )


def _uses_without_model(calls: Sequence[Call]) -> list[tuple[ObservedJob, list[Call]]]:
    """Return the jobs without a model, each with the calls that named no model when it was last seen."""
    last_seen: dict[str, ObservedJob] = {}
    uses: dict[str, tuple[ObservedJob, list[Call]]] = {}
    for call in calls:
        if _names_no_model(call):
            without = [job for job in last_seen.values() if job.status != "succeeded"]
            for job in without[-1:]:
                uses.setdefault(f"{job.job_id} {job.status}", (job, []))[1].append(call)
        for job in reversed(observed_jobs([call])):  # a list has the newest first, which is mostly the one wanted
            last_seen.pop(job.job_id, None)
            last_seen[job.job_id] = job
    return list(uses.values())


def _names_no_model(call: Call) -> bool:
    if call.operation not in _MODEL_IN_PATH and (call.operation not in _MODEL_IN_BODY or "model" not in call.options):
        return False
    model = _model(call)
    if call.operation == "create_job" and model == "":  # rather a test of the refusal
        return False
    return model is None or (isinstance(model, str) and model.lower() in _NULLS)


def _model(call: Call) -> object:
    return (call.model_id or "") if call.operation in _MODEL_IN_PATH else call.options["model"]


def _sent_model(call: Call) -> str:
    return f"{call.operation} was sent {json.dumps(_model(call))} for a model"


WAITED_LOOKS = 5


@rule("a file was uploaded, no job used it, and it was left while another took its place")
def leaked_file(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A file was uploaded, no job came of it, and its client went on with another file and left it there.

    Precisely: every create that names the file failed; after that the same client (by its User-Agent) created a job
    with other files; and the file was never deleted, is part of no job, and does not expire. Where it was a limit
    (429) that the create failed by, the file may be kept for later: then it takes a job with what looks like the same
    file, uploaded anew.

    A training file that a job has used is never reported: most people keep them. Nor is a file that nothing was asked
    for with, whose job may be created elsewhere, nor one after whose refusal nothing more was created: a test of the
    refusal, which has uploaded the file for it, looks the same.
    """
    by_success: dict[int, list[tuple[Call, Call, Call]]] = {}
    for leak in _leaked_uploads(calls, final_state):
        by_success.setdefault(leak[-1].number, []).append(leak)
    for leaks in by_success.values():
        upload, _, success = leaks[0]
        more = f" and {len(leaks) - 1} more" if leaks[1:] else ""
        yield Finding(
            "leaked_file",
            f"file {upload.file_id}{more}, uploaded for a job that was not created, was left when another was created",
            (*(call for leak in leaks for call in leak[:2]), success),
            "delete a file when no job comes of it",
        )


def _leaked_uploads(calls: Sequence[Call], final_state: FinalState) -> Iterator[tuple[Call, Call, Call]]:
    """Return each upload that leaked, the last create with its file, and the next create that succeeded."""
    creates, uploads = [call for call in calls if call.operation == "create_job"], uploads_by_file(calls)
    files = {create.number: [create.options.get(name) for name in FILES] for create in creates}
    deleted = {call.file_id for call in calls if call.operation == "delete_file"}
    for file_id, upload in uploads.items():
        expires = isinstance(upload.answer, dict) and upload.answer.get("expires_at") is not None
        if expires or file_id in deleted or file_id not in final_state.files - final_state.used_files:
            continue
        failed = next((call for call in reversed(creates) if file_id in files[call.number]), None)
        if failed is None:
            continue
        success = next((call for call in creates if call.number > failed.number and call.accepted), None)
        if success is None:
            continue
        if failed.status != 429 or any(is_reupload(file_id, other, failed, uploads) for other in files[success.number]):
            yield upload, failed, success


@rule("a job was waited for, given up, and left running")
def leaked_job(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """Somebody created a job, waited for it, gave up, and left it running.

    Waited is retrieved 5 times or more; gave up is that the last answer about it had a status under way
    (validating_files, queued, running). The job is neither over nor paused. A job that is created and not waited for is
    never reported: somebody else may do so; nor any where the account has a webhook, which would announce its end.

    It cannot see a program that hands the job to another one to go on waiting.
    """
    created = {call.job_id: call for call in calls if call.operation == "create_job" and call.accepted}
    if final_state.has_webhooks or not created:
        return
    last_seen = {job.job_id: job for job in observed_jobs(calls)}
    for job_id, seen in retrieved_jobs(calls).items():
        is_left = job_id in created and job_id not in final_state.over and job_id not in final_state.paused
        if is_left and len(seen) >= WAITED_LOOKS and last_seen[job_id].status in UNDER_WAY:
            yield Finding(
                "leaked_job",
                f"job {job_id} was created and retrieved {len(seen)} times, was last seen {last_seen[job_id].status}, "
                "and still runs",
                (created[job_id], last_seen[job_id].call),
                "cancel a job that nobody waits for any more: it goes on costing money",
            )
