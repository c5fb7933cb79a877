"""Python graders: a request's own code, run in a process of its own, with limits and without this one's environment.

It keeps accidents away, not attackers: the code may read files and use the network as its user may.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..usage_errors import FakeUsageError
from .result import GradingError

CHILD = Path(__file__).with_name("python_runner_child.py")

# -P -s -S and an environment of our own are what -I -S is, but for PYTHONHASHSEED: -I would not read it, and the same
# grader would give another answer each time it looks through a set.
FLAGS = ("-P", "-s", "-S", "-B")
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a grader may use. Vendor text: 2 minutes, 2 GB of memory, 1 GB of disk.

    # DIVERGES: 10 seconds, not 2 minutes: the fake answers nobody else meanwhile.
    """

    seconds: float = 10.0
    memory_bytes: int = 2 * 1024**3
    disk_bytes: int = 1024**3


DEFAULT_LIMITS = Limits()


def run(source: str, sample: Mapping[str, Any], item: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> float:
    """What the source's ``grade(sample, item)`` returns.

    Raises:
        GradingError: it raised, returned no number, or went past a limit.
        FakeUsageError: there is no interpreter to run it.
    """
    with tempfile.TemporaryDirectory(prefix="fake-fine-tuning-") as folder:
        answer = _answer_of_child(_task(source, sample, item, limits), folder, limits)
    if "reward" in answer:
        return float(answer["reward"])
    raise _failed(answer["error"])


def _task(source: str, sample: Mapping[str, Any], item: Mapping[str, Any], limits: Limits) -> bytes:
    paths = sysconfig.get_paths()
    task = {
        "source": source,
        "sample": dict(sample),
        "item": dict(item),
        "packages": sorted({paths["purelib"], paths["platlib"]}),  # what is installed here can be imported there
        "memory_bytes": limits.memory_bytes,
        "disk_bytes": limits.disk_bytes,
        "cpu_seconds": int(limits.seconds) + 1,
    }
    return json.dumps(task).encode()


def _answer_of_child(task: bytes, folder: str, limits: Limits) -> dict[str, Any]:
    with _start(folder) as process:
        try:
            out, _ = process.communicate(task, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise _failed(f"The grader took longer than {limits.seconds:g} seconds.") from None
        finally:
            _end(process)
    try:
        return dict(json.loads(out))
    except (ValueError, TypeError):
        raise _failed(f"The grader's process ended without an answer, with code {process.returncode}.") from None


def _start(folder: str) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise FakeUsageError("python graders need an interpreter to run in, and sys.executable names none")
    system = {
        name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ
    }  # Windows does not start without
    return subprocess.Popen(
        [sys.executable, *FLAGS, str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**ENVIRONMENT, **system},
        start_new_session=True,  # so that what the grader starts can be ended with it
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except AttributeError:  # Windows has no groups
        process.kill()
    except (ProcessLookupError, PermissionError):
        pass  # it is over


def _failed(details: str) -> GradingError:
    """Every way to fail is a runtime error of the grader (inferred); the service's own server errors are not."""
    return GradingError("python_grader_runtime_error", details)
