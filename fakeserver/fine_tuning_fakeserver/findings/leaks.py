"""Rules about what is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..account.recorded_calls import Call
from .observed_calls import FILES, UNDER_WAY, is_reupload, observed_jobs, retrieved_jobs, uploads_by_file
from .rules import FinalState, Finding, rule

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
