"""Any response of a service or proxy, and any argument of a caller, leads to a result or a documented error."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from tempfile import NamedTemporaryFile
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_client import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    AsyncFineTuningClient,
    FineTuningClient,
    FineTuningError,
    InternalServerError,
    NotFoundError,
)

JOB = {"id": "ftjob-1", "status": "succeeded", "model": "m", "training_file": "f", "created_at": 1}
EVENT = {"id": "ftevent-1", "message": "hello", "created_at": 1, "level": "info"}
POINT = {"id": "ftckpt_1", "step_number": 1, "created_at": 1, "metrics": {}}
FILE = {"id": "file-1", "filename": "a.jsonl", "bytes": 3, "created_at": 1, "purpose": "fine-tune"}
MODEL = {"id": "m"}
GONE = {"id": "m", "deleted": True}

# By verb: how it is called, the object that it reads, and whether it reads a list of those.
ANSWERED: dict[str, tuple[tuple[Any, ...], dict[str, Any], bool]] = {
    "create_job": (("f", "m"), JOB, False),
    "list_jobs": ((), JOB, True),
    "retrieve_job": (("x",), JOB, False),
    "cancel_job": (("x",), JOB, False),
    "pause_job": (("x",), JOB, False),
    "resume_job": (("x",), JOB, False),
    "list_job_events": (("x",), EVENT, True),
    "list_job_checkpoints": (("x",), POINT, True),
    "upload_file": ((b"{}",), FILE, False),
    "list_files": ((), FILE, True),
    "retrieve_file": (("x",), FILE, False),
    "delete_file": (("x",), GONE, False),
    "list_models": ((), MODEL, True),
    "retrieve_model": (("x",), MODEL, False),
    "delete_model": (("x",), GONE, False),
    "iter_jobs": ((), JOB, True),
    "iter_job_events": (("x",), EVENT, True),
    "iter_job_checkpoints": (("x",), POINT, True),
    "iter_files": ((), FILE, True),
    "wait_for_job": (("x",), JOB, False),
    "follow_job_events": (("x",), JOB, False),
    "result_metrics": (("x",), JOB, False),
}
FIRST = [
    verb for verb, (_, _, is_list) in ANSWERED.items() if not verb.startswith(("iter", "wait", "follow", "result"))
]

Answer = Callable[[httpx.Request], httpx.Response]


def settings() -> dict[str, Any]:
    """The arguments of a client that neither sleeps nor retries."""
    return {"provider": "fake", "sleep": lambda seconds: None, "max_retries": 0}


def ask_blocking(answer: Answer, verb: str, *arguments: Any, **given: Any) -> Any:
    """Call a method of a blocking client and exhaust its result."""
    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        result = getattr(FineTuningClient(**settings(), http_client=http), verb)(*arguments, **given)
        return list(result) if inspect.isgenerator(result) else result


def ask_awaited(answer: Answer, verb: str, *arguments: Any, **given: Any) -> Any:
    """Call a method of an async client and exhaust its result."""

    async def ask() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            result = getattr(AsyncFineTuningClient(**settings(), http_client=http), verb)(*arguments, **given)
            return [each async for each in result] if inspect.isasyncgen(result) else await result

    return asyncio.run(ask())


@pytest.fixture(params=[ask_blocking, ask_awaited])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call a method of the blocking or of the async client."""
    return cast("Callable[..., Any]", request.param)


def answering(status: int, content: bytes = b"", **headers: str) -> Answer:
    """Return a handler that always sends the same response, with a request id."""
    return lambda request: httpx.Response(status, content=content, headers={"x-request-id": "req_1", **headers})


USELESS = {
    "nothing": b"",
    "html": b"<!doctype html><title>Sign in</title>",
    "null": b"null",
    "list": b"[]",
    "text": b'"ok"',
    "number": b"7",
    "empty object": b"{}",
    "an error": b'{"error": {"message": "no"}}',
    "half": b'{"id": "ftjob-1", "sta',
    "utf-16": '{"id"'.encode("utf-16"),
    "bytes": b"\xff\x00\xfe",
    "deep": b"[" * 99_999,
    "many digits": b"9" * 9_999,
}


