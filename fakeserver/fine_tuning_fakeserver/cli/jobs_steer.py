"""`jobs cancel`, `jobs pause`, `jobs resume`: one request each, and the status that came of it."""

from __future__ import annotations

from fine_tuning_client import FineTuningJobResponse

from .jobs_session import Session


def cancel(session: Session) -> int:
    """Stop a job for good."""
    return _told(session, session.client.cancel_job(session.given.job))


def pause(session: Session) -> int:
    """Stop a running job until it is resumed."""
    return _told(session, session.client.pause_job(session.given.job))


def resume(session: Session) -> int:
    """Let a paused job go on."""
    return _told(session, session.client.resume_job(session.given.job))


def _told(session: Session, job: FineTuningJobResponse) -> int:
    session.out.row((job.id, job.status), (len(job.id),))
    return 0
