"""`jobs events`, `jobs wait`, and what `create --follow` does: watch a job to its end; interrupted, it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from fine_tuning_client import (
    APIConnectionError,
    APIResponseError,
    FineTuningEventResponse,
    FineTuningJobResponse,
    InternalServerError,
    JobDisplay,
    RateLimitError,
    WaitTimeout,
)

from .output import moment, note
from .session import REFUSED, Session

SHOWN = 20
"""How many events there are without being asked for more."""

PASSING = (APIConnectionError, APIResponseError, InternalServerError, RateLimitError, WaitTimeout)
"""What says nothing against the job: it goes on."""

WIDTHS = (len("2023-11-14T22:13:20Z"), len("error"))


def events(session: Session) -> int:
    """Show what happened to a job, newest last; with --follow until it is over."""
    given = session.given
    if given.follow:
        return follow(session, given.job, _before(session, given.job, given.limit), given.json)
    newest = list(islice(session.client.iter_job_events(given.job), given.limit or SHOWN))
    for event in reversed(newest):
        _write(session, event, given.json)
    return 0


def follow(session: Session, job_id: str, since: str | None = None, as_json: bool = False) -> int:
    """Write events as they come, until the job is over; then how it ended."""
    again = ("events", job_id, "--follow", *(("--json",) if as_json else ()))
    with _going_on(session.command(*again)):
        for event in session.client.follow_job_events(job_id, since=since, poll_interval=session.poll_s):
            _write(session, event, as_json)
        job = session.client.retrieve_job(job_id)
    return _ended(session, job, as_json)


def wait(session: Session) -> int:
    """Wait until a job is over."""
    job_id, timeout = session.given.job, session.given.timeout
    with _going_on(session.command("wait", job_id)), JobDisplay() as display:

        def tell(job: FineTuningJobResponse) -> None:
            if not job.is_finished():  # of its end there is more to say
                display(job)
            if job.is_paused():
                note(f"it is paused until: {session.command('resume', job_id)}")

        job = session.client.wait_for_job(job_id, timeout=timeout, poll_interval=session.poll_s, on_update=tell)
    return _ended(session, job)


def _before(session: Session, job_id: str, limit: int | None) -> str | None:
    """The event before the newest *limit* ones, or None where all are wanted."""
    if limit is None:
        return None
    older = islice(session.client.iter_job_events(job_id), limit, None)
    return next((event.id for event in older), None)


def _write(session: Session, event: FineTuningEventResponse, as_json: bool) -> None:
    if as_json:
        session.out.json(event.raw)
    else:
        session.out.row((moment(event.created_at), event.level, event.message), WIDTHS)


@contextmanager
def _going_on(command: str) -> Iterator[None]:
    """Say how to come back, where one is torn from a job that goes on."""
    try:
        yield
    except (KeyboardInterrupt, *PASSING):
        note(f"the job goes on; come back to it with: {command}")
        raise


def _ended(session: Session, job: FineTuningJobResponse, as_json: bool = False) -> int:
    if not job.is_completed():
        note(f"job {job.id} {_end(job)}")
        return REFUSED
    if not as_json:
        session.out.line(job.fine_tuned_model, "bold green")
    return 0


def _end(job: FineTuningJobResponse) -> str:
    if not job.has_failed():
        return f"was {job.status}"
    error = job.error if isinstance(job.error, dict) else {"message": job.error}
    reasons = [str(error[name]) for name in ("code", "message") if error.get(name)]
    return ": ".join(["has failed", *(reasons or ["no reason given"])])
