"""What JobDisplay shows of jobs and uploads: lines without a terminal, a progress bar in one, and never an error."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from types import SimpleNamespace
from typing import Any, TextIO, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_client import (
    AsyncFineTuningClient,
    FineTuningClient,
    FineTuningEventResponse,
    FineTuningJobResponse,
    JobDisplay,
)
from fine_tuning_fakeserver import FakeFineTuning, Plan
from strategies import ROWS

JOB = FineTuningJobResponse(id="ftjob-1", status="queued", model="m", training_file="f", created_at=1)
EVENT = FineTuningEventResponse(id="ftevent-1", message="Created fine-tuning job: ftjob-1", created_at=1)
STEP = replace(EVENT, message="Step 3/90: training loss=2.5", type="metrics", data={"step": 3, "total_steps": 90})
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Terminal(StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A wide terminal that supports cursor movement."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def shown(*jobs: FineTuningJobResponse) -> list[str]:
    """The lines that a display writes for jobs without a terminal."""
    out = StringIO()
    display = JobDisplay(out)
    for job in jobs:
        display(job)
    return out.getvalue().splitlines()


def test_a_line_for_each_change_of_status() -> None:
    """A line is written when the status changes, and not when something else does."""
    running = replace(JOB, status="running")
    jobs = [JOB, JOB, running, replace(running, trained_tokens=7), replace(running, status="unheard-of")]
    assert shown(*jobs) == ["ftjob-1 queued", "ftjob-1 running", "ftjob-1 unheard-of"]


@pytest.mark.parametrize(
    ("ending", "line"),
    [
        ({"status": "succeeded", "fine_tuned_model": "ft:m:org::1"}, "ftjob-1 succeeded ft:m:org::1"),
        ({"status": "succeeded"}, "ftjob-1 succeeded"),
        ({"status": "failed", "error": {"code": "x", "message": "no [b]good[/b]"}}, "ftjob-1 failed (no [b]good[/b])"),
        ({"status": "failed", "error": "no good"}, "ftjob-1 failed (no good)"),
        ({"status": "failed", "error": {}}, "ftjob-1 failed"),
        ({"status": "cancelled", "error": {}}, "ftjob-1 cancelled"),
        ({"status": "a\x1b[2J\nb"}, "ftjob-1 a\\x1b[2J\\nb"),
    ],
)
def test_how_a_job_ended(ending: dict[str, Any], line: str, terminal: Terminal) -> None:
    """The last line has the job's result or error verbatim, without control characters."""
    assert shown(replace(JOB, **ending)) == [line]
    with JobDisplay(terminal) as display:
        display(replace(JOB, **ending))
    assert line in terminal.getvalue()


def test_events_and_uploads_without_a_terminal() -> None:
    """Without a terminal an event is a line of level and message, and an upload one line when it is complete."""
    out = StringIO()
    with JobDisplay(out) as display:
        display.event(EVENT)
        display.event(STEP)
        for sent in (0, 500, 1000):
            display.uploading(sent, 1000)
        display.uploading(2000, None)
    lines = ["info Created fine-tuning job: ftjob-1", "info Step 3/90: training loss=2.5", "sent 1,000 bytes"]
    assert out.getvalue().splitlines() == lines


def test_a_bar_in_a_terminal(terminal: Terminal) -> None:
    """In a terminal a progress bar shows the job's status, and disappears when the job has finished."""
    display = JobDisplay(terminal)
    display(replace(JOB, status="running"))
    assert HIDE in terminal.getvalue()
    assert SHOW not in terminal.getvalue()
    display(replace(JOB, status="succeeded"))
    assert terminal.getvalue().count("ftjob-1 running") >= 2
    assert "\u2501" in terminal.getvalue()
    assert SHOW in terminal.getvalue()


@pytest.mark.parametrize(
    ("show", "text"),
    [
        (lambda display: display.event(STEP), "step 3 of 90"),
        (lambda display: display.uploading(500, 1000), "sent 500 bytes"),
        (lambda display: display.uploading(700, None), "sent 700 bytes"),
    ],
)
def test_steps_and_bytes_move_the_bar(terminal: Terminal, show: Callable[[JobDisplay], None], text: str) -> None:
    """In a terminal training steps and upload progress update the bar instead of writing lines."""
    with JobDisplay(terminal) as display:
        show(display)
        assert text in terminal.getvalue().split(HIDE)[1]
    assert "Step 3/90" not in terminal.getvalue()


