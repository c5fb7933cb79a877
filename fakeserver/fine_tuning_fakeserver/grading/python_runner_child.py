"""The child of `python_runner`: a script that limits itself, then runs one grader and writes its reward.

It imports the standard library only, and nothing of the fake: it runs without this package's path.
"""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from typing import Any

DETAILS_AT_MOST = 4000


def main() -> None:  # pragma: no cover  # in a process of its own, which nothing measures
    """Read a task from stdin and write its answer to stdout."""
    task = json.loads(sys.stdin.buffer.read())
    # The grader gets neither pipe: what it prints would be taken for the answer.
    answer = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    limit_resources(task)
    sys.path.extend(task["packages"])
    answer.write(json.dumps(run_grader(task)).encode())
    answer.close()
    os._exit(0)  # threads that the grader left behind are not waited for


def limit_resources(task: dict[str, Any]) -> None:  # pragma: no cover  # see main
    """Limit memory, processor time and files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        "RLIMIT_AS": task["memory_bytes"],
        "RLIMIT_FSIZE": task["disk_bytes"],
        "RLIMIT_CPU": task["cpu_seconds"],
        "RLIMIT_CORE": 0,  # a crash must not fill the disk
    }
    for name, value in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))  # the hard limit too: it cannot be raised again
        except (ValueError, OSError):
            pass  # macOS has the names, and refuses some


def run_grader(task: dict[str, Any]) -> dict[str, Any]:
    """Return the reward, or what went wrong."""
    names: dict[str, Any] = {"__name__": "grader"}
    try:
        # dont_inherit: the grader's code is not compiled under this file's __future__ imports.
        exec(compile(task["source"], "<grader>", "exec", dont_inherit=True), names)
        if "grade" not in names:
            return {"error": "The grader's source has no function 'grade'."}
        reward = names["grade"](task["sample"], task["item"])
    except BaseException as error:  # SystemExit, too: whatever it does, it is answered
        return {"error": format_error(error)}
    return check_reward(reward)


def check_reward(reward: Any) -> dict[str, Any]:
    """Return the reward if it is a finite number, an error otherwise."""
    number = math.nan
    if not isinstance(reward, (str, bytes)):  # float() would parse them
        try:
            number = float(reward)
        except Exception:
            pass  # not a number; a class of the grader's own may raise anything
    if math.isfinite(number):
        return {"reward": number}
    return {"error": f"grade returned {type(reward).__name__}, and a finite number is wanted."}


def format_error(error: BaseException) -> str:
    """Format the traceback, from the grader's own first line on."""
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, frames)).strip()[-DETAILS_AT_MOST:]


if __name__ == "__main__":  # pragma: no cover
    main()
