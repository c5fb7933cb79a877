"""Show a person how a job or an upload gets on: lines, and in a terminal, if rich is there, a bar below them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self, TextIO
from weakref import finalize

if TYPE_CHECKING:
    from rich.progress import Progress

    from fine_tuning_client.models import FineTuningEventResponse, FineTuningJobResponse

UPLOAD, TRAINING = "upload", "training"  # no ids of jobs
BAR_WIDTH = 40


class JobDisplay:
    """Writes a line for each new status of a job, and keeps a bar below the lines in a terminal.

    As in ``with JobDisplay() as display: client.wait_for_job(job_id, on_update=display)``; without
    ``with``, the bar goes when the job has finished. May show several jobs and an upload at once.

    It never raises: a stream that is closed or broken is written to no more, and what its encoding
    has no letters for is escaped, as is what would move the cursor.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Choose where to write.

        Args:
            stream: Stderr unless given: stdout is for results.
        """
        self._stream = _SafeStream(sys.stderr if stream is None else stream)
        self._bars = _bars(self._stream)
        self._tasks: dict[str, Any] = {}
        self._statuses: dict[str, str] = {}
        if self._bars is not None:
            finalize(self, self._bars.stop)  # a wait that was interrupted shall not leave the cursor hidden

    def __call__(self, job: FineTuningJobResponse) -> None:
        """Show a job as it is now; for ``on_update``."""
        if self._statuses.get(job.id) != job.status:
            self._statuses[job.id] = job.status
            self._line(" ".join(part for part in (job.id, job.status, _outcome(job)) if part))
        if job.is_finished():
            self._end(job.id)
            self._end(TRAINING)
        else:
            self._show(job.id, f"{job.id} {job.status}")

    def event(self, event: FineTuningEventResponse) -> None:
        """Show an event as `follow_job_events` yields it: a step of training moves the bar, if there is one."""
        data = event.data if isinstance(event.data, dict) else {}
        step, steps = data.get("step"), data.get("total_steps")
        if self._bars is not None and isinstance(step, int) and isinstance(steps, int):
            self._show(TRAINING, f"step {step} of {steps}", step, steps)
        else:
            self._line(f"{event.level} {event.message}")

    def uploading(self, sent: int, total: int | None) -> None:
        """Show how much of a file was sent, in bytes; for ``on_progress``."""
        if sent == total:
            self._end(UPLOAD)
            self._line(f"sent {sent:,} bytes")
        else:
            self._show(UPLOAD, f"sent {sent:,} bytes", sent, total)

    def close(self) -> None:
        """Take the bar away."""
        for name in tuple(self._tasks):
            self._end(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _line(self, text: str) -> None:
        if self._bars is None:
            self._stream.write(_plain(text) + "\n")
            self._stream.flush()
        else:  # not broken where the terminal ends: names in it can be copied
            self._bars.console.print(_plain(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def _show(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        if self._bars is None:
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task("", total=total)
        self._bars.update(self._tasks[name], description=_plain(text), completed=done, total=total)
        self._bars.start()

    def _end(self, name: str) -> None:
        if self._bars is None or name not in self._tasks:
            return
        self._bars.remove_task(self._tasks.pop(name))
        if not self._tasks:
            self._bars.stop()


class _SafeStream:
    """A stream that takes any text, and goes silent for good once it is broken."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream  # None, as sys.stderr may be

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except Exception:  # a stream may be less than it should be, or closed
            return False

    def write(self, text: str) -> int:
        try:
            if self._stream is not None:
                self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        except Exception:  # a stream may be less than it should be, or closed
            self._stream = None
        return len(text)

    def flush(self) -> None:
        try:
            if self._stream is not None:
                self._stream.flush()
        except AttributeError:
            pass  # what has no flush needs none
        except Exception:
            self._stream = None


def _bars(stream: _SafeStream) -> Progress | None:
    if not stream.isatty():
        return None
    try:  # neither needed by nor installed with the client alone, and slow to import
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        return None
    file: Any = stream
    console = Console(file=file)
    if console.is_dumb_terminal or not console.is_terminal:
        return None
    columns = TextColumn("{task.description}", markup=False), BarColumn(BAR_WIDTH), TimeElapsedColumn()
    # What others write goes above the bar where it would have hit it; results that go into a pipe stay there.
    above: dict[str, Any] = {
        f"redirect_{name}": _SafeStream(getattr(sys, name)).isatty() for name in ("stdout", "stderr")
    }
    return Progress(*columns, console=console, transient=True, **above)


def _outcome(job: FineTuningJobResponse) -> str:
    if job.is_completed():
        return job.fine_tuned_model or ""
    reason = job.error.get("message") if isinstance(job.error, dict) else job.error
    return f"({reason})" if job.has_failed() and reason else ""


def _plain(text: str) -> str:
    """Escape what is not for printing: the words are the service's, and could rewrite what the terminal shows."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
