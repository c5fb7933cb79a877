"""Explored tests: what is run, how it is reported, and how one combination is run again."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import openai  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
import pytest

import fine_tuning_fakeserver.virtual_time  # noqa: F401  # likewise
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

PROGRAM = """
import time
import openai
import pytest

ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10

class TrainFailed(Exception):
    pass

def start(client):
    file = client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
    return client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")

def train(final=("succeeded", "failed", "cancelled")):
    with openai.OpenAI() as client:
        job = start(client)
        while job.status not in final:
            time.sleep(90)
            job = client.fine_tuning.jobs.retrieve(job.id)
        if job.status != "succeeded":
            raise TrainFailed(job.status)
        return job.fine_tuned_model

def careless():
    with openai.OpenAI() as client:
        job = start(client)
        while job.status in ("validating_files", "queued", "running"):
            time.sleep(90)
            job = client.fine_tuning.jobs.retrieve(job.id)
        return job.fine_tuned_model.upper()
"""
GOOD = """
SOME = ["reset-after", "timeout", "truncated", "cancelled"]

@pytest.mark.fake_fine_tuning(explore={"allow": [TrainFailed], "runs": 18, "only": SOME})
def test_trains(fake_fine_tuning):
    assert train().startswith("ft:")
"""
CARELESS = """
@pytest.mark.fake_fine_tuning(explore={"only": ["cancelled", "slow"]})
def test_careless(fake_fine_tuning):
    careless()
"""


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """Run *tests* about the programs."""
    pytester.makepyfile(PROGRAM + tests)
    return pytester.runpytest_inprocess(*WITHOUT_OURS, "-W", "error", "-W", "ignore::ResourceWarning", *arguments)


def test_a_good_test_passes_and_shows_what_was_tried(pytester: pytest.Pytester) -> None:
    """An explored test with nothing wrong passes, and the summary has its matrix."""
    result = run(pytester, GOOD)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*= fine-tuning explore =*",
            "test_a_good_test_passes_and_shows_what_was_tried.py::test_trains",
            "  18 runs in *; * more not run: △ * suspicious, ! * ended with an error *, ✓ * ended well",
            "  requests: 1 upload_file, 2 create_job, 3-* retrieve_job",
            "  reset-after   * ✓   △   ✓ *",
            "  △ reset-after@2 (also timeout@2, truncated@2): request 2: it takes effect, and the connection is reset",
            "      1 more paid job than without misfortune",
            '      pytest "*::test_trains" --fine-tuning-explore=reset-after@2',
        ]
    )


def test_a_wrong_program_fails_with_the_line_that_runs_it_again(pytester: pytest.Pytester) -> None:
    """A test that is wrong in some runs fails once, names the earliest, and each is a subtest."""
    result = run(pytester, CARELESS, "--junitxml=report.xml")

    result.stdout.fnmatch_lines(
        [
            "cancelled@2: ✗ AttributeError: 'NoneType' object has no attribute 'upper' at *",
            "earliest: cancelled@2",
            "✗ cancelled@2 (also cancelled@3*): after request 2: the job is cancelled by somebody else",
            '    pytest "*::test_careless" --fine-tuning-explore=cancelled@2',
            "SUBFAILED*::test_careless*",
            "FAILED *::test_careless*",
        ]
    )
    report = ElementTree.parse(pytester.path / "report.xml")
    properties = {each.attrib["name"]: each.attrib["value"] for each in report.iter("property")}
    assert properties["explore slow@1"] == "✓"
    assert properties["explore cancelled@3"].startswith("✗ AttributeError")


def test_one_combination_is_run_again_as_the_test(pytester: pytest.Pytester) -> None:
    """The line of the report runs one combination, and its error is the test's own, with its traceback."""
    result = run(pytester, CARELESS, "--fine-tuning-explore=cancelled@2")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*return job.fine_tuned_model.upper()", "E*AttributeError*", "*job * cancelled"][:2])
    good = run(pytester, GOOD, "--fine-tuning-explore=cancelled@2")
    good.assert_outcomes(passed=1)
    good.stdout.fnmatch_lines(["  1 run in *: ! 1 ended with an error that it may end with"])


def test_a_request_that_never_comes_is_named(pytester: pytest.Pytester) -> None:
    """A combination beyond the last request says so, with how many there are."""
    result = run(pytester, GOOD, "--fine-tuning-explore=cancelled@99")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  – cancelled@99: request 99 never came: the undisturbed run has *"])


