"""How often the client sends a failing request, by fault and operation, counted in the fake's request log.

`pytest -s tests/test_client_fault_table.py` prints the table as it was measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import isgeneratorfunction
from typing import Any, TypeAlias

import httpx
import pytest

import fine_tuning_client
from fine_tuning_client import APIError, APIResponseError, AsyncFineTuningClient, FineTuningClient, operations
from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, ROWS

pytestmark = pytest.mark.slow

# Requests sent for one call, with two retries allowed. A read may always be repeated, if that can help. A write only
# where it cannot have taken effect: a second job is a second bill.
TABLE = """
fault                     reads  writes  error
connect error                 3       3  APIConnectionError
hung up on                    3       1  APIConnectionError
read timeout                  3       1  APITimeoutError
truncated body                3       1  APIConnectionError
408                           3       1  APIStatusError
409                           1       1  ConflictError
429                           3       3  RateLimitError
429, Retry-After: 2           3       3  RateLimitError
429, Retry-After: 61          1       1  RateLimitError
429, no quota                 3       3  RateLimitError
500                           3       1  InternalServerError
503                           3       1  InternalServerError
503, Retry-After: 2           3       1  InternalServerError
"""

Arm: TypeAlias = Callable[..., object]
FAULTS: Mapping[str, Arm] = {
    "connect error": FakeFineTuning.refuse,
    "hung up on": FakeFineTuning.disconnect,
    "read timeout": partial(FakeFineTuning.delay, seconds=61),
    "truncated body": FakeFineTuning.truncate,
    "408": partial(FakeFineTuning.fail, status=408),
    "409": partial(FakeFineTuning.fail, status=409),
    "429": partial(FakeFineTuning.rate_limit, retry_after=None),
    "429, Retry-After: 2": partial(FakeFineTuning.rate_limit, retry_after=2),
    "429, Retry-After: 61": partial(FakeFineTuning.rate_limit, retry_after=61),
    "429, no quota": partial(FakeFineTuning.fail, status=429, code="insufficient_quota"),
    "500": partial(FakeFineTuning.fail, status=500),
    "503": partial(FakeFineTuning.fail, status=503),
    "503, Retry-After: 2": partial(FakeFineTuning.fail, status=503, retry_after=2),
}
TIMEOUT_S = 60.0

World: TypeAlias = Mapping[str, str]
"""Ids of the objects in the account: a file, a running job, a paused one, and a fine-tuned model."""

READS: Mapping[str, Callable[[World], tuple[Any, ...]]] = {
    "list_jobs": lambda world: (),
    "retrieve_job": lambda world: (world["running"],),
    "list_job_events": lambda world: (world["running"],),
    "list_job_checkpoints": lambda world: (world["running"],),
    "list_files": lambda world: (),
    "retrieve_file": lambda world: (world["file"],),
    "download_file": lambda world: (world["file"],),
    "list_models": lambda world: (),
    "retrieve_model": lambda world: (world["model"],),
}
WRITES: Mapping[str, Callable[[World], tuple[Any, ...]]] = {
    "create_job": lambda world: (world["file"], "gpt-4o-mini"),
    "cancel_job": lambda world: (world["running"],),
    "pause_job": lambda world: (world["running"],),
    "resume_job": lambda world: (world["paused"],),
    "upload_file": lambda world: (ROWS.encode(), "fine-tune", "train.jsonl"),
    "delete_file": lambda world: (world["file"],),
    "delete_model": lambda world: (world["model"],),
}
VERBS = {**READS, **WRITES}


def rows() -> list[tuple[str, dict[str, int], type[APIError]]]:
    """The table's rows: each fault with the number of requests by method, and the error raised in the end."""
    found = []
    for line in TABLE.strip().splitlines()[1:]:
        fault, (reads, writes, error) = line[:24].strip(), line[24:].split()
        counts = {**dict.fromkeys(READS, int(reads)), **dict.fromkeys(WRITES, int(writes))}
        found.append((fault, counts, getattr(fine_tuning_client, error)))
    return found


