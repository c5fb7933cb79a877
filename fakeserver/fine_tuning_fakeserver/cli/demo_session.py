"""The session of `demo`: upload, train, look, through the client, shown by rich."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from math import nan
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from fine_tuning_client import FineTuningClient, FineTuningJobResponse
from fine_tuning_formats.text import printable

from ..domain.plan import Plan
from ..fake.clients import API_KEY
from ..fake.fake_fine_tuning import FakeFineTuning
from .output import STATUS_COLOURS, draw_chart

MODEL = "gpt-4o-mini-2024-07-18"

SECONDS_PER_STEP = 2.0
PLAN = Plan(queued=20, starting=20, seconds_per_step=SECONDS_PER_STEP)
"""Queueing long enough to be seen, and starting not so long that one waits for it."""

PACE = 60.0
LONGEST_TRAINING_S = 4.0
"""Real seconds: a larger file trains at a higher pace, so that nobody has to watch for long."""

POLL_S = 0.08


def run(path: Path, output: DemoOutput) -> int:
    """Run the session with the training file at *path*; return the exit code."""
    # Without a terminal the pauses would only cost time.
    fake = FakeFineTuning(pace=PACE if output.is_live else "polls", plan=PLAN)
    with fake.serving() as url, FineTuningClient("fake", base_url=url, api_key=API_KEY) as client:
        file = client.upload_file(path)
        output.item("fake", url, "a stateful twin of the API, on this machine")
        output.item("uploaded", file.id, f"{file.filename}, {file.bytes:,} bytes")
        start = time.perf_counter()
        job = _train(fake, client, file.id, output)
        if not job.is_completed():
            error = job.error or {}
            output.line(f"\n[red]{job.status}[/]  [bold]{shown(error.get('code'))}[/]")
            output.line(shown(error.get("message")))
            return 1

        output.metrics(client.result_metrics(job.id))
        output.line("\n[dim]step   loss  checkpoint[/]")
        for point in reversed(client.list_job_checkpoints(job.id)):
            loss = point.metrics.get("train_loss", nan)
            output.line(f"{point.step_number:>4}  {loss:5.3f}  {point.fine_tuned_model_checkpoint}")
        age = timedelta(seconds=client.list_job_events(job.id, limit=1)[0].created_at - job.created_at)
        output.line(f"\n[dim]{age} of virtual time in {time.perf_counter() - start:.1f} s. Your model:[/]")
        output.line(f"[bold green]{job.fine_tuned_model}[/]")
    return 0


def _train(fake: FakeFineTuning, client: FineTuningClient, file_id: str, output: DemoOutput) -> FineTuningJobResponse:
    """Create a job, and show how it gets on until it has ended."""
    job = client.create_job(file_id, MODEL, suffix="demo")
    output.item("created", job.id, job.model)
    output.status(job, job.created_at)
    with output.bar:
        task = output.bar.add_task("", total=None, note="")
        while not job.is_finished():
            if output.is_live:
                time.sleep(POLL_S)
            status, job = job.status, client.retrieve_job(job.id)
            event = client.list_job_events(job.id, limit=1)[0]
            if job.status != status:
                output.status(job, event.created_at)
            if (data := event.data or {}).get("total_steps"):
                step, steps = data["step"], data["total_steps"]
                note = f"step {step}/{steps}  loss {data['train_loss']:.2f}"
                output.bar.update(task, completed=step, total=steps, note=note)
                # A training that would take too long to watch gets a higher pace.
                pace = max(PACE, steps * SECONDS_PER_STEP / LONGEST_TRAINING_S)
                if output.is_live and pace != fake.pace:
                    fake.pace = pace
    return job


def shown(value: object) -> str:
    """Return *value* as markup that shows it letter by letter, and nothing that the terminal would obey."""
    return escape(printable(str(value)))


class DemoOutput:
    """Writes a session to a console: lines, a chart, and in a terminal a live bar below the lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.is_live = console.is_terminal
        columns = (SpinnerColumn(), BarColumn(40), TextColumn("{task.fields[note]}"))
        self.bar = Progress(*columns, console=console, transient=True, disable=not self.is_live)

    def line(self, text: str) -> None:
        """Write a line of markup; it is not broken, so that names in it can be copied."""
        # No emoji: the text between two colons in a model's name must stay as it is.
        self._console.print(text, soft_wrap=True, emoji=False, highlight=False)

    def item(self, label: str, name: str, remark: str) -> None:
        """Write the name of a thing, with a remark beside it, or below where the terminal is narrow."""
        fits = len(f"{label:<9} {name}  {remark}") <= self._console.width
        gap = "  " if fits else "\n" + " " * len(f"{label:<9} ")
        self.line(f"{label:<9} [bold]{shown(name)}[/]{gap}[dim]{shown(remark)}[/]")

    def status(self, job: FineTuningJobResponse, at: int) -> None:
        """Write the new status that *job* has since *at*, in virtual Unix seconds."""
        colour = STATUS_COLOURS.get(job.status, "default")
        self.line(f"  [dim]{timedelta(seconds=at - job.created_at)}[/]  [{colour}]{job.status}[/]")

    def metrics(self, rows: Sequence[dict[str, float | None]]) -> None:
        """Write the last step's numbers, and draw the training loss over all steps."""
        last = {name: value for name, value in rows[-1].items() if value is not None}
        numbers = [f"{name} [bold]{value:.3f}[/]" for name, value in last.items() if name != "step"]
        self.line(f"\nlast step {last['step']:.0f}: {', '.join(numbers)}\n\n  [dim]train_loss[/]")
        losses = [row.get("train_loss") for row in rows]
        columns = self._console.width - 2
        for text in draw_chart(losses, f"step {rows[0]['step']:.0f}", f"{last['step']:.0f}", columns):
            self.line(f"  [cyan]{text}[/]")
