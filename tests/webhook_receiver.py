"""A local target for webhooks."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import openai

SOON_S = 10
"""Real seconds after which what should have come never will."""


class Receiver:
    """A target that keeps the headers and bodies it receives, and responds with *statuses*, then with 200."""

    def __init__(self, statuses: Iterable[int] = (), *, threaded: bool = True) -> None:
        self.got: queue.SimpleQueue[tuple[dict[str, str], bytes]] = queue.SimpleQueue()
        self.statuses = list(statuses)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("location", outer.url)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        kind = ThreadingHTTPServer if threaded else HTTPServer
        self.server = kind(("127.0.0.1", 0), Handler)
        self.server.timeout = SOON_S
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def next(self, secret: str) -> Any:
        """The next event, verified and parsed by the official SDK."""
        headers, body = self.got.get(timeout=SOON_S)
        return openai.OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)


@contextmanager
def receiving(*receivers: Receiver) -> Iterator[None]:
    """Let webhook targets answer, each in a thread."""
    with ThreadPoolExecutor(len(receivers)) as pool:
        for receiver in receivers:
            pool.submit(receiver.server.serve_forever, 0.01)
        try:
            yield
        finally:
            for receiver in receivers:
                receiver.server.shutdown()
                receiver.server.server_close()
