"""One account, many clients, several servers: each answer is as if requests had come one after the other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing.connection import Connection
from threading import Barrier

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.fake.kept_accounts import JsonScripts
from fine_tuning_fakeserver.stores import open_store
from linearizability import (
    OPERATIONS,
    Request,
    State,
    account_of,
    ask,
    begun,
    expected,
    is_linearizable,
    serve_histories,
    take_turns,
)
from strategies import example_count

pytestmark = pytest.mark.slow
PROCESSES, THREADS = 3, 4
Threads = list[list[str]]
PHASES = (Phase.generate,)
"""Without shrinking: the same requests may come in another order."""


def threads(number: int) -> st.SearchStrategy[Threads]:
    """The requests of so many threads."""
    operations = st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=4)
    return st.lists(operations, min_size=number, max_size=number)


@pytest.fixture(scope="module")
def processes() -> Iterator[list[Connection]]:
    """Processes that answer for accounts in stores."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(PROCESSES)]
    started = [context.Process(target=serve_histories, args=(theirs,), daemon=True) for _, theirs in pipes]
    for process in started:
        process.start()
    yield [ours for ours, _ in pipes]
    for ours, _ in pipes:
        ours.send(None)
    for process in started:
        process.join()


def histories_of(url: str, processes: Sequence[Connection], share: Callable[[], str], drawn: Threads) -> list[Request]:
    """Let all processes send their requests to one account at the same time."""
    name = share()
    for number, process in enumerate(processes):
        process.send((url, name, drawn[number * THREADS : (number + 1) * THREADS]))
    for process in processes:
        assert process.recv() == "ready"
    for process in processes:
        process.send("go")
    return [request for process in processes for request in process.recv()]


def hold(url: str, processes: Sequence[Connection], examples: int) -> None:
    """Hold so many histories of accounts in a store to the model."""
    store, names, template = open_store(url), count(), begun()._world

    def share() -> str:
        name = f"account-{next(names)}"
        StoredWorld(store, name, template, JsonScripts()).adopt(template.store())
        return name

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None, phases=PHASES
    )
    @given(threads(PROCESSES * THREADS))
    def check(drawn: Threads) -> None:
        history = histories_of(url, processes, share, drawn)
        assert is_linearizable(history), sorted(history)

    try:
        check()
    finally:
        store.close()


def test_servers_of_one_account_are_linearizable(store_url: str, processes: list[Connection]) -> None:
    """A history of 12 clients of 3 servers has an answer that no order of its requests explains."""
    hold(store_url, processes, example_count(8))


@settings(max_examples=example_count(15), deadline=None, database=None, phases=PHASES)
@given(threads(PROCESSES * THREADS))
def test_one_server_in_memory_is_linearizable(drawn: Threads) -> None:
    """A history of 12 clients of an account in memory has an answer that no order of its requests explains."""
    history = take_turns(account_of(begun()), drawn, Barrier(len(drawn)).wait)

    assert is_linearizable(history), sorted(history)


def test_the_model_is_the_account() -> None:
    """The model of the histories answers otherwise than an account that is asked one request after the other."""
    http, job, start = account_of(begun())
    state = State()
    for operation in (*OPERATIONS, *OPERATIONS[::-1], "pause", "pause", "resume", "resume", "retrieve"):
        state, shown = expected(state, operation)
        assert ask(http, operation, job, start) == shown


@pytest.mark.parametrize("shown", [["running", "paused"], ["paused", "running"]])
def test_a_history_that_no_order_explains(shown: list[str]) -> None:
    """A status that goes back is taken for linearizable."""
    times = ((0.0, 3.0, "pause", "paused"), (0.5, 1.0, "retrieve", shown[0]), (1.5, 2.0, "retrieve", shown[1]))
    assert is_linearizable([Request(*each) for each in times]) == (shown[0] == "running")
