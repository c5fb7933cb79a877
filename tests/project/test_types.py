"""What mypy and pyright, both strict, say of a user's files that use the public API."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import httpx
import pytest
from pydantic import BaseModel

import fine_tuning_client
from fine_tuning_client import (
    AsyncFineTuning,
    AsyncFineTuningClient,
    FineTuning,
    FineTuningClient,
    ProviderProfile,
    testing,
)
from fine_tuning_client.client import _Client
from fine_tuning_fakeserver import FakeFineTuning, Plan, PlanFields, Settings, SettingsFields
from fine_tuning_fakeserver.control.seeding import FileSeed, FileSeedFields, JobSeed, JobSeedFields
from fine_tuning_fakeserver.domain.fault_spec import SELECTORS, FaultSpec, FaultTarget
from other_environments import CACHE
from strategies import ROWS
from typed import uses_everything, uses_the_fake

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1] / "typed"
RIGHT, FAKE, WRONG = "uses_everything.py", "uses_the_fake.py", "misuses.py"

Errors = Mapping[str, set[int]]
"""The lines with errors, by file name."""


def _mypy(folder: Path) -> Errors:
    cache = str(CACHE / "mypy-of-users")  # kept: without it, mypy reads all that is installed anew
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", cache]
    found = subprocess.run([*command, RIGHT, FAKE, WRONG], cwd=folder, capture_output=True, text=True)
    assert "checked 3 source files" in found.stdout, found.stdout + found.stderr
    lines = re.findall(r"^(\w+\.py):(\d+): error:", found.stdout, re.MULTILINE)
    return _by_file((name, int(line)) for name, line in lines)


def _pyright(folder: Path) -> Errors:
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    report = json.loads(found.stdout)
    assert report["summary"]["filesAnalyzed"] == 3, found.stdout
    problems = report["generalDiagnostics"]
    return _by_file((Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in problems)


def _by_file(problems: Iterator[tuple[str, int]]) -> Errors:
    lines: dict[str, set[int]] = {RIGHT: set(), FAKE: set(), WRONG: set()}
    for name, line in problems:
        lines[name].add(line)
    return lines


@pytest.fixture(scope="module", params=[_mypy, _pyright], ids=["mypy", "pyright"])
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """The lines with errors that a type checker finds in the user's files, in an otherwise empty folder."""
    folder = tmp_path_factory.mktemp("user")
    for name in (RIGHT, FAKE):
        (folder / name).write_bytes((HERE / name).read_bytes())
    (folder / WRONG).write_bytes((HERE / "misuses.txt").read_bytes())  # with another suffix there: no checker's food
    found: Errors = request.param(folder)
    return found


def test_the_package_says_that_it_is_typed() -> None:
    """The client package has a `py.typed`."""
    assert Path(fine_tuning_client.__file__).with_name("py.typed").is_file()


def test_everything_has_the_type_that_a_user_expects(errors: Errors) -> None:
    """A strict type checker accepts files that use the API and assert each result's type."""
    assert errors[RIGHT] == errors[FAKE] == set()


def test_each_mistake_is_found_and_nothing_else(errors: Errors) -> None:
    """A strict type checker reports exactly the lines with a marked mistake."""
    lines = (HERE / "misuses.txt").read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if "# error: " in line}
    assert len(marked) > 15
    assert errors[WRONG] == marked


