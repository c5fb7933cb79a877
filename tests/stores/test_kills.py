"""Servers that are killed under load: what they have answered is there when they are started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from serve_process import COMMAND, ENVIRON, LONGEST_S, line
from strategies import ROWS, example_count

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="serve --workers needs fork"),
]
CLIENTS = 4
KILLS = example_count(1, 50)


@contextmanager
def serving(url: str, workers: int) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server with all of its processes in a group of their own; its base URL."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--store", url, "--pace", "manual", "--workers", str(workers), "--quiet"],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRON,
        start_new_session=True,
    )
    deadline = threading.Timer(LONGEST_S, kill, [process])
    deadline.start()
    try:
        with process:
            yield line(process.stdout), process
            kill(process)
    finally:
        deadline.cancel()


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a server, with all of its processes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass
class Load:
    """What clients have asked of a server, and what was answered.

    Args:
        kill_after: how many answers there are when the server is killed.
        process: the server.
    """

    kill_after: int
    process: subprocess.Popen[str]
    files: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Any] = field(default_factory=dict)
    asked: int = 0
    answered: int = 0

    def ask(self, client: httpx.Client, method: str, path: str, **content: Any) -> Any:
        """Send a request; kill the server after the last of the answers that it may give."""
        self.asked += 1
        reply = client.request(method, path, **content)
        assert reply.status_code == 200, reply.text
        self.answered += 1
        if self.answered >= self.kill_after:
            kill(self.process)
        return reply.json()

    def work(self, base_url: str) -> None:
        """Upload files, create jobs and cancel some, until the server does not answer any more."""
        with httpx.Client(base_url=base_url, headers={"authorization": "Bearer any"}) as client:
            while True:
                try:
                    self.step(client)
                except httpx.HTTPError:
                    return

    def step(self, client: httpx.Client) -> None:
        """One client's next requests; each answer is what the server has to know later."""
        form = {"files": {"file": ("a.jsonl", ROWS.encode())}, "data": {"purpose": "fine-tune"}}
        file = self.ask(client, "POST", "files", **form)
        self.files[file["id"]] = file
        job = self.ask(client, "POST", "fine_tuning/jobs", json={"model": "gpt-4o-mini", "training_file": file["id"]})
        self.jobs[job["id"]] = job
        cancelled: Any = None
        with suppress(httpx.HTTPError):
            cancelled = self.ask(client, "POST", f"fine_tuning/jobs/{job['id']}/cancel")
        if cancelled:
            self.jobs[job["id"]] = cancelled
        else:  # it may have been cancelled, or not
            del self.jobs[job["id"]]


def check(base_url: str, load: Load) -> None:
    """Hold a server that was started again to what the one before has answered."""
    with httpx.Client(base_url=base_url, headers={"authorization": "Bearer any"}) as client:
        for path, known in (("files", load.files), ("fine_tuning/jobs", load.jobs)):
            for identifier, answer in known.items():
                assert client.get(f"{path}/{identifier}").json() == answer
        for identifier in load.files:
            assert client.get(f"files/{identifier}/content").text == ROWS
        files, jobs = (client.get(path, params={"limit": 100}).json()["data"] for path in ("files", "fine_tuning/jobs"))
        known_files = {file["id"] for file in files}
        assert len(load.files) <= len(files) <= load.asked
        for job in jobs:  # whatever was not answered, too, is whole
            assert job["training_file"] in known_files
            assert client.get(f"fine_tuning/jobs/{job['id']}/events").status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_answered_outlasts_a_kill(store_url: str, workers: int) -> None:
    """A server that is killed at any moment has lost something that it had answered, or has half of something."""
    for number in range(KILLS):
        chance = random.Random(f"{workers}/{number}")
        with serving(store_url, workers) as (base_url, process):
            load = Load(chance.randint(1, 40), process)
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(load.work, [base_url] * CLIENTS))
        with serving(store_url, workers) as (base_url, _):
            check(base_url, load)
            httpx.post(f"{base_url.removesuffix('/v1')}/_fake/reset")
