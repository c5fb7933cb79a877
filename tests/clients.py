"""Code under test, as the tests of looking back have it: raw requests, and the official SDK, both in process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx
import httpx2
import openai
import pytest

from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning
from strategies import ROWS

MODEL = "gpt-4o-mini-2024-07-18"


class Code:
    """Code under test: raw requests by httpx, in process."""

    def __init__(self, fake: FakeFineTuning, name: str = "code") -> None:
        self.fake = fake
        headers = {"authorization": "Bearer any", "user-agent": name}
        self.http = httpx.Client(base_url="http://fake/v1", transport=fake.transport(), headers=headers)

    def send(self, method: str, path: str, **arguments: Any) -> Any:
        """The JSON answer of one request, whatever its status."""
        return self.http.request(method, path, **arguments).json()

    def __enter__(self) -> Code:
        """Stay open while the context lasts."""
        self.http.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Close."""
        self.http.__exit__(*error)

    def upload(self, filename: str = "train.jsonl", rows: str = ROWS, **also: str) -> str:
        """The id of a file that was uploaded."""
        form = {"files": {"file": (filename, rows.encode())}, "data": {"purpose": "fine-tune", **also}}
        return str(self.send("POST", "/files", **form)["id"])

    def create(self, **body: Any) -> Any:
        """Ask for a job, on a file put into the account if none is given."""
        if "training_file" not in body:
            body["training_file"] = self.fake.add_file(ROWS)["id"]
        return self.send("POST", "/fine_tuning/jobs", json={"model": MODEL, **body})

    def about(self, job: Any, verb: str = "", method: str = "POST") -> Any:
        """Ask for something about a job."""
        return self.send(method, f"/fine_tuning/jobs/{job['id']}{verb}")

    def look(self, job: Any) -> Any:
        """Retrieve a job."""
        return self.about(job, method="GET")


def set_request_interval(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.001) -> None:
    """Let each request come these real seconds after the one before, however slow the machine is."""
    requests = count(1)
    monkeypatch.setattr("fine_tuning_fakeserver.web.app.elapsed", lambda: next(requests) * seconds)


@contextmanager
def official(fake: FakeFineTuning, **settings: Any) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, in process."""
    transport: Any = fake.transport(httpx2)
    http_client = httpx2.Client(transport=transport)
    with openai.OpenAI(base_url="http://fake/v1", api_key="any", http_client=http_client, **settings) as client:
        yield client


@contextmanager
def redirected(fake: FakeFineTuning) -> Iterator[None]:
    """Our own clients, blocking and async, talk to *fake* in process, and wait as under the fixture of the plugin."""
    transport = fake.transport()
    with (
        httpx.Client(transport=transport) as http,
        redirect(
            "http://fake/v1",
            http_client=http,
            async_http_client=httpx.AsyncClient(transport=transport),
            sleep=fake.sleep,
            clock=lambda: fake.now,
        ),
    ):
        yield


def found(fake: FakeFineTuning) -> list[tuple[str, tuple[int, ...]]]:
    """Codes and request numbers of the findings."""
    return [(finding.code, finding.requests) for finding in fake.findings]


def numbers(first: int, last: int) -> tuple[int, ...]:
    """Request numbers from *first* to *last*."""
    return tuple(range(first, last + 1))
