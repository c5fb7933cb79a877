"""Marks and ini keys: how a test configures its fake, and how invalid values are reported."""

from __future__ import annotations

import json

import pytest

import pytest_fine_tuning.fixture  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

CONFIG = pytest.ExitCode.USAGE_ERROR


def test_the_closest_mark_wins_option_by_option(pytester: pytest.Pytester) -> None:
    """Each option comes from the closest mark that has it: function, class, then module."""
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.fake_fine_tuning(seed=1, pace="manual", plan={"queued": "1h"})

        @pytest.mark.fake_fine_tuning(seed=2, pace=60)
        class TestMarked:
            @pytest.mark.fake_fine_tuning(seed=3, dialect="azure-2025", start=1000.0)
            def test_all(self, fake_fine_tuning):
                settings = fake_fine_tuning.settings
                assert (settings.seed, settings.dialect, settings.start) == (3, "azure-2025", 1000.0)
                assert (fake_fine_tuning.pace, fake_fine_tuning.plan.queued) == (60, 3600)

            def test_two(self, fake_fine_tuning):
                assert (fake_fine_tuning.settings.seed, fake_fine_tuning.pace) == (2, 60)

        def test_one(fake_fine_tuning):
            assert (fake_fine_tuning.settings.seed, fake_fine_tuning.pace) == (1, "manual")
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_a_mark_is_enough(pytester: pytest.Pytester) -> None:
    """A marked function or `TestCase` method gets the fixture without naming it, before its other fixtures."""
    pytester.makepyfile(
        """
        import unittest
        import openai
        import pytest

        @pytest.fixture
        def client():
            return openai.OpenAI()

        @pytest.mark.fake_fine_tuning
        def test_function(client):
            assert client.models.list().data

        @pytest.mark.fake_fine_tuning(seed=2)
        class TestMethods(unittest.TestCase):
            def test_method(self):
                assert openai.OpenAI().models.list().data
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)


def test_a_plan_for_a_module(pytester: pytest.Pytester) -> None:
    """`fake_fine_tuning_plan` wins over the ini key, and a mark over both."""
    pytester.makeini('[pytest]\nfake_fine_tuning_plan = {"queued": 1}')
    overriding = """
        import pytest
        from fine_tuning_fakeserver import Plan

        @pytest.fixture
        def fake_fine_tuning_plan():
            return Plan(queued=2)

        @pytest.mark.fake_fine_tuning(plan={"queued": 3})
        def test_marked(fake_fine_tuning):
            assert fake_fine_tuning.plan.queued == 3

        def test_unmarked(fake_fine_tuning):
            assert fake_fine_tuning.plan.queued == 2
        """
    pytester.makepyfile(
        test_overriding=overriding,
        test_plain="def test_ini(fake_fine_tuning): assert fake_fine_tuning.plan.queued == 1",
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_a_plan_that_is_none_fails_the_setup(pytester: pytest.Pytester) -> None:
    """An invalid value of `fake_fine_tuning_plan` is reported in one line, without a traceback."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def fake_fine_tuning_plan():
            return {"outcome": "great"}

        def test_it(fake_fine_tuning): pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["fake_fine_tuning: outcome must be one of succeeded, failed, got 'great'"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*play.py*")


def test_ini_keys_hold_for_all_tests(pytester: pytest.Pytester) -> None:
    """Each ini key sets its option for all tests, the plan as JSON or TOML."""
    pytester.makeini(
        """
        [pytest]
        fake_fine_tuning_pace = 60
        fake_fine_tuning_plan = {outcome = "failed", queued = "2h"}
        fake_fine_tuning_dialect = azure-2025
        fake_fine_tuning_seed = 7
        fake_fine_tuning_guarded_hosts =
            one.example.com
            *.example.org
        fake_fine_tuning_allowed_hosts = api.openai.com
        """
    )
    pytester.makepyfile(
        """
        import httpx

        def test_ini(fake_fine_tuning, monkeypatch):
            fake = fake_fine_tuning
            assert (fake.pace, fake.settings.seed, fake.settings.dialect) == (60, 7, "azure-2025")
            assert (fake.plan.outcome, fake.plan.queued) == ("failed", 7200)
            key = {"Authorization": "Bearer any"}
            assert httpx.get("https://one.example.com/v1/models", headers=key).status_code == 200
            assert httpx.get("https://a.example.org/v1/models", headers=key).status_code == 200
            assert len(fake.calls) == 2
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_the_guard_can_be_left_out(pytester: pytest.Pytester) -> None:
    """Without the guard, by mark or ini key, nothing is patched, and the fake is reached over its socket."""
    pytester.makeini("[pytest]\nfake_fine_tuning_guard = false")
    pytester.makepyfile(
        """
        import _socket
        import httpx
        import openai
        import pytest

        BEFORE = httpx.HTTPTransport.handle_request, _socket.getaddrinfo

        def test_without(fake_fine_tuning):
            assert (httpx.HTTPTransport.handle_request, _socket.getaddrinfo) == BEFORE
            assert openai.OpenAI().models.list().data

        @pytest.mark.fake_fine_tuning(guard=True)
        def test_with(fake_fine_tuning):
            assert openai.OpenAI(base_url="https://api.openai.com/v1").models.list().data
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)


BAD = [
    ("'manual'", "arguments of the mark must be keywords, as in pace='manual', got 'manual'"),
    ("paces='manual'", "unknown option 'paces'*did you mean 'pace'?*; expected one of: *"),
    ("clocks=1", "unknown option 'clocks'; expected one of: faults, *pace*"),
    ("pace='slow'", "pace must be 'polls', 'manual', 'instant', or a positive number of *, got 'slow'"),
    ("plan={'outcome': 'great'}", "outcome must be one of succeeded, failed, got 'great'"),
    ("plan=7", "plan must be a Plan, or a mapping of its fields, got 7"),
    ("dialect='welsh'", "*openai-2025-09*'welsh'"),
    ("seed='x'", "seed must be a whole number of at most 64 bits, got 'x'"),
    ("faults=7", "faults must be a collection of mappings, got 7"),
    ("faults=''", "faults must be a collection of mappings, got ''"),
    ("faults=0", "faults must be a collection of mappings, got 0"),
    ("faults=False", "faults must be a collection of mappings, got False"),
    ("faults=None", "faults must be a list, got None*"),
    ("faults=iter([])", "faults must be a list, got <list_iterator *>*"),
    ("faults=[{'on': iter(['list_jobs'])}]", "faults[0]['on'] must be a list, got <list_iterator *>*"),
    ("faults=[{'on': []}]", "fault 'on' must be the name of an operation or a list of names, or None for all, got []"),
    ("faults=[{'kind': 'fial'}]", "unknown fault kind 'fial' (did you mean 'fail'?); *"),
    ("guard='no'", "guard must be one of True, False, got 'no'"),
    ("guard=1", "guard must be one of True, False, got 1"),
    ("allowed_hosts='api.openai.com'", "allowed_hosts must be a list, as in*got 'api.openai.com'"),
    ("guarded_hosts=['http://x']", "guarded_hosts must be host names*got 'http://x'"),
    ("findings='loud'", "findings must be one of 'off', 'report', 'fail', got 'loud'"),
    ("organization_class='new'", "organization_class 'new' requires as_of, a date"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[arguments for arguments, _ in BAD])
def test_a_mark_that_makes_no_sense_stops_the_run(pytester: pytest.Pytester, arguments: str, message: str) -> None:
    """An invalid mark is a usage error before any test, with the test, the value and the valid ones."""
    pytester.makepyfile(
        f"""
        import pytest

        def test_innocent(): pass

        @pytest.mark.fake_fine_tuning({arguments})
        def test_marked(): pass
        """
    )
    result = pytester.runpytest_inprocess()
    assert result.ret == CONFIG
    result.assert_outcomes()
    name = "test_a_mark_that_makes_no_sense_stops_the_run.py::test_marked"
    result.stderr.fnmatch_lines([f"ERROR: {name}: @pytest.mark.fake_fine_tuning: {message.replace('[', '[[]')}"])


BAD_KEYS = [
    ("pace", "slow", "pace must be 'polls', 'manual', 'instant', or a positive number of *, got 'slow'"),
    ("seed", "x", "seed must be a whole number, got 'x'"),
    ("seed", str(2**70), f"seed must be a whole number of at most 64 bits, got {2**70}"),
    ("plan", "failed", "plan must be a JSON object, or an inline table as in {outcome = *got 'failed'"),
    ("plan", "[1]", "plan must be a Plan, or a mapping of its fields, got [[]1]"),
    ("plan", json.dumps({"outcome": "great"}), "outcome must be one of succeeded, failed, got 'great'"),
    ("dialect", "welsh", "*openai-2025-09*'welsh'"),
    ("guard", "maybe", "guard must be one of True, False, got 'maybe'"),
    ("guarded_hosts", "http://x", "guarded_hosts must be host names*got 'http://x'"),
    ("allowed_hosts", "x:443", "allowed_hosts must be host names*got 'x:443'"),
    ("findings", "loud", "findings must be one of 'off', 'report', 'fail', got 'loud'"),
]


@pytest.mark.parametrize(("key", "value", "message"), BAD_KEYS)
def test_an_ini_key_that_makes_no_sense_stops_the_run(
    pytester: pytest.Pytester, key: str, value: str, message: str
) -> None:
    """An invalid ini key is a usage error before collection, with the key, the value and the valid ones."""
    pytester.makeini(f"[pytest]\nfake_fine_tuning_{key} = {value}")
    pytester.makepyfile("def test_innocent(): pass")
    result = pytester.runpytest_inprocess()
    assert result.ret == CONFIG
    result.stderr.fnmatch_lines([f"ERROR: ini key fake_fine_tuning_{key}: {message}"])


def test_the_mark_is_registered(pytester: pytest.Pytester) -> None:
    """`pytest --markers` lists the mark with its arguments."""
    result = pytester.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.fake_fine_tuning(pace=, plan=, dialect=, *"])


@pytest.mark.parametrize("text", ['[{"status": 503, "on": "list_jobs"}]', "[{status = 503, on = 'list_jobs'}]"])
def test_faults_for_all_tests(text: str, pytester: pytest.Pytester) -> None:
    """The ini key for faults arms them for every test, in JSON or TOML."""
    pytester.makepyfile(
        """
        import httpx

        def test_asks(fake_fine_tuning):
            with httpx.Client(base_url=fake_fine_tuning.base_url, headers={"authorization": "Bearer k"}) as client:
                assert [client.get("/fine_tuning/jobs").status_code for _ in range(2)] == [503, 200]
        """
    )
    pytester.runpytest_inprocess("-o", f"fake_fine_tuning_faults={text}").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [("503", "got 503"), ("[{", "a JSON list, or one as in"), ('[{"kind": "x"}]', "unknown fault kind 'x'")],
)
def test_faults_that_make_no_sense_stop_the_run(text: str, said: str, pytester: pytest.Pytester) -> None:
    """An invalid value of the ini key for faults is a usage error that names the key."""
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_inprocess("-o", f"fake_fine_tuning_faults={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "fake_fine_tuning_faults" in result.stderr.str()
    assert said in result.stderr.str()


def test_a_mark_on_one_parameter_holds_for_that_one(pytester: pytest.Pytester) -> None:
    """A mark on one parameter of a parametrized test gives only that case the fixture."""
    pytester.makepyfile(
        """
        import os
        import pytest

        MARKED = [pytest.param(name, marks=getattr(pytest.mark, name)(**arguments)) for name, arguments in [
            ("fake_fine_tuning", {}), ("fine_tuning_cassette", {"session": "success"})]]

        @pytest.mark.parametrize("name", [*MARKED, None])
        def test_marked(request, name):
            found = {"fake_fine_tuning", "fine_tuning_cassette"} & set(request.fixturenames)
            assert found == ({name} if name else set())
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_what_outlives_a_marked_test_is_made_without_the_fake(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Session and module fixtures are set up before the mark's fixture, and do not see its environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    pytester.makepyfile(
        """
        import os
        import pytest

        @pytest.fixture(scope="session")
        def settings():
            return os.environ["OPENAI_API_KEY"]

        @pytest.fixture(scope="module", autouse=True)
        def module():
            assert os.environ["OPENAI_API_KEY"] == "mine"

        @pytest.mark.fake_fine_tuning
        def test_marked(settings):
            assert settings == "mine" != os.environ["OPENAI_API_KEY"]
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_a_marked_test_can_parametrize_its_plan(pytester: pytest.Pytester) -> None:
    """A test with the mark alone can parametrize `fake_fine_tuning_plan`."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.fake_fine_tuning
        @pytest.mark.parametrize("fake_fine_tuning_plan", [{"outcome": "failed"}, {}])
        def test_marked(request, fake_fine_tuning_plan):
            wanted = fake_fine_tuning_plan.get("outcome", "succeeded")
            assert request.getfixturevalue("fake_fine_tuning").plan.outcome == wanted

        @pytest.mark.fake_fine_tuning
        @pytest.mark.parametrize("fake_fine_tuning_plan", [{"outcome": "failed"}])
        def test_silent(): pass
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_a_mark_loads_what_it_needs_only(pytester: pytest.Pytester) -> None:
    """A run whose tests are marked for the fake does not import cassettes."""
    pytester.makepyfile(
        """
        import sys
        import pytest

        @pytest.mark.fake_fine_tuning
        def test_marked():
            assert {"yaml", "fine_tuning_cassettes"}.isdisjoint(sys.modules)
        """
    )
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-p", "no:anyio").assert_outcomes(passed=1)


def test_values_of_toml_are_taken(pytester: pytest.Pytester) -> None:
    """Ini keys in a TOML file may be numbers, booleans and lists, with faults and plans as strings."""
    pytester.makepyprojecttoml(
        """
        [tool.pytest]
        fake_fine_tuning_seed = 7
        fake_fine_tuning_pace = 60
        fake_fine_tuning_guard = false
        fake_fine_tuning_plan = "{outcome = 'failed'}"
        fake_fine_tuning_guarded_hosts = ["a.example.com"]
        """
    )
    pytester.makepyfile(
        """
        from pytest_fine_tuning.network_guard import _guards

        def test_settings(fake_fine_tuning):
            assert (fake_fine_tuning.settings.seed, fake_fine_tuning.pace) == (7, 60)
            assert fake_fine_tuning.plan.outcome == "failed"
            assert _guards == []
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("key", "value", "said"), [("seed", "1.5", "expects one of"), ("pace", "0", "a real second, got 0")]
)
def test_values_of_toml_that_make_no_sense_stop_the_run(
    pytester: pytest.Pytester, key: str, value: str, said: str
) -> None:
    """A TOML value of a wrong type or an unknown one is a usage error that names the key."""
    pytester.makepyprojecttoml(f"[tool.pytest]\nfake_fine_tuning_{key} = {value}")
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_inprocess()
    assert result.ret == CONFIG
    assert f"fake_fine_tuning_{key}" in result.stderr.str()
    assert said in result.stderr.str()
