"""Cassettes in a user's tests: recording, replay, refusals, and one test run in four ways."""

from __future__ import annotations

import os
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
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

IMPORTED = (httpcore, httpx, httpx2, vcr, yaml, fine_tuning_cassettes, fine_tuning_fakeserver)
"""What a run in this process must not import anew: extension modules cannot be, and patches would miss their mark."""

CODE = """
import openai, pytest
from fine_tuning_client import FineTuning

ROW = '{"messages": [{"role": "user", "content": "CANARY-ROW"}, {"role": "assistant", "content": "b"}]}\\n'

def train():
    file = FineTuning.upload_file((ROW * 10).encode())
    return FineTuning.wait_for_job(FineTuning.create_job(file.id, "gpt-4o-mini").id)
"""
TESTS = """
from code_under_test import *

@pytest.mark.fine_tuning_cassette
def test_trains(fine_tuning_cassette):
    assert train().is_completed()
"""
FROM_FAKE = ("--fine-tuning-record=once", "--fine-tuning-record-from=fake")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all keys and addresses from the environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a test that has a cassette."""
    pytester.makepyfile(code_under_test=CODE, test_training=TESTS)
    return pytester


def cassette(project: pytest.Pytester) -> Path:
    """The path of the test's cassette."""
    return project.path / "cassettes" / "test_training" / "test_trains.yaml"


def forget_source(project: pytest.Pytester) -> None:
    """Remove the key `source` from the cassettes, as older versions wrote them."""
    for path in project.path.glob("cassettes/**/*.yaml"):
        path.write_text(path.read_text().replace("\nsource: fake\n", "\n"))


def test_recorded_from_the_fake_and_replayed(project: pytest.Pytester) -> None:
    """A test recorded once passes from then on without a key, a fake or waiting."""
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    text = cassette(project).read_text()
    assert "recorded_from: fake-fine-tuning, not OpenAI\nsource: fake\n" in text
    assert "test: test_training.py::test_trains" in text
    assert "CANARY-ROW" not in text
    project.runpytest_inprocess("--durations=0").assert_outcomes(passed=1)
    assert cassette(project).read_text() == text


def test_a_failing_test_records_nothing(project: pytest.Pytester) -> None:
    """A test that fails, in its body or in another fixture, writes no cassette."""
    failing = TESTS + "    assert False\n"
    project.makepyfile(test_training=failing)
    result = project.runpytest_inprocess(*FROM_FAKE)
    result.assert_outcomes(failed=1)
    assert not cassette(project).exists()
    result.stdout.fnmatch_lines(["*recorded interactions were not written*"])


def test_a_miss_fails_the_test(project: pytest.Pytester) -> None:
    """A request that was not recorded fails the test, with the nearest recording and the differences."""
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    project.makepyfile(code_under_test=CODE.replace('"gpt-4o-mini"', '"gpt-4o"'))
    result = project.runpytest_inprocess()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*nearest is #2 POST /fine_tuning/jobs (200), which differs in*"])


def test_a_name_and_a_path(project: pytest.Pytester) -> None:
    """A mark can name a cassette or a file, and is enough to get the fixture."""
    tests = TESTS.replace("fine_tuning_cassette\ndef test_trains(fine_tuning_cassette)", "MARK\ndef test_trains()")
    for name, path in (("a b/c", "cassettes/test_training/a-b/c.yaml"), ("mine.yaml", "mine.yaml")):
        project.makepyfile(test_training=tests.replace("MARK", f'fine_tuning_cassette("{name}")'))
        project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
        assert (project.path / path).exists()


