"""Show the progress of jobs and uploads to a person: lines and, in a terminal that rich knows, a bar below them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self, TextIO
from weakref import finalize

from fine_tuning_formats.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from fine_tuning_client.models import FineTuningEventResponse, FineTuningJobResponse

UPLOAD, TRAINING = "upload", "training"  # names of bars beside those of jobs, which are ids


class JobDisplay:
    """Writes a line for each new status of a job, and keeps a bar below the lines in a terminal.

    As in ``with JobDisplay() as display: client.wait_for_job(job_id, on_update=display)``; without ``with``, the bar
    goes when the job has finished. May show several jobs and an upload at once. It never raises: a stream that is
    closed or broken is not written to again, and what its encoding cannot write, or a terminal would obey, is escaped.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to *stream*; to stderr by default, as stdout is for results."""
        self._stream = _SafeStream(sys.stderr if stream is None else stream)
        self._progress = _open_progress(self._stream)
        self._bars: dict[str, Any] = {}
        self._statuses: dict[str, str] = {}
        if self._progress is not None:
            finalize(self, self._progress.stop)  # a wait that was interrupted shall not leave the cursor hidden

    def __call__(self, job: FineTuningJobResponse) -> None:
        """Show a job as it is now; for ``on_update``."""
        if self._statuses.get(job.id) != job.status:
            self._statuses[job.id] = job.status
            reason = job.error.get("message") if isinstance(job.error, dict) else job.error
            outcome = f"({reason})" if job.has_failed() and reason else job.is_completed() and job.fine_tuned_model
            self._write_line(" ".join(part for part in (job.id, job.status, outcome) if part))
        if job.is_finished():
            self._remove_bars(job.id, TRAINING)
        else:
            self._show_bar(job.id, f"{job.id} {job.status}")

    def event(self, event: FineTuningEventResponse) -> None:
        """Show an event as `follow_job_events` yields it: a step of training moves the bar, if there is one."""
        data = event.data if isinstance(event.data, dict) else {}
        step, steps = data.get("step"), data.get("total_steps")
        if self._progress is not None and isinstance(step, int) and isinstance(steps, int):
            self._show_bar(TRAINING, f"step {step} of {steps}", step, steps)
        else:
            self._write_line(f"{event.level} {event.message}")

    def uploading(self, sent: int, total: int | None) -> None:
        """Show how much of a file was sent, in bytes; for ``on_progress``."""
        if sent == total:
            self._remove_bars(UPLOAD)
            self._write_line(f"sent {sent:,} bytes")
        else:
            self._show_bar(UPLOAD, f"sent {sent:,} bytes", sent, total)

    def close(self) -> None:
        """Remove the bars."""
        self._remove_bars(*self._bars)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _write_line(self, text: str) -> None:
        if self._progress is None:
            self._stream.write(printable(text) + "\n")
            self._stream.flush()
        else:  # not broken where the terminal ends: names in it can be copied
            self._progress.console.print(printable(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def _show_bar(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        if self._progress is None:
            return
        if name not in self._bars:
            self._bars[name] = self._progress.add_task("", total=total)
        self._progress.update(self._bars[name], description=printable(text), completed=done, total=total)
        self._progress.start()

    def _remove_bars(self, *names: str) -> None:
        removed = [self._bars.pop(name) for name in names if name in self._bars]
        if self._progress is not None and removed:
            for bar in removed:
                self._progress.remove_task(bar)
            if not self._bars:
                self._progress.stop()


class _SafeStream:
    """A stream that takes any text, and is silent for good once it is broken; it may be None, as sys.stderr may."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        try:
            return bool(self._stream.isatty())
        except Exception:  # it is closed, or less than a stream
            return False

    def write(self, text: str) -> int:
        try:
            if self._stream is not None:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        except Exception:
            self._stream = None
        return len(text)

    def flush(self) -> None:
        try:
            if hasattr(self._stream, "flush"):
                self._stream.flush()
        except Exception:
            self._stream = None


def _open_progress(stream: _SafeStream) -> Progress | None:
    if not stream.isatty():
        return None
    try:  # slow to import, and not installed with the client alone
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        return None
    file: Any = stream
    console = Console(file=file)
    if console.is_dumb_terminal or not console.is_terminal:
        return None
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    # What others write to a terminal goes above the bar; results that go into a pipe stay there.
    above: dict[str, Any] = {
        f"redirect_{name}": _SafeStream(getattr(sys, name)).isatty() for name in ("stdout", "stderr")
    }
    return Progress(*columns, console=console, transient=True, **above)
