"""Invalid bodies, ids, cursors, limits and keys are refused on every route."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, FORM, KEY, ROWS, Http, everything, form

JOBS = "/fine_tuning/jobs"


@pytest.fixture
def fake() -> FakeFineTuning:
    """A fake at a fixed time."""
    return FakeFineTuning(start=BORN)


@pytest.fixture
def http(fake: FakeFineTuning) -> Http:
    """Raw requests to the fake."""
    return Http(fake)


def refused(http: Http, method: str, path: str, body: Any = None, status: int = 400) -> Any:
    """Send a request that must be refused and change nothing; return the error."""
    before = everything(http.fake)
    reply = http.send(method, path, body)
    assert reply.status == status, (reply.status, reply.body)
    assert everything(http.fake) == before
    return json.loads(reply.body)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"5", b'"x"', b"null", b"true", b"\xff\xfe", b'{"model": NaN}', b'{"model": 1e999}'),
        *(b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"model":' * 100_000 + b"1" + b"}" * 100_000),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_object(http: Http, body: bytes) -> None:
    """A body that is not a JSON object, or is nested too deeply, is refused as unparsable."""
    error = refused(http, "POST", JOBS, body)["error"]

    assert error["message"].startswith("We could not parse the JSON body of your request. (HINT: ")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)


def test_a_value_nested_deeper_than_python_prints(http: Http) -> None:
    """A deeply nested value is refused like any value of a wrong type."""
    nested = b"[" * 1000 + b"]" * 1000

    error = refused(http, "POST", JOBS, b'{"training_file": "f", "model": ' + nested + b"}")["error"]

    assert error["param"] == "model"
    assert error["message"].endswith(", input should be a valid string")


def test_a_body_past_the_limit(http: Http) -> None:
    """A JSON body of more than 8 MB is refused with 413."""
    error = refused(http, "POST", JOBS, b'{"model": "' + b"x" * (8 << 20) + b'"}', status=413)["error"]

    assert error["message"] == "Maximum content size limit (8388608) exceeded (8388609 bytes read)"
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)


def test_magic_metadata_that_makes_no_plan(http: Http) -> None:
    """Invalid control keys in metadata are the fake's own error, which lists the valid ones."""
    file = http.file()

    for metadata, words in [
        ({"fake_mood": "bad"}, "unknown control key of metadata 'fake_mood'"),
        ({"fake_outcome": "maybe"}, "one of succeeded, failed"),
        ({"fake_queued": "9" * 300}, "must be from 0 to 10000000000 seconds"),
        ({"fake_fail_at": "9" * 300}, "a training step from 1"),
        ({"fake_error": "bad_luck"}, "one of invalid_training_file"),
        ({"fake_curve": "steep"}, "one of healthy, "),
    ]:
        body = {"model": "gpt-4o-mini", "training_file": file, "metadata": metadata}
        assert words in refused(http, "POST", JOBS, body)["fake_error"]


def test_the_official_sdk_raises_its_typed_errors(fake: FakeFineTuning, http: Http) -> None:
    """The official SDK raises its typed errors with message, type, param and code."""
    import httpx2

    transport: Any = fake.transport(httpx2)
    with openai.OpenAI(api_key="any", base_url="http://fake/v1", http_client=httpx2.Client(transport=transport)) as sdk:
        with pytest.raises(openai.BadRequestError) as bad:
            sdk.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=http.file(), seed=-1)
        with pytest.raises(openai.NotFoundError) as unknown:
            sdk.fine_tuning.jobs.retrieve("ftjob-none")

    assert (bad.value.param, bad.value.code, bad.value.type) == ("seed", None, "invalid_request_error")
    assert (unknown.value.param, unknown.value.code) == ("fine_tune_id", "fine_tune_not_found")


