"""The command `fake-fine-tuning jobs`, called in process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import main
from strategies import ROWS

VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_ENDPOINT",
    "FINE_TUNING_PROVIDER",
)


@dataclass(frozen=True, slots=True)
class Done:
    """The exit code and output of a call."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.out.splitlines()

    @property
    def cells(self) -> list[list[str]]:
        """The cells of stdout's lines."""
        return [line.split("\t") for line in self.lines]


class Jobs:
    """The command with its requests sent to a fake on a socket, and waits in virtual time."""

    def __init__(self, fake: FakeFineTuning, capsys: pytest.CaptureFixture[str]) -> None:
        self.fake = fake
        self._capsys = capsys

    def __call__(self, *words: str) -> Done:
        """Run ``jobs`` with *words*."""
        self._capsys.readouterr()
        code = main(["jobs", *words])
        return Done(code, *self._capsys.readouterr())

    @property
    def uploads(self) -> int:
        """The number of uploads."""
        return sum(each.method == "POST" and each.path.endswith("/files") for each in self.fake.requests)

    def job(self, status: str = "running", **fields: Any) -> str:
        """Add a job in a status to the account; return its id."""
        file = self.fake.add_file(fields.pop("rows", ROWS))
        return str(self.fake.add_job(file["id"], status=status, **fields)["id"])

    def sent(self, operation: str) -> list[Any]:
        """The JSON bodies of the requests of an operation."""
        return [json.loads(each.body or b"null") for each in self.fake.requests if each.operation == operation]


@contextmanager
def sent_to(fake: FakeFineTuning, capsys: pytest.CaptureFixture[str]) -> Iterator[Jobs]:
    """The command, with every client redirected to a served *fake* and its time."""
    with redirect(fake.base_url, sleep=fake.sleep, clock=lambda: fake.now):
        yield Jobs(fake, capsys)


@contextmanager
def answering(answer: Callable[[httpx.Request], httpx.Response], key: str = "fake-key") -> Iterator[None]:
    """Answer every client by a function, for responses that the fake never sends."""
    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as http,
        redirect("http://service/v1", api_key=key, http_client=http, sleep=lambda _: None),
    ):
        yield
