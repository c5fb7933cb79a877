"""What a start imports, counted: neither a busy machine nor a slow one changes it."""

from __future__ import annotations

import subprocess
import sys

import pytest

START = """
import sys

generated = 0

def note(event, arguments):
    global generated
    generated += event == "compile" and b"__create_fn__" in (arguments[0] or b"")

sys.addaudithook(note)
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.in_process import call_app
from fine_tuning_fakeserver.web import server

with FakeFineTuning() as fake:
    answer = call_app(fake.asgi_app, "GET", b"/v1/fine_tuning/jobs", [(b"authorization", b"Bearer any")], b"")
    assert answer.status == 200, answer
print(generated, *sorted(sys.modules))
"""


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What a process says that has started a server, answered a list of jobs, and stopped."""
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture(scope="module")
def modules(said: list[str]) -> set[str]:
    """The modules that it has imported."""
    return set(said[1:])


@pytest.mark.parametrize(
    "name",
    [
        "pydantic",
        "httpx",
        "rich",
        "fine_tuning_client",
        "fine_tuning_fakeserver.findings",
        "fine_tuning_fakeserver.fake.reproduction",
        "fine_tuning_fakeserver.web.script_player",
        "fine_tuning_fakeserver.verify",
    ],
)
def test_a_start_imports_only_what_it_needs(name: str, modules: set[str]) -> None:
    """A server that has answered a list of jobs has not imported what only other requests and reports need."""
    assert name not in modules
    assert "fine_tuning_fakeserver.web.server" in modules


def test_a_start_imports_few_modules(modules: set[str]) -> None:
    """A server that has answered a list of jobs has imported no more than so many modules of the fake's."""
    assert len({name for name in modules if name.startswith("fine_tuning_")}) <= 93


def test_a_start_generates_little_code(said: list[str]) -> None:
    """A server that has answered a list of jobs has generated no more than so many functions of dataclasses."""
    assert int(said[0]) <= 130
