"""`describe()`: the text about an account."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import MODEL
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.fake.report import JOBS_AT_MOST, REFUSALS_AT_MOST, REQUESTS_AT_MOST
from strategies import BORN, ROWS

KEY = "sk-very-secret"


def client_of(fake: FakeFineTuning) -> httpx.Client:
    """A client with a key."""
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.Client(transport=fake.transport(), base_url="http://x.invalid/v1", headers=headers)


def test_a_fresh_account_has_little_to_tell() -> None:
    """The description of a new account has a clock, no jobs and no requests."""
    slow = 0.001  # however long a busy machine takes, no tenth of a virtual second passes
    assert FakeFineTuning(start=BORN, pace=slow, seed=7).describe().splitlines() == [
        "clock: 2023-11-14 22:13:20 UTC, 0.0 s after the account began; pace 0.001, seed 7, dialect openai-2025-09",
        "jobs: none",
        "requests: none",
    ]


def test_telling_moves_no_time_and_is_no_request() -> None:
    """`describe()` moves no time and is not a request."""
    fake = FakeFineTuning()
    fake.add_job(fake.add_file(ROWS)["id"])
    fake.pace = "instant"
    before = fake.now
    assert fake.describe() == fake.describe()
    assert (fake.now, fake.requests) == (before, [])


def test_a_job_is_told_with_its_course() -> None:
    """A job's status changes and last events are listed in order of time, without the future."""
    fake = FakeFineTuning(start=BORN, pace="manual", plan={"queued": 10, "validating": 5, "fail_at": 3})
    job = fake.add_job(fake.add_file(ROWS)["id"], status="queued")["id"]
    fake.advance_to("running")
    running = fake.describe()
    fake.advance_to("failed")
    lines = fake.describe().splitlines()

    assert "failed" not in running
    assert lines[2].startswith(f"  {job}, gpt-4o-mini-2024-07-18, file-")
    assert lines[2].endswith(": failed")
    course = [line.split(" s  ") for line in lines[3:] if " s  " in line]
    assert [float(at) for at, _ in course] == sorted(float(at) for at, _ in course)
    assert [text for _, text in course if text.startswith("status")] == [
        *("status validating_files", "status queued", "status running", "status failed")
    ]
    assert len([text for _, text in course if text.startswith("event")]) == 3


def test_the_newest_are_told() -> None:
    """Of many jobs and requests the newest are shown, with their total."""
    fake = FakeFineTuning(pace="manual")
    file = fake.add_file(ROWS)["id"]
    jobs = [fake.add_job(file)["id"] for _ in range(JOBS_AT_MOST + 2)]
    with client_of(fake) as client:
        for _ in range(REQUESTS_AT_MOST + 5):
            client.get("/models")
    text = fake.describe()

    assert f"jobs, the last {JOBS_AT_MOST} of {JOBS_AT_MOST + 2}:" in text
    assert f"requests, the last {REQUESTS_AT_MOST} of {REQUESTS_AT_MOST + 5}:" in text
    assert [job for job in jobs if job in text] == jobs[2:]
    assert text.count("list_models → 200") == REQUESTS_AT_MOST


def test_faults_are_told_with_what_they_hit() -> None:
    """Each fault has a line with its selection and the requests it hit."""
    fake = FakeFineTuning()
    fake.fail(503, on="list_models", times=2)
    fake.disconnect(on="list_files")
    with client_of(fake) as client:
        client.get("/models")
        client.get("/models")
    lines = fake.describe().splitlines()
    told = lines[lines.index("faults:") + 1 :]

    assert told[0].startswith("  1  fail(status=503")
    assert told[0].endswith(": hit requests 1, 2")
    assert told[1] == "  2  disconnect(on=('list_files',), times=1): never fired"


def test_a_fault_that_hit_much_is_told_in_a_line() -> None:
    """Many hits of a fault are summarized in one line, and of many refusals the newest are shown."""
    fake = FakeFineTuning()
    fake.fail(503, on="list_models", times=None)
    with client_of(fake) as client:
        for _ in range(300):
            client.get("/models")
        for _ in range(REFUSALS_AT_MOST + 2):
            client.get("/../nowhere")
    lines = fake.describe().splitlines()

    assert [line for line in lines if line.endswith(": hit 300 requests, 1 to 300")]
    heading = f"refused by the fake itself, the last {REFUSALS_AT_MOST} of {REFUSALS_AT_MOST + 2}:"
    assert lines[lines.index(heading) + REFUSALS_AT_MOST].startswith("  request 312: ")
    assert len(lines) < 60


