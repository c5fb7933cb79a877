"""A downstream project whose tests are run in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

import other_environments

PACKAGES: dict[str, tuple[str, ...]] = {
    "openai-2.54.0": ("openai==2.54.0",),
    "aiohttp": ("aiohttp",),
    "niquests-uvloop": ("niquests", "uvloop"),
    "plugin-pytest-asyncio": ("pytest-asyncio",),
    "plugin-pytest-randomly": ("pytest-randomly",),
    "plugin-pytest-recording": ("pytest-recording",),
    "plugin-cassetter": ("cassetter",),
    "plugin-time-machine": ("time-machine",),
    "plugin-freezegun": ("freezegun", "python-dateutil", "six"),
}
"""Each has a folder of its own: two of them cannot be loaded together, and none is to be loaded in our own runs."""

WITHOUT_OURS = ("-p", "no:schemathesis", "-p", "no:hypothesispytest")
"""Leaves out plugins of our own development, which take as long to load as all the rest of a run."""

ENOUGH = """
import httpx, pytest
from fine_tuning_client import FineTuning

ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n'


def trained():
    import openai

    client = openai.OpenAI()
    file = client.files.create(file=("train.jsonl", (ROW * 10).encode()), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
    seen = [job.status]
    while job.status not in ("succeeded", "failed", "cancelled"):
        job = client.fine_tuning.jobs.retrieve(job.id)
        seen.append(job.status)
    return seen


def trained_by_ours():
    file = FineTuning.upload_file((ROW * 10).encode())
    return FineTuning.wait_for_job(FineTuning.create_job(file.id, "gpt-4o-mini").id)
"""


def project(folder: Path, tests: str, **files: str) -> Path:
    """A downstream project in *folder*."""
    (folder / "project.py").write_text(ENOUGH)
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    (folder / "test_project.py").write_text(tests)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def run(
    folder: Path,
    *arguments: str,
    beside: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    without: Sequence[str] = WITHOUT_OURS,
) -> dict[str, int]:
    """Run the project's tests with these packages on the path; return the counts of passed, failed, …"""
    ended = _run(folder, (*without, *arguments), beside, environment or {})
    found = pytest.RunResult.parse_summary_nouns(ended.stdout.splitlines())
    return {noun: count for noun, count in found.items() if noun != "seconds"}


def run_by_file(folder: Path, *arguments: str, beside: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """Run the project's tests with these packages on the path; return by file the counts of passed, failed, …"""
    report = folder / "report.xml"
    _run(folder, (*WITHOUT_OURS, *arguments, f"--junitxml={report}"), beside, {})
    found: dict[str, dict[str, int]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        counts = found.setdefault(str(case.get("classname")), {})
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        counts[outcome] = counts.get(outcome, 0) + 1
    return found


def _run(
    folder: Path, arguments: Sequence[str], beside: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        folders = [
            other_environments.installed(name, *PACKAGES[name], alone=name.startswith("plugin-")) for name in beside
        ]
    except other_environments.UnreachableError as error:
        pytest.skip(str(error))
    variables = {**os.environ, "PYTHONPATH": other_environments.path_with(*folders), **environment}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=120)
    if ended.returncode not in (0, 1):
        raise AssertionError(ended.stdout + ended.stderr)
    if ended.returncode:
        print(ended.stdout[-4000:])
    return ended
