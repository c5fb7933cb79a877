"""`jobs list`, `show`, `checkpoints`, `metrics`, `events`, `wait`: look; `jobs cancel`, `pause`, `resume`: one step."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from fine_tuning_formats.text import printable

from ..commands import Number
from ..output import draw_chart, format_time, print_note
from .context import JOB, JSON, REFUSED, Context, JobsCommand, parse_metadata

if TYPE_CHECKING:
    from fine_tuning_client import FineTuningEventResponse, FineTuningJobResponse


@click.command("list", cls=JobsCommand)
@click.option("--limit", type=Number(int, 1), help="How many at most (default: the service's, 20).")
@click.option("--after", metavar="ID", help="Id of the last job already seen.")
@click.option("--all", "is_all", is_flag=True, help="All jobs, page after page.")
@click.option("--metadata", metavar="K=V", multiple=True, callback=parse_metadata, help="Only jobs with this pair.")
@JSON
def list_jobs(context: Context, is_all: bool, as_json: bool, **given: Any) -> None:
    """Show jobs, newest first."""
    if is_all and (given["limit"] or given["after"]):
        raise click.UsageError("--all goes with neither --limit nor --after", click.get_current_context())
    filters = {name: value for name, value in given.items() if value not in (None, {})}
    jobs: Any = context.client.iter_jobs(**filters) if is_all else context.client.list_jobs(**filters)
    if not is_all and jobs.has_more and jobs.last_id:
        print_note(f"there are more: --after {jobs.last_id}, or --all")
    if as_json:
        for job in jobs:
            context.out.json(job.raw)
    elif rows := [(job.id, job.status, format_time(job.created_at), job.fine_tuned_model or job.model) for job in jobs]:
        context.out.table(("ID", "STATUS", "CREATED", "MODEL"), rows)
    else:
        print_note("no jobs")


@click.command(cls=JobsCommand)
@JOB
@JSON
def show(context: Context, job_id: str, as_json: bool) -> None:
    """Show a job as it is now."""
    job = context.client.retrieve_job(job_id)
    if as_json:
        context.out.json(job.raw)
        return
    for name, value in job.raw.items():
        if text := _format(value):
            is_time = name.endswith("_at") or name == "estimated_finish"
            context.out.row((name, format_time(value) if is_time else text), (max(map(len, job.raw)),))


@click.command(cls=JobsCommand)
@JOB
@JSON
def checkpoints(context: Context, job_id: str, as_json: bool) -> None:
    """Show a job's checkpoints, newest last."""
    points = list(context.client.iter_job_checkpoints(job_id))[::-1]
    if as_json:
        for point in points:
            context.out.json(point.raw)
    elif points:
        rows = [(point.step_number, _format(point.metrics), point.fine_tuned_model_checkpoint) for point in points]
        context.out.table(("STEP", "METRICS", "MODEL"), rows)
    else:
        print_note(f"job {job_id} has no checkpoints")


def _format(value: Any) -> str:
    """Return a value of the service as text: objects and lists as JSON without nulls, empty ones as nothing."""
    if isinstance(value, Mapping):
        value = {key: inner for key, inner in value.items() if inner is not None}
    if isinstance(value, str) or value in (None, {}, []):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


@click.command(cls=JobsCommand)
@JOB
@click.option("--csv", "as_csv", is_flag=True, help="Print the numbers of all steps as CSV.")
def metrics(context: Context, job_id: str, as_csv: bool) -> int:
    """Show how a job's loss went."""
    rows = context.client.result_metrics(job_id)
    if not rows:
        status = context.client.retrieve_job(job_id).status
        print_note(f"job {job_id} is {status} and has no metrics: they come when it has succeeded")
        return REFUSED
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[format_number(row.get(name)) for name in names] for row in rows]
    if as_csv:
        csv.writer(context.out.stream, lineterminator="\n").writerows([map(printable, names), *cells])
    elif not context.out.is_terminal:
        context.out.table(names, cells)
    else:
        for pair in zip(names, cells[-1], strict=True):
            context.out.row(pair, (max(map(len, names)),))
        first, last = (format_number(row.get("step")) for row in (rows[0], rows[-1]))
        for text in draw_chart([row.get("train_loss") for row in rows], f"step {first}", last, context.out.columns):
            context.out.row([text], fg="cyan")
    return 0


def format_number(number: float | None) -> str:
    """Return a number as short as it can be written without loss; whole ones, as steps are, without a point."""
    if number is None:
        return ""
    return str(int(number)) if isfinite(number) and number == int(number) and abs(number) < 2**53 else repr(number)


def _status_command(name: str, text: str) -> click.Command:
    """Declare a command that changes the status of a job."""

    def change(context: Context, job_id: str) -> None:
        job = getattr(context.client, f"{name}_job")(job_id)
        context.out.row((job.id, job.status))

    return click.command(name, cls=JobsCommand, help=text)(JOB(change))


cancel = _status_command("cancel", "Stop a job for good.")
pause = _status_command("pause", "Stop a running job until it is resumed.")
resume = _status_command("resume", "Let a paused job go on.")


POLL_S = 1.0  # between the first two looks; the client waits longer each time


@click.command(cls=JobsCommand)
@JOB
@click.option("--follow", is_flag=True, help="Go on until the job has ended; Ctrl-C leaves it running.")
@click.option("--limit", type=Number(int, 1), help="Only the newest ones (default: 20; with --follow all).")
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
@click.option("--timeout", type=Number(float, 0), help="Seconds to wait at most (default: no limit).")
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
