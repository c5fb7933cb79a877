"""Processes whose threads send requests to one account at the same time, and what they were answered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, NamedTuple, TypeAlias

from account_histories import send
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.fake.kept_accounts import JsonScripts
from fine_tuning_fakeserver.stores import open_store
from strategies import BORN, ROWS, Http

Operation: TypeAlias = tuple[str, int]
"""What is asked, and about which file or job."""
JOBS = 2
FILES = 2
TRAINING = "training.jsonl"
"""The file of the jobs, which would fail without it."""

PRELOADED = ["fine_tuning_fakeserver.fake.kept_accounts", "fine_tuning_client", "hypothesis", "openai", "psycopg"]
"""What the processes need, and import once for all of them."""


class Asked(NamedTuple):
    """One request in a history, with the seconds between which it was under way."""

    begin: float
    end: float
    operation: Operation
    result: Any


def fake(pace: Any) -> FakeFineTuning:
    """An account in memory that has `FILES` files and `JOBS` jobs."""
    fake = FakeFineTuning(start=BORN, seed=7, pace=pace, patience=None)
    if pace == "manual":
        fake.plan_all(validating=1e6)
    for number in range(FILES):
        fake.add_file(ROWS, id=f"file-{number}", filename=f"{number}.jsonl")
    fake.add_file(ROWS, id="file-training", filename=TRAINING)
    for number in range(JOBS):
        fake.name_next("job", f"ftjob-{number}")
        job = {"model": "gpt-4o-mini", "training_file": "file-training"}
        assert send(Http(fake), "POST", "/fine_tuning/jobs", job).status == 200
    return fake


def ask(http: Http, operation: Operation) -> Any:
    """Send the request of an operation; return what it shows, in brief."""
    name, which = operation
    if name == "upload":
        return send(http, "POST", "/_fake/files", {"content": ROWS, "filename": f"new-{which}.jsonl"}).status
    if name == "delete":
        return send(http, "DELETE", f"/files/file-{which}").status
    if name == "cancel":
        return send(http, "POST", f"/fine_tuning/jobs/ftjob-{which}/cancel").status
    if name == "advance":
        return send(http, "POST", "/_fake/clock/advance", {"seconds": 1}).status
    if name == "reset":
        return send(http, "POST", "/_fake/reset", {}).status
    if name == "time":
        return json.loads(send(http, "GET", "/_fake/clock").body)["now"] - BORN
    if name == "status":
        answer = send(http, "GET", f"/fine_tuning/jobs/ftjob-{which}")
        return json.loads(answer.body)["status"] if answer.status == 200 else answer.status
    assert name == "list"
    return sorted(each["filename"] for each in json.loads(send(http, "GET", "/files").body)["data"])


def run_threads(http: Http, threads: Sequence[Sequence[Operation]]) -> list[Asked]:
    """Ask all at the same time, each thread one after the other."""
    history: list[Asked] = []
    ready = threading.Barrier(len(threads))

    def run(operations: Sequence[Operation]) -> None:
        ready.wait(30)
        for operation in operations:
            begin = time.monotonic()
            result = ask(http, operation)
            history.append(Asked(begin, time.monotonic(), operation, result))

    running = [threading.Thread(target=run, args=(operations,)) for operations in threads]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return history


def serve(connection: Any, url: str, worker: int) -> None:
    """Take parts in histories, each in an account of its own, until this process is killed."""
    store = open_store(url)
    while True:
        name, pace, threads = connection.recv()
        world = StoredWorld(store, name, (like := fake(pace))._world, JsonScripts(), worker)
        world.adopt(like._world.store())
        connection.send("ready")
        connection.recv()
        connection.send(run_threads(Http(FakeFineTuning.of_world(world)), threads))
        world.sender.stop()


class Servers:
    """Processes that share a store."""

    def __init__(self, connections: Sequence[Any]) -> None:
        self._connections = connections

    def run(self, name: str, pace: Any, threads: Sequence[Sequence[Operation]]) -> list[Asked]:
        """Share threads out among the processes; return what all of them were answered."""
        count = len(self._connections)
        for number, each in enumerate(self._connections):
            each.send((name, pace, threads[number::count]))
            assert each.recv() == "ready"
        for each in self._connections:
            each.send("go")
        return [asked for each in self._connections for asked in each.recv()]


@contextmanager
def servers(url: str, count: int) -> Iterator[Servers]:
    """Processes that share a store; all end with the context."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    pipes = [context.Pipe() for _ in range(count)]
    processes = [
        context.Process(target=serve, args=(theirs, url, worker), daemon=True)
        for worker, (_, theirs) in enumerate(pipes)
    ]
    for process, (_, theirs) in zip(processes, pipes, strict=True):
        process.start()
        theirs.close()
    try:
        yield Servers([ours for ours, _ in pipes])
    finally:
        for process, (ours, _) in zip(processes, pipes, strict=True):
            process.kill()
            process.join()
            ours.close()
