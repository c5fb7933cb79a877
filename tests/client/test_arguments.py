"""Invalid arguments raise an error that names them before anything is sent; valid ones take effect."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, cast

import httpx
import httpx2
import pytest

from fine_tuning_client import (
    AsyncFineTuningClient,
    ConfigurationError,
    FineTuning,
    FineTuningClient,
    FineTuningJobResponse,
)

JOB = {"id": "ftjob-1", "status": "succeeded", "model": "m", "training_file": "f", "created_at": 1}
PAGE = {"object": "list", "data": [], "has_more": False}


class Log:
    """A transport handler that records its requests and returns a job or an empty list."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Record the request and return the response."""
        self.requests.append(request)
        return httpx.Response(200, json=PAGE if request.method == "GET" and request.url.path.endswith("s") else JOB)


def ask_blocking(log: Log, verb: str, *arguments: Any, client: dict[str, Any] | None = None, **given: Any) -> Any:
    """Call a method of a blocking client and exhaust its result."""
    made = {"provider": "fake", "http_client": httpx.Client(transport=httpx.MockTransport(log)), **(client or {})}
    result = getattr(FineTuningClient(**made), verb)(*arguments, **given)
    return list(result) if inspect.isgenerator(result) else result


def ask_awaited(log: Log, verb: str, *arguments: Any, client: dict[str, Any] | None = None, **given: Any) -> Any:
    """Call a method of an async client and exhaust its result."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(log))
    made = {"provider": "fake", "http_client": http, **(client or {})}

    async def ask() -> Any:
        result = getattr(AsyncFineTuningClient(**made), verb)(*arguments, **given)
        return [each async for each in result] if inspect.isasyncgen(result) else await result

    return asyncio.run(ask())


@pytest.fixture(params=[ask_blocking, ask_awaited])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call a method of the blocking or of the async client."""
    return cast("Callable[..., Any]", request.param)


@pytest.fixture
def log() -> Log:
    """The recorded requests."""
    return Log()


@pytest.mark.parametrize("kind", [FineTuningClient, AsyncFineTuningClient])
@pytest.mark.parametrize("name", ["provider", "base_url", "api_key"])
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_argument_is_no_absent_one(kind: Any, name: str, empty: str) -> None:
    """An empty provider, address or key is refused by name, and never replaced by OpenAI's."""
    with pytest.raises(ConfigurationError, match=f"{name} is empty"):
        kind(**{name: empty})


@pytest.mark.parametrize("make", [FineTuning.using, FineTuningClient("fake").using])
def test_an_empty_name_is_no_provider(make: Callable[[str], Any]) -> None:
    """An empty provider name is refused by every way of making a client."""
    with pytest.raises(ConfigurationError, match="provider is empty"):
        make("")


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_a_header_of_the_callers_is_the_only_one(ask: Callable[..., Any], log: Log, name: str) -> None:
    """A default header replaces the client's own header of that name, whatever the case, and is sent once."""
    ask(log, "retrieve_job", "ftjob-1", client={"default_headers": {name: "Basic mine", "user-agent": "mine"}})
    headers = log.requests[0].headers
    assert headers.get_list("authorization") == ["Basic mine"]
    assert headers.get_list("user-agent") == ["mine"]


def test_a_header_replaces_what_a_setting_makes(ask: Callable[..., Any], log: Log) -> None:
    """A default header replaces the one that ``organization`` makes, even if its case differs."""
    headers = {"openai-organization": "org-header"}
    ask(log, "retrieve_job", "ftjob-1", client={"organization": "org-argument", "default_headers": headers})
    assert log.requests[0].headers.get_list("openai-organization") == ["org-header"]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_http_client_of_the_other_kind_is_refused_at_once(library: Any) -> None:
    """A blocking HTTP client for an async client, or the reverse, is a TypeError that says which kind is required."""
    with pytest.raises(TypeError, match=r"http_client of AsyncFineTuningClient must be an async one.*, got Client"):
        AsyncFineTuningClient("fake", http_client=library.Client())
    with pytest.raises(TypeError, match=r"http_client of FineTuningClient must be a blocking one.*, got AsyncClient"):
        FineTuningClient("fake", http_client=library.AsyncClient())


