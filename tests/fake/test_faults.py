"""Faults: the calls they hit, the responses, and their arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.armed_faults import ArmedFault, ArmedFaults, parse_faults
from fine_tuning_fakeserver.clock import Pace
from fine_tuning_fakeserver.domain.fault_spec import KINDS, SELECTORS, FaultSpec
from fine_tuning_fakeserver.usage_errors import FakeUsageError
from fine_tuning_fakeserver.web.fault_responses import CLOSING_KINDS, FAULT_KINDS
from fine_tuning_fakeserver.web.operations import PATHS
from strategies import BORN, KEY, Http, everything, form, held

JOBS = "/fine_tuning/jobs"
NAMES = ["create_job", "list_jobs", "retrieve_job"]
IDS = [None, "ftjob-a", "ftjob-b"]


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still; any status may come."""
    return Http(FakeFineTuning(start=BORN, pace="manual"), is_described=False)


calls = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(IDS)), max_size=25)


@st.composite
def faults(draw: st.DrawFn) -> dict[str, Any]:
    """Any fault with any selection of calls."""
    aim: dict[str, Any] = {
        "on": draw(st.sampled_from([None, "create_job", ["list_jobs", "retrieve_job"]])),
        "probability": draw(st.none() | st.floats(0, 1)),
        "seed": draw(st.none() | st.integers(0, 5)),
    }
    if aim["on"] != "create_job":
        aim["job"] = draw(st.sampled_from(IDS))
    if draw(st.booleans()):
        return {**aim, "nth": draw(st.integers(1, 6))}
    return {**aim, "times": draw(st.none() | st.integers(1, 5))}


def armed(given: list[dict[str, Any]]) -> tuple[ArmedFaults, list[ArmedFault]]:
    """Arm these faults in order."""
    faults = ArmedFaults(PATHS, parse_faults(given, PATHS))
    return faults, faults.all(0)


def ask(faults: ArmedFaults, calls: list[tuple[str, str | None]], seed: int = 0) -> list[int | None]:
    """The numbers of the faults that hit these calls."""
    hits = [faults.next_for(operation, job, 0.0, seed) for operation, job in calls]
    return [hit.number if hit else None for hit in hits]


@given(st.lists(faults(), max_size=4), calls, st.integers(0, 5))
def test_each_fault_hits_what_older_ones_leave(given: list[Any], calls: list[Any], seed: int) -> None:
    """A fault hits the matching calls that no older fault hits, up to its limit, and counts them."""
    faults, all_of_them = armed(given)
    left: list[int | None] = [None] * len(calls)
    for fault in all_of_them:
        matching = [place for place, call in enumerate(calls) if fault.spec.matches(*call)]
        struck = [
            place
            for ordinal, place in enumerate(matching, 1)
            if fault.spec.fires_at(ordinal, f"{seed}/{fault.number}") and left[place] is None
        ]
        for place in struck[: fault.spec.times]:
            left[place] = fault.number

    assert ask(faults, calls, seed) == left
    assert [fault.fired for fault in all_of_them] == [left.count(fault.number) for fault in all_of_them]
    assert faults.active == [fault for fault in all_of_them if not fault.exhausted]


@given(st.integers(1, 5), st.integers(0, 8))
def test_times(times: int, asked: int) -> None:
    """`times` limits a fault to the first matching calls."""
    faults, [fault] = armed([{"times": times}])

    assert ask(faults, [("list_jobs", None)] * asked) == [1] * min(asked, times) + [None] * max(asked - times, 0)
    assert fault.exhausted is (asked >= times)


@given(st.integers(1, 5), st.integers(0, 8))
def test_nth(nth: int, asked: int) -> None:
    """`nth` limits a fault to the n-th matching call."""
    faults, [fault] = armed([{"nth": nth, "on": "create_job"}])

    hits = ask(faults, [("list_jobs", None), ("create_job", None)] * asked)

    assert hits[::2] == [None] * asked
    assert [place for place, hit in enumerate(hits[1::2], 1) if hit] == ([nth] if asked >= nth else [])
    assert fault.exhausted is (asked >= nth)