def test_a_session_of_the_library(project: pytest.Pytester) -> None:
    """A mark can name a packaged session."""
    tests = """
    import openai, pytest

    @pytest.mark.fine_tuning_cassette(session="success")
    def test_replays(fine_tuning_cassette):
        jobs = openai.OpenAI().fine_tuning.jobs
        created = [each for each in fine_tuning_cassette.unused if "POST /fine_tuning/jobs" in each]
        assert created and "fake" in fine_tuning_cassette.header.recorded_from
    """
    project.makepyfile(test_training=tests)
    never_old = ("-o", "fine_tuning_max_age=1s", "-o", "fine_tuning_on_expiry=rerecord")
    project.runpytest_inprocess(*never_old).assert_outcomes(passed=1)


BAD_MARKS = [
    ("mod='once'", "unknown argument 'mod'"),
    ("mode='sometimes'", "mode must be one of 'none', 'once'"),
    ("'a', 'b'", "arguments must be at most one name"),
    ("5", "arguments must be at most one name"),
    ("max_age='soon'", "max_age"),
    ("session='nonsense'", "nonsense"),
    ("'mine', session='success'", "it takes no name, mode, max_age"),
    ("on_unplayed='maybe'", "on_unplayed must be one of 'ignore', 'warn', 'fail', got 'maybe'"),
    ("keep_headers=[5]", "keep_headers must be strings, got 5"),
    ("about=5", "about must be of type str, got 5"),
    ("hosts=['api.openai.com:443']", "without scheme and port, got 'api.openai.com:443'"),
    ("session='success', max_age='1d'", "it takes no name, mode, max_age or on_expiry"),
    ("'a')\n@pytest.mark.fine_tuning_cassette('b'", "a test must have one cassette"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_MARKS)
def test_a_mark_that_makes_no_sense_is_a_usage_error(arguments: str, said: str, project: pytest.Pytester) -> None:
    """An invalid argument of the mark is a usage error before any test, with the valid values."""
    project.makepyfile(test_training=TESTS.replace("fine_tuning_cassette\n", f"fine_tuning_cassette({arguments})\n", 1))
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize(
    "argument", ["--fine-tuning-record=always", "--fine-tuning-record-from=bedrock", "--fine-tuning=dead"]
)
def test_an_option_that_makes_no_sense_is_a_usage_error(argument: str, project: pytest.Pytester) -> None:
    """An invalid value on the command line is a usage error that lists the valid ones."""
    result = project.runpytest_inprocess(argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*invalid choice*choose from*"])


BAD_FILES = {
    "empty": "",
    "no YAML": "{",
    "another thing": "- 1\n",
    "of a later version": "fine_tuning_cassette: 9\n...\n",
    "cut short": "fine_tuning_cassette: 1\nrecorded_at: ''\n",
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_no_cassette_fails_the_test(content: str, project: pytest.Pytester) -> None:
    """A broken cassette fails its test with one sentence that names the file, without a traceback of the plugin."""
    cassette(project).parent.mkdir(parents=True)
    cassette(project).write_text(content)
    result = project.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    said = result.stdout.str()
    assert str(cassette(project)) in said
    assert "use_cassette" not in said.partition("short test summary")[0].replace("use_cassette(…", "")


def test_a_cassette_that_is_not_there_fails_the_test(project: pytest.Pytester) -> None:
    """Without a cassette and without recording, the test fails with a message that says how to record."""
    result = project.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*there is no such cassette*--fine-tuning-record=once*--fine-tuning-record-from=fake*"]
    )


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_fails_the_test_before_anything_is_sent(project: pytest.Pytester) -> None:
    """A cassette folder that cannot be written is an error before anything is sent."""
    (project.path / "cassettes").write_text("a file, where a folder is wanted")
    result = project.runpytest_inprocess(*FROM_FAKE)
    result.assert_outcomes(errors=1)
    assert "cassettes" in result.stdout.str()


def test_age_and_what_is_not_played(project: pytest.Pytester) -> None:
    """Ini keys set a cassette's maximum age, and whether unplayed recordings are an error."""
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    text = cassette(project).read_text()
    cassette(project).write_text(re.sub(r"recorded_at: .*", "recorded_at: '2024-01-01T00:00:00Z'", text))
    old = ("-o", "fine_tuning_max_age=30d")
    result = project.runpytest_inprocess(*old)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*mode='rewrite' records it anew*"])
    loud = ("-W", "default", "-o", "fine_tuning_on_expiry=warn")
    project.runpytest_inprocess(*old, *loud).assert_outcomes(passed=1, warnings=1)
    project.makepyfile(test_training=TESTS.replace("assert train().is_completed()", "pass"))
    result = project.runpytest_inprocess("-o", "fine_tuning_on_unplayed=fail")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*recorded, and not requested*", "*POST /files*"])


FOUR_WAYS = """
from code_under_test import *

def test_trains(fine_tuning_service):
    assert train().is_completed()
    print("way:", fine_tuning_service.mode, fine_tuning_service.costs)
"""


def test_one_test_four_ways(project: pytest.Pytester) -> None:
    """The same test passes against the fake, records, replays, and needs a key to use the real service."""
    project.makepyfile(test_training=FOUR_WAYS)
    for way, said in (("fake", "way: fake False"), ("record", "way: record False"), ("replay", "way: replay False")):
        result = project.runpytest_inprocess(f"--fine-tuning={way}", "--fine-tuning-record-from=fake", "-s")
        result.assert_outcomes(passed=1)
        assert said in result.stdout.str()
    result = project.runpytest_inprocess("--fine-tuning=live")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*openai needs OPENAI_API_KEY in the environment*"])
    result = project.runpytest_inprocess("--fine-tuning=record", "--fine-tuning-record-from=openai")
    result.assert_outcomes(errors=1)


def test_the_live_way_leaves_everything_alone(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --fine-tuning=live a test uses the key and address of its environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    project.makepyfile(
        test_training="""
        import os, pytest
        from fine_tuning_client import APIConnectionError, FineTuning

        def test_asks(fine_tuning_service):
            assert (os.environ["OPENAI_API_KEY"], fine_tuning_service.costs) == ("sk-mine", True)
            with pytest.raises(APIConnectionError):
                FineTuning.with_options(max_retries=0).list_jobs()
        """
    )
    project.runpytest_inprocess("--fine-tuning=live").assert_outcomes(passed=1)


def test_modes_of_the_mark_and_the_command_line(project: pytest.Pytester) -> None:
    """The mode on the command line wins over the mark's."""
    project.makepyfile(test_training=TESTS.replace("fine_tuning_cassette\n", "fine_tuning_cassette(mode='none')\n", 1))
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    before = cassette(project).stat().st_mtime_ns
    project.runpytest_inprocess("--fine-tuning-record=rewrite", "--fine-tuning-record-from=fake").assert_outcomes(
        passed=1
    )
    assert cassette(project).stat().st_mtime_ns > before


CLASSES = """
from code_under_test import *

class TestA:
    @pytest.mark.fine_tuning_cassette
    def test_x(self): assert train().is_completed()

class TestB:
    @pytest.mark.fine_tuning_cassette
    def test_x(self): assert train().is_completed()

@pytest.mark.fine_tuning_cassette
@pytest.mark.parametrize("name", ["gpt 4o", "gpt-4o", "x/../../y"])
def test_p(name): assert train().is_completed()
"""


def test_each_test_has_a_file_of_its_own(project: pytest.Pytester) -> None:
    """Test classes and parameters with special characters get different cassettes, all inside the folder."""
    project.makepyfile(test_training=CLASSES)
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=5)
    assert len(list((project.path / "cassettes" / "test_training").glob("*.yaml"))) == 5
    project.runpytest_inprocess().assert_outcomes(passed=5)


NAMES = ["a", "a-", "[a", "a-b", "a[b", "a]b", "x" * 300, "x" * 299 + "y", "k" * 231]
LISTS = f"""
from code_under_test import *

@pytest.mark.fine_tuning_cassette
@pytest.mark.parametrize("name", {NAMES}, ids=str)
def test_p(name): FineTuning.list_jobs()

@pytest.mark.fine_tuning_cassette("{"n" * 300}/{"ü" * 150}")
def test_named(): FineTuning.list_jobs()
"""


def test_names_that_are_too_long_or_alike_lead_to_files_of_their_own(project: pytest.Pytester) -> None:
    """Tests with very long names, or names that differ by a bracket, get different cassettes."""
    project.makepyfile(test_training=LISTS)
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=len(NAMES) + 1)
    folder = project.path / "cassettes" / "test_training"
    assert {"test_p-a.yaml", "test_p-a-b.yaml"} < {path.name for path in folder.iterdir()}
    assert len(list(folder.glob("**/*.yaml"))) == len(NAMES) + 1
    assert max(len(path.name.encode()) for path in folder.glob("**/*")) <= 237
    project.runpytest_inprocess().assert_outcomes(passed=len(NAMES) + 1)


def test_two_tests_cannot_record_one_file(project: pytest.Pytester) -> None:
    """A second test that records the same cassette in one run fails, with the name of the first."""
    project.makepyfile(test_training=CLASSES.replace("fine_tuning_cassette\n", 'fine_tuning_cassette("one")\n'))
    result = project.runpytest_inprocess("--fine-tuning-record=rewrite", "--fine-tuning-record-from=fake")
    result.assert_outcomes(passed=1, errors=4)
    result.stdout.fnmatch_lines(["*was already recorded by test_training.py::TestA::test_x in this run*"])


SHARED = """
from code_under_test import *

@pytest.mark.fine_tuning_cassette("one")
def test_first():
    train()
    assert False, "on purpose"

@pytest.mark.fine_tuning_cassette("one")
def test_second(): assert train().is_completed()
"""


def test_who_has_written_nothing_is_in_nobodys_way(project: pytest.Pytester) -> None:
    """If the first test of a shared cassette failed and so recorded nothing, the second records it."""
    project.makepyfile(test_training=SHARED)
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1, failed=1)


