"""How a test says that it wants virtual time, and what it is told."""

from __future__ import annotations

import openai  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
import pytest

import fine_tuning_fakeserver.virtual_time  # noqa: F401  # likewise
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

POLLS = """
import asyncio
import time
import openai
import pytest
from fine_tuning_client import AsyncFineTuning, FineTuning

ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10

def train():
    client = openai.OpenAI()
    file = client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
    began = time.monotonic()
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(60)
        job = client.fine_tuning.jobs.retrieve(job.id)
    return job.status, time.monotonic() - began
"""


def run(pytester: pytest.Pytester, tests: str, ini: str = "", *arguments: str) -> pytest.RunResult:
    """Run *tests* with these lines in the ini file."""
    pytester.makeini(f"[pytest]\n{ini}")
    pytester.makepyfile(POLLS + tests)
    return pytester.runpytest_inprocess(*WITHOUT_OURS, "-W", "error", "-W", "ignore::ResourceWarning", *arguments)


WANTED = {
    "the mark": ("@pytest.mark.fake_fine_tuning(virtual_time=True)\ndef test_trains(fake_fine_tuning):", ""),
    "the mark over a pace in the ini file": (
        "@pytest.mark.fake_fine_tuning(virtual_time=True)\ndef test_trains(fake_fine_tuning):",
        "fake_fine_tuning_pace = 60",
    ),
    "the fixture": ("def test_trains(virtual_time, fake_fine_tuning):", ""),
    "the ini key": ("def test_trains(fake_fine_tuning):", "fake_fine_tuning_virtual_time = true"),
}


@pytest.mark.parametrize("way", WANTED)
def test_each_way_gives_virtual_time(pytester: pytest.Pytester, way: str) -> None:
    """A mark, an ini key and a fixture make waits virtual, at the pace "manual"."""
    head, ini = WANTED[way]
    tests = f"""
{head}
    began = fake_fine_tuning.now
    assert fake_fine_tuning.pace == "manual"
    status, waited = train()
    assert status == "succeeded" and waited % 60 == 0 and waited > 240
    assert fake_fine_tuning.now - began == waited
"""
    run(pytester, tests, ini).assert_outcomes(passed=1)


def test_without_it_nothing_is_patched_or_imported(pytester: pytest.Pytester) -> None:
    """A test that does not ask for it has the original functions, and its package is not loaded."""
    tests = """
import sys
def test_original(fake_fine_tuning):
    assert type(time.sleep) is type(len)
    assert "fine_tuning_fakeserver.virtual_time" not in sys.modules
"""
    pytester.makepyfile(POLLS + tests)
    pytester.runpytest_subprocess(*WITHOUT_OURS).assert_outcomes(passed=1)


def test_the_fixture_gives_the_clock(pytester: pytest.Pytester) -> None:
    """The fixture's value tells how much was waited, in how many jumps."""
    tests = """
def test_clock(virtual_time):
    time.sleep(5)
    time.sleep(7)
    assert (virtual_time.waited_s, virtual_time.jumps, virtual_time.real_waits) == (12, 2, [])

def test_other(fake_fine_tuning):
    assert type(time.sleep) is type(len)
"""
    run(pytester, tests).assert_outcomes(passed=2)


def test_another_fixture_of_the_name_is_not_ours(pytester: pytest.Pytester) -> None:
    """A project's own fixture `virtual_time` makes nothing virtual."""
    tests = """
@pytest.fixture
def virtual_time():
    return 7

def test_own(virtual_time, fake_fine_tuning):
    assert virtual_time == 7 and fake_fine_tuning.pace == "polls"
"""
    run(pytester, tests).assert_outcomes(passed=1)


def test_our_own_client_waits_like_others(pytester: pytest.Pytester) -> None:
    """Two async waits of this package's client pass their time once, side by side; blocking ones too."""
    tests = """
@pytest.mark.fake_fine_tuning(virtual_time=True)
def test_ours(fake_fine_tuning, virtual_time):
    async def one():
        file = await AsyncFineTuning.upload_file(ROWS.encode())
        job = await AsyncFineTuning.create_job(file.id, "gpt-4o-mini")
        return await AsyncFineTuning.wait_for_job(job.id)

    async def main():
        return await asyncio.gather(one(), one())

    began = fake_fine_tuning.now
    assert [job.status for job in asyncio.run(main())] == ["succeeded", "succeeded"]
    assert fake_fine_tuning.now - began == pytest.approx(virtual_time.waited_s)
    assert fake_fine_tuning.now - began < 1000
    file = FineTuning.upload_file(ROWS.encode())
    assert FineTuning.wait_for_job(FineTuning.create_job(file.id, "gpt-4o-mini").id).status == "succeeded"
"""
    run(pytester, tests).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("virtual_time=1", "*virtual_time must be one of True, False, got 1*"),
        ("virtual_time=True, pace=60", "*pace must be 'manual' with virtual_time, got 60; leave the pace out*"),
    ],
)
def test_a_wrong_option_is_refused(pytester: pytest.Pytester, mark: str, message: str) -> None:
    """A value that is no truth value, and another pace, are refused at collection."""
    tests = f"""
@pytest.mark.fake_fine_tuning({mark})
def test_never():
    pass
"""
    result = run(pytester, tests)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_the_fixture_comes_with_the_test(pytester: pytest.Pytester) -> None:
    """Requested in the middle of a test the fixture fails it and says what to do."""
    tests = """
def test_late(request, fake_fine_tuning):
    request.getfixturevalue("virtual_time")
"""
    result = run(pytester, tests)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*virtual_time must be requested before the test begins; name it among*"])


def test_waits_in_real_time_are_listed(pytester: pytest.Pytester) -> None:
    """At the end of the run, a test's waits that stayed real are listed with their places."""
    tests = """
from fine_tuning_fakeserver.virtual_time import RealWait

@pytest.mark.fake_fine_tuning(virtual_time=True)
def test_waits(virtual_time):
    virtual_time.real_waits.append(RealWait(2.5, "worker-1", "train.py:9"))
"""
    result = run(pytester, tests)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*waits that took real time in tests with virtual time*", "*::test_waits", "  2.5 s at train.py:9 (worker-1)"]
    )
