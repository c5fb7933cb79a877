"""Recorded calls: entries of the request log, parsed for assertions, findings and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any
from urllib.parse import parse_qsl

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.secret_rules import known_spellings, redact_known, redact_text
from fine_tuning_formats.text import printable

from .request_log import LogEntry, TimingSample, json_or_none, named_secrets

LINE_AT_MOST = 160
"""How many characters a call has in one line of text."""

NUMBERS_AT_MOST = 6

_UNANSWERED = TimingSample(nan, 0.0, "manual")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the fake; from `FakeFineTuning.calls`.

    Args:
        number: its place among the account's requests, from 1.
        operation: the name of the operation, such as ``create_job``; None if the route is unknown.
        method: the HTTP method.
        path: the path, as the API has it: under ``/v1``, and decoded but for a slash within a name, ``%2F``.
        ids: the ids in the path, and the id that an accepted call made: ``job_id``, ``file_id``, ``model_id``, …
        options: the query's and the JSON body's members, or the fields of a form with its file's ``filename`` and
            ``bytes``. ``limit`` is a number, and ``metadata[k]=v`` are one mapping ``metadata``.
        status: of the answer that was sent; 0 where a fault left the client without one.
        accepted: whether the operation was carried out. The status does not tell: a fault may have replaced the
            answer, or have answered instead of the operation.
        answer: the answer's JSON; None where it is not JSON, or too long to have been kept whole.
        at: when it was answered, in virtual Unix seconds.
        begun_at: when it came, in virtual Unix seconds.
        sent: method, path, query and body; two calls with the same are the same request.
        user_agent: the User-Agent header, or nothing.
        retry: how often OpenAI's SDK had sent it before.
        retry_after_s: the Retry-After of a 429.
        timing: real time, time slept and pace when it was answered.
        fault: the kind of the fault that hit it.
        whole: whether the body was kept whole; its options are empty where it was not.
        caller: the connection it came by, in process the thread and task: calls of one caller are in sequence.
    """

    number: int
    operation: str | None
    method: str
    path: str
    ids: Mapping[str, str]
    options: Mapping[str, Any]
    status: int
    accepted: bool
    answer: Any
    at: float
    begun_at: float
    sent: tuple[str, str, str, bytes]
    user_agent: str = ""
    retry: int = 0
    retry_after_s: float | None = None
    timing: TimingSample = _UNANSWERED
    fault: str | None = None
    whole: bool = True
    caller: str = ""

    @property
    def job_id(self) -> str | None:
        """The job in its path, or the one it made."""
        return self.ids.get("job_id")

    @property
    def file_id(self) -> str | None:
        """The file in its path, or the one it made."""
        return self.ids.get("file_id")

    @property
    def model_id(self) -> str | None:
        """The model in its path."""
        return self.ids.get("model_id")

    @property
    def answered(self) -> bool:
        """Whether the client received the response to an accepted call."""
        return self.accepted and 200 <= self.status < 300 and self.fault in (None, "delay")

    @property
    def secrets(self) -> frozenset[str]:
        """The values under names such as ``api_key``, which are never shown."""
        return named_secrets(self.options)

    def __repr__(self) -> str:
        """Return what `str` says: a failed assertion shows it where keys must not be shown."""
        return f"<Call {str(self).strip()}>"

    def __str__(self) -> str:
        """Return one line: number, operation, ids and options, status; no keys, no control characters."""
        path, known = self.path.replace("%2F", "/"), known_spellings(self.secrets)
        named = {**{name: value for name, value in self.ids.items() if value in path}, **self.options}
        pairs = []
        for name, value in named.items():
            try:
                text = _cut(redact_text(repr(value), known), LINE_AT_MOST // 2)
            except RecursionError:  # JSON may be nested deeper than Python prints
                text = "…"
            pairs.append(f"{name}={text}")
        what = " ".join([self.operation or f"{self.method} {redact_known(self.path, known)}", *pairs])
        came = str(self.status) if self.fault is None else f"{self.status or 'no answer'} by fault {self.fault!r}"
        made = [value for value in self.ids.values() if value not in path]
        error = self.answer.get("error") if isinstance(self.answer, dict) and self.status >= 400 else None
        message = error.get("message") if isinstance(error, dict) else None
        words = [_cut(redact_text(message, known), LINE_AT_MOST // 2)] if isinstance(message, str) else []
        end = printable(" ".join([f" → {came}", *made, *words]))
        return f"{self.number:>4}  {_cut(printable(what), LINE_AT_MOST - len(end))}{end}"


def recorded_call(entry: LogEntry) -> Call:
    """Parse an entry of the request log."""
    answer, headers = json_or_none(entry.answer), entry.headers
    retries = headers.get("x-stainless-retry-count", "")
    ids = call_ids(entry.ids)
    created = entry.created_id
    if created and entry.took_effect and isinstance(answer, dict) and isinstance(answer.get("id"), str):
        ids[created] = answer["id"]
    return Call(
        number=entry.number,
        operation=entry.operation,
        method=entry.method,
        path=entry.path,
        ids=ids,
        options=request_options(entry.query, entry.body, entry.form),
        status=entry.status,
        accepted=entry.took_effect,
        answer=answer,
        at=entry.at,
        begun_at=entry.begun_at,
        sent=(entry.method, entry.path, entry.query, entry.body or repr(entry.form).encode()),
        user_agent=headers.get("user-agent", ""),
        retry=int(retries) if retries.isdecimal() and len(retries) < 9 else 0,
        retry_after_s=entry.retry_after_s,
        timing=entry.timing or _UNANSWERED,
        fault=entry.fault,
        whole=entry.is_whole,
        caller=entry.caller,
    )


def call_ids(path_params: Mapping[str, str]) -> dict[str, str]:
    """Return the parts of a path by what they identify: ``job_id``, ``file_id``, ``model_id``, …"""
    return {"model_id" if name == "model" else name: value for name, value in path_params.items()}


def request_options(query: str, body: bytes, form: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the members of a query and of a JSON body, or the fields of a form, as a client's arguments had them."""
    pairs = parse_qsl(query, keep_blank_values=True)
    options: dict[str, Any] = {name: value for name, value in pairs if not name.startswith("metadata")}
    if (limit := str(options.get("limit", ""))).isdecimal() and len(limit) < 16:
        options["limit"] = int(limit)
    if ("metadata", "null") in pairs:
        options["metadata"] = None
    elif metadata := {name[9:-1]: value for name, value in pairs if name.startswith("metadata[") and name[-1] == "]"}:
        options["metadata"] = metadata
    members = json_or_none(body) if form is None else form
    return {**options, **members} if isinstance(members, Mapping) else options


def numbered(numbers: Sequence[int]) -> str:
    """Return request numbers in words; of many, only the count and the range."""
    if len(numbers) == 1:
        return f"request {numbers[0]}"
    if len(numbers) > NUMBERS_AT_MOST:
        return f"{len(numbers)} requests, {numbers[0]} to {numbers[-1]}"
    return f"requests {', '.join(map(str, numbers))}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"
