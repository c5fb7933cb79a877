"""The request log: what is kept of a request, what is not, and how it is found again."""

from __future__ import annotations

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.request_log import BODY_BYTES_AT_MOST, ENTRIES_AT_MOST
from strategies import BORN, FORM, KEY, ROWS, Http, form

JOBS = "/fine_tuning/jobs"


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake."""
    return Http(FakeFineTuning(start=BORN))


def test_what_is_kept(http: Http) -> None:
    """A request is logged with operation, time, body and response, oldest first, and control requests are not."""
    file = http.file()
    http.json("GET", "/_fake")
    reply = http.send("POST", f"{JOBS}?x=1", {"model": "gpt-9", "training_file": file})

    found = http.json("GET", "/_fake/requests")

    assert (found["total"], [each["number"] for each in found["requests"]]) == (2, [1, 2])
    last = found["requests"][-1]
    assert last == {
        "number": 2,
        "at": BORN,
        "operation": "create_job",
        "method": "POST",
        "path": "/v1/fine_tuning/jobs",
        "query": "x=1",
        "headers": {"authorization": "[redacted]"},
        "body": json.dumps({"model": "gpt-9", "training_file": file}),
        "status": 400,
        "answer": reply.body.decode(),
        "fault": None,
    }
    assert [each.number for each in http.fake.requests] == [1, 2]


def test_filters(http: Http) -> None:
    """The log is filtered by operation, status and number of entries, all at once."""
    file = http.file()
    http.send("GET", f"/files/{file}")
    http.send("GET", "/files/none")
    http.send("GET", "/nothing")

    def numbers(query: str) -> list[int]:
        return [each["number"] for each in http.json("GET", f"/_fake/requests?{query}")["requests"]]

    assert numbers("") == [1, 2, 3, 4]
    assert numbers("operation=retrieve_file") == [2, 3]
    assert numbers("status=404") == [3, 4]
    assert numbers("status=404&operation=retrieve_file") == [3]
    assert numbers("limit=1") == [4]
    assert numbers("limit=99") == [1, 2, 3, 4]
    assert numbers("limit=0") == []
    assert numbers("operation=nothing") == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("page=2", "unknown parameter 'page'; expected one of: operation, status, limit"),
        ("limit=-1", "limit must be a whole number, got '-1'"),
        ("limit=", "limit must be a whole number, got ''"),
        ("status=ok", "status must be a whole number, got 'ok'"),
        ("limit=" + "9" * 5000, "must be a whole number"),
    ],
)
def test_filters_that_are_none(http: Http, query: str, words: str) -> None:
    """An unknown or invalid filter is refused by name."""
    assert words in http.json("GET", f"/_fake/requests?{query}", status=400)["fake_error"]


CANARY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    "header",
    [
        *("Authorization", "authorization", "AUTHORIZATION", "api-key", "Api-Key", "X-Api-Key"),
        *("Cookie", "Proxy-Authorization", "x-portkey-api-key", "ocp-apim-subscription-key", "x-litellm-api-key"),
        *("x-goog-api-key", "helicone-auth", "X-Auth-Token", "x-authtoken", "X-AMZ-Security-Token", "Authentication"),
        *("x-forwarded-access-token", "cf-access-client-secret", "any-other"),
    ],
)
def test_keys_are_not_kept(header: str) -> None:
    """A key appears nowhere in the log, whichever header it came in and whatever was answered."""
    http = Http(FakeFineTuning(start=BORN, api_keys=["right"]))
    headers = [(header.encode(), f"Bearer {CANARY}".encode())]

    for path in ("/models", "/nothing", "/files/none"):
        http.send("GET", path, None, headers)
        http.send("GET", path, None, [*headers, (b"authorization", b"Bearer right")])

    log = http.send("GET", "/_fake/requests").body.decode()
    assert len(json.loads(log)["requests"]) == 6
    assert CANARY not in log
    assert "right" not in log
    assert CANARY not in repr(http.fake.requests)


@pytest.mark.parametrize(
    "query",
    [
        *(f"api-key={CANARY}", f"limit=2&access_token={CANARY}", f"key={CANARY}", f"api%2Dkey={CANARY}"),
        *(f"x={CANARY}", f"x=see%20{CANARY}", f"x={CANARY.replace('-', '%2D')}"),
        f"x=https%3A%2F%2Fhost%2F%3Fapi_key%3D{CANARY[3:]}",
    ],
)
def test_keys_in_a_query_are_not_kept(http: Http, query: str) -> None:
    """A key in the query appears nowhere in the log, nor in a report; what else is in the query does."""
    http.send("GET", f"/models?{query}")

    log = http.send("GET", "/_fake/requests").body.decode()
    shown = log + repr(http.fake.requests) + repr(http.fake.calls) + http.fake.describe()
    assert CANARY[3:] not in shown.replace("%2D", "-")
    assert query.partition("=")[0] in log


@pytest.mark.parametrize("path", [f"/files/{CANARY}", f"/nothing/{CANARY}", f"/{CANARY}/models"])
def test_keys_in_a_path_are_not_shown(http: Http, path: str) -> None:
    """What looks like a key in the path, as of a gateway, is in neither the log nor a line of a call."""
    http.send("GET", path)

    shown = http.send("GET", "/_fake/requests").body.decode() + repr(http.fake.calls) + http.fake.describe()
    assert CANARY not in shown


def test_keys_in_the_address_of_a_page_are_not_kept(http: Http) -> None:
    """A header that is a URL is kept without the secrets in the URL's query."""
    http.send("GET", "/models", None, [KEY, (b"referer", b"http://page.example/?access_token=word&page=2")])

    assert http.fake.requests[0].headers["referer"] == "http://page.example/?access_token=[redacted]&page=2"