def test_an_nth_call_that_an_older_fault_has() -> None:
    """A fault for one call that an older fault hits is exhausted without having fired."""
    faults, [_, late] = armed([{"times": 2}, {"nth": 1}])

    assert ask(faults, [("list_jobs", None)] * 3) == [1, 1, None]
    assert (late.fired, late.exhausted) == (0, True)


@given(st.floats(0, 1), st.integers(0, 2**40), st.integers(0, 5), calls)
def test_chance_is_a_function_of_the_seed(probability: float, seed: int, account: int, calls: list[Any]) -> None:
    """`probability` with a seed hits the same calls in any account and beside any other fault."""
    given = {"probability": probability, "seed": seed}
    alone, _ = armed([given])
    second, _ = armed([{"on": "create_job", "nth": 99}, given])

    hits = [hit is not None for hit in ask(alone, calls, account)]

    assert hits == [hit is not None for hit in ask(second, calls, account + 1)]


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_chance_is_as_likely_as_it_is_told(probability: float) -> None:
    """`probability` hits about that share of calls without end, and two faults hit different ones."""
    faults, [fault] = armed([{"probability": probability}])
    other = FaultSpec.parse({"probability": 0.5}, PATHS)
    hits = ask(faults, [("list_jobs", None)] * 2000)

    assert abs(sum(hit is not None for hit in hits) / 2000 - probability) < 0.04
    assert not fault.exhausted
    assert [other.fires_at(k, "0/1") for k in range(50)] != [other.fires_at(k, "0/2") for k in range(50)]


def test_a_fault_of_one_job(http: Http) -> None:
    """`job` limits a fault to calls about that job."""
    file = http.file()
    one, two = (http.job(training_file=file)["id"] for _ in range(2))
    http.fake.fail(job=two, times=None)

    for job, status in ((one, 200), (two, 500)):
        assert http.send("GET", f"{JOBS}/{job}").status == http.send("GET", f"{JOBS}/{job}/events").status == status
    assert http.send("GET", JOBS).status == 200


def test_what_is_known_of_a_fault(http: Http) -> None:
    """A fault records its number of hits and their requests, and the request log names the fault."""
    fault = http.fake.fail(503, on=["list_files", "list_models"], times=2)
    never = http.fake.disconnect(on="create_job")

    statuses = [http.send("GET", path).status for path in ("/models", JOBS, "/files", "/models")]

    assert statuses == [503, 200, 503, 200]
    assert (fault.kind, fault.fired, fault.requests, fault.exhausted) == ("fail", 2, [1, 3], True)
    assert http.fake.faults == [fault, never]
    assert http.fake.unfired_faults == [never]
    assert [each.fault for each in http.fake.requests] == ["fail", None, "fail", None]
    assert [each.status for each in http.fake.requests] == statuses


def test_an_end_to_all_faults(http: Http) -> None:
    """Clearing removes all faults, and a reset restores those given at construction."""
    http.fake.fail(times=None)
    http.fake.clear_faults()
    assert (http.send("GET", JOBS).status, http.fake.faults) == (200, [])
    http.fake.fail(times=None)
    http.fake.reset()
    assert (http.send("GET", JOBS).status, http.fake.faults) == (200, [])

    unlucky = Http(FakeFineTuning(faults=[{"status": 500, "on": "create_job"}]), is_described=False)
    for _ in range(2):
        assert unlucky.send("POST", JOBS, {}).status == 500
        assert unlucky.send("POST", JOBS, {}).status == 400
        unlucky.fake.reset()
    unlucky.fake.reset(faults=[])
    assert unlucky.send("POST", JOBS, {}).status == 400


def test_a_reset_that_is_refused(http: Http) -> None:
    """A refused reset changes neither the account nor its faults."""
    http.job()
    fault = http.fake.fail(on="list_jobs")
    before = everything(http.fake)

    for changes in ({"faults": [{"status": 200}]}, {"faults": [], "sead": 1}):
        with pytest.raises(FakeUsageError):
            http.fake.reset(**changes)

    assert (everything(http.fake), http.fake.faults) == (before, [fault])


