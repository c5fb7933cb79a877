"""Fakes that outlive a test: the fixtures `fake_fine_tuning_module` and `fake_fine_tuning_session`."""

from __future__ import annotations

import os

import openai.resources  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
import pytest

import fine_tuning_client  # noqa: F401  # likewise
import pytest_fine_tuning.outer_fakes  # noqa: F401  # likewise
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

PRELUDE = """
import os
import httpx
import openai
import pytest
from fine_tuning_client import FineTuning

KEY = {"Authorization": "Bearer any"}

ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n'

def add_file(fake):
    return fake.add_file(ROW * 10)

def files():
    return len(openai.OpenAI(max_retries=0).files.list().data)
"""


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove a key that the machine may have."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_an_account_lasts_for_its_scope(pytester: pytest.Pytester) -> None:
    """A module's account is there in all of its tests and new in the next module; the session's goes on."""
    module = (
        PRELUDE
        + """
def test_first(fake_fine_tuning_session, fake_fine_tuning_module):
    assert not fake_fine_tuning_module.files
    add_file(fake_fine_tuning_module)
    add_file(fake_fine_tuning_session)

def test_second(fake_fine_tuning_module):
    assert files() == len(fake_fine_tuning_module.files) == 1
"""
    )
    last = module + "\ndef test_last(fake_fine_tuning_session):\n    assert len(fake_fine_tuning_session.files) == 2\n"
    pytester.makepyfile(test_a=module, test_b=last)
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=5)
    assert "OPENAI_API_KEY" not in os.environ


def test_clients_are_directed_to_the_innermost(pytester: pytest.Pytester) -> None:
    """Beside the function's fixture a client reaches the function's account by environment, name or ours."""
    pytester.makepyfile(
        PRELUDE
        + """
@pytest.fixture(scope="module")
def client(fake_fine_tuning_module):
    return openai.OpenAI()

def test_outer(client, fake_fine_tuning_module):
    add_file(fake_fine_tuning_module)
    assert len(client.files.list().data) == files() == 1

def test_inner(client, fake_fine_tuning_module, fake_fine_tuning):
    assert fake_fine_tuning_module.base_url != fake_fine_tuning.base_url == os.environ["OPENAI_BASE_URL"]
    assert files() == len(httpx.get("https://api.openai.com/v1/files", headers=KEY).json()["data"]) == 0
    FineTuning.list_jobs()
    assert len(fake_fine_tuning.requests) == 3
    assert len(client.files.list().data) == 1  # its own address
    assert len(fake_fine_tuning.requests) == 3

def test_after(client, fake_fine_tuning_module):
    assert os.environ["OPENAI_BASE_URL"] == fake_fine_tuning_module.base_url
    assert len(client.files.list().data) == files() == 1
    FineTuning.list_jobs()
    assert fake_fine_tuning_module.requests[-1].operation == "list_jobs"
"""
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    "late", ["late(fake_fine_tuning_session): pass", "late(request): request.getfixturevalue(SESSION)"]
)
def test_a_larger_scope_that_comes_later_goes_below(pytester: pytest.Pytester, late: str) -> None:
    """Set up after the fixtures of smaller scopes, the session's fake takes nothing from them, then or afterwards."""
    pytester.makepyfile(
        test_a=f"""{PRELUDE}
from pytest_fine_tuning import network_guard

SESSION = "fake_fine_tuning_session"

def url():
    headers = {{**KEY, "X": "x"}}
    httpx.get("https://api.openai.com/v1/files", headers=headers)
    return os.environ["OPENAI_BASE_URL"]

def test_module(fake_fine_tuning_module):
    assert url() == fake_fine_tuning_module.base_url

@pytest.fixture
def {late}

def test_both(fake_fine_tuning_module, fake_fine_tuning, late):
    assert url() == fake_fine_tuning.base_url
    assert len(fake_fine_tuning.requests) == 1

def test_module_again(fake_fine_tuning_module, late):
    assert url() == fake_fine_tuning_module.base_url
    assert len(fake_fine_tuning_module.requests) == 2
""",
        test_b=PRELUDE
        + """
from pytest_fine_tuning import network_guard

def test_session(fake_fine_tuning_session):
    assert os.environ["OPENAI_BASE_URL"] == fake_fine_tuning_session.base_url
    assert files() == 0
    assert len(fake_fine_tuning_session.requests) == len(network_guard._guards) == 1
""",
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=4)
    assert "OPENAI_BASE_URL" not in os.environ


