"""Send nearly valid requests to `serve` over a socket; report 5xx, slow responses and growth.

``python tests/wire_fuzzing.py 600`` sends them for ten minutes and prints figures and failures.
"""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlsplit

from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.operation import Operation
from fine_tuning_fakeserver.web.operations import OPERATIONS
from serve_process import LONGEST_S, started
from strategies import ROWS

SLOWEST_S = 2.0
"""No answer may take longer on a quiet machine."""

_GRADER = {"type": "string_check", "name": "g", "operation": "eq", "input": "{{sample.output_text}}", "reference": "a"}
_SIMILARITY = {"type": "text_similarity", "name": "s", "input": "a b", "reference": "b c", "evaluation_metric": "bleu"}
BODIES: Mapping[str, Any] = {
    "create_job": {
        "model": "gpt-4o-mini",
        "training_file": "FILE",
        "suffix": "x",
        "seed": 7,
        "metadata": {"k": "v"},
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": "auto"}}},
        "integrations": [{"type": "wandb", "wandb": {"project": "p", "tags": ["a", "b"]}}],
    },
    "cancel_job": {},
    "pause_job": {},
    "resume_job": {},
    "grant_permissions": {"project_ids": ["proj_a", "proj_b"]},
    "run_grader": {
        "grader": {
            "type": "multi",
            "name": "m",
            "graders": {"a": _GRADER, "b": _SIMILARITY},
            "calculate_output": "a+b",
        },
        "item": {"reference": ["a", {"b": 1}]},
        "model_sample": "a",
    },
    "validate_grader": {"grader": _GRADER},
    "create_upload": {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 10, "mime_type": "text/jsonl"},
    "complete_upload": {"part_ids": ["part_a", "part_b"], "md5": "d41d8cd98f00b204e9800998ecf8427e"},
    "cancel_upload": {},
    "create_chat_completion": {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "temperature": 0.5,
        "stream": True,
    },
    "create_completion": {"model": "babbage-002", "prompt": ["Hi", "Ho"], "max_tokens": 5},
    "POST /_fake/reset": {"seed": 7, "pace": "polls", "plan": {"outcome": "failed"}},
    "PATCH /_fake/clock": {"pace": "polls"},
    "POST /_fake/clock/advance": {"seconds": 60},
    "POST /_fake/clock/sleep": {"seconds": 5},
    "PUT /_fake/dialect": {"dialect": "openai-spec"},
    "PUT /_fake/plan": {"outcome": "failed", "error": "server_error", "queued": 10},
    "POST /_fake/plans": {"when": {"suffix": "x", "metadata": {"a": "b"}}, "outcome": "failed", "queued": 10},
    "POST /_fake/plan/next": {"outcome": "failed", "fail_at": 3},
    "PUT /_fake/jobs/{job_id}/plan": {"fail_at_step": 3, "step_duration": "2s"},
    "POST /_fake/files": {"filename": "a.jsonl", "content": ROWS},
    "POST /_fake/jobs": {"training_file": "FILE", "status": "running", "metadata": {"a": "b"}},
    "POST /_fake/next": {"kind": "job", "id": "ftjob-next"},
    "POST /_fake/rewind": {"request": 1},
    "POST /_fake/requests/failed_assertions": {
        "text": "job created",
        "request": 1,
        "problems": ["suffix: expected 'a'"],
    },
    "POST /_fake/import": {"no": "zip"},  # the account is never empty here, so even a whole file would be refused
    "PUT /_fake/replies": {"replies": ["a", "b"]},
    "PUT /_fake/graders": {"scores": [0.5, None]},
    "POST /_fake/webhooks": {"url": "http://127.0.0.1:9/hook", "events": ["fine_tuning.job.succeeded"]},
    "POST /_fake/jobs/{job_id}/cancel": {},
    "POST /_fake/jobs/{job_id}/pause": {},
    "POST /_fake/jobs/{job_id}/resume": {},
    "POST /_fake/scripts/{script_number}/strict": {},
    "POST /_fake/webhooks/deliver": {"timeout": 0.01},
    "POST /_fake/scripts": {"responses": {"retrieve_job": ["running", {"status": "failed"}]}, "strict": True},
    "POST /_fake/faults": {"kind": "fail", "status": 503, "on": ["create_job"], "times": 1},
}
"""A sound JSON body for every operation that reads one."""