def _public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_the_users_file_uses_everything() -> None:
    """The checked file uses every public name, every method of both clients, and all members of the results."""
    tree = ast.parse((HERE / RIGHT).read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    members = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    classes = [getattr(fine_tuning_client, name) for name in fine_tuning_client.__all__]
    shown = [each for each in classes if isinstance(each, type) and not issubclass(each, Exception | _Client)]
    shown.remove(ProviderProfile)  # it is made, and not looked at

    assert set(fine_tuning_client.__all__) - names == set()
    assert set().union(*map(_public, shown)) - {"NOUN", "ITEM", "index", "count"} - members == set()
    for owner, used in _verbs_used(tree).items():
        assert _public(owner) - used == set(), owner


def test_the_users_file_gives_every_keyword() -> None:
    """The checked file passes every keyword of every method."""
    tree = ast.parse((HERE / RIGHT).read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = {(_called(call), each.arg) for call in calls for each in call.keywords}
    verbs = {name: getattr(FineTuning, name) for name in _public(FineTuning)}
    keywords = {
        (name, each.name)
        for name, verb in verbs.items()
        for each in inspect.signature(verb).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }
    assert len(keywords) > 20
    assert keywords - given == set()


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _verbs_used(tree: ast.Module) -> dict[object, set[str]]:
    """The methods called on each of the clients."""
    owners: dict[object, tuple[str, ...]] = {
        FineTuningClient: ("with_a_client.ft", "clients_are_made.blocking"),
        AsyncFineTuningClient: ("with_an_async_client.ft", "async_clients_are_made.awaited"),
    }
    used: dict[str, set[str]] = {}
    for function in tree.body:
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                for name in (node.value.id, f"{getattr(function, 'name', '')}.{node.value.id}"):
                    used.setdefault(name, set()).add(node.attr)
    return {owner: set().union(*(used.get(name, set()) for name in names)) for owner, names in owners.items()}


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """A training file, while every client is redirected to a fake."""
    path = tmp_path / "train.jsonl"
    path.write_text(ROWS)
    fake = FakeFineTuning(pace="polls")
    transport = fake.transport()
    doors: dict[str, Any] = {
        "http_client": httpx.Client(transport=transport),
        "async_http_client": httpx.AsyncClient(transport=transport),
    }
    with testing.redirect("http://fake/v1", **doors, sleep=fake.sleep, clock=lambda: fake.now):
        yield path
    assert [job["status"] for job in fake.jobs] == ["succeeded", "cancelled"]


SESSIONS: Mapping[str, Callable[[Path], object]] = {
    "client": lambda path: uses_everything.with_a_client(FineTuningClient("fake"), path),
    "facade": lambda path: uses_everything.with_a_client(FineTuning, path),
    "async client": lambda path: asyncio.run(uses_everything.with_an_async_client(AsyncFineTuningClient("fake"), path)),
    "async facade": lambda path: asyncio.run(uses_everything.with_an_async_client(AsyncFineTuning, path)),
}


@pytest.mark.parametrize("session", SESSIONS)
def test_the_users_file_runs(session: str, source: Path) -> None:
    """The type-checked session runs against the fake, from upload to the model's deletion."""
    SESSIONS[session](source)


def test_the_file_about_the_fake_runs() -> None:
    """The type-checked file about steering the fake runs."""
    uses_the_fake.settings_are_given()
    fake = FakeFineTuning(**uses_the_fake.FRESH)
    fake.transport()
    uses_the_fake.time_and_plans(fake, ROWS)


KEYWORDS: dict[type, tuple[type, set[str]]] = {
    SettingsFields: (Settings, set()),
    PlanFields: (Plan, set()),
    FaultTarget: (FaultSpec, set(FaultSpec.__annotations__) - set(SELECTORS)),
    FileSeedFields: (FileSeed, {"content"}),
    JobSeedFields: (JobSeed, {"training_file"}),
}
"""The keywords of the fake that type checkers are shown: their declaration, and what it has besides."""


@pytest.mark.parametrize("keywords", KEYWORDS, ids=lambda keywords: keywords.__name__)
def test_keywords_are_declared_as_they_are_shown(keywords: type) -> None:
    """Each keyword's type hint accepts every type that its declaration accepts."""
    declaration, others = KEYWORDS[keywords]
    shown, declared = get_type_hints(keywords), get_type_hints(declaration)

    assert shown.keys() == declared.keys() - others - {"model_config"}
    for name, hint in shown.items():
        for member in members_of(declared[name]):
            assert any(accepts(each, member) for each in members_of(hint)), (name, member)


def members_of(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def accepts(shown: Any, declared: Any) -> bool:
    """Return whether a value of the declared type may be passed to the shown type; seeds may be mappings."""
    if shown == declared:
        return True
    wanted, own = (get_origin(hint) or hint for hint in (shown, declared))
    if not (isinstance(wanted, type) and isinstance(own, type)):
        return False
    return issubclass(Mapping if issubclass(own, BaseModel) else own, dict if is_typeddict(wanted) else wanted)


def test_the_users_clients_can_be_made() -> None:
    """The type-checked construction of clients, with every argument, runs."""
    uses_everything.clients_are_made()
    asyncio.run(uses_everything.async_clients_are_made())