def test_events_and_the_end_of_an_upload_are_lines_in_a_terminal(terminal: Terminal) -> None:
    """In a terminal messages and the end of an upload are written as permanent lines."""
    with JobDisplay(terminal) as display:
        display.event(EVENT)
        display.uploading(0, 1000)
        display.uploading(1000, 1000)
    assert terminal.getvalue().startswith("info Created fine-tuning job: ftjob-1\n")
    assert terminal.getvalue().endswith("sent 1,000 bytes\n")


def test_the_bar_stays_until_the_last_job_has_finished(terminal: Terminal) -> None:
    """The progress bar stays until the last of two jobs has finished."""
    other = replace(JOB, id="ftjob-2")
    display = JobDisplay(terminal)
    for job in (JOB, other, replace(JOB, status="failed")):
        display(job)
    assert SHOW not in terminal.getvalue()
    display(replace(other, status="succeeded"))
    assert SHOW in terminal.getvalue()


def test_an_abandoned_display_gives_the_cursor_back(terminal: Terminal) -> None:
    """A display that is garbage collected before its job has finished restores the cursor."""
    stderr = sys.stderr
    display = JobDisplay(terminal)
    display(JOB)
    assert SHOW not in terminal.getvalue()
    del display
    gc.collect()
    assert SHOW in terminal.getvalue()
    assert sys.stderr is stderr


def test_a_closed_display_can_be_used_again(terminal: Terminal) -> None:
    """`close()` removes the bar, may be called twice, and the next job shows the bar again."""
    display = JobDisplay(terminal)
    display(JOB)
    display.close()
    display.close()
    shown_before = terminal.getvalue().count(HIDE)
    display(replace(JOB, id="ftjob-2"))
    assert terminal.getvalue().count(HIDE) == shown_before + 1
    display.close()


@pytest.mark.parametrize("reason", ["no rich", "dumb"])
def test_plain_lines_in_a_plain_terminal(terminal: Terminal, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without cursor movement, or an installation without rich, gets plain lines."""
    if reason == "no rich":
        monkeypatch.setitem(sys.modules, "rich.console", None)
    else:
        monkeypatch.setenv("TERM", "dumb")
    with JobDisplay(terminal) as display:
        display(JOB)
        display.event(STEP)
        display.uploading(3, 3)
    assert terminal.getvalue() == "ftjob-1 queued\ninfo Step 3/90: training loss=2.5\nsent 3 bytes\n"


class Broken(StringIO):
    """A stream whose write and flush can be made to fail; it counts the failures."""

    def __init__(self, is_terminal: bool, breaking: str) -> None:
        super().__init__()
        self.is_terminal = is_terminal
        self.breaking = breaking
        self.is_broken = False
        self.breaks = 0

    def isatty(self) -> bool:
        """Return what the test chose."""
        return self.is_terminal

    def write(self, text: str) -> int:
        """Write, or fail."""
        self._break("write")
        return super().write(text)

    def flush(self) -> None:
        """Flush, or fail."""
        self._break("flush")

    def _break(self, where: str) -> None:
        if self.is_broken and where == self.breaking:
            self.breaks += 1
            raise BrokenPipeError


@pytest.mark.parametrize("breaking", ["write", "flush"])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_broken_stream_is_left_alone(terminal: Terminal, is_terminal: bool, breaking: str) -> None:
    """After a write has failed the display writes no more to that stream, and raises nothing."""
    stream = Broken(is_terminal, breaking)
    with JobDisplay(stream) as display:
        display(JOB)
        stream.is_broken = True
        for status in ("running", "paused", "succeeded"):
            display(replace(JOB, status=status))
    assert stream.breaks == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_closed_stream_is_left_alone(terminal: Terminal, is_terminal: bool) -> None:
    """A stream that is closed before or while a display uses it raises nothing."""
    stream = terminal if is_terminal else StringIO()
    with JobDisplay(stream) as display:
        display(JOB)
        stream.close()
        display(replace(JOB, status="running"))
        display.event(EVENT)
    with JobDisplay(stream) as display:
        display(JOB)


def test_no_stream_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a stderr shows nothing and raises nothing."""
    monkeypatch.setattr(sys, "stderr", None)
    with JobDisplay() as display:
        display(JOB)


def test_stderr_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    """A display writes to stderr by default, and nothing to stdout."""
    JobDisplay()(JOB)
    assert capsys.readouterr() == ("", "ftjob-1 queued\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16-le"])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_any_encoding(terminal: Terminal, encoding: str, is_terminal: bool) -> None:
    """Characters that the stream's encoding lacks, those of the bar included, are replaced or escaped."""
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding=encoding)
    with JobDisplay(cast(TextIO, Posing(stream, is_terminal))) as display:
        display(JOB)
        display(replace(JOB, status="failed", error={"message": "schön \u4e2d \ud800"}))
    stream.flush()
    text = raw.getvalue().decode(encoding)
    assert "ftjob-1 failed (sch" in text
    assert "\\ud800)" in text