def test_control_and_unknown_paths_never_fail(http: Http) -> None:
    """Control routes, health and unknown paths are never hit by a fault."""
    http.fake.fail(times=None)

    for path, status in (
        ("/_fake", 200),
        ("/health", 200),
        ("/openapi.json", 200),
        ("/_fake/faults", 200),
        ("/x", 404),
    ):
        assert http.send("GET", path).status == status
    assert http.fake.faults[0].fired == 0


def error(http: Http, path: str = JOBS, method: str = "GET", body: Any = None) -> Any:
    """The error object of a response."""
    return json.loads(http.send(method, path, body).body)["error"]


RATE = "on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in "


@pytest.mark.parametrize(
    ("arm", "status", "words", "type_", "code"),
    [
        (lambda fake: fake.fail(), 500, "The server had an error while processing your", "server_error", None),
        (lambda fake: fake.fail(503), 503, "That model is currently overloaded with other", "server_error", None),
        (lambda fake: fake.outage("1m"), 503, "That model is currently overloaded with other", "server_error", None),
        (lambda fake: fake.outage("1m", status=502), 502, "Bad Gateway", "server_error", None),
        (lambda fake: fake.fail(429), 429, RATE + "20s.", "requests", "rate_limit_exceeded"),
        (lambda fake: fake.rate_limit(retry_after=2.5), 429, RATE + "2.5s.", "requests", "rate_limit_exceeded"),
        (
            lambda fake: fake.fail(429, code="insufficient_quota"),
            429,
            "You exceeded your current quota",
            "insufficient_quota",
            "insufficient_quota",
        ),
        (
            lambda fake: fake.fail(429, code="credit_balance_exhausted"),
            429,
            "You have no credits remaining.",
            "insufficient_quota",
            "credit_balance_exhausted",
        ),
        (lambda fake: fake.fail(408), 408, "Request Timeout", "invalid_request_error", None),
        (lambda fake: fake.fail(499), 499, "Status 499", "invalid_request_error", None),
        (lambda fake: fake.fail(409, message="No.", code="x"), 409, "No.", "invalid_request_error", "x"),
        (lambda fake: fake.fail(500, message=""), 500, "", "server_error", None),
    ],
    ids=range(12),
)
def test_what_is_answered(
    http: Http, arm: Callable[[FakeFineTuning], object], status: int, words: str, type_: str, code: str | None
) -> None:
    """A fault's status has the usual error object, with the service's own text or the given one."""
    arm(http.fake)

    found = error(http)

    assert list(found) == ["message", "type", "param", "code"]
    assert words in found["message"]
    assert (found["type"], found["param"], found["code"]) == (type_, None, code)
    assert http.fake.requests[-1].status == status


@pytest.mark.parametrize("status", range(400, 600))
def test_any_status(http: Http, status: int) -> None:
    """Every status from 400 to 599 can be sent, with a matching Content-Length."""
    http.fake.fail(status)

    reply = http.send("GET", "/models")

    assert reply.status == status
    assert dict(reply.headers)[b"content-length"] == b"%d" % len(reply.body)
    assert json.loads(reply.body)["error"]["message"]


def test_a_rate_limit_names_the_model(http: Http) -> None:
    """The text of a rate limit names the requested model and the organization."""
    http.fake.rate_limit()

    message = error(http, "/chat/completions", "POST", {"model": "gpt-4o", "messages": []})["message"]

    organization = http.fake.state()["account"]["organization_id"]
    assert message.startswith(f"Rate limit reached for gpt-4o in organization {organization} on requests per min")


@pytest.mark.parametrize(
    ("wait", "headers"),
    [
        (None, {}),
        (0, {b"retry-after": b"0"}),
        (7, {b"retry-after": b"7"}),
        (0.25, {b"retry-after-ms": b"250", b"retry-after": b"1"}),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {b"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT"}),
    ],
)
def test_retry_after(http: Http, wait: Any, headers: dict[bytes, bytes]) -> None:
    """A Retry-After of whole seconds or text is sent unchanged, and of a fraction also in milliseconds."""
    for status in (429, 503):
        if status == 429:
            http.fake.rate_limit(retry_after=wait)
        else:
            http.fake.fail(status, retry_after=wait)
        sent = dict(http.send("GET", JOBS).headers)
        assert {name: value for name, value in sent.items() if name.startswith(b"retry")} == headers


