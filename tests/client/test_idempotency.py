"""At most one job is created for an idempotency key, whichever requests fail; blocking and async."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fine_tuning_client import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncFineTuningClient,
    FineTuningClient,
    FineTuningJobResponse,
    InternalServerError,
    RateLimitError,
    UnsupportedOperationError,
)
from fine_tuning_fakeserver import FakeFineTuning
from strategies import ROWS

MODEL = "gpt-4o-mini-2024-07-18"
MOST_CALLS = 30

# What may happen to a request: whether the service still gets it, and what comes back instead of its answer.
FATES: dict[str, tuple[bool, Any]] = {
    "answered": (True, None),
    "refused": (False, httpx.ConnectError("refused")),
    "lost before": (False, httpx.ReadError("cut off")),
    "lost after": (True, httpx.ReadError("cut off")),
    "silent before": (False, httpx.ReadTimeout("slow")),
    "silent after": (True, httpx.ReadTimeout("slow")),
    "500 before": (False, 500),
    "500 after": (True, 500),
    "503 after": (True, 503),
    "408 after": (True, 408),
    "429": (False, 429),
    "html after": (True, 200),
    "garbled after": (True, httpx.DecodingError("no gzip")),
    "busy before": (False, -503),
    "busy after": (True, -503),
}
AMBIGUOUS = [fate for fate in FATES if fate.split()[0] in {"lost", "silent", "500", "503", "408"}]

Create = Callable[..., FineTuningJobResponse]


class Line(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport to the fake on which each request meets the next failure of a list."""

    def __init__(self, fates: Sequence[str] = ()) -> None:
        self.fake = FakeFineTuning(pace="manual")
        self.file = self.fake.add_file(ROWS)["id"]
        self.fates = list(fates)
        self.asked: list[str] = []
        self._through = self.fake.transport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Forward the request, or fail."""
        request.read()
        arrives, outcome = self._next(request)
        return _made(outcome, self._through.handle_request(request) if arrives else None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Forward the request, or fail."""
        await request.aread()
        arrives, outcome = self._next(request)
        return _made(outcome, await self._through.handle_async_request(request) if arrives else None)

    def _next(self, request: httpx.Request) -> tuple[bool, Any]:
        self.asked.append(request.method)
        return FATES[self.fates.pop(0) if self.fates else "answered"]


def _made(outcome: Any, answer: httpx.Response | None) -> httpx.Response:
    if isinstance(outcome, Exception):
        raise outcome
    if outcome is None and answer:
        return answer
    headers = {"Retry-After": "3600"} if outcome < 0 else {}  # as a negative status says here
    return httpx.Response(abs(outcome), text="<html>Bad Gateway</html>", headers=headers)


def create_blocking(line: Line, *arguments: Any, **given: Any) -> FineTuningJobResponse:
    """Create a job with the blocking client."""
    with httpx.Client(transport=line) as http:
        job = client_of(FineTuningClient, http, given).create_job(line.file, *arguments, **given)
        return cast(FineTuningJobResponse, job)


def create_awaited(line: Line, *arguments: Any, **given: Any) -> FineTuningJobResponse:
    """Create a job with the async client."""

    async def create() -> FineTuningJobResponse:
        async with httpx.AsyncClient(transport=line) as http:
            job = await client_of(AsyncFineTuningClient, http, given).create_job(line.file, *arguments, **given)
            return cast(FineTuningJobResponse, job)

    return asyncio.run(create())


def client_of(kind: Any, http: Any, given: dict[str, Any]) -> Any:
    """Make a client that does not sleep, with the options under `client` removed from the operation's."""
    options = {"provider": "fake", "max_retries": 2, **given.pop("client", {})}
    return kind(**options, base_url="http://fake/v1", http_client=http, sleep=lambda seconds: None)


@pytest.fixture(params=[create_blocking, create_awaited])
def create(request: pytest.FixtureRequest) -> Create:
    """Create a job with the blocking or with the async client."""
    return cast(Create, request.param)


SCHEDULES = st.lists(st.sampled_from(sorted(FATES)), max_size=16)


