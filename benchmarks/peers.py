"""What the fake costs beside its peers: servers and mocks that others test with, measured in turns with it.

``scripts/bench --peers`` installs them and runs this: aimock (npm), respx, pytest-httpserver and moto (PyPI). Each
answers with, or near, the 991 bytes of one fine-tuning job. What a peer cannot do is not compared.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import JOB, JOB_PATH, ROW, account, command

AIMOCK = os.environ.get("BENCH_AIMOCK", "llmock")
"""aimock's server, which has no fine-tuning under its other name."""
JOBS = "/v1/fine_tuning/jobs"
CONNECTIONS, ROUNDS, CALLS = 8, 9, 50
LISTED = 100_000
TESTS, TEST_ROUNDS = 500, 5

HTTPSERVER = """
import sys
from pytest_httpserver import HTTPServer
server = HTTPServer("127.0.0.1", 0)
server.expect_request(sys.argv[1]).respond_with_data(sys.argv[2], content_type="application/json")
server.start()
print(server.url_for(""), flush=True)
server.server_thread.join()
"""
MOTO = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
server._thread.join()
"""


class Client:
    """Several connections to one server, on each of which a request is sent before the answers are read."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._connections = [self._connect() for _ in range(CONNECTIONS)]

    def _connect(self) -> socket.socket:
        return socket.create_connection((self._parts.hostname, self._parts.port))

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """Send the request on each connection; return the last answer's body."""
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._parts.netloc}\r\nauthorization: Bearer any\r\n"
        if body:
            head += f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n"
        request = head.encode() + b"\r\n" + body
        for place in range(CONNECTIONS):
            self._send(place, request)
        return [self._read(place, request) for place in range(CONNECTIONS)][-1]

    def _send(self, place: int, request: bytes) -> None:
        try:
            self._connections[place].sendall(request)
        except OSError:  # a server that keeps no connection
            self._connections[place] = self._connect()
            self._connections[place].sendall(request)

    def _read(self, place: int, request: bytes) -> bytes:
        connection, data = self._connections[place], b""
        while b"\r\n\r\n" not in data:
            if chunk := connection.recv(65536):
                data += chunk
                continue
            assert not data, "the server hung up"  # one that closes what was idle
            connection = self._connections[place] = self._connect()
            connection.sendall(request)
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.split()[1] == b"200", head + body
        names = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(names.get(b"content-length", b"-1"))
        while len(body) < length or (length < 0 and not body.endswith(b"0\r\n\r\n")):
            chunk = connection.recv(1 << 20)
            if not chunk:
                break
            body += chunk
        if length < 0:  # in chunks, each after its length
            body = re.sub(rb"^[0-9a-f]+\r\n|\r\n[0-9a-f]+\r\n", b"", body, flags=re.IGNORECASE)
        if names.get(b"connection") == b"close":
            connection.close()
            self._connections[place] = self._connect()
        return body


@contextmanager
def started(command: list[str]) -> Iterator[Client]:
    """A server that prints its address."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    try:
        printed = ""
        while "http://" not in printed:
            printed = process.stdout.readline()
            assert printed, f"{command} has ended"
        yield Client(printed[printed.index("http://") :].split()[0])
    finally:
        process.kill()
        process.communicate()


def ours(is_fast: bool = True) -> Any:
    """The fake's server, as `serve` starts it, without its access log."""
    return started(command("serve", "--port", "0", "--quiet", "--pace", "manual", is_fast=is_fast))