@pytest.mark.parametrize("verb", ANSWERED)
def test_a_useless_body_names_its_origin(ask: Callable[..., Any], verb: str) -> None:
    """The error for a successful status with an unusable body names provider, status and request id."""
    for status, content in [(204, b""), *((200, content) for content in USELESS.values())]:
        with pytest.raises(APIResponseError) as caught:
            ask(answering(status, content), verb, *ANSWERED[verb][0])
        error = caught.value
        assert (error.provider, error.status_code, error.request_id) == ("fake", status, "req_1")
        assert str(error).startswith(f"fake answered {status} with a body that cannot be used: ")
        assert str(error).endswith(" (request req_1)")


@pytest.mark.parametrize("verb", FIRST)
def test_a_field_that_is_missing_or_wrong_is_named(ask: Callable[..., Any], verb: str) -> None:
    """A required field that is missing, null or of the wrong type is an error that names the field."""
    arguments, item, is_list = ANSWERED[verb]

    def refused(body: dict[str, Any], field: str) -> None:
        sent = {"object": "list", "data": [item, body], "has_more": False} if is_list else body
        with pytest.raises(APIResponseError, match=f"{field!r}.*req_1"):
            ask(answering(200, json.dumps(sent).encode()), verb, *arguments)

    for field in sorted(set(item) - {"metrics", "level"}):
        refused({name: value for name, value in item.items() if name != field}, field)
        refused(item | {field: None}, field)
        refused(item | {field: [item[field]]}, field)


@pytest.mark.parametrize("verb", [verb for verb, (_, _, is_list) in ANSWERED.items() if is_list])
def test_a_list_that_is_none(ask: Callable[..., Any], verb: str) -> None:
    """A list response whose `data` is not an array of objects is an error."""
    nones: list[Any] = [None, {}, "x", 7, [7], [None], [[]], ["x"]]
    for data in nones:
        body = json.dumps({"object": "list", "data": data, "has_more": False}).encode()
        with pytest.raises(APIResponseError):
            ask(answering(200, body), verb, *ANSWERED[verb][0])


@pytest.mark.parametrize("verb", [verb for verb, (_, _, is_list) in ANSWERED.items() if is_list])
def test_a_list_with_odd_cursors_ends(ask: Callable[..., Any], verb: str) -> None:
    """A list whose cursors are not strings, or repeat, is read without looping forever."""
    arguments, item, _ = ANSWERED[verb]
    odds: list[Any] = [[], {}, 7, None]
    for odd in odds:
        body = {"object": odd, "data": [item], "has_more": True, "first_id": odd, "last_id": odd}
        found = ask(answering(200, json.dumps(body).encode()), verb, *arguments)
        assert len(found) == (2 if verb.startswith("iter") else 1)


def test_lists_that_go_round_come_to_an_end(ask: Callable[..., Any]) -> None:
    """A service whose page cursors form a cycle is asked for each page once."""

    def answer(request: httpx.Request) -> httpx.Response:
        name = {"a": "b", "b": "c", "c": "b"}.get(request.url.params.get("after", ""), "a")
        if request.url.path.endswith("/x"):
            return httpx.Response(200, json=JOB)
        return httpx.Response(200, json={"data": [EVENT | JOB | {"id": name}], "has_more": True})

    assert [job.id for job in ask(answer, "iter_jobs")] == ["a", "b", "c", "b"]
    assert [event.id for event in ask(answer, "follow_job_events", "x")] == ["c", "b", "a"]


