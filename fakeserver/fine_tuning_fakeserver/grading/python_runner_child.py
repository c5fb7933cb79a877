"""The other side of `python_process`: a script that limits itself, then runs one grader and writes its reward."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from typing import Any

DETAILS_AT_MOST = 4000


def main() -> None:  # pragma: no cover  # in a process of its own, which nothing measures
    """Read a task from stdin and write its answer to stdout, which the grader does not get."""
    task = json.loads(sys.stdin.buffer.read())
    answer = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)
    limit(task)
    sys.path.extend(task["packages"])
    answer.write(json.dumps(run_grader(task)).encode())
    answer.close()
    os._exit(0)  # threads that the grader left behind are not waited for


def limit(task: dict[str, Any]) -> None:  # pragma: no cover  # see main
    """Limit memory, processor time and files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        "RLIMIT_AS": task["memory_bytes"],
        "RLIMIT_FSIZE": task["disk_bytes"],
        "RLIMIT_CPU": task["cpu_seconds"],
        "RLIMIT_CORE": 0,
    }
    for name, value in wanted.items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (ValueError, OSError):
            pass  # macOS has the names, and refuses some


def run_grader(task: dict[str, Any]) -> dict[str, Any]:
    """The reward, or what went wrong."""
    names: dict[str, Any] = {"__name__": "grader"}
    try:
        exec(compile(task["source"], "<grader>", "exec", dont_inherit=True), names)  # what it is for
        if "grade" not in names:
            return {"error": "The grader's source has no function 'grade'."}
        reward = names["grade"](task["sample"], task["item"])
    except BaseException as error:  # SystemExit, too: whatever it does, it is answered
        return {"error": format_error(error)}
    return check_reward(reward)


def check_reward(reward: Any) -> dict[str, Any]:
    """*reward* when it is a finite number."""
    number = math.nan
    if not isinstance(reward, (str, bytes)):
        try:
            number = float(reward)
        except Exception:
            pass  # it says it is a number and is none
    if math.isfinite(number):
        return {"reward": number}
    return {"error": f"grade returned {type(reward).__name__}, and a finite number is wanted."}


def format_error(error: BaseException) -> str:
    """The traceback, from the grader's own first line on."""
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, frames)).strip()[-DETAILS_AT_MOST:]


if __name__ == "__main__":  # pragma: no cover
    main()
