"""Packages that the development environment cannot have, each installed into a folder of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache"
STAMP = ".complete"
INSTALL_SECONDS = 120
NOBODY = str(Path(__file__).with_name("trusts_nobody.pem"))
TRUSTED, TRUSTED_BEFORE = "SSL_CERT_FILE", "SSL_CERT_FILE_BEFORE_TESTS"


def trust_nobody() -> None:
    """Let TLS clients read one certificate, whose key nobody has, where they read those of all authorities.

    Each client of the openai SDK or of httpx reads them when it is made: 20 ms, or 0.1 ms for one. No test speaks TLS.
    """
    if os.environ.get(TRUSTED) != NOBODY:  # the variables of a process of pytest-xdist are those of the first one
        os.environ[TRUSTED_BEFORE] = os.environ.get(TRUSTED, "")
        os.environ[TRUSTED] = NOBODY


def _trusting_as_before() -> dict[str, str]:
    """The environment variables for what asks a package registry."""
    variables = dict(os.environ)
    before = variables.pop(TRUSTED_BEFORE, "")
    variables.pop(TRUSTED, None)
    return {**variables, TRUSTED: before} if before else variables


class UnreachableError(Exception):
    """The package could not be installed; the message says why."""


def installed(name: str, *requirements: str, alone: bool = False) -> Path:
    """A folder with these packages, installed at the first call and kept.

    Args:
        name: what the folder is called.
        requirements: as pip takes them.
        alone: whether what they depend on is left to the environment.

    Raises:
        UnreachableError: the registry cannot be reached.
    """
    folder = CACHE / name
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / STAMP).exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                _install(Path(scratch) / "new", [*requirements, *(["--no-deps"] if alone else [])])
                shutil.rmtree(folder, ignore_errors=True)
                (Path(scratch) / "new").rename(folder)
    return folder


def _install(folder: Path, arguments: list[str]) -> None:
    options = ["install", "--disable-pip-version-check", "--retries", "1"]
    # scripts/venv makes an environment without pip, and fills it with the pip of the Python that it is made from
    base: str = getattr(sys, "_base_executable", sys.executable)
    pip = [sys.executable, "-m", "pip"] if find_spec("pip") else [base, "-m", "pip", "--python", sys.executable]
    uv = ["uv", "pip", "install", "--python", sys.executable]
    command = [*(uv if shutil.which("uv") else [*pip, *options]), "--quiet", "--target", str(folder), *arguments]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS, env=_trusting_as_before()
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise UnreachableError(f"{arguments[0]} cannot be installed: {said.strip().splitlines()[-1]}") from error
    (folder / STAMP).touch()


def path_with(*folders: Path) -> str:
    """A PYTHONPATH on which *folders* come first."""
    return os.pathsep.join(filter(None, [*map(str, folders), os.environ.get("PYTHONPATH")]))