def test_no_control_character_is_told() -> None:
    """Control characters are escaped in path, query, body, form, fault and refusal."""
    evil = "\x1b[31m\n\u202e\ud800"
    fake = FakeFineTuning()
    fake.fail(400, message=evil.replace("\ud800", ""), on="list_models")
    with client_of(fake) as client:
        client.get("/models")
        client.get("/models/%1b%5d0;pwned%07")
        client.get("/%1b%5d0;pwned%07?x=%ED%A0%80")
        client.post("/fine_tuning/jobs", content=json.dumps({"model": evil, "training_file": evil}))
        assert "pwned" in fake.describe()
        client.post("/files", data={"purpose": "\x1b"}, files={"file": ("\x07.jsonl", b"x")})
        told = [fake.describe()]
        client.post("/fine_tuning/jobs", content=b"\x1b\xff\x00")
    for text in [*told, fake.describe()]:
        text.encode()
        assert all(line.isprintable() for line in text.splitlines())


def test_no_key_is_told() -> None:
    """A key in either header is shown neither in the requests nor in the shell lines."""
    fake = FakeFineTuning(api_keys=["other"])
    with client_of(fake) as client:
        client.get("/models")
        client.get("/models", headers={"api-key": KEY})

    assert fake.describe().count("→ 401") == 2
    assert KEY not in fake.describe()


def test_no_key_in_a_query_or_a_body_is_told() -> None:
    """A key in a query or body, at any depth, is not shown in descriptions, calls and refusals."""
    fake = FakeFineTuning()
    wandb = {"type": "wandb", "wandb": {"project": "p", "api_key": KEY}}
    bodies: list[dict[str, Any]] = [
        {"integrations": [wandb]},
        {"integrations": [wandb], "note": "\n" * 3, "api_key": KEY + "2"},
        {"metadata": {"fake_outcome": KEY, "password": KEY}},
    ]
    with client_of(fake) as client:
        client.get(f"/models/none?api-key={KEY}&limit=x&token={KEY}%2F2")
        told = [fake.describe()]
        for body in bodies:
            client.post("/fine_tuning/jobs", json={"model": MODEL, "training_file": fake.add_file(ROWS)["id"], **body})
            told.append(fake.describe())
    assert not any(KEY in text for text in told)
    assert not any(KEY in str(call) for call in fake.calls)
    assert not any(KEY in text for text in fake.take_usage_errors())


@given(st.floats(0, 1e11))
def test_any_time_can_be_told(start: float) -> None:
    """An account with any start time can be described."""
    assert FakeFineTuning(start=start).describe().startswith("clock: ")


def test_usage_errors_are_taken_once() -> None:
    """Usage errors are returned once, and a reset removes them."""
    fake = FakeFineTuning()
    with fake.openai(max_retries=0) as client:
        for turn in range(2):
            with pytest.raises(openai.BadRequestError):
                client.fine_tuning.jobs.create(
                    training_file=fake.add_file(ROWS)["id"], model="gpt-4o-mini", metadata={"fake_outcome": "great"}
                )
            (error,) = fake.take_usage_errors()
            assert error.startswith(f"request {turn + 1}: ")
            assert "outcome must be one of succeeded, failed, got 'great'" in error
        assert fake.take_usage_errors() == []
        fake.reset()
        with pytest.raises(openai.NotFoundError):
            client.get("/../elsewhere", cast_to=object)
        assert len(fake.take_usage_errors()) == 1


def test_refusals_of_the_service_are_no_usage_errors() -> None:
    """A refusal that the service would send is not a usage error."""
    fake = FakeFineTuning()
    with client_of(fake) as client:
        assert client.get("/models/none").status_code == 404
        assert client.post("/fine_tuning/jobs", content='{"fake_error": 1').status_code == 400
    assert fake.take_usage_errors() == []
