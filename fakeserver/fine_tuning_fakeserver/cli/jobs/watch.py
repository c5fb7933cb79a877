"""`jobs events`, `jobs wait`, and `create --follow`: watch a job until it has ended; an interrupt leaves it running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import click

from ..output import format_time, print_note
from .context import JOB, JSON, REFUSED, Context, JobsCommand

if TYPE_CHECKING:
    from fine_tuning_client import FineTuningEventResponse, FineTuningJobResponse

POLL_S = 1.0  # between the first two looks; the client waits longer each time


@click.command(cls=JobsCommand)
@JOB
@click.option("--follow", is_flag=True, help="Go on until the job has ended; Ctrl-C leaves it running.")
@click.option("--limit", type=click.IntRange(1), help="Only the newest ones (default: 20; with --follow all).")
@JSON
def events(context: Context, job_id: str, follow: bool, limit: int | None, as_json: bool) -> int:
    """Show the events of a job, newest last."""
    newest = context.client.iter_job_events(job_id)
    if follow:
        since = next((event.id for event in islice(newest, limit, None)), None) if limit else None
        return follow_events(context, job_id, since, as_json)
    for event in reversed(list(islice(newest, limit or 20))):
        _write(context, event, as_json)
    return 0


def follow_events(context: Context, job_id: str, since: str | None = None, as_json: bool = False) -> int:
    """Write events as they come until the job has ended, then its outcome."""
    with _saying_how_to_come_back(context, "events", job_id, "--follow", *(("--json",) if as_json else ())):
        for event in context.client.follow_job_events(job_id, since=since, poll_interval=POLL_S):
            _write(context, event, as_json)
        job = context.client.retrieve_job(job_id)
    return _write_outcome(context, job, as_json)


def _write(context: Context, event: FineTuningEventResponse, as_json: bool) -> None:
    if as_json:
        context.out.json(event.raw)
    else:
        widths = len("2023-11-14T22:13:20Z"), len("error")
        context.out.row((format_time(event.created_at), event.level, event.message), widths)


@click.command(cls=JobsCommand)
@JOB
@click.option("--timeout", type=click.FloatRange(0), help="Seconds to wait at most (default: no limit).")
def wait(context: Context, job_id: str, timeout: float | None) -> int:
    """Wait until a job has ended.

    Its model's name goes to stdout. Ctrl-C and --timeout leave the job running.
    """
    from fine_tuning_client import JobDisplay

    with _saying_how_to_come_back(context, "wait", job_id), JobDisplay() as display:

        def update(job: FineTuningJobResponse) -> None:
            if not job.is_finished():  # its outcome is written below
                display(job)
            if job.is_paused():
                print_note(f"it is paused until: {context.command_line('resume', job_id)}")

        job = context.client.wait_for_job(job_id, timeout=timeout, poll_interval=POLL_S, on_update=update)
    return _write_outcome(context, job)


@contextmanager
def _saying_how_to_come_back(context: Context, *words: str) -> Iterator[None]:
    """Print the command that resumes watching, after an interrupt or an error of the connection or the service."""
    import fine_tuning_client as ft

    passing = (ft.APIConnectionError, ft.APIResponseError, ft.InternalServerError, ft.RateLimitError)
    try:
        yield
    except (KeyboardInterrupt, ft.WaitTimeout, *passing):
        print_note(f"the job goes on; come back to it with: {context.command_line(*words)}")
        raise


def _write_outcome(context: Context, job: FineTuningJobResponse, as_json: bool = False) -> int:
    if job.is_completed():
        if not as_json:
            context.out.row([job.fine_tuned_model], fg="green", bold=True)
        return 0
    if job.has_failed():
        error = job.error if isinstance(job.error, dict) else {"message": job.error}
        reasons = [str(error[name]) for name in ("code", "message") if error.get(name)]
        print_note(f"job {job.id} has failed: {': '.join(reasons) or 'no reason given'}")
    else:
        print_note(f"job {job.id} was {job.status}")
    return REFUSED
