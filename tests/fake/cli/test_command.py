"""The command itself: help, version, flags and variables, by calling it."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from fine_tuning_fakeserver import cli
from fine_tuning_fakeserver.cli.options import HOST, PACE, PORT, SEED, parse
from fine_tuning_fakeserver.version import VERSION

OPTIONS = (HOST, PORT, PACE, SEED)


def parsed(*arguments: str, **environ: str) -> argparse.Namespace:
    """What *arguments* mean in an environment."""
    return parse(argparse.ArgumentParser(), OPTIONS, arguments, environ)


def test_help_imports_nothing_heavy() -> None:
    """Asking for help imports no server, client or terminal library."""
    code = (
        "import sys\n"
        "from fine_tuning_fakeserver.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print({'uvicorn', 'starlette', 'pydantic', 'httpx', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "demo" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the distribution."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])

    assert capsys.readouterr().out == f"fake-fine-tuning {VERSION}\n"


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command one is told which there are, and that it was a mistake."""
    assert cli.main([]) == 2
    shown = capsys.readouterr()
    assert all(command in shown.err for command in cli.COMMANDS)
    assert shown.out == ""


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``-h`` after a command is that command's help, at most 80 columns wide."""
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "-h"])

    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: fake-fine-tuning {command} ")
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "invalid choice: 'train'"),
        (["serve", "--port", "99999"], "'99999' is no port"),
        (["serve", "--port", "-1"], "'-1' is no port"),
        (["serve", "--port", "http"], "'http' is no whole number"),
        (["serve", "--pace", "fast"], "a real second, got 'fast'"),
        (["serve", "--pace", "0"], "a real second, got 0.0"),
        (["serve", "--seed", "1.5"], "'1.5' is no whole number"),
        (["serve", "extra"], "unrecognized arguments: extra"),
        (["demo", "one.jsonl", "two.jsonl"], "unrecognized arguments: two.jsonl"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be meant is refused with exit code 2, and named."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)

    assert said in capsys.readouterr().err


def test_defaults() -> None:
    """Without flags and variables it is port 4355 of this machine, a minute a second, seed 0."""
    assert vars(parsed()) == {"host": "127.0.0.1", "port": 4355, "pace": 60, "seed": 0}


def test_variables_beat_defaults() -> None:
    """A variable is read as its flag would be; an empty one counts as not set."""
    found = parsed(FAKE_FINE_TUNING_PORT="0", FAKE_FINE_TUNING_PACE="polls", FAKE_FINE_TUNING_SEED="")

    assert (found.port, found.pace, found.seed) == (0, "polls", 0)


def test_flags_beat_variables() -> None:
    """A flag wins over its variable, which is then not even looked at."""
    found = parsed("--pace", "manual", "-p", "7", FAKE_FINE_TUNING_PACE="60", FAKE_FINE_TUNING_PORT="nonsense")

    assert (found.pace, found.port) == ("manual", 7)


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A variable that is no good is refused with exit code 2, by its own name."""
    with pytest.raises(SystemExit, match="2"):
        parsed(FAKE_FINE_TUNING_SEED="many")

    assert "FAKE_FINE_TUNING_SEED: 'many' is no whole number" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is interrupted on the way ends with 130, and without a traceback."""
    from fine_tuning_fakeserver.cli import demo

    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "main", interrupted)

    assert cli.main(["demo"]) == cli.INTERRUPTED == 130