ASYNC = """
import asyncio
from code_under_test import *
from fine_tuning_client import AsyncFineTuning

@pytest.mark.fine_tuning_cassette
def test_trains():
    turns = []

    async def others():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def train():
        task = asyncio.create_task(others())
        file = await AsyncFineTuning.upload_file((ROW * 10).encode())
        job = await AsyncFineTuning.create_job(file.id, "gpt-4o-mini")
        before = len(turns)
        job = await AsyncFineTuning.wait_for_job(job.id)
        task.cancel()
        return job, len(turns) - before

    job, seen = asyncio.run(train())
    assert job.is_completed()
    assert seen >= 2
"""


def test_other_tasks_have_their_turn_while_a_wait_is_replayed(project: pytest.Pytester) -> None:
    """A replayed async wait lets other tasks run at each sleep, and takes no time."""
    project.makepyfile(test_training=ASYNC)
    for arguments in (FROM_FAKE, ()):
        project.runpytest_inprocess(*arguments).assert_outcomes(passed=1)


MARKED = """
from code_under_test import *

@pytest.mark.fake_fine_tuning(plan={"outcome": "failed"}, guard=True)
def test_trains(fine_tuning_service):
    assert train().has_failed()
    print("way:", fine_tuning_service.mode)
"""


def test_the_mark_of_the_fake_brings_no_fake_where_it_is_not_asked(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --fine-tuning=live the mark fake_fine_tuning has no effect."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    project.makepyfile(
        test_training="""
        import os, pytest
        from fine_tuning_client import APIConnectionError, FineTuning

        @pytest.mark.fake_fine_tuning(plan={"outcome": "failed"})
        def test_asks(fine_tuning_service):
            assert os.environ["OPENAI_API_KEY"] == "sk-mine"
            with pytest.raises(APIConnectionError):
                FineTuning.with_options(max_retries=0).list_jobs()
        """
    )
    project.runpytest_inprocess("--fine-tuning=live").assert_outcomes(passed=1)


