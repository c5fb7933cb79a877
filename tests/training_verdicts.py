"""The fake's verdict on a training file, and the check that the client's offline check agrees."""

from __future__ import annotations

import io
import json
import re
from typing import Any, NamedTuple

from fine_tuning_client import check_training_file
from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, GRADER, Http

NAME = "train.jsonl"
METHODS: list[tuple[Any, str]] = [
    ("supervised", "gpt-4o-mini"),
    ("supervised", "babbage-002"),
    ("dpo", "gpt-4.1-nano"),
    ("reinforcement", "o4-mini"),
]

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ODD_LINES = [
    *(b"", b" \t\r", b"\x0b", b"[]", b"5", b"null", b"{", b"{} {}", b"{}\r", b"{'a': 1}", b'{"a": 01}', b'{"a": 1,}'),
    *(b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": "\t"}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"\xe6\x9d{}"),
    *(b'{"messages": "\xff"}', b'{"a": "\\ud83d"}', b'{"a": "\\ude00\\ud83d"}', b'{"\\ud83d\\ude00": "\\\\ud83d"}'),
]
"""Lines that are not valid rows, or barely: blank, not JSON, not objects, not UTF-8, half a character."""

NUMBERS = ("n_epochs", "batch_size", "learning_rate_multiplier", "trained_tokens")
"""What a report foretells of a job."""


class Verdict(NamedTuple):
    """The fake's verdict on a file; without a message it was trained on."""

    stage: str
    code: str | None
    message: str | None
    numbers: dict[str, Any]


def verdict(content: bytes, filename: str, method: str, model: str, n_epochs: Any) -> Verdict:
    """Upload a file and start a job on it."""
    http = Http(FakeFineTuning(pace="instant", start=BORN), is_described=False)
    uploaded = http.upload(content, filename)
    answer = json.loads(uploaded.body)
    if uploaded.status != 200:
        return Verdict("upload", answer["error"]["code"], answer["error"]["message"], {})
    told: dict[str, Any] = {"hyperparameters": {"n_epochs": n_epochs}}
    told |= {"grader": GRADER} if method == "reinforcement" else {}
    body = {"model": model, "method": {"type": method, method: told}, "training_file": answer["id"]}
    job = http.json("GET", f"/fine_tuning/jobs/{http.job(**body)['id']}")
    message = (job["error"] or {}).get("message")
    message = message and message.replace(f"Input file {answer['id']} ", f"Input file {filename} ")
    numbers = {**job["method"][method]["hyperparameters"], "trained_tokens": job["trained_tokens"]}
    return Verdict("job", (job["error"] or {}).get("code"), message, numbers)


class Named(io.BytesIO):
    """An open file with a name."""

    name = NAME


def agree(content: bytes, way: tuple[Any, str], filename: str = NAME, n_epochs: Any = "auto") -> None:
    """Check that the offline check agrees with the fake about a file."""
    method, model = way
    file = Named(content)
    file.name = filename
    said = verdict(content, filename, method, model, n_epochs)

    report = check_training_file(file, method=method, model=model, n_epochs=n_epochs)

    assert report.ok == (said.message is None)
    if report.ok:
        assert {name: getattr(report, name) for name in NUMBERS}.items() <= said.numbers.items()
    else:
        first = report.problems[0]
        assert (first.stage, first.code, first.message) == (said.stage, said.code, said.message)
        assert first.line == line_of(said, content)


def line_of(said: Verdict, content: bytes) -> int | None:
    """The line that the fake's message refers to, by line or by example number."""
    filled = [number for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if found := re.search(r"\b(Line|Example) (\d+)", said.message or ""):
        number = int(found[2])
        return number if found[1] == "Line" else filled[number - 1]
    return filled[0] if filled and said.code == "invalid_training_file" else None
