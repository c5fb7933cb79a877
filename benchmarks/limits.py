"""What one process of the fake takes: a million jobs, and thousands of idle connections; the figures of docs/limits.md.

``python benchmarks/limits.py [JOBS]`` takes some minutes and two gigabytes for a million jobs. Times are this machine's
own: they say whether something grows, not how fast yours is.
"""

from __future__ import annotations

import gc
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.in_process import call_app

ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
KEY = [(b"authorization", b"Bearer any"), (b"content-type", b"application/json")]
IDLE = 2000
LOOKS = ("/v1/fine_tuning/jobs?limit=20", "/v1/files?limit=20", "/_fake", "/_fake/ui/data/jobs")


def resident_mb(pid: int | str = "self") -> float:
    """The memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a call, and the milliseconds that it took."""
    begun = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - begun) * 1e3


def many_jobs(number: int) -> None:
    """Create so many jobs, let all end at once, and look."""
    fake = FakeFineTuning(start=1_760_000_000, pace="manual", patience=None)
    body = json.dumps({"model": "gpt-4o-mini", "training_file": fake.add_file(ROW * 10)["id"]}).encode()

    def ask(method: str, path: str, sent: bytes = b"") -> Any:
        reply = call_app(fake.asgi_app, method, path.encode(), KEY, sent)
        assert reply.status == 200, reply.body
        return reply

    before = resident_mb()
    _, spent = timed(lambda: [ask("POST", "/v1/fine_tuning/jobs", body).status for _ in range(number)])
    gc.collect()
    used = (resident_mb() - before) * 1024 * 1024 / number
    print(f"{number:,} jobs: {spent / number * 1e3:.0f} us to create one, {used:.0f} bytes each while they run")
    _, spent = timed(lambda: fake.advance("1d"))
    used = (resident_mb() - before) * 1024 * 1024 / number
    print(f"all end at once: {spent / 1e3:.1f} s; {used:.0f} bytes each")
    for path in LOOKS:
        _, first = timed(lambda path=path: ask("GET", path))  # type: ignore[misc]
        _, again = timed(lambda path=path: ask("GET", path))  # type: ignore[misc]
        print(f"GET {path}: {first:.1f} ms, again {again:.1f} ms")


def idle_connections(number: int) -> None:
    """Open so many connections to a server, and ask it on another."""
    command = [str(Path(sys.executable).with_name("fake-fine-tuning")), "serve", "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        parts = urlsplit(process.stdout.readline().strip())

        def ask() -> None:
            connection = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 0))
            connection.request("GET", "/v1/fine_tuning/jobs", headers={"authorization": "Bearer any"})
            assert connection.getresponse().status == 200
            connection.close()

        ask()
        before, (_, alone) = resident_mb(process.pid), timed(ask)
        idle = [socket.create_connection((parts.hostname, parts.port)) for _ in range(number)]
        ask()  # which comes after they are all accepted
        _, beside = timed(ask)
        each = (resident_mb(process.pid) - before) * 1024 / number
        print(f"{number:,} idle connections: {each:.1f} kB each; a request takes {beside:.1f} ms, {alone:.1f} without")
        for connection in idle:
            connection.close()
        process.terminate()


if __name__ == "__main__":
    idle_connections(IDLE)
    many_jobs(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
