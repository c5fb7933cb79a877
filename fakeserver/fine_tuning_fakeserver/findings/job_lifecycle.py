"""Rules about the ends of jobs: models used before or without them; jobs and files left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ..account.recorded_calls import Call
from .observed_calls import (
    FILES,
    LOOKS,
    TERMINAL,
    UNDER_WAY,
    ObservedJob,
    how_looked,
    is_reupload,
    is_same_job,
    join_chains,
    looks_by_job,
    name_and_size,
    observed_jobs,
    uploaded_file,
    uploads_by_file,
)
from .rules import FinalState, Finding, rule

_NULLS = frozenset({"none", "null", "undefined", "nil", ""})
"""How languages spell a missing value that gets into a path or a text."""

_MODEL_IN_PATH = frozenset({"retrieve_model", "delete_model"})
_MODEL_IN_BODY = frozenset({"create_chat_completion", "create_completion", "create_job"})
_BESIDE_MODEL = {"create_chat_completion": "messages", "create_completion": "prompt"}
"""What a request for an answer has beside its model."""


@rule("a request named no model because the job that makes it was not over")
def read_model_before_success(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A request named no model (null, empty, "None", left out …) while a job that its client had seen was not over.

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
    uploaded anew under its old name and with its old size. Defaults that are spelt out, the other name of a model, and
    metadata that counts attempts make no other body. The failure is seen in the job, in a list of jobs, or in the
    job's events. Trying again after a ``server_error`` is right.

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
    failures = _observed_failures(calls, final_state)
    links = []
    for job_id, failure in failures.items():
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


def _observed_failures(calls: Sequence[Call], final_state: FinalState) -> Mapping[str, ObservedJob]:
    """Return each job that failed as it was when its client first saw that, in the job or in its events."""
    failures = {job.job_id: job for job in reversed(observed_jobs(calls)) if job.status == "failed"}
    for call in calls:
        job_id = call.job_id or ""
        has_newest = call.operation == "list_job_events" and call.answered and "after" not in call.options
        if has_newest and job_id in final_state.errors and call.at >= final_state.over[job_id]:
            told = ObservedJob(call, job_id, "failed", final_state.errors[job_id])
            failures[job_id] = min(told, failures.get(job_id, told), key=lambda seen: seen.call.number)
    return dict(sorted(failures.items(), key=lambda item: item[1].call.number))


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
    if _leaves_model_out(call):
        return True
    if call.operation not in _MODEL_IN_PATH and (call.operation not in _MODEL_IN_BODY or "model" not in call.options):
        return False
    model = _model(call)
    if call.operation == "create_job" and model == "":  # rather a test of the refusal
        return False
    return model is None or (isinstance(model, str) and model.lower() in _NULLS)


def _leaves_model_out(call: Call) -> bool:
    """Whether an answer was asked for, of no model: what becomes of a value that is undefined."""
    beside = _BESIDE_MODEL.get(call.operation or "")
    return beside is not None and "model" not in call.options and bool(call.options.get(beside))


def _model(call: Call) -> object:
    return (call.model_id or "") if call.operation in _MODEL_IN_PATH else call.options["model"]


def _sent_model(call: Call) -> str:
    sent = "nothing" if _leaves_model_out(call) else json.dumps(_model(call))
    return f"{call.operation} was sent {sent} for a model"


WAITED_LOOKS = 5


@rule("a file was uploaded, no job came of it, and it was left")
def leaked_file(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """A file was uploaded, no job came of it, and its client left it there.

    Precisely: the file was not deleted, is part of no job, and does not expire; and one of these is so. The last create
    that names it failed. The same client (by its User-Agent) uploaded it again (same name, same size) and created a job
    with that. Its deletion failed. Where it was a limit (429) that the create failed by, the file may be kept for
    later: then it takes a job with what looks like the same file, uploaded anew.

    A training file that a job has used is never reported: most people keep them. Nor is a file that nothing was asked
    for with, whose job may be created elsewhere. A test of a refusal, which has uploaded the file for it, looks the
    same as the flaw.
    """
    by_end: dict[int, list[tuple[Call, ...]]] = {}
    for leak in _leaked_uploads(calls, final_state):
        by_end.setdefault(leak[-1].number if leak[2:] else 0, []).append(leak)
    for end, leaks in by_end.items():
        more = f" and {len(leaks) - 1} more" if leaks[1:] else ""
        yield Finding(
            "leaked_file",
            f"file {uploaded_file(leaks[0][0]).get('id')}{more}, uploaded for a job that was not created, was left"
            f"{' when another was created' if end else ''}",
            (*(call for leak in leaks for call in leak[:2]), *(leaks[0][2:])),
            "delete a file when no job comes of it",
        )


def _leaked_uploads(calls: Sequence[Call], final_state: FinalState) -> Iterator[tuple[Call, ...]]:
    """Return each upload that leaked, the call that shows it, and the next create that succeeded, if any did."""
    creates, uploads = [call for call in calls if call.operation == "create_job"], uploads_by_file(calls)
    last_create = {file: create for create in creates for file in _named_files(create)}
    deletions = {call.file_id: call for call in calls if call.operation == "delete_file"}
    used = {
        name_and_size(uploads[file]): (uploads[file], create)
        for create in creates
        if create.accepted
        for file in uploads.keys() & _named_files(create)
    }
    idle = final_state.files - final_state.used_files
    for file_id, upload in uploads.items():
        if file_id not in idle or uploaded_file(upload).get("expires_at") is not None:
            continue
        failed = last_create.get(file_id)
        again, create = used.get(name_and_size(upload), (upload, upload))
        if failed:
            success = next((call for call in creates if call.number > failed.number and call.accepted), None)
            named = _named_files(success) if success else ()
            if failed.status != 429 or any(is_reupload(file_id, each, failed, uploads) for each in named):
                yield (upload, failed, success) if success else (upload, failed)
        elif again.number > upload.number:
            yield upload, again, create
        elif file_id in deletions:
            yield upload, deletions[file_id]


def _named_files(create: Call) -> frozenset[str]:
    return frozenset(file for name in FILES if isinstance(file := create.options.get(name), str))


@rule("a job was waited for, given up, and left running")
def leaked_job(calls: Sequence[Call], final_state: FinalState) -> Iterator[Finding]:
    """Somebody created a job, waited for it, gave up, and left it running.

    Waited is looked at 5 times or more in one way: retrieved, its newest events or checkpoints read, or seen in lists
    since the client's last create. Gave up is that the last answer with its status had one under way
    (validating_files, queued, running). The job is neither over nor paused. A job that is created and not waited for is
    never reported: somebody else may do so; nor any where the account has a webhook, which would announce its end.

    It cannot see a program that hands the job to another one to go on waiting.
    """
    created = {call.job_id: call for call in calls if call.operation == "create_job" and call.accepted}
    if final_state.has_webhooks or not created:
        return
    last_seen = {job.job_id: job for job in observed_jobs(calls)}
    last_create = max(create.number for create in created.values())
    for job_id, ways in looks_by_job(calls).items():
        if "list_jobs" in ways:  # somebody who lists before each create looks for something else
            ways["list_jobs"] = [call for call in ways["list_jobs"] if call.number > last_create]
        looks = max((ways.get(operation, []) for operation in LOOKS), key=len)
        is_left = job_id in created and job_id not in final_state.over and job_id not in final_state.paused
        if is_left and len(looks) >= WAITED_LOOKS and last_seen[job_id].status in UNDER_WAY:
            looked = how_looked(looks[0])
            yield Finding(
                "leaked_job",
                f"job {job_id} was created and {looked} {len(looks)} times, was last seen {last_seen[job_id].status}, "
                "and still runs",
                (created[job_id], max(looks[-1], last_seen[job_id].call, key=lambda call: call.number)),
                "cancel a job that nobody waits for any more: it goes on costing money",
            )
