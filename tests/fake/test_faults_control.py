"""Faults over HTTP: armed, listed and cleared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, Http, refused

FAULTS = "/_fake/faults"
JOBS = "/fine_tuning/jobs"


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still; any status may come."""
    return Http(FakeFineTuning(start=BORN, pace="manual"), is_described=False)


def test_a_fault_is_armed_and_shown(http: Http) -> None:
    """A posted fault hits calls, and is listed with its hits."""
    armed = http.json("POST", FAULTS, {"status": 503, "on": "list_jobs", "retry_after": 2})

    assert armed == {
        "number": 1,
        "kind": "fail",
        "status": 503,
        "code": None,
        "message": None,
        "retry_after": 2,
        "on": ["list_jobs"],
        "times": 1,
        "fired": 0,
        "requests": [],
        "exhausted": False,
    }
    assert http.json("GET", FAULTS) == {"faults": [armed]}
    assert [http.send("GET", path).status for path in ("/models", JOBS, JOBS)] == [200, 503, 200]
    assert http.json("GET", FAULTS) == {"faults": [{**armed, "fired": 1, "requests": [2], "exhausted": True}]}
    assert [each["fault"] for each in http.json("GET", "/_fake/requests")["requests"]] == [None, "fail", None]


def test_an_empty_body_is_the_plainest_fault(http: Http) -> None:
    """A posted fault without fields answers the next call with 500."""
    assert (http.json("POST", FAULTS)["kind"], http.send("GET", JOBS).status) == ("fail", 500)
    assert http.send("GET", JOBS).status == 200


def test_faults_are_cleared(http: Http) -> None:
    """DELETE removes all faults, and so does a reset."""
    http.json("POST", FAULTS, {"kind": "disconnect", "times": None})
    assert http.json("DELETE", FAULTS) == {"faults": []} == http.json("GET", FAULTS)
    assert http.send("GET", JOBS).status == 200
    http.json("POST", FAULTS, {"kind": "outage", "duration": "5m"})
    http.json("POST", "/_fake/reset")
    assert (http.json("GET", FAULTS), http.send("GET", JOBS).status) == ({"faults": []}, 200)


def test_a_reset_with_faults(http: Http) -> None:
    """A reset arms the faults in its body, and with an invalid one changes nothing."""
    http.json("POST", "/_fake/reset", {"seed": 7, "faults": [{"status": 502}, {"kind": "truncate", "nth": 4}]})
    before = http.json("GET", FAULTS)
    assert http.send("GET", JOBS).status == 502

    words = refused(http, "POST", "/_fake/reset", {"faults": [{"status": 200}]})

    assert [fault["kind"] for fault in before["faults"]] == ["fail", "truncate"]
    assert words == "fault 'status' must be a whole number from 400 to 599, got 200"
    assert http.json("GET", FAULTS)["faults"][0]["requests"] == [1]
    assert http.fake.settings.seed == 7


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"status": 200}, "fault 'status' must be a whole number from 400 to 599, got 200"),
        (
            {"on": "create_jobs"},
            "unknown operation 'create_jobs' (did you mean 'create_job'?); expected one of: create_job, list_jobs, ",
        ),
        ({"statsu": 500}, "unknown fail fault field 'statsu' (did you mean 'status'?); expected one of: "),
        ({"kind": "chaos"}, "unknown fault kind 'chaos'; expected one of: fail, rate_limit, delay, disconnect, "),
        ([], "POST /_fake/faults: the body must be a JSON object, got a list"),
        (b"{", "POST /_fake/faults: the body must be valid JSON ("),
    ],
    ids=str,
)
def test_faults_that_are_refused(http: Http, body: Any, words: str) -> None:
    """An invalid fault is refused by name, and none is armed."""
    assert words in refused(http, "POST", FAULTS, body)
    assert http.json("GET", FAULTS) == {"faults": []}


def test_bytes_are_shown_as_text(http: Http) -> None:
    """A fault's body in bytes is listed as text, with invalid bytes replaced."""
    http.fake.malformed(body=b"\xffcut")

    assert json.loads(http.send("GET", FAULTS).body)["faults"][0]["body"] == "\ufffdcut"