def test_a_key_that_a_long_body_was_cut_in_is_not_shown(http: Http) -> None:
    """The log cuts long bodies; the beginning of a secret before the cut is hidden as the whole is."""
    start = '{"note": "' + "x" * (BODY_BYTES_AT_MOST - 40) + '", "api_key": "'
    http.send("POST", JOBS, f'{start}{"s3cret" * 20}"}}'.encode())

    assert "s3cret" not in http.send("GET", "/_fake/requests").body.decode()


def test_harmless_headers_and_parameters_are_kept(http: Http) -> None:
    """Headers and parameters that are not keys are logged unchanged, even if their names resemble one."""
    headers = [KEY, (b"idempotency-key", b"nightly"), (b"openai-organization", b"org-1"), (b"x-stainless-os", b"Linux")]
    http.send("GET", f"{JOBS}?limit=5&metadata[token]=word&after=ftjob-1", None, headers)

    (entry,) = http.fake.requests
    assert entry.query == "limit=5&metadata[token]=word&after=ftjob-1"
    assert entry.headers == {
        "authorization": "[redacted]",
        "idempotency-key": "nightly",
        "openai-organization": "org-1",
        "x-stainless-os": "Linux",
    }


LEAKY = [
    {"integrations": [{"type": "wandb", "wandb": {"project": "p", "api_key": CANARY}}]},
    {"integrations": [{"type": "wandb", "wandb": {"project": "p", "api_key": "p/q+r"}}]},
    {"metadata": {"hf_token": CANARY}},
    {"metadata": {"note": f"with {CANARY}"}},
    {"metadata": {"settings": json.dumps({"client_secret": "p/q+r"})}},
    {"suffix": CANARY},
]


@pytest.mark.parametrize("members", LEAKY, ids=json.dumps)
def test_keys_in_a_body_are_not_shown(http: Http, members: dict[str, Any]) -> None:
    """A key in a body is shown neither in it nor in the response, and assertions can still use it."""
    http.send("POST", JOBS, {"model": "gpt-4o-mini", "training_file": http.file(), **members})
    http.send("GET", JOBS)

    shown = http.send("GET", "/_fake/requests").body.decode()
    for text in (shown, repr(http.fake.requests), repr(http.fake.calls), http.fake.describe()):
        assert CANARY not in text
        assert "p/q+r" not in text
    assert http.fake.calls[1].options.items() >= members.items()


def test_keys_in_a_body_that_is_no_json_are_not_shown(http: Http) -> None:
    """A key in a body that cannot be parsed, or was cut, is not shown."""
    long = json.dumps({"api_key": "p/q+r", "model": "m" * BODY_BYTES_AT_MOST})
    http.send("POST", JOBS, long.encode())
    http.send("POST", JOBS, b'{"api_key": "p/q+r"')

    assert b"p/q+r" not in http.send("GET", "/_fake/requests").body


