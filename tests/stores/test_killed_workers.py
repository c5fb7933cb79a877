"""Workers that are killed while others go on: what any of them had answered is there afterwards."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from serve_process import LONGEST_S, line, started
from strategies import ROWS, example_count, form

pytestmark = pytest.mark.slow

HEADERS = {"authorization": "Bearer any"}
FORM = {**HEADERS, "content-type": "multipart/form-data; boundary=B"}
CLIENTS = 4


@contextmanager
def server(store_url: str, workers: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of a store, and its URL; it is killed at the end, and so are its workers."""
    options = ("--port", "0", "-q", "--pace", "manual", "--store", store_url, "--workers", str(workers))
    with started(*options, life_s=LONGEST_S) as process:
        try:
            yield process, line(process.stdout)
        finally:
            process.kill()


def asked(url: str, method: str, path: str, body: bytes | None = None, headers: Any = HEADERS) -> tuple[int, bytes]:
    """Status and body of an answer, on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, f"/v1{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Load:
    """Clients that upload files and create jobs and know what they were answered."""

    def __init__(self) -> None:
        self.answered: dict[str, Any] = {}
        """What was made, by the path that shows it."""
        self.shown: dict[str, bytes] = {}
        """What that path has shown: a new job's members have another order."""
        self.contents: dict[str, bytes] = {}
        """What was uploaded, by the id of its file."""
        self.unanswered = 0
        self.wrong: list[object] = []
        self.is_over = threading.Event()
        self.has_begun = threading.Event()
        self._numbers = iter(range(10**9))

    @contextmanager
    def on(self, url: str) -> Iterator[None]:
        """Send requests while the context lasts, also after connections that were lost."""
        self.is_over.clear()
        self.has_begun.clear()
        threads = [threading.Thread(target=self._send, args=(url,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            assert self.has_begun.wait(30)
            yield
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join()

    def _send(self, url: str) -> None:
        while not self.is_over.is_set():
            try:
                self._send_pair(url, next(self._numbers))
            except (OSError, http.client.HTTPException):
                self.unanswered += 1

    def _send_pair(self, url: str, number: int) -> None:
        """Upload a file that no other client uploads, and create a job that none creates."""
        content = ROWS.replace("Hello", f"Hello {number}").encode()
        file = self._keep("/files", *asked(url, "POST", "/files", form(content), FORM))
        if file:
            self.contents[file] = content
            job = {"model": "gpt-4o-mini", "training_file": file, "metadata": {"number": str(number)}}
            answer = asked(url, "POST", "/fine_tuning/jobs", json.dumps(job).encode(), HEADERS)
            created = self._keep("/fine_tuning/jobs", *answer)
            path = f"/fine_tuning/jobs/{created}"
            self.shown[path] = asked(url, "GET", path)[1]
        self.has_begun.set()

    def _keep(self, path: str, status: int, body: bytes) -> str:
        if status != 200:
            self.wrong.append((path, status, body))
            return ""
        identifier = str(json.loads(body)["id"])
        if f"{path}/{identifier}" in self.answered:
            self.wrong.append((identifier, "twice"))
        self.answered[f"{path}/{identifier}"] = json.loads(body)
        return identifier

    def check(self, url: str) -> None:
        """Hold a server to what was answered before it was started."""
        assert not self.wrong
        found = {path: asked(url, "GET", path)[1] for path in self.answered}
        assert {path: json.loads(body) for path, body in found.items()} == self.answered
        assert {path: found[path] for path in self.shown} == self.shown
        for file, content in self.contents.items():
            assert asked(url, "GET", f"/files/{file}/content") == (200, content)
        shown = [*listed(url, "/fine_tuning/jobs"), *listed(url, "/files")]
        assert len({each["id"] for each in shown}) == len(shown)
        assert len(self.answered) <= len(shown) <= len(self.answered) + self.unanswered
        numbers = [each["metadata"]["number"] for each in shown if each["object"] == "fine_tuning.job"]
        assert len(set(numbers)) == len(numbers)
        for each in shown:
            if each["object"] == "file" and each["id"] not in self.contents:  # it was not answered, and yet is whole
                status, content = asked(url, "GET", f"/files/{each['id']}/content")
                assert (status, len(content)) == (200, each["bytes"])


def listed(url: str, path: str) -> list[Any]:
    """All that a list shows, of however many pages."""
    found: list[Any] = []
    while True:
        after = f"&after={found[-1]['id']}" if found else ""
        page = json.loads(asked(url, "GET", f"{path}?limit=100{after}")[1])
        found += page["data"]
        if not page["has_more"]:
            return found


def wait_some(seed: int) -> None:
    """Let a load go on for at most a few dozen requests."""
    threading.Event().wait(random.Random(seed).uniform(0, 0.2))


def worker_processes(process: subprocess.Popen[str]) -> list[int]:
    """The ids of a server's workers."""
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True)
    return [int(each) for each in done.stdout.split()]


def test_another_worker_takes_the_place_of_one_that_was_killed(store_url: str) -> None:
    """While workers are killed, the others and their successors lose, double or halve something that was answered."""
    load = Load()
    for number in range(example_count(1, 34)):
        with server(store_url, 2) as (process, url):
            with load.on(url):
                for kill in range(3):  # as many as a server starts anew in short order
                    wait_some(number * 3 + kill)
                    os.kill(worker_processes(process)[kill % 2], signal.SIGKILL)
                    wait_some(number)
            load.check(url)
            assert process.poll() is None


def test_workers_end_with_their_server(store_url: str) -> None:
    """Workers whose server was killed go on answering beside those of the server that is started in its place."""
    with server(store_url, 2) as (process, url):
        assert asked(url, "GET", "/files")[0] == 200
        process.kill()
        assert process.stdout
        process.stdout.read()  # the workers have the other end, too, until they end
    with pytest.raises(ConnectionRefusedError):
        asked(url, "GET", "/files")