class Wrapper:
    """An HTTP client whose ``request`` is a property that returns a plain function."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @property
    def request(self) -> Callable[..., Any]:
        """Return a function that forwards to the wrapped client; its result may have to be awaited."""
        return lambda *arguments, **given: self._inner.request(*arguments, **given)


def test_a_wrapper_is_taken_at_its_word(log: Log) -> None:
    """An HTTP client that does not show whether it is async is accepted by both clients."""
    inner = Wrapper(httpx.Client(transport=httpx.MockTransport(log)))
    assert ask_blocking(log, "retrieve_job", "ftjob-1", client={"http_client": inner}).id == "ftjob-1"
    outer = Wrapper(httpx.AsyncClient(transport=httpx.MockTransport(log)))
    assert ask_awaited(log, "retrieve_job", "ftjob-1", client={"http_client": outer}).id == "ftjob-1"


async def awaited(*arguments: Any) -> str:
    """An async function that the client would not await."""
    return "sk-1"


class Awaited:
    """An object with an async ``__call__``."""

    async def __call__(self, *arguments: Any) -> None:
        """Do nothing."""


@pytest.mark.parametrize("function", [awaited, Awaited()])
def test_functions_that_nobody_would_await_are_refused(ask: Callable[..., Any], log: Log, function: Any) -> None:
    """An async on_update or on_progress raises TypeError from either client, and nothing is sent."""
    with pytest.raises(TypeError, match="on_update must not be async"):
        ask(log, "wait_for_job", "ftjob-1", on_update=function)
    with pytest.raises(TypeError, match="on_progress must not be async"):
        ask(log, "upload_file", b"{}", on_progress=function)
    assert not log.requests


def test_a_key_that_nobody_would_await_is_refused(ask: Callable[..., Any], log: Log) -> None:
    """An async api_key raises a ConfigurationError that asks for a plain function, and nothing is sent."""
    with pytest.raises(ConfigurationError, match="plain function"):
        ask(log, "retrieve_job", "ftjob-1", client={"api_key": awaited})
    assert not log.requests


@pytest.mark.parametrize("name", ["seed", "suffix", "metadata", "hyperparameters"])
def test_null_is_given_too(ask: Callable[..., Any], log: Log, name: str) -> None:
    """An option given both in create_job's mapping and as a keyword is a TypeError, even if the keyword is None."""
    with pytest.raises(TypeError, match=f"'{name}' is given twice"):
        ask(log, "create_job", "f", "m", {name: None}, **{name: None})
    with pytest.raises(TypeError, match=f"'{name}' is given twice"):
        ask(log, "create_job", "f", "m", {name: 5}, **{name: None})
    assert not log.requests


def test_none_is_no_limit(ask: Callable[..., Any], log: Log) -> None:
    """A limit or cursor of None leaves the value from the options mapping in place; metadata of None does not."""
    ask(log, "list_jobs", {"limit": 2, "after": "a"}, limit=None, after=None)
    assert dict(log.requests[0].url.params) == {"limit": "2", "after": "a"}
    with pytest.raises(TypeError, match="'metadata' is given twice"):
        ask(log, "list_jobs", {"metadata": {"a": "b"}}, metadata=None)


def test_a_job_is_no_id(ask: Callable[..., Any], log: Log) -> None:
    """A job object passed as a job id is refused in a short message that suggests its `id`."""
    job = FineTuningJobResponse.from_dict(JOB)
    with pytest.raises(ValueError, match=r"job_id must be .*; pass FineTuningJobResponse\.id$") as caught:
        ask(log, "wait_for_job", job)
    assert len(str(caught.value)) < 160
    with pytest.raises(ValueError, match="training_file must be") as caught:
        ask(log, "create_job", ["x" * 9999], "m")
    assert len(str(caught.value)) < 160


NO_TIMES: list[Any] = [-1, -0.5, float("nan"), float("-inf"), "5", "", [5]]


@pytest.mark.parametrize("name", ["poll_interval", "timeout"])
@pytest.mark.parametrize("verb", ["wait_for_job", "follow_job_events"])
def test_what_is_no_time_is_refused(ask: Callable[..., Any], log: Log, verb: str, name: str) -> None:
    """An interval or timeout that is not a number from 0 is a ValueError that names it, and nothing is sent."""
    for bad in NO_TIMES:
        with pytest.raises(ValueError, match=f"^{name} must be a number of seconds from 0"):
            ask(log, verb, "ftjob-1", **{name: bad})
    assert not log.requests
    ask(log, verb, "ftjob-1", **{name: 0})


def test_an_endless_interval_is_refused(ask: Callable[..., Any], log: Log) -> None:
    """An infinite interval is a ValueError; an infinite timeout is accepted."""
    with pytest.raises(ValueError, match="poll_interval must be finite"):
        ask(log, "wait_for_job", "ftjob-1", poll_interval=float("inf"))
    assert ask(log, "wait_for_job", "ftjob-1", timeout=float("inf")).is_completed()
