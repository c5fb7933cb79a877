"""What a person sees of a session: lines as it goes, a bar while it runs, a chart when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from math import nan
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from .jobs.chart import chart

if TYPE_CHECKING:
    from fine_tuning_client import FineTuningCheckpointResponse, FineTuningEventResponse, FineTuningJobResponse

Row = dict[str, float | None]

COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
CHART_WIDTH, CHART_HEIGHT = 64, 7


class DemoOutput:
    """Writes to a console; in a terminal there is a live bar below the lines, elsewhere there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _progress(console)
        self._task: TaskID | None = None

    @property
    def is_live(self) -> bool:
        """Whether a person looks on."""
        return self._console.is_terminal

    def line(self, text: str, *, wrap: bool = False) -> None:
        """Write a line of markup, which is not broken unless told to: names in it can be copied."""
        # No emoji: what stands between two colons in a model's name is to stay what it is.
        self._console.print(text, soft_wrap=not wrap, emoji=False, highlight=False)

    def item(self, label: str, name: str, remark: str) -> None:
        """Write what a thing is called."""
        self.line(f"{label:<9} [bold]{escape(name)}[/]  [dim]{escape(remark)}[/]")

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the bar as long as the context lasts."""
        with self._progress:
            self._task = self._progress.add_task("", total=None, note="")
            yield

    def status(self, job: FineTuningJobResponse, at: int) -> None:
        """Write that the job has a new status, since *at* in virtual Unix seconds."""
        colour = COLOURS.get(job.status, "default")
        self.line(f"  [dim]{timedelta(seconds=at - job.created_at)}[/]  [{colour}]{job.status}[/]")

    def result(self, job: FineTuningJobResponse, at: int, took_s: float) -> None:
        """Write the model that came of *job* by *at* in virtual Unix seconds; its name is the last line."""
        self.line(f"\n[dim]{timedelta(seconds=at - job.created_at)} of virtual time in {took_s:.1f} s. Your model:[/]")
        self.line(f"[bold green]{job.fine_tuned_model}[/]")

    def step(self, event: FineTuningEventResponse) -> None:
        """Move the bar to the training step that an event tells of."""
        data = event.data or {}
        if self._task is not None and "total_steps" in data:
            note = f"step {data['step']}/{data['total_steps']}  loss {data['train_loss']:.2f}"
            self._progress.update(self._task, completed=data["step"], total=data["total_steps"], note=note)

    def failure(self, job: FineTuningJobResponse) -> None:
        """Write why the job failed."""
        error = job.error or {}
        self.line(f"\n[red]{job.status}[/]  [bold]{escape(str(error.get('code')))}[/]")
        self.line(escape(str(error.get("message"))), wrap=True)

    def metrics(self, rows: Sequence[Row]) -> None:
        """Write the last step's numbers, and draw the training loss over all steps."""
        last = {name: value for name, value in rows[-1].items() if value is not None}
        numbers = [f"{name} [bold]{value:.3f}[/]" for name, value in last.items() if name != "step"]
        self.line(f"\nlast step {last['step']:.0f}: {', '.join(numbers)}\n\n  [dim]train_loss[/]")
        losses = [nan if (loss := row.get("train_loss")) is None else loss for row in rows]
        steps = f"step {rows[0]['step']:.0f}", f"{last['step']:.0f}"
        for text in chart(losses, steps, CHART_WIDTH, CHART_HEIGHT):
            self.line(f"  [cyan]{text}[/]")

    def checkpoints(self, points: Sequence[FineTuningCheckpointResponse]) -> None:
        """Write the checkpoints, oldest first."""
        self.line("\n[dim]step   loss  checkpoint[/]")
        for point in reversed(points):
            loss = point.metrics.get("train_loss", nan)
            self.line(f"{point.step_number:>4}  {loss:5.3f}  {point.fine_tuned_model_checkpoint}")


def _progress(console: Console) -> Progress:
    columns = (SpinnerColumn(), BarColumn(40), TextColumn("{task.fields[note]}"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