def test_headers_of_limits_are_of_inference(http: Http) -> None:
    """x-ratelimit headers come with a rate limit of inference only."""
    http.fake.rate_limit(times=2, retry_after=20)

    chat = dict(http.send("POST", "/chat/completions", {}).headers)
    jobs = dict(http.send("GET", JOBS).headers)

    assert chat[b"x-ratelimit-limit-requests"] == b"3"
    assert chat[b"x-ratelimit-remaining-requests"] == b"0"
    assert chat[b"x-ratelimit-reset-requests"] == b"20s"
    assert not [name for name in jobs if name.startswith(b"x-ratelimit")]


@pytest.mark.parametrize("dialect", ["openai-2023-11", "openai-spec", "azure-2025"])
def test_dialects(dialect: str) -> None:
    """An error from a fault has the same headers, members and line end as the dialect's own errors."""
    http = Http(FakeFineTuning(start=BORN, dialect=dialect), is_described=False)
    own = http.send("GET", "/files/none")
    http.fake.fail(404)
    asked_for = http.send("GET", "/files/none")

    def names(headers: Any) -> list[bytes]:
        return sorted({name for name, _ in headers})

    assert names(asked_for.headers) == names(own.headers)
    assert asked_for.body.endswith(b"\n") is own.body.endswith(b"\n")
    assert list(json.loads(asked_for.body)) == list(json.loads(own.body))


def test_calls_take_no_effect(http: Http) -> None:
    """A call hit by a fault has no effect, unless the fault is `applied`."""
    file = http.file()
    wanted = {"model": "gpt-4o-mini", "training_file": file}
    before = held(http.fake)
    for kind in sorted(KINDS.keys() - {"delay"}):
        http.fake.clear_faults()
        http.fake._arm(kind, {"times": 1}, **({"duration": 60} if kind == "outage" else {}))
        assert http.send("POST", JOBS, wanted).status in (0, 200, 429, 500, 503)
        assert held(http.fake) == before, kind

    for jobs, kind in enumerate(sorted(KINDS.keys() - {"delay", "refuse", "outage"}), 1):
        http.fake._arm(kind, {"applied": True})
        http.send("POST", JOBS, wanted)
        assert len(http.fake.jobs) == jobs, kind


def test_a_refusal_is_no_success_when_it_is_applied(http: Http) -> None:
    """A call that would be refused has no effect even if the fault is `applied`."""
    http.fake.fail(500, applied=True, times=None)

    assert http.send("POST", JOBS, {"model": "gpt-9", "training_file": "none"}).status == 500
    assert http.send("POST", "/files", form(b"{}"), [KEY]).status == 500
    assert http.send("GET", JOBS, None, ()).status == 500
    assert (http.fake.jobs, http.fake.state()["counts"]["files"]) == ([], 0)


def test_a_truncated_answer_is_the_real_one_when_it_is_applied(http: Http) -> None:
    """A truncated response that is `applied` is the start of the real one, with the given number of bytes."""
    content = "\n".join(['{"messages": []}'] * 50)
    file = http.fake.add_file(content)["id"]
    http.fake.truncate(applied=True, bytes=100, times=2)

    download = http.send("GET", f"/files/{file}/content")
    listed = http.send("GET", "/files")

    assert download.body == content.encode()[:100]
    assert dict(download.headers)[b"content-length"] == b"%d" % len(content)
    assert listed.body.startswith(b'{\n  "object": "list"')
    assert (download.ending, listed.ending) == ("disconnect", "disconnect")
    assert http.fake.requests[-1].answer == listed.body
    assert len(listed.body) == 100


@pytest.mark.parametrize(("size", "came", "promised"), [(0, 0, 96), (5, 5, 96), (None, 48, 96), (500, 96, 97)])
def test_a_truncated_answer_is_never_whole(http: Http, size: int | None, came: int, promised: int) -> None:
    """A truncated response has a Content-Length larger than its body."""
    http.fake.truncate(bytes=size)

    reply = http.send("GET", JOBS)

    assert (len(reply.body), dict(reply.headers)[b"content-length"]) == (came, b"%d" % promised)


