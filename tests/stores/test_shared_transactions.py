"""Operations of several threads on one account, which share a transaction of the store."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.control import steering
from fine_tuning_fakeserver.fake.kept_accounts import JsonScripts
from fine_tuning_fakeserver.stores import Store, StoreError
from stores.test_stored_world import begun

Outcome = object
"""What an operation has returned, or the error that it has raised."""


@pytest.fixture
def world(store: Store) -> Generator[StoredWorld, None, None]:
    """An account in a store."""
    like = begun()
    world = StoredWorld(store, "main", like, JsonScripts())
    world.adopt(like.store())
    yield world
    world.sender.stop()


class Waiting(deque[Any]):
    """Operations that wait, which tells when there is one more."""

    def __init__(self) -> None:
        super().__init__()
        self.has_grown = threading.Semaphore(0)

    def append(self, turn: Any) -> None:
        """Add one."""
        super().append(turn)
        self.has_grown.release()


def run_at_once(world: StoredWorld, works: list[Callable[[], object]]) -> list[Outcome]:
    """Run operations that all wait for the account before the first of them begins, each in a thread of its own."""
    outcomes: list[Outcome] = [None] * len(works)

    def run(place: int) -> None:
        try:
            outcomes[place] = world.run(works[place])
        except Exception as error:
            outcomes[place] = error

    world._turns = waiting = Waiting()
    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    with world._step:
        for thread in threads:
            thread.start()
            assert waiting.has_grown.acquire(timeout=30)
    for thread in threads:
        thread.join()
    return outcomes


def advance(world: StoredWorld, seconds: float) -> Callable[[], object]:
    """An operation that moves time, and returns it."""
    return lambda: steering.advance(world.service, seconds)


@contextmanager
def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Generator[list[str], None, None]:
    """The accounts of the transactions that begin meanwhile."""
    exclusive, begun = store.exclusive, list[str]()

    @contextmanager
    def counting(account: str) -> Generator[None, None, None]:
        begun.append(account)
        with exclusive(account):
            yield

    with monkeypatch.context() as patch:
        patch.setattr(store, "exclusive", counting)
        yield begun


def test_waiting_operations_share_a_transaction(
    world: StoredWorld, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operations that wait for an account are run in one transaction, one after another, and all are in the store."""
    before, seq = world.now, store.head("main").seq
    with counted(store, monkeypatch) as transactions:
        times = run_at_once(world, [advance(world, 1)] * 5)
    assert times == [before + second for second in range(1, 6)]
    assert transactions == ["main"]
    assert store.head("main").seq == seq + 5


def test_an_operation_that_fails_takes_no_other_with_it(world: StoredWorld, store: Store) -> None:
    """An error is raised where its operation was run, its changes are taken back, and those of the others are kept."""
    before = world.now

    def fail() -> None:
        steering.advance(world.service, 1000)
        raise ValueError("no")

    outcomes = run_at_once(world, [advance(world, 1), fail, advance(world, 1)])
    assert [outcomes[0], repr(outcomes[1]), outcomes[2]] == [before + 1, "ValueError('no')", before + 2]
    again = StoredWorld(store, "main", begun(), JsonScripts())
    assert again.now == world.now == before + 2
    again.sender.stop()


def test_a_transaction_that_fails_fails_for_all(
    world: StoredWorld, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a shared transaction cannot be ended, each of its operations raises the error, and nothing has changed."""
    before, seq = world.now, store.head("main").seq
    exclusive = store.exclusive

    @contextmanager
    def broken(account: str) -> Generator[None, None, None]:
        with exclusive(account):
            yield
            raise StoreError("the store is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "exclusive", broken)
        outcomes = run_at_once(world, [advance(world, 1)] * 3)
    assert [str(outcome) for outcome in outcomes] == ["the store is full"] * 3
    world.catch_up()
    assert (world.now, store.head("main").seq) == (before, seq)
