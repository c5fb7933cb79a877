"""The pytest plugin: hooks and fixtures.

Every pytest run on the machine imports this module, so it imports pytest and typing only; a fixture imports what it
needs when it is used.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from .markers import (
    CASSETTE_ATTRIBUTE,
    CASSETTE_MARK,
    CASSETTE_REPORT,
    CASSETTES,
    COLLECTED,
    DIALECT_PARAMETER,
    DIALECTS_FLAG,
    EXPLORATION_ATTRIBUTE,
    EXPLORE_FLAG,
    EXPLORED_RUN,
    FAKE_MARK,
    HANDLE,
    IMPORT_ENV,
    MODULE_FIXTURE,
    NOT_EXPLORED,
    NOT_PASSED,
    OUTER_FAKES,
    SERVER_FLAG,
    SERVER_INI,
    SESSION_FIXTURE,
    SHARD_PARAMETER,
)

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette
    from fine_tuning_fakeserver import FakeFineTuning, Plan, PlanFields
    from fine_tuning_fakeserver.virtual_time import VirtualTime

    from .fixture import SessionServer
    from .service_modes import FineTuningService

__all__ = [
    "UnfiredFaultWarning",
    "fake_fine_tuning",
    "fake_fine_tuning_module",
    "fake_fine_tuning_plan",
    "fake_fine_tuning_server",
    "fake_fine_tuning_session",
    "fine_tuning_cassette",
    "fine_tuning_service",
    "virtual_time_fixture",
]

MARKER = (
    f"{FAKE_MARK}(pace=, plan=, dialect=, seed=, faults=, guard=, guarded_hosts=, allowed_hosts=, findings=, "
    "findings_ignore=, virtual_time=, wall_clock=, explore=, …): give the test the fixture, with these options or "
    "any setting of the fake."
)
INI: Mapping[str, tuple[str, Any]] = {
    "pace": ("how time passes: polls, manual, instant, or virtual seconds per real second", str | int | float),
    "plan": ("how jobs go: a JSON object or a TOML inline table", "string"),
    "faults": ("faults armed at the start: a JSON list or a TOML array", "string"),
    "dialect": ("dialect of the API, such as openai-2025-09", "string"),
    "seed": ("the number from which ids and losses are derived", str | int),
    "guard": ("send requests for providers to the fake: true (default) or false", str | bool),
    "guarded_hosts": ("more hosts that no request may reach", "linelist"),
    "allowed_hosts": ("hosts that requests may reach all the same", "linelist"),
    "findings": ("what to do about findings: off (default), report, fail", "string"),
    "virtual_time": ("waits of tests are virtual, and move the fake's clock: true or false (default)", str | bool),
    "wall_clock": ("with virtual time, time.time and datetime are the fake's clock, by time-machine", str | bool),
}
IMPORT_ENV_INI = "a placeholder key and URL while tests are collected: true or false (default)"
PLAN_FIXTURE = "fake_fine_tuning_plan"

CASSETTE_MARKER = (
    f"{CASSETTE_MARK}(name, *, session=, mode=, max_age=, on_expiry=, on_unplayed=, scrub=, hosts=, …): "
    "replay this cassette in the test, or record it; takes any argument of use_cassette and brings the fixture."
)
CASSETTE_INI: Mapping[str, str] = {
    "cassette_dir": "folder for cassettes beside a test's file (default: cassettes)",
    "max_age": "maximum age of a replayed cassette, such as 90d",
    "on_expiry": "what to do about an older one: fail (default), warn, rerecord",
    "on_unplayed": "what to do about responses that were not used: ignore (default), warn, fail",
    "record_from": "the service to record, as --fine-tuning-record-from",
}
SCRUB_INI = "what else is not written: regular expressions, and functions as @module:function"
RECORD_MODES = ("none", "once", "new_episodes", "all", "rewrite")
RECORD_SOURCES = ("openai", "azure", "fake")
SERVICE_MODES = ("fake", "replay", "record", "live")
SHARDS_AT_MOST = 1000
OWN_PACKAGES = ("fine_tuning_", "pytest_fine_tuning.")


class UnfiredFaultWarning(pytest.PytestWarning):
    """A test armed a fault that hit no request, so it did not test that fault."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag and the ini keys."""
    text = "report what the code under test did wrong against the fake although its tests pass"
    group = parser.getgroup("fake-fine-tuning")
    group.addoption("--fine-tuning-findings", action="store_true", help=text)
    text = (
        "run each test with fake_fine_tuning again and again, each time with one misfortune at one request: at most N "
        "times (default 100), or with one COMBINATION such as cancelled@7"
    )
    group.addoption(
        "--fine-tuning-explore", nargs="?", type=_explore_value, const=True, metavar="N|COMBINATION", help=text
    )
    text = "give each test with fake_fine_tuning an account of its own on this server, such as http://127.0.0.1:4355"
    group.addoption(SERVER_FLAG, metavar="URL", help=text)
    text = "run each test with fake_fine_tuning once in each of these dialects, and show what breaks in which"
    group.addoption("--fine-tuning-dialects", type=_dialect_names, default=(), metavar="NAME,NAME…", help=text)
    parser.addini(SERVER_INI, f"the server to use, as {SERVER_FLAG}", "string", default="")
    text = "collect each explored test as N tests, each with a part of its runs, for pytest-xdist"
    group.addoption("--fine-tuning-explore-shards", type=_shard_count, default=1, metavar="N", help=text)
    text = (
        "how tests with fine_tuning_cassette use their cassettes: none (default) replays; the others record what is "
        f"missing, or all ({', '.join(RECORD_MODES)})"
    )
    group.addoption("--fine-tuning-record", choices=RECORD_MODES, metavar="MODE", help=text)
    text = (
        "the service to record: openai, azure, or fake; by default the one that a cassette was recorded from, and "
        "openai for a new one"
    )
    group.addoption("--fine-tuning-record-from", choices=RECORD_SOURCES, metavar="SERVICE", help=text)
    text = "record also what was recorded from another service than --fine-tuning-record-from"
    group.addoption("--fine-tuning-change-source", action="store_true", help=text)
    text = (
        "what tests with fine_tuning_service use: fake (default), replay, record (the whole cassette), or live; the "
        "last two cost money unless the fake is recorded"
    )
    group.addoption("--fine-tuning", choices=SERVICE_MODES, default="fake", metavar="MODE", help=text)
    text = "do not save the accounts of failed tests below pytest's cache folder"
    group.addoption("--fine-tuning-no-save", action="store_true", help=text)
    for name, words in CASSETTE_INI.items():
        parser.addini(f"fine_tuning_{name}", f"{CASSETTE_MARK}: {words}", "string", default="")
    parser.addini("fine_tuning_scrub", f"{CASSETTE_MARK}: {SCRUB_INI}", "linelist", default=[])
    for name, (words, kind) in {**INI, "import_env": (IMPORT_ENV_INI, str | bool)}.items():
        default: Any = [] if kind == "linelist" else ""
        try:
            parser.addini(f"{FAKE_MARK}_{name}", f"{FAKE_MARK}: {words}", kind, default=default)
        except (AssertionError, TypeError, ValueError):  # pytest before 9.2 knows no typed ini keys
            parser.addini(f"{FAKE_MARK}_{name}", f"{FAKE_MARK}: {words}", "string", default=default)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks, and check the ini keys if any is set."""
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", CASSETTE_MARKER)
    if config.getoption(DIALECTS_FLAG) and config.getoption(EXPLORE_FLAG) is not None:
        raise pytest.UsageError(
            "--fine-tuning-dialects and --fine-tuning-explore must be given one at a time, got both"
        )
    if any(config.getini(f"{FAKE_MARK}_{name}") not in ("", []) for name in INI):
        from .options import check_ini

        check_ini(config)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Set the placeholder key and URL while the first conftest.py files are imported, if wanted."""
    try:
        if not _wants_placeholder(early_config):
            return (yield)
        from .import_environment import placeholder_environment

        with placeholder_environment(early_config):
            return (yield)
    except Exception as error:
        from .import_environment import add_hint

        add_hint(early_config, error)
        raise


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Set the placeholder key and URL while tests are collected, if wanted; not for processes started in between."""
    if not _wants_placeholder(session.config):
        return (yield)
    from .import_environment import placeholder_environment

    with placeholder_environment(session.config):
        return (yield)


def _explore_value(text: str) -> Any:
    """Return the value of ``--fine-tuning-explore``: a number of runs, or a combination; the bare flag is true."""
    if text.lstrip("-").isdigit():
        if int(text) > 0:
            return int(text)
        raise argparse.ArgumentTypeError(f"N must be a whole number from 1, got {text}")
    from fine_tuning_fakeserver import FakeUsageError
    from fine_tuning_fakeserver.fake.exploration.disturbance import Combination

    try:
        return Combination.parse(text)
    except FakeUsageError as error:
        remedy = "write --fine-tuning-explore=N, or put the flag last"
        raise argparse.ArgumentTypeError(f"{error}; {remedy}") from None


def _dialect_names(text: str) -> list[str]:
    from fine_tuning_fakeserver.domain.dialects import DIALECTS

    names = list(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in DIALECTS]:
        raise argparse.ArgumentTypeError(f"must name some of {', '.join(DIALECTS)}, got {unknown[0]!r}")
    return names


def _shard_count(text: str) -> int:
    if text.isdigit() and 0 < int(text) <= SHARDS_AT_MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {SHARDS_AT_MOST}, got {text!r}")


def _wants_placeholder(config: pytest.Config) -> bool:
    return config.getini(IMPORT_ENV) not in ("", False)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a marked test parametrize the plan, like a test that requests the fixture."""
    if PLAN_FIXTURE not in metafunc.fixturenames and metafunc.definition.get_closest_marker(FAKE_MARK):
        metafunc.fixturenames.append(PLAN_FIXTURE)
    if (names := metafunc.config.getoption(DIALECTS_FLAG)) and _has_fixture(metafunc.definition):
        from .rehearsal import fixed_reason

        if not fixed_reason(metafunc.definition):
            metafunc.fixturenames.append(DIALECT_PARAMETER)
            metafunc.parametrize(DIALECT_PARAMETER, names, ids=names)
    shards = metafunc.config.getoption("fine_tuning_explore_shards")
    if shards > 1 and _is_explored(metafunc.definition):
        metafunc.fixturenames.append(SHARD_PARAMETER)
        parts = [(index, shards) for index in range(shards)]
        metafunc.parametrize(SHARD_PARAMETER, parts, ids=[f"explore-{index + 1}of{shards}" for index, _ in parts])