ODD_IDS = ["none", "a%2Fb", "%2E%2E%2Fjobs", "a%00b", "%D1%84", "%FF", "%0A", "x" * 50_000, "null", "a%20b", "a%3Fb"]
OF_ONE_JOB = [("GET", ""), ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/resume"), ("GET", "/events")]


@pytest.mark.parametrize("identifier", ODD_IDS, ids=lambda value: value[:20])
def test_ids_that_name_nothing(http: Http, identifier: str) -> None:
    """An unknown id is answered with 404 and the service's error on every route."""
    for method, rest in [*OF_ONE_JOB, ("GET", "/checkpoints")]:
        error = refused(http, method, f"{JOBS}/{identifier}{rest}", status=404)["error"]
        assert error["code"] == "fine_tune_not_found"
    for method, rest in [("GET", ""), ("DELETE", ""), ("GET", "/content")]:
        error = refused(http, method, f"/files/{identifier}{rest}", status=404)["error"]
        assert (error["param"], error["code"]) == ("id", None)
    for method in ("GET", "DELETE"):
        error = refused(http, method, f"/models/{identifier}", status=404)["error"]
        assert error["code"] == "model_not_found"


@pytest.mark.parametrize("dialect", ["openai-2025-09", "azure-2025"])
@pytest.mark.parametrize("path", ["/embeddings", "/responses/resp_1", "/vector_stores/vs_1/files"])
def test_what_the_service_has_besides_is_an_error_of_the_test(path: str, dialect: str) -> None:
    """A path that only the real API has is the fake's own error; an unknown path is the service's."""
    fake = FakeFineTuning(start=BORN, dialect=dialect)
    http = Http(fake, is_described=False)
    said = http.json("POST", path, {}, status=404)["fake_error"]
    assert f"fake-fine-tuning does not implement POST /v1{path}; it implements fine-tuning, files" in said
    for unknown in ("/engines", "/embedding", "/files/a/b/c"):
        assert "fake_error" not in http.json("POST", unknown, {}, status=404)
    (told,) = fake.take_usage_errors()
    assert said in told


LISTS = ["/files", JOBS, f"{JOBS}/JOB/events", f"{JOBS}/JOB/checkpoints"]
TOO_LOW = "Invalid 'limit': integer below minimum value. Expected a value >= 0, but got "
TOO_HIGH = "Invalid 'limit': integer above maximum value. Expected a value <= "
NO_NUMBER = "Invalid type for 'limit': expected an integer, but got a string instead."
BAD_LIMITS = {
    "-1": (f"{TOO_LOW}-1 instead.", "integer_below_min_value"),
    "100001": (TOO_HIGH, "integer_above_max_value"),
    **dict.fromkeys(["abc", "", "1e3", "1.0", "--1", "+1", "%20", "%D9%A3", "9" * 5000], (NO_NUMBER, "invalid_type")),
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", BAD_LIMITS, ids=lambda value: value[:8])
def test_limits_that_make_no_page(http: Http, path: str, limit: str) -> None:
    """A limit that is not a whole number from 0 is refused by name on every list."""
    job = http.job()["id"]

    error = refused(http, "GET", f"{path.replace('JOB', job)}?limit={limit}")["error"]

    message, code = BAD_LIMITS[limit]
    assert (error["param"], error["code"]) == ("limit", code)
    assert error["message"].startswith(message)


@pytest.mark.parametrize("path", LISTS)
def test_a_page_of_nothing(http: Http, path: str) -> None:
    """A list with limit 0 is an empty page, after which there is nothing."""
    page = http.json("GET", f"{path.replace('JOB', http.job()['id'])}?limit=0")

    assert (page["data"], page["has_more"], page.get("last_id")) == ([], False, None)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("after", ["none", "", "ftevent-", "ftevent-" + "z" * 24, "%00", "x" * 5000])
def test_cursors_that_name_nothing(http: Http, path: str, after: str) -> None:
    """A cursor that is not in the list is refused with 400 on every list."""
    job = http.job()["id"]

    error = refused(http, "GET", f"{path.replace('JOB', job)}?after={after}")["error"]

    assert error["message"] == "Given after argument was not found in items."
    assert (error["type"], error["param"]) == ("invalid_request_error", "after")


def test_a_cursor_of_another_job(http: Http) -> None:
    """An event of one job is not a cursor for another job's events."""
    one, other = http.job()["id"], http.job()["id"]
    event = http.json("GET", f"{JOBS}/{one}/events")["data"][0]["id"]

    assert refused(http, "GET", f"{JOBS}/{other}/events?after={event}")["error"]["param"] == "after"


def test_a_cursor_into_the_future(fake: FakeFineTuning) -> None:
    """The id of an event that has not happened yet is not a cursor."""
    http = Http(fake)
    job = http.job()["id"]
    other = Http(FakeFineTuning(start=BORN, pace="instant"))
    assert other.job()["id"] == job
    last = other.json("GET", f"{JOBS}/{job}/events?limit=1")["data"][0]["id"]

    assert refused(http, "GET", f"{JOBS}/{job}/events?after={last}")["error"]["param"] == "after"


@pytest.mark.parametrize("order", ["sideways", "", "ASC", "ascending"])
def test_an_order_that_is_none(http: Http, order: str) -> None:
    """An order of files other than asc and desc is refused by name."""
    error = refused(http, "GET", f"/files?order={order}")["error"]

    assert error["message"] == f"Invalid value: '{order}'. Supported values are: 'desc' and 'asc'."
    assert (error["param"], error["code"]) == ("order", "invalid_value")


def test_looking_for_a_purpose_keeps_nothing(fake: FakeFineTuning, http: Http) -> None:
    """Listing files of an unused purpose does not change the account."""
    assert http.json("GET", "/files?purpose=nonsense")["data"] == []
    assert not fake._world.service.account.file_shelf._by_purpose._collected


@pytest.mark.parametrize(("verb", "steps"), [("pause", 0), ("resume", 0), ("resume", 2), ("cancel", 3), ("pause", 3)])
def test_interventions_out_of_turn(http: Http, verb: str, steps: int) -> None:
    """An intervention that the job's status does not allow is refused with 400 and changes nothing."""
    job = http.job()["id"]
    status = "validating_files"
    for _ in range(steps):
        status = http.json("GET", f"{JOBS}/{job}")["status"]

    error = refused(http, "POST", f"{JOBS}/{job}/{verb}")["error"]

    late = "Job has already completed and cannot be cancelled."
    wrong = f'Cannot {verb} a job {job} that already has status "{status}".'
    assert error["message"] == (late if verb == "cancel" else wrong)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Bearer ", b"Token x", b"Basic", b"Basic !", b"Basic \xe9\xe9", b"Basic /w==", b"\xff"],
)
def test_requests_without_a_key(fake: FakeFineTuning, http: Http, header: bytes | None) -> None:
    """A request without a key in Authorization is refused with 401."""
    headers = [] if header is None else [(b"authorization", header)]
    before = everything(fake)

    reply = http.send("POST", "/files", form(ROWS.encode()), [*headers, FORM])

    error = json.loads(reply.body)["error"]
    assert (reply.status, error["type"], error["code"]) == (401, "invalid_request_error", None)
    assert error["message"].startswith("You didn't provide an API key.")
    assert everything(fake) == before


def test_a_key_that_is_not_accepted() -> None:
    """A wrong key is refused with 401, and shown masked."""
    http = Http(FakeFineTuning(start=BORN, api_keys=["right"]))

    replies = [
        http.send("GET", "/models", None, [(b"authorization", value)])
        for value in (b"Bearer sk-wrong-key-1234", b"Basic OnNrLXdyb25nLWtleS0xMjM0", b"Bearer short")
    ]

    texts = [json.loads(reply.body)["error"]["message"].split(".")[0] for reply in replies]
    assert texts == ["Incorrect API key provided: sk-**********1234"] * 2 + ["Incorrect API key provided: *****"]
    assert http.send("GET", "/models", None, [(b"authorization", b"Basic OnJpZ2h0")]).status == 200


ACCOUNT: Any = {"organization_id": "org-mine", "project": "proj_mine"}
MISMATCHES = {
    "organization": ("org-other", "OpenAI-Organization header should match organization for API key"),
    "project": ("proj_other", "OpenAI-Project header should match project for API key"),
}


@pytest.mark.parametrize("kind", MISMATCHES)
@pytest.mark.parametrize("path", ["/fine_tuning/jobs", "/files", "/models"])
def test_another_organization_or_project(path: str, kind: str) -> None:
    """A wrong organization or project is refused with 401, and a wrong key before it."""
    http = Http(FakeFineTuning(start=BORN, api_keys=["right"], **ACCOUNT))
    other, message = MISMATCHES[kind]
    named = (f"openai-{kind}".encode(), other.encode())

    reply = http.send("GET", path, None, [(b"authorization", b"Bearer right"), named])
    wrong = http.send("GET", path, None, [(b"authorization", b"Bearer wrong"), named])

    error = {"message": message, "type": "invalid_request_error", "param": None, "code": f"mismatched_{kind}"}
    assert (reply.status, json.loads(reply.body)) == (401, {"error": error})
    assert (wrong.status, json.loads(wrong.body)["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        (ACCOUNT, {}),
        (ACCOUNT, {"openai-organization": "org-mine", "openai-project": "proj_mine"}),
        (ACCOUNT, {"openai-organization": ""}),
        ({}, {"openai-organization": "org-any", "openai-project": "proj_any"}),
        ({**ACCOUNT, "dialect": "azure-2025"}, {"openai-organization": "org-other"}),
    ],
)
def test_no_other_organization(settings: Any, sent: dict[str, str]) -> None:
    """A missing or matching organization, an account without one, and Azure are not refused."""
    http = Http(FakeFineTuning(start=BORN, **settings), is_described="dialect" not in settings)
    headers = [(b"authorization", b"Bearer any"), *((name.encode(), value.encode()) for name, value in sent.items())]

    assert http.send("GET", "/fine_tuning/jobs", None, headers).status == 200


def sent_messages(fake: FakeFineTuning, scope: dict[str, Any], *messages: dict[str, Any]) -> list[Any]:
    """The messages that the application sends for these received ones."""
    said: list[Any] = []
    left = list(messages)

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        said.append(message)

    coroutine: Any = fake.asgi_app(scope, receive, send)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert not left
    return said


@pytest.mark.parametrize("path", ["/v1/files", "/v1/fine_tuning/jobs", "/v1/nothing"])
@pytest.mark.parametrize("headers", [[], [KEY], [KEY, FORM]])
def test_a_client_that_goes_away(fake: FakeFineTuning, path: str, headers: list[tuple[bytes, bytes]]) -> None:
    """A request whose client disconnects before it is complete gets no response and changes nothing."""
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    before = everything(fake)

    said = sent_messages(
        fake,
        scope,
        {"type": "http.request", "body": form(ROWS.encode())[:100], "more_body": True},
        {"type": "http.disconnect"},
    )

    assert said == []
    assert everything(fake) == before


def test_scopes_of_other_kinds(fake: FakeFineTuning) -> None:
    """Lifespan messages are answered, and web sockets are ignored."""
    said = sent_messages(fake, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})

    assert [message["type"] for message in said] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert sent_messages(fake, {"type": "websocket"}) == []