@pytest.mark.parametrize(
    ("arguments", "status", "media"),
    [
        ({}, 200, b"text/html; charset=utf-8"),
        ({"body": '{"id": "ftjo'}, 200, b"application/json"),
        ({"body": b"\xff\xfe"}, 200, b"application/json"),
        ({"body": "<html>", "status": 502}, 502, b"text/html; charset=utf-8"),
        ({"body": ""}, 200, b"application/json"),
    ],
)
def test_a_malformed_answer(http: Http, arguments: dict[str, Any], status: int, media: bytes) -> None:
    """A malformed response is an HTML page, or the given body as HTML or JSON by its look."""
    http.fake.malformed(**arguments)

    reply = http.send("GET", JOBS)

    assert (reply.status, dict(reply.headers)[b"content-type"]) == (status, media)
    with pytest.raises(ValueError, match=r"Expecting value|Unterminated string|decode"):
        json.loads(reply.body)
    wanted = arguments.get("body", reply.body)
    assert reply.body == (wanted.encode() if isinstance(wanted, str) else wanted)


def test_an_outage_lasts_its_time(http: Http) -> None:
    """An outage answers 503 on every route for its duration in virtual time."""
    outage = http.fake.outage("5m")
    paths = ("/models", "/files", JOBS, f"{JOBS}/none")

    assert {http.send("GET", path).status for path in paths} == {503}
    http.fake.advance(299)
    assert http.send("GET", JOBS).status == 503
    assert not outage.exhausted
    http.fake.advance(1)
    assert http.fake.faults[0].exhausted
    assert http.send("GET", JOBS).status == 200
    assert outage.fired == 5


@pytest.mark.parametrize("pace", ["polls", "instant"])
def test_an_outage_ends_where_looking_moves_time(pace: Pace) -> None:
    """At paces at which polls move time, polls during an outage bring its end nearer."""
    http = Http(FakeFineTuning(start=BORN, pace=pace))
    job = http.job()["id"]
    http.fake.outage(timedelta(minutes=7))

    statuses = [http.send("GET", f"{JOBS}/{job}").status for _ in range(6)]

    assert statuses == [503, 503, 503, 503, 200, 200]
    assert http.fake.now >= BORN + 420


def test_an_outage_stays_where_time_does() -> None:
    """At the pace "manual" polls do not end an outage."""
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    job = http.job()["id"]
    http.fake.outage(60)

    assert {http.send("GET", f"{JOBS}/{job}").status for _ in range(9)} == {503}
    assert http.fake.now == BORN


def test_asking_for_the_head_brings_no_end_of_an_outage_nearer() -> None:
    """A HEAD request during an outage moves no time."""
    http = Http(FakeFineTuning(start=BORN, pace="polls"))
    job = http.job()["id"]
    http.fake.outage("1h")

    assert http.send("HEAD", f"{JOBS}/{job}").status == 503
    assert http.fake.now == BORN


