"""Cassettes in daily use: recording again, orphans, scrub rules, and the summary of what a run recorded."""

from __future__ import annotations

import re
from pathlib import Path

import httpcore
import httpx
import httpx2
import pytest
import vcr  # type: ignore[import-untyped]  # it has no types
import yaml

import fine_tuning_cassettes
import fine_tuning_fakeserver

pytestmark = pytest.mark.slow

IMPORTED = (httpcore, httpx, httpx2, vcr, yaml, fine_tuning_cassettes, fine_tuning_fakeserver)
"""What a run in this process must not import anew: patches would miss their mark."""

CODE = """
import pytest
from fine_tuning_client import FineTuning

client = FineTuning.with_options(max_retries=0)
"""
TESTS = """
from code_under_test import *

@pytest.mark.fine_tuning_cassette
def test_asks(): client.list_jobs()
"""
ONCE, REWRITE, NEW = (f"--fine-tuning-record={mode}" for mode in ("once", "rewrite", "new_episodes"))
FAKE, OPENAI = (f"--fine-tuning-record-from={service}" for service in ("fake", "openai"))


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project with a recorded test, and an environment without a reachable provider."""
    for name in ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any-key")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    pytester.makepyfile(code_under_test=CODE, test_jobs=TESTS)
    pytester.runpytest_inprocess(ONCE, FAKE).assert_outcomes(passed=1)
    return pytester


def cassette(project: pytest.Pytester) -> Path:
    """Return the path of the test's cassette."""
    return project.path / "cassettes" / "test_jobs" / "test_asks.yaml"


def test_a_cassette_is_recorded_again_from_its_source(project: pytest.Pytester) -> None:
    """Without a service on the command line a cassette of the fake is recorded again from the fake, even with a key."""
    project.makepyfile(test_jobs=TESTS.replace("list_jobs()", "retrieve_model('gpt-4o-mini')"))
    project.runpytest_inprocess(REWRITE).assert_outcomes(passed=1)
    text = cassette(project).read_text()
    assert "/models/gpt-4o-mini" in text
    assert "\nsource: fake\n" in text


def test_a_miss_in_a_cassette_of_the_fake_sends_nothing(project: pytest.Pytester) -> None:
    """A request that a cassette of the fake lacks is refused with advice and not sent, even with new_episodes."""
    project.runpytest_inprocess(NEW).assert_outcomes(passed=1)
    project.makepyfile(test_jobs=TESTS.replace("list_jobs()", "retrieve_model('gpt-4o-mini')"))
    for service in ([], [FAKE]):
        result = project.runpytest_inprocess(NEW, *service)
        assert result.ret == 1
        result.stdout.fnmatch_lines([f"*to record: *{REWRITE} {FAKE})"])
        assert "Connection" not in result.stdout.str()


def test_another_service_is_recorded_if_it_is_said_twice(project: pytest.Pytester) -> None:
    """Recording from another source than the cassette's is refused, unless a second option confirms it."""
    before = cassette(project).read_text()
    result = project.runpytest_inprocess(REWRITE, OPENAI)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the source must be fake, which this cassette was recorded from, got openai*"])
    result = project.runpytest_inprocess(REWRITE, OPENAI, "--fine-tuning-change-source")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*APIConnectionError*"])
    assert cassette(project).read_text() == before


def test_an_ini_key_names_the_service_to_record(project: pytest.Pytester) -> None:
    """The ini key for the source applies like the option; a mark wins over it, and the command line over both."""
    cassette(project).unlink()
    ini = ("-o", "fine_tuning_record_from=fake")
    project.runpytest_inprocess(ONCE, *ini).assert_outcomes(passed=1)
    cassette(project).unlink()
    project.runpytest_inprocess(ONCE, OPENAI, *ini).assert_outcomes(failed=1)
    project.makepyfile(test_jobs=TESTS.replace("cassette\n", "cassette(source='openai')\n"))
    project.runpytest_inprocess(ONCE, *ini).assert_outcomes(failed=1)
    project.runpytest_inprocess(ONCE, FAKE).assert_outcomes(passed=1)
    project.makepyfile(test_jobs=TESTS)
    result = project.runpytest_inprocess("-o", "fine_tuning_record_from=bedrock")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "source must be one of None, 'openai', 'azure', 'fake', got 'bedrock'" in result.stderr.str()