FORMS: Mapping[str, Mapping[str, Any]] = {
    "upload_file": {"purpose": "fine-tune", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"},
    "add_upload_part": {},
}
"""The sound fields of every form, beside its file."""

QUERIES = ("limit", "after", "order", "purpose", "metadata[k]", "project_id", "operation", "status", "api-version", "x")
CLEANED_UP = (
    *("POST /_fake/reset", "POST /_fake/faults", "POST /_fake/webhooks", "PUT /_fake/plan", "POST /_fake/plans"),
    *("POST /_fake/plan/next", "POST /_fake/scripts"),
)
"""Operations after which the account is reset: a fault answers 500, a key or a script refuses everything else."""


DEEP = {
    f"deep {name} {depth}": opening * depth + b"1" + closing * depth
    for depth in (3, 60, 900, 5000)
    for name, opening, closing in (("lists", b"[", b"]"), ("objects", b'{"a":', b"}"))
}
"""Texts that stand for deep JSON, which `json` itself could not write."""


def strange_value(chance: random.Random) -> Any:
    """Return a value that few schemas allow."""
    return chance.choice(
        (
            *(None, True, 0, -1, 1.5, 2**63, -(2**64), 1e308, "", " ", "\0", "\ud83d\ude00", "\u202eabc", "..", "NaN"),
            *([], {}, [[]], {"": ""}, *DEEP, "9" * 400, "a" * chance.choice((65, 1000, 70_000)), "auto", "{{item.a}}"),
            [1] * chance.choice((2, 2000)),
            {str(number): number for number in range(chance.choice((17, 2000)))},
        )
    )


def mutate(value: Any, chance: random.Random) -> Any:
    """Change one place of a JSON value: replace, leave out, add, or repeat; return the value."""
    places: list[tuple[Any, Any]] = [*_places(value)]
    if not places or chance.random() < 0.1:
        return strange_value(chance)
    container, key = chance.choice(places)
    match chance.randrange(5):
        case 0 if isinstance(container, dict):
            del container[key]
        case 1 if isinstance(container, dict):
            container[chance.choice(("x", "", "id", "expires_after", "a" * 300))] = strange_value(chance)
        case 2:
            container[key] = [container[key]] * chance.choice((1, 3, 300))
        case _:
            container[key] = strange_value(chance)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _places(inner)


@dataclass(slots=True)
class WireFigures:
    """Counts of requests by operation and status, the slowest responses, and each kind of failure once."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    stderr: list[str] = field(default_factory=list)
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)

    def note(self, operation: str, status: int, seconds: float, request: str, answer: bytes) -> None:
        """Count one response."""
        self.requests += 1
        self.statuses[status] += 1
        self.operations[operation] += 1
        self.slowest = sorted([*self.slowest, (seconds, request[:200])], reverse=True)[:5]
        if status >= 500:
            self.failures.setdefault(f"{operation} {status}", f"{request[:2000]}\n{answer[:500]!r}")

    def lines(self) -> Iterator[str]:
        """Yield the figures, for a person."""
        bugs = sum("bug" in line for line in self.stderr)
        yield f"{self.requests} requests to {len(self.operations)} operations, {len(self.failures)} kinds of 5xx"
        yield ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        yield f"lines on stderr: {len(self.stderr)}, of bugs: {bugs}"
        yield f"descriptors {self.before[0]} → {self.after[0]}, resident kB {self.before[1]} → {self.after[1]}"
        yield from (f"{seconds:.3f} s {request}" for seconds, request in self.slowest)
        yield from (f"{name}: {text}" for name, text in self.failures.items())


class WireFuzzer:
    """Sends requests to one server in sequence on one connection."""

    def __init__(self, base_url: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.ahead: list[Operation] = []
        self.netloc = urlsplit(base_url).netloc
        self.connection = http.client.HTTPConnection(self.netloc, timeout=120)
        self.figures = WireFigures()
        self.known: dict[str, list[str]] = {}
        self.set_up()

    def set_up(self) -> None:
        """Reset the account, and add one object of each kind."""
        self.ask("POST", "/_fake/reset", b"{}")
        file = self.ask("POST", "/_fake/files", json.dumps({"content": ROWS}).encode())["id"]
        jobs = [
            self.ask("POST", "/_fake/jobs", json.dumps({"training_file": file, "status": status}).encode())
            for status in ("queued", "running", "paused", "succeeded")
        ]
        upload = self.ask("POST", "/v1/uploads", json.dumps(BODIES["create_upload"]).encode())
        models = [jobs[-1]["fine_tuned_model"], "gpt-4o-mini"]
        self.known = {
            "file_id": [file],
            "job_id": [job["id"] for job in jobs],
            "upload_id": [upload["id"]],
            "model": models,
            "checkpoint": models[:1],
        }

    def ask(self, method: str, path: str, body: bytes) -> Any:
        """Send a request that must succeed; return its JSON."""
        self.connection.request(method, path, body, {"Authorization": "Bearer any", "Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return json.loads(data)

    def step(self) -> None:
        """Send one nearly valid request."""
        if not self.ahead:  # in rounds, so that few requests reach all of them
            self.ahead = self.chance.sample(every := (*OPERATIONS, *CONTROL_OPERATIONS), len(every))
        operation = self.ahead.pop()
        target = self.target(operation)
        body, content_type = self.body(operation)
        headers = {"Authorization": "Bearer any", "Content-Type": content_type}
        if self.chance.random() < 0.02:
            headers["Authorization"] = self.chance.choice(("Bearer", "Basic x", "Bearer " + "k" * 9000))
        shown = f"{operation.method} {target} {content_type} {body!r}"
        begin = time.monotonic()
        try:
            self.connection.request(operation.method, target, body or None, headers)
            answer = self.connection.getresponse()
            data = answer.read()
        except (http.client.HTTPException, OSError) as error:  # the server may close after a refusal
            self.connection.close()
            self.figures.statuses[0] += 1
            if not isinstance(error, http.client.RemoteDisconnected | ConnectionError):
                self.figures.failures.setdefault(type(error).__name__, shown)
            return
        self.figures.note(operation.name, answer.status, time.monotonic() - begin, shown, data)
        if operation.name in CLEANED_UP or self.figures.requests % 500 == 0:
            self.set_up()

    def target(self, operation: Operation) -> str:
        """Return a request target, mostly with existing ids and sometimes with a query."""
        path = operation.path
        for name in operation.path_parameters:
            known = self.known.get(name, [])
            strange = quote(str(strange_value(self.chance))[:3000].encode("utf-8", "replace"), safe="")
            path = path.replace(f"{{{name}}}", self.chance.choice([*known * 4, strange or "x"]))
        if (operation.method == "GET" and self.chance.random() < 0.5) or self.chance.random() < 0.05:
            text = quote(str(strange_value(self.chance))[:3000].encode("utf-8", "replace"))
            path += f"?{quote(self.chance.choice(QUERIES))}={text}"
        return path

    def body(self, operation: Operation) -> tuple[bytes, str]:
        """Return a body with its content type."""
        if operation.name in FORMS:
            return self.form(FORMS[operation.name])
        if operation.name not in BODIES:
            return b"", "application/json"
        text = json.dumps(BODIES[operation.name])
        value = json.loads(text.replace("FILE", self.known["file_id"][0]))
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            value = mutate(value, self.chance)
        raw = json.dumps(value).encode()
        for name, deep in DEEP.items():
            raw = raw.replace(b'"%s"' % name.encode(), deep)
        if self.chance.random() < 0.1 and raw:
            at = self.chance.randrange(len(raw))
            raw = raw[:at] + self.chance.choice((b"", b"\xff", b"\0", b'"', b"{" * 2000)) + raw[at + 1 :]
        return raw, self.chance.choice((*["application/json"] * 9, "text/plain", "application/json; charset=utf-16"))

    def form(self, fields: Mapping[str, Any]) -> tuple[bytes, str]:
        """Return a form with some of its fields or its content type changed."""
        texts = {
            name: value if self.chance.random() < 0.8 else str(strange_value(self.chance))
            for name, value in fields.items()
        }
        if self.chance.random() < 0.2:
            texts[self.chance.choice(("x", "purpose", "expires_after", "expires_after[x]", "file"))] = "1"
        name = self.chance.choice(("a.jsonl", "a.jsonl", "", "..\\x", '"\r\nx', "a" * 400, "\u202e.jsonl"))
        content = self.chance.choice((ROWS.encode(), b"", b"\xff\xfe", b"{}\n" * 500, b"[" * 5000))
        parts = [
            f'--b\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{text}\r\n' for key, text in texts.items()
        ]
        kind = self.chance.choice(("file", "file", "file", "data"))
        head = f'--b\r\nContent-Disposition: form-data; name="{kind}"; filename="{name}"\r\n\r\n'
        body = "".join(parts).encode("utf-8", "replace") + head.encode() + content + b"\r\n--b--\r\n"
        if self.chance.random() < 0.1:
            body = body[: self.chance.randrange(len(body))]
        return body, self.chance.choice((*["multipart/form-data; boundary=b"] * 9, "multipart/form-data"))


def used_resources(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Return a process's open descriptors and resident kB, or zeros without /proc."""
    folder = Path(f"/proc/{process.pid}")
    if not folder.exists():
        return 0, 0
    resident = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return len([*(folder / "fd").iterdir()]), int(resident.split()[1])


def fuzz_server(
    goes_on: Callable[[WireFigures], bool], seed: int = 0, warm_up: int = 100, life_s: float = LONGEST_S
) -> WireFigures:
    """Send requests to a new server while *goes_on*; measure its resources after *warm_up* requests."""
    with started("--quiet", "--port", "0", "--pace", "manual", life_s=life_s) as process:
        assert process.stdout
        assert process.stderr
        url = process.stdout.readline().strip()
        errors: list[str] = []
        Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True).start()
        Thread(target=lambda: [*(process.stdout or ())], daemon=True).start()
        fuzzer = WireFuzzer(url, seed)
        figures = fuzzer.figures
        while goes_on(figures):
            fuzzer.step()
            if figures.requests == warm_up and not figures.before[0]:
                fuzzer.set_up()
                figures.before = used_resources(process)
        fuzzer.set_up()
        figures.after = used_resources(process)
        fuzzer.connection.close()
        process.terminate()
        process.wait()
        figures.stderr = errors
    return figures


def main(seconds: float) -> int:
    """Send requests for *seconds*; print figures and failures."""
    end = time.monotonic() + seconds
    figures = fuzz_server(
        lambda _: time.monotonic() < end, seed=int(time.time()), warm_up=5000, life_s=seconds + LONGEST_S
    )
    print(*figures.lines(), sep="\n")
    return 1 if figures.failures or figures.slowest[0][0] > SLOWEST_S else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
