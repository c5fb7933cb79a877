"""The requests by which a server is judged: reads and refusals first, then a job from its file to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, NamedTuple
from urllib.parse import quote

from fine_tuning_formats.lazy_dataclass import dataclass

from .answers import SeenAnswer
from .target import BudgetError, Target

TRAINING_ROWS = [
    {"messages": [{"role": "user", "content": f"How much is {n} + 1?"}, {"role": "assistant", "content": str(n + 1)}]}
    for n in range(10)
]
TRAINING_FILE = "".join(json.dumps(row) + "\n" for row in TRAINING_ROWS).encode()
JOB = "ftjob-c0nf0rmn0suchj0bc0nf0rm1"
FILE = "file-c0nf0rmn0suchf1lec0n"
MODEL = "no-such-model-of-conform"


class Step(NamedTuple):
    """A request.

    Args:
        id: names the check on its answer.
        area: what it is about.
        operation: the operation that it is for; empty for none.
        method: its method.
        path: its path below the base URL, with names of what is known by then in braces.
        request: further arguments of the request.
    """

    id: str
    area: str
    operation: str
    method: str
    path: str
    request: Mapping[str, Any] = {}


READS = (
    Step("list-jobs", "answers", "list_jobs", "GET", "/fine_tuning/jobs?limit=2"),
    Step("list-files", "answers", "list_files", "GET", "/files?limit=2"),
    Step("list-models", "answers", "list_models", "GET", "/models"),
    Step("unknown-job", "refusals", "retrieve_job", "GET", f"/fine_tuning/jobs/{JOB}"),
    Step("unknown-job-events", "refusals", "list_job_events", "GET", f"/fine_tuning/jobs/{JOB}/events"),
    Step("unknown-job-checkpoints", "refusals", "list_job_checkpoints", "GET", f"/fine_tuning/jobs/{JOB}/checkpoints"),
    Step("unknown-job-cancel", "refusals", "cancel_job", "POST", f"/fine_tuning/jobs/{JOB}/cancel"),
    Step("unknown-job-pause", "refusals", "pause_job", "POST", f"/fine_tuning/jobs/{JOB}/pause"),
    Step("unknown-job-resume", "refusals", "resume_job", "POST", f"/fine_tuning/jobs/{JOB}/resume"),
    Step("unknown-file", "refusals", "retrieve_file", "GET", f"/files/{FILE}"),
    Step("unknown-file-content", "refusals", "download_file", "GET", f"/files/{FILE}/content"),
    Step("unknown-file-delete", "refusals", "delete_file", "DELETE", f"/files/{FILE}"),
    Step("unknown-model", "refusals", "retrieve_model", "GET", f"/models/{MODEL}"),
    Step("limit-no-number", "refusals", "list_jobs", "GET", "/fine_tuning/jobs?limit=many"),
    Step("unknown-url", "refusals", "", "GET", "/fine_tuning/no_such_collection"),
    Step("no-key", "refusals", "retrieve_job", "GET", f"/fine_tuning/jobs/{JOB}", {"without_key": True}),
)
FILE_STEPS = (
    Step("upload-file", "answers", "upload_file", "POST", "/files"),
    Step("retrieve-file", "answers", "retrieve_file", "GET", "/files/{file}"),
    Step("download-file", "answers", "download_file", "GET", "/files/{file}/content"),
)
JOB_STEPS = (
    Step("create-job", "answers", "create_job", "POST", "/fine_tuning/jobs"),
    Step("retrieve-new-job", "answers", "retrieve_job", "GET", "/fine_tuning/jobs/{job}"),
)
BAD_JOBS = (
    Step("create-without-model", "refusals", "create_job", "POST", "/fine_tuning/jobs"),
    Step("create-with-unknown-file", "refusals", "create_job", "POST", "/fine_tuning/jobs"),
    Step("create-with-unknown-model", "refusals", "create_job", "POST", "/fine_tuning/jobs"),
    Step("create-with-broken-json", "refusals", "", "POST", "/fine_tuning/jobs"),
)
ENDED_STEPS = (
    Step("retrieve-ended-job", "answers", "retrieve_job", "GET", "/fine_tuning/jobs/{job}"),
    Step("retrieve-again", "answers", "retrieve_job", "GET", "/fine_tuning/jobs/{job}"),
    Step("list-events", "answers", "list_job_events", "GET", "/fine_tuning/jobs/{job}/events?limit=100"),
    Step("events-page-1", "answers", "list_job_events", "GET", "/fine_tuning/jobs/{job}/events?limit=2"),
    Step("events-page-2", "answers", "list_job_events", "GET", "/fine_tuning/jobs/{job}/events?limit=2&after={event}"),
    Step("list-checkpoints", "answers", "list_job_checkpoints", "GET", "/fine_tuning/jobs/{job}/checkpoints"),
    Step("download-result", "answers", "download_file", "GET", "/files/{result}/content"),
    Step("cancel-ended-job", "refusals", "cancel_job", "POST", "/fine_tuning/jobs/{job}/cancel"),
    Step("retrieve-after-refusal", "answers", "retrieve_job", "GET", "/fine_tuning/jobs/{job}"),
)
SECOND_JOB = (
    Step("create-second-job", "answers", "create_job", "POST", "/fine_tuning/jobs"),
    Step("jobs-page-1", "answers", "list_jobs", "GET", "/fine_tuning/jobs?limit=1"),
    Step("jobs-page-2", "answers", "list_jobs", "GET", "/fine_tuning/jobs?limit=1&after={second}"),
    Step("cancel-job", "answers", "cancel_job", "POST", "/fine_tuning/jobs/{second}/cancel"),
    Step("retrieve-cancelled-job", "answers", "retrieve_job", "GET", "/fine_tuning/jobs/{second}"),
)
LAST_STEPS = (
    Step("delete-file", "answers", "delete_file", "DELETE", "/files/{file}"),
    Step("delete-file-again", "refusals", "delete_file", "DELETE", "/files/{file}"),
    Step("retrieve-deleted-file", "refusals", "retrieve_file", "GET", "/files/{file}"),
)
STEPS = (*READS, *FILE_STEPS, *JOB_STEPS, *BAD_JOBS, *ENDED_STEPS, *SECOND_JOB, *LAST_STEPS)


@dataclass
class Session:
    """The answers of one server.

    Args:
        target: the server.
        model: the model to train.
    """

    target: Target
    model: str
    answers: dict[str, SeenAnswer] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)

    def run(self) -> Session:
        """Send all requests that the budget allows; return this session."""
        self._send(READS)
        if not self.target.may_create:
            self._skip((*FILE_STEPS, *JOB_STEPS, *BAD_JOBS, *ENDED_STEPS, *SECOND_JOB, *LAST_STEPS), "no budget")
            return self
        files = {"file": ("conform.jsonl", TRAINING_FILE, "application/jsonl")}
        self._send(FILE_STEPS, {"data": {"purpose": "fine-tune"}, "files": files})
        try:
            self._train()
        finally:  # what was created is removed, whatever has come of it
            self._send(LAST_STEPS)
        return self

    def _train(self) -> None:
        good = {"model": self.model, "training_file": self.known.get("file", FILE)}
        self._send(JOB_STEPS, {"json": good})
        bad: tuple[dict[str, Any], ...] = (
            {"json": {"training_file": good["training_file"]}},
            {"json": {**good, "training_file": FILE}},
            {"json": {**good, "model": MODEL}},
            {"content": b'{"model": ', "headers": {"content-type": "application/json"}},
        )
        for step, request in zip(BAD_JOBS, bad, strict=True):
            self._send([step], request)
        if "job" in self.known and self.target.wait(self.known["job"]):
            self._send(ENDED_STEPS)
        else:
            self._skip(ENDED_STEPS, "no job has ended in time")
        self._send(SECOND_JOB, {"json": good})
        self._cancel_rest()

    def _cancel_rest(self) -> None:
        """Cancel the jobs that should not have been created, and the one that did not end."""
        accepted = [self.answers[step.id].members.get("id") for step in BAD_JOBS if step.id in self.answers]
        unended = self.known.get("job") if ENDED_STEPS[0].id in self.skipped else None
        for job in (*accepted, unended):
            if isinstance(job, str) and job:
                self.target.ask("POST", f"/fine_tuning/jobs/{quote(job, safe='')}/cancel")

    def _send(self, steps: Any, creation: Mapping[str, Any] | None = None) -> None:
        """Send requests; *creation* is the content of those that create."""
        for step in steps:
            try:
                path = step.path.format(**{name: quote(value, safe="") for name, value in self.known.items()})
                request = creation if creation and step.method == "POST" and step.path.count("{") == 0 else step.request
                self.answers[step.id] = self.target.ask(step.method, path, **dict(request or {}))
            except BudgetError:
                self.skipped[step.id] = "no budget"
            except KeyError as name:
                self.skipped[step.id] = f"there is no {name.args[0]} to ask for"
            for key, of_step, read in _LEARNT:
                if of_step == step.id and step.id in self.answers:
                    self._learn(key, read(self.answers[step.id]))

    def _learn(self, key: str, value: object) -> None:
        if isinstance(value, str) and value.strip("."):  # dots alone would lead to another path
            self.known[key] = value

    def _skip(self, steps: Any, reason: str) -> None:
        self.skipped |= {step.id: reason for step in steps}


def _last_id(answer: SeenAnswer) -> object:
    return answer.items[-1].get("id") if answer.items else None


def _first_result(answer: SeenAnswer) -> object:
    results = answer.members.get("result_files")
    return results[0] if isinstance(results, list) and results else None


_LEARNT: tuple[tuple[str, str, Callable[[SeenAnswer], object]], ...] = (
    ("file", "upload-file", lambda answer: answer.members.get("id")),
    ("job", "create-job", lambda answer: answer.members.get("id")),
    ("second", "create-second-job", lambda answer: answer.members.get("id")),
    ("result", "retrieve-ended-job", _first_result),
    ("event", "events-page-1", _last_id),
)
