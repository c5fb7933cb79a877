"""Small programs with and without flaws, for testing the findings; in process and without real sleeps."""

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
    """Code under test whose requests come a millisecond apart, plus its sleeps."""

    def __init__(self, fake: FakeFineTuning, name: str = "program") -> None:
        super().__init__(fake, name)
        self.seconds = 0.0

    def elapsed(self) -> float:
        """Real time according to the request log."""
        self.seconds += 0.001
        return self.seconds

    def rest(self, seconds: float) -> None:
        """Sleep, according to the request log."""
        self.seconds += seconds

    def get(self, path: str, **query: Any) -> Any:
        """The JSON response to a GET."""
        return self.send("GET", path, params=query)

    def post(self, path: str, **body: Any) -> Any:
        """The JSON response to a POST of JSON."""
        return self.send("POST", path, json=body)

    def chat(self, **body: Any) -> Any:
        """Request a chat completion."""
        return self.post("/chat/completions", messages=[{"role": "user", "content": "Hi"}], **body)

    def poll(self, job: Any, times: int = 5, pause: float = 5.0) -> Any:
        """Retrieve a job *times* times, with a pause after each; return the last response."""
        answer = job
        for _ in range(times):
            answer = self.look(job)
            self.rest(pause)
        return answer

    def sdk(self, **options: Any) -> openai.OpenAI:
        """The official SDK's client."""
        return self.fake.openai(**options)

    def finished(self, status: str = "succeeded", **members: Any) -> Any:
        """A job that was polled to its end."""
        if status == "failed":
            self.fake.plan_next(error="invalid_training_file")
        job = self.create(**members)
        self.poll(job, 3)
        self.fake.advance_to(status, job["id"])
        return self.look(job)


Run: TypeAlias = Callable[[Program], object]


class Programs:
    """Programs with and without a flaw, as test parameters."""

    def __init__(self) -> None:
        self.with_flaw: list[Any] = []
        self.without: list[Any] = []

    def flawed(self, code: str, missed: str = "") -> Callable[[Run], Run]:
        """Register a program with the flaw of a finding; *missed* is the reason if it is not found."""

        def register(program: Run) -> Run:
            self.with_flaw.append(pytest.param(code, program, missed, id=f"{code}-{program.__name__}"))
            return program

        return register

    def sound(self, program: Run) -> Run:
        """Register a program without a flaw."""
        self.without.append(pytest.param(program, id=program.__name__))
        return program


def run(program: Run, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the codes of the findings that a program has."""
    code = Program(FakeFineTuning(pace="manual", seed=7))
    monkeypatch.setattr("fine_tuning_fakeserver.web.app.elapsed", code.elapsed)
    with code:
        program(code)
    return {finding.code for finding in code.fake.findings}
