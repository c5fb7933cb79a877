"""Rules about what is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..calls import Call
from .finding import Facts, Finding
from .sightings import UNDER_WAY, looks, sightings

WAITED_LOOKS = 5


def leaked_file(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """A file was uploaded, no job was had with it, and its client went on with another file and left it there.

    Precisely: every create that names the file failed; after that the same client (by its User-Agent) created a job
    with other files; and the file was never deleted, and is part of no job.

    A training file that a job has used is never reported: most people keep them. Nor is a file that nothing was asked
    for with, whose job may be created elsewhere, nor one after whose refusal nothing more was created: a test of the
    refusal, which has uploaded the file for it, looks the same.
    """
    creates = [call for call in calls if call.operation == "create_job"]
    touched = {call.file_id for call in calls if call.operation == "delete_file"}
    for upload in calls:
        file = upload.file_id if upload.operation == "upload_file" and upload.accepted else None
        if file is None or file in touched or file not in facts.files - facts.used_files:
            continue
        naming = [call for call in creates if file in _files(call)]
        if naming and (other := _went_on(creates, naming[-1])):
            yield Finding(
                "leaked_file",
                f"file {file} was uploaded for a job that was not created, and left there when another one was",
                (upload.number, naming[-1].number, other.number),
                "delete a file when no job comes of it",
            )


def _went_on(creates: Sequence[Call], failed: Call) -> Call | None:
    """The job that the same client created after one that it could not create."""
    later = (call for call in creates if call.number > failed.number and call.user_agent == failed.user_agent)
    return next((call for call in later if call.accepted), None)


def _files(create: Call) -> tuple[object, object]:
    return create.options.get("training_file"), create.options.get("validation_file")


def leaked_job(calls: Sequence[Call], facts: Facts) -> Iterator[Finding]:
    """Somebody created a job, waited for it, gave up, and left it running.

    Waited is retrieved 5 times or more; gave up is that the last answer about it had a status under way
    (validating_files, queued, running), and that neither cancel nor pause was asked for after that. The job is still
    not over. A job that is created and not waited for is never reported: somebody else may do so; nor any where the
    account has a webhook, by which its end would be told.

    It cannot see a program that hands the job to another one to go on waiting.
    """
    created = {call.job_id: call for call in calls if call.operation == "create_job" and call.accepted}
    last_seen = {sighting.job_id: sighting for sighting in sightings(calls)}
    for job, seen in looks(calls).items():
        if job not in created or job in facts.over or facts.has_webhooks or len(seen) < WAITED_LOOKS:
            continue
        last = last_seen[job]
        stopped = any(
            call.job_id == job and call.operation in ("cancel_job", "pause_job") and call.number > last.call.number
            for call in calls
        )
        if last.status in UNDER_WAY and not stopped:
            yield Finding(
                "leaked_job",
                f"job {job} was created and retrieved {len(seen)} times, was last seen {last.status}, and still runs",
                (created[job].number, last.call.number),
                "cancel a job that nobody waits for any more: it goes on costing money",
            )