def test_long_bodies_are_cut(http: Http) -> None:
    """At most 64 kB of a body or response are kept, and nothing of a file's content."""
    long = json.dumps({"model": "m" * (3 * BODY_BYTES_AT_MOST), "training_file": "x" * (3 * BODY_BYTES_AT_MOST)})
    http.send("POST", JOBS, long.encode())
    http.send("POST", "/files", form(ROWS.encode()), (KEY, FORM))
    file = http.file()
    http.send("GET", f"/files/{file}/content")

    creation, upload, _, download = http.fake.requests
    assert creation.body == long.encode()[:BODY_BYTES_AT_MOST]
    assert len(creation.answer) == BODY_BYTES_AT_MOST
    assert upload.body == download.answer == b""


def test_long_forms_are_cut(http: Http) -> None:
    """The fields of a form are cut like a body, and the file's name and size are kept."""
    field = b'--B\r\nContent-Disposition: form-data; name="field%02d"\r\n\r\n' + b"a" * 60_000 + b"\r\n"
    for ending in (b"", b"b"):
        fields = b"".join(field % number for number in range(60))
        http.send("POST", "/files", fields[:-2] + ending + b"\r\n" + form(ROWS.encode()), (KEY, FORM))
    http.send("POST", "/files", form(ROWS.encode()), (KEY, FORM))

    long, _, short = http.fake.requests
    assert long.form is not None
    assert sum(len(name) + len(str(value)) for name, value in long.form.items()) < BODY_BYTES_AT_MOST + 100
    assert (long.form["filename"], long.form["bytes"]) == ("train.jsonl", len(ROWS))
    assert long.form["field00"] == "a" * 60_000
    assert [each.whole for each in http.fake.calls] == [False, False, True]
    assert short.form == {"purpose": "fine-tune", "filename": "train.jsonl", "bytes": len(ROWS)}


def test_old_requests_are_forgotten(http: Http) -> None:
    """The log keeps the newest thousand requests, and counts them all."""
    for _ in range(ENTRIES_AT_MOST + 5):
        http.send("GET", "/nothing")

    found = http.json("GET", "/_fake/requests")
    assert found["total"] == ENTRIES_AT_MOST + 5
    assert [found["requests"][place]["number"] for place in (0, -1)] == [6, ENTRIES_AT_MOST + 5]


def test_many_threads_are_counted_in_order() -> None:
    """Concurrent requests are logged once each, in the order of their numbers."""
    fake = FakeFineTuning()
    with ThreadPoolExecutor(8) as pool, httpx.Client(transport=fake.transport(), base_url="http://fake/v1") as client:
        list(pool.map(lambda _: client.get("/models", headers={"authorization": "Bearer k"}), range(200)))
    assert [each.number for each in fake.requests] == list(range(1, 201))


def test_callers_are_told_apart() -> None:
    """Each connection, and each thread in process, is a separate caller."""
    fake = FakeFineTuning()
    with fake.serving() as url:
        for _ in range(2):
            with httpx.Client(base_url=url, headers={"authorization": "Bearer k"}) as client:
                for _ in range(2):
                    client.get("/models")
    with ThreadPoolExecutor(1) as pool, httpx.Client(transport=fake.transport(), base_url="http://fake/v1") as client:
        list(pool.map(lambda _: client.get("/models"), range(2)))
        client.get("/models")
    callers = [each.caller for each in fake.requests]

    assert [callers.index(caller) for caller in callers] == [0, 0, 2, 2, 4, 4, 6]


def test_a_path_is_kept_as_it_was_sent() -> None:
    """The log has the path both as it was sent and as it is routed."""
    fake = FakeFineTuning(dialect="azure-2025")
    with httpx.Client(transport=fake.transport(), base_url="http://fake") as client:
        client.get("/openai/models/a%2Fb?api-version=1", headers={"api-key": "k"})

    assert (fake.requests[0].raw_path, fake.requests[0].path) == (b"/openai/models/a%2Fb", "/v1/models/a%2Fb")


def test_an_answer_takes_its_own_size(http: Http) -> None:
    """A logged answer takes no more memory than its bytes, whatever the buffer in which it was written."""
    body = {"model": "gpt-4o-mini", "training_file": http.file()}
    path = f"{JOBS}/{http.json('POST', JOBS, body)['id']}"
    answers = len(http.send("GET", path).body)
    tracemalloc.start()
    try:
        for _ in range(100):
            http.send("GET", path)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(http.fake.requests) == 103
    assert kept / 100 < answers + 3_000