def test_the_guard_is_that_of_the_scope(pytester: pytest.Pytester) -> None:
    """It is there between tests of the module, is the inner fixture's in a test with one, and ends with the module."""
    pytester.makepyfile(
        test_a=PRELUDE
        + """
import socket

LOOKUP, SEND = socket.getaddrinfo, httpx.HTTPTransport.handle_request

def refuse():
    with pytest.raises(RuntimeError, match="would have left"):
        socket.getaddrinfo("api.openai.com", 443)

def test_outer(fake_fine_tuning_module):
    refuse()
    fake_fine_tuning_module.take_usage_errors()

def test_unguarded_inside(fake_fine_tuning_module, guarded): pass

@pytest.fixture
def guarded(fake_fine_tuning, monkeypatch):
    refuse()
    assert len(fake_fine_tuning.take_usage_errors()) == 1

@pytest.mark.fake_fine_tuning(guard=False)
def test_none_inside(fake_fine_tuning_module, fake_fine_tuning):
    from pytest_fine_tuning.network_guard import _guard_for, _guard_for_host
    assert _guard_for_host("api.openai.com") is _guard_for(httpx.URL("https://api.openai.com/v1")) is None
    assert _guard_for(httpx.URL(fake_fine_tuning_module.base_url))

@pytest.mark.disable_socket
def test_blocked(fake_fine_tuning_module): pass

def test_after_blocked(fake_fine_tuning_module):
    with pytest.raises(RuntimeError, match="would have left"):
        socket.socket().connect(("api.openai.com", 443))
    fake_fine_tuning_module.take_usage_errors()

def test_without_a_fixture():
    httpx.get("https://api.openai.com/v1/files", headers=KEY)
    assert socket.getaddrinfo is not LOOKUP
""",
        test_b="""
import test_a

def test_after():
    assert (test_a.socket.getaddrinfo, test_a.httpx.HTTPTransport.handle_request) == (test_a.LOOKUP, test_a.SEND)
""",
    )
    pytester.runpytest_inprocess("-W", "error", "-W", "ignore::ResourceWarning").assert_outcomes(passed=7)


