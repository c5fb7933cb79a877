"""Virtual time: what waits costs nothing, moves the fake's clock once, and never ends before its time."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
import types
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import openai
import pytest
import trio

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver import virtual_time as package
from fine_tuning_fakeserver.virtual_time import VirtualTime, scheduler, virtual_time
from strategies import BORN, ROWS

POLLS = 12
HOUR = 3600.0


@pytest.fixture(scope="module")
def served() -> Iterator[FakeFineTuning]:
    """One fake for the whole module, on a socket."""
    with FakeFineTuning() as fake:
        yield fake


@dataclass
class Lab:
    """A test's fake, its job, which goes on for days, and the virtual time."""

    fake: FakeFineTuning
    job: str
    virtual: VirtualTime
    clients: ExitStack

    @property
    def passed(self) -> float:
        """Virtual seconds since the beginning."""
        return self.fake.now - BORN

    def client(self, **options: Any) -> openai.OpenAI:
        """A client over the socket, which is closed at the end of the test."""
        return self.clients.enter_context(openai.OpenAI(base_url=self.fake.base_url, api_key="any", **options))

    def async_client(self, **options: Any) -> openai.AsyncOpenAI:
        """The same for async code."""
        return openai.AsyncOpenAI(base_url=self.fake.base_url, api_key="any", **options)


@pytest.fixture
def lab(served: FakeFineTuning) -> Iterator[Lab]:
    """A fresh account with virtual time."""
    served.reset(defaults={"start": BORN, "pace": "manual", "plan": {"queued": "90d"}})
    job = served.add_job(served.add_file(ROWS)["id"], status="queued")["id"]
    with ExitStack() as clients, virtual_time(served) as virtual:
        yield Lab(served, job, virtual, clients)


def send_soon(sock: socket.socket) -> None:
    """Send a byte after some real time."""
    scheduler.real_sleep(0.02)
    sock.sendall(b"x")


def test_a_loop_of_sleeps_comes_to_its_deadline(lab: Lab) -> None:
    """A blocking loop passes the sum of its sleeps, by the fake's clock and by its own, and no real hour."""
    client, began, polls = lab.client(), time.monotonic(), 0
    while time.monotonic() - began < HOUR:
        time.sleep(300)
        client.fine_tuning.jobs.retrieve(lab.job)
        polls += 1

    assert (polls, lab.passed, time.monotonic() - began) == (12, HOUR, HOUR)
    assert (lab.virtual.waited_s, lab.virtual.jumps) == (HOUR, 12)


def test_async_polls_pass_their_sleeps(lab: Lab) -> None:
    """An async loop passes the sum of its sleeps, and no request times out meanwhile."""

    async def main() -> None:
        async with lab.async_client(max_retries=0) as client:
            for _ in range(POLLS):
                await client.fine_tuning.jobs.retrieve(lab.job)
                await asyncio.sleep(30)

    asyncio.run(main())
    assert lab.passed == 30 * POLLS


def test_a_timer_is_due_where_time_jumps_to(lab: Lab) -> None:
    """A loop whose clock is so far on that a nanosecond is nothing to it takes one jump for a sleep."""
    lab.fake.advance("600d")
    asyncio.run(asyncio.sleep(0.3))
    assert lab.virtual.jumps == 1


def test_tasks_wake_in_order(lab: Lab) -> None:
    """Two tasks that sleep 10 s and 30 s wake at their times, each beside the other, and time passes once."""
    log: list[tuple[float, int]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def work(client: openai.AsyncOpenAI, seconds: int, times: int) -> None:
            for _ in range(times):
                await asyncio.sleep(seconds)
                log.append((loop.time() - began, seconds))
                await client.fine_tuning.jobs.retrieve(lab.job)

        async with lab.async_client(max_retries=0) as client:
            await asyncio.gather(work(client, 10, 6), work(client, 30, 2))

    asyncio.run(main())
    assert sorted(log) == [(10, 10), (20, 10), (30, 10), (30, 30), (40, 10), (50, 10), (60, 10), (60, 30)]
    assert [at for at, _ in log] == sorted(at for at, _ in log)
    assert lab.passed == 60


async def _timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await asyncio.Event().wait()


async def _wait_for() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 100)


async def _call_later() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(100, event.set)
    await event.wait()


async def _wait() -> None:
    task = asyncio.create_task(asyncio.sleep(HOUR))
    await asyncio.wait([task], timeout=100)
    task.cancel()


async def _move_on_after() -> None:
    with anyio.move_on_after(100):
        await anyio.sleep(HOUR)


async def _asyncio_sleep() -> None:
    await asyncio.sleep(100)


