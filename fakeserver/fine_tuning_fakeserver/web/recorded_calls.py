"""The requests log, read: what was asked, of which thing, with which options, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any
from urllib.parse import quote, quote_plus

from fine_tuning_formats.text import printable

from .operations import BY_NAME, PATH_PATTERNS
from .request_log import BODY_BYTES_AT_MOST, LogEntry, TimingSample
from .request_options import json_of, request_options

LINE_AT_MOST = 160
"""How many characters a call has in one line of text."""

NUMBERS_AT_MOST = 6

SECRET = re.compile(r"(^|[-_.])(api[-_]?key|token|secret|password|authorization)$", re.IGNORECASE)
SECRET_AT_LEAST = 4
"""A text that is shorter is no secret, and is found everywhere."""

_UNANSWERED = TimingSample(nan, 0.0, "manual")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the fake, whoever sent it; from `FakeFineTuning.calls`.

    Args:
        number: its place among the account's requests, from 1.
        operation: the name of what was asked for, such as ``create_job``; None where there is no such route.
        method: the HTTP method.
        path: the path, as the API has it: under ``/v1``, and decoded but for a slash within a name, ``%2F``.
        ids: what the path names, and what an accepted call has made: ``job_id``, ``file_id``, ``model_id``, …
        options: the query's and the JSON body's members, or the fields of a form with its file's ``filename`` and
            ``bytes``. ``limit`` is a number, and ``metadata[k]=v`` are one mapping ``metadata``.
        status: of the answer that was sent; 0 where a fault left the client without one.
        accepted: whether the fake did what was asked. It is not the status that tells: a fault may have made something
            else of the answer, or have answered without asking.
        answer: the answer's JSON; None where it is none, or too long to have been kept whole.
        at: when it was answered, in virtual Unix seconds.
        begun_at: when it came, in virtual Unix seconds.
        sent: method, path, query and body as they came; two calls that have these in common ask for the same.
        user_agent: who sent it; empty where it did not say.
        retry: how often OpenAI's SDK had sent it before.
        retry_after_s: what the answer of a 429 asked for.
        timing: real time, time slept and pace when it was answered.
        fault: the kind of the fault that hit it, if one did.
        whole: whether the body was kept whole; its options are empty where it was not.
        caller: the connection, in process the thread and asyncio task: calls of one caller came one after another.
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
        """The job it is about, or has made; None where it is about none."""
        return self.ids.get("job_id")

    @property
    def file_id(self) -> str | None:
        """The file it is about, or has made; None where it is about none."""
        return self.ids.get("file_id")

    @property
    def model_id(self) -> str | None:
        """The model that its path names; None where it names none."""
        return self.ids.get("model_id")

    @property
    def answered(self) -> bool:
        """Whether the client was told that it was accepted."""
        return self.accepted and 200 <= self.status < 300 and self.fault in (None, "delay")

    @property
    def secrets(self) -> frozenset[str]:
        """What came under a name such as ``api_key``: it is never shown."""
        return frozenset(_secrets(self.options))

    def __str__(self) -> str:
        """One line: number, operation, ids and options, status; without keys, and without control characters."""
        path, secrets = _decoded(self.path), self.secrets
        named = {**{name: value for name, value in self.ids.items() if value in path}, **self.options}
        pairs = (_pair(name, value, secrets) for name, value in named.items())
        what = " ".join([self.operation or f"{self.method} {self.path}", *pairs])
        came = str(self.status) if self.fault is None else f"{self.status or 'no answer'} by fault {self.fault!r}"
        made = [value for value in self.ids.values() if value not in path]
        end = printable(" ".join([f" → {came}", *made, *_option_words(self)]))
        return f"{self.number:>4}  {_cut(printable(what), LINE_AT_MOST - len(end))}{end}"


def recorded_call(exchange: LogEntry) -> Call:
    """What *exchange* was about."""
    answer = json_of(exchange.answer)
    headers = exchange.headers
    return Call(
        number=exchange.number,
        operation=exchange.operation,
        method=exchange.method,
        path=exchange.path,
        ids=_ids(exchange, answer),
        options=request_options(exchange.query, exchange.body, exchange.form),
        status=exchange.status,
        accepted=exchange.took_effect,
        answer=answer,
        at=exchange.at,
        begun_at=exchange.begun_at,
        sent=(exchange.method, exchange.path, exchange.query, exchange.body or repr(exchange.form).encode()),
        user_agent=headers.get("user-agent", ""),
        retry=_count(headers.get("x-stainless-retry-count", "")),
        retry_after_s=exchange.retry_after_s,
        timing=exchange.timing or _UNANSWERED,
        fault=exchange.fault,
        whole=len(exchange.body) < BODY_BYTES_AT_MOST,
        caller=exchange.caller,
    )


def _ids(exchange: LogEntry, answer: Any) -> dict[str, str]:
    if (operation := BY_NAME.get(exchange.operation or "")) is None:
        return {}
    match = PATH_PATTERNS[operation.name].fullmatch(exchange.path)
    ids = {name: _decoded(value) for name, value in match.groupdict().items()} if match else {}
    if operation.made_id and exchange.took_effect and isinstance(answer, dict) and isinstance(answer.get("id"), str):
        ids[operation.made_id] = answer["id"]
    return ids


def _decoded(path: str) -> str:
    """A path, or a part of one, as it reads: only a slash within a name is still encoded."""
    return path.replace("%2F", "/")


def _count(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _pair(name: str, value: Any, secrets: Iterable[str]) -> str:
    try:
        return f"{name}={_cut(redacted(repr(value), secrets), LINE_AT_MOST // 2)}"
    except RecursionError:  # JSON may be nested deeper than Python prints
        return f"{name}=…"


def _option_words(call: Call) -> list[str]:
    """What an answer that refuses says."""
    error = call.answer.get("error") if isinstance(call.answer, dict) and call.status >= 400 else None
    message = error.get("message") if isinstance(error, dict) else None
    return [_cut(redacted(message, call.secrets), LINE_AT_MOST // 2)] if isinstance(message, str) else []


def _secrets(value: Any) -> Iterator[str]:
    """The texts in JSON that are named as a secret is, however deep."""
    left = [value]
    while left:
        members = left.pop()
        pairs = members.items() if isinstance(members, dict) else [("", each) for each in members]
        for name, each in pairs:
            if isinstance(each, str) and len(each) >= SECRET_AT_LEAST and SECRET.search(str(name)):
                yield each
            elif isinstance(each, dict | list):
                left.append(each)


def redacted(text: str, secrets: Iterable[str]) -> str:
    """*text* without *secrets*, as they are or as JSON or an address spells them."""
    for secret in sorted(secrets, key=len, reverse=True):
        for spelt in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            text = text.replace(spelt, "[redacted]")
    return text


def numbered(numbers: Sequence[int]) -> str:
    """Request numbers in words; of many only how many there are, and from where to where."""
    if len(numbers) == 1:
        return f"request {numbers[0]}"
    if len(numbers) > NUMBERS_AT_MOST:
        return f"{len(numbers)} requests, {numbers[0]} to {numbers[-1]}"
    return f"requests {', '.join(map(str, numbers))}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(length - 1, 0)] + "…"
