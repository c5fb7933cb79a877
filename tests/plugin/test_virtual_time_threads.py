"""Virtual time among threads: they wake in order, and nothing that another thread is about to bring is missed."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.virtual_time import scheduler, virtual_time
from strategies import BORN


def set_soon(event: threading.Event) -> None:
    """Set it after some real work."""
    until = time.perf_counter() + 0.02
    while time.perf_counter() < until:
        pass
    event.set()


@pytest.fixture
def fake() -> Iterator[FakeFineTuning]:
    """A fake, not served, with virtual time."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    with virtual_time(fake):
        yield fake


def _event() -> None:
    assert threading.Event().wait(30) is False


def _condition() -> None:
    condition = threading.Condition()
    with condition:
        assert condition.wait(12) is False
        assert condition.wait_for(lambda: False, 18) is False


def _queue() -> None:
    with pytest.raises(queue.Empty):
        queue.Queue[int]().get(timeout=30)


def _full_queue() -> None:
    full = queue.Queue[int](1)
    full.put(1)
    with pytest.raises(queue.Full):
        full.put(2, timeout=30)


def _semaphore() -> None:
    assert threading.Semaphore(0).acquire(timeout=30) is False


def _barrier() -> None:
    with pytest.raises(threading.BrokenBarrierError):
        threading.Barrier(2).wait(30)


def _timer() -> None:
    began, fired = time.monotonic(), list[float]()
    timer = threading.Timer(30, lambda: fired.append(time.monotonic() - began))
    timer.start()
    timer.join()
    assert fired == [30]


def _timer_that_sets() -> None:
    event = threading.Event()
    threading.Timer(30, event.set).start()
    assert event.wait(60) is True


def _future() -> None:
    with pytest.raises(concurrent.futures.TimeoutError):
        concurrent.futures.Future[int]().result(30)


def _join_in_time() -> None:
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    thread.join(30)
    assert thread.is_alive()
    event.set()
    thread.join()


WAITS = [
    _event,
    _condition,
    _queue,
    _full_queue,
    _semaphore,
    _barrier,
    _timer,
    _timer_that_sets,
    _future,
    _join_in_time,
]


@pytest.mark.parametrize("wait", WAITS)
def test_waits_of_threads_are_virtual(fake: FakeFineTuning, wait: Callable[[], None]) -> None:
    """Every wait of the standard library's threading passes what it says."""
    wait()
    assert fake.now == BORN + 30


def test_threads_wake_in_order(fake: FakeFineTuning) -> None:
    """Threads that sleep for different times wake at their own, and time passes once."""
    log = list[tuple[float, int]]()
    began = time.monotonic()

    def work(seconds: int) -> None:
        for _ in range(60 // seconds):
            time.sleep(seconds)
            log.append((time.monotonic() - began, seconds))

    threads = [threading.Thread(target=work, args=(seconds,)) for seconds in (10, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(log) == [(10, 10), (20, 10), (30, 10), (30, 30), (40, 10), (50, 10), (60, 10), (60, 30)]
    assert [at for at, _ in log] == sorted(at for at, _ in log)
    assert fake.now == BORN + 60


def test_a_pool_smaller_than_its_work(fake: FakeFineTuning) -> None:
    """Calls that wait for a free thread of a pool hold nobody up, and run one after the other."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(time.sleep, 10) for _ in range(6)]
        done, ahead = concurrent.futures.wait(futures, timeout=25)
        assert (len(done), len(ahead)) == (4, 2)
    assert fake.now == BORN + 30
    assert scheduler.active is not None
    assert all(wait.seconds < 9 for wait in scheduler.active.real_waits)


def test_a_cancelled_call_is_not_expected(fake: FakeFineTuning) -> None:
    """A call that is cancelled before it began is no work ahead."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first, second = pool.submit(time.sleep, 10), pool.submit(time.sleep, 10)
        assert second.cancel()
        first.result()
        time.sleep(5)
    assert fake.now == BORN + 15


def test_no_timeout_while_another_thread_works(fake: FakeFineTuning) -> None:
    """An event that another thread sets after real work is waited for; its timeout does not come before."""
    event = threading.Event()
    threading.Thread(target=set_soon, args=(event,)).start()
    assert event.wait(30) is True
    assert fake.now == BORN


def test_a_queue_between_threads(fake: FakeFineTuning) -> None:
    """A consumer with a timeout gets what a slower producer puts, after as many timeouts as there must be."""
    items = queue.Queue[int]()

    def produce() -> None:
        for item in range(5):
            time.sleep(30)
            items.put(item)

    producer = threading.Thread(target=produce)
    producer.start()
    got, empty = list[int](), 0
    while len(got) < 5:
        try:
            got.append(items.get(timeout=20))
        except queue.Empty:
            empty += 1
    producer.join()
    assert (got, empty, fake.now) == ([0, 1, 2, 3, 4], 5, BORN + 150)


def test_a_join_of_an_older_thread_is_real() -> None:
    """A thread from before the test counts as at work while it lives: nobody's time jumps."""
    older = threading.Thread(target=set_soon, args=(threading.Event(),))
    fake = FakeFineTuning(start=BORN, pace="manual")
    older.start()
    with virtual_time(fake):
        older.join(60)
    assert not older.is_alive()
    assert fake.now == BORN


def test_a_thread_that_outlives_the_test_moves_nothing() -> None:
    """What is still asleep when the test ends sleeps on in real time."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    with virtual_time(fake):
        thread = threading.Thread(target=time.sleep, args=(0.1,))
        thread.start()
        scheduler.real_sleep(0.005)
    thread.join()
    assert fake.now == BORN


def test_servers_in_threads_are_not_at_work(fake: FakeFineTuning) -> None:
    """A thread that runs a server of the standard library's holds no wait up."""
    import http.server

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    time.sleep(30)
    server.shutdown()
    thread.join()
    server.server_close()
    assert fake.now == BORN + 30
