"""`fake-fine-tuning exec`: a command with its own fake, for CI jobs in any language."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from serve_process import LONGEST_S

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).with_name("fake-fine-tuning"))
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("FAKE_FINE_TUNING_")}


def executed(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The completed process of the command."""
    settings = {**ENVIRON, "PYTHONWARNINGS": "error", **environ}
    return subprocess.run(
        [COMMAND, "exec", *arguments], env=settings, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )


TRAINS = """
import openai
client = openai.OpenAI()
row = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n'
file = client.files.create(file=("train.jsonl", row * 10), purpose="fine-tune")
job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
print([client.fine_tuning.jobs.retrieve(job.id).status for _ in range(3)])
"""


def test_a_program_without_a_word_of_ours_trains() -> None:
    """A program that makes the official client without arguments reaches the fake, at the requested pace."""
    done = executed("--pace", "polls", "--", sys.executable, "-c", TRAINS, http_proxy="http://127.0.0.1:9")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['queued', 'running', 'succeeded']\n"


@pytest.mark.parametrize(("dialect", "provider"), [("azure-2025", "azure"), ("openai-2025-09", "openai")])
def test_no_variable_leads_elsewhere(dialect: str, provider: str) -> None:
    """In any dialect all variables that SDKs and our client read point to the fake, whatever their old values."""
    names = ("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
    shown = " ".join(f"${name}" for name in (*names, "FINE_TUNING_PROVIDER", "MINE"))
    before = dict.fromkeys((*names, "FINE_TUNING_PROVIDER"), "https://real.example")
    done = executed("--dialect", dialect, "--", "sh", "-c", f'echo "{shown}"', MINE="mine", **before)

    *addresses, key, other_key, named, mine = done.stdout.split()
    assert all(address.startswith("http://127.0.0.1:") for address in addresses)
    assert (key, other_key, named, mine) == ("fake-fine-tuning-key",) * 2 + (provider, "mine")


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_code_is_the_commands(script: str, code: int) -> None:
    """The exit code is the command's own, or 128 plus the signal."""
    assert executed("--", "sh", "-c", script).returncode == code


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "missing command; put -- before it"),
        (("npm", "test"), 2, "the command must follow --, as in fake-fine-tuning exec -- npm test"),
        (("--seed", "1", "pytest", "-x", "--pace"), 2, "the command must follow --, as in "),
        (("--pase", "polls", "npm"), 2, "No such option '--pase'"),
        (("--",), 2, "missing command; put -- before it"),
        (("--pace", "fast", "--", "true"), 2, "a real second, got 'fast'"),
        (("--organization", "new", "--", "true"), 2, "--organization 'new' requires --as-of"),
        (("--", "no-such-command-anywhere"), 127, "no-such-command-anywhere: No such file or directory"),
    ],
)
def test_what_cannot_be_run(arguments: tuple[str, ...], code: int, said: str) -> None:
    """Wrong usage and an unknown command print one line, exit with their own code, and run nothing."""
    done = executed(*arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr.splitlines()[-1]


def test_arguments_of_the_command_are_its_own() -> None:
    """Everything after the first ``--`` is passed to the command, including flags and further ``--``."""
    done = executed("--", sys.executable, "-c", "import sys; print(sys.argv[1:])", "--pace", "--", "-h")

    assert done.stdout == "['--pace', '--', '-h']\n"


def test_being_stopped_stops_the_command() -> None:
    """SIGTERM ends the command and the server."""
    script = "import signal, sys, time; print('up', flush=True); signal.pause()"
    command = [COMMAND, "exec", "--", sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRON) as process:
        deadline = threading.Timer(LONGEST_S, process.kill)
        deadline.start()
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
        deadline.cancel()