async def _two_days() -> None:  # asyncio's selector waits for a day at most
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(2 * 86400 - 100)
    assert asyncio.get_running_loop().time() - began == 2 * 86400 - 100


@pytest.mark.parametrize("wait", [_timeout, _wait_for, _call_later, _wait, _move_on_after, _asyncio_sleep, _two_days])
def test_waits_of_asyncio_are_virtual(lab: Lab, wait: Callable[[], Awaitable[None]]) -> None:
    """Every wait of asyncio, and of anyio upon it, passes what it says."""

    async def main() -> None:
        await wait()

    asyncio.run(main())
    assert lab.passed == (2 * 86400 - 100 if wait is _two_days else 100)


async def _trio_sleep() -> None:
    began = trio.current_time()
    await trio.sleep(100)
    assert trio.current_time() - began == pytest.approx(100)


async def _trio_timeout() -> None:
    with pytest.raises(trio.TooSlowError), trio.fail_after(100):
        await trio.sleep_forever()


async def _trio_tasks() -> None:
    log: list[int] = []

    async def work(seconds: int) -> None:
        await trio.sleep(seconds)
        log.append(seconds)

    async with trio.open_nursery() as nursery:
        for seconds in (100, 10, 30):
            nursery.start_soon(work, seconds)
    assert log == [10, 30, 100]


async def _trio_thread() -> None:
    with trio.fail_after(60):
        await trio.to_thread.run_sync(time.sleep, 50)
    await trio.sleep(50)


@pytest.mark.parametrize("wait", [_trio_sleep, _trio_timeout, _move_on_after, _trio_tasks, _trio_thread])
def test_waits_of_trio_are_virtual(lab: Lab, wait: Callable[[], Awaitable[None]]) -> None:
    """Every wait of trio, and of anyio upon it, passes what it says."""
    trio.run(wait)
    assert lab.passed == pytest.approx(100, abs=1e-5)


def test_trio_polls_pass_their_sleeps(lab: Lab) -> None:
    """A loop under trio passes the sum of its sleeps, and no request times out meanwhile."""

    async def main() -> None:
        async with lab.async_client(max_retries=0) as client:
            for _ in range(POLLS):
                with trio.fail_after(20):
                    await client.fine_tuning.jobs.retrieve(lab.job)
                await trio.sleep(30)

    trio.run(main)
    assert lab.passed == pytest.approx(30 * POLLS, abs=1e-5)


def test_trio_waits_in_real_time_for_somebody_else(lab: Lab) -> None:
    """Under trio, too, a socket to somebody else makes waits real, and they end."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        with theirs:
            began = time.perf_counter()
            with trio.move_on_after(0.02) as scope:
                await stream.receive_some(1)
            assert scope.cancelled_caught
            assert time.perf_counter() - began >= 0.02
            threading.Thread(target=send_soon, args=(theirs,)).start()
            with trio.fail_after(HOUR):
                assert await stream.receive_some(1) == b"x"
            await stream.aclose()

    trio.run(main)
    assert lab.passed == pytest.approx(0.02, abs=1e-5)


def test_the_sdk_waits_virtually_before_it_retries(lab: Lab) -> None:
    """The pauses of openai before its own retries are virtual, blocking and async."""
    lab.fake.fail(503, on="retrieve_job", times=2, retry_after=40)
    assert lab.client().fine_tuning.jobs.retrieve(lab.job).id == lab.job
    assert lab.passed == 80

    async def main() -> None:
        async with lab.async_client() as client:
            await client.fine_tuning.jobs.retrieve(lab.job)

    lab.fake.fail(503, on="retrieve_job", times=2, retry_after=40)
    asyncio.run(main())
    assert lab.passed == 160


def test_an_outage_takes_the_same_number_of_tries(lab: Lab) -> None:
    """An outage of five minutes ends after as many tries as the pauses say, each time."""

    async def tries() -> int:
        count = 1
        async with lab.async_client(max_retries=0) as client:
            while True:
                try:
                    await client.fine_tuning.jobs.retrieve(lab.job)
                except openai.InternalServerError:
                    count += 1
                    await asyncio.sleep(60)
                else:
                    return count

    counts = []
    for _ in range(5):
        lab.fake.outage("5m")
        counts.append(asyncio.run(tries()))
    assert counts == [6] * 5


def test_a_thread_that_works_for_a_loop_is_waited_for(lab: Lab) -> None:
    """A blocking client in a thread of the loop's, which sleeps itself, takes its turns with the loop's sleeps."""
    client = lab.client(max_retries=0)

    def work() -> None:
        time.sleep(5)
        client.fine_tuning.jobs.retrieve(lab.job)

    async def main() -> None:
        for _ in range(4):
            async with asyncio.timeout(20):
                await asyncio.to_thread(work)
            await asyncio.sleep(30)

    asyncio.run(main())
    assert lab.passed == 140


def test_no_timeout_while_a_request_is_under_way(lab: Lab) -> None:
    """A slow answer takes its real time, in which no timer of the loop fires."""
    lab.fake.delay(0.1, on="retrieve_job")

    async def main() -> None:
        async with lab.async_client(max_retries=0) as client, asyncio.timeout(30):
            await client.fine_tuning.jobs.retrieve(lab.job)

    asyncio.run(main())
    assert lab.passed == 0


def test_no_jump_while_a_connection_is_somebody_elses(lab: Lab) -> None:
    """A loop with a socket to somebody else waits in real time, since nobody knows what will come there."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours)
            threading.Thread(target=send_soon, args=(theirs,)).start()
            async with asyncio.timeout(HOUR):
                assert await reader.read(1) == b"x"
            writer.close()

    asyncio.run(main())
    assert lab.passed == 0