IN_JSON = [
    JOBS,
    "/uploads",
    "/fine_tuning/alpha/graders/run",
    "/fine_tuning/alpha/graders/validate",
    "/chat/completions",
]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=B", "text/json", "json"]
)
@pytest.mark.parametrize("path", [*IN_JSON, "/completions", "/uploads/x/complete"])
def test_json_under_another_type(http: Http, path: str, kind: str) -> None:
    """A body with a content type other than JSON is refused in the service's words."""
    reply = http.send("POST", path, {}, (KEY, (b"content-type", kind.encode())))

    text = f"Unsupported content type: '{kind}'. This API method only accepts 'application/json' requests, but you "
    text += f"specified the header 'Content-Type: {kind}'. Please try again with a supported content type."
    told = {"message": text, "type": "invalid_request_error", "param": None, "code": "unsupported_content_type"}
    assert (reply.status, json.loads(reply.body)) == (400, {"error": told})


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON", "", None])
def test_json_under_its_own_type(http: Http, kind: str | None) -> None:
    """JSON is accepted with a charset, in any case, and without a content type."""
    headers = [] if kind is None else [(b"content-type", kind.encode())]
    body = {"model": "gpt-4o-mini", "training_file": http.file()}

    assert http.send("POST", JOBS, body, (KEY, *headers)).status == 200


def test_what_needs_no_body_minds_no_type(http: Http) -> None:
    """A request without a body is accepted with any content type."""
    job = http.job()["id"]

    assert http.send("POST", f"{JOBS}/{job}/cancel", b"", (KEY, (b"content-type", b"text/plain"))).status == 200