def test_the_flag_sets_the_runs_of_a_mark(pytester: pytest.Pytester) -> None:
    """A number after the flag is the number of runs, whatever the mark's is; the bare flag leaves those."""
    tests = """
@pytest.mark.fake_fine_tuning(explore={"runs": 2, "only": "slow"})
def test_trains(fake_fine_tuning):
    openai.OpenAI().models.list()
    openai.OpenAI().models.list()
    openai.OpenAI().models.list()

@pytest.mark.fake_fine_tuning(explore=True)
def test_sends_nothing(fake_fine_tuning):
    pass
"""
    for flag, count in {"=3": "3 runs", "": "2 runs"}.items():
        result = run(pytester, tests, f"--fine-tuning-explore{flag}")
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines([f"  {count} in *", "*::test_sends_nothing", "  nothing to try: no request"])


def test_the_flag_explores_every_test_that_can_be(pytester: pytest.Pytester) -> None:
    """The flag explores the tests with the fixture, but for those with a pace of their own or explore=False."""
    tests = """
    def test_with_fixture(fake_fine_tuning):
        train()

    def test_without():
        pass

    @pytest.mark.fake_fine_tuning(pace="polls")
    def test_with_a_pace(fake_fine_tuning):
        assert fake_fine_tuning.pace == "polls"

    @pytest.mark.fake_fine_tuning(virtual_time=False)
    def test_with_real_waits(fake_fine_tuning):
        assert fake_fine_tuning.pace == "polls"

    @pytest.mark.fake_fine_tuning(explore=False)
    def test_excepted(fake_fine_tuning):
        assert fake_fine_tuning.pace == "polls"
    """
    result = run(pytester, tests.replace("\n    ", "\n"), "--fine-tuning-explore=3")

    output = result.stdout.str().partition("= fine-tuning explore =")[2]
    assert {line.partition("::")[2] for line in output.splitlines() if "::" in line and "pytest" not in line} == {
        "test_with_fixture",
        "test_with_a_pace",
        "test_with_real_waits",
    }
    assert "  3 runs in " in output
    result.stdout.fnmatch_lines(["  not explored: its pace is 'polls'", "  not explored: its waits are real"])


def test_a_test_that_cannot_be_explored_runs_as_it_is(pytester: pytest.Pytester) -> None:
    """With the flag a test that fails in virtual time runs once more without, and reports that run; with a mark not."""
    tests = """
import os

@pytest.fixture(autouse=True)
def ran(record_property):
    record_property("ran", "once")

class TestPolling:
    def test_without_a_pause(self, fake_fine_tuning):
        assert not hasattr(self, "ran")
        self.ran = True
        with openai.OpenAI() as client:
            job = start(client)
            while job.status != "succeeded":
                job = client.fine_tuning.jobs.retrieve(job.id)

def test_fails_anyway(fake_fine_tuning):
    assert fake_fine_tuning.pace == "instant", "as ever"

@pytest.mark.xfail
def test_fails_as_expected(fake_fine_tuning):
    raise ValueError

@pytest.mark.fake_fine_tuning(explore=True)
def test_marked(fake_fine_tuning):
    assert not "marked"
"""
    result = run(pytester, tests, "--fine-tuning-explore=2", "--junitxml=report.xml", "-ojunit_family=xunit1")
    one = run(pytester, tests, "--fine-tuning-explore=500@1", "-k", "TestPolling")

    result.assert_outcomes(passed=1, failed=2, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "E * AssertionError: as ever",
            "E * assert 'polls' == 'instant'",
            "*- fine-tuning explore -*",
            "exploring means virtual time at the pace 'manual': a loop that waits for a job must sleep",
            "*= fine-tuning explore =*",
            "*::test_without_a_pause",
            "  not explored: it asks for a job again and again without sleeping, *",
            "*::test_fails_anyway",
            "  not explored: as ever",
            "  not explored: ValueError",
        ]
    )
    report = ElementTree.parse(pytester.path / "report.xml")
    assert len(list(report.iter("property"))) == 4
    one.assert_outcomes(passed=1, deselected=3)
    one.stdout.fnmatch_lines(["  not explored: it asks for a job again *"])