@contextmanager
def aimock() -> Iterator[Client]:
    """aimock's server, which does not start without an answer to a chat."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "chat.json").write_text(json.dumps({"fixtures": [{"match": {}, "response": {"content": "hi"}}]}))
        with started([AIMOCK, "--port", "0", "--fixtures", folder]) as client:
            yield client


def rates(first: Callable[[], object], second: Callable[[], object], calls: int = CALLS) -> list[tuple[float, float]]:
    """Requests a second of each, in rounds that take turns."""
    found = []
    for turn in range(-1, ROUNDS):  # the first round warms up
        pair = []
        for call in (first, second):
            begun = time.perf_counter()
            for _ in range(calls):
                call()
            pair.append(calls * CONNECTIONS / (time.perf_counter() - begun))
        if turn >= 0:
            found.append((pair[0], pair[1]))
    return found


def report(what: str, aim: str, found: list[tuple[float, float]], unit: str = "requests/s") -> None:
    """Print the median ratio, its range, and the medians."""
    ratios = sorted(first / second for first, second in found)
    medians = (statistics.median(pair[side] for pair in found) for side in (0, 1))
    detail = "{:.0f} and {:.0f} {}".format(*medians, unit)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"{what:<58} {statistics.median(ratios):6.2f}   aim {aim:<8} {spread}; {detail}", flush=True)


def upload(client: Client) -> str:
    """Upload a training file; return its id."""
    content = ROW * 10
    body = (
        f'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
        f'--b\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{content}\r\n--b--\r\n'
    )
    return str(json.loads(client.ask("POST", "/v1/files", body.encode(), "multipart/form-data; boundary=b"))["id"])


def job_body(client: Client) -> bytes:
    """The body of a request for a job."""
    return json.dumps({"model": "gpt-4o-mini-2024-07-18", "training_file": upload(client)}).encode()


def beside_aimock() -> None:
    """A job retrieved and created, and a page of many, beside aimock."""
    for is_fast, parts in ((False, "h11"), (True, "[fast]")):
        _beside_aimock(is_fast, parts)


def _beside_aimock(is_fast: bool, parts: str) -> None:
    with ours(is_fast) as fake, aimock() as other:
        clients = (fake, other)
        bodies = [job_body(client) for client in clients]
        jobs = [json.loads(client.ask("POST", JOBS, body)) for client, body in zip(clients, bodies, strict=True)]
        paths = [f"{JOBS}/{job['id']}" for job in jobs]
        report(
            f"GET job, {parts}: rate to aimock's",
            ">= 1.0",
            rates(lambda: fake.ask("GET", paths[0]), lambda: other.ask("GET", paths[1])),
        )
        create = [partial(client.ask, "POST", JOBS, body) for client, body in zip(clients, bodies, strict=True)]
        report(f"POST job, {parts}: rate to aimock's, which checks nothing", ">= 0.8", rates(create[0], create[1]))
        if not is_fast:
            return
        for each in create:
            for _ in range(LISTED // CONNECTIONS):
                each()
        listed = f"{JOBS}?limit=20"
        found = rates(lambda: fake.ask("GET", listed), lambda: other.ask("GET", listed), calls=5)
        report(f"list of 20 of {LISTED:,} jobs: rate to aimock's", ">= 15", found)


def beside_other_servers() -> None:
    """A job retrieved over a socket, beside canned bytes of pytest-httpserver, and an object of moto's S3."""
    body = job_bytes()
    with ours() as fake:
        job = json.loads(fake.ask("POST", "/v1/fine_tuning/jobs", job_body(fake)))["id"]
        path = f"{JOBS}/{job}"
        with started([sys.executable, "-c", HTTPSERVER, JOB_PATH, body.decode()]) as other:
            found = rates(lambda: fake.ask("GET", path), lambda: other.ask("GET", JOB_PATH), calls=20)
            report("GET job: rate to canned bytes of pytest-httpserver", "none", found)
        with started([sys.executable, "-c", MOTO]) as other:
            other.ask("PUT", "/bench")
            other.ask("PUT", "/bench/job", body)
            found = rates(lambda: fake.ask("GET", path), lambda: other.ask("GET", "/bench/job"), calls=10)
            report("GET job: rate to an object of moto's S3", "none", found)


def job_bytes() -> bytes:
    """The answer to a retrieved job."""
    from fine_tuning_fakeserver.web.in_process import call_app

    headers = [(b"authorization", b"Bearer any")]
    return bytes(call_app(account().asgi_app, "GET", JOB_PATH.encode(), headers, b"").body)


def beside_respx() -> None:
    """A call of httpx that never leaves the process, beside respx."""
    import httpx
    import respx

    url = f"http://fake{JOB_PATH}"
    mine = httpx.Client(transport=account(pace="polls").transport(httpx), headers={"authorization": "Bearer any"})
    with respx.mock(base_url="http://fake", assert_all_called=False) as mock, httpx.Client() as theirs:
        mock.get(JOB_PATH).respond(200, content=job_bytes(), content_type="application/json")
        found = rates(lambda: mine.get(url).json()["id"] == JOB, lambda: theirs.get(url).json()["id"] == JOB, calls=200)
    alone = [(ours / CONNECTIONS, theirs / CONNECTIONS) for ours, theirs in found]
    report("httpx call in process: rate to respx's", "none", alone, "calls/s")


TEST = "import pytest\n\n@pytest.mark.parametrize('n', range({tests}))\ndef test_nothing(n{fixture}):\n    pass\n"


def beside_other_fixtures() -> None:
    """An empty test with the fixture, beside those of respx and pytest-httpserver: milliseconds over a test without."""
    fixtures = {"none": "", **{name: f", {name}" for name in ("fake_fine_tuning", "respx_mock", "httpserver")}}
    spent: dict[str, list[float]] = {name: [] for name in fixtures}
    with tempfile.TemporaryDirectory() as folder:
        for name, fixture in fixtures.items():
            Path(folder, f"test_{name}.py").write_text(TEST.format(tests=TESTS, fixture=fixture))
        for _ in range(TEST_ROUNDS):
            for name in fixtures:
                command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py"]
                begun = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, cwd=folder)
                spent[name].append((time.perf_counter() - begun) / TESTS * 1e3)
    plain = statistics.median(spent.pop("none"))
    over = {name: statistics.median(times) - plain for name, times in spent.items()}
    shown = ", ".join(f"{name} {ms:.2f} ms" for name, ms in over.items())
    print(f"a test with a fixture over one without, first use shared by {TESTS}: {shown}", flush=True)


if __name__ == "__main__":
    for figure in (beside_aimock, beside_other_servers, beside_respx, beside_other_fixtures):
        figure()
