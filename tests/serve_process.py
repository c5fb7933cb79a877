"""The command `fake-fine-tuning serve`, run as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

COMMAND = str(Path(sys.executable).with_name("fake-fine-tuning"))
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("FAKE_FINE_TUNING_")}
KEY = {"authorization": "Bearer secret-key"}
LONGEST_S = 60.0


@contextmanager
def started(*arguments: str, life_s: float = LONGEST_S, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A server process, which is killed after *life_s* so that nothing hangs."""
    process = subprocess.Popen(
        [COMMAND, "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRON, "PYTHONWARNINGS": "error", **environ},
    )
    deadline = threading.Timer(life_s, process.kill)
    deadline.start()
    try:
        with process:
            yield process
    finally:
        deadline.cancel()


def end(process: subprocess.Popen[str]) -> str:
    """Wait until a process has ended; return its stderr."""
    _, errors = process.communicate()
    return errors


def line(stream: IO[str] | None) -> str:
    """The next line of a pipe."""
    assert stream
    return stream.readline().rstrip("\n")