def test_the_mark_of_the_fake_says_how_it_is_recorded(project: pytest.Pytester) -> None:
    """A plan in the mark applies to the fake, to recording from the fake, and so to replay."""
    project.makepyfile(test_training=MARKED)
    for way in ("fake", "record", "replay"):
        result = project.runpytest_inprocess(f"--fine-tuning={way}", "--fine-tuning-record-from=fake", "-s")
        result.assert_outcomes(passed=1)
        assert f"way: {way}" in result.stdout.str()


def test_the_mark_of_the_fake_says_how_a_cassette_is_recorded(project: pytest.Pytester) -> None:
    """Beside a cassette mark, the fake's mark sets the options for recording and has no effect on replay."""
    mark = '@pytest.mark.fake_fine_tuning(plan={"outcome": "failed"})\n@pytest.mark.fine_tuning_cassette\n'
    tests = TESTS.replace("@pytest.mark.fine_tuning_cassette\n", mark).replace("is_completed", "has_failed")
    project.makepyfile(test_training=tests)
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    project.makepyfile(test_training=tests + "    assert fine_tuning_cassette.play_count == 3\n")
    project.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("tests", "arguments", "said"),
    [
        (TESTS, (), "a cassette cannot be used together with the fixture fake_fine_tuning"),
        (MARKED, ("--fine-tuning=live",), "--fine-tuning=live cannot be used together with the fixture"),
        (MARKED, ("--fine-tuning=replay",), "--fine-tuning=replay cannot be used together with the fixture"),
    ],
)
def test_the_fake_does_not_answer_in_place_of_a_cassette(
    tests: str, arguments: tuple[str, ...], said: str, project: pytest.Pytester
) -> None:
    """A test that gets the fake by an autouse fixture and is to use another service fails at set-up."""
    autouse = "\n@pytest.fixture(autouse=True)\ndef always(fake_fine_tuning): pass\n"
    project.makepyfile(test_training=tests + autouse)
    result = project.runpytest_inprocess(*arguments)
    result.assert_outcomes(errors=1)
    assert said in result.stdout.str()


