"""Code under test for assertions and findings: raw requests and the official SDK, both in process."""

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
        """The JSON response to one request, whatever its status."""
        return self.http.request(method, path, **arguments).json()

    def __enter__(self) -> Code:
        """Open the HTTP client."""
        self.http.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Close the HTTP client."""
        self.http.__exit__(*error)

    def upload(self, filename: str = "train.jsonl", rows: str = ROWS, **also: str) -> str:
        """Upload a file; return its id."""
        form = {"files": {"file": (filename, rows.encode())}, "data": {"purpose": "fine-tune", **also}}
        return str(self.send("POST", "/files", **form)["id"])

    def create(self, **body: Any) -> Any:
        """Create a job, on a new file if none is given."""
        if "training_file" not in body:
            body["training_file"] = self.fake.add_file(ROWS)["id"]
        return self.send("POST", "/fine_tuning/jobs", json={"model": MODEL, **body})

    def about(self, job: Any, verb: str = "", method: str = "POST") -> Any:
        """Send a request about a job."""
        return self.send(method, f"/fine_tuning/jobs/{job['id']}{verb}")

    def look(self, job: Any) -> Any:
        """Retrieve a job."""
        return self.about(job, method="GET")


def set_request_interval(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.001) -> None:
    """Make requests arrive this many seconds of real time apart, however slow the machine is."""
    requests = count(1)
    monkeypatch.setattr("fine_tuning_fakeserver.web.app.elapsed", lambda: next(requests) * seconds)


@contextmanager
def official(fake: FakeFineTuning, **settings: Any) -> Iterator[openai.OpenAI]:
    """The official SDK's client, in process."""
    transport: Any = fake.transport(httpx2)
    http_client = httpx2.Client(transport=transport)
    with openai.OpenAI(base_url="http://fake/v1", api_key="any", http_client=http_client, **settings) as client:
        yield client


@contextmanager
def redirected(fake: FakeFineTuning) -> Iterator[None]:
    """Redirect our own clients to *fake* in process, with its time, as the plugin's fixture does."""
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
