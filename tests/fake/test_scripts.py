"""Scripts: prepared responses for any client, and the state behind them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_client import (
    APIConnectionError,
    APITimeoutError,
    FileResponse,
    FineTuningClient,
    FineTuningEventResponse,
    FineTuningJobResponse,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from strategies import ROWS

STATUSES = ("validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled")
JOB = FineTuningJobResponse(
    id="ft-1", status="succeeded", model="gpt-4o-mini", training_file="file-abc", created_at=1753000000
)


@pytest.fixture
def fake() -> FakeFineTuning:
    """A fake at the pace "polls"."""
    return FakeFineTuning(pace="polls")


@pytest.fixture
def http(fake: FakeFineTuning) -> httpx.Client:
    """A plain HTTP client."""
    return httpx.Client(transport=fake.transport(), base_url="http://fake/v1", headers={"authorization": "Bearer any"})


@pytest.fixture
def client(fake: FakeFineTuning) -> FineTuningClient:
    """Our client without retries."""
    return _client(fake)


def _client(fake: FakeFineTuning) -> FineTuningClient:
    http = httpx.Client(transport=fake.transport())
    return FineTuningClient("fake", base_url="http://fake/v1", http_client=http, max_retries=0, sleep=fake.sleep)


@pytest.fixture
def sdk(fake: FakeFineTuning) -> Iterator[openai.OpenAI]:
    """The official client without retries."""
    transport = fake.transport(httpx2)
    with openai.OpenAI(
        base_url="http://fake/v1", api_key="any", http_client=httpx2.Client(transport=transport), max_retries=0
    ) as sdk:
        yield sdk


def test_one_queue_answers_whatever_is_asked_in_order(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """The items of a list answer any operations in order."""
    fake(["queued", "running", "cancelled"])
    job = client.create_job("file-abc", "gpt-4o-mini")
    assert [job.status, client.retrieve_job(job.id).status, client.cancel_job(job.id).status] == [
        "queued",
        "running",
        "cancelled",
    ]


def test_a_queue_for_each_operation(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """With a mapping each operation has its own items."""
    fake({"create_job": ["queued", "failed"], "retrieve_job": ["running", "succeeded"]})
    first = client.create_job("file-abc", "gpt-4o-mini")
    assert client.retrieve_job(first.id).status == "running"
    assert client.create_job("file-abc", "gpt-4o-mini").status == "failed"
    assert client.retrieve_job(first.id).is_completed()


def test_a_function_is_told_what_is_asked(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A function gets operation, ids, options and index of each call, and None leaves the call to the fake."""
    calls: list[Any] = []

    def answer(call: Any) -> Any:
        calls.append(call)
        return "failed" if call.operation == "retrieve_job" else None

    fake(answer)
    file = client.upload_file(ROWS.encode(), filename="rows.jsonl")
    job = client.create_job(file.id, "gpt-4o-mini", suffix="mine")
    assert client.retrieve_job(job.id).has_failed()
    upload, create, retrieve = calls
    assert upload.options == {"purpose": "fine-tune", "filename": "rows.jsonl", "bytes": len(ROWS)}
    assert (create.operation, create.training_file, create.model) == ("create_job", file.id, "gpt-4o-mini")
    assert create.options["suffix"] == "mine"
    assert (retrieve.job_id, retrieve.index, retrieve.file_id) == (job.id, 2, None)