AZURE = """
import openai, pytest

@pytest.mark.fine_tuning_cassette
def test_trains():
    client = openai.AzureOpenAI(api_version="2024-10-21", max_retries=0)
    assert client.fine_tuning.jobs.list().data == []
"""


def test_recording_from_the_fake_takes_azures_clients_along(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While recording from the fake, a client configured for Azure by the environment reaches the fake, too."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "mine")
    project.makepyfile(test_training=AZURE)
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    assert "uri: http://localhost/openai/fine_tuning/jobs" in cassette(project).read_text()


def test_recording_from_the_fake_asks_nobody_else(project: pytest.Pytester) -> None:
    """While recording from the fake, a request to another address is an error, even if the client swallows it."""
    project.makepyfile(
        test_training="""
        import httpx, pytest

        @pytest.mark.fine_tuning_cassette
        def test_trains():
            try:
                httpx.get("http://127.0.0.1:1/v1/models")
            except Exception as error:
                assert not isinstance(error, httpx.ConnectError)
        """
    )
    result = project.runpytest_inprocess(*FROM_FAKE)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*recorded requests must go to the chosen service, got GET 127.0.0.1:1*"])
    assert not cassette(project).exists()


def test_a_cassette_is_not_added_to_from_a_fresh_fake(project: pytest.Pytester) -> None:
    """new_episodes cannot extend a cassette from a fresh fake, which lacks the replayed jobs."""
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    forget_source(project)
    result = project.runpytest_inprocess("--fine-tuning-record=new_episodes", "--fine-tuning-record-from=fake")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*cannot be extended from the fake*--fine-tuning-record=rewrite --fine-tuning-record-from=fake*"]
    )


