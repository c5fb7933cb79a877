"""What the plugin reports after a test: the fake's state, faults, usage errors and findings."""

from __future__ import annotations

import re

import pytest

import pytest_fine_tuning.fixture  # noqa: F401 - here, so that runs inside of this one do not import it anew each time
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

PRELUDE = """
import openai
import pytest
from fine_tuning_client import FineTuning

ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10

def train(fake, status="running"):
    return fake.add_job(fake.add_file(ROWS)["id"], status=status)["id"]
"""

FAILING = (
    PRELUDE
    + """
def test_failing(fake_fine_tuning):
    fake_fine_tuning.rate_limit(on="list_jobs")
    fake_fine_tuning.pace = "manual"
    job = train(fake_fine_tuning)
    client = openai.OpenAI(max_retries=0, api_key="sk-very-secret")
    client.fine_tuning.jobs.retrieve(job)
    with pytest.raises(openai.RateLimitError):
        client.fine_tuning.jobs.list()
    fake_fine_tuning.advance_to("succeeded")
    client.fine_tuning.jobs.cancel(job)
"""
)
STORY = [
    "*- fake fine-tuning -*",
    "clock: * s after the account began; pace manual, seed 0, dialect openai-2025-09",
    "jobs:",
    "  ftjob-*, gpt-4o-mini-2024-07-18, file-*: succeeded",
    "   *s  status running",
    "   *s  status succeeded",
    "   *s  event  The job has successfully completed",
    "requests:",
    "   *s     1  retrieve_job job_id='ftjob-*' → 200",
    "   *s     2  list_jobs → 429*rate_limit*",
    "   *s     3  cancel_job job_id='ftjob-*' → 400*",
    "faults:",
    "  1  rate_limit(*on=('list_jobs',)*): hit request 2",
    "open this account, as it is now, in a server:",
    "  fake-fine-tuning serve --load .pytest_cache/d/fake-fine-tuning/test_*test_failing-*.zip",
]
STORY = [line.replace("[", "[[]") for line in STORY]


def test_a_failed_test_tells_what_the_fake_saw(pytester: pytest.Pytester) -> None:
    """The report of a failed test shows clock, jobs, requests, faults and a command line, and no key."""
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_inprocess("-W", "error", "-W", "ignore::ResourceWarning")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(STORY)
    assert "sk-very-secret" not in "".join(result.stdout.lines[result.stdout.lines.index("jobs:") :])


def test_a_passing_test_and_one_without_the_fixture_tell_nothing(pytester: pytest.Pytester) -> None:
    """A passing test, and a failed test without the fixture, have no section."""
    pytester.makepyfile("def test_passing(fake_fine_tuning): pass\ndef test_failing(): assert False")
    result = pytester.runpytest_inprocess("-rA")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*fake fine-tuning*")


