"""The request journal: what came in and what went out, keys redacted, bodies capped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..clock import Pace
from .multipart import FILE_PARTS, UploadForm

ENTRIES_AT_MOST = 1000
BODY_BYTES_AT_MOST = 64 * 1024

_SECRET = frozenset({b"authorization", b"api-key", b"cookie", b"proxy-authorization", b"x-api-key"})


@dataclass(slots=True)
class LogEntry:
    """One request with its answer. `at` is virtual Unix seconds; bodies are cut at `BODY_BYTES_AT_MOST`.

    `status` and `answer` are what was sent: 0, and nothing, where a fault left the client without an answer.

    The members with a default are for findings, and for making the request again.
    """

    number: int
    at: float
    operation: str | None
    method: str
    path: str
    query: str
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    status: int
    answer: bytes
    form: Mapping[str, Any] | None = None
    """Of a form its fields, and of its file the name and the size; None where the body is no form."""
    begun_at: float = 0.0
    """When the request came, in virtual Unix seconds; `at` is when it was answered, and answering may move time."""
    timing: TimingSample | None = None
    """None until it is answered."""
    retry_after_s: float | None = None
    """What the answer's Retry-After said, where it is a number of seconds."""
    fault: str | None = None
    """The kind of the fault that hit it."""
    took_effect: bool = False
    """Whether the fake did what was asked, whatever a fault made of the answer."""
    raw_path: bytes = b""
    """The path as it was sent: not decoded, and where the dialect has it."""
    caller: str = ""
    """The connection, in process the thread and asyncio task: requests of one caller came one after another."""

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, names in lower case, secrets redacted."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    def as_json(self) -> dict[str, Any]:
        """The exchange as the control API shows it."""
        return {
            "number": self.number,
            "at": self.at,
            "operation": self.operation,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.body.decode(errors="replace"),
            "status": self.status,
            "answer": self.answer.decode(errors="replace"),
            "fault": self.fault,
        }


class TimingSample(NamedTuple):
    """The time when a request is answered: differences between two samples are pauses.

    Args:
        real_s: real seconds since some moment.
        slept_s: virtual seconds slept through `FakeFineTuning.sleep` until now, as our client does under the fixture.
        pace: the account's pace.
    """

    real_s: float
    slept_s: float
    pace: Pace


class RequestLog:
    """The last `ENTRIES_AT_MOST` exchanges, newest last."""

    def __init__(self) -> None:
        self.count = 0
        self.slept_s = 0.0
        self.forgotten = 0
        """How many exchanges there were that are not kept any more."""
        self._entries: deque[LogEntry] = deque(maxlen=ENTRIES_AT_MOST)
        self._notes: dict[str, None] = {}
        self._lock = threading.Lock()

    def next_number(self) -> int:
        """The number of a request that has come in."""
        with self._lock:
            self.count += 1
            return self.count

    def add(self, exchange: LogEntry) -> None:
        """Keep an exchange."""
        with self._lock:
            self.forgotten += len(self._entries) == ENTRIES_AT_MOST
            self._entries.append(exchange)

    def note(self, text: str) -> None:
        """Keep what the fake's own user did wrong, where no answer tells it; once, however often it is said."""
        with self._lock:
            self._notes[text] = None

    @property
    def notes(self) -> list[str]:
        """What was noted, oldest first."""
        with self._lock:
            return list(self._notes)

    def take_notes(self) -> list[str]:
        """The same, and forget it."""
        with self._lock:
            notes, self._notes = list(self._notes), {}
            return notes

    def clear(self) -> None:
        """Forget all, and count from 0."""
        with self._lock:
            self._notes = {}
            self.count = self.forgotten = 0
            self._entries.clear()

    def find(self, operation: str | None = None, status: int | None = None, limit: int | None = None) -> list[LogEntry]:
        """The newest *limit* exchanges of an operation, with a status; newest last."""
        with self._lock:
            entries = sorted(self._entries, key=lambda each: each.number)  # they were added as they were answered
        found = [each for each in entries if operation in (None, each.operation) and status in (None, each.status)]
        return found if limit is None else found[max(len(found) - limit, 0) :]


def form_fields(form: UploadForm | None) -> dict[str, Any] | None:
    """What is kept of a form: its texts by name, and of its file ``filename`` and ``bytes``, never the content."""
    if form is None:
        return None
    fields: dict[str, Any] = {}
    for name, part in form.parts.items():
        if part.filename is not None:
            fields |= {"filename": part.filename, "bytes": part.content.size}
        elif name in FILE_PARTS:
            fields["bytes"] = part.content.size
        else:
            fields[name] = form.text(name)
    return fields


def retry_after_seconds(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    """The seconds that an answer asks its client to wait, to the millisecond if it says; None for none, or a date."""
    known = dict(headers)
    for name, unit_s in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        if (value := known.get(name, b"")).replace(b".", b"", 1).isdigit():
            return float(value) * unit_s
    return None


def redact_headers(headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """*headers* without what should not be seen again."""
    return [header if header[0] not in _SECRET else (header[0], b"[redacted]") for header in headers]


def cap_body(body: bytes) -> bytes:
    """At most `BODY_BYTES_AT_MOST` of *body*."""
    return body[:BODY_BYTES_AT_MOST]