def test_an_end_that_fails_writes_nothing(project: pytest.Pytester) -> None:
    """A fixture that fails after the test leaves no cassette, whether it was set up before or after the cassette."""
    for fixtures in ("fine_tuning_cassette, late", "late, fine_tuning_cassette"):
        tests = TESTS.replace("test_trains(fine_tuning_cassette)", f"test_trains({fixtures})")
        project.makepyfile(test_training=tests + "\n@pytest.fixture\ndef late():\n    yield\n    assert False\n")
        result = project.runpytest_inprocess(*FROM_FAKE)
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["*recorded interactions were not written*"])
        assert not cassette(project).exists()


def test_a_missing_key_is_the_only_thing_that_is_told(project: pytest.Pytester) -> None:
    """An error for a missing key is not followed by a warning that nothing was recorded."""
    result = project.runpytest_inprocess("--fine-tuning-record=once", "-W", "always")
    result.assert_outcomes(errors=1)
    assert "nothing was recorded" not in result.stdout.str()


VCR = """
import importlib, sys
import httpx, pytest, requests

def record(path, *urls):
    import vcr
    with vcr.use_cassette(str(path)):
        for url in urls:
            httpx.get(url, headers={"authorization": "Bearer any"})
    return path.exists() and path.read_text().count("uri:")
"""


def test_vcrpy_records_nothing_of_the_fake_however_late_it_comes(project: pytest.Pytester) -> None:
    """vcrpy, even if imported and used inside a test, does not record the fake's responses."""
    project.makepyfile(
        test_training=VCR
        + """
def test_late(fake_fine_tuning, tmp_path):
    assert "vcr" not in sys.modules
    assert not record(tmp_path / "c.yaml", fake_fine_tuning.base_url + "/models", "https://api.openai.com/v1/models")
    assert len(fake_fine_tuning.requests) == 2

def test_again(fake_fine_tuning, tmp_path):
    assert not record(tmp_path / "c.yaml", fake_fine_tuning.base_url + "/models", "https://api.openai.com/v1/models")
    assert len(fake_fine_tuning.requests) == 2

def test_others(fake_fine_tuning_server, tmp_path):
    assert record(tmp_path / "c.yaml", fake_fine_tuning_server.base_url + "/models") == 1
"""
    )
    project.runpytest_subprocess(*WITHOUT_OURS).assert_outcomes(passed=3)


def test_new_episodes_wait_for_nothing_that_is_played(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With new_episodes the client's waits take no time while responses are replayed."""
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    forget_source(project)
    slow = "    def wake(seconds): raise AssertionError('slept')\n    monkeypatch.setattr('time.sleep', wake)\n"
    tests = TESTS.replace("(fine_tuning_cassette):\n", f"(fine_tuning_cassette, monkeypatch):\n{slow}")
    project.makepyfile(test_training=tests)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any-key")
    project.runpytest_inprocess("--fine-tuning-record=new_episodes").assert_outcomes(passed=1)


def test_azure_is_in_the_environment_only_where_it_is_in_the_cassette(project: pytest.Pytester) -> None:
    """AZURE_OPENAI_ENDPOINT is set only for a cassette of Azure."""
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    look = "import os; print('at:', os.environ.get('AZURE_OPENAI_ENDPOINT'))"
    tests = TESTS.replace("assert train().is_completed()", look)
    project.makepyfile(test_training=tests)
    result = project.runpytest_inprocess("-s")
    result.stdout.fnmatch_lines(["*at: None*"])


def test_two_tests_may_share_what_neither_adds_to(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With new_episodes two tests may replay the same cassette if neither adds to it."""
    shared = TESTS.replace("fine_tuning_cassette\n", 'fine_tuning_cassette("one")\n', 1)
    project.makepyfile(test_training=shared)
    project.runpytest_inprocess(*FROM_FAKE).assert_outcomes(passed=1)
    forget_source(project)
    second = shared.partition("@pytest")[2].replace("test_trains", "test_again")
    project.makepyfile(test_training=f"{shared}\n@pytest{second}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any-key")
    project.runpytest_inprocess("--fine-tuning-record=new_episodes").assert_outcomes(passed=2)