class Posing:
    """A stream that claims to be a terminal or not."""

    def __init__(self, stream: TextIOWrapper, is_terminal: bool) -> None:
        self.write, self.flush, self.encoding = stream.write, stream.flush, stream.encoding
        self.isatty = lambda: is_terminal


@given(st.text(), st.text(), st.none() | st.text() | st.dictionaries(st.just("message"), st.none() | st.text()))
def test_any_words_of_the_service(identifier: str, status: str, error: Any) -> None:
    """Whatever text the service sends, each job is one line of printable characters."""
    lines = shown(replace(JOB, id=identifier, status=status, error=error), replace(JOB, status="failed", error=error))
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no such terminals on this system")
def test_a_real_terminal(terminal: Terminal) -> None:
    """On a real pseudo-terminal there are status lines, and the bar is gone at the end."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream, JobDisplay(stream) as display:
        for status in ("queued", "running", "succeeded"):
            display(replace(JOB, status=status))
    parts: list[bytes] = []
    with suppress(OSError):  # as Linux says that the other end is closed; it may give less than there is at a time
        while part := os.read(ours, 65536):
            parts.append(part)
    out = b"".join(parts).decode()
    os.close(ours)
    assert [f"ftjob-1 {status}\r\n" in out for status in ("queued", "running", "succeeded")] == [True] * 3
    assert out.index(HIDE) < out.rindex(SHOW)


def test_a_wait_is_shown() -> None:
    """A display passed to an upload and a wait, blocking or async, shows all of both."""
    out = StringIO()
    fake = FakeFineTuning(pace="polls", plan=Plan(outcome="failed", fail_at=3))
    options: dict[str, Any] = {"base_url": "http://fake/v1", "sleep": lambda seconds: None}
    with httpx.Client(transport=fake.transport()) as http, JobDisplay(out) as display:
        client = FineTuningClient("fake", http_client=http, **options)
        file = client.upload_file(ROWS.encode(), on_progress=display.uploading)
        job = client.create_job(file.id, "gpt-4o-mini")
        client.wait_for_job(job.id, on_update=display)

    async def wait() -> None:
        async with httpx.AsyncClient(transport=fake.transport()) as http:
            client = AsyncFineTuningClient("fake", http_client=http, **options)
            await client.wait_for_job(job.id, on_update=JobDisplay(out))

    before = out.getvalue().splitlines()
    assert before[0] == f"sent {len(ROWS):,} bytes"
    assert before[1].startswith(f"{job.id} ")
    assert before[-1].startswith(f"{job.id} failed (")
    asyncio.run(wait())
    assert out.getvalue().splitlines() == [*before, before[-1]]


@pytest.mark.parametrize("has", [(), ("write",), ("write", "flush")])
def test_a_stream_that_is_less_than_one_is_no_error(has: tuple[str, ...]) -> None:
    """A stream that lacks isatty or flush still gets lines, and one that lacks write raises nothing."""
    out = StringIO()
    stream: Any = SimpleNamespace(**{name: getattr(out, name) for name in has})
    display = JobDisplay(stream)
    display(JOB)
    display(replace(JOB, status="running"))
    display.close()
    assert out.getvalue().splitlines() == (["ftjob-1 queued", "ftjob-1 running"] if has else [])


def test_a_stream_of_bytes_is_no_error() -> None:
    """A stream that takes only bytes is not written to, and nothing is raised."""
    out: Any = BytesIO()
    JobDisplay(out)(JOB)
    assert out.getvalue() == b""


@pytest.mark.parametrize("show", ["a job", "a step"])
def test_results_go_where_they_were_sent(show: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a bar is shown, a program's own output still reaches stdout."""
    monkeypatch.setattr("sys.stdout", pipe := StringIO())
    display = JobDisplay(terminal)
    if show == "a step":
        display.event(STEP)
    else:
        display(JOB)
    print("result")
    assert pipe.getvalue() == "result\n"
    assert not terminal.getvalue().endswith(SHOW)
    display(replace(JOB, status="succeeded"))
    assert terminal.getvalue().rstrip().endswith(SHOW)
