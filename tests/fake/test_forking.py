"""A forked child can use its copy of the fake, whatever other threads held at the fork."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.account import forking
from strategies import BORN, ROWS, Http
from webhook_receiver import SOON_S

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def result_in_child(work: Callable[[], object]) -> str:
    """Return what *work* returns in a forked child, or "hangs"."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(writing, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], SOON_S)
    told = os.read(reading, 100).decode() if ready else "hangs"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    return told


@contextmanager
def held_by_another_thread(lock: Any) -> Iterator[None]:
    """Hold *lock* in another thread during the block."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            over.wait(SOON_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(SOON_S)
    try:
        yield
    finally:
        over.set()
        thread.join()


def locks_of(fake: FakeFineTuning) -> list[Any]:
    """All locks of a fake."""
    world = fake._world
    sender: Any = world.sender
    return [world._lock, world.service.lock, world.requests._lock, world.faults._lock, sender._changed]


def test_a_child_has_locks_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child forked while other threads hold every lock can use and reset the fake."""
    monkeypatch.setattr(forking, "WAIT_AT_MOST_S", 0.01)
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    fake = http.fake
    fake.add_webhook()
    job = http.job()["id"]

    def use() -> object:
        status = http.json("GET", f"/fine_tuning/jobs/{job}")["status"]
        fake.fail(500)
        fake.advance_to("succeeded")
        deliveries = len(fake.deliver_webhooks())
        fake.reset()
        return status, deliveries, len(fake.jobs)

    with ExitStack() as stack:
        for lock in locks_of(fake):
            stack.enter_context(held_by_another_thread(lock))
        assert result_in_child(use) == "('validating_files', 1, 0)"

    assert fake.faults == []


def test_a_child_gets_a_whole_account() -> None:
    """A fork waits for a thread that is changing the account."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    service = fake._world.service
    asked, began = threading.Event(), threading.Event()

    class Watched:
        """The account's lock, which signals when it is requested with a timeout."""

        def __init__(self, lock: Any) -> None:
            self.lock = lock

        def acquire(self, *, timeout: float) -> bool:
            asked.set()
            return bool(self.lock.acquire(timeout=SOON_S))

        def release(self) -> None:
            self.lock.release()

    def change(lock: Any = service.lock) -> None:
        with lock:
            service.account.answers = -1
            began.set()
            assert asked.wait(SOON_S)
            service.account.answers = 7

    thread = threading.Thread(target=change)
    thread.start()
    assert began.wait(SOON_S)
    service.lock = Watched(service.lock)  # type: ignore[assignment]

    assert result_in_child(lambda: service.account.answers) == "7"
    thread.join()


def test_a_fork_keeps_nothing_locked() -> None:
    """After a fork other threads of the parent can use the account."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    assert result_in_child(lambda: "here") == "here"
    free: list[bool] = []

    thread = threading.Thread(target=lambda: free.append(fake._world.service.lock.acquire(timeout=SOON_S)))
    thread.start()
    thread.join()

    assert free == [True]


def test_a_child_has_the_accounts_of_a_server() -> None:
    """A child can use all accounts of a server, whatever another thread held at the fork, and changes none of its
    parent's."""
    accounts = FakeAccounts()
    accounts.account("a").add_file(ROWS)

    def use() -> list[int]:
        return [len(accounts.account(name).files) for name in ("a", "b")]

    with held_by_another_thread(accounts._accounts.lock):
        assert result_in_child(use) == "[1, 0]"
    assert accounts.names == ["main", "a"]