def test_runs_that_fail_on_the_way_save_no_account(pytester: pytest.Pytester) -> None:
    """Only the reports of the test itself describe an account and save it, not those of its many runs."""
    tests = """
def test_fails(fake_fine_tuning):
    start(openai.OpenAI())
    assert fake_fine_tuning.pace == "instant"
"""
    run(pytester, CARELESS + tests, "--fine-tuning-explore=4")

    saved = [path.name for path in pytester.path.rglob("*.zip")]
    assert ["test_fails" in name for name in saved] == [True]


def test_a_flag_that_means_nothing_is_refused(pytester: pytest.Pytester) -> None:
    """A word after the flag that is neither a number nor a combination is refused with the remedy."""
    result = run(pytester, GOOD, "--fine-tuning-explore", "tests/")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*must be misfortunes at numbers of requests*write --fine-tuning-explore=N, or put*"])
    none = run(pytester, GOOD, "--fine-tuning-explore=0")
    none.stderr.fnmatch_lines(["*--fine-tuning-explore: N must be a whole number from 1, got 0"])


def test_a_mark_that_means_nothing_is_refused(pytester: pytest.Pytester) -> None:
    """An unknown option of the mark, and virtual_time=False beside it, are refused at collection."""
    for mark, message in {
        'explore={"alow": []}': "unknown explore option 'alow'*",
        "explore='yes'": "explore must be true, false, a number of runs, or a mapping of options, got 'yes'",
        "explore=True, virtual_time=False": "virtual_time must be True with explore, got False*",
        "explore=True, pace='polls'": "pace must be 'manual' with virtual_time, got 'polls'*",
    }.items():
        result = run(pytester, f"@pytest.mark.fake_fine_tuning({mark})\ndef test_x(fake_fine_tuning): pass")
        result.stderr.fnmatch_lines([f"ERROR: *{message}"])


def test_each_run_has_fixtures_and_instances_of_its_own(pytester: pytest.Pytester) -> None:
    """Function-scoped fixtures are set up anew for each run, wider ones once, and so is a class's instance."""
    tests = """
made = []

@pytest.fixture(scope="module")
def wide():
    made.append("wide")
    yield
    made.append("wide ends")

@pytest.fixture
def narrow(wide, tmp_path, fake_fine_tuning):
    made.append("narrow")
    yield tmp_path
    made.append("narrow ends")

class TestIt:
    @pytest.mark.parametrize("final", [("succeeded", "failed", "cancelled")])
    @pytest.mark.fake_fine_tuning(explore={"runs": 3, "only": "slow"})
    def test_trains(self, narrow, final, request):
        assert not hasattr(self, "ran")
        self.ran = True
        train(final)

def test_afterwards(wide):
    assert made == ["wide", *["narrow", "narrow ends"] * 4]
"""
    result = run(pytester, tests)

    result.assert_outcomes(passed=2)


def test_shards_have_each_run_once(pytester: pytest.Pytester) -> None:
    """With shards an explored test is collected in parts, which share out the runs; others are collected as ever."""
    tests = CARELESS + "\ndef test_plain(fake_fine_tuning):\n    pass\n"
    pytester.makepyfile(PROGRAM + tests)
    options = (*WITHOUT_OURS, "--fine-tuning-explore-shards=2", "-q", "-W", "ignore::ResourceWarning")
    result = pytester.runpytest_inprocess(*options, "--junitxml=report.xml")

    ran = [
        (case.attrib["name"], each.attrib["name"].removeprefix("explore "))
        for case in ElementTree.parse(pytester.path / "report.xml").iter("testcase")
        for each in case.iter("property")
    ]
    parts = {name for name, _ in ran}
    combinations = [combination for _, combination in ran]
    assert parts == {"test_careless[explore-1of2]", "test_careless[explore-2of2]"}
    assert len(set(combinations)) == len(combinations) > 4
    assert "test_plain" in result.stdout.str() or result.parseoutcomes()["passed"] >= 1


def test_a_fault_of_a_wider_fixture_is_reported(pytester: pytest.Pytester) -> None:
    """What a module's fixture raises in its end is an error of the last test, explored or not."""
    tests = """
@pytest.fixture(scope="module")
def wide():
    yield
    raise RuntimeError("the end of wide")

@pytest.mark.fake_fine_tuning(explore={"runs": 1, "only": "slow"})
def test_trains(wide, fake_fine_tuning):
    train()
"""
    result = run(pytester, tests)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E*RuntimeError: the end of wide"])


