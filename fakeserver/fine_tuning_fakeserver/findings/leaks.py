"""Rules about what is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..account.recorded_calls import Call
from .finding import FinalState, Finding
from .observed_jobs import UNDER_WAY, observed_jobs, polls
from .similar_calls import FILES, is_reupload, uploads_of

WAITED_LOOKS = 5


def leaked_file(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """A file was uploaded, no job was had with it, and its client went on with another file and left it there.

    Precisely: every create that names the file failed; after that the same client (by its User-Agent) created a job
    with other files; and the file was never deleted, is part of no job, and does not expire. Where it was a limit
    (429) that the create failed by, the file may be kept for later: then it takes a job with what looks like the same
    file, uploaded anew.

    A training file that a job has used is never reported: most people keep them. Nor is a file that nothing was asked
    for with, whose job may be created elsewhere, nor one after whose refusal nothing more was created: a test of the
    refusal, which has uploaded the file for it, looks the same.
    """
    left: dict[int, list[tuple[Call, Call, Call]]] = {}
    for found in _left(own, facts):
        left.setdefault(found[-1].number, []).append(found)
    for several in left.values():
        upload = several[0][0]
        more = f" and {len(several) - 1} more" if several[1:] else ""
        yield Finding(
            "leaked_file",
            f"file {upload.file_id}{more}, uploaded for a job that was not created, was left when another was created",
            (*(call for found in several for call in found[:2]), several[0][-1]),
            "delete a file when no job comes of it",
        )


def _left(own: Sequence[Call], facts: FinalState) -> Iterator[tuple[Call, Call, Call]]:
    """Each upload of a file that is left, the last create that named it, and the one that succeeded instead."""
    creates, uploads = [call for call in own if call.operation == "create_job"], uploads_of(own)
    deleted = {call.file_id for call in own if call.operation == "delete_file"}
    for file, upload in uploads.items():
        if file in deleted or file not in facts.files - facts.used_files or _expires(upload):
            continue
        failed = next((call for call in reversed(creates) if file in _files(call)), None)
        if failed and (other := _went_on(creates, failed)) and not _may_be_later(failed, other, file, uploads):
            yield upload, failed, other


def _expires(upload: Call) -> bool:
    return isinstance(upload.answer, dict) and upload.answer.get("expires_at") is not None


def _went_on(creates: Sequence[Call], failed: Call) -> Call | None:
    """The job that was created after one that could not be created."""
    return next((call for call in creates if call.number > failed.number and call.accepted), None)


def _may_be_later(failed: Call, other: Call, file: str, uploads: Mapping[str, Call]) -> bool:
    anew = any(is_reupload(file, another, failed, uploads) for another in _files(other))
    return failed.status == 429 and not anew


def _files(create: Call) -> list[object]:
    return [create.options.get(name) for name in FILES]


def leaked_job(own: Sequence[Call], facts: FinalState) -> Iterator[Finding]:
    """Somebody created a job, waited for it, gave up, and left it running.

    Waited is retrieved 5 times or more; gave up is that the last answer about it had a status under way
    (validating_files, queued, running). The job is neither over nor paused. A job that is created and not waited for is
    never reported: somebody else may do so; nor any where the account has a webhook, by which its end would be told.

    It cannot see a program that hands the job to another one to go on waiting.
    """
    created = {call.job_id: call for call in own if call.operation == "create_job" and call.accepted}
    last_seen = {sighting.job_id: sighting for sighting in observed_jobs(own)} if created else {}
    for job, seen in polls(own).items():
        is_left = job in created and job not in facts.over and job not in facts.paused and not facts.has_webhooks
        if is_left and len(seen) >= WAITED_LOOKS and last_seen[job].status in UNDER_WAY:
            yield Finding(
                "leaked_job",
                f"job {job} was created and retrieved {len(seen)} times, was last seen {last_seen[job].status}, "
                "and still runs",
                (created[job], last_seen[job].call),
                "cancel a job that nobody waits for any more: it goes on costing money",
            )
