"""Async code under the fixture: waits let other tasks run, and take the time that the pace says."""

from __future__ import annotations

import pytest

import pytest_fine_tuning.fixture  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

PRELUDE = """
import asyncio
import time
import anyio
import pytest
from fine_tuning_client import AsyncFineTuning

ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10

def job(fake, status="running"):
    return fake.add_job(fake.add_file(ROWS)["id"], status=status)["id"]
"""


def passes(pytester: pytest.Pytester, tests: str, count: int) -> None:
    """Run *tests* in a process of its own, so that one that hangs is stopped."""
    pytester.makepyfile(PRELUDE + tests)
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-W", "error", timeout=60).assert_outcomes(passed=count)


def test_a_wait_can_be_given_up(pytester: pytest.Pytester) -> None:
    """A timeout around a wait for a paused job ends the wait, with asyncio and with trio."""
    tests = """
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_gives_up(fake_fine_tuning, backend):
    async def main():
        with pytest.raises(TimeoutError), anyio.fail_after(0.05):
            await AsyncFineTuning.wait_for_job(job(fake_fine_tuning, "paused"))
    anyio.run(main, backend=backend)
"""
    passes(pytester, tests, 2)


def test_another_task_can_end_a_wait(pytester: pytest.Pytester) -> None:
    """A task that resumes the job runs while another waits for it."""
    tests = """
def test_resumes(fake_fine_tuning):
    paused = job(fake_fine_tuning, "paused")

    async def resume():
        await asyncio.sleep(0.01)
        await AsyncFineTuning.resume_job(paused)

    async def main():
        ended, _ = await asyncio.gather(AsyncFineTuning.wait_for_job(paused), resume())
        return ended.status

    assert asyncio.run(main()) == "succeeded"
"""
    passes(pytester, tests, 1)


def test_at_a_numeric_pace_a_wait_is_real_and_blocks_nobody(pytester: pytest.Pytester) -> None:
    """At a numeric pace an async wait takes real time and does not block the event loop."""
    tests = """
@pytest.mark.fake_fine_tuning(pace=200)
def test_turns(fake_fine_tuning):
    turns = []

    async def count():
        while True:
            await asyncio.sleep(0)
            turns.append(time.monotonic())

    async def main():
        counting = asyncio.create_task(count())
        before = time.monotonic()
        await fake_fine_tuning.async_sleep(20)
        counting.cancel()
        return before

    before = asyncio.run(main())
    assert turns[-1] - before > 0.05
    assert len(turns) > 50
"""
    passes(pytester, tests, 1)
