"""A process whose threads poll a job, for tests of several that share an account."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from account_histories import JOB, JOBS, request, run, send, upload
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.fake.kept_accounts import JsonScripts
from fine_tuning_fakeserver.stores import open_store
from strategies import BORN, Http

JOB_ID = "ftjob-polled"
THREADS, POLLS = 4, 2


def new_fake() -> FakeFineTuning:
    """An account in memory that has a job, at the pace polls."""
    fake = FakeFineTuning(start=BORN, seed=7, pace="polls", patience=None)
    fake.name_next("job", JOB_ID)
    run(Http(fake), [], [upload, request("POST", JOBS, JOB)])
    return fake


def polls(http: Http) -> list[tuple[float, float, str]]:
    """Poll the job in `THREADS` threads; return when each poll began and ended, and the status that it showed."""
    seen: list[tuple[float, float, str]] = []
    ready = threading.Barrier(THREADS)

    def poll() -> None:
        ready.wait(30)
        for _ in range(POLLS):
            begin = time.monotonic()
            status = json.loads(send(http, "GET", f"{JOBS}/{JOB_ID}").body)["status"]
            seen.append((begin, time.monotonic(), status))

    threads = [threading.Thread(target=poll) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def serve_polls(connection: Any, worker: int) -> None:
    """Poll the job of each account whose store and name are sent, once told to, until this process is killed."""
    like = new_fake()
    while True:
        url, name = connection.recv()
        store = open_store(url)
        world = StoredWorld(store, name, like._world, JsonScripts(), worker)
        world.adopt(like._world.store())
        connection.send("ready")
        connection.recv()
        connection.send(polls(Http(FakeFineTuning.of_world(world))))
        world.sender.stop()
        store.close()