def test_a_wait_in_real_time_passes_what_it_took(lab: Lab) -> None:
    """A sleep that has to be real ends at its time, by both clocks."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            _, writer = await asyncio.open_connection(sock=ours)
            await asyncio.sleep(0.02)
            writer.close()

    began = time.perf_counter()
    asyncio.run(main())
    assert time.perf_counter() - began >= 0.02
    assert lab.passed == pytest.approx(0.02, abs=1e-5)


def test_no_jump_while_a_request_is_half_sent(lab: Lab) -> None:
    """A sleep is real while anything is under way on any connection, whose ever it is."""
    place = httpx.URL(lab.fake.base_url)
    began = time.perf_counter()
    with socket.create_connection((place.host, place.port)) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n")
        time.sleep(0.02)
        assert time.perf_counter() - began >= 0.02
        connection.sendall(b"Authorization: Bearer any\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    time.sleep(HOUR)
    assert lab.passed == pytest.approx(HOUR + 0.02, abs=1e-5)


def test_an_anyio_plugin_test_on_trio(lab: Lab) -> None:
    """trio as a guest of another loop, as anyio's pytest plugin runs it, waits virtually as well."""
    from anyio._backends._trio import TrioBackend

    async def main() -> None:
        await anyio.sleep(100)

    with TrioBackend.create_test_runner({}) as runner:
        runner.run_test(main, {})
    assert lab.passed == pytest.approx(100, abs=1e-5)


