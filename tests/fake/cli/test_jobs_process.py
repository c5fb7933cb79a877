"""`fake-fine-tuning jobs` as a process: signals, pipes, exit codes, and terminals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import main
from jobs_command import VARIABLES, Jobs, sent_to
from strategies import BORN, ROWS

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).with_name("fake-fine-tuning"))
KEY = "sk-a-secret-of-the-environment"
LONGEST_S = 60.0  # no test comes near it
HOSTILE = "\x1b[2J[red]x[/] :smile:"


class Terminal(StringIO):
    """A stdout that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture(scope="module")
def server() -> Iterator[FakeFineTuning]:
    """One fake on a socket whose time stands still; each test resets it."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    with fake.serving():
        yield fake


@pytest.fixture
def jobs(
    server: FakeFineTuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Jobs]:
    """A fresh account, a folder with a training file, and the environment of a process."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.jsonl").write_text(ROWS)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    server.reset()
    with sent_to(server, capsys) as jobs:
        yield jobs


HEARS_CTRL_C = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
"""A process started in the background may ignore interrupts, and its children inherit that."""


@contextmanager
def started(*words: str, out: int = subprocess.PIPE, err: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """The command as a process, which is killed when the context ends."""
    command = [sys.executable, "-c", HEARS_CTRL_C, COMMAND, "jobs", *words]
    with subprocess.Popen(command, stdout=out, stderr=err, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_interrupt_leaves_a_followed_job_running(jobs: Jobs) -> None:
    """Ctrl-C ends `--follow` with 130 and the command to continue, and does not affect the job."""
    with started("create", "train.jsonl", "--model", "gpt-4o-mini", "--follow", "--provider", "openai") as process:
        assert process.stdout is not None
        job_id, first, _ = (process.stdout.readline().strip() for _ in range(3))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONGEST_S)

    assert first.endswith(f"Created fine-tuning job: {job_id}")
    assert process.returncode == 130
    assert err.splitlines()[-1:] == [
        f"the job goes on; come back to it with: fake-fine-tuning jobs events {job_id} --follow --provider openai"
    ]
    assert jobs.fake.jobs[0]["status"] == "validating_files"


def test_an_interrupt_leaves_a_job_that_is_waited_for_running(jobs: Jobs) -> None:
    """Ctrl-C ends `wait` with 130 and the command to continue, and nothing on stdout."""
    job_id = jobs.job("running")
    with started("wait", job_id) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"{job_id} running\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONGEST_S)

    assert (process.returncode, out) == (130, "")
    assert err == f"the job goes on; come back to it with: fake-fine-tuning jobs wait {job_id}\n"


@pytest.mark.parametrize(
    "words", [("events",), ("events", "--follow"), ("metrics", "--csv"), ("show", "--json")], ids=" ".join
)
def test_a_closed_pipe_ends_it_quietly(words: tuple[str, ...], jobs: Jobs) -> None:
    """A closed pipe ends the command silently with exit code 0."""
    job_id = jobs.job("succeeded")
    read, write = os.pipe()
    os.close(read)
    with started(*words, job_id, out=write) as process:
        os.close(write)
        _, err = process.communicate(timeout=LONGEST_S)

    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("words", [(), ("--follow",)], ids=str)
def test_an_id_that_cannot_be_printed(words: tuple[str, ...], jobs: Jobs) -> None:
    """If stdout cannot be written, the new job's id is on stderr, and the exit code is 1."""
    with open("/dev/full", "w") as full:
        command = [COMMAND, "jobs", "create", "train.jsonl", "--model", "gpt-4o-mini", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=LONGEST_S)

    assert done.returncode == 1
    assert f"the job is {jobs.fake.jobs[0]['id']}" in done.stderr.splitlines()
    assert "No space left" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("words", [("list",), ("metrics", "--csv")], ids=" ".join)
def test_results_that_cannot_be_written(words: tuple[str, ...], jobs: Jobs) -> None:
    """If stdout cannot be written, the error is one line on stderr, and the exit code is 1."""
    job_id = jobs.job("succeeded")
    with open("/dev/full", "w") as full:
        command = [COMMAND, "jobs", *words, *([job_id] if words[0] == "metrics" else [])]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=LONGEST_S)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr


def test_an_id_that_nobody_reads(jobs: Jobs) -> None:
    """If stdout is a closed pipe, the new job's id is on stderr."""
    read, write = os.pipe()
    os.close(read)
    with started("create", "train.jsonl", "--model", "gpt-4o-mini", "--follow", out=write) as process:
        os.close(write)
        _, err = process.communicate(timeout=LONGEST_S)

    assert f"the job is {jobs.fake.jobs[0]['id']}" in err.splitlines()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "code"),
    [(("create", "train.jsonl", "--model", "gpt-4o-mini"), 0), (("show", "ftjob-none"), 1), (("show",), 2)],
    ids=str,
)
def test_a_closed_stderr_is_no_failure(
    words: tuple[str, ...], code: int, unbuffered: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed stderr changes neither results nor exit code."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    read, write = os.pipe()
    os.close(read)
    with started(*words, err=write) as process:
        os.close(write)
        out, _ = process.communicate(timeout=LONGEST_S)

    assert (process.returncode, out.split()) == (code, [job["id"] for job in jobs.fake.jobs])


def test_streams_that_were_never_open(jobs: Jobs) -> None:
    """Without stdout and stderr the command still works, and notes do not get into the results."""
    closed = subprocess.run(
        f"{COMMAND} jobs create train.jsonl --model gpt-4o-mini >&- 2>&-", shell=True, timeout=LONGEST_S
    )
    done = subprocess.run(f"{COMMAND} jobs list 2>&-", shell=True, capture_output=True, text=True, timeout=LONGEST_S)

    assert (closed.returncode, done.returncode) == (0, 0)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["ID", jobs.fake.jobs[0]["id"]]


@pytest.mark.parametrize(
    ("words", "code"), [(("list",), 0), (("show", "ftjob-none"), 1), (("list", "--provider", "azure"), 2)]
)
def test_exit_codes(words: tuple[str, ...], code: int, jobs: Jobs) -> None:
    """A process exits with the command's code, at most one line on stderr, and never shows the key."""
    jobs.job("running")
    done = subprocess.run([COMMAND, "jobs", *words], capture_output=True, text=True, timeout=LONGEST_S)

    assert (done.returncode, done.stderr.count("\n")) == (code, min(code, 1))
    assert KEY not in done.stdout + done.stderr


def test_any_encoding_will_do(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that stdout's encoding lacks are escaped."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    job_id = jobs.job(metadata={"town": "Zürich"})
    done = subprocess.run([COMMAND, "jobs", "show", job_id], capture_output=True, text=True, timeout=LONGEST_S)

    assert (done.returncode, done.stderr) == (0, "")
    assert 'metadata\t{"town": "Z\\xfcrich"}\n' in done.stdout


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The output lines of a verb in a terminal with colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")

    def lines(*words: str) -> list[str]:
        with redirect_stdout(Terminal()) as shown:
            assert main(["jobs", *words]) == 0
        return shown.getvalue().splitlines()

    return lines


def test_columns_in_a_terminal(jobs: Jobs, terminal: Callable[..., list[str]]) -> None:
    """In a terminal a list has aligned columns and colours."""
    succeeded, running = jobs.job("succeeded", suffix="a" * 60), jobs.job("running")
    heading, first, second = terminal("list")

    assert heading.startswith(f"\x1b[1mID\x1b[0m{' ' * (len(running) - 2)}  \x1b[1mSTATUS\x1b[0m     ")
    assert first.startswith(f"{running}  \x1b[36mrunning\x1b[0m    2023-11-14T")
    assert second.startswith(f"{succeeded}  \x1b[32msucceeded\x1b[0m  2023-11-14T")
    assert second.endswith(next(job["fine_tuned_model"] for job in jobs.fake.jobs if job["id"] == succeeded))


@pytest.mark.parametrize(("columns", "lines_each"), [(80, 2), (60, 3), (40, 3)])
def test_a_list_in_a_narrow_terminal(
    columns: int, lines_each: int, jobs: Jobs, terminal: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a narrow terminal cells that do not fit go to the next line, aligned, and no name is broken."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    ids = [jobs.job("succeeded", suffix="mine"), jobs.job("running")]
    models = [job["fine_tuned_model"] or job["model"] for job in jobs.fake.jobs]
    lines = terminal("list")

    assert len(lines) == 3 * lines_each
    assert [line.split()[0] for line in lines[::lines_each]] == ["ID", *reversed(ids)]
    assert [line for line in lines if len(line) > columns] == [f"  {model}" for model in models if len(model) > columns]
    assert [line.split()[-1] for line in lines[lines_each - 1 :: lines_each]] == ["MODEL", *models]


@pytest.mark.parametrize("words", ["show", "events", "checkpoints", "metrics"])
@pytest.mark.parametrize("columns", [80, 60])
def test_results_fit_a_narrow_terminal(
    words: str, columns: int, jobs: Jobs, terminal: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members, messages, metrics and charts are wrapped to the terminal's width."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    job_id = jobs.job("succeeded", metadata={"note": "a long remark " * 20})
    lines = terminal(words, job_id)

    assert [line for line in lines if len(line) > columns] == []
    assert " ".join(lines).count("remark") == (20 if words == "show" else 0)


def test_words_of_the_service_in_a_terminal(jobs: Jobs, terminal: Callable[..., list[str]]) -> None:
    """In a terminal control characters are escaped, and markup and emoji codes are literal."""
    shown = "\n".join(terminal("show", jobs.job("running", metadata={"note": HOSTILE})))

    assert r"\u001b[2J[red]x[/] :smile:" in shown
    assert "\x1b[2J" not in shown


def test_a_chart_in_a_terminal(jobs: Jobs, terminal: Callable[..., list[str]]) -> None:
    """In a terminal `metrics` shows the last step's values and a chart of the loss."""
    lines = terminal("metrics", jobs.job("succeeded"))

    assert lines[0].split() == ["step", "100"]
    assert lines[1].split()[0] == "train_loss"
    assert any("└──" in line for line in lines)


def test_no_colour_where_none_is_wanted(
    jobs: Jobs, terminal: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR removes the colours and keeps the columns."""
    monkeypatch.setenv("NO_COLOR", "1")
    job_id = jobs.job("succeeded")

    assert terminal("list")[1].startswith(f"{job_id}  succeeded  ")
