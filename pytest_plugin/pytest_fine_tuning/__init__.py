"""The pytest plugin: a test of fine-tuning code in one line.

This module is imported by every pytest run on the machine it is installed on, so it imports pytest and typing only;
what a fixture needs is imported when the fixture is used.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from .stash import HANDLE, MARK, TAPE, TAPES, UNPASSED

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette
    from fine_tuning_fakeserver import FakeFineTuning, Plan, PlanFields

    from .fixture import SessionServer
    from .service_modes import FineTuningService

__all__ = [
    "UnfiredFaultWarning",
    "fake_fine_tuning",
    "fake_fine_tuning_plan",
    "fake_fine_tuning_server",
    "fine_tuning_cassette",
    "fine_tuning_service",
]

MARKER = (
    f"{MARK}(pace=, plan=, dialect=, seed=, faults=, guard=, guarded_hosts=, allowed_hosts=, findings=, "
    "findings_ignore=, …): how the test has its fake; any of the fake's settings. The fixture comes with the mark."
)
INI: Mapping[str, tuple[str, Any]] = {
    "pace": ("how time passes: polls, manual, instant, or virtual seconds a real second", str | int | float),
    "plan": ("how jobs go: a JSON object or a TOML inline table", "string"),
    "faults": ("what goes wrong: a JSON list or a TOML array of faults", "string"),
    "dialect": ("how the API speaks, such as openai-2025-09", "string"),
    "seed": ("what ids and losses are derived from", str | int),
    "guard": ("whether requests to providers end at the fake: true (default) or false", str | bool),
    "guarded_hosts": ("more hosts that are never asked", "linelist"),
    "allowed_hosts": ("hosts that may be asked all the same", "linelist"),
    "findings": ("what is done about findings: off (default), report, fail", "string"),
}
PLAN = "fake_fine_tuning_plan"

TAPE_MARKER = (
    f"{TAPE}(name, *, session=, mode=, max_age=, on_expiry=, on_unplayed=, scrub_training_data=, hosts=, …): the test "
    "replays this cassette, or records it; any argument of use_cassette. The test has the fixture by this alone."
)
TAPE_INI: Mapping[str, str] = {
    "cassette_dir": "folder for cassettes beside a test's file (default: cassettes)",
    "max_age": "how old a cassette may be that is replayed, such as 90d",
    "on_expiry": "what to do about an older one: fail (default), warn, rerecord",
    "on_unplayed": "what to do about recordings that nobody asked for: ignore (default), warn, fail",
}
MODES = ("none", "once", "new_episodes", "all", "rewrite")
SERVICES = ("openai", "azure", "fake")
WAYS = ("fake", "replay", "record", "live")


class UnfiredFaultWarning(pytest.PytestWarning):
    """A test has armed a fault that no call met: it has not tested what it says."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag and the ini keys."""
    text = "list what code under test did wrong against the fake, although its tests pass"
    group = parser.getgroup("fake-fine-tuning")
    group.addoption("--fine-tuning-findings", action="store_true", help=text)
    text = (
        "how tests with fine_tuning_cassette use their cassettes, whatever --fine-tuning says: none (default) replays; "
        "the others record what is missing, or all"
    )
    group.addoption("--fine-tuning-record", choices=MODES, metavar="MODE", help=f"{text} ({', '.join(MODES)})")
    text = "what is recorded, by either: openai (default), azure, or fake"
    group.addoption("--fine-tuning-record-from", choices=SERVICES, default="openai", metavar="SERVICE", help=text)
    text = (
        "whom tests with fine_tuning_service talk to, whatever --fine-tuning-record says: fake (default), replay, "
        "record (all of the cassette), or live; the last two cost money, unless it is the fake that is recorded"
    )
    group.addoption("--fine-tuning", choices=WAYS, default="fake", metavar="WAY", help=text)
    for name, words in TAPE_INI.items():
        parser.addini(f"fine_tuning_{name}", f"{TAPE}: {words}", "string", default="")
    for name, (words, kind) in INI.items():
        _add_ini(parser, f"{MARK}_{name}", f"fake_fine_tuning: {words}", kind)