@given(SCHEDULES, st.integers(0, 3), st.text(min_size=1, max_size=512).filter(str.strip), st.booleans())
@example(["answered", "silent after", "500 before"], 0, "a", True)
@example(["answered", "html after"], 2, "ä&=[]%\n", False)
def test_one_job_for_a_key(fates: list[str], max_retries: int, key: str, awaits: bool) -> None:
    """However often calls and requests fail, one job exists in the end, and it is the one returned."""
    try:
        key.encode()
    except UnicodeEncodeError:
        key = "a"
    line = Line(fates)
    create = create_awaited if awaits else create_blocking
    for _ in range(MOST_CALLS):
        try:
            job = create(line, MODEL, idempotency_key=key, client={"max_retries": max_retries})
            break
        except APIError:
            assert len(line.fake.jobs) <= 1
    line.fates.clear()
    assert [each["id"] for each in line.fake.jobs] == [job.id]
    assert job.metadata == {"idempotency_key": key}
    assert create(line, MODEL, idempotency_key=key) == job


@pytest.mark.parametrize("fate", AMBIGUOUS)
def test_an_ambiguous_create_is_looked_for_and_repeated(create: Create, fate: str) -> None:
    """After a create with an unknown outcome the job is looked up, and sent again only if it does not exist."""
    line = Line(["answered", fate])
    job = create(line, MODEL, idempotency_key="a")
    assert line.asked == ["GET", "POST", "GET"] + (["POST"] if fate.endswith("before") else [])
    assert [each["id"] for each in line.fake.jobs] == [job.id]


@pytest.mark.parametrize("fate", ["html after", "garbled after", "busy after"])
@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_create_that_cannot_be_repeated_is_looked_for(create: Create, fate: str, max_retries: int) -> None:
    """After a create that cannot be retried the job is looked up once before anything is raised."""
    line = Line(["answered", fate])
    job = create(line, MODEL, idempotency_key="a", client={"max_retries": max_retries})
    assert line.asked == ["GET", "POST", "GET"]
    assert [each["id"] for each in line.fake.jobs] == [job.id]


@pytest.mark.parametrize(
    ("fates", "error"),
    [
        (["busy before"], InternalServerError),
        (["html after", "busy before"], APIResponseError),
        (["garbled after", "busy before"], APIConnectionError),
        (["busy after", "busy before"], InternalServerError),
    ],
)
def test_a_look_that_finds_nothing_changes_nothing(create: Create, fates: list[str], error: type[Exception]) -> None:
    """If the lookup finds no job or fails, the error of the create is raised."""
    line = Line(["answered", *fates])
    with pytest.raises(error):
        create(line, MODEL, idempotency_key="a")
    assert line.asked == ["GET", "POST", "GET"]


def test_repeating_ends(create: Create) -> None:
    """A create that fails each time is repeated up to `max_retries`, with a lookup after each, and then raised."""
    line = Line(["answered", "500 before"] * 9)
    with pytest.raises(InternalServerError):
        create(line, MODEL, idempotency_key="a", client={"max_retries": 1})
    assert line.asked == ["GET", "POST", "GET", "POST", "GET"]
    assert not line.fake.jobs


def test_a_create_that_cannot_be_looked_for_is_not_repeated(create: Create) -> None:
    """If the lookup after a lost create fails too, the create's error is raised and nothing is sent again."""
    line = Line(["answered", "silent after", *["500 before"] * 3])
    with pytest.raises(APITimeoutError):
        create(line, MODEL, idempotency_key="a")
    assert line.asked == ["GET", "POST", "GET", "GET", "GET"]
    assert create(line, MODEL, idempotency_key="a").id == line.fake.jobs[0]["id"]


def test_nothing_is_created_if_the_first_look_fails(create: Create) -> None:
    """If the lookup before the create fails, no job is created."""
    line = Line(["refused"] * 9)
    with pytest.raises(APIConnectionError):
        create(line, MODEL, idempotency_key="a")
    assert set(line.asked) == {"GET"}


def test_a_refusal_is_a_refusal(create: Create) -> None:
    """A refused create is raised, and is looked up afterwards only if the refusal may pass."""
    line = Line(["answered", *["429"] * 3])
    with pytest.raises(RateLimitError):
        create(line, MODEL, idempotency_key="a", client={"max_retries": 0})
    assert line.asked == ["GET", "POST", "GET"]
    line = Line()
    with pytest.raises(APIStatusError):
        create(line, "no-such-model", idempotency_key="a")
    assert line.asked == ["GET", "POST"]


