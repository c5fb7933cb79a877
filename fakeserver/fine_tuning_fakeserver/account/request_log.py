"""The request log: requests and their answers, keys redacted and bodies capped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, NamedTuple

import orjson

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.secret_rules import REDACTED, known_spellings, redact_known, redact_text, secrets_in

from ..clock import Pace
from .forking import renew_after_fork

ENTRIES_AT_MOST = 1000
FAILED_ASSERTIONS_AT_MOST = 20
BODY_BYTES_AT_MOST = 64 * 1024
SECRET_AT_LEAST = 4
"""A text that is shorter is no secret, and is found everywhere."""


@dataclass(slots=True)
class LogEntry:
    """One request with its answer.

    Args:
        number: its place among the account's requests, from 1.
        at: when it was answered, in virtual Unix seconds.
        operation: its name; None if the route is unknown.
        method: the HTTP method.
        path: the path, as the API has it.
        query: the query string, secrets redacted.
        raw_headers: the request's headers, secrets redacted.
        body: as it came, for assertions; cut at `BODY_BYTES_AT_MOST`.
        status: of the answer that was sent; 0 where a fault left the client without one.
        answer: the body that was sent, cut at `BODY_BYTES_AT_MOST`.
        form: the fields of a form, cut at `BODY_BYTES_AT_MOST` in all, and its file's name and size; None for no form.
        ids: the parameters in the path.
        created_id: the name of the id that the operation creates, such as ``job_id``; None if it creates none.
        begun_at: when the request came, in virtual Unix seconds; answering may move time.
        timing: real time, time slept and pace when it was answered.
        retry_after_s: the answer's Retry-After, in seconds.
        fault: the kind of the fault that hit it.
        took_effect: whether the operation was carried out, whatever a fault made of the answer.
        raw_path: the path as it was sent: not decoded, and where the dialect has it.
        caller: the connection it came by, in process the thread and task: requests of one caller are in sequence.
        head: how many records the account had when it was answered.
    """

    number: int
    at: float
    operation: str | None
    method: str
    path: str
    query: str
    raw_headers: Sequence[tuple[bytes, bytes]]
    body: bytes = field(repr=False)
    status: int
    answer: bytes = field(repr=False)
    form: Mapping[str, Any] | None = field(default=None, repr=False)
    ids: Mapping[str, str] = field(default_factory=dict)
    created_id: str | None = None
    begun_at: float = 0.0
    timing: TimingSample | None = None
    retry_after_s: float | None = None
    fault: str | None = None
    took_effect: bool = False
    raw_path: bytes = b""
    caller: str = ""
    head: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all of the body, or of the form's fields, was kept."""
        return max(len(self.body), _form_length(self.form or {})) < BODY_BYTES_AT_MOST

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, names in lower case, secrets redacted."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def secrets(self) -> frozenset[str]:
        """The values in the body under names such as ``api_key``."""
        return named_secrets(json_or_none(self.body) if self.form is None else self.form)

    def redact(self, text: str) -> str:
        """Return *text*, which tells of the request, without secrets."""
        return redact_text(text, known_spellings(self.secrets))

    def as_json(self, known: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the entry as the control API shows it, without *known* spellings of secrets; by default, its own."""
        if known is None:
            known = known_spellings(self.secrets)
        return {
            "number": self.number,
            "at": self.at,
            "operation": self.operation,
            "method": self.method,
            "path": redact_known(self.path, known),
            "query": self.query,
            "headers": self.headers,
            "body": redact_text(self.body.decode(errors="replace"), known),
            "status": self.status,
            "answer": redact_known(self.answer.decode(errors="replace"), known),
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


@dataclass(frozen=True, slots=True)
class FailedAssertion:
    """An assertion about the requests that did not hold.

    Args:
        text: what was expected, and what has happened.
        request: the number of the request that came nearest to it; None if none did.
        problems: why that one does not match, a line each.
    """

    text: str
    request: int | None = None
    problems: tuple[str, ...] = ()

    def redacted(self, known: Iterable[str]) -> FailedAssertion:
        """Return it without secrets, by value those whose spellings are *known*."""
        text, *problems = (redact_text(line, known) for line in (self.text, *self.problems))
        return FailedAssertion(text, self.request, tuple(problems))


@dataclass(frozen=True, slots=True)
class StoredLog:
    """What a request log holds, at one moment.

    Args:
        entries: the entries, by number.
        count: how many requests have come in.
        forgotten: how many of them are not among the entries.
        slept_s: virtual seconds slept.
        errors_read_to: the number of the last request whose usage errors have been taken.
        notes: usage errors that no answer shows.
        failed_assertions: the newest assertions that did not hold.
    """

    entries: Sequence[LogEntry] = ()
    count: int = 0
    forgotten: int = 0
    slept_s: float = 0.0
    errors_read_to: int = 0
    notes: Sequence[str] = ()
    failed_assertions: Sequence[FailedAssertion] = ()


class RequestLog:
    """The last `ENTRIES_AT_MOST` requests, and how far usage errors have been read.

    Attributes:
        slept_s: virtual seconds slept through `FakeFineTuning.sleep`.
        errors_read_to: the number of the last request whose usage errors have been taken.
    """

    def __init__(self) -> None:
        self.renew_locks()
        renew_after_fork(self)
        self.clear()

    def renew_locks(self) -> None:
        """Replace the lock, in a forked child."""
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything, and count from 0."""
        with self._lock:
            self._count = self._forgotten = self.errors_read_to = self._completed = 0
            self.slept_s = 0.0
            self._entries: deque[LogEntry] = deque(maxlen=ENTRIES_AT_MOST)
            self._notes: dict[str, None] = {}
            self._failed_assertions: deque[FailedAssertion] = deque(maxlen=FAILED_ASSERTIONS_AT_MOST)

    @property
    def count(self) -> int:
        """How many requests have come in."""
        return self._count

    @property
    def completed(self) -> int:
        """How many requests were answered since the log was made or cleared."""
        return self._completed

    @property
    def forgotten(self) -> int:
        """How many requests are not kept any more."""
        return self._forgotten

    def store(self) -> StoredLog:
        """Return what is in the log; the entries are copies."""
        entries = [replace(entry) for entry in self.find()]
        with self._lock:
            notes, failed = list(self._notes), list(self._failed_assertions)
            return StoredLog(entries, self._count, self._forgotten, self.slept_s, self.errors_read_to, notes, failed)

    @classmethod
    def restored(cls, stored: StoredLog) -> RequestLog:
        """Return a log that goes on from what was stored."""
        log = cls()
        log._count, log._forgotten = stored.count, stored.forgotten
        log._entries.extend(replace(entry) for entry in stored.entries)
        log._go_on_from(stored)
        return log

    def _go_on_from(self, stored: StoredLog) -> None:
        """Take over what is known about the entries."""
        self.slept_s, self.errors_read_to = stored.slept_s, stored.errors_read_to
        self._notes = dict.fromkeys(stored.notes)
        self._failed_assertions.extend(stored.failed_assertions)

    def next_number(self) -> int:
        """Count a request that has come in; return its number."""
        with self._lock:
            self._count += 1
            return self._count

    def request_ordinal(self, entry: LogEntry) -> int | str:
        """Return what the id of an entry's request is derived from."""
        return entry.number

    def add(self, entry: LogEntry) -> None:
        """Keep an entry, and forget the oldest if there are too many."""
        with self._lock:
            self._completed += entry.timing is not None
            self._forgotten += len(self._entries) == ENTRIES_AT_MOST
            self._entries.append(entry)

    def update(self, entry: LogEntry) -> None:
        """Keep what was added to an entry that is in the log: its answer."""
        with self._lock:
            self._completed += 1

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

    def add_failed_assertion(self, failed: FailedAssertion) -> None:
        """Keep an assertion that did not hold, as the newest."""
        with self._lock:
            if failed in self._failed_assertions:  # one that is tried again until it holds
                self._failed_assertions.remove(failed)
            self._failed_assertions.append(failed)

    @property
    def failed_assertions(self) -> list[FailedAssertion]:
        """The newest `FAILED_ASSERTIONS_AT_MOST` assertions that did not hold, oldest first."""
        with self._lock:
            return list(self._failed_assertions)

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


def secrets_of(entries: Iterable[LogEntry]) -> list[str]:
    """Return all spellings of the secrets in the bodies of *entries*."""
    return known_spellings(secret for entry in entries for secret in entry.secrets)


def named_secrets(members: Any) -> frozenset[str]:
    """Return the values of a JSON value that stand under names such as ``api_key``, and are never shown."""
    return frozenset(text for text in secrets_in(members) if len(text) >= SECRET_AT_LEAST and text != REDACTED)


def json_or_none(raw: bytes) -> Any:
    """Parse JSON; return None where it is not JSON."""
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None


def cap_body(body: bytes) -> bytes:
    """Return a copy of at most `BODY_BYTES_AT_MOST` of *body*; one that orjson has written takes 4 kB or more."""
    return bytes(memoryview(body)[:BODY_BYTES_AT_MOST])


def cap_form(form: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *form* with names and texts of at most `BODY_BYTES_AT_MOST` characters in all, the file's name first."""
    if _form_length(form) <= BODY_BYTES_AT_MOST:
        return form
    capped: dict[str, Any] = {}
    left = BODY_BYTES_AT_MOST
    for name, value in sorted(form.items(), key=lambda field: field[0] != "filename"):
        if isinstance(value, str) and left > 0:
            capped[name[:left]] = value[: max(left - len(name), 0)]
            left -= len(name) + len(value)
        elif not isinstance(value, str):
            capped[name] = value
    return capped


def _form_length(form: Mapping[str, Any]) -> int:
    return sum(len(name) + len(value) for name, value in form.items() if isinstance(value, str))
