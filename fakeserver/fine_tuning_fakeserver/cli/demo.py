"""`fake-fine-tuning demo`: a whole session against the fake, through the client, in the terminal."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fine_tuning_client import BadRequestError, FileResponse, FineTuningClient, FineTuningError, FineTuningJobResponse

from ..domain.plan import Plan
from ..fake.clients import API_KEY
from ..fake.fake_fine_tuning import FakeFineTuning
from .demo_output import DemoOutput

EXAMPLE = Path(__file__).with_name("bicycle_workshop.jsonl")
MODEL = "gpt-4o-mini-2024-07-18"
PROG = "fake-fine-tuning demo"

SECONDS_PER_STEP = 2.0
PLAN = Plan(queued=20, starting=20, seconds_per_step=SECONDS_PER_STEP)
"""Queueing long enough to be seen, and starting not so long that one waits for it."""

PACE = 60.0
TRAINING_AT_MOST_S = 4.0
"""Real seconds: a larger file trains at a higher pace, so that nobody has to watch for long."""

LOOK_EVERY_S = 0.08


def main(arguments: Sequence[str]) -> int:
    """Run the session: 0 when the job succeeds, 1 when it does not, 2 when the file is refused."""
    path = _parser().parse_args(arguments).file
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show the chart still shows the rest
    try:
        return run(path, DemoOutput(Console()))
    except FineTuningError as error:  # for instance a configuration in this folder that cannot be read
        return _complain(error.message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        description="Run a whole fine-tuning session against the fake, here in the terminal: upload, train, look.",
        epilog="Nothing leaves this machine. Exit codes: 0 the job succeeded, 1 it did not, 2 the file is no good.",
    )
    chats = "training file of at least 10 chats (default: the customers of a bicycle workshop)"
    parser.add_argument("file", nargs="?", metavar="FILE.jsonl", type=Path, default=EXAMPLE, help=chats)
    return parser


def run(path: Path, screen: DemoOutput) -> int:
    """Run the session with the training file at *path*; return the exit code."""
    # Where nobody looks on, nobody needs to wait.
    fake = FakeFineTuning(pace=PACE if screen.is_live else "polls", plan=PLAN)
    with fake.serving() as url, FineTuningClient("fake", base_url=url, api_key=API_KEY) as client:
        try:
            file = client.upload_file(path)
        except (OSError, BadRequestError) as error:
            return _complain(f"{path}: {_reason(error)}")
        screen.item("fake", url, "a stateful twin of the API, on this machine")
        screen.item("uploaded", file.id, f"{file.filename}, {file.bytes:,} bytes")
        return _train(fake, client, file, screen)


def _complain(text: str) -> int:
    print(f"{PROG}: {text}", file=sys.stderr)
    return 2


def _reason(error: OSError | BadRequestError) -> str:
    if isinstance(error, BadRequestError):
        return str(error.body["error"]["message"])  # without the number of a request that nobody will look up
    return error.strerror or str(error)


def _train(fake: FakeFineTuning, client: FineTuningClient, file: FileResponse, screen: DemoOutput) -> int:
    began = time.perf_counter()
    job = client.create_job(file.id, MODEL, suffix="demo")
    screen.item("created", job.id, job.model)
    job = _watched(fake, client, job, screen)
    if not job.is_completed():
        screen.failure(job)
        return 1
    screen.metrics(client.result_metrics(job.id))
    screen.checkpoints(client.list_job_checkpoints(job.id))
    screen.result(job, client.list_job_events(job.id, limit=1)[0].created_at, time.perf_counter() - began)
    return 0


def _watched(
    fake: FakeFineTuning, client: FineTuningClient, job: FineTuningJobResponse, screen: DemoOutput
) -> FineTuningJobResponse:
    """Follow *job* to its end."""
    screen.status(job, job.created_at)
    with screen.live():
        while not job.is_finished():
            if screen.is_live:
                time.sleep(LOOK_EVERY_S)
            before, job = job, client.retrieve_job(job.id)
            newest = client.list_job_events(job.id, limit=1)[0]
            screen.step(newest)
            if job.status != before.status:
                screen.status(job, newest.created_at)
            if screen.is_live:
                _hurry(fake, newest.data or {})
    return job


def _hurry(fake: FakeFineTuning, step: dict[str, int]) -> None:
    """Raise the pace for a training that would take too long to watch; *step* is the data of an event."""
    pace = step.get("total_steps", 0) * SECONDS_PER_STEP / TRAINING_AT_MOST_S
    if pace > PACE and pace != fake.pace:
        fake.pace = pace