BAD: list[tuple[Any, str]] = [
    (5, "a fault must be a mapping, as in {'status': 500, 'on': 'list_jobs'}, got 5"),
    ({"kind": "delai"}, "unknown fault kind 'delai' (did you mean 'delay'?); expected one of: fail, rate_limit, "),
    ({"kind": 7}, "unknown fault kind 7; expected one of: fail, "),
    ({"kind": []}, "unknown fault kind []; expected one of: fail, "),
    ({"statsu": 500}, "unknown fail fault field 'statsu' (did you mean 'status'?); expected one of: status, code, "),
    ({"kind": "disconnect", "status": 500}, "unknown disconnect fault field 'status'; expected one of: on, job, nth, "),
    ({"kind": "rate_limit", "status": 500}, "unknown rate_limit fault field 'status'; expected one of: code, "),
    ({"kind": "delay"}, "the fault 'delay' requires 'seconds', as in {'seconds': 5}"),
    ({"kind": "outage"}, "the fault 'outage' requires 'duration', as in {'duration': 5}"),
    (
        {"on": "create_jobs"},
        "unknown operation 'create_jobs' (did you mean 'create_job'?); expected one of: create_job, ",
    ),
    ({"on": ["list_jobs", "nonsense"]}, "unknown operation 'nonsense'; expected one of: create_job, "),
    ({"on": "GET /_fake"}, "unknown operation 'GET /_fake'; expected one of: create_job, "),
    ({"on": []}, "fault 'on' must be the name of an operation or a list of names, or None for all, got []"),
    ({"on": ""}, "unknown operation ''; expected one of: create_job, "),
    ({"on": 5}, "fault 'on' must be the name of an operation or a list of names, or None for all, got 5"),
    ({"on": [5]}, "fault 'on' must be the name of an operation or a list of names, or None for all, got [5]"),
    ({"status": 200}, "fault 'status' must be a whole number from 400 to 599, got 200"),
    ({"status": "500"}, "fault 'status' must be a whole number from 400 to 599, got '500'"),
    ({"status": True}, "from 400 to 599, got True"),
    ({"status": None}, "from 400 to 599, got None"),
    ({"kind": "malformed", "status": 600}, "fault 'status' must be a whole number from 200 to 599, got 600"),
    ({"times": 0}, "fault 'times' must be a whole number from 1, or None for no end, got 0"),
    ({"nth": 0}, "fault 'nth' must be a whole number from 1, or None for each, got 0"),
    ({"nth": 2, "times": 3}, "fault 'times' must be left out with 'nth', which is one call, got 3"),
    ({"nth": 2, "times": None}, "fault 'times' must be left out with 'nth', which is one call, got None"),
    ({"probability": 1.5}, "fault 'probability' must be a number from 0 to 1, or None for always, got 1.5"),
    ({"probability": float("nan")}, "or None for always, got nan"),
    ({"seed": "x"}, "fault 'seed' must be a whole number of at most 64 bits, got 'x'"),
    ({"applied": 1}, "fault 'applied' must be True or False, got 1"),
    ({"kind": "refuse", "applied": True}, "a fault that refuses the connection is never applied; use 'disconnect'"),
    ({"job": ""}, "fault 'job' must be a job's id, or None for any, got ''"),
    ({"job": "ftjob-a", "on": ["list_jobs"]}, "fault 'job' is 'ftjob-a', but no call of list_jobs is about a job"),
    ({"retry_after": -1}, "fault 'retry_after' must be seconds, or the header's text in printable ASCII, got -1"),
    ({"retry_after": "a\r\nb"}, "in printable ASCII, got 'a\\r\\nb'"),
    ({"retry_after": float("inf")}, "in printable ASCII, got inf"),
    ({"message": 5}, "fault 'message' must be a string, got 5"),
    ({"message": "\ud800"}, "fault 'message' must be a string, got '\\ud800'"),
    (
        {"kind": "truncate", "bytes": -1},
        "fault 'bytes' must be a whole number from 0, or None for half of them, got -1",
    ),
    ({"kind": "malformed", "body": {}}, "fault 'body' must be a string or bytes, got {}"),
    ({"kind": "delay", "seconds": "soon"}, "fault 'seconds' must be a number of seconds, a text such as '90s'"),
    ({"kind": "delay", "seconds": -1}, "fault 'seconds' must be from 0 to 10000000000 seconds, got -1.0"),
    ({"kind": "outage", "duration": None}, "the fault 'outage' requires 'duration'"),
]


@pytest.mark.parametrize(("mapping", "words"), BAD, ids=[str(mapping) for mapping, _ in BAD])
def test_faults_that_are_refused(mapping: Any, words: str) -> None:
    """An invalid fault is refused with the reason, its value and the valid ones."""
    with pytest.raises(FakeUsageError) as caught:
        FakeFineTuning(faults=[mapping])

    assert words in str(caught.value)


def test_what_is_no_collection_of_faults() -> None:
    """`faults` that is not a collection of mappings is refused."""
    for wrong in ("fail", 5):
        with pytest.raises(FakeUsageError, match=r"faults must be a collection of mappings, got "):
            FakeFineTuning(faults=wrong)  # type: ignore[arg-type]