def test_a_setup_that_fails_tells_what_the_fake_saw(pytester: pytest.Pytester) -> None:
    """A fixture that fails after the fake was set up has the section."""
    pytester.makepyfile(
        PRELUDE
        + """
@pytest.fixture
def broken(fake_fine_tuning):
    openai.OpenAI().models.list()
    raise OSError("no")

def test_it(broken): pass
"""
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*- fake fine-tuning -*", "*1  list_models → 200"])


def test_what_fails_at_the_end_tells_what_the_fake_saw(pytester: pytest.Pytester) -> None:
    """A fixture that fails after the test, and a failure by the plugin, have the section once."""
    pytester.makepyfile(
        PRELUDE
        + """
@pytest.fixture
def checked(fake_fine_tuning):
    yield fake_fine_tuning
    fake_fine_tuning.assert_job_created()

def test_checked(checked):
    openai.OpenAI().models.list()

@pytest.mark.fake_fine_tuning(findings="fail")
def test_finding(fake_fine_tuning):
    with pytest.raises(openai.BadRequestError):
        openai.OpenAI().fine_tuning.jobs.list(after="1760000000")

def test_both(checked):
    assert False
"""
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=2, failed=1, errors=3)
    result.stdout.fnmatch_lines(["*- fake fine-tuning -*", "*1  list_models → 200"])
    result.stdout.fnmatch_lines(["*- fake fine-tuning -*", "*1  list_jobs after=*"])
    assert result.stdout.str().count("- fake fine-tuning -") == 3


def test_a_failed_assertion_shows_the_test_only(pytester: pytest.Pytester) -> None:
    """The traceback of a failed assertion shows no line of this package."""
    pytester.makepyfile(
        """
        def test_created(fake_fine_tuning):
            fake_fine_tuning.assert_job_created(model="x")

        def test_reached(fake_fine_tuning):
            fake_fine_tuning([]).assert_nothing_called().assert_called_in_order("list_jobs")

        def test_scripted(fake_fine_tuning):
            fake_fine_tuning(["failed"]).assert_script_exhausted()

        def test_senseless(fake_fine_tuning):
            fake_fine_tuning.assert_job_not_cancelled("ftjob-typo")
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines([">*assert_job_created(model=*", "E*AssertionError: job created with model='x'*"])
    result.stdout.no_fnmatch_line("*handle/*")


def test_a_section_can_be_hidden(pytester: pytest.Pytester) -> None:
    """`--show-capture=no` hides the section."""
    pytester.makepyfile("def test_failing(fake_fine_tuning): assert False")
    pytester.runpytest_inprocess("--show-capture=no").stdout.no_fnmatch_line("*fake fine-tuning*")


def test_a_bug_of_the_description_hides_nothing(pytester: pytest.Pytester) -> None:
    """An exception in `describe()` does not hide the test's own failure."""
    pytester.makepyfile(
        """
        def test_failing(fake_fine_tuning, monkeypatch):
            monkeypatch.setattr(type(fake_fine_tuning), "describe", lambda self: 1 / 0)
            assert "its own" == "failure"
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 'its own' == 'failure'*", "*has a bug, please report it: ZeroDivisionError*"])


def test_faults_of_a_mark_that_never_fired_are_warned_of(pytester: pytest.Pytester) -> None:
    """A fault of a mark that never fired is named in a warning, unless the test was skipped."""
    pytester.makepyfile(
        PRELUDE
        + """
@pytest.mark.fake_fine_tuning(faults=[{"kind": "fail", "status": 503, "on": "list_models"}])
def test_fired(fake_fine_tuning):
    with pytest.raises(openai.InternalServerError):
        openai.OpenAI(max_retries=0).models.list()

@pytest.mark.fake_fine_tuning(faults=[{"kind": "fail", "status": 503, "on": "list_files"}])
def test_unfired(fake_fine_tuning):
    openai.OpenAI(max_retries=0).models.list()

@pytest.mark.fake_fine_tuning(faults=[{"kind": "fail", "status": 503, "on": "list_files"}])
def test_skipped(fake_fine_tuning):
    pytest.skip()

def test_without(fake_fine_tuning): pass
"""
    )
    result = pytester.runpytest_inprocess("-W", "default")
    result.assert_outcomes(passed=3, skipped=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "test_*.py::test_unfired",
            "*UnfiredFaultWarning: a fault hit no request: 1  fail(*'list_files'*never fired",
        ]
    )
    assert pytester.runpytest_inprocess("-W", "error").parseoutcomes() == {"passed": 3, "skipped": 1, "errors": 1}


def test_faults_that_never_fired_are_told_at_once(pytester: pytest.Pytester) -> None:
    """With warnings as errors the test fails with all its unfired faults, cleared ones included."""
    pytester.makepyfile(
        """
        def test_unfired(fake_fine_tuning):
            fake_fine_tuning.fail(503, on="create_job")
            fake_fine_tuning.clear_faults()
            fake_fine_tuning.fail(500, on="list_jobs")
        """
    )
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=1, errors=1)
    lines = ["UnfiredFaultWarning: faults hit no request:", "  1*'create_job'*", "  1*'list_jobs'*"]
    result.stdout.fnmatch_lines(lines, consecutive=True)
    result.stdout.no_fnmatch_line("*verdicts.py*")


def test_a_request_that_the_fake_did_not_understand_fails_the_test(pytester: pytest.Pytester) -> None:
    """A test that swallows a `fake_error` fails, unless it took the usage errors; a failed test fails only once."""
    pytester.makepyfile(
        PRELUDE
        + """
def swallow(fake):
    with pytest.raises(openai.BadRequestError):
        openai.OpenAI().fine_tuning.jobs.create(
            training_file=fake.add_file(ROWS)["id"], model="gpt-4o-mini", metadata={"fake_outcome": "great"}
        )

def test_swallowed(fake_fine_tuning):
    swallow(fake_fine_tuning)

def test_taken(fake_fine_tuning):
    swallow(fake_fine_tuning)
    (error,) = fake_fine_tuning.take_usage_errors()
    assert "outcome" in error

def test_failed(fake_fine_tuning):
    swallow(fake_fine_tuning)
    assert False

def test_later(fake_fine_tuning): pass
"""
    )
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_swallowed*",
            "request 1: *outcome must be one of succeeded, failed, got 'great'",
            "(the fake was used wrongly; take_usage_errors()*",
            "refused by the fake itself:",
            "  request 1: *outcome must be one of succeeded, failed, got 'great'",
        ]
    )


def test_a_loop_that_nothing_ends_fails_the_test(pytester: pytest.Pytester) -> None:
    """A loop over a job that stands still ends with the fake's error and its remedy, also where it swallows errors."""
    pytester.makepyfile(
        PRELUDE
        + """
def wait(job, errors=()):
    client = openai.OpenAI()
    for _ in range(60):  # a real loop would go on for ever
        try:
            if client.fine_tuning.jobs.retrieve(job).status == "succeeded":
                return
        except errors:
            pass

@pytest.mark.fake_fine_tuning(pace="manual", patience=30)
def test_endless(fake_fine_tuning):
    wait(train(fake_fine_tuning))

@pytest.mark.fake_fine_tuning(patience=30)
def test_swallowed(fake_fine_tuning):
    wait(train(fake_fine_tuning, "paused"), openai.BadRequestError)

@pytest.mark.fake_fine_tuning(pace="manual", patience=None)
def test_impatient(fake_fine_tuning):
    wait(train(fake_fine_tuning))
"""
    )
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=2, failed=1, errors=1)
    looked = "job ftjob-* was looked at 30 times in vain (retrieve_job 30 times)"
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_swallowed*",
            f"request 30: {looked}: it is paused, *resume it (fake.resume_job); patience=None *",
            "  request 31: job ftjob-* was looked at 31 times in vain *",
            "*take_usage_errors()*",
            f"E *{looked}: it is running, the pace is 'manual', *let time pass*",
        ]
    )