def test_a_busy_loop_comes_to_its_deadline(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many looks at the clock without a wait time flows, so that a loop without a sleep ends."""
    monkeypatch.setattr(scheduler, "READS_WITHOUT_WAIT", 100)
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        pass
    assert lab.passed >= 0.009


def test_real_time_steps_out(lab: Lab) -> None:
    """In `real_time` a sleep is real: the code's clock goes on, the fake's stands; afterwards waits are virtual."""
    began, real_began = time.monotonic(), time.perf_counter()
    with lab.fake.real_time():
        time.sleep(0.02)
    assert time.perf_counter() - real_began >= 0.02
    assert time.monotonic() - began >= 0.02
    assert lab.passed == 0
    time.sleep(60)
    assert lab.passed == 60


def test_outside_of_virtual_time_real_time_changes_nothing(served: FakeFineTuning) -> None:
    """`real_time` is of no effect in a test without virtual time."""
    with served.real_time():
        assert scheduler.active is None


def test_an_advance_moves_the_codes_clock(lab: Lab) -> None:
    """Where the test moves the fake's clock, deadlines of the code under test come nearer; a new account moves none."""
    began = time.monotonic()
    lab.fake.advance("2h")
    assert time.monotonic() - began == 2 * HOUR
    lab.fake.reset(start=BORN + 1e8)
    assert time.monotonic() - began == 2 * HOUR


def test_which_clocks_are_virtual(lab: Lab) -> None:
    """`monotonic` and its nanoseconds are virtual, `perf_counter` and the wall clock are not."""
    before = time.monotonic(), time.monotonic_ns(), time.perf_counter(), time.time()
    time.sleep(HOUR)
    after = time.monotonic(), time.monotonic_ns(), time.perf_counter(), time.time()
    assert (after[0] - before[0], after[1] - before[1]) == (HOUR, HOUR * 1e9)
    assert after[2] - before[2] < HOUR
    assert after[3] - before[3] < HOUR


def test_names_imported_before_are_replaced(served: FakeFineTuning) -> None:
    """``from time import sleep`` of a module is virtual for as long as the test lasts."""
    module = types.ModuleType("code_under_test")
    exec("from time import monotonic, sleep", module.__dict__)
    sys.modules["code_under_test"] = module
    try:
        served.reset(defaults={"start": BORN, "pace": "manual"})
        with virtual_time(served):
            module.sleep(60)
            assert module.sleep is time.sleep
        assert served.now == BORN + 60
        assert module.__dict__["sleep"] is scheduler.real_sleep
        assert module.__dict__["monotonic"] is scheduler.real_monotonic
    finally:
        del sys.modules["code_under_test"]


def test_the_wall_clock_needs_time_machine(served: FakeFineTuning, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time-machine the option for the wall clock says what to install, and nothing stays patched."""
    monkeypatch.setitem(sys.modules, "time_machine", None)
    before = time.sleep
    with pytest.raises(FakeUsageError, match=r"pip install 'fake-fine-tuning.wall-clock.'"):
        virtual_time(served, wall_clock=True).__enter__()
    assert (time.sleep, scheduler.active) == (before, None)


def test_nothing_stays_patched(served: FakeFineTuning) -> None:
    """After the test all is as before; a patch that somebody has laid over ours is left, and ours restored later."""
    before = time.sleep, time.monotonic, threading.Thread.start, asyncio.BaseEventLoop.time
    with virtual_time(served):
        assert time.sleep is not before[0]
        ours, time.sleep = time.sleep, lambda seconds: None
    time.sleep = ours  # as a `monkeypatch` that is undone late
    time.sleep(0)
    package.remove_patches()
    assert (time.sleep, time.monotonic, threading.Thread.start, asyncio.BaseEventLoop.time) == before


def test_a_thread_from_before_waits_in_real_time(served: FakeFineTuning) -> None:
    """A thread that is older than the test is none of its own: its sleep moves nothing."""
    served.reset(defaults={"start": BORN, "pace": "manual"})
    begin, done = threading.Event(), threading.Event()

    def work() -> None:
        begin.wait()
        time.sleep(0.01)
        done.set()

    threading.Thread(target=work).start()
    with virtual_time(served):
        begin.set()
        while not done.is_set():
            scheduler.real_sleep(0.001)
    assert served.now == BORN


@pytest.mark.parametrize(
    "module", ["_pytest.runner", "xdist.remote", "hypothesis.core", "uvicorn.server", "subprocess"]
)
def test_waits_of_what_runs_tests_stay_real(lab: Lab, module: str) -> None:
    """Sleeps of pytest, its plugins, servers and what waits for other processes are real."""
    time.sleep(5)
    exec("import time; time.sleep(0.001); now = time.monotonic()", names := dict[str, Any]({"__name__": module}))
    assert names["now"] != time.monotonic()
    assert lab.passed == 5


def test_a_sleep_checks_its_argument(lab: Lab) -> None:
    """What `time.sleep` refuses is refused, by the same error."""
    with pytest.raises(ValueError, match="must be non-negative"):
        time.sleep(-1)
    with pytest.raises(TypeError):
        time.sleep("1")  # type: ignore[arg-type]


def test_findings_go_by_virtual_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls with a virtual pause are no finding; polls without one are, however slow the machine."""
    real_s = iter(range(1000))
    monkeypatch.setattr("fine_tuning_fakeserver.web.app.elapsed", lambda: float(next(real_s)))
    with httpx.Client(base_url=lab.fake.base_url, headers={"authorization": "Bearer any"}) as http:
        for _ in range(25):
            http.get(f"/fine_tuning/jobs/{lab.job}")
            time.sleep(30)
        assert "polled_without_pause" not in {finding.code for finding in lab.fake.findings}
        for _ in range(25):
            http.get(f"/fine_tuning/jobs/{lab.job}")
    assert "polled_without_pause" in {finding.code for finding in lab.fake.findings}


def test_in_process_waits_are_virtual_too(lab: Lab) -> None:
    """Clients that need no socket wait like others, and what a fault delays moves the code's clock as well."""
    client, began = lab.fake.openai(), time.monotonic()
    time.sleep(30)
    lab.fake.delay("20s", on="retrieve_job")
    client.fine_tuning.jobs.retrieve(lab.job)
    assert (lab.passed, time.monotonic() - began) == (50, 50)


def test_waits_that_stay_real_are_noted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that took long in real time is noted with its thread and the place in the code."""
    monkeypatch.setattr(scheduler, "NOTED_FROM_S", 0.01)
    test_a_wait_in_real_time_passes_what_it_took(lab)
    noted = lab.virtual.real_waits[0]
    assert noted.thread == "MainThread"
    assert "test_virtual_time.py:" in noted.place
    assert str(noted).endswith("(MainThread)")
