"""Small programs, flawed and sound, that the findings are held against; they run in process and sleep for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import openai
import pytest

from clients import Code
from fine_tuning_fakeserver import FakeFineTuning
from strategies import ROWS

OTHER_ROWS = ROWS.replace("Go away.", "Hello yourself.")


class Program(Code):
    """Code under test whose requests come a millisecond apart, unless it rests in between."""

    def __init__(self, fake: FakeFineTuning, name: str = "program") -> None:
        super().__init__(fake, name)
        self.seconds = 0.0

    def elapsed(self) -> float:
        """Real time, for the request log."""
        self.seconds += 0.001
        return self.seconds

    def rest(self, seconds: float) -> None:
        """Sleep for real, as far as the request log knows."""
        self.seconds += seconds

    def get(self, path: str, **query: Any) -> Any:
        """The answer to one GET."""
        return self.send("GET", path, params=query)

    def post(self, path: str, **body: Any) -> Any:
        """The answer to one POST of JSON."""
        return self.send("POST", path, json=body)

    def chat(self, **body: Any) -> Any:
        """Ask a model."""
        return self.post("/chat/completions", messages=[{"role": "user", "content": "Hi"}], **body)

    def poll(self, job: Any, times: int = 5, pause: float = 5.0) -> Any:
        """Retrieve a job this often, with a pause after each; return the last answer."""
        answer = job
        for _ in range(times):
            answer = self.look(job)
            self.rest(pause)
        return answer

    def sdk(self, **options: Any) -> openai.OpenAI:
        """OpenAI's own client."""
        return self.fake.openai(**options)

    def finished(self, status: str = "succeeded", **members: Any) -> Any:
        """A job of ours that was polled to its end."""
        if status == "failed":
            self.fake.plan_next(error="invalid_training_file")
        job = self.create(**members)
        self.poll(job, 3)
        self.fake.advance_to(status, job["id"])
        return self.look(job)


Run: TypeAlias = Callable[[Program], object]


class Programs:
    """Programs with a flaw and without, as parameters of a test."""

    def __init__(self) -> None:
        self.with_flaw: list[Any] = []
        self.without: list[Any] = []

    def flawed(self, code: str, missed: str = "") -> Callable[[Run], Run]:
        """Register a program that has the flaw of a finding; *missed* says why it is not found, where it is not."""

        def register(program: Run) -> Run:
            self.with_flaw.append(pytest.param(code, program, missed, id=f"{code}-{program.__name__}"))
            return program

        return register

    def sound(self, program: Run) -> Run:
        """Register a program that has no flaw."""
        self.without.append(pytest.param(program, id=program.__name__))
        return program


def run(program: Run, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the codes of the findings that a program has."""
    code = Program(FakeFineTuning(pace="manual", seed=7))
    monkeypatch.setattr("fine_tuning_fakeserver.web.app.elapsed", code.elapsed)
    with code:
        program(code)
    return {finding.code for finding in code.fake.findings}