def test_another_process_finds_the_job(create: Create) -> None:
    """A second client with the same key gets the existing job as it is now, and another key makes another job."""
    line = Line()
    first = create(line, MODEL, idempotency_key="a", metadata={"run": "7"})
    assert first.metadata == {"run": "7", "idempotency_key": "a"}
    line.fake.advance_to("running")
    again = create(line, MODEL, idempotency_key="a")
    assert (again.id, again.status, again.provider) == (first.id, "running", "fake")
    assert create(line, MODEL, idempotency_key="b").id != first.id
    create(line, MODEL)
    assert len(line.fake.jobs) == 3


TOO_MANY = {str(each): "" for each in range(16)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"idempotency_key": ""}, "idempotency_key must be a non-empty string"),
        ({"idempotency_key": " "}, "idempotency_key must be a non-empty string"),
        ({"idempotency_key": 7}, "idempotency_key must be a non-empty string"),
        ({"idempotency_key": "x" * 513}, "at most 512 characters"),
        ({"idempotency_key": "a", "metadata": TOO_MANY}, "at most 16 pairs, got 17"),
        ({"idempotency_key": "a", "metadata": {"x" * 65: ""}}, "keys .* at most 64 characters"),
        ({"idempotency_key": "a", "metadata": {"x": "y" * 513}}, "values .* at most 512 characters"),
        ({"idempotency_key": "a", "metadata": {"x": 1}}, "values .* at most 512 characters"),
        ({"idempotency_key": "a", "metadata": {7: "x"}}, "keys .* at most 64 characters"),
        ({"idempotency_key": "a", "metadata": "x"}, "metadata must be a mapping"),
        ({"idempotency_key": "a", "metadata": {"idempotency_key": "b"}}, "the client's own"),
        ({"idempotency_key": "a", "extra_body": {"metadata": {"idempotency_key": "b"}}}, "the client's own"),
    ],
)
def test_a_key_the_service_would_not_take(create: Create, given: dict[str, Any], message: str) -> None:
    """A key or metadata beyond the service's limits is a ValueError, and nothing is sent."""
    line = Line()
    with pytest.raises(ValueError, match=message):
        create(line, MODEL, **given)
    assert not line.asked


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": {"x" * 64: "y" * 512, **dict.fromkeys(map(str, range(14)), "")}},
        {"metadata": None},
        {"options": {"metadata": {"a": "b"}}},
        {"extra_body": {"metadata": {"a": "b"}}},
    ],
)
def test_a_key_joins_metadata(create: Create, given: dict[str, Any]) -> None:
    """The key is added to the metadata, whichever way that is given, up to the limits."""
    line = Line()
    job = create(line, MODEL, idempotency_key="k" * 512, **given)
    assert job.metadata is not None
    assert job.metadata.pop("idempotency_key") == "k" * 512
    extra = given.get("options") or given.get("extra_body") or given
    assert job.metadata == (extra.get("metadata") or {})


@pytest.mark.parametrize("provider", ["azure", "openai_compatible"])
def test_a_provider_that_does_not_list_by_metadata(create: Create, provider: str) -> None:
    """A key is refused before anything is sent if the provider cannot filter jobs by metadata."""
    line = Line()
    client = {"provider": provider, "api_key": "any"}
    with pytest.raises(UnsupportedOperationError, match="does not support 'metadata'"):
        create(line, MODEL, idempotency_key="a", client=client)
    assert not line.asked


@pytest.mark.parametrize("metadata", [None, {}, {"idempotency_key": "b"}, "odd"])
def test_a_provider_that_ignores_the_filter(metadata: Any) -> None:
    """A service that ignores the metadata filter is detected before a job is created."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        job = {"id": "j", "status": "queued", "model": "m", "training_file": "f", "created_at": 1}
        return httpx.Response(200, json={"data": [job | {"metadata": metadata}], "has_more": False})

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        client = FineTuningClient("fake", http_client=http)
        with pytest.raises(UnsupportedOperationError, match="whatever their metadata"):
            client.create_job("f", MODEL, idempotency_key="a")
    assert asked == ["GET"]


def test_without_a_key_nothing_is_added(create: Create) -> None:
    """Without a key a create is one request with the metadata unchanged."""
    bodies: list[Any] = []
    line = Line()
    through = line.handle_request

    def noting(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.read()))
        return through(request)

    with httpx.Client(transport=httpx.MockTransport(noting)) as http:
        FineTuningClient("fake", http_client=http).create_job(line.file, MODEL, metadata={"a": "b"})
    assert bodies == [{"model": MODEL, "training_file": line.file, "metadata": {"a": "b"}}]
    assert create(line, MODEL).metadata is None
