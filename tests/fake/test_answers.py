"""Responses as bytes: indentation, floats, line ends and headers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.response import dump
from strategies import BORN, KEY, ROWS, Http

JOBS = "/fine_tuning/jobs"

near = st.floats(1e-7, 1e-3) | st.floats(1e14, 1e24)
numbers = st.floats(allow_nan=False, allow_infinity=False) | near | near.map(lambda value: -value)
finite = numbers.filter(lambda value: not 0 < abs(value) < 1e-4)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | finite | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(values, st.booleans())
def test_json_is_spelt_as_python_does(value: Any, newline: bool) -> None:
    """A response equals `json.dumps` with indentation 2, small floats aside."""
    assert dump(value, newline) == json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n" * newline


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (4.76837158203125e-06, b"4.76837158203125e-6"),  # recording: GetCheckpoints
        (1.180739673145581e-05, b"0.00001180739673145581"),  # recording: GetCheckpoints
        (1e-05, b"0.00001"),
        (0.0001, b"0.0001"),
        (9.999999e-05, b"0.00009999999"),
        (-2.5e-07, b"-2.5e-7"),
        (1e16, b"1e+16"),
        (123456789012345.0, b"123456789012345.0"),
        (0.0, b"0.0"),
        (-0.0, b"-0.0"),
        (1.0, b"1.0"),
        (2, b"2"),
        (5e-324, b"5e-324"),
        (float("nan"), b"null"),
    ],
)
def test_numbers(number: float, text: bytes) -> None:
    """A number is formatted as the service formats it, at any depth."""
    assert dump(number) == text
    assert dump({"a": [{"b": number}]}) == b'{\n  "a": [\n    {\n      "b": ' + text + b"\n    }\n  ]\n}"


def test_small_losses_on_the_wire() -> None:
    """Losses below 0.0001 are formatted alike in events, checkpoints and the result file."""
    http = Http(FakeFineTuning(start=BORN, pace="instant", base64_results=False))
    job = http.job(metadata={"fake_curve": "4.76837158203125e-06,0.5\n4.76837158203125e-06,0.5"})
    done = http.json("GET", f"{JOBS}/{job['id']}")

    for path in ("events", "checkpoints"):
        assert b'"train_loss": 4.76837158203125e-6,' in http.send("GET", f"{JOBS}/{job['id']}/{path}").body
    assert b"\n1,0.0,1.0,,\n" in http.send("GET", f"/files/{done['result_files'][0]}/content").body


ENDINGS = [
    ("GET", "/files", None, True),
    ("GET", "/files/FILE", None, True),
    ("GET", "/files/none", None, True),
    ("DELETE", "/files/FILE", None, True),
    ("GET", JOBS, None, False),
    ("POST", JOBS, {"model": "gpt-4o-mini", "training_file": "FILE"}, False),
    ("POST", JOBS, {}, False),
    ("GET", f"{JOBS}/JOB", None, False),
    ("GET", f"{JOBS}/none", None, False),
    ("GET", f"{JOBS}/JOB/events", None, False),
    ("GET", f"{JOBS}/JOB/checkpoints", None, False),
    ("POST", f"{JOBS}/JOB/cancel", None, False),
    ("POST", f"{JOBS}/JOB/pause", None, False),
    ("GET", "/models", None, False),
    ("GET", "/models/gpt-4o", None, False),
    ("DELETE", "/models/none", None, True),
    ("GET", "/nothing", None, True),
    ("PUT", "/files", None, True),
    ("GET", "/_fake", None, True),
]


@pytest.mark.parametrize(("method", "path", "body", "newline"), ENDINGS, ids=lambda value: str(value)[:30])
def test_how_bodies_end(method: str, path: str, body: Any, newline: bool) -> None:
    """Bodies end with or without a newline by route family, refusals included, and match their content-length."""
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    job = http.job()
    sent = json.dumps(body).replace("FILE", job["training_file"]).encode() if body is not None else b""

    reply = http.send(method, path.replace("FILE", job["training_file"]).replace("JOB", job["id"]), sent)

    headers = dict(reply.headers)
    assert reply.body.endswith(b"}\n") == newline
    assert reply.body.endswith(b"}") != newline
    assert reply.body.rstrip() == json.dumps(json.loads(reply.body), indent=2, ensure_ascii=False).encode()
    assert (headers[b"content-type"], int(headers[b"content-length"])) == (b"application/json", len(reply.body))


SERVICE = [b"openai-processing-ms", b"openai-version", b"x-content-type-options", b"x-request-id"]
ACCOUNT = [b"openai-organization", b"openai-project"]
ANYWHERE = b"access-control-allow-origin"


@pytest.mark.parametrize(
    ("path", "has", "lacks"),
    [
        ("/files", [*SERVICE, *ACCOUNT, ANYWHERE], [b"x-envoy-upstream-service-time"]),
        (JOBS, [*SERVICE, *ACCOUNT, b"x-envoy-upstream-service-time"], [ANYWHERE]),
        ("/models", [*SERVICE, b"x-envoy-upstream-service-time"], [*ACCOUNT, ANYWHERE]),
        ("/nothing", [*SERVICE, ANYWHERE], ACCOUNT),
        ("/_fake", [], [*SERVICE, *ACCOUNT, ANYWHERE]),
    ],
)
def test_headers_by_family(path: str, has: list[bytes], lacks: list[bytes]) -> None:
    """Responses have the headers recorded for their routes, each once, and no rate limit headers."""
    reply = Http(FakeFineTuning(start=BORN)).send("GET", path)

    names = [name for name, _ in reply.headers]
    assert set(has) <= set(names)
    assert not {*lacks, b"x-ratelimit-limit-requests", b"server"} & set(names)
    assert len(names) == len(set(names))


def test_errors_of_files_have_a_twin() -> None:
    """An error of a file route has a member `detail`, and errors of other routes do not."""
    http = Http(FakeFineTuning(start=BORN))

    assert list(http.json("GET", "/files/none", status=404)) == ["error", "detail"]
    for path in (f"{JOBS}/none", "/models/none", "/nothing"):
        assert list(http.json("GET", path, status=404)) == ["error"]


def test_a_list_with_a_slash_at_its_end_moves() -> None:
    """The jobs path with a trailing slash is redirected, and the files path with one is unknown."""
    http = Http(FakeFineTuning(start=BORN))

    moved = http.send("GET", f"{JOBS}/", None, (KEY, (b"host", b"example.org")))
    nothing = http.send("GET", "/files/")

    assert (moved.status, moved.body) == (307, b"")
    assert dict(moved.headers)[b"location"] == b"http://example.org/v1/fine_tuning/jobs"
    assert json.loads(nothing.body)["error"]["message"] == "Invalid URL (GET /v1/files/)"
    assert (
        json.loads(http.send("GET", f"{JOBS}//events").body)["error"]["message"] == "Could not find fine tune: events"
    )


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS"])
def test_methods_that_a_route_has_not(method: str) -> None:
    """A wrong method is refused in the service's words, and on an unknown path as an unknown URL."""
    http = Http(FakeFineTuning(start=BORN))

    error = http.json(method, JOBS, {}, status=405)["error"]
    unknown = http.json(method, "/nothing", {}, status=404)["error"]

    assert error["message"].startswith(f"Not allowed to {method} on /v1/fine_tuning/jobs. (HINT: ")
    assert unknown["message"].startswith(f"Unknown request URL: {method} /v1/nothing. ")
    assert unknown["code"] == "unknown_url"