def test_a_request_that_was_refused_fails_the_test(pytester: pytest.Pytester) -> None:
    """A test that swallows the guard's refusal fails, unless it took the usage errors."""
    pytester.makepyfile(
        """
        import socket

        def ask():
            try:
                socket.getaddrinfo("api.openai.com", 443)
            except RuntimeError:
                pass

        def test_swallowed(fake_fine_tuning):
            ask()

        def test_taken(fake_fine_tuning):
            ask()
            assert len(fake_fine_tuning.take_usage_errors()) == 1

        def test_later(fake_fine_tuning): pass
        """
    )
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["a request to api.openai.com would have left *", "(the fake was used wrongly; *"])


MISUSE = """
import pytest
from fine_tuning_client import FineTuning
from fine_tuning_fakeserver import FakeFineTuning, Plan

def call(): FakeFineTuning(pace="fast")
def plan(): Plan(curve="flat")
def lock(): FakeFineTuning().plan_all(fail=40)
def time(): FakeFineTuning().advance("x")
def seed(): FakeFineTuning().add_job("file-1")
def base(): FakeFineTuning().base_url
def ours(): FineTuning.retrieve_job("ftjob-1")

def guard():
    import urllib.request
    urllib.request.urlopen("https://api.openai.com/v1")

@pytest.mark.parametrize("misuse", [call, plan, lock, time, seed, base, ours, guard])
def test(fake_fine_tuning, misuse):
    misuse()
"""
SURVIVING = {
    "call": "FakeUsageError: pace must be",
    "plan": "FakeUsageError: curve must be one of",
    "lock": "FakeUsageError: unknown plan field 'fail'",
    "time": "FakeUsageError: advance must be",
    "seed": "FakeUsageError: training_file must be",
    "base": "FakeUsageError: the fake has no URL",
    "ours": "NotFoundError: ",
    "guard": "BlockedRequestError: a request to api.openai.com",
}


