"""Send every operation to `serve` on many connections at once; report 5xx, lost connections and growth.

``python tests/soak.py 600`` does so for ten minutes, on 64 connections, and prints figures and failures.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.operation import Operation
from fine_tuning_fakeserver.web.operations import OPERATIONS
from serve_process import LONGEST_S, line, started
from strategies import ROWS
from wire_fuzzing import BODIES, FORMS, used_resources

CONNECTIONS = 64
ROUNDS = 5
IDS_KEPT = 200
LEFT_OUT = {
    "POST /_fake/faults": "it is there to make answers fail",
    "POST /_fake/scripts": "the answers are the script's, and an empty one refuses",
    "POST /_fake/rewind": "what was answered meanwhile is gone",
    "POST /_fake/import": "it takes a saved account",
    "POST /_fake/reset": "it ends each round",
    "PUT /_fake/dialect": "other dialects have other paths",
}
"""Operations that are not sent, and why."""
MIXED = tuple(operation for operation in (*OPERATIONS, *CONTROL_OPERATIONS) if operation.name not in LEFT_OUT)
KINDS = {
    "file-": "file_id",
    "ftjob-": "job_id",
    "upload_": "upload_id",
    "ft:": "model",
    "wh": "webhook_id",
    "cp_": "permission_id",
}
"""The names of parameters, by how ids begin that stand for them."""


@dataclass
class SoakFigures:
    """What a soak has found; resources are (descriptors, resident kB), after the reset that ended each round."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    resources: list[tuple[int, int]] = field(default_factory=list)
    slowest_s: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def lines(self) -> Iterator[str]:
        """Yield the figures, for a person."""
        total = sum(self.statuses.values())
        rate = total / self.seconds
        yield f"{total} requests to {len(self.operations)} operations in {self.seconds:.0f} s, {rate:.0f} a second"
        yield ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        slowest = sorted(self.slowest_s.items(), key=itemgetter(1), reverse=True)[:5]
        yield "slowest answers: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in slowest)
        yield f"descriptors and resident kB after each reset: {self.resources}"
        yield from (f"{name}: {text}" for name, text in self.failures.items())


class SoakClient:
    """One connection, on which operations are sent in rounds of all of them.

    Args:
        netloc: host and port of the server.
        seed: the order in which it sends them.
        known: ids that any client has seen, by the parameter that they stand for.
        figures: where it counts.
    """

    def __init__(self, netloc: str, seed: int, known: dict[str, deque[str]], figures: SoakFigures) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=LONGEST_S)
        self._chance = random.Random(seed)
        self._known, self._figures = known, figures
        self._ahead: list[Operation] = []

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Send requests while *goes_on*."""
        while goes_on():
            if not self._ahead:
                self._ahead = self._chance.sample(MIXED, len(MIXED))
            self._send(self._ahead.pop())
        self._connection.close()

    def _send(self, operation: Operation) -> None:
        figures, target = self._figures, operation.path
        for name in operation.path_parameters:
            target = target.replace(f"{{{name}}}", self._id(name))
        begun = time.monotonic()
        try:
            self._connection.request(operation.method, target, *self._body(operation))
            answer = self._connection.getresponse()
            status, data = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            status, data = 0, repr(error).encode()
            self._connection.close()
        slowest_s = figures.slowest_s.get(operation.name, 0.0)
        figures.slowest_s[operation.name] = max(slowest_s, time.monotonic() - begun)
        figures.statuses[status] += 1
        figures.operations[operation.name] += 1
        if status >= 500 or not status:
            figures.failures.setdefault(f"{operation.method} {target} {status}", data[:500].decode(errors="replace"))
        elif status < 300 and answer.headers["content-type"] == "application/json":
            self._remember(data)

    def _id(self, name: str) -> str:
        known = self._known[{"checkpoint": "model", "fine_tuned_model_checkpoint": "model"}.get(name, name)]
        return known[self._chance.randrange(len(known))] if known else "unknown"

    def _body(self, operation: Operation) -> tuple[bytes | None, dict[str, str]]:
        headers = {"authorization": "Bearer any", "content-type": "application/json"}
        if operation.name in FORMS:
            name = "data" if operation.name == "add_upload_part" else "file"
            part = f'--b\r\ncontent-disposition: form-data; name="{name}"; filename="a.jsonl"\r\n\r\n{ROWS}\r\n'
            purpose = '--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
            body = f"{purpose if name == 'file' else ''}{part}--b--\r\n"
            return body.encode(), {**headers, "content-type": "multipart/form-data; boundary=b"}
        if operation.name not in BODIES:
            return None, headers
        text = json.dumps(BODIES[operation.name]).replace("FILE", self._id("file_id"))
        return text.replace("ftjob-next", f"ftjob-{self._chance.getrandbits(64):x}").encode(), headers

    def _remember(self, data: bytes) -> None:
        answer: Any = json.loads(data)
        listed = answer.get("data")
        for each in (answer, *(listed[:3] if isinstance(listed, list) else ())):
            identifier = str(each.get("id")) if isinstance(each, dict) else ""
            kind = next((kind for start, kind in KINDS.items() if identifier.startswith(start)), None)
            if kind and identifier not in self._known[kind]:
                self._known[kind].append(identifier)


def soak(goes_on: Callable[[int], Callable[[], bool]], connections: int, rounds: int, life_s: float) -> SoakFigures:
    """Soak a new server: in each of *rounds* all clients send requests while ``goes_on(round)()``, then it is reset."""
    figures = SoakFigures()
    with started("--quiet", "--port", "0", "--pace", "polls", life_s=life_s) as process:
        netloc = urlsplit(line(process.stdout)).netloc
        threading.Thread(target=lambda: [*(process.stderr or ())], daemon=True).start()
        threading.Thread(target=lambda: [*(process.stdout or ())], daemon=True).start()
        begun = time.monotonic()
        for number in range(rounds):
            known: dict[str, deque[str]] = defaultdict(lambda: deque(["unknown"], IDS_KEPT))
            clients = [SoakClient(netloc, number * 1000 + place, known, figures) for place in range(connections)]
            with ThreadPoolExecutor(connections) as pool:
                for done in [pool.submit(client.run, goes_on(number)) for client in clients]:
                    done.result()
            _reset(netloc)
            figures.resources.append(used_resources(process))
        figures.seconds = time.monotonic() - begun
        process.terminate()
        process.wait()
    return figures


def _reset(netloc: str) -> None:
    connection = http.client.HTTPConnection(netloc, timeout=LONGEST_S)
    connection.request("POST", "/_fake/reset", b"{}", {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


def soak_for(seconds: float, connections: int = CONNECTIONS) -> SoakFigures:
    """Soak a server for so many seconds."""

    def goes_on(_: int) -> Callable[[], bool]:
        end = time.monotonic() + seconds / ROUNDS
        return lambda: time.monotonic() < end

    return soak(goes_on, connections, ROUNDS, seconds + 2 * LONGEST_S)


def soak_counted(requests: int, connections: int, rounds: int = 2) -> SoakFigures:
    """Soak a server with so many requests on each connection in each round."""

    def goes_on(_: int) -> Callable[[], bool]:
        left = iter(range(requests))
        return lambda: next(left, None) is not None

    return soak(goes_on, connections, rounds, 2 * LONGEST_S)


if __name__ == "__main__":
    found = soak_for(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
    print(*found.lines(), sep="\n")
    sys.exit(bool(found.failures))
