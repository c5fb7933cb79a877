"""Histories of concurrent requests to one account, and whether an account that answers one at a time explains them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeAlias

from account_histories import JOB, find, made, send, upload
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.account.world import World
from fine_tuning_fakeserver.fake.kept_accounts import JsonScripts
from fine_tuning_fakeserver.stores import Store, open_store
from strategies import BORN, Http

OPERATIONS = ("pause", "resume", "cancel", "retrieve", "upload", "list", "advance", "time")


class State(NamedTuple):
    """What the account of a history is like, as far as its requests can tell."""

    status: str = "running"
    files: int = 1
    passed_s: int = 0


class Request(NamedTuple):
    """A request of a history: when it was sent and answered, in seconds of the machine, and what the answer shows."""

    sent: float
    answered: float
    operation: str
    shown: Any


def begun() -> FakeFineTuning:
    """A fake with a running job that goes on for longer than any history."""
    fake = FakeFineTuning(start=BORN, pace="manual", patience=None, plan={"seconds_per_step": 3600, "queued": 0})
    http, ids = Http(fake), list[str]()
    upload(http, ids)
    made(ids, send(http, "POST", "/fine_tuning/jobs", {**JOB, "training_file": find(http, ids, "file-")}))
    send(http, "POST", "/_fake/clock/advance", {"to": "running"})
    return fake


def ask(http: Http, operation: str, job: str, start: float) -> Any:
    """Send a request; return what its answer shows."""
    match operation:
        case "upload":
            return upload(http, []).status
        case "list":
            return len(json.loads(send(http, "GET", "/files?limit=10000").body)["data"])
        case "advance":
            return round(json.loads(send(http, "POST", "/_fake/clock/advance", {"seconds": 1}).body)["now"] - start)
        case "time":
            return round(json.loads(send(http, "GET", "/_fake/clock").body)["now"] - start)
        case "retrieve":
            return json.loads(send(http, "GET", f"/fine_tuning/jobs/{job}").body)["status"]
    reply = send(http, "POST", f"/fine_tuning/jobs/{job}/{operation}")
    return json.loads(reply.body)["status"] if reply.status == 200 else reply.status


def expected(state: State, operation: str) -> tuple[State, Any]:
    """Return what becomes of an account by a request, and what its answer shows."""
    match operation:
        case "upload":
            return state._replace(files=state.files + 1), 200
        case "list":
            return state, state.files
        case "advance":
            return state._replace(passed_s=state.passed_s + 1), state.passed_s + 1
        case "time":
            return state, state.passed_s
        case "retrieve":
            return state, state.status
    allowed = {"pause": ["running"], "resume": ["paused"], "cancel": ["running", "paused"]}[operation]
    status = {"pause": "paused", "resume": "running", "cancel": "cancelled"}[operation]
    return (state._replace(status=status), status) if state.status in allowed else (state, 400)


def is_linearizable(history: Sequence[Request]) -> bool:
    """Return whether there is an order that explains all answers, in which none comes before one that had ended."""
    seen: set[tuple[int, State]] = set()
    everything = (1 << len(history)) - 1
    stack: list[tuple[int, State]] = [(0, State())]
    while stack:
        done, state = stack.pop()
        if done == everything:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        open_ = [number for number in range(len(history)) if not done >> number & 1]
        first_end = min(history[number].answered for number in open_)
        for number in open_:
            if history[number].sent <= first_end:
                after, shown = expected(state, history[number].operation)
                if shown == history[number].shown:
                    stack.append((done | 1 << number, after))
    return False


Account: TypeAlias = tuple[Http, str, float]


def account_of(fake: FakeFineTuning) -> Account:
    """Requests to a fake, the id of its job, and its time."""
    (job,) = fake._world.account.jobs
    return Http(fake), job, fake.now


def take_turns(account: Account, threads: Iterable[Sequence[str]], begins: Callable[[], object]) -> list[Request]:
    """Send the requests of each thread, one after the other."""
    http, job, start = account

    def work(operations: Sequence[str]) -> list[Request]:
        begins()
        requests = []
        for operation in operations:
            sent = time.monotonic()
            shown = ask(http, operation, job, start)
            requests.append(Request(sent, time.monotonic(), operation, shown))
        return requests

    lists = list(threads)
    with ThreadPoolExecutor(len(lists)) as pool:
        return [request for requests in pool.map(work, lists) for request in requests]


def serve_histories(connection: Connection) -> None:
    """Be one of several processes: take part in each history that the test sends, until it sends None."""
    stores: dict[str, Store] = {}
    template: World = begun()._world
    while (order := connection.recv()) is not None:
        url, name, threads = order
        store = stores.get(url) or stores.setdefault(url, open_store(url))
        world = StoredWorld(store, name, template, JsonScripts())
        account = account_of(FakeFineTuning.of_world(world))
        connection.send("ready")
        connection.recv()
        connection.send(take_turns(account, threads, lambda: None))
    for store in stores.values():
        store.close()