SHAPES = {
    "OpenAI": {"error": {"message": "no such thing", "type": "invalid_request_error", "param": None, "code": None}},
    "Azure": {"error": {"code": "NotFound", "message": "no such thing", "innererror": {"code": "x"}}},
    "gateway": {"code": "NotFound", "message": "no such thing"},
    "FastAPI": {"detail": "no such thing"},
    "FastAPI, nested": {"detail": [{"loc": ["body", "model"], "msg": "no such thing", "type": "missing"}]},
    "Google": {"error": {"code": 404, "message": "no such thing", "status": "NOT_FOUND", "details": [{"@type": "x"}]}},
    "Google, in a list": [{"error": {"code": 404, "message": "no such thing", "status": "NOT_FOUND"}}],
    "Anthropic": {"type": "error", "error": {"type": "not_found_error", "message": "no such thing"}},
    "problem": {"type": "about:blank", "title": "no such thing", "status": 404},
    "plain": "no such thing",
    "plain in an object": {"error": "no such thing"},
    "lists in lists": {"detail": [["no such thing"]]},
    "errors": {"errors": [{"message": "no such thing"}]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [400, 404, 502])
def test_refusals_of_every_shape(ask: Callable[..., Any], shape: str, status: int) -> None:
    """The message is found in every vendor's error format, and the error has provider, status and request id."""
    with pytest.raises(APIStatusError) as caught:
        ask(answering(status, json.dumps(SHAPES[shape]).encode()), "retrieve_job", "x")
    error = caught.value
    assert (error.provider, error.status_code, error.request_id) == ("fake", status, "req_1")
    assert "no such thing" in str(error)
    assert "{" not in str(error)
    assert {type(error.code), type(error.type), type(error.param)} <= {str, type(None)}


@pytest.mark.parametrize("verb", ANSWERED)
def test_a_proxy_in_the_way(ask: Callable[..., Any], verb: str) -> None:
    """An HTML page from a proxy that cannot reach the service becomes an error that quotes the page."""
    page = b"<html>\n<head><title>502 Bad Gateway</title></head></html>"
    with pytest.raises(InternalServerError, match=r"fake answered 502: <html> <head><title>502 Bad Gateway.*req_1"):
        ask(answering(502, page, **{"Content-Type": "text/html"}), verb, *ANSWERED[verb][0])


@pytest.mark.parametrize("verb", [*ANSWERED, "download_file"])
def test_a_body_that_cannot_be_decompressed(ask: Callable[..., Any], verb: str) -> None:
    """A body that claims to be gzip but is not raises APIConnectionError from every method."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    with pytest.raises(APIConnectionError, match="no answer from fake") as caught:
        ask(answer, verb, *(ANSWERED[verb][0] if verb in ANSWERED else ("x",)))
    assert caught.value.provider == "fake"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["x", "running"]),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from([*JOB, "error"]), each, max_size=5),
    max_leaves=8,
)
OPTIONAL = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["result_files", "error", "metadata", "hyperparameters", "data", "provider"], JSON)
)


CHOICES: dict[str, dict[str, Any]] = {
    "wait_for_job": {"raise_on_failure": True},
    "create_job": {"idempotency_key": "a"},
}


@given(body=JSON, odd=OPTIONAL, is_job=st.booleans(), status=st.sampled_from([200, 201, 400, 500]))
def test_any_answer_at_all(body: Any, odd: dict[str, Any], is_job: bool, status: int) -> None:
    """For any JSON response an operation returns a result or raises a FineTuningError."""
    content = json.dumps({**JOB, **odd, "status": "failed"} if is_job else body).encode()
    for verb in ("result_metrics", "wait_for_job", "follow_job_events", "create_job"):
        try:
            ask_blocking(answering(status, content), verb, *ANSWERED[verb][0], **CHOICES.get(verb, {}))
        except FineTuningError:
            pass


@pytest.mark.parametrize("files", [7, True, {"a": 1}, "file-1", [7], [None], [""], ["a/b"], [["x"]]])
def test_result_files_that_are_none(ask: Callable[..., Any], files: Any) -> None:
    """A job whose result_files are not ids raises an error that carries the job."""
    body = json.dumps(JOB | {"result_files": files}).encode()
    with pytest.raises(FineTuningError, match=r"result[ _]files? ") as caught:
        ask(answering(200, body), "result_metrics", "x")
    assert caught.value.job is not None


IDS: list[Any] = ["", " ", "\n", "a/b", "/", "..", ".", None, 7, b"ftjob-1", ["x"], True]
BY_ID = [verb for verb, (arguments, _, _) in ANSWERED.items() if arguments == ("x",)] + ["download_file"]


@pytest.mark.parametrize("verb", BY_ID)
def test_an_id_that_is_none(ask: Callable[..., Any], verb: str) -> None:
    """An empty, non-string or path-changing id is a ValueError from every method, and nothing is sent."""
    for bad in IDS:
        with pytest.raises(ValueError, match="_id must be") as caught:
            ask(unreachable, verb, bad)
        assert not isinstance(caught.value, APIError)


@pytest.mark.parametrize("bad", ["", " ", None, 7, b"x"])
def test_a_name_that_is_none(ask: Callable[..., Any], bad: Any) -> None:
    """An empty or non-string training file, model or `since` is a ValueError, and nothing is sent."""
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("create_job", (bad, "m"), {}),
        ("create_job", ("f", bad), {}),
        *([("follow_job_events", ("x",), {"since": bad})] if bad is not None else []),
    ]
    for verb, arguments, keywords in calls:
        with pytest.raises(ValueError, match="must be a non-empty string"):
            ask(unreachable, verb, *arguments, **keywords)


def unreachable(request: httpx.Request) -> httpx.Response:
    """Fail the test, since nothing should be sent."""
    raise AssertionError(f"sent {request.method} {request.url}")


@pytest.mark.parametrize(
    ("verb", "arguments", "given"),
    [
        ("list_jobs", (), {"after": ""}),
        ("list_jobs", ({"after": 7},), {}),
        ("list_job_events", ("x",), {"after": JOB}),
        ("list_files", (), {"after": " "}),
        ("create_job", ("f", "m"), {"validation_file": ""}),
        ("create_job", ("f", "m", {"validation_file": JOB}), {}),
        ("retrieve_job", ("x" * 70_000,), {}),
        ("check_training_file", (b"{}",), {"model": 5}),
    ],
)
def test_an_id_anywhere_is_checked(
    ask: Callable[..., Any], verb: str, arguments: tuple[Any, ...], given: dict[str, Any]
) -> None:
    """An invalid cursor or validation file id is refused in a short message before anything is sent."""
    with pytest.raises(ValueError, match="must be a") as caught:
        ask(answering(500), verb, *arguments, **given)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("verb", "arguments"), [("list_jobs", ("ftjob-1",)), ("create_job", ("f", "m", ["suffix"]))])
def test_options_that_are_none(ask: Callable[..., Any], verb: str, arguments: tuple[Any, ...]) -> None:
    """An id passed in place of the options mapping is a TypeError that names `options`."""
    with pytest.raises(TypeError, match="options must be a mapping, got"):
        ask(answering(500), verb, *arguments)


@pytest.mark.parametrize("verb", ["upload_file", "check_training_file"])
def test_a_file_of_text_in_disguise(ask: Callable[..., Any], verb: str) -> None:
    """A text file that looks like a binary one until it is read is refused with a TypeError."""
    with NamedTemporaryFile("w+") as file:
        file.write('{"messages": []}')
        file.flush()
        with pytest.raises(TypeError, match="file must be open for reading bytes, got str"):
            ask(answering(200, json.dumps(FILE).encode()), verb, file)


def test_what_came_is_told(ask: Callable[..., Any]) -> None:
    """An error about an HTML page quotes its beginning and content type, and keeps the whole body."""
    page = b"<!doctype html><title>Sign in</title>"
    with pytest.raises(APIResponseError, match="it is text/html: <!doctype html><title>Sign in") as caught:
        ask(answering(200, page, **{"content-type": "text/html"}), "retrieve_job", "x")
    assert caught.value.body == page.decode()
    with pytest.raises(APIStatusError, match="301: it is at http://elsewhere/, and the key goes nowhere") as moved:
        ask(answering(301, b"", location="http://elsewhere/"), "retrieve_job", "x")
    assert moved.value.status_code == 301


def test_a_result_file_that_is_gone_tells_of_its_job(ask: Callable[..., Any]) -> None:
    """The error for a result file that does not exist carries the job it belongs to."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if "/files/" in request.url.path else httpx.Response(200, json=job)

    job = JOB | {"result_files": ["file-gone"]}
    with pytest.raises(NotFoundError) as caught:
        ask(answer, "result_metrics", "x")
    assert caught.value.job is not None
    assert caught.value.job.id == "ftjob-1"
