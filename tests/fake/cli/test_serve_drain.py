"""SIGTERM, by which supervisors stop a server: what is under way is ended first."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import pytest

from serve_process import KEY, end, line, started

pytestmark = pytest.mark.slow


def wait_until_refused(url: str) -> None:
    """Wait until the server takes no new connection."""
    place = urlsplit(url)
    while True:
        try:
            socket.create_connection((place.hostname, place.port), 10).close()
        except ConnectionError:
            return


class Target:
    """A webhook target that answers once it is let."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.has_come, self.may_answer = threading.Event(), threading.Event()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                target.events.append(self.rfile.read(int(self.headers["content-length"])))
                target.has_come.set()
                target.may_answer.wait(60)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def target() -> Generator[Target]:
    """A webhook target, until the test ends."""
    target = Target()
    thread = threading.Thread(target=target.server.serve_forever, args=(0.01,))
    thread.start()
    yield target
    target.may_answer.set()
    target.server.shutdown()
    thread.join()
    target.server.server_close()


def create_failing_jobs(url: str, count: int) -> None:
    """Create jobs that fail in validation."""
    with httpx.Client(base_url=url, headers=KEY, trust_env=False) as http:
        file = {"file": ("train.jsonl", b"{}\n")}
        uploaded = http.post("/files", data={"purpose": "fine-tune"}, files=file).json()["id"]
        for _ in range(count):
            assert http.post("/fine_tuning/jobs", json={"training_file": uploaded, "model": "gpt-4o-mini"}).is_success


def test_a_request_under_way_is_answered() -> None:
    """After SIGTERM a request under way gets its response, and new connections are refused."""
    answers: list[int] = []
    with started("--port", "0") as process:
        url = line(process.stdout)
        control = url.removesuffix("/v1") + "/_fake"
        httpx.post(f"{control}/faults", json={"kind": "delay", "seconds": 0.7}, trust_env=False)
        get = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{url}/models", headers=KEY, trust_env=False).status_code)
        )
        get.start()
        while not httpx.get(f"{control}/requests", trust_env=False).json()["total"]:
            pass  # it is logged before it is delayed
        process.send_signal(signal.SIGTERM)
        wait_until_refused(url)
        get.join()
        end(process)

    assert (answers, process.returncode) == ([200], 0)


def test_webhooks_under_way_get_their_time(target: Target) -> None:
    """After SIGTERM a webhook under way is waited for, and what is due after it is sent."""
    with started("--port", "0", "--pace", "10000", "--webhook", target.url) as process:
        url = line(process.stdout)
        create_failing_jobs(url, 2)
        assert target.has_come.wait(60)
        with httpx.Client(trust_env=False) as http:
            while len(http.get(f"{url.removesuffix('/v1')}/_fake/webhooks/deliveries").json()["deliveries"]) < 2:
                pass
        process.send_signal(signal.SIGTERM)
        wait_until_refused(url)
        target.may_answer.set()
        errors = end(process)

    assert process.returncode == 0
    assert len(set(target.events)) == 2
    assert "not delivered" not in errors


@pytest.mark.parametrize(("stop", "options"), [(signal.SIGINT, ()), (signal.SIGTERM, ("--drain", "0"))], ids=str)
def test_nothing_is_waited_for_unasked(target: Target, stop: signal.Signals, options: tuple[str, ...]) -> None:
    """Ctrl-C, and SIGTERM with `--drain 0`, end the server though a webhook target never answers."""
    with started("--port", "0", "--pace", "10000", "--webhook", target.url, *options) as process:
        url = line(process.stdout)
        create_failing_jobs(url, 1)
        assert target.has_come.wait(60)
        process.send_signal(stop)
        end(process)

    assert process.returncode == 0
    assert not target.may_answer.is_set()