def test_wrong_methods_are_told_the_right_ones() -> None:
    """The response to a wrong method has an Allow header."""
    http = Http(FakeFineTuning(start=BORN))

    assert dict(http.send("PATCH", JOBS).headers)[b"allow"] == b"GET, HEAD, POST"
    assert dict(http.send("GET", "/uploads").headers)[b"allow"] == b"POST"


def test_a_download_is_raw_bytes() -> None:
    """A file's content is sent as raw bytes with its name in content-disposition."""
    http = Http(FakeFineTuning(start=BORN))

    reply = http.send("GET", f"/files/{http.file()}/content")

    headers = dict(reply.headers)
    assert reply.body == ROWS.encode()
    assert headers[b"content-type"] == b"application/octet-stream"
    assert headers[b"content-disposition"] == b'attachment; filename="train.jsonl"'


@pytest.mark.parametrize("dialect", ["openai-2025-09", "openai-spec", "openai-2024-10", "openai-2023-11"])
@pytest.mark.parametrize("path", ["/files", JOBS, "/models", "/models/none"])
@pytest.mark.parametrize(("key", "indent"), [(None, 4), (b"Bearer wrong", 2)])
def test_who_is_not_let_in_is_told_so_by_the_gateway(dialect: str, path: str, key: bytes | None, indent: int) -> None:
    """A 401 has the same form on every route: a newline at its end, no `detail`, and no account headers."""
    http = Http(FakeFineTuning(start=BORN, api_keys=["right"], dialect=dialect), is_described=not dialect[-1].isalpha())
    reply = http.send("GET", path, None, [(b"authorization", key)] if key else [])

    names = [name for name, _ in reply.headers]
    headers = dict(reply.headers)
    body = json.loads(reply.body)
    assert (reply.status, list(body)) == (401, ["error"])
    assert reply.body == json.dumps(body, indent=indent).encode() + b"\n"
    assert headers[b"access-control-allow-origin"] == b"*"
    assert (headers[b"www-authenticate"], headers[b"content-length"]) == (
        b'Basic realm="OpenAI API"',
        b"%d" % len(reply.body),
    )
    assert not {*ACCOUNT, b"x-envoy-upstream-service-time"} & set(names)
    assert len(names) == len(set(names))


def test_a_401_that_a_fault_sends_is_the_gateways_too() -> None:
    """A 401 from a fault has the form of the service's own."""
    fake = FakeFineTuning(start=BORN)
    http = Http(fake)
    fake.fail(401, on="list_files")

    reply = http.send("GET", "/files")

    assert list(json.loads(reply.body)) == ["error"]
    assert not set(ACCOUNT) & set(dict(reply.headers))
