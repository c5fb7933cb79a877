"""Findings about polling, models and leaked jobs and files: sessions with and without the flaw."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients import MODEL, Code, found, numbers, official, set_request_interval
from fine_tuning_client import FineTuning, WaitTimeout
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.findings import CODES, Finding
from fine_tuning_fakeserver.findings.job_lifecycle import WAITED_LOOKS
from fine_tuning_fakeserver.findings.observed_calls import observed_jobs
from fine_tuning_fakeserver.findings.repeated_requests import HOT_LOOKS, HOT_LOOKS_AT_POLLS, PAUSE_S, ROUNDS_TOO_MANY
from fine_tuning_fakeserver.findings.rules import RULES
from strategies import ROWS

# polled_without_pause


def test_a_loop_without_a_sleep_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Twenty polls of a running job without a pause are a finding, and nineteen are not."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(HOT_LOOKS - 1):
        code.look(job)
    assert found(fake) == []

    code.look(job)
    assert found(fake) == [("polled_without_pause", numbers(1, HOT_LOOKS))]


def test_a_loop_of_the_official_client_without_a_sleep_is_found(fake: FakeFineTuning) -> None:
    """A loop of the official SDK without a sleep is found, even with other requests in between."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    with official(fake) as client:
        for _ in range(HOT_LOOKS):
            client.fine_tuning.jobs.retrieve(job["id"])
            client.fine_tuning.jobs.list_events(job["id"], limit=1)

    assert found(fake) == [("polled_without_pause", numbers(1, 2 * HOT_LOOKS)[::2])]


@pytest.mark.parametrize("rest", [lambda fake: fake.advance(5), lambda fake: fake.sleep(5)])
@pytest.mark.parametrize("pace", ["manual", "polls"])
def test_a_loop_that_sleeps_is_fine(
    code: Code, fake: FakeFineTuning, pace: Any, rest: Callable[[FakeFineTuning], object]
) -> None:
    """Virtual time that passes between two polls counts as a pause, at any pace."""
    fake.pace = pace
    job = fake.add_job(fake.add_file(ROWS)["id"], status="paused")
    for _ in range(2 * HOT_LOOKS):
        code.look(job)
        rest(fake)

    assert found(fake) == []