def world() -> tuple[FakeFineTuning, World]:
    """A fake whose time stands still, with one object of each kind, and their ids."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    file = fake.add_file(ROWS)["id"]
    jobs = {status: fake.add_job(file, status=status) for status in ("running", "paused", "succeeded")}
    model = jobs["succeeded"]["fine_tuned_model"]
    return fake, {"file": file, "running": jobs["running"]["id"], "paused": jobs["paused"]["id"], "model": model}


def call_blocking(fake: FakeFineTuning, verb: str, arguments: tuple[Any, ...], **options: Any) -> Any:
    """Call a method of the blocking client once."""
    with httpx.Client(transport=fake.transport()) as http:
        client = FineTuningClient("openai", api_key="any", base_url="http://fake/v1", http_client=http, **options)
        return getattr(client, verb)(*arguments)


def call_awaited(fake: FakeFineTuning, verb: str, arguments: tuple[Any, ...], **options: Any) -> Any:
    """Call a method of the async client once."""

    async def call() -> Any:
        async with httpx.AsyncClient(transport=fake.transport()) as http:
            client = AsyncFineTuningClient(
                "openai", api_key="any", base_url="http://fake/v1", http_client=http, **options
            )
            return await getattr(client, verb)(*arguments)

    return asyncio.run(call())


CLIENTS = pytest.mark.parametrize("call", [call_blocking, call_awaited])


@dataclass(slots=True)
class Course:
    """The record of one call: the fake, the requests sent, the sleeps between them, and the result."""

    fake: FakeFineTuning
    requests: int
    naps: list[float]
    came: Any


def course(call: Callable[..., Any], fault: str, verb: str, **aim: Any) -> Course:
    """Call *verb* once on a fake that has *fault* armed."""
    fake, there = world()
    naps: list[float] = []
    FAULTS[fault](fake, **aim)
    try:
        came = call(fake, verb, VERBS[verb](there), sleep=naps.append, timeout=TIMEOUT_S)
    except APIError as error:
        came = error
    return Course(fake, len(fake.requests), naps, came)


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, dict[str, int]]]:
    """The number of requests by fault and method, printed in the end."""
    counted: dict[str, dict[str, int]] = {}
    yield counted
    print("\n", " " * 24, *VERBS)
    for fault, counts in counted.items():
        print(fault.ljust(24), *(str(counts[verb]).rjust(len(verb)) for verb in VERBS))


def test_the_table_is_whole() -> None:
    """The table has a row for each fault, and a column for each method that sends one request."""
    assert [fault for fault, _, _ in rows()] == list(FAULTS)
    own = [
        flow
        for flow in vars(operations).values()
        if isgeneratorfunction(flow) and flow.__module__ == operations.__name__
    ]
    assert set(VERBS) == {flow.__name__ for flow in own} - {"send_checked", "_fetch", "_fetch_job"}


@CLIENTS
@pytest.mark.parametrize(("fault", "wanted", "error"), rows(), ids=list(FAULTS))
def test_requests_sent(
    call: Callable[..., Any],
    fault: str,
    wanted: dict[str, int],
    error: type[APIError],
    measured: dict[str, dict[str, int]],
) -> None:
    """A permanent fault is met by as many requests as the table says, and then raised as the table's error."""
    courses = {verb: course(call, fault, verb, times=None) for verb in VERBS}

    measured[fault] = {verb: each.requests for verb, each in courses.items()}
    assert measured[fault] == wanted
    assert {verb: type(each.came) for verb, each in courses.items()} == dict.fromkeys(VERBS, error)
    for each in courses.values():
        assert len(each.naps) == each.requests - 1
        assert {request.fault is not None for request in each.fake.requests} == {True}
        if "Retry-After: 2" in fault:
            assert set(each.naps) <= {2.0}


@CLIENTS
@pytest.mark.parametrize(("fault", "wanted", "error"), rows(), ids=list(FAULTS))
def test_a_fault_that_passes(
    call: Callable[..., Any], fault: str, wanted: dict[str, int], error: type[APIError]
) -> None:
    """After one failure a repeatable call succeeds at the second request; any other raises without one."""
    for verb, requests in wanted.items():
        once = course(call, fault, verb, times=1)

        assert once.requests == (2 if requests > 1 else 1), verb
        assert isinstance(once.came, APIError) is (requests == 1), verb
        assert [each.status for each in once.fake.requests][1:] == [200] * (once.requests - 1), verb


@CLIENTS
@pytest.mark.parametrize("fault", ["hung up on", "read timeout", "truncated body", "408", "500", "503"])
def test_nothing_is_done_twice(call: Callable[..., Any], fault: str) -> None:
    """A write that took effect but whose response was lost is not sent again."""
    assert len(course(call, fault, "create_job", times=None, applied=True).fake.jobs) == 3 + 1
    assert course(call, fault, "upload_file", times=None, applied=True).fake.state()["counts"]["files"] == 2 + 1
    cancelled = course(call, fault, "cancel_job", times=None, applied=True).fake.jobs
    assert sorted(job["status"] for job in cancelled) == ["cancelled", "paused", "succeeded"]


@CLIENTS
def test_a_page_instead_of_an_answer(call: Callable[..., Any]) -> None:
    """A successful status with an HTML page is an error at once, without a retry."""
    for verb in VERBS:
        fake, there = world()
        fake.malformed()
        if verb == "download_file":  # any bytes are content
            assert call(fake, verb, VERBS[verb](there)).startswith(b"<!DOCTYPE html>")
        else:
            with pytest.raises(APIResponseError):
                call(fake, verb, VERBS[verb](there))
        assert len(fake.requests) == 1
