"""`fake-fine-tuning ready`: whether a server answers."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import main
from fine_tuning_fakeserver.web.server import bind

READY = (200, b'{"status": "ok"}')


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Generator[str]:
    """A server that gives these answers to /ready, the last one for good."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status if self.path == "/ready" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_answers_is_ready(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A fake that serves is ready, by its base URL, by its address, and by its port in the variable, past any proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with FakeFineTuning().serving() as url:
        monkeypatch.setenv("FAKE_FINE_TUNING_PORT", str(urlsplit(url).port))
        assert [main(["ready", *words]) for words in ([url], [url.removesuffix("/v1")], ["--wait", "5"])] == [0, 0, 0]

    assert capsys.readouterr() == ("", "")


def test_a_port_that_nobody_listens_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody listens the exit code is 1, and a line says where and why, without what could be a key."""
    with bind() as listener:
        port = listener.getsockname()[1]

    assert main(["ready", f"http://user:sk-secret@127.0.0.1:{port}/v1?key=sk-secret"]) == 1
    said = capsys.readouterr().err
    assert said == f"fake-fine-tuning ready: http://127.0.0.1:{port}/ready is not ready: Connection refused\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, b"{}"), "it answers 503"),
        ((200, b"<html>"), "another server answers there"),
        ((200, b'{"status": "starting"}'), "another server answers there"),
        ((200, b"[]"), "another server answers there"),
    ],
)
def test_another_answer_is_not_ready(answer: tuple[int, bytes], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is busy, or is none of ours, is not ready."""
    with answering(answer) as url:
        assert main(["ready", url]) == 1

    assert capsys.readouterr().err.endswith(f"/ready is not ready: {said}\n")


def test_it_waits_for_a_server_that_starts() -> None:
    """With `--wait` it asks again until the server answers."""
    with answering((503, b""), (503, b""), READY) as url:
        assert main(["ready", url]) == 1
        assert main(["ready", url, "--wait", "60"]) == 0


def test_waiting_ends() -> None:
    """`--wait` ends with exit code 1 where no server comes."""
    with answering((503, b"")) as url:
        assert main(["ready", url, "--wait", "0.2"]) == 1


@pytest.mark.parametrize("url", ["127.0.0.1:4355", "ftp://127.0.0.1", "http://", "http://[::1", "http://h:x", "sk-key"])
def test_a_wrong_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no URL is wrong usage, and is not shown: it could be a key."""
    assert main(["ready", url]) == 2

    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "Error: URL must be an address such as http://127.0.0.1:4355"
