"""Requests generated from the fake's OpenAPI document, and the faults of their responses.

``python tests/fuzzing.py 10000`` sends at least that many, and prints figures and failures.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from zlib import crc32

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import RejectedPositiveData

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.control.seeding import MODELS
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import ROWS

KEY = "sk-right"
PHASES = ("examples", "coverage", "fuzzing", "stateful")
DRAWN, LISTED = ("fuzzing", "stateful"), ("coverage",)
"""Phases whose requests are drawn at random, and those with one request for each bound of a schema."""

# Refusals of requests that the description allows: what is wrong with them is not in a schema.
STATE = re.compile(
    r"Given after argument was not found"
    r"|invalid (training|validation)_file: "
    r"|Model .* is not available"
    r"|Not allowed to download"
    r"|invalid grader: "
    r"|Cannot (pause|resume) a job|Job has already completed"
    r"|invalid (tool_choice|response_format|tools), "
    r"|Must be .jsonl|Expected file to have JSONL|File is empty"
    r"|Upload \w+ is (completed|cancelled|expired)"
    r"|The parts (are larger|have)|is no part of the upload|md5 checksum"
    r"|fake_error"
    r"|: \d+\.0, input should be a valid integer"  # DIVERGES from JSON Schema, to which 1.0 is an integer
    r"|expected an integer, but got a decimal number"  # the same
)


@dataclass(slots=True)
class Figures:
    """The number of requests by phase and status, and each failure once."""

    cases: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The figures as readable lines."""
        yield f"{self.cases} cases, {self.checks.total()} checks, {len(self.failures)} failures"
        for name, counts in (("phases", self.phases), ("statuses", self.statuses), ("checks", self.checks)):
            yield f"{name}: {_told(counts)}"
        yield f"successes: {_told(self.operations)}"
        yield from self.failures.values()


def _told(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


@dataclass(slots=True)
class World:
    """A fake with some objects, and their ids by the names of the path parameters."""

    fake: FakeFineTuning
    known: dict[str, list[str]]

    @classmethod
    def of(cls, seed: int) -> World:
        """A world with files, and with jobs in every status."""
        fake = FakeFineTuning(seed=seed, pace="manual" if seed % 2 else "polls", api_keys=[KEY], patience=None)
        file = fake.add_file(ROWS)["id"]
        statuses = ("queued", *["running"] * 20, *["paused"] * 10, "failed", "succeeded")
        jobs = [fake.add_job(file, status=status) for status in statuses]
        model = jobs[-1]["fine_tuned_model"]
        files = {"file_id": [file, jobs[-1]["result_files"][0]], "rows": [file]}
        models = {"model": [model], "checkpoint": [model]}
        known = {"job_id": [job["id"] for job in jobs], "upload_id": [_upload(fake)], **files, **models}
        return cls(fake, known)

    def path(self, context: Any, path: Any) -> Any:
        """Replace four generated ids in five by existing ones, except where something is deleted."""
        if not path or context.operation.method.upper() == "DELETE":
            return path
        return {name: self._known(name, value) for name, value in path.items()}

    def _known(self, name: str, value: Any) -> Any:
        known, number = self.known.get(name), crc32(repr(value).encode())
        return known[number // 5 % len(known)] if known and number % 5 else value

    def body(self, context: Any, body: Any) -> Any:
        """Replace generated ids and models by existing ones, and half of the training files by valid rows."""
        if not isinstance(body, dict):
            return body
        changed = {name: self._known(of, body[name]) for name, of in IDS.items() if isinstance(body.get(name), str)}
        if isinstance(body.get("model"), str) and body["model"] and "training_file" in body:
            method = body["method"] if isinstance(body.get("method"), dict) else {}
            changed["model"] = MODELS.get(str(method.get("type")), MODELS["supervised"])
        if isinstance(body.get("file"), bytes) and len(body["file"]) % 2:
            changed["file"] = ROWS.encode()
        return {**body, **changed}


IDS = {"training_file": "rows", "validation_file": "rows", "model": "model"}
"""Members of bodies that take known ids."""


def _upload(fake: FakeFineTuning) -> str:
    """The id of a pending upload of one byte."""
    body = b'{"filename": "a", "purpose": "batch", "bytes": 1, "mime_type": "text/plain"}'
    reply = call_app(fake.asgi_app, "POST", b"/v1/uploads", [(b"authorization", b"Bearer " + KEY.encode())], body)
    return str(json.loads(reply.body)["id"])


def _phase(name: str, phases: tuple[str, ...], examples: int) -> dict[str, Any]:
    """The settings of a phase; the stateful one, which stops early, gets more examples."""
    phase: dict[str, Any] = {"enabled": name in phases}
    return {**phase, "generation": {"max-examples": examples * 10}} if name == "stateful" else phase


def loaded(seed: int, examples: int, phases: tuple[str, ...]) -> Any:
    """The fake's OpenAPI document, with hooks that make requests from it."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "headers": {"Authorization": f"Bearer {KEY}"},
            "continue-on-failure": True,
            "generation": {"max-examples": examples, "database": "none"},
            "phases": {name: _phase(name, phases, examples) for name in PHASES},
        }
    )
    world = World.of(seed)
    schema = schemathesis.openapi.from_asgi("/openapi.json", world.fake.asgi_app, config=config)
    schema.hooks.register_hook_with_name(world.path, "map_path_parameters")
    schema.hooks.register_hook_with_name(world.body, "map_body")
    schema.hooks.register_hook_with_name(_is_failure, "filter_failure")
    return schema


def _is_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Return whether a failure is a real one; a valid request may be refused for the account's state."""
    if isinstance(failure, RejectedPositiveData):
        return not STATE.search(response.content.decode(errors="replace"))
    # In a query all is text: what has another type under metadata[…] is sound once it is sent.
    return not (isinstance(failure, AcceptedNegativeData) and "`metadata` in query" in failure.message)


def fuzz(cases: int, examples: int, seed: int = 0) -> Figures:
    """Send at least *cases* generated requests, in rounds with a new account each."""
    figures = Figures()
    for number in count(seed):
        play(figures, loaded(number, examples, DRAWN))
        if figures.cases >= cases:
            return figures
    raise AssertionError


def play(figures: Figures, schema: Any) -> None:
    """Send the requests of one round."""
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(figures, event.phase.value, event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            figures.failures[str(event)] = str(getattr(event, "info", event))


def _count(figures: Figures, phase: str, recorder: ScenarioRecorder) -> None:
    for identifier, interaction in recorder.interactions.items():
        if interaction.response is None:
            continue
        figures.cases += 1
        figures.phases[phase] += 1
        figures.statuses[interaction.response.status_code] += 1
        case = recorder.cases[identifier].value
        if interaction.response.status_code == 200:
            figures.operations[case.operation.definition.raw["operationId"]] += 1
        for check in recorder.checks.get(identifier, ()):
            figures.checks[check.name] += 1
            if check.status is Status.FAILURE and check.failure_info:
                failure = check.failure_info.failure
                figures.failures.setdefault(
                    f"{case.operation.label} {check.name} {failure.title}",
                    f"{case.operation.label}: {check.name}: {failure.title}\n{failure.message}\n"
                    f"{check.failure_info.code_sample}\n{interaction.response.content[:600].decode(errors='replace')}\n",
                )


def main(cases: int) -> int:
    """Send every explicit example, then *cases* generated requests; print figures and failures."""
    figures = fuzz(cases, examples=100)
    play(figures, loaded(0, 1, LISTED))
    print(*figures.lines(), sep="\n")
    return 1 if figures.failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