def _add_ini(parser: pytest.Parser, name: str, words: str, kind: Any) -> None:
    default: Any = [] if kind == "linelist" else ""
    try:
        parser.addini(name, words, kind, default=default)
    except (AssertionError, TypeError, ValueError):  # before pytest 9.2, which has types, all of them are texts
        parser.addini(name, words, "string", default=default)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and check ini keys if there are any."""
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", TAPE_MARKER)
    if any(config.getini(f"{MARK}_{name}") not in ("", []) for name in INI):
        from .options import check_ini

        check_ini(config)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a marked test parametrize the plan, as one can that names the fixture."""
    if PLAN not in metafunc.fixturenames and metafunc.definition.get_closest_marker(MARK):
        metafunc.fixturenames.append(PLAN)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give marked tests the fixture, and refuse marks that make no sense."""
    marked = [item for item in items if item.get_closest_marker(MARK) or item.get_closest_marker(TAPE)]
    if marked:
        from .markers import take_marks

        take_marks(marked)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what the fake has seen, where a test with one has failed."""
    report = yield
    if UNPASSED in item.stash and report.when != "teardown" and not report.passed:
        item.stash[UNPASSED] = True
    if HANDLE in item.stash:
        from .reporting import complete

        complete(item, report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Write what a test has recorded, after all of its fixtures have ended well."""
    passed = False
    try:
        result = yield
        passed = not item.stash.get(UNPASSED, False)
    finally:
        if TAPES in item.stash:
            from .cassettes import finish_cassette

            finish_cassette(item, passed)
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the findings."""
    from .reporting import summarize

    summarize(terminalreporter)


@pytest.fixture(scope="session")
def _fine_tuning_server() -> Generator[SessionServer, None, None]:
    from .fixture import SessionServer

    server = SessionServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def fake_fine_tuning_server(_fine_tuning_server: SessionServer) -> FakeFineTuning:
    """The fake of the session, on a free loopback port.

    Use `fake_fine_tuning`, which empties it for each test; a test that uses this alone calls `reset` first.
    """
    _fine_tuning_server.open()
    return _fine_tuning_server.fake


@pytest.fixture
def fake_fine_tuning_plan() -> Plan | PlanFields | None:
    """How jobs go in tests whose mark does not say it: override this in a module or a conftest. None: as ever."""
    return None


@pytest.fixture
def fake_fine_tuning(
    request: pytest.FixtureRequest,
    _fine_tuning_server: SessionServer,
    fake_fine_tuning_plan: Plan | PlanFields | None,
) -> Generator[FakeFineTuning, None, None]:
    """The fake with a fresh account, at the pace "polls": every polling loop ends without waiting.

    ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` are set, so a client that is made without arguments talks to the fake;
    every client of `fine_tuning_client` does, and its waits cost no real time, except at a numeric pace. Requests of
    httpx and httpx2 to a known provider are answered by the fake, too; those of other libraries are refused, as far
    as they use Python's own modules (`guard` says what that leaves out). The account is emptied before the test, not
    after it: what a failed test left can be looked at, and is told in its report.
    """
    from .fixture import fake_for_test

    with fake_for_test(request.node, _fine_tuning_server, fake_fine_tuning_plan) as fake:
        yield fake


@pytest.fixture
def fine_tuning_cassette(request: pytest.FixtureRequest) -> Generator[Cassette, None, None]:
    """The test's cassette, replayed: ``cassettes/{module}/{test}.yaml``, or what the mark names.

    With ``--fine-tuning-record=MODE`` it is recorded, from the service that the code under test talks to; a test that
    fails records nothing. While it is replayed, no key is needed, and waits of our client take no time.
    """
    from .service_modes import recorded, tape_for

    tape = tape_for(request.node, request.config.getoption("fine_tuning_record"))
    with recorded(request, tape) as service:
        assert service.cassette is not None
        yield service.cassette


@pytest.fixture
def fine_tuning_service(request: pytest.FixtureRequest) -> Generator[FineTuningService, None, None]:
    """Whom the test talks to, by ``--fine-tuning``: the fake, a cassette, a service being recorded, or the service."""
    from .service_modes import service_for_test

    with service_for_test(request) as service:
        yield service