def test_methods_say_the_same_as_mappings(http: Http) -> None:
    """Each kind of fault has a method that takes the same fields as a mapping and refuses the same."""
    required = {"delay": {"seconds": 1}, "outage": {"duration": 1}}
    for kind in KINDS:
        fault = getattr(http.fake, kind)(**required.get(kind, {}), on="list_jobs")
        mapping = {"kind": kind, **required.get(kind, {}), "on": "list_jobs"}
        assert fault.spec == FaultSpec.parse(mapping, PATHS), kind
        with pytest.raises(FakeUsageError, match=rf"unknown {kind} fault field 'tiems' \(did you mean 'times'\?\)"):
            getattr(http.fake, kind)(**required.get(kind, {}), tiems=2)


@given(st.data())
def test_a_fault_as_json_gives_the_fault_again(data: st.DataObject) -> None:
    """A fault's JSON form arms an equal fault."""
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    mapping = {"kind": kind, **data.draw(faults())}
    for name in {"seconds", "duration"} & set(KINDS[kind]):
        mapping[name] = data.draw(st.integers(0, 100))
    if "retry_after" in KINDS[kind]:
        mapping["retry_after"] = data.draw(st.none() | st.integers(0, 9) | st.just("soon"))
    spec = FaultSpec.parse(mapping, PATHS)

    shown = json.loads(json.dumps(spec.as_json()))

    assert set(shown) <= {"kind", *KINDS[kind], *SELECTORS}
    assert FaultSpec.parse(shown, PATHS) == spec


def test_every_kind_is_applied() -> None:
    """Each declared kind of fault has exactly one function that applies it."""
    assert set(FAULT_KINDS) == set(KINDS)
    assert set(KINDS) >= CLOSING_KINDS


def test_operations_can_come_from_a_generator() -> None:
    """`on` may be a generator of operation names."""
    fake = FakeFineTuning()
    fault = fake.fail(on=(name for name in ["create_job", "list_jobs"]))
    assert fault.spec.on == ("create_job", "list_jobs")


@pytest.mark.parametrize("fault", [{"kind": "disconnect"}, {"kind": "malformed"}, {"kind": "truncate", "bytes": 3}])
def test_an_error_of_the_test_is_told_though_its_answer_was_lost(http: Http, fault: dict[str, Any]) -> None:
    """A wrong use of the fake is reported even if an applied fault hid its response."""
    file = http.file()
    http.fake.arm({**fault, "on": "create_job", "applied": True})
    body = {"model": "gpt-4o-mini", "training_file": file, "metadata": {"fake_outcom": "failed"}}
    http.send("POST", JOBS, json.dumps(body).encode())
    (told,) = http.fake.take_usage_errors()
    assert told.startswith("request 2: ")
    assert "fake_outcom" in told
    assert http.fake.jobs == []


def test_no_key_is_told_though_its_answer_was_lost(http: Http) -> None:
    """A usage error whose answer was lost is told without the request's keys, as one that was answered."""
    file = http.file()
    http.fake.arm({"kind": "disconnect", "on": "create_job", "applied": True})
    named = {"fake_outcome": "q7fJ39xkLm02", "password": "q7fJ39xkLm02"}
    http.send("POST", JOBS, {"model": "gpt-4o-mini", "training_file": file, "metadata": named})
    (told,) = http.fake.take_usage_errors()
    assert "got '[redacted]'" in told


@pytest.mark.parametrize("fault", [{"kind": "truncate"}, {"kind": "delay", "seconds": 1}])
def test_an_error_that_its_answer_tells_is_told_once(http: Http, fault: dict[str, Any]) -> None:
    """A wrong use of the fake is reported only once if the client received its response."""
    file = http.file()
    http.fake.arm({**fault, "on": "create_job", "applied": True})
    body = {"model": "gpt-4o-mini", "training_file": file, "metadata": {"fake_outcom": "failed"}}
    http.send("POST", JOBS, json.dumps(body).encode())
    assert len(http.fake.take_usage_errors()) == 1
