"""Python graders: a request's own code, run in a process of its own, with limits and without this one's environment.

It keeps accidents away, not attackers: the code may read files and use the network as its user may. So it runs only
where the setting `run_python_graders` allows it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass

from ..clock import steady
from ..usage_errors import FakeUsageError
from .result import GradingError

CHILD = Path(__file__).with_name("python_runner_child.py")

# -P -s -S and an environment of our own are what -I -S is, but for PYTHONHASHSEED: -I would not read it, and the same
# grader would give another answer each time it looks through a set.
FLAGS = ("-P", "-s", "-S", "-B")
# Nothing of this process' environment: it holds API keys. One thread each for numpy's libraries, which would reserve
# memory for as many as there are processors and go past the limit.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a grader may use. Vendor text: 2 minutes, 2 GB of memory, 1 GB of disk.

    # DIVERGES: 10 seconds, not 2 minutes: a test waits for it.
    """

    seconds: float = 10.0
    memory_bytes: int = 2 * 1024**3
    disk_bytes: int = 1024**3


DEFAULT_LIMITS = Limits()


LOOKS_EVERY_S = 0.1
"""How many seconds pass at most until a grader is ended whose result is not wanted any more."""


def run(
    source: str,
    sample: Mapping[str, Any],
    item: Mapping[str, Any],
    limits: Limits = DEFAULT_LIMITS,
    is_wanted: Callable[[], bool] = lambda: True,
) -> float:
    """Return what the source's ``grade(sample, item)`` returns.

    Raises:
        GradingError: it raised, returned no number, went past a limit, or is not wanted any more.
        FakeUsageError: no interpreter is available to run it.
    """
    paths = sysconfig.get_paths()
    task = {
        "source": source,
        "sample": dict(sample),
        "item": dict(item),
        "packages": sorted({paths["purelib"], paths["platlib"]}),  # what is installed here can be imported there
        "memory_bytes": limits.memory_bytes,
        "disk_bytes": limits.disk_bytes,
        "cpu_seconds": int(limits.seconds) + 1,  # should this process die before it can end the other one
    }
    with tempfile.TemporaryDirectory(prefix="fake-fine-tuning-") as folder:
        answer = _run_child(json.dumps(task).encode(), folder, limits.seconds, is_wanted)
    if "reward" in answer:
        return float(answer["reward"])
    raise _runtime_error(answer["error"])


def _run_child(task: bytes, folder: str, seconds: float, is_wanted: Callable[[], bool]) -> dict[str, Any]:
    """Run the child in *folder*, send it the task, and return its answer."""
    if not sys.executable:
        raise FakeUsageError("python graders need an interpreter to run in, and sys.executable names none")
    system = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows needs it to start
    with subprocess.Popen(
        [sys.executable, *FLAGS, str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**ENVIRONMENT, **system},
        start_new_session=True,  # so that what the grader starts can be ended with it
    ) as process:
        try:
            output = _communicate(process, task, seconds, is_wanted)
        finally:
            _kill_group(process)
    try:
        return dict(json.loads(output))
    except (ValueError, TypeError):
        text = f"The grader's process ended without an answer, with code {process.returncode}."
        raise _runtime_error(text) from None


def _communicate(process: subprocess.Popen[bytes], task: bytes, seconds: float, is_wanted: Callable[[], bool]) -> bytes:
    """Send the task, and return what the process writes until it ends."""
    end = steady() + seconds
    left_to_send: bytes | None = task
    while is_wanted():
        try:
            return process.communicate(left_to_send, timeout=min(LOOKS_EVERY_S, max(end - steady(), 0)))[0]
        except subprocess.TimeoutExpired:
            left_to_send = None  # the process has it, or keeps what is left
            if steady() >= end:
                raise _runtime_error(f"The grader took longer than {seconds:g} seconds.") from None
    raise _runtime_error("Nobody waits for the grader any more.")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it has started, also after an answer: a grader may leave processes behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except AttributeError:  # Windows has no process groups
        process.kill()
    except (ProcessLookupError, PermissionError):
        pass  # all of them have ended


def _runtime_error(details: str) -> GradingError:
    # Every way to fail is a runtime error of the grader (inferred); the service's own server errors do not happen here.
    return GradingError("python_grader_runtime_error", details)
