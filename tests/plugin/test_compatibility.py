"""The fixture beside other plugins, frozen clocks and proxies, in a downstream project."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from downstream_project import project, run, run_by_file
from strategies import in_long_runs

pytestmark = pytest.mark.slow

ALL = ["validating_files", "queued", "running", "succeeded"]
TESTS = """
import os
from project import *

@pytest.mark.parametrize("number", range(2))
def test_own_client(fake_fine_tuning, number):
    assert trained_by_ours().is_completed()
    assert len(fake_fine_tuning.jobs) == 1

@pytest.mark.parametrize("url", ["https://api.openai.com/v1", None])
def test_a_client_without_configuration(fake_fine_tuning, url):
    with httpx.Client() as client:
        url = url or os.environ["OPENAI_BASE_URL"]
        answer = client.get(url + "/models", headers={"Authorization": "Bearer x"})
    assert answer.json()["object"] == "list"
"""
OFFICIAL = f"""
from project import *

def test_official_client(fake_fine_tuning):
    assert trained() == {ALL}
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("-n", "2", "--dist", "loadscope"),
        pytest.param(("-n", "2", "--dist", "worksteal"), marks=in_long_runs),
        ("--disable-socket",),
        ("--disable-socket", "--allow-hosts=127.0.0.1"),
        ("-p", "no:xdist", "-p", "no:socket", "-p", "no:anyio"),
        ("-s",),
        ("--import-mode=importlib",),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_ways_to_run(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """All tests pass in two processes, with sockets blocked, without other plugins, and uncaptured."""
    assert run(project(tmp_path, TESTS), *arguments) == {"passed": 4}


def test_warnings_as_errors_beside_all_plugins_of_this_environment(tmp_path: Path) -> None:
    """All tests pass with warnings as errors, and beside the plugins of Hypothesis and Schemathesis."""
    assert run(project(tmp_path, TESTS), "-W", "error", without=()) == {"passed": 4}


def test_without_the_plugin(tmp_path: Path) -> None:
    """With ``-p no:fake_fine_tuning`` the fixture does not exist, and other tests pass."""
    folder = project(tmp_path, "def test_nothing(): pass\ndef test_fixture(fake_fine_tuning): pass\n")
    assert run(folder, "-p", "no:fake_fine_tuning") == {"passed": 1, "errors": 1}


ASYNC = """
import openai
from project import *
from fine_tuning_client import AsyncFineTuning

async def async_trained():
    client = openai.AsyncOpenAI()
    file = await client.files.create(file=("train.jsonl", (ROW * 10).encode()), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
    while job.status not in ("succeeded", "failed", "cancelled"):
        job = await client.fine_tuning.jobs.retrieve(job.id)
    return job.status

MARK
async def test_official_client(fake_fine_tuning):
    assert await async_trained() == "succeeded"

MARK
async def test_own_client(fake_fine_tuning):
    file = await AsyncFineTuning.upload_file((ROW * 10).encode())
    job = await AsyncFineTuning.create_job(file.id, "gpt-4o-mini")
    assert (await AsyncFineTuning.wait_for_job(job.id)).is_completed()
"""
ANYIO = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""

STOPPED = """
from project import *
import datetime

def test_official_client(fake_fine_tuning):
    with FROZEN:
        assert trained() == {all}
        assert trained_by_ours().is_completed()
        assert datetime.datetime.now().year == 2031

@pytest.mark.fake_fine_tuning(pace=3600)
def test_a_real_pace_goes_on(fake_fine_tuning):
    began = fake_fine_tuning.now
    with FROZEN:
        job = fake_fine_tuning.add_job(fake_fine_tuning.add_file(ROW * 10)["id"], status="running")
        while fake_fine_tuning.jobs[0]["status"] == "running":
            pass
    assert fake_fine_tuning.now > began
""".replace("{all}", str(ALL))
TIME_MACHINE = "import time_machine\n" + STOPPED.replace("FROZEN", 'time_machine.travel("2031-01-01", tick=False)')
FREEZEGUN = "import freezegun\n" + STOPPED.replace("FROZEN", 'freezegun.freeze_time("2031-01-01")')

RECORDING = """
import os, requests
from project import *

@pytest.mark.vcr
def test_beside_a_cassette(fake_fine_tuning):
    assert trained() == {all}
    assert trained_by_ours().is_completed()
    answer = requests.get(os.environ["OPENAI_BASE_URL"] + "/models", headers={"Authorization": "Bearer x"})
    assert answer.json()["object"] == "list"
""".replace("{all}", str(ALL))


class Run(NamedTuple):
    """A pytest run in a project with `TESTS`: the extra plugin, arguments and more test files."""

    plugin: str
    arguments: tuple[str, ...]
    files: dict[str, str]


LOOP_SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
ASYNC_MARKED = ASYNC.replace("MARK", "@pytest.mark.asyncio")
RUNS = {
    "pytest-randomly": Run("pytest-randomly", (), {}),
    "cassetter": Run("cassetter", (), {}),
    "pytest-asyncio": Run("pytest-asyncio", ("-o", "asyncio_mode=strict", *LOOP_SCOPE), {"test_then": ASYNC_MARKED}),
    "time-machine": Run("time-machine", (), {"test_then": TIME_MACHINE}),
    "freezegun": Run("freezegun", (), {"test_then": FREEZEGUN}),
    "pytest-recording": Run("pytest-recording", ("--record-mode=once",), {"test_then": RECORDING}),
    "pytest-recording, no new": Run("pytest-recording", ("--record-mode=none",), {"test_then": RECORDING}),
}
"""In each, `test_project.py` asks nothing of the plugin; `test_then.py`, which comes after it, does."""


class Outcome(NamedTuple):
    """The counts of passed and failed tests by file, and the project's folder."""

    counts: dict[str, dict[str, int]]
    folder: Path


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """Return the result of one of `RUNS`, which is run only once."""

    @cache
    def of(name: str) -> Outcome:
        plugin, arguments, files = RUNS[name]
        folder = project(tmp_path_factory.mktemp("downstream"), TESTS, **files)
        return Outcome(run_by_file(folder, "-W", "error", *arguments, beside=[f"plugin-{plugin}"]), folder)

    return of


@pytest.mark.parametrize("name", ["pytest-randomly", "cassetter", "pytest-asyncio", "time-machine", "pytest-recording"])
def test_beside_another_plugin(name: str, outcome: Callable[[str], Outcome]) -> None:
    """All tests pass while the other plugin is loaded and unused."""
    assert outcome(name).counts["test_project"] == {"passed": 4}


def test_async_tests_of_pytest_asyncio_with_marks(outcome: Callable[[str], Outcome]) -> None:
    """Async tests get the fixture in pytest-asyncio's strict mode."""
    assert outcome("pytest-asyncio").counts["test_then"] == {"passed": 2}


@pytest.mark.parametrize(
    ("beside", "mark", "arguments"),
    [
        (("plugin-pytest-asyncio",), "", ("-o", "asyncio_mode=auto")),
        ((), "@pytest.mark.anyio", ()),
    ],
    ids=["asyncio auto", "anyio"],
)
def test_async_tests(beside: tuple[str, ...], mark: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Async tests get the fixture in pytest-asyncio's auto mode and with anyio."""
    folder = project(tmp_path, ASYNC.replace("MARK", mark), conftest=ANYIO)
    assert run(folder, *arguments, beside=beside) == {"passed": 2}


@pytest.mark.parametrize("name", ["time-machine", "freezegun"])
def test_with_a_stopped_clock(name: str, outcome: Callable[[str], Outcome]) -> None:
    """With a frozen process clock jobs still progress, at virtual and at real paces."""
    assert outcome(name).counts["test_then"] == {"passed": 2}


PROXY = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")


def test_with_a_proxy_in_the_environment(tmp_path: Path) -> None:
    """A proxy in the environment does not intercept requests to the fake."""
    assert run(project(tmp_path, TESTS + OFFICIAL), environment=PROXY) == {"passed": 5}


@pytest.mark.parametrize("name", ["pytest-recording", "pytest-recording, no new"])
def test_the_fakes_traffic_is_not_recorded(name: str, outcome: Callable[[str], Outcome]) -> None:
    """pytest-recording neither records nor blocks requests to the fake, by any library."""
    counts, folder = outcome(name)
    assert counts["test_then"] == {"passed": 1}
    assert list(folder.rglob("*.yaml")) == []


def test_the_wall_clock_by_time_machine(tmp_path: Path) -> None:
    """With time-machine, `time.time` and `datetime` are the clock of the fake; without the option they are not."""
    tests = """
import datetime, time, pytest

@pytest.mark.fake_fine_tuning(virtual_time=True, wall_clock=True, start=1_700_000_000)
def test_wall_clock(fake_fine_tuning):
    time.sleep(60)
    assert time.time() == fake_fine_tuning.now == 1_700_000_060
    fake_fine_tuning.advance(5)
    assert datetime.datetime.now(datetime.timezone.utc).timestamp() == 1_700_000_065

@pytest.mark.fake_fine_tuning(virtual_time=True, start=1_700_000_000)
def test_real_clock(fake_fine_tuning):
    time.sleep(60)
    assert time.time() - fake_fine_tuning.now > 10_000_000
"""
    assert run(project(tmp_path, tests), beside=["plugin-time-machine"]) == {"passed": 2}
