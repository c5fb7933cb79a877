"""The request log: requests and their answers, keys redacted and bodies capped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..clock import Pace

ENTRIES_AT_MOST = 1000
BODY_BYTES_AT_MOST = 64 * 1024

_SECRET = frozenset({b"authorization", b"api-key", b"cookie", b"proxy-authorization", b"x-api-key"})


@dataclass(slots=True)
class LogEntry:
    """One request with its answer.

    Args:
        number: its place among the account's requests, from 1.
        at: when it was answered, in virtual Unix seconds.
        operation: its name; None where there is no such route.
        method: the HTTP method.
        path: the path, as the API has it.
        query: the query string.
        raw_headers: the request's headers, secrets redacted.
        body: cut at `BODY_BYTES_AT_MOST`.
        status: of the answer that was sent; 0 where a fault left the client without one.
        answer: the body that was sent, cut at `BODY_BYTES_AT_MOST`.
        form: the fields of a form, and the name and size of its file; None where the body is no form.
        ids: the parameters in the path.
        created_id: the name of the id that the operation creates, such as ``job_id``; None if it creates none.
        begun_at: when the request came, in virtual Unix seconds; answering may move time.
        timing: real time, time slept and pace when it was answered.
        retry_after_s: the answer's Retry-After, in seconds.
        fault: the kind of the fault that hit it.
        took_effect: whether the operation was carried out, whatever a fault made of the answer.
        raw_path: the path as it was sent: not decoded, and where the dialect has it.
        caller: the connection it came by, in process the thread and task: requests of one caller are in sequence.
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
    ids: Mapping[str, str] = field(default_factory=dict)
    created_id: str | None = None
    begun_at: float = 0.0
    timing: TimingSample | None = None
    retry_after_s: float | None = None
    fault: str | None = None
    took_effect: bool = False
    raw_path: bytes = b""
    caller: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, names in lower case, secrets redacted."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    def as_json(self) -> dict[str, Any]:
        """Return the entry as the control API shows it."""
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
        waits_are_virtual: whether whatever the code under test waits for passes virtual time, so that real time between
            two requests is no pause.
    """

    real_s: float
    slept_s: float
    pace: Pace
    waits_are_virtual: bool = False


class RequestLog:
    """The last `ENTRIES_AT_MOST` requests, and how far usage errors have been read.

    Attributes:
        count: how many requests have come in.
        slept_s: virtual seconds slept through `FakeFineTuning.sleep`.
        forgotten: how many requests are not kept any more.
        errors_read_to: the number of the last request whose usage errors have been taken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything, and count from 0."""
        with self._lock:
            self.count = self.forgotten = self.errors_read_to = 0
            self.slept_s = 0.0
            self._entries: deque[LogEntry] = deque(maxlen=ENTRIES_AT_MOST)
            self._notes: dict[str, None] = {}

    def next_number(self) -> int:
        """Count a request that has come in; return its number."""
        with self._lock:
            self.count += 1
            return self.count

    def add(self, entry: LogEntry) -> None:
        """Keep an entry, and forget the oldest if there are too many."""
        with self._lock:
            self.forgotten += len(self._entries) == ENTRIES_AT_MOST
            self._entries.append(entry)

    def note(self, text: str) -> None:
        """Keep a usage error that no answer shows; once, however often it occurs."""
        with self._lock:
            self._notes[text] = None

    @property
    def notes(self) -> list[str]:
        """Usage errors that no answer shows, oldest first."""
        with self._lock:
            return list(self._notes)

    def take_notes(self) -> list[str]:
        """Return the notes, and forget them."""
        with self._lock:
            notes, self._notes = list(self._notes), {}
            return notes

    def find(self, operation: str | None = None, status: int | None = None, limit: int | None = None) -> list[LogEntry]:
        """Return the newest *limit* entries of an operation, with a status; newest last."""
        with self._lock:
            entries = sorted(self._entries, key=lambda entry: entry.number)  # they were added as they were answered
        matches = [
            entry for entry in entries if operation in (None, entry.operation) and status in (None, entry.status)
        ]
        return matches if limit is None else matches[max(len(matches) - limit, 0) :]


def retry_after_seconds(headers: Sequence[tuple[bytes, bytes]], times: Iterable[float]) -> float | None:
    """Return how long an answer asks its client to wait, to the millisecond if it says; None for not at all.

    A date is as far away as it is from the latest of *times*, in Unix seconds: whatever clock a client goes by, it may
    not come earlier.
    """
    known = dict(headers)
    for name, unit_s in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        if (value := known.get(name, b"")).replace(b".", b"", 1).isdigit():
            return float(value) * unit_s
    from email.utils import parsedate_to_datetime  # slow to import, seldom needed

    try:
        until = parsedate_to_datetime(known.get(b"retry-after", b"").decode("latin-1")).timestamp()
    except ValueError:
        return None
    return max(until - max(times), 0.0) or None


def redact_headers(headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """Return *headers* with the values of secrets replaced."""
    return [header if header[0] not in _SECRET else (header[0], b"[redacted]") for header in headers]


def cap_body(body: bytes) -> bytes:
    """Return at most `BODY_BYTES_AT_MOST` of *body*."""
    return body[:BODY_BYTES_AT_MOST]
