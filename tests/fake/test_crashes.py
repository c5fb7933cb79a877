"""A crash of the fake is reported as such, and no request causes one."""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.api import files, jobs
from fine_tuning_fakeserver.web.operations import OPERATIONS
from strategies import BORN, FORM, KEY, Http, everything, example_count

pytestmark = pytest.mark.slow

JOBS = "/fine_tuning/jobs"


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake."""
    return Http(FakeFineTuning(start=BORN))


@pytest.mark.parametrize("where", ["build_job_spec", "render"])
def test_a_crash_inside_a_verb(
    http: Http, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """A crash is a 500 that names it, is logged with a traceback, and leaves the account unchanged."""
    body = {"model": "gpt-4o-mini", "training_file": http.file()}

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(jobs, "build_job_spec" if where == "build_job_spec" else "job_object", crash)
    with caplog.at_level(logging.ERROR, "fine_tuning_fakeserver"):
        before = everything(http.fake)
        reply = http.send("POST", JOBS, body)

    text = "fake-fine-tuning has a bug, please report it; the account is unchanged: ZeroDivisionError: boom"
    error = {"message": text, "type": "server_error", "param": None, "code": None}
    assert (reply.status, json.loads(reply.body)) == (500, {"error": error})
    assert everything(http.fake) == before
    assert [record.exc_info is not None for record in caplog.records] == [True]
    monkeypatch.undo()
    assert http.json("POST", JOBS, body)["status"] == "validating_files"


def test_a_crash_while_a_file_is_kept(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose upload crashes is not stored."""

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    before = everything(http.fake)
    monkeypatch.setattr(files, "file_object", crash)

    assert http.upload().status == 500
    assert everything(http.fake) == before


BODY = ["model", "training_file", "validation_file", "suffix", "hyperparameters", "method", "seed", "integrations"]
INSIDE = ["metadata", "type", "supervised", "wandb", "project", "n_epochs", "fake_curve", "fake_fail_at", "fake_queued"]
INSIDE += ["purpose", "filename", "bytes", "mime_type", "expires_after", "part_ids", "md5", "project_ids", "grader"]
INSIDE += ["item", "model_sample", "name", "input", "reference", "operation", "graders", "calculate_output", "dpo"]
keys = st.text(max_size=5) | st.sampled_from(INSIDE)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["auto", "FILE"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from(INSIDE), inner, max_size=3)
    ),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(BODY + INSIDE), values, max_size=6)
almost_sound = objects.map(lambda changes: {"model": "gpt-4o-mini", "training_file": "FILE", **changes})
bodies = st.binary(max_size=200) | (objects | almost_sound | values).map(lambda value: json.dumps(value).encode())
segments = st.sampled_from(["JOB", "FILE", "gpt-4o"]) | st.binary(min_size=1, max_size=8).map(
    lambda raw: "".join(f"%{byte:02X}" for byte in raw)
)
queries = st.dictionaries(
    st.sampled_from(["limit", "after", "order", "purpose", "metadata", "metadata[k]", "x"]),
    st.text(st.characters(max_codepoint=126), max_size=6),
    max_size=3,
)


@settings(max_examples=example_count(100))
@given(st.sampled_from(OPERATIONS), segments, queries, bodies, st.sampled_from([FORM, (b"content-type", b"a/b")]))
def test_nothing_that_is_sent_is_a_5xx(
    operation: Any, segment: str, query: dict[str, str], body: bytes, kind: tuple[bytes, bytes]
) -> None:
    """No request to any route gets a 5xx, and only a 200 changes the account."""
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    job = http.job(hyperparameters={"n_epochs": 1})
    named = segment.replace("JOB", job["id"]).replace("FILE", job["training_file"])
    path = re.sub(r"\{\w+\}", lambda _: named, operation.path)
    before = everything(http.fake)

    reply = http.send(
        operation.method,
        f"{path}?{urlencode(query)}",
        body.replace(b"FILE", job["training_file"].encode()),
        (KEY, kind),
    )

    assert reply.status < 500, reply.body
    assert reply.status == 200 or everything(http.fake) == before
    assert http.send("GET", f"{JOBS}/{job['id']}").status == 200


@pytest.mark.parametrize("verb", ["cancel", "pause"])
def test_a_crash_after_a_change_takes_the_change_back(
    http: Http, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    """A crash after a change rolls back account, records and clock."""
    job = http.fake.add_job(http.file(), status="running")
    before, records, now = everything(http.fake), len(http.fake._world.service.journal), http.fake.now

    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "job_object", crash)
        http.json("POST", f"/fine_tuning/jobs/{job['id']}/{verb}", status=500)

    assert everything(http.fake) == before
    assert (len(http.fake._world.service.journal), http.fake.now) == (records, now)
    http.json("POST", f"/fine_tuning/jobs/{job['id']}/{verb}")
