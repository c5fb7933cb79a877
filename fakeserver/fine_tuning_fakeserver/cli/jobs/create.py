"""`jobs create`: check the files, upload them, start a job, and follow it if asked to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os.path import exists
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...domain.training_methods import METHODS
from ..commands import Number, OneOf
from ..output import print_note
from .context import Context, JobsCommand, parse_metadata
from .show import follow_events

if TYPE_CHECKING:
    from fine_tuning_client import FineTuningJobResponse

FILES = ("training_file", "validation_file")
HYPERPARAMETERS = ("n_epochs", "batch_size", "learning_rate_multiplier")
KEY = "idempotency_key"
"""The member of a job's metadata in which the client keeps the key."""


def parse_number(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
    """Return a number or "auto"; the service knows which numbers it takes."""
    if value is None or value == "auto":
        return value
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        raise click.BadParameter(f'must be a number or "auto", got {value!r}') from None


@click.command(cls=JobsCommand)
@click.argument("training_file", metavar="FILE", type=click.Path())
@click.option("--model", required=True, help="The model to start from.")
@click.option("--suffix", help="Goes into the new model's name.")
@click.option("--validation-file", type=click.Path(), help="File to validate with, or the id of an uploaded one.")
@click.option("--method", type=OneOf(tuple(METHODS)), help="How to train (default: the service's, supervised).")
@click.option("--grader", type=click.Path(path_type=Path), help="JSON file with the grader of reinforcement.")
@click.option("--n-epochs", metavar="N", callback=parse_number, help="How often to go through the file, or auto.")
@click.option("--batch-size", metavar="N", callback=parse_number, help="Examples per step, or auto.")
@click.option("--learning-rate-multiplier", metavar="X", callback=parse_number, help="A factor above 0, or auto.")
@click.option("--seed", type=Number(int), help="Makes two equal jobs train equally.")
@click.option("--metadata", metavar="K=V", multiple=True, callback=parse_metadata, help="A pair to find the job by.")
@click.option("--idempotency-key", metavar="KEY", help="Start no second job if one was started with this key.")
@click.option("--no-check", is_flag=True, help="Send the files without checking them.")
@click.option("--tokens", type=OneOf(("estimate", "exact")), default="estimate", help="How to count: estimate, exact.")
@click.option("--follow", is_flag=True, help="Print events until the job has ended; Ctrl-C leaves it running.")
def create(context: Context, grader: Path | None, no_check: bool, tokens: str, follow: bool, **given: Any) -> int:
    """Upload a file and start a job with it.

    FILE is a training file (JSONL), or the id of an uploaded one (file-…). The job's id goes to stdout; with --follow
    its events do, too, and its model's name at the end.
    """
    fields = _fields(given, grader)
    files = {name: fields[name] for name in FILES if name in fields}
    paths = {name: text for name, text in files.items() if exists(text)}
    if missing := [text for name, text in files.items() if name not in paths and not text.startswith("file-")]:
        raise ValueError(f"there is no file {missing[0]!r}; pass a path, or the id of an uploaded file (file-…)")
    if not no_check:
        _check_files(paths, given, context.provider, tokens)
    job = _find(context, given[KEY]) or _start(context, paths, fields)
    try:
        context.out.row([job.id], bold=True)
        if follow:
            return follow_events(context, job.id)
    except OSError:  # stdout takes nothing
        print_note(f"the job is {job.id}")
        raise
    print_note(f"it is {job.status}; follow it with: {context.command_line('events', job.id, '--follow')}")
    return 0


def _fields(given: Mapping[str, Any], grader: Path | None) -> dict[str, Any]:
    """Return the fields of a creation: hyperparameters in the method; without one, where every service takes them."""
    fields = {name: value for name, value in given.items() if value is not None and value != {}}
    method = fields.pop("method", None)
    if (method == "reinforcement") != bool(grader):
        raise click.UsageError("--grader requires --method reinforcement, and vice versa", click.get_current_context())
    numbers = {name: fields.pop(name) for name in HYPERPARAMETERS if name in fields}
    training: dict[str, Any] = {"hyperparameters": numbers} if numbers else {}
    if grader:
        try:
            training["grader"] = json.loads(grader.read_text("utf-8"))
        except (ValueError, RecursionError) as error:  # the latter for JSON that is nested too deeply
            raise ValueError(f"{grader} is not JSON: {error}") from None
    if method is None:
        return fields | training
    return fields | {"method": {"type": method} | ({method: training} if training else {})}


def _check_files(paths: Mapping[str, str], given: Mapping[str, Any], provider: str | None, tokens: Any) -> None:
    """Check the files before anything is sent and paid for; refuse those that the provider would refuse."""
    from fine_tuning_client import check_training_file

    method: Any = given["method"] or "supervised"
    for name, path in paths.items():
        options = {name: given[name] for name in ("model", "n_epochs")}
        try:
            report = check_training_file(path, method=method, **options, provider=provider, tokens=tokens)
        except ModuleNotFoundError as error:  # nothing that counts is installed
            raise ValueError(str(error)) from None
        for line in str(report).splitlines():
            print_note(line)
        problems = {problem.code for problem in report.problems}
        # Ten examples are needed to train, one to validate.
        if problems and (name == "training_file" or problems != {"invalid_n_examples"}):
            raise ValueError(f"nothing was sent because of {path}; --no-check sends it all the same")


def _find(context: Context, key: str | None) -> FineTuningJobResponse | None:
    """Return the job that was started with *key*, if any: it needs no file to be sent again."""
    for job in [] if key is None else context.client.list_jobs(limit=1, metadata={KEY: key}):
        if not isinstance(job.metadata, Mapping) or job.metadata.get(KEY) != key:
            raise ValueError("--idempotency-key is of no use: the service lists jobs whatever their metadata")
        print_note(f"job {job.id} already exists ({job.status})")
        return job
    return None


def _start(context: Context, paths: Mapping[str, str], fields: dict[str, Any]) -> FineTuningJobResponse:
    """Upload files and create a job."""
    import fine_tuning_client as ft

    for name, path in paths.items():
        with ft.JobDisplay() as display:
            fields[name] = context.client.upload_file(path, on_progress=display.uploading).id
        print_note(f"uploaded {path} as {fields[name]}")
    try:
        return context.client.create_job(**fields)
    except (KeyboardInterrupt, ft.APIConnectionError, ft.APIResponseError, ft.InternalServerError):
        # To create it twice is to pay twice.
        look = context.command_line("list")
        print_note(f"it is not known whether the job was created; before you try again, look with: {look}")
        raise
