"""The accounts of failed tests, saved below pytest's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import pytest_fine_tuning.fixture
import pytest_fine_tuning.saved_accounts
from fine_tuning_fakeserver import FakeFineTuning

pytestmark = pytest.mark.slow

FAILING = """
import openai
ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10

def test_failing(fake_fine_tuning):
    client = openai.OpenAI()
    file = client.files.create(file=("a.jsonl", ROWS.encode()), purpose="fine-tune")
    client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
    client.fine_tuning.jobs.list()
    assert False
"""
LINE = "  fake-fine-tuning serve --load *.zip"


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the project's tests."""
    return project.runpytest_inprocess("-q", *arguments)


def saved(project: pytest.Pytester) -> list[Path]:
    """The files that are saved."""
    return sorted((project.path / ".pytest_cache/d/fake-fine-tuning").glob("*"))


def test_the_account_of_a_failed_test_is_saved(pytester: pytest.Pytester) -> None:
    """The line in the report of a failed test opens another account than the test has left."""
    pytester.makepyfile(FAILING + "\ndef test_passing(fake_fine_tuning):\n    openai.OpenAI().models.list()\n")
    result = run(pytester)
    result.assert_outcomes(failed=1, passed=1)

    (line,) = [line for line in result.stdout.lines if "serve --load" in line]
    path = line.split()[-1]
    assert [path] == [str(each.relative_to(pytester.path)) for each in saved(pytester)]
    fake = FakeFineTuning.load(pytester.path / path)
    assert [call.operation for call in fake.calls] == ["upload_file", "create_job", "list_jobs"]
    assert fake.openai().fine_tuning.jobs.list().data[0].status == "queued"  # listed twice by now


@pytest.mark.parametrize("arguments", [("--fine-tuning-no-save",), ("-p", "no:cacheprovider")])
def test_saving_can_be_switched_off(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    """An account is saved where none is wanted, or there is no cache."""
    pytester.makepyfile(FAILING)
    result = run(pytester, *arguments)
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*serve --load*")
    assert saved(pytester) == []


def test_a_cache_that_cannot_be_written_to_is_no_error(pytester: pytest.Pytester) -> None:
    """A test fails otherwise, or is reported otherwise, where the cache folder cannot be written to."""
    pytester.makepyfile(FAILING)
    pytester.makeini("[pytest]\ncache_dir = taken")
    (pytester.path / "taken").write_text("no folder")
    result = run(pytester, "-W", "ignore")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*1  upload_file*"])
    result.stdout.no_fnmatch_line("*serve --load*")
    result.stdout.no_fnmatch_line("*has a bug*")


def test_a_script_that_cannot_be_stored_is_named(pytester: pytest.Pytester) -> None:
    """The report of a test with a function for a script has no word about why its account is not saved."""
    pytester.makepyfile(FAILING.replace("    client =", "    fake_fine_tuning(lambda call: None)\n    client ="))
    result = run(pytester)
    result.stdout.fnmatch_lines(["its account is not saved: a script that is in use is a function*"])
    assert saved(pytester) == []


def test_only_the_newest_are_kept(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of failed tests pile up."""
    monkeypatch.setattr(pytest_fine_tuning.saved_accounts, "FILES_AT_MOST", 2)
    tests = "".join(f"\ndef test_{name}(fake_fine_tuning):\n    test_failing(fake_fine_tuning)\n" for name in "abcd")
    pytester.makepyfile(FAILING + tests)
    run(pytester).assert_outcomes(failed=5)

    assert len(saved(pytester)) == 2


def test_large_contents_are_left_out(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed test with a large file fills the disk."""
    monkeypatch.setattr(pytest_fine_tuning.saved_accounts, "BYTES_AT_MOST", 20_000)
    pytester.makepyfile(
        """
        import random
        import openai

        def test_failing(fake_fine_tuning):
            client = openai.OpenAI()
            client.files.create(file=("a.bin", random.randbytes(30_000)), purpose="assistants")
            assert False
        """
    )
    run(pytester).stdout.fnmatch_lines([LINE])

    (path,) = saved(pytester)
    assert path.stat().st_size < 20_000
    (file,) = FakeFineTuning.load(path).files
    assert file["bytes"] == 30_000