JOB = """
from code_under_test import *

@pytest.mark.fine_tuning_cassette
def test_asks():
    row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n'
    file = client.upload_file(row.encode() * 10)
    job = client.wait_for_job(client.create_job(file.id, "gpt-4o-mini").id)
    assert client.list_job_events(job.id).data
"""


def test_a_re_recording_of_the_fake_has_the_same_bytes(project: pytest.Pytester) -> None:
    """A session recorded again from the fake has the same bytes, unless its age is limited."""
    project.makepyfile(test_jobs=JOB)
    project.runpytest_inprocess(REWRITE).assert_outcomes(passed=1)
    assert '"created_at": 17600000' in cassette(project).read_text()
    before = re.sub(r"recorded_at: .*", "recorded_at: '2024-01-01T00:00:00Z'", cassette(project).read_text())
    cassette(project).write_text(before)
    project.runpytest_inprocess(REWRITE).assert_outcomes(passed=1)
    assert cassette(project).read_text() == before
    project.runpytest_inprocess(REWRITE, "-o", "fine_tuning_max_age=90d").assert_outcomes(passed=1)
    assert "'2024-01-01T00:00:00Z'" not in cassette(project).read_text()
    project.makepyfile(test_jobs=JOB.replace("@pytest", "@pytest.mark.fake_fine_tuning(start=1.7e9)\n@pytest"))
    project.runpytest_inprocess(REWRITE).assert_outcomes(passed=1)
    assert '"created_at": 17000000' in cassette(project).read_text()


SCRUBBED = """
from code_under_test import *

def hide(text, name): return text.replace("canary-1", "x")

pytestmark = pytest.mark.fine_tuning_cassette(scrub=["canary-2"])

@pytest.mark.fine_tuning_cassette(scrub=["canary-3"])
def test_asks():
    with pytest.raises(Exception): client.retrieve_model("canary-1-canary-2-canary-3-canary-4")
"""


def test_rules_of_the_ini_file_and_of_all_marks_hold_together(project: pytest.Pytester) -> None:
    """Scrub rules of the ini file, of the module's mark and of the test's mark all apply."""
    cassette(project).unlink()
    project.makepyfile(test_jobs=SCRUBBED)
    project.makeini("[pytest]\npythonpath = .\nfine_tuning_scrub =\n    canary-4\n    @test_jobs:hide\n")
    project.runpytest_inprocess(ONCE, FAKE).assert_outcomes(passed=1)
    text = cassette(project).read_text()
    assert "/models/x-scrubbed-scrubbed-scrubbed" in text
    assert "canary" not in text
    project.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize("line", ["(", "@nowhere:hide", "@test_jobs:nothing", "@test_jobs:pytestmark"])
def test_a_line_that_is_no_rule_is_a_usage_error(project: pytest.Pytester, line: str) -> None:
    """A scrub rule that does not compile or cannot be imported is a usage error before any test."""
    project.makepyfile(test_jobs=SCRUBBED)
    project.makeini(f"[pytest]\npythonpath = .\nfine_tuning_scrub = {line}\n")
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "scrub must" in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_a_renamed_test_names_the_cassette_it_had(project: pytest.Pytester) -> None:
    """The error of a missing cassette names an orphan that may be its old name, however few tests are run."""
    project.makepyfile(test_jobs=TESTS.replace("test_asks", "test_asks_again") + "\ndef test_other(): pass\n")
    hint = (
        "*cassettes/test_jobs/test_asks.yaml was recorded by test_jobs.py::test_asks, which is no longer there. *mv "
        "cassettes/test_jobs/test_asks.yaml cassettes/test_jobs/test_asks_again.yaml"
    )
    for arguments in ([], ["test_jobs.py::test_asks_again"], ["-k", "again"]):
        result = project.runpytest_inprocess(*arguments)
        assert result.ret == 1
        result.stdout.fnmatch_lines([hint])
    (project.path / "test_jobs.py").unlink()
    project.makepyfile(test_work=TESTS)
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*mv cassettes/test_jobs/test_asks.yaml cassettes/test_work/test_asks.yaml"])


