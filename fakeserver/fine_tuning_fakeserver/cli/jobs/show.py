"""`jobs list`, `show`, `checkpoints`, `metrics`: one look; `jobs cancel`, `pause`, `resume`: one step."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

import click

from fine_tuning_formats.text import printable

from ..chart import draw_chart
from ..output import format_time, print_note
from .context import JOB, JSON, REFUSED, Context, JobsCommand, parse_metadata


@click.command("list", cls=JobsCommand)
@click.option("--limit", type=click.IntRange(1), help="How many at most (default: the service's, 20).")
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
        for text in draw_chart([row.get("train_loss") for row in rows], f"step {first}", last):
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
