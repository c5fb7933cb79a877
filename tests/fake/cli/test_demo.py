"""`fake-fine-tuning demo`, and the files in `examples/`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import demo, demo_session, main
from serve_process import LONGEST_S

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).with_name("fake-fine-tuning"))
EXAMPLES = Path(__file__).parents[3] / "examples"
STATUSES = ["validating_files", "queued", "running", "succeeded"]


def shown_at(shown: str, parts: list[str]) -> list[int]:
    """The positions of *parts* in the output, or -1."""
    return [shown.find(part) for part in parts]


def test_a_session_ends_with_the_model() -> None:
    """Without a terminal the demo runs to its end without a warning, and its last line is the model."""
    environ = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([COMMAND, "demo"], capture_output=True, text=True, timeout=LONGEST_S, env=environ)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("ft:gpt-4o-mini-2024-07-18:personal:demo:")
    assert "\x1b" not in done.stdout
    places = shown_at(done.stdout, [*STATUSES, "train_loss", "└──", "ckpt-step-"])
    assert places == sorted(places)
    assert -1 not in places
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal there is a live progress bar with step and loss, within 80 columns."""
    monkeypatch.setattr(demo_session, "POLL_S", 0.02)
    monkeypatch.setattr(demo_session, "PACE", 500.0)
    monkeypatch.setattr(demo_session, "LONGEST_TRAINING_S", 0.2)
    out = StringIO()

    assert (
        demo_session.run(demo.EXAMPLE, demo_session.DemoOutput(Console(file=out, force_terminal=True, width=80))) == 0
    )
    assert "━" in out.getvalue()
    assert "/90  loss " in out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.jsonl", None, "No such file"),
        ("empty.jsonl", "", "File is empty."),
        ("prose.jsonl", "Dear reader", "Line 1 is not a dictionary"),
        ("notes.txt", "{}", "Must be .jsonl"),
    ],
)
def test_a_file_that_is_no_good(
    name: str, content: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or invalid file is one line on stderr with its name and the reason, and exit code 2."""
    path = tmp_path / name
    if content is not None:
        path.write_text(content)

    assert main(["demo", str(path)]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert f"{path}: " in shown.err
    assert said in shown.err


def test_a_job_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that fails is shown with status, code and message, and the exit code is 1."""
    path = tmp_path / "few.jsonl"
    path.write_text('{"messages": [{"role": "assistant", "content": "Hello."}]}\n' * 3)

    assert main(["demo", str(path)]) == 1
    shown = capsys.readouterr().out
    places = shown_at(shown, ["validating_files", "failed", "invalid_n_examples", "must have at least 10 examples"])
    assert places == sorted(places)
    assert -1 not in places


def test_a_configuration_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unreadable client configuration is one line on stderr, not a traceback."""
    (tmp_path / "pyproject.toml").write_text("[tool.fine_tuning\n")
    monkeypatch.chdir(tmp_path)

    assert main(["demo"]) == 2
    assert "cannot read pyproject.toml" in capsys.readouterr().err


def test_names_are_shown_as_they_are() -> None:
    """A name that looks like markup or an emoji code is shown literally."""
    out = StringIO()
    demo_session.DemoOutput(Console(file=out)).item("uploaded", "file-[bold]1", ":smile:.jsonl")

    assert out.getvalue() == "uploaded  file-[bold]1  :smile:.jsonl\n"


def test_a_terminal_obeys_no_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in file names and in the service's messages are escaped."""
    path = tmp_path / "\x1b[31m\u202e[bold].jsonl"
    row = {"messages": [{"role": "\x1b[2J\u200b", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path.write_text(f"{json.dumps(row)}\n" * 10)

    assert main(["demo", str(path)]) == 1
    shown = capsys.readouterr().out
    assert r"\x1b[31m\u202e[bold].jsonl, " in shown
    assert r"value '\x1b[2J\u200b'" in shown
    assert [line for line in shown.splitlines() if not line.isprintable()] == []


@pytest.mark.parametrize("width", [80, 60])
def test_it_fits_the_terminal(width: int) -> None:
    """The chart and the other output are no wider than the terminal."""
    out = StringIO()
    rows: list[dict[str, float | None]] = [{"step": step, "train_loss": 1.0 / step} for step in range(1, 91)]
    output = demo_session.DemoOutput(Console(file=out, width=width))
    output.item("fake", "http://127.0.0.1:65535/v1", "a stateful twin of the API, on this machine")
    output.metrics(rows)

    assert max(map(len, out.getvalue().splitlines())) <= width
    assert "└──" in out.getvalue()


def test_any_stdout_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any stream can replace stdout."""
    out = StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    path = tmp_path / "few.jsonl"
    path.write_text('{"messages": [{"role": "assistant", "content": "Hello."}]}')

    assert main(["demo", str(path)]) == 1
    assert "failed" in out.getvalue()


def test_there_is_one_example() -> None:
    """The training file in `examples/` equals the packaged one."""
    assert (EXAMPLES / demo.EXAMPLE.name).read_bytes() == demo.EXAMPLE.read_bytes()


def test_the_example_is_a_good_one() -> None:
    """The example file has 12 to 20 different chats with one system prompt, each with an answer."""
    rows = [json.loads(line)["messages"] for line in demo.EXAMPLE.read_text("utf-8").splitlines()]

    assert 12 <= len(rows) <= 20
    assert len({json.dumps(row) for row in rows}) == len(rows)
    assert len({row[0]["content"] for row in rows}) == 1
    assert all(row[0]["role"] == "system" and row[-1]["role"] == "assistant" for row in rows)


def test_the_script_of_the_official_sdk_runs() -> None:
    """`examples/session.py` trains a model with only two environment variables."""
    with FakeFineTuning(pace="instant").serving() as url:
        environ = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "any", "PYTHONWARNINGS": "error"}
        script = str(EXAMPLES / "session.py")
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=LONGEST_S, env=environ)

    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith("ft:gpt-4o-mini-2024-07-18:personal:workshop:")