def test_a_scripted_job_is_the_twins_too(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A scripted job exists afterwards, with events, checkpoints and results."""
    fake([JOB])
    assert client.create_job("file-abc", "gpt-4o-mini") == client.retrieve_job("ft-1")
    job = client.retrieve_job("ft-1")
    assert (job.status, job.model, job.created_at) == ("succeeded", "gpt-4o-mini", 1753000000)
    assert client.list_job_events("ft-1")[0].message == "The job has successfully completed"
    assert len(client.list_job_checkpoints("ft-1")) == 3
    assert client.result_metrics("ft-1")
    assert [each.id for each in client.list_jobs()] == ["ft-1"]
    with pytest.raises(Exception, match="already completed"):
        client.cancel_job("ft-1")


@given(statuses=st.lists(st.sampled_from([*STATUSES, "pausing", "exploded"]), min_size=1, max_size=6))
def test_any_statuses_come_in_the_order_they_are_scripted(statuses: list[str]) -> None:
    """Any scripted statuses are returned in order, and then the fake's own."""
    fake = FakeFineTuning(pace="manual")
    client = _client(fake)
    fake({"retrieve_job": statuses})
    assert [client.retrieve_job("ft-9").status for _ in statuses] == statuses
    assert client.retrieve_job("ft-9").status == fake.jobs[0]["status"]


@pytest.mark.parametrize("last", ["exploded", "queued"])
def test_a_loop_comes_to_its_end_after_an_impossible_status(
    last: str, fake: FakeFineTuning, client: FineTuningClient
) -> None:
    """After a status that the fake cannot have, a polling loop still sees the job succeed."""
    fake({"create_job": ["running"], "retrieve_job": [last]})
    job = client.create_job("file-abc", "gpt-4o-mini")
    seen = [client.retrieve_job(job.id).status for _ in range(3)]
    assert (seen[0], seen[-1]) == (last, "succeeded")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (RateLimitError("slow down"), RateLimitError),
        (RateLimitError("slow down", retry_after=7.0, code="rate_limit_exceeded"), RateLimitError),
        (PermissionDeniedError, PermissionDeniedError),
        (NotFoundError("gone", code="not_there", type="invalid_request_error"), NotFoundError),
        (APIConnectionError("lost"), APIConnectionError),
        (APITimeoutError, APITimeoutError),
        (TimeoutError(), APITimeoutError),
        (httpx.ConnectError("no"), APIConnectionError),
        (ConnectionResetError(), APIConnectionError),
    ],
)
def test_an_exception_is_what_a_client_raises(
    error: Any, raised: type[Exception], fake: FakeFineTuning, client: FineTuningClient
) -> None:
    """A scripted exception is raised by the client with its text, code and Retry-After."""
    fake([error])
    with pytest.raises(raised) as caught:
        client.list_jobs()
    assert type(caught.value) is raised
    if isinstance(error, RateLimitError | NotFoundError) and isinstance(caught.value, RateLimitError | NotFoundError):
        assert error.message in caught.value.message
        assert (caught.value.code, caught.value.retry_after) == (error.code, error.retry_after)
    assert client.list_jobs().jobs == ()


def test_the_official_client_is_told_the_same(fake: FakeFineTuning, sdk: openai.OpenAI) -> None:
    """Exceptions of our client's classes are raised as the SDK's own, and the reverse."""
    response = httpx2.Response(429, request=httpx2.Request("GET", "http://fake"))
    theirs = openai.RateLimitError("slow down", response=response, body={"message": "slow down", "code": "rate"})
    fake([RateLimitError("wait"), APITimeoutError(), theirs, JOB])
    with pytest.raises(openai.RateLimitError, match="wait"):
        sdk.fine_tuning.jobs.list()
    with pytest.raises(openai.APITimeoutError):
        sdk.fine_tuning.jobs.list()
    with pytest.raises(openai.RateLimitError) as caught:
        sdk.fine_tuning.jobs.list()
    assert caught.value.code == "rate"
    assert sdk.fine_tuning.jobs.create(training_file="file-abc", model="gpt-4o-mini").id == "ft-1"


