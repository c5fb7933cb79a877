"""The last version of openai 2, which cannot be installed beside openai 3: in its own folder and process.

``python -m tests.contract.openai2 BASE_URL`` runs the contract with whatever openai comes first on the path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import other_environments
from other_environments import UnreachableError

__all__ = ["UnreachableError", "installed", "outcomes"]

REPO = Path(__file__).parents[2]
VERSION = "2.54.0"
RUN_SECONDS = 60


def installed() -> Path:
    """The folder with openai 2, installed at the first call and kept.

    Raises:
        UnreachableError: the registry cannot be reached.
    """
    return other_environments.installed(f"openai-{VERSION}", f"openai=={VERSION}")


def outcomes(base_url: str) -> dict[str, str]:
    """Run the contract with openai 2 in a process of its own; return by part an empty string or a traceback."""
    environment = {**os.environ, "PYTHONPATH": other_environments.path_with(installed(), REPO / "tests")}
    command = [sys.executable, "-W", "error", "-m", "tests.contract.openai2", base_url]
    ended = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS)
    if ended.returncode:
        raise AssertionError(ended.stderr)
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def main(base_url: str) -> None:
    """Run all parts, and print their outcomes."""
    import openai

    from . import session, strictness

    checks: dict[str, Callable[[], None]] = {
        **session.parts(base_url),
        "version": partial(_check_version, openai.__version__),
        "types": strictness.check_types,
        **{f"strict client, {state}": partial(strictness.check_client, state) for state in strictness.STATES},
    }
    print(json.dumps({name: session.outcome(check) for name, check in checks.items()}))


def _check_version(version: str) -> None:
    assert version == VERSION


if __name__ == "__main__":
    main(sys.argv[1])