def _has_fixture(item: pytest.Item) -> bool:
    return FAKE_MARK in getattr(item, "fixturenames", ()) or item.get_closest_marker(FAKE_MARK) is not None


def _is_explored(item: pytest.Item) -> bool:
    """Return whether *item* may be explored: by a mark, or as the flag is given."""
    if item.config.getoption(EXPLORE_FLAG) is not None:
        return _has_fixture(item)
    return any("explore" in mark.kwargs for mark in item.iter_markers(FAKE_MARK))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Run a test that is explored with all its misfortunes."""
    if not _is_explored(item):
        return None
    from .explore import options_of, run_explored

    if not (options := options_of(item)):
        return None
    run_explored(item, nextitem, options)
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give marked tests their fixture, and refuse invalid marks."""
    config.stash[COLLECTED] = list(items)
    marked = [item for item in items if item.get_closest_marker(FAKE_MARK) or item.get_closest_marker(CASSETTE_MARK)]
    if marked:
        from .markers import apply_marks

        apply_marks(marked)


@pytest.hookimpl(wrapper=True, trylast=True)  # innermost: what the program prints is captured
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Start the program of an explored test again where its process has ended."""
    if EXPLORED_RUN not in item.stash:
        return (yield)
    from fine_tuning_fakeserver.fake.exploration.disturbance import ProcessEndedError

    try:
        return (yield)
    except ProcessEndedError:
        item.stash[EXPLORED_RUN].start_again()
        return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the fake saw to the report of a failed test, and notes about its cassette."""
    if EXPLORED_RUN in item.stash:
        item.stash[EXPLORED_RUN].note(call)
    report = yield
    _shorten_summary_line(report)
    if report.when == "setup" or (report.when == "call" and not report.passed):
        item.stash[NOT_PASSED] = not report.passed
    if HANDLE in item.stash:
        from .fixture import add_report_section

        add_report_section(item, report)
    if item.config.getoption(DIALECTS_FLAG):
        from .rehearsal import note_run

        note_run(item, call, report, item.stash.get(HANDLE, None))
    if OUTER_FAKES in item.config.stash:
        from .outer_fakes import add_outer_sections

        add_outer_sections(item, report)
    if report.when == "teardown" and NOT_EXPLORED in item.stash and FAKE_MARK in getattr(item, "fixturenames", ()):
        setattr(report, EXPLORATION_ATTRIBUTE, [f"not explored: {item.stash[NOT_EXPLORED]}"])
    if report.when == "teardown" and CASSETTE_REPORT in item.stash:
        setattr(report, CASSETTE_ATTRIBUTE, item.stash[CASSETTE_REPORT])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let the message of a usage error in a module's own code survive the summary; say what a missing key needs."""
    report = yield
    _shorten_summary_line(report)
    if report.failed:
        from .import_environment import add_hint_section

        add_hint_section(collector.config, report)
    return report