TRANSPORT = ["ConnectError", "ConnectTimeout", "PoolTimeout", "WriteTimeout", "ReadTimeout", "ReadError", "WriteError"]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("timeout", [5, None])
@pytest.mark.parametrize("name", [*TRANSPORT, "RemoteProtocolError"])
def test_an_exception_of_a_transport_is_raised_as_itself(
    name: str, timeout: float | None, library: Any, fake: FakeFineTuning
) -> None:
    """A scripted exception of httpx or httpx2 is raised in process as the client library's own class with its text, and
    is not a usage error.
    """
    transport = fake.transport(library)
    with library.Client(transport=transport, base_url="http://fake/v1", timeout=timeout) as client:
        for error in (getattr(httpx, name)("mine"), getattr(httpx2, name)):
            fake([error])
            with pytest.raises(getattr(library, name)) as caught:
                client.get("/models", headers={"authorization": "Bearer any"})
            assert type(caught.value) is getattr(library, name)
            assert isinstance(error, type) or str(caught.value) == "mine"
    assert fake.take_usage_errors() == []


@pytest.mark.parametrize("error", [httpx.ConnectError("no"), ConnectionRefusedError()])
def test_what_was_never_sent_is_sent_again(error: Exception, fake: FakeFineTuning) -> None:
    """A create whose connection was refused is repeated by a client with retries."""
    http = httpx.Client(transport=fake.transport())
    client = FineTuningClient("fake", base_url="http://fake/v1", http_client=http, sleep=fake.sleep)
    fake({"create_job": [error]})
    assert client.create_job(fake.add_file(ROWS)["id"], "gpt-4o-mini").id
    assert [call.status for call in fake.calls_to("create_job")] == [0, 200]


@pytest.mark.parametrize("error", [requests.Timeout(), requests.ReadTimeout, requests.ConnectTimeout()])
def test_a_timeout_of_requests_is_one(error: Any, fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A scripted requests.Timeout is a timeout for any client."""
    fake([error])
    with pytest.raises(APITimeoutError):
        client.list_jobs()


@pytest.mark.parametrize("library", [httpx, requests], ids=["httpx", "requests"])
def test_an_error_that_has_an_answer_is_that_answer(library: Any, fake: FakeFineTuning, http: httpx.Client) -> None:
    """A scripted exception with a response sends that response's status, body and Retry-After."""
    request = httpx.Request("GET", "http://x")
    response = httpx.Response(503, request=request, html="<p>down</p>", headers={"retry-after": "9"})
    errors = {
        httpx: httpx.HTTPStatusError("boom", request=request, response=response),
        requests: requests.HTTPError("boom", response=response),
    }
    fake([errors[library]])
    answer = http.get("/models")
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "<p>down</p>", "9")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not fake.calls[0].accepted


def test_an_answer_without_a_body_is_in_the_services_words(fake: FakeFineTuning, http: httpx.Client) -> None:
    """A scripted exception with an empty or unread response sends its status and an error object."""
    request = httpx.Request("GET", "http://x")
    unread = httpx.Response(429, request=request, stream=httpx.ByteStream(b"x"))
    fake([httpx.HTTPStatusError("m", request=request, response=each) for each in (httpx.Response(503), unread)])
    assert [
        (each.status_code, each.json()["error"]["message"]) for each in (http.get("/models"), http.get("/files"))
    ] == [
        (503, "m"),
        (429, "m"),
    ]


def test_an_object_of_the_sdk_is_an_item(fake: FakeFineTuning, sdk: openai.OpenAI) -> None:
    """A job object of the official SDK can be a script item."""
    fake([JOB])
    job = sdk.fine_tuning.jobs.create(training_file="file-abc", model="gpt-4o-mini")
    fake([job.model_copy(update={"status": "failed"})])
    assert sdk.fine_tuning.jobs.retrieve("ft-1").status == "failed"


def test_lists(fake: FakeFineTuning, client: FineTuningClient, http: httpx.Client) -> None:
    """A list operation takes a list of items, texts as events, or a whole page."""
    event = FineTuningEventResponse(id="ftevent-1", message="said", created_at=5)
    page = {"object": "list", "data": [{"status": "running", "id": "ft-7"}], "has_more": True}
    fake([["queued", JOB], ["hello", event], page, [{"id": "m", "object": "model"}]])
    assert [job.status for job in client.list_jobs()] == ["queued", "succeeded"]
    assert [each.message for each in client.list_job_events("ft-1")] == ["hello", "said"]
    jobs = client.list_jobs()
    assert ([job.id for job in jobs], jobs.has_more) == (["ft-7"], True)
    assert [model.id for model in client.list_models()] == ["m"]


