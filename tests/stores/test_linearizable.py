"""Many clients of one account at the same time: each sees it as if all had asked one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stores.shared_account import FILES, JOBS, TRAINING, Asked, Operation, Servers, fake, run_threads, servers
from strategies import Http, example_count

pytestmark = pytest.mark.slow

PROCESSES, THREADS = 3, 4

operations = st.one_of(
    st.tuples(st.just("upload"), st.integers(0, 99)),
    st.tuples(st.sampled_from(["delete", "delete", "cancel", "status"]), st.integers(0, FILES - 1)),
    st.tuples(st.sampled_from(["advance", "time", "time", "list", "list", "list"]), st.just(0)),
    st.tuples(st.sampled_from(["cancel", "list", "time", "reset"]), st.just(0)),
)
histories = st.lists(
    st.lists(operations, min_size=1, max_size=3), min_size=PROCESSES * THREADS, max_size=PROCESSES * THREADS
)
NEW_FILES = (*(f"{number}.jsonl" for number in range(FILES)), TRAINING)
STATUSES = ("validating_files", "queued", "running", "succeeded")


class State(NamedTuple):
    """An account, as far as the operations show it."""

    files: tuple[str, ...] = NEW_FILES
    jobs: tuple[str, ...] = ("validating_files",) * JOBS
    time: int = 0


def step(state: State, operation: Operation) -> tuple[State, Any]:
    """Return the account after an operation, and what that is answered."""
    name, which = operation
    if name == "upload":
        return state._replace(files=tuple(sorted((*state.files, f"new-{which}.jsonl")))), 200
    if name == "delete":
        left = tuple(file for file in state.files if file != f"{which}.jsonl")
        return state._replace(files=left), 200 if left != state.files else 404
    if name == "cancel":
        if not state.jobs:
            return state, 404
        jobs = tuple("cancelled" if number == which else status for number, status in enumerate(state.jobs))
        return state._replace(jobs=jobs), 200 if jobs != state.jobs else 400
    if name == "advance":
        return state._replace(time=state.time + 1), 200
    if name == "reset":
        return State((), (), 0), 200
    if name == "status":
        return state, state.jobs[which] if state.jobs else 404
    return state, state.time if name == "time" else list(state.files)


def is_linearizable(history: list[Asked]) -> bool:
    """Whether the requests could have been answered one after the other, each while it was under way."""
    tried: set[tuple[int, State]] = set()
    pending = [(0, State())]
    while pending:
        done, state = pending.pop()
        left = [number for number in range(len(history)) if not done >> number & 1]
        if not left:
            return True
        first_end = min(history[number].end for number in left)
        for number in left:
            if history[number].begin <= first_end:
                after, result = step(state, history[number].operation)
                if result == history[number].result and (key := (done | 1 << number, after)) not in tried:
                    tried.add(key)
                    pending.append(key)
    return False


def test_the_checker_knows_a_stale_answer() -> None:
    """A list that lacks a file whose upload was answered before passes for right."""
    upload, old, both = ("upload", 1), [*NEW_FILES], ["0.jsonl", "1.jsonl", "new-1.jsonl", TRAINING]
    assert is_linearizable([Asked(0, 1, upload, 200), Asked(2, 3, ("list", 0), both)])
    assert is_linearizable([Asked(0, 5, upload, 200), Asked(2, 3, ("list", 0), old)])
    assert not is_linearizable([Asked(0, 1, upload, 200), Asked(2, 3, ("list", 0), old)])
    cancels = [Asked(0, 9, ("cancel", 0), 200), Asked(0, 9, ("cancel", 0), 200)]
    assert not is_linearizable(cancels)


@pytest.fixture
def shared(store_url: str) -> Iterator[Servers]:
    """Processes that share a store."""
    with servers(store_url.replace(".db", ".db?synchronous=normal"), PROCESSES) as shared:
        yield shared


quick = settings(
    max_examples=example_count(8),
    deadline=None,
    phases=[Phase.generate],  # the same requests, asked again, meet in another order
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quick
@given(threads=histories)
def test_clients_of_several_processes_see_one_account(shared: Servers, threads: list[list[Operation]]) -> None:
    """Clients of processes that share a store are answered as no single account would."""
    history = shared.run(uuid4().hex, "manual", threads)
    assert is_linearizable(history), sorted(history)


@quick
@given(threads=histories)
def test_clients_of_one_process_see_one_account(threads: list[list[Operation]]) -> None:
    """Clients of an account in memory are answered as no single account would."""
    history = run_threads(Http(fake("manual")), threads)
    assert is_linearizable(history), sorted(history)


def test_a_job_never_goes_back(shared: Servers) -> None:
    """At the pace polls, a client sees a status before the one that another has been answered already."""
    for _ in range(example_count(3, 300)):
        history = shared.run(uuid4().hex, "polls", [[("status", 0)] * 2] * PROCESSES * THREADS)
        seen = [(each.begin, each.end, STATUSES.index(each.result)) for each in history]
        assert not [(one, other) for one in seen for other in seen if one[1] < other[0] and one[2] > other[2]]
        assert max(seen, key=lambda each: each[2])[2] == len(STATUSES) - 1