def test_a_test_that_fails_undisturbed_is_not_explored(pytester: pytest.Pytester) -> None:
    """A failure without misfortune is reported as ever, and nothing else is tried."""
    tests = """
@pytest.mark.fake_fine_tuning(explore=True)
def test_fails(fake_fine_tuning):
    train()
    assert not "as ever"

@pytest.mark.fake_fine_tuning(explore=True)
@pytest.mark.xfail
def test_fails_as_expected(fake_fine_tuning):
    assert not "as ever"

@pytest.mark.fake_fine_tuning(explore=True)
def test_is_skipped(fake_fine_tuning):
    pytest.skip("no")
"""
    result = run(pytester, tests)

    result.assert_outcomes(failed=1, xfailed=1, skipped=1)
    assert "runs in" not in result.stdout.str()


def test_checks_of_always_hold_after_any_test(pytester: pytest.Pytester) -> None:
    """A check that does not hold fails a test that is not explored, and an explored one where it is wrong."""
    tests = """
def test_plain(fake_fine_tuning):
    @fake_fine_tuning.always
    def never():
        assert not "whatever"

def test_with_an_outer_fake(fake_fine_tuning_module):
    fake_fine_tuning_module.always(lambda: 1 // 0)

@pytest.mark.fake_fine_tuning(explore={"only": ["key-revoked"]})
def test_explored(fake_fine_tuning):
    @fake_fine_tuning.always
    def no_job_runs():
        assert {job["status"] for job in fake_fine_tuning.jobs} <= {"succeeded", "failed", "cancelled"}

    train()
"""
    result = run(pytester, tests)

    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_plain*",
            "*AssertionError: assert not 'whatever'",
            "E*ZeroDivisionError*",
            "✗ key-revoked@2*",
            "    always: AssertionError*",
        ]
    )


def test_a_program_is_started_again(pytester: pytest.Pytester) -> None:
    """With ``restart`` the process ends between two requests, and its successor is judged; async tests, too."""
    tests = """
import asyncio

kept = {}

async def go_on():
    async with openai.AsyncOpenAI() as client:
        if "job" not in kept:
            file = await client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
            kept["job"] = (await client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")).id
        while (await client.fine_tuning.jobs.retrieve(kept["job"])).status != "succeeded":
            await asyncio.sleep(90)
    print("went on")

@pytest.mark.fake_fine_tuning(explore={"only": "restart", "restart": go_on})
def test_goes_on(fake_fine_tuning):
    kept.clear()
    asyncio.run(go_on())
"""
    result = run(pytester, tests, "-W", "ignore::pytest.PytestUnraisableExceptionWarning")
    again = run(
        pytester, tests, "--fine-tuning-explore=restart@3", "-W", "ignore::pytest.PytestUnraisableExceptionWarning"
    )

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  restart            △   △   ✓*"])
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["  restart            ✓"])
    without = run(pytester, GOOD, "--fine-tuning-explore=restart@3")
    without.stdout.fnmatch_lines(
        ['*FakeUsageError: explore needs "restart", a function that starts the program again*']
    )


def test_the_example_of_the_page_is_true(pytester: pytest.Pytester) -> None:
    """The tests of the page about exploring pass, and its program without pytest runs."""
    page = Path(__file__).parents[2] / "docs" / "explore.md"
    text = page.read_text(encoding="utf-8")
    *tests, plain = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    pytester.makepyfile(
        "\n".join(tests) + "\ndef test_plain():\n" + "".join(f"    {line}\n" for line in plain.splitlines())
    )
    result = pytester.runpytest_inprocess(*WITHOUT_OURS, "-W", "ignore::ResourceWarning")

    result.assert_outcomes(passed=4)
    (sample,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    head = re.sub(r"\d+(?:\.\d+)? (s;|more|sus|ended)", r"* \1", sample.splitlines()[0])
    rest = [line for line in sample.splitlines()[1:] if line.startswith(("requests", "△", "    1 more", "earliest"))]
    result.stdout.fnmatch_lines([f"  {head}", *(f"  {line}" for line in rest)])
    (errors,) = re.findall(r"^! (TrainFailed): .*$", sample, re.MULTILINE)
    result.stdout.fnmatch_lines([f"  ! {errors}: ftjob-* at *: * and * more", "  restart *△   ✓*"])