def test_files_and_contents(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A scripted file keeps its id, and a scripted download can be any bytes."""
    file = FileResponse(id="file-mine", filename="rows.jsonl", bytes=3, created_at=5, purpose="fine-tune")
    fake({"upload_file": [file], "download_file": [b"step,train_loss\n1,0.5\n", "text"]})
    assert client.upload_file(ROWS.encode()) == client.retrieve_file("file-mine")
    assert client.retrieve_file("file-mine").bytes == 3
    assert client.download_file("file-mine") == b"step,train_loss\n1,0.5\n"
    assert client.download_file("file-mine") == b"text"
    assert client.download_file("file-mine") == ROWS.encode()


def test_a_file_that_is_not_there_can_be_scripted(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A scripted file can have an id that the account lacks."""
    file = FileResponse(id="file-x", filename="rows.jsonl", bytes=3, created_at=5, purpose="fine-tune")
    fake([file])
    assert client.retrieve_file("file-x") == file


def test_what_the_service_would_refuse_can_be_scripted(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A create that the fake would refuse gets its scripted response, and the job exists afterwards."""
    fake(["queued"])
    job = client.create_job("file-abc", "no-such-model")
    assert (job.status, job.model, job.training_file) == ("queued", "no-such-model", "file-abc")
    assert client.retrieve_job(job.id).model == "no-such-model"


FILE = {"filename": "x", "bytes": 1, "created_at": 1, "purpose": "fine-tune"}
MISMATCHES: list[tuple[Any, Callable[[FineTuningClient], object], str]] = [
    (
        "running",
        lambda client: client.list_jobs(),
        "list_jobs wants a list of fine_tuning.job items, or a list object, and",
    ),
    ([JOB], lambda client: client.retrieve_job("ft-1"), "retrieve_job wants a fine_tuning.job object"),
    (JOB, lambda client: client.retrieve_file("file-1"), "retrieve_file wants a file object, not a fine_tuning.job"),
    (5, lambda client: client.list_models(), "is 5, which is kept; None lets the fake answer"),
    (JOB, lambda client: client.download_file("file-1"), "download_file wants text or bytes"),
    (ValueError("x"), lambda client: client.list_jobs(), "ValueError"),
    (lambda call: "running", lambda client: client.list_jobs(), "and the script's next answer is 'running' (request"),
    (lambda call: lambda call: None, lambda client: client.list_jobs(), "another function"),
    ("suceeded", lambda client: client.retrieve_job("ft-1"), "did you mean 'succeeded'?"),
    (lambda call: dict[str, int]()["nope"], lambda client: client.list_jobs(), "KeyError('nope') in "),
    (
        RateLimitError("x", retry_after=-1.0),
        lambda client: client.list_jobs(),
        "retry_after must be seconds from 0, got -1.0",
    ),
]


@pytest.mark.parametrize(("item", "ask", "said"), MISMATCHES)
def test_an_item_that_is_no_answer_is_an_error_of_the_test(
    item: Any, ask: Callable[[FineTuningClient], object], said: str, fake: FakeFineTuning, client: FineTuningClient
) -> None:
    """An item for another operation is a usage error that names item and operation."""
    fake([item])
    with pytest.raises(Exception, match="fake-fine-tuning: ") as caught:
        ask(client)
    assert said in str(caught.value)


def test_an_item_that_is_no_answer_is_kept(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """An item that does not fit a call stays for a later one."""
    fake(["running"])
    with pytest.raises(Exception, match="list_jobs wants"):
        client.list_jobs()
    assert client.retrieve_job("ft-1").status == "running"


def test_a_script_that_has_run_out_leaves_the_twin(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """After the last item the fake continues from there."""
    fake(["queued"])
    job = client.create_job("file-abc", "gpt-4o-mini")
    assert client.wait_for_job(job.id).is_completed()


@pytest.mark.parametrize("strictly", [lambda fake: fake([], strict=True), lambda fake: fake([]).prevent_stray()])
def test_a_strict_script_lets_nothing_pass(
    strictly: Callable[[FakeFineTuning], Any], fake: FakeFineTuning, client: FineTuningClient
) -> None:
    """A strict script without items left refuses the call."""
    strictly(fake)
    with pytest.raises(Exception, match="list_jobs was called, and the strict script has no answer left"):
        client.list_jobs()


@pytest.mark.parametrize("item", [ValueError("x"), RateLimitError("x", retry_after=-1.0), "suceeded"])
def test_an_impossible_item_is_kept_and_told(item: Any, fake: FakeFineTuning, client: FineTuningClient) -> None:
    """An invalid item stays, and each call that meets it is a usage error."""
    fake([item])
    for _ in range(2):
        with pytest.raises(Exception, match="fake-fine-tuning"):
            client.retrieve_job("ft-1")
    assert len(fake.take_usage_errors()) == 2


def test_a_class_of_exceptions_that_wants_arguments(fake: FakeFineTuning, sdk: openai.OpenAI) -> None:
    """An exception class of openai's, without arguments, can be a script item."""
    fake([openai.RateLimitError, openai.APITimeoutError])
    for kind in (openai.RateLimitError, openai.APITimeoutError):
        with pytest.raises(kind):
            sdk.fine_tuning.jobs.list()


def test_an_exception_keeps_its_facts(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """Type, param and Retry-After of a scripted SDK exception are kept."""
    request = httpx2.Request("GET", "http://fake")
    response = httpx2.Response(429, request=request, headers={"retry-after": "7"})
    fake([openai.RateLimitError("x", response=response, body={"message": "x", "type": "tokens", "param": "messages"})])
    with pytest.raises(RateLimitError) as caught:
        client.list_jobs()
    assert (caught.value.type, caught.value.param, caught.value.retry_after) == ("tokens", "messages", 7.0)


def test_an_async_function_is_refused(fake: FakeFineTuning) -> None:
    """An async function as a script is refused with a message that asks for a plain one."""

    async def answer(call: Any) -> None: ...

    with pytest.raises(FakeUsageError, match="a plain function is wanted"):
        fake(answer)


def test_a_function_is_told_what_calls_tell(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A script function gets the same ids and options as `FakeFineTuning.calls`."""
    seen: list[Any] = []
    fake(seen.append)
    client.upload_file(ROWS.encode())
    client.list_jobs(limit=5, metadata={"k": "v"})
    with pytest.raises(NotFoundError):
        client.retrieve_model("ft:x")
    assert [call.options for call in seen] == [call.options for call in fake.calls]
    assert seen[2].ids == fake.calls[2].ids == {"model_id": "ft:x"}


def test_a_listing_without_ids_is_of_the_jobs_there_are(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A scripted list of statuses without ids applies to the account's existing jobs."""
    fake({"create_job": ["queued"], "list_jobs": [["running"], ["succeeded"]]})
    job = client.create_job("file-abc", "gpt-4o-mini")
    listed = [client.list_jobs().jobs for _ in range(2)]
    assert [(each.id, each.status) for (each,) in listed] == [(job.id, "running"), (job.id, "succeeded")]
    assert len(fake.jobs) == 1


def test_an_id_for_a_refused_upload_is_not_kept_for_the_next(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """The id of a scripted file whose upload the fake refuses is not given to another upload."""
    fake({"upload_file": [{"id": "file-x", "object": "file", **FILE}]})
    assert client.upload_file(b"no JSON").id == "file-x"
    assert client.upload_file(ROWS.encode()).id != "file-x"


def test_a_with_ends_its_own_script(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """Leaving a `with` ends its script and those started inside it, even after a reset or an exception."""
    with fake({"retrieve_job": ["failed"]}):
        fake({"retrieve_job": ["cancelled"]})
    with fake(["running"]):
        fake.reset()
    with pytest.raises(ZeroDivisionError), fake(["running"]):
        1 // len(fake.faults)
    with pytest.raises(NotFoundError):
        client.retrieve_job("ft-1")


def test_older_scripts_answer_what_the_innermost_cannot(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A call that the inner script does not answer goes to the outer script, which stays strict."""
    fake({"retrieve_job": ["failed"]}, strict=True)
    with fake({"create_job": ["queued"]}):
        assert client.retrieve_job("ft-1").status == "failed"
        with pytest.raises(Exception, match="the strict script has no answer left"):
            client.list_jobs()


def test_nothing_stray_without_answers(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """An empty script with prevent_stray refuses every call until it is stopped."""
    script = fake([]).prevent_stray()
    with pytest.raises(Exception, match="the strict script has no answer left"):
        client.list_jobs()
    script.stop()
    assert list(client.list_jobs()) == []


def test_functions_that_were_asked_are_not_left_over(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A function counts as unused until its first call, and items of ended scripts count as unused."""
    fake({"retrieve_job": lambda call: "running"})
    with fake(lambda call: None):
        with pytest.raises(AssertionError, match=r"retrieve_job: <function .*\n  any operation: <function") as caught:
            fake.assert_script_exhausted()
        assert "2 scripted answers" in str(caught.value)
        client.list_jobs()
    client.retrieve_job("ft-1")
    fake.assert_script_exhausted()
    with fake(["failed"]):
        pass
    with pytest.raises(AssertionError, match="any operation: 'failed'"):
        fake.assert_script_exhausted()
    fake.reset()
    with pytest.raises(FakeUsageError, match="there is no script"):
        fake.assert_script_exhausted()


def test_scripts_nest(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """The innermost script answers until its `with` ends, and may be stopped twice."""
    outer = fake({"retrieve_job": ["failed"]})
    with fake({"retrieve_job": ["running"]}) as inner:
        assert not inner.exhausted
        assert client.retrieve_job("ft-1").status == "running"
        assert inner.exhausted
    assert client.retrieve_job("ft-1").status == "failed"
    assert outer.stop() is outer.stop()
    assert outer.exhausted


def test_a_script_that_ends_takes_inner_ones_along(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """Stopping an outer script stops those started after it, and none before it."""
    fake({"retrieve_job": ["failed"]})
    outer = fake({"retrieve_job": ["running"]})
    inner = fake({"retrieve_job": ["queued"]})
    outer.stop()
    inner.stop()
    assert client.retrieve_job("ft-1").status == "failed"


def test_a_whole_job_says_what_it_is_now(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A whole job object with another status is returned as it is, and later responses have model and end."""
    job = client.create_job(fake.add_file(ROWS)["id"], "gpt-4o-mini")
    fake({"retrieve_job": [{**fake.jobs[0], "status": "running"}, {**fake.jobs[0], "user_provided_suffix": "mine"}]})
    assert client.retrieve_job(job.id).status == "running"
    assert client.retrieve_job(job.id).fine_tuned_model is None
    done = client.wait_for_job(job.id)
    assert done.fine_tuned_model
    assert (done.finished_at or 0) > done.created_at
    assert done.raw["user_provided_suffix"] == "mine"


def test_null_is_said_once(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A scripted null model is null once, and the next response has a model."""
    fake({"retrieve_job": [{"status": "succeeded", "fine_tuned_model": None}]})
    assert [client.retrieve_job("ft-1").fine_tuned_model is None for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    "endless", [itertools.repeat("running"), (status for _ in itertools.count() for status in ["running", "queued"])]
)
def test_answers_may_never_end(endless: Any, fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A script may be an endless iterable."""
    fake({"retrieve_job": endless})
    assert {client.retrieve_job("ft-1").status for _ in range(20)} <= {"running", "queued"}


def test_answers_that_are_made_as_they_are_asked_for(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A generator's items are taken one at a time, and its exception is reported as a usage error."""

    def answers() -> Iterator[str]:
        yield "queued"
        yield "running"
        raise KeyError("mine")

    fake({"retrieve_job": answers()})
    assert client.retrieve_job("ft-1").status == "queued"
    with pytest.raises(AssertionError, match="retrieve_job: 'running'"):
        fake.assert_script_exhausted()
    assert client.retrieve_job("ft-1").status == "running"
    with pytest.raises(Exception, match=r"cannot be made: KeyError\('mine'\)"):
        client.retrieve_job("ft-1")


def test_what_is_left_is_told(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """assert_script_exhausted lists unused items, and passes without any."""
    fake({"retrieve_job": ["running"], "create_job": ["queued"]})
    client.retrieve_job("ft-1")
    with pytest.raises(AssertionError, match="1 scripted answers were never asked for:\n  create_job: 'queued'"):
        fake.assert_script_exhausted()
    client.create_job("file-abc", "gpt-4o-mini")
    fake.assert_script_exhausted()


def test_reset_forgets_scripts(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """A reset ends all scripts and forgets their jobs."""
    fake([JOB, "failed"])
    client.create_job("file-abc", "gpt-4o-mini")
    fake.reset()
    with pytest.raises(NotFoundError):
        client.retrieve_job("ft-1")


@pytest.mark.parametrize("responses", ["queued", {"status": "queued"}, {"retrieve_jobs": []}, 5, {"create_job": "x"}])
def test_what_is_no_script_is_refused_at_once(responses: Any, fake: FakeFineTuning) -> None:
    """A text, a number, or a mapping with an unknown operation is a usage error at once."""
    with pytest.raises(FakeUsageError, match=r"must be a list of answers|unknown operation"):
        fake(responses)


def test_requests_are_in_the_log_with_what_was_answered(fake: FakeFineTuning, client: FineTuningClient) -> None:
    """Scripted responses, exceptions and broken connections are in the request log."""
    fake(["queued", RateLimitError("x"), APIConnectionError("y")])
    client.create_job("file-abc", "gpt-4o-mini")
    for _ in range(2):
        with pytest.raises(Exception, match=r"."):
            client.retrieve_job("ft-1")
    assert [(each.operation, each.status) for each in fake.requests] == [
        ("create_job", 200),
        ("retrieve_job", 429),
        ("retrieve_job", 0),
    ]


def test_a_socket_is_told_the_same(fake: FakeFineTuning) -> None:
    """Scripted statuses and exceptions also work over a socket."""
    with fake.serving() as url, FineTuningClient("fake", base_url=url, max_retries=0) as client:
        fake(["running", APIConnectionError("lost")])
        assert client.retrieve_job("ft-1").status == "running"
        with pytest.raises(APIConnectionError):
            client.retrieve_job("ft-1")


def test_ids_for_scripts_are_always_the_same() -> None:
    """fake_id always returns the same id for the same name."""
    assert FakeFineTuning.fake_id("file-abc") == FakeFineTuning.fake_id("file-abc") == "ftjob-fake-0e14526eaf58"


@pytest.mark.parametrize("identifier", [["a"], {"a": 1}, 7])
@pytest.mark.parametrize(("method", "script"), [("GET", "list_jobs"), ("POST", "create_job")])
def test_an_id_is_a_text(fake: FakeFineTuning, http: httpx.Client, method: str, script: str, identifier: Any) -> None:
    """A scripted job whose id is not a string is a usage error."""
    item = {"id": identifier, "status": "running"}
    fake({script: [[item] if script == "list_jobs" else item]})
    body = {"model": "gpt-4o-mini", "training_file": fake.add_file(ROWS)["id"]}
    answer = http.request(method, "/fine_tuning/jobs", json=body if method == "POST" else None)

    assert (answer.status_code, answer.json()["fake_error"]) == (
        400,
        f"a scripted job's id must be a string, got {identifier!r}",
    )