def test_a_run_inside_of_a_test_has_its_own(pytester: pytest.Pytester) -> None:
    """A module's fake of a run that a test has started goes above that test's own fake, and leaves it as it was."""
    pytester.makepyfile(
        test_outer="""
        import os

        pytest_plugins = ["pytester"]

        def test_outer(pytester, fake_fine_tuning):
            pytester.makepyfile(test_inner=
                "import os\\n"
                "def test_inner(fake_fine_tuning_module):"
                "    assert os.environ['OPENAI_BASE_URL'] == fake_fine_tuning_module.base_url"
            )
            pytester.runpytest_inprocess().assert_outcomes(passed=1)
            assert os.environ["OPENAI_BASE_URL"] == fake_fine_tuning.base_url
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_a_parametrized_fixture_of_the_module_keeps_the_account(pytester: pytest.Pytester) -> None:
    """The account is the same for all parameters of a fixture of the module that uses it."""
    pytester.makepyfile(
        PRELUDE
        + """
@pytest.fixture(scope="module", params=["a", "b"])
def seeded(request, fake_fine_tuning_module):
    add_file(fake_fine_tuning_module)
    return request.param

def test_seeded(seeded, fake_fine_tuning_module, fake_fine_tuning):
    assert len(fake_fine_tuning_module.files) == " ab".index(seeded)
    assert not fake_fine_tuning.files

def test_listed(seeded):
    assert files() == " ab".index(seeded)
"""
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=4)


def test_marks_of_a_module_configure_its_fake(pytester: pytest.Pytester) -> None:
    """`pytestmark` is for the module's fake where tests use that, and brings no other; a test's own mark does."""
    pytester.makepyfile(
        PRELUDE
        + """
pytestmark = pytest.mark.fake_fine_tuning(pace="manual", seed=7, plan={"outcome": "failed"})

def test_module(fake_fine_tuning_module, request):
    assert (fake_fine_tuning_module.pace, fake_fine_tuning_module.settings.seed) == ("manual", 7)
    assert fake_fine_tuning_module.plan.outcome == "failed"
    assert "fake_fine_tuning" not in request.fixturenames

@pytest.mark.fake_fine_tuning(seed=8)
def test_own(fake_fine_tuning_module, request):
    assert request.getfixturevalue("fake_fine_tuning").settings.seed == 8
    assert fake_fine_tuning_module.settings.seed == 7

def test_usual(request):
    assert "fake_fine_tuning" in request.fixturenames
"""
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_virtual_time_is_of_a_test(pytester: pytest.Pytester) -> None:
    """The ini key gives it to the function's fake beside an outer one; a mark cannot give it to the module's."""
    pytester.makeini("[pytest]\nfake_fine_tuning_virtual_time = true\n")
    pytester.makepyfile(
        test_a="""
        import time

        def test_both(fake_fine_tuning_module, fake_fine_tuning, request):
            request.getfixturevalue("fake_fine_tuning_session")
            outer, inner = fake_fine_tuning_module.now, fake_fine_tuning.now
            time.sleep(3600)
            assert fake_fine_tuning.now - inner >= 3600 > fake_fine_tuning_module.now - outer
            assert (fake_fine_tuning_module.pace, fake_fine_tuning.pace) == ("polls", "manual")
        """,
        test_b="""
        import pytest

        pytestmark = pytest.mark.fake_fine_tuning(virtual_time=True)

        def test_refused(fake_fine_tuning_module): pass
        """,
    )
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fake_fine_tuning_module: virtual_time must be left out *"])


def test_a_failed_test_tells_what_the_outer_fake_saw(pytester: pytest.Pytester) -> None:
    """Its report has a section, with the numbers of its own requests, for each fake that it used, and once."""
    pytester.makepyfile(
        PRELUDE
        + """
def test_passing(fake_fine_tuning_module):
    files()

def test_failing(fake_fine_tuning_module):
    files(), files()
    assert False

def test_by_environment():
    files()
    assert False

def test_both(fake_fine_tuning_module, fake_fine_tuning):
    files()
    assert False

def test_none():
    assert False
"""
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(
        [
            *("*_ test_failing _*", "fake_fine_tuning_module, requests of this test: 2 to 3", "*3  list_files → 200"),
            *("*_ test_by_environment _*", "fake_fine_tuning_module, requests of this test: 4 to 4"),
            *("*_ test_both _*", "*  1  list_files → 200", "fake_fine_tuning_module, requests of this test: none"),
            "*_ test_none _*",
        ]
    )
    assert result.stdout.str().count("- fake fine-tuning -") == 4


def test_a_misuse_fails_the_test_that_did_it(pytester: pytest.Pytester) -> None:
    """A refusal that was swallowed is an error of that test, also of the last in the module; of no other."""
    pytester.makepyfile(
        """
        import socket
        import pytest

        def ask(region):
            try:
                socket.getaddrinfo(f"{region}.api.openai.com", 443)
            except RuntimeError:
                pass

        @pytest.fixture
        def asking_at_the_end(fake_fine_tuning_module):
            yield
            ask("end")

        def test_swallowed(asking_at_the_end): pass

        def test_fine(fake_fine_tuning_module): pass

        def test_failed(fake_fine_tuning_module):
            ask("failed")
            assert False

        def test_taken(fake_fine_tuning_module):
            ask("taken")
            assert fake_fine_tuning_module.take_usage_errors()

        def test_last(fake_fine_tuning_session, fake_fine_tuning_module):
            ask("last")
        """
    )
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=4, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            *("*ERROR at teardown of test_swallowed*", "a request to end.api.openai.com would have left*"),
            *("*ERROR at teardown of test_last*", "a request to last.api.openai.com would have left*"),
        ]
    )


def test_findings_and_faults_are_those_of_the_whole_account(pytester: pytest.Pytester) -> None:
    """They are told when the fixture ends, under its name; with findings="fail" the last test of the module fails."""
    pytester.makepyfile(
        PRELUDE
        + """
pytestmark = pytest.mark.fake_fine_tuning(
    findings="fail", faults=[{"kind": "fail", "status": 503, "on": "list_models"}]
)

def test_wrong(fake_fine_tuning_module):
    with pytest.raises(openai.BadRequestError):
        openai.OpenAI().fine_tuning.jobs.list(after="1760000000")

def test_right(fake_fine_tuning_module): pass
"""
    )
    result = pytester.runpytest_inprocess("-W", "default")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_right*",
            "*: fine-tuning findings",
            "*fine-tuning findings =*",
            "test_*.py (*_module)",
        ]
    )
    unfired = pytester.runpytest_inprocess("-W", "default", "-o", "fake_fine_tuning_findings=off")
    unfired.assert_outcomes(passed=2, errors=1)


def test_options_that_make_no_sense_name_the_fixture(pytester: pytest.Pytester) -> None:
    """An invalid mark of the module stops the run, as that of a test does."""
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.fake_fine_tuning(pace="fast")

        def test_it(fake_fine_tuning_module): pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.stderr.fnmatch_lines(["*pace must be*"])


def test_outer_fakes_work_where_sockets_are_blocked(pytester: pytest.Pytester) -> None:
    """With pytest-socket each fake has an address of its own, which is answered in process."""
    pytester.makepyfile(
        PRELUDE
        + """
@pytest.fixture(scope="module")
def client(fake_fine_tuning_module):
    return openai.OpenAI(max_retries=0)

def test_inner(client, fake_fine_tuning_session, fake_fine_tuning_module, fake_fine_tuning):
    add_file(fake_fine_tuning_module)
    assert (len(client.files.list().data), files()) == (1, 0)
    assert len({fake_fine_tuning_session.base_url, fake_fine_tuning_module.base_url, fake_fine_tuning.base_url}) == 3

def test_outer(client):
    assert len(client.files.list().data) == files() == 1
"""
    )
    result = pytester.runpytest_inprocess("-W", "error", "-W", "ignore::ResourceWarning", "--disable-socket")
    result.assert_outcomes(passed=2)


def test_a_cassette_is_not_answered_by_an_outer_fake(pytester: pytest.Pytester) -> None:
    """While a test replays a cassette, or uses the service, no fake of a larger scope has environment or guard."""
    pytester.makepyfile(
        PRELUDE
        + """
from pytest_fine_tuning.network_guard import _guard_for_host

def test_before(fake_fine_tuning_module): pass

def test_live(fake_fine_tuning_module, fine_tuning_service):
    assert (os.environ["OPENAI_API_KEY"], "OPENAI_BASE_URL" in os.environ) == ("sk-mine", False)
    assert _guard_for_host("api.openai.com") is None
    assert fake_fine_tuning_module.openai().models.list().data

@pytest.mark.fine_tuning_cassette(session="success")
def test_replay(monkeypatch, fake_fine_tuning_module):
    assert os.environ["OPENAI_API_KEY"] == "sk-mine"

def test_after(fake_fine_tuning_module):
    assert os.environ["OPENAI_BASE_URL"] == fake_fine_tuning_module.base_url
    assert _guard_for_host("api.openai.com")
"""
    )
    os.environ["OPENAI_API_KEY"] = "sk-mine"
    try:
        pytester.runpytest_inprocess("-W", "error", "--fine-tuning=live").assert_outcomes(passed=4)
        assert os.environ["OPENAI_API_KEY"] == "sk-mine"
    finally:
        del os.environ["OPENAI_API_KEY"]


def test_patches_of_the_environment_that_end_late_leave_nothing(pytester: pytest.Pytester) -> None:
    """A `monkeypatch` older than a fake, of a test or of the module, brings back none of its values for good."""
    pytester.makepyfile(
        test_a=PRELUDE
        + """
@pytest.fixture(scope="module")
def older():
    with pytest.MonkeyPatch.context() as patch:
        yield patch

def test_one(monkeypatch, older, fake_fine_tuning_module, fake_fine_tuning):
    older.setenv("OPENAI_API_KEY", "of the module")
    monkeypatch.setenv("OPENAI_API_KEY", "of the test")

def test_two(fake_fine_tuning_module):
    assert files() == 0
""",
        test_b="import os\ndef test_after():\n    assert not {'OPENAI_API_KEY', 'OPENAI_BASE_URL'} & set(os.environ)\n",
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_what_is_reported_comes_from_workers(pytester: pytest.Pytester) -> None:
    """With pytest-xdist a session is a worker's, and sections and findings come through."""
    pytester.makepyfile(
        """
        import httpx

        def test_first(fake_fine_tuning_session):
            httpx.get("https://api.openai.com/v1/models")

        def test_second(fake_fine_tuning_session):
            httpx.get("https://api.openai.com/v1/fine_tuning/jobs?after=1", headers={"Authorization": "Bearer a"})
            assert False
        """
    )
    result = pytester.runpytest_subprocess(*WITHOUT_OURS, "-n1", "-p", "no:anyio", "--fine-tuning-findings")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["fake_fine_tuning_session, requests of this test: 2 to 2"])
    result.stdout.fnmatch_lines(["*fine-tuning findings =*", "fake_fine_tuning_session"])