def _shorten_summary_line(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Name an error of this project without its module in the one line of the summary, which pytest cuts."""
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    name = crash.message.partition(":")[0] if crash else ""
    if name.startswith(OWN_PACKAGES) and name.replace(".", "").isidentifier():
        crash.message = crash.message.removeprefix(f"{name.rpartition('.')[0]}.")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Write what a test recorded, once all of its fixtures have ended without error."""
    passed = False
    try:
        result = yield
        passed = not item.stash.get(NOT_PASSED, False)
    finally:
        if CASSETTES in item.stash:
            from .cassettes import finish_cassette

            finish_cassette(item, passed)
    if OUTER_FAKES in item.config.stash:
        from .outer_fakes import fail_on_misuse

        fail_on_misuse(item)
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the findings and the summary of cassettes."""
    from .summary import write_summary

    write_summary(terminalreporter)


@pytest.fixture(scope="session")
def _fine_tuning_server() -> Generator[SessionServer, None, None]:
    from .fixture import SessionServer

    server = SessionServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def fake_fine_tuning_server(_fine_tuning_server: SessionServer) -> FakeFineTuning:
    """Return the session's fake, served on a free loopback port.

    Prefer `fake_fine_tuning`, which resets it for each test; a test that uses this fixture alone calls `reset` first.
    """
    _fine_tuning_server.open()
    return _fine_tuning_server.fake


@pytest.fixture
def fake_fine_tuning_plan() -> Plan | PlanFields | None:
    """Return the plan of tests without a plan in their mark, or None for the default; override it as needed."""
    return None


@pytest.fixture
def fake_fine_tuning(
    request: pytest.FixtureRequest,
    _fine_tuning_server: SessionServer,
    fake_fine_tuning_plan: Plan | PlanFields | None,
) -> Generator[FakeFineTuning, None, None]:
    """Provide the fake with a fresh account, at the pace "polls": polling loops end without waiting.

    ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY`` are set, so a client made without arguments talks to the fake; so does
    every client of `fine_tuning_client`, whose waits take no real time except at a numeric pace. Requests of httpx,
    httpx2 and aiohttp to a known provider go to the fake, too; those of other libraries are refused where they pass
    through Python's own modules (see `network_guard`). The account is reset before the test, not after it, so that what
    a failed test left can be inspected and is in its report.
    """
    from .fixture import fake_for_test

    with fake_for_test(request.node, _fine_tuning_server, fake_fine_tuning_plan) as fake:
        yield fake


@pytest.fixture(name="virtual_time")  # under its own name it would hide the module
def virtual_time_fixture(request: pytest.FixtureRequest, fake_fine_tuning: FakeFineTuning) -> VirtualTime:
    """Make the test's waits virtual, as ``@pytest.mark.fake_fine_tuning(virtual_time=True)`` does; return its clock.

    Waits of the test's thread, and of threads that it starts, cost no real time and move the fake's clock by what was
    waited. The pace is "manual".
    """
    from .fixture import virtual_time_of

    return virtual_time_of(request)


@pytest.fixture(scope="session")
def _fine_tuning_module_server() -> Generator[SessionServer, None, None]:
    from .outer_fakes import outer_server

    server = outer_server(MODULE_FIXTURE)
    yield server
    server.close()


@pytest.fixture(scope="module")
def fake_fine_tuning_module(
    request: pytest.FixtureRequest, _fine_tuning_module_server: SessionServer
) -> Generator[FakeFineTuning, None, None]:
    """Provide a fake like `fake_fine_tuning`, with an account of its own that lasts for the module.

    For clients and accounts that outlive a test. Clients are directed to it, and providers guarded, from the first test
    that requests it to the last of the module; while a test has `fake_fine_tuning` as well, to that one. Its options
    are those of the ini keys and of the module's ``pytestmark``.
    """
    from .outer_fakes import fake_for_scope

    with fake_for_scope(request, _fine_tuning_module_server) as fake:
        yield fake


@pytest.fixture(scope="session")
def fake_fine_tuning_session(request: pytest.FixtureRequest) -> Generator[FakeFineTuning, None, None]:
    """Provide a fake like `fake_fine_tuning_module` for the whole run, or for one worker of pytest-xdist."""
    from .outer_fakes import fake_for_scope, outer_server

    server = outer_server(SESSION_FIXTURE)
    try:
        with fake_for_scope(request, server) as fake:
            yield fake
    finally:
        server.close()


@pytest.fixture
def fine_tuning_cassette(request: pytest.FixtureRequest) -> Generator[Cassette, None, None]:
    """Replay the test's cassette: ``cassettes/{module}/{test}.yaml``, or the one that the mark names.

    With ``--fine-tuning-record=MODE`` it is recorded from the service that the code under test uses; a test that fails
    records nothing. During replay no key is needed, and waits of this package's client take no time.
    """
    from .service_modes import cassette_service, cassette_spec_or_fail

    tape = cassette_spec_or_fail(request.node, request.config.getoption("fine_tuning_record"))
    with cassette_service(request, tape) as service:
        assert service.cassette is not None
        yield service.cassette


@pytest.fixture
def fine_tuning_service(request: pytest.FixtureRequest) -> Generator[FineTuningService, None, None]:
    """Provide the service chosen by ``--fine-tuning``: the fake, a cassette, a recorded service, or the service."""
    from .service_modes import service_for_test

    with service_for_test(request) as service:
        yield service