def test_a_cassette_that_has_a_test_is_not_taken_for_that_of_another(project: pytest.Pytester) -> None:
    """The cassette of another existing test is not suggested, even if that test is not run."""
    project.makepyfile(test_jobs=f"{TESTS}\n@pytest.mark.fine_tuning_cassette\ndef test_new(): client.list_jobs()\n")
    for arguments in ([], ["test_jobs.py::test_new"], ["-k", "new"]):
        result = project.runpytest_inprocess(*arguments)
        assert "no such cassette" in result.stdout.str()
        assert "no longer there" not in result.stdout.str()
        assert "which no test has" not in result.stdout.str()


RENAMED = f"""{TESTS}
@pytest.mark.fine_tuning_cassette("test_asks")
def test_shares(): client.list_jobs()

@pytest.mark.fine_tuning_cassette
@pytest.mark.parametrize("name", ["a", "b"])
def test_p(name): client.list_jobs()
"""


def test_the_summary_lists_orphans_and_what_was_recorded(project: pytest.Pytester) -> None:
    """The summary lists the recorded cassettes with their source, and the orphans."""
    project.makepyfile(test_jobs=RENAMED)
    result = project.runpytest_inprocess(ONCE, FAKE)
    result.stdout.fnmatch_lines(
        [
            "*= fine-tuning cassettes =*",
            "2 recorded:",
            "  cassettes/test_jobs/test_p-a.yaml (1 interaction from fake)",
            "  cassettes/test_jobs/test_p-b.yaml (1 interaction from fake)",
        ]
    )
    assert "which no test has" not in result.stdout.str()
    result = project.runpytest_inprocess()
    assert "fine-tuning cassettes" not in result.stdout.str()

    mine = cassette(project).read_text()
    folder = cassette(project).parent
    (folder / "of-nobody.yaml").write_text(mine.replace("test: test_jobs.py::test_asks\n", ""))
    (folder / "of-another.yaml").write_text(mine.replace("test_jobs.py", "tests/test_more.py"))
    (folder / "of-vcrpy.yaml").write_text("version: 1\ninteractions: []\n")
    project.makepyfile(test_jobs=RENAMED.replace("def test_p(", "def test_q(").replace('["a", "b"]', '["a"]'))
    for path in folder.glob("test_p-*"):
        path.with_name(path.name.replace("_p", "_q")).write_text(path.read_text().replace("::test_p", "::test_q"))
    orphans = [
        *(
            "3 orphans, which no test has:",
            "  cassettes/test_jobs/test_p-a.yaml (recorded by test_jobs.py::test_p[[]a])",
        ),
        *("  cassettes/test_jobs/test_p-b.yaml *", "  cassettes/test_jobs/test_q-b.yaml *"),
    ]
    for arguments in ([], ["-k", "asks"], ["-n1"]):
        result = project.runpytest_inprocess(*arguments)
        assert result.ret == 0
        result.stdout.fnmatch_lines(orphans)
        assert "recorded:" not in result.stdout.str()
    result = project.runpytest_inprocess("test_jobs.py::test_asks")
    result.stdout.fnmatch_lines(["2 orphans, which no test has:", "*test_p-a*", "*test_p-b*"])


def test_a_run_without_marks_and_fixtures_of_ours_loads_nothing_of_them(pytester: pytest.Pytester) -> None:
    """A run without the plugin's marks and fixtures imports neither the fake nor the client nor cassettes."""
    pytester.makepyfile("def test_passes(): pass")
    pytester.makeconftest(
        "import atexit, sys\n"
        "names = ('fine_tuning_', 'httpx', 'vcr', 'yaml')\n"
        "atexit.register(lambda: print('loaded:', [name for name in sys.modules if name.startswith(names)]))\n"
    )
    result = pytester.runpytest_subprocess("-p", "no:schemathesis")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["loaded: []"])