def test_a_usage_error_is_shown_where_the_fake_was_used(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback of a usage error ends in the user's code, and the summary shows the message's beginning."""
    monkeypatch.setenv("COLUMNS", "100")
    pytester.makepyfile(test_it=MISUSE)
    result = pytester.runpytest_inprocess("--tb=short", "-q")

    result.assert_outcomes(failed=len(SURVIVING))
    for name, message in SURVIVING.items():
        result.stdout.fnmatch_lines([f"FAILED *[[]{name}] - {message}*"])
    shown = set(re.findall(r"/(fine_tuning_fakeserver|pytest_fine_tuning)/\S+:\d+: in", result.stdout.str()))
    assert shown == set()


def test_a_usage_error_of_a_module_is_shown_there(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A usage error during collection is shown at the line of the user's module."""
    monkeypatch.setenv("COLUMNS", "100")
    pytester.makepyfile(test_it="from fine_tuning_fakeserver import Plan\nPLANS = [Plan(curve='flat')]\n")
    result = pytester.runpytest_inprocess("--tb=short", "-q")

    result.stdout.fnmatch_lines(["*py:2: in <module>", "ERROR *.py - FakeUsageError: curve must be one of*"])
    result.stdout.no_fnmatch_line("*fine_tuning_fakeserver/*: in *")


def test_several_usage_errors_are_told_in_turn(pytester: pytest.Pytester) -> None:
    """A test that swallows three usage errors is reported with all of them, the first in the summary."""
    pytester.makepyfile(
        test_it="""
        import socket

        def test_swallowed(fake_fine_tuning):
            for region in ("us", "eu", "au"):
                try:
                    socket.gethostbyname(f"{region}.api.openai.com")
                except RuntimeError:
                    pass
        """
    )
    result = pytester.runpytest_inprocess("-q")
    result.stdout.fnmatch_lines(
        [
            "a request to us.api.openai.com *",
            "  a request to eu.*",
            "  a request to au.*",
            "(the fake was used wrongly; *",
        ]
    )


LEAVING = (
    PRELUDE
    + """
import httpx

def poll_on(fake):
    job = train(fake, "succeeded")
    for _ in range(24):
        openai.OpenAI().fine_tuning.jobs.retrieve(job)

def test_polls_on(fake_fine_tuning):
    poll_on(fake_fine_tuning)

@pytest.mark.fake_fine_tuning(findings="off")
def test_polls_on_and_may(fake_fine_tuning):
    poll_on(fake_fine_tuning)

def test_does_nothing(fake_fine_tuning): pass
"""
)
FOUND = [
    *("*fine-tuning findings*", "test_*.py::test_polls_on", "  no_terminal_check (*", "      stop at every status*"),
    *("         1  retrieve_job job_id=*", "        24  retrieve_job job_id=*"),
]


def test_findings_are_listed_on_demand(pytester: pytest.Pytester) -> None:
    """With the flag the summary lists findings by test, except where a mark turns them off, and tests pass."""
    pytester.makepyfile(LEAVING)
    result = pytester.runpytest_inprocess("--fine-tuning-findings")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(FOUND)
    assert not re.search("test_polls_on_and_may$", result.stdout.str(), re.MULTILINE)


def test_findings_are_not_listed_unasked(pytester: pytest.Pytester) -> None:
    """Without flag, ini key and mark the summary has no findings."""
    pytester.makepyfile(LEAVING)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*fine-tuning findings*")


def test_findings_can_fail_tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the ini key "fail" a test with findings fails at teardown, and both summaries name them."""
    monkeypatch.setenv("COLUMNS", "120")
    pytester.makeini("[pytest]\nfake_fine_tuning_findings = fail")
    pytester.makepyfile(LEAVING)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_polls_on*", "no_terminal_check: fine-tuning findings", "  no_terminal_check (*"]
    )
    result.stdout.fnmatch_lines([*FOUND, "ERROR *::test_polls_on - Failed: no_terminal_check*"])


def test_a_long_test_is_warned_of_and_passes(pytester: pytest.Pytester) -> None:
    """A request log that dropped entries is a warning in the summary, not a finding."""
    pytester.makepyfile(
        """
        import httpx, pytest

        @pytest.mark.fake_fine_tuning(findings="fail")
        def test_asks_much(fake_fine_tuning):
            headers = {"authorization": "Bearer any"}
            door = fake_fine_tuning.transport()
            with httpx.Client(base_url="http://x/v1", transport=door, headers=headers) as client:
                for _ in range(1001):
                    client.get("/models/gpt-4o-mini")
        """
    )
    result = pytester.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  warning: the log dropped 1 request, in which findings may be missed"])


BADLY_MARKED = """
import pytest

@pytest.mark.fake_fine_tuning(pace="slow")
def test_marked(): pass
"""


def test_all_of_it_comes_through_xdist(pytester: pytest.Pytester) -> None:
    """Reports and findings of xdist workers are shown, and an invalid mark there fails only its test."""
    pytester.makepyfile(test_failing=FAILING, test_leaving=LEAVING, test_badly_marked=BADLY_MARKED)
    result = pytester.runpytest_subprocess(*WITHOUT_OURS, "-n1", "--dist=loadfile", "--fine-tuning-findings")
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines_random(["fake_fine_tuning: pace must be 'polls', 'manual', 'instant', or *"])
    result.stdout.fnmatch_lines([*STORY, *FOUND])


def test_a_finding_can_be_ignored_by_its_code(pytester: pytest.Pytester) -> None:
    """`findings_ignore` ignores one finding by code, and an unknown code is a usage error."""
    code = """
        import httpx, pytest

        @pytest.mark.fake_fine_tuning(findings="fail", findings_ignore=["{code}"])
        def test_asks(fake_fine_tuning):
            client = httpx.Client(base_url=fake_fine_tuning.base_url, headers={{"authorization": "Bearer k"}})
            client.get("/fine_tuning/jobs", params={{"after": "1760000000"}})
        """
    pytester.makepyfile(code.format(code="cursor_by_time"))
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    pytester.makepyfile(code.format(code="leaked_job"))
    pytester.runpytest_inprocess().assert_outcomes(passed=1, errors=1)
    pytester.makepyfile(code.format(code="leaked_jobs"))
    assert pytester.runpytest_inprocess().ret == pytest.ExitCode.USAGE_ERROR