def test_a_sleep_that_the_fake_replaces_is_a_pause(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop whose `time.sleep` is replaced by the fake's sleep has no finding."""
    monkeypatch.setattr("time.sleep", fake.sleep)
    job = fake.add_job(fake.add_file(ROWS)["id"], status="paused")
    for _ in range(2 * HOT_LOOKS):
        code.look(job)
        time.sleep(5)

    assert found(fake) == []


@pytest.mark.parametrize("interval", [0.001, 60.0])
def test_at_the_pace_polls_looks_are_counted(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch, interval: float
) -> None:
    """At the pace "polls" a hundred polls of a paused job are a finding, whatever real time passes between them."""
    set_request_interval(monkeypatch, interval)
    fake.pace = "polls"
    job = fake.add_job(fake.add_file(ROWS)["id"], status="paused")
    for _ in range(HOT_LOOKS_AT_POLLS - 1):
        code.look(job)
    assert found(fake) == []

    code.look(job)
    assert found(fake) == [("polled_without_pause", numbers(1, HOT_LOOKS_AT_POLLS))]


def test_looks_that_move_time_are_no_hot_loop(code: Code, fake: FakeFineTuning) -> None:
    """At the pace "polls" more than a hundred polls cause no finding if each moves time."""
    fake.pace = "polls"
    for hours in range(1, 1 + HOT_LOOKS_AT_POLLS // 2):
        fake.plan = {"queued": f"{hours}h"}
        job = code.create()
        while job["status"] != "succeeded":
            code.send("GET", "/fine_tuning/jobs?limit=1")
            job = code.look(job)

    assert len(fake.calls_to("list_jobs")) > HOT_LOOKS_AT_POLLS
    assert found(fake) == []


def test_a_clock_that_was_stopped_is_not_held_against_anybody(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a frozen real clock polls without a pause are not found."""
    monkeypatch.setattr("fine_tuning_fakeserver.web.app.elapsed", lambda: 1.0)
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(HOT_LOOKS):
        code.look(job)

    assert found(fake) == []


def test_a_short_sleep_is_a_pause(code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll interval of 10 ms or more counts as a pause."""
    set_request_interval(monkeypatch, 0.01)
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(2 * HOT_LOOKS):
        code.look(job)

    assert found(fake) == []


@pytest.mark.parametrize("verb", ["/events?limit=10", "/checkpoints", "s?limit=1"])
def test_a_loop_that_looks_in_another_way_is_found(code: Code, fake: FakeFineTuning, verb: str) -> None:
    """Polling by events, checkpoints or lists is found while a job runs, and not after its end."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    path = f"/fine_tuning/jobs/{job['id']}{verb}" if verb[0] == "/" else f"/fine_tuning/job{verb}"
    for _ in range(HOT_LOOKS):
        code.send("GET", path)
    fake.advance_to("succeeded")
    for _ in range(HOT_LOOKS):
        code.send("GET", path)

    assert found(fake) == [("polled_without_pause", numbers(1, HOT_LOOKS))]


def test_many_waiters_are_no_loop(code: Code, fake: FakeFineTuning) -> None:
    """Eight tasks that wait for one job concurrently have no finding."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="queued")

    async def session() -> None:
        transport = fake.transport()
        headers = {"authorization": "Bearer any"}
        async with httpx.AsyncClient(transport=transport, base_url="http://fake/v1", headers=headers) as http:

            async def wait() -> None:
                for _ in range(5):
                    await http.get(f"/fine_tuning/jobs/{job['id']}")
                    await asyncio.sleep(0)

            await asyncio.gather(*(wait() for _ in range(8)))
            fake.advance_to("succeeded")
            await asyncio.gather(*(http.get(f"/fine_tuning/jobs/{job['id']}") for _ in range(8)))

    asyncio.run(session())
    assert len(fake.calls) == 48
    assert found(fake) == []


# no_terminal_check


@pytest.mark.parametrize("also", ["", "/events?limit=5"])
def test_polling_on_after_the_end_is_found(code: Code, fake: FakeFineTuning, also: str) -> None:
    """Five further polls of a cancelled job are a finding, whatever else is requested."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    code.look(job)
    code.about(job, "/cancel")
    for turn in range(1 + ROUNDS_TOO_MANY):
        assert found(fake) == [], turn
        code.look(job)
        if also:
            code.about(job, also, "GET")
        fake.advance(30)

    (finding,) = fake.findings
    assert (finding.code, len(finding.calls)) == ("no_terminal_check", 1 + ROUNDS_TOO_MANY)
    assert f"job {job['id']} had been cancelled, and was retrieved 5 times more" in finding.message


def test_waiting_for_a_success_that_never_comes_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Waiting for all jobs to succeed although one has failed is a finding for each job."""
    file = fake.add_file(ROWS)["id"]
    jobs = [fake.add_job(file, status=status) for status in ("succeeded", "failed")]
    for _ in range(1 + ROUNDS_TOO_MANY):
        for job in jobs:
            code.look(job)
        fake.advance(30)

    assert [finding.message.split()[3] for finding in fake.findings] == ["succeeded,", "failed"]


def test_a_loop_without_a_pause_that_never_ends_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Without visible pauses more than twenty polls of a finished job are needed for a finding."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="succeeded")
    for _ in range(HOT_LOOKS):
        code.look(job)
    assert found(fake) == []

    code.look(job)
    assert found(fake) == [("no_terminal_check", numbers(1, HOT_LOOKS + 1))]


def test_looking_again_at_the_end_is_fine(code: Code, fake: FakeFineTuning) -> None:
    """A few further polls of a finished job, or any number in a loop over several jobs, cause no finding."""
    file = fake.add_file(ROWS)["id"]
    over, going = fake.add_job(file, status="succeeded"), fake.add_job(file, status="running", plan={"queued": "6h"})
    for _ in range(ROUNDS_TOO_MANY):
        code.look(over)
        fake.advance(1)
    for _ in range(2 * ROUNDS_TOO_MANY):
        code.look(going)
        code.look(over)
        fake.advance(1)

    assert found(fake) == []


@pytest.mark.parametrize("apart", [0, "1h"])
def test_deliveries_and_visits_are_no_loop(code: Code, fake: FakeFineTuning, apart: Any) -> None:
    """Repeated polls of a finished job, in one moment or far apart, cause no finding."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="succeeded")
    for _ in range(2 * ROUNDS_TOO_MANY):
        code.look(job)
        fake.advance(apart)

    assert found(fake) == []


@pytest.mark.parametrize("interval", [0.9 * PAUSE_S, PAUSE_S])
def test_a_slow_machine_makes_no_rounds(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch, interval: float
) -> None:
    """Six polls of a finished job are a finding if seconds of real time pass between them, and not if less."""
    set_request_interval(monkeypatch, interval)
    job = fake.add_job(fake.add_file(ROWS)["id"], status="succeeded")
    for _ in range(1 + ROUNDS_TOO_MANY):
        code.look(job)

    assert found(fake) == ([("no_terminal_check", numbers(1, 6))] if interval == PAUSE_S else [])


# unknown_status_crashed


def poll(client: Any, job: Any, fake: FakeFineTuning, known: tuple[str, ...]) -> None:
    """Poll a job with a fixed set of known statuses, and crash at any other."""
    for _ in range(3):
        known.index(client.fine_tuning.jobs.retrieve(job["id"]).status)
        fake.advance(5)


def test_a_crash_at_a_pause_is_found(code: Code, fake: FakeFineTuning) -> None:
    """A poller that stops at a pause by somebody else is found, and its job is not reported as leaked."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    with official(fake) as client:
        poll(client, job, fake, ("running",))
        code.about(job, "/pause")
        with pytest.raises(ValueError, match="not in tuple"):
            poll(client, job, fake, ("running",))

    assert found(fake) == [("unknown_status_crashed", (3, 5))]


def test_a_crash_beside_others_is_found(code: Code, fake: FakeFineTuning) -> None:
    """A poller that stops at a pause is found even if other polls with the same user agent continue."""
    file = fake.add_file(ROWS)["id"]
    job, other = (fake.add_job(file, status="running", plan={"seconds_per_step": 60}) for _ in range(2))
    for turn in range(4):
        if turn == 3:
            fake.pause_job(job["id"])
        code.look(job)
        code.look(other)
        fake.advance(5)

    assert found(fake) == [("unknown_status_crashed", (5, 7))]
    assert "your code has no branch for 'paused'" in fake.findings[0].hint
    code.send("GET", "/fine_tuning/jobs?limit=1")
    assert found(fake) == []


def test_the_ticks_of_a_scheduler_are_no_poller(code: Code, fake: FakeFineTuning) -> None:
    """With polls a minute apart a last poll at a pause is not reported as a crash."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running", plan={"seconds_per_step": 60})
    for turn in range(4):
        if turn == 3:
            fake.pause_job(job["id"])
        code.look(job)
        fake.advance(60)

    assert found(fake) == []


def test_who_goes_on_after_a_pause_has_not_crashed(code: Code, fake: FakeFineTuning) -> None:
    """A poller that sends anything after the pause, or has paused the job itself, has no finding."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    with official(fake) as client:
        poll(client, job, fake, ("running",))
        code.about(job, "/pause")
        client.fine_tuning.jobs.retrieve(job["id"])
        client.fine_tuning.jobs.list_events(job["id"], limit=1)
        assert found(fake) == []
        code.about(job, "/resume")
        fake.advance_to("running")
        poll(client, job, fake, ("running",))
        client.fine_tuning.jobs.pause(job["id"])
        client.fine_tuning.jobs.retrieve(job["id"])

    assert found(fake) == []


@pytest.mark.usefixtures("own")
def test_our_client_may_stop_at_a_pause(code: Code, fake: FakeFineTuning) -> None:
    """Our own client with `until_paused` has no finding."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")

    def pause(seen: Any) -> None:
        if len(fake.calls) > 1 and not seen.is_paused():
            code.about(job, "/pause")

    FineTuning.retrieve_job(job["id"])
    FineTuning.retrieve_job(job["id"])
    assert FineTuning.wait_for_job(job["id"], until_paused=True, on_update=pause).is_paused()
    assert found(fake) == []


# read_model_before_success


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/models/None", None),
        ("DELETE", "/models/undefined", None),
        ("POST", "/chat/completions", {"model": None, "messages": [{"role": "user", "content": "?"}]}),
        ("POST", "/completions", {"model": "", "prompt": "?"}),
        ("POST", "/fine_tuning/jobs", {"model": None, "training_file": "file-x"}),
    ],
)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("running", "read_model_before_success"),
        ("failed", "ignored_job_error"),
        ("cancelled", "ignored_job_error"),
        ("succeeded", None),
    ],
)
def test_a_model_that_there_is_not_yet(
    code: Code, fake: FakeFineTuning, method: str, path: str, body: Any, status: str, expected: str | None
) -> None:
    """Using a missing model name is found after a running or failed job, and not after a success."""
    code.look(fake.add_job(fake.add_file(ROWS)["id"], status=status))
    code.send(method, path, json=body)

    assert found(fake) == ([(expected, (1, 2))] if expected else [])


def test_a_model_that_is_none_without_a_job_is_no_finding(code: Code, fake: FakeFineTuning) -> None:
    """A missing model name without an earlier job, or an unknown model, causes no finding."""
    code.send("GET", "/models/None")
    code.look(fake.add_job(fake.add_file(ROWS)["id"], status="running"))
    code.send("GET", "/models/nonesuch")
    code.create(model="")
    code.send("POST", "/chat/completions", json={"messages": []})

    assert found(fake) == []


@pytest.mark.parametrize(
    ("newest", "expected"), [("running", "read_model_before_success"), ("failed", "ignored_job_error")]
)
def test_of_a_list_the_newest_job_is_the_one_that_is_used(
    code: Code, fake: FakeFineTuning, newest: str, expected: str
) -> None:
    """After a list the finding names the newest job without a model."""
    file = fake.add_file(ROWS)["id"]
    for status in ("cancelled", "running", newest):
        job = fake.add_job(file, status=status)
        fake.advance(60)
    code.send("GET", "/fine_tuning/jobs?limit=10")
    for _ in range(3):
        code.send("GET", "/models/None")

    (finding,) = fake.findings
    assert (finding.code, finding.requests) == (expected, (1, 2, 3, 4))
    assert finding.message.startswith(f'retrieve_model was sent "None" for a model: job {job["id"]} ')


def test_a_job_that_has_its_model_is_not_the_one_that_was_read_too_early(code: Code, fake: FakeFineTuning) -> None:
    """Of two jobs the finding names the one without a model, even if the other was polled later."""
    file = fake.add_file(ROWS)["id"]
    early, done = (fake.add_job(file, status=status) for status in ("running", "succeeded"))
    code.look(early)
    code.look(done)
    code.send("POST", "/chat/completions", json={"model": None, "messages": []})

    (finding,) = fake.findings
    assert finding.requests == (1, 3)
    assert finding.message.startswith(f"create_chat_completion was sent null for a model: job {early['id']} was still")


# ignored_job_error


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ({}, {}),
        ({}, {"method": {"type": "supervised", "dpo": {}}}),
        ({}, {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}}}),
        (
            {"hyperparameters": {"n_epochs": 2}},
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}},
        ),
    ],
)
def test_the_same_job_after_a_bad_file_is_found(
    code: Code, fake: FakeFineTuning, first: dict[str, Any], again: dict[str, Any]
) -> None:
    """Creating the same job again after its file made it fail is found, in any spelling."""
    fake.pace, fake.plan = "polls", {"error": "invalid_training_file"}
    file = fake.add_file(ROWS)["id"]
    job = code.create(training_file=file, **first)
    assert code.look(job)["status"] == "failed"
    assert code.create(training_file=file, **again)["object"] == "fine_tuning.job"

    assert found(fake) == [("ignored_job_error", (1, 2, 3))]


def test_the_same_file_uploaded_anew_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Uploading the same file again after it made a job fail is one finding; with a different size it is not found."""
    fake.pace, fake.plan = "polls", {"error": "invalid_training_file"}
    for _ in range(3):
        code.look(code.create(training_file=code.upload()))
    assert found(fake) == [("ignored_job_error", (2, 3, 5, 6, 8))]

    fake.reset(pace="polls", plan={"error": "invalid_training_file"})
    code.look(code.create(training_file=code.upload()))
    code.create(training_file=code.upload(rows=ROWS * 2))
    assert found(fake) == []


@pytest.mark.parametrize("data", [5, None, ["x", 1, None], [{"id": 7, "status": "failed"}], [{"id": "x"}]], ids=str)
def test_an_answer_of_any_shape_shows_no_job(code: Code, fake: FakeFineTuning, data: Any) -> None:
    """A list response without valid jobs shows no job to the rules."""
    code.send("GET", "/fine_tuning/jobs")

    assert observed_jobs([replace(fake.calls[0], answer={"data": data, "has_more": True})]) == []


@pytest.mark.parametrize("error", ["boom", {"code": 400, "message": "bad"}, {"code": ["x"]}, {"code": None}], ids=str)
def test_an_error_that_a_script_makes_up_breaks_nothing(code: Code, fake: FakeFineTuning, error: Any) -> None:
    """A scripted job error of any shape causes no finding and does not break a rule."""
    fake({"create_job": ["queued"], "retrieve_job": [{"status": "failed", "error": error}]})
    job = code.create()
    code.look(job)
    code.create(training_file=job["training_file"])

    assert found(fake) == []


@pytest.mark.parametrize(
    ("error", "again"),
    [
        ("server_error", {}),
        ("invalid_training_file", {"seed": 2}),
        ("invalid_training_file", {"training_file": None}),
        (
            "invalid_training_file",
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}},
        ),
    ],
)
def test_another_job_after_a_failure_is_fine(code: Code, fake: FakeFineTuning, error: str, again: Any) -> None:
    """Retrying after a service failure, or with another file or other options, causes no finding."""
    fake.pace, fake.plan = "polls", {"outcome": "failed", "error": error}
    body = {"training_file": fake.add_file(ROWS)["id"]}
    code.look(code.create(**body))
    code.create(**{name: value or fake.add_file(ROWS)["id"] for name, value in {**body, **again}.items()})

    assert found(fake) == []


# leaked_job


def test_a_job_that_was_waited_for_and_left_is_found(code: Code, fake: FakeFineTuning) -> None:
    """A job that was created, polled five times and left running is a finding; four polls are not."""
    job = code.create()
    for _ in range(WAITED_LOOKS - 1):
        code.look(job)
        fake.advance(1)
    assert found(fake) == []

    code.look(job)
    assert found(fake) == [("leaked_job", (1, 1 + WAITED_LOOKS))]


@pytest.mark.usefixtures("own")
def test_a_wait_that_timed_out_leaves_a_job_unless_it_is_cancelled(fake: FakeFineTuning) -> None:
    """A job left running after our client's timeout is a finding until it is cancelled."""
    fake.plan = {"queued": "6h"}
    job = FineTuning.create_job(fake.add_file(ROWS)["id"], MODEL)
    with pytest.raises(WaitTimeout):
        FineTuning.wait_for_job(job.id, timeout=3600)
    assert [code for code, _ in found(fake)] == ["leaked_job"]

    FineTuning.cancel_job(job.id)
    assert found(fake) == []


@pytest.mark.parametrize("way", ["failed", "paused by others"])
def test_a_cancel_that_failed_leaves_the_job(code: Code, fake: FakeFineTuning, way: str) -> None:
    """A job whose cancel failed is found as leaked, and one paused by somebody else is not."""
    job = code.create()
    for _ in range(WAITED_LOOKS):
        code.look(job)
        fake.advance("60s")
    fake.fail(500, on="cancel_job")
    code.about(job, "/cancel")
    if way != "failed":
        fake.pause_job(job["id"])

    assert [code for code, _ in found(fake)] == (["leaked_job"] if way == "failed" else [])


@pytest.mark.parametrize("ending", ["over", "paused by us", "told", "ours"])
def test_jobs_that_are_not_left(code: Code, fake: FakeFineTuning, ending: str) -> None:
    """A finished or paused job, one with a webhook, or one added by the test is not leaked."""
    if ending == "told":
        fake.add_webhook()
    job = code.create() if ending != "ours" else fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(WAITED_LOOKS):
        code.look(job)
        fake.advance("60s")
    if ending == "over":
        fake.advance_to("succeeded")
    if ending == "paused by us":
        code.about(job, "/pause")

    assert found(fake) == []


# leaked_file


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_file_without_a_job_is_found(code: Code, fake: FakeFineTuning, status: int) -> None:
    """An uploaded file whose job was refused is leaked; after a 429 only when another file replaces it."""
    fake.fail(status, on="create_job")
    code.create(training_file=code.upload())
    assert found(fake) == ([] if status == 429 else [("leaked_file", (1, 2))])

    code.create(training_file=code.upload())
    assert [each for each in found(fake) if each[0] == "leaked_file"] == [("leaked_file", (1, 2, 4))]


@pytest.mark.parametrize("way", ["deleted", "used", "used before", "not asked for"])
def test_files_that_are_not_left(code: Code, fake: FakeFineTuning, way: str) -> None:
    """A file that is deleted, used by a job, or never used in a create is not leaked."""
    file = code.upload()
    if way == "used before":
        code.create(training_file=file)
    if way != "not asked for":
        code.create(training_file=file, model="gpt-9")
    if way == "deleted":
        code.send("DELETE", f"/files/{file}")
    if way == "used":
        code.create(training_file=fake.add_file(ROWS)["id"], validation_file=file)
    code.create()

    assert found(fake) == []


def test_a_file_that_waits_or_expires_is_not_left(code: Code, fake: FakeFineTuning) -> None:
    """A file kept for a retry after a limit, or with an expiry, is not leaked."""
    fake.reset(max_active_jobs=1)
    kept, used = code.upload("kept.jsonl"), code.upload("used.jsonl")
    code.create()
    code.create(training_file=kept)
    fake.advance_to("succeeded")
    code.create(training_file=used)
    fake.reset(pace="manual", max_active_jobs=None)
    expiring = code.upload(**{"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"})
    code.create(training_file=expiring, model="gpt-9")
    code.create()

    assert found(fake) == []


def test_files_left_behind_at_once_are_one_finding(code: Code, fake: FakeFineTuning) -> None:
    """Three files leaked before the same job are one finding."""
    for _ in range(3):
        code.create(training_file=code.upload(), model="gpt-9")
    code.create()

    (finding,) = fake.findings
    assert finding.requests == numbers(1, 7)
    assert " and 2 more, uploaded for a job that was not created, was left when another was" in finding.message


# the whole


def test_findings_fail_an_assertion_unless_they_are_ignored(code: Code, fake: FakeFineTuning) -> None:
    """`assert_no_findings` lists code, requests, message and hint of all findings that are not ignored."""
    code.create(training_file=code.upload(), model="gpt-9")
    code.create()
    code.look(fake.add_job(fake.add_file(ROWS)["id"], status="running"))
    code.send("GET", "/models/null")

    with pytest.raises(AssertionError) as caught:
        fake.assert_no_findings()
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 findings:"
    assert lines[1].startswith("leaked_file (requests 1, 2, 3): file file-")
    assert lines[2] == "    delete a file when no job comes of it"
    assert [line.split()[:2] for line in lines[3:6]] == [["1", "upload_file"], ["2", "create_job"], ["3", "create_job"]]
    assert lines[6].startswith("read_model_before_success (requests 4, 5): retrieve_model was sent")
    with pytest.raises(AssertionError, match=r"1 finding:\nread_model"):
        fake.assert_no_findings(ignore=["leaked_file"])
    fake.assert_no_findings(ignore=("leaked_file", "read_model_before_success"))


def test_the_documents_list_every_code() -> None:
    """The docs list every finding with its rule's one-line text, without a full stop."""
    root = Path(__file__).parents[3]
    text = "\n".join(path.read_text() for path in (root / "README.md", *root.glob("docs/**/*.md")))
    assert {
        code: line for code, line in re.findall(r"^\| \[`(\w+)`\]\(\1\.md\) \| (.+) \|$", text, re.M) if code in CODES
    } == CODES
    assert all(line and "\n" not in line and not line.endswith(".") for line in CODES.values())


@pytest.mark.parametrize(
    ("requests", "words", "shown"),
    [
        (1, "request 1", [1]),
        (3, "requests 1, 2, 3", [1, 2, 3]),
        (4, "requests 1, 2, 3, 4", [1, 4]),
        (8, "8 requests, 1 to 8", [1, 8]),
    ],
)
def test_how_a_finding_is_told(code: Code, fake: FakeFineTuning, requests: int, words: str, shown: list[int]) -> None:
    """A finding shows its requests, or their number with the first and last ones."""
    for _ in range(requests):
        code.send("GET", "/models")
    finding = Finding("leaked_job", "a job was left", tuple(fake.calls), "cancel it")

    lines = [f"leaked_job ({words}): a job was left", "cancel it", *(f"   {each}  list_models → 200" for each in shown)]
    assert str(finding) == "\n    ".join(lines)


def test_many_findings_are_told_shortly(code: Code, fake: FakeFineTuning) -> None:
    """Of many findings the first ten are shown, and the others counted by code."""
    for _ in range(12):
        job = code.create()
        for _ in range(WAITED_LOOKS):
            code.look(job)
    code.send("GET", "/fine_tuning/jobs?after=1760000000")

    with pytest.raises(AssertionError) as caught:
        fake.assert_no_findings()
    lines = str(caught.value).splitlines()
    assert (lines[0], lines[-1]) == ("13 findings:", "and more: 2 leaked_job, 1 cursor_by_time")
    assert sum(line.startswith("leaked_job") for line in lines) == 10


def test_a_rule_that_breaks_hurts_nobody(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in one rule is logged, and the other rules still apply."""
    monkeypatch.setitem(RULES, "polled_without_pause", lambda calls, final_state: [1 / 0])
    code.send("GET", "/fine_tuning/jobs?after=1760000000")

    assert found(fake) == [("cursor_by_time", (1,))]
    assert caplog.messages == ["fake-fine-tuning has a bug, please report it: its rule polled_without_pause broke"]


def test_senders_are_judged_apart(code: Code, fake: FakeFineTuning) -> None:
    """Requests of different clients are judged separately."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="succeeded")
    with Code(fake, "another") as other:
        for _ in range(ROUNDS_TOO_MANY):
            for each in (code, other):
                each.look(job)
            fake.advance(30)

    assert found(fake) == []
