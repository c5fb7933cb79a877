"""Findings about polling and retries, each against ten programs with the flaw."""
# ruff: noqa: D103 - the name of a program says what it does

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from programs import Program, Programs, Run, run
from strategies import ROWS

PROGRAMS = Programs()


# polled_without_pause: an unfinished job was polled over and over without a pause


@PROGRAMS.flawed("polled_without_pause")
def by_retrieving_it(code: Program) -> None:
    code.poll(code.create(), 30, pause=0)


@PROGRAMS.flawed("polled_without_pause")
def by_its_events(code: Program) -> None:
    job = code.create()
    for _ in range(30):
        code.about(job, "/events", "GET")


@PROGRAMS.flawed("polled_without_pause")
def by_the_list_of_jobs(code: Program) -> None:
    code.create()
    for _ in range(30):
        code.get("/fine_tuning/jobs")


@PROGRAMS.flawed("polled_without_pause")
def by_its_checkpoints(code: Program) -> None:
    job = code.create()
    for _ in range(30):
        code.about(job, "/checkpoints", "GET")


@PROGRAMS.flawed("polled_without_pause")
def by_job_and_events_in_turn(code: Program) -> None:
    job = code.create()
    for _ in range(20):
        code.look(job)
        code.about(job, "/events", "GET")


@PROGRAMS.flawed("polled_without_pause")
def two_jobs_in_turn(code: Program) -> None:
    jobs = [code.create(suffix="one"), code.create(suffix="two")]
    for _ in range(20):
        for job in jobs:
            code.look(job)


@PROGRAMS.flawed("polled_without_pause", missed="tests set such a poll interval")
def with_pauses_of_ten_milliseconds(code: Program) -> None:
    code.poll(code.create(), 30, pause=0.01)


@PROGRAMS.flawed("polled_without_pause")
def after_a_polite_beginning(code: Program) -> None:
    job = code.poll(code.create(), 3, pause=10)
    code.poll(job, 30, pause=0)


@PROGRAMS.flawed("polled_without_pause")
def while_it_is_paused(code: Program) -> None:
    job = code.create()
    code.fake.advance_to("running")
    code.fake.pause_job(job["id"])
    code.poll(job, 30, pause=0)


@PROGRAMS.flawed("polled_without_pause")
def through_failures(code: Program) -> None:
    job = code.create()
    for _ in range(6):
        code.poll(job, 4, pause=0)
        code.fake.fail(503, on="retrieve_job")
        code.look(job)


# no_terminal_check: a job was polled on after a final status had been answered


@PROGRAMS.flawed("no_terminal_check")
def after_success(code: Program) -> None:
    code.poll(code.finished(), 6)


@PROGRAMS.flawed("no_terminal_check")
def after_failure(code: Program) -> None:
    code.poll(code.finished("failed"), 6)


@PROGRAMS.flawed("no_terminal_check")
def after_it_was_cancelled_elsewhere(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    code.fake.cancel_job(job["id"])
    code.poll(job, 6)


@PROGRAMS.flawed("no_terminal_check")
def after_its_cancel_was_answered(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    code.about(job, "/cancel")
    code.poll(job, 6)


@PROGRAMS.flawed("no_terminal_check")
def the_end_is_listed_again(code: Program) -> None:
    job = code.create()
    code.fake.advance_to("succeeded", job["id"])
    for _ in range(7):
        code.get("/fine_tuning/jobs")
        code.rest(5)


@PROGRAMS.flawed("no_terminal_check")
def the_events_are_read_again(code: Program) -> None:
    job = code.finished()
    for _ in range(6):
        code.about(job, "/events", "GET")
        code.rest(5)


@PROGRAMS.flawed("no_terminal_check", missed="wasteful, not wrong")
def while_another_is_waited_for(code: Program) -> None:
    fast, slow = code.create(suffix="fast"), code.create(suffix="slow")
    code.poll(fast, 1)
    code.fake.plan_job(slow["id"], starting=90_000)
    code.fake.advance_to("succeeded", fast["id"])
    for _ in range(6):
        code.look(fast)
        code.look(slow)
        code.rest(5)
    code.fake.advance_to("succeeded", slow["id"])
    code.look(slow)


@PROGRAMS.flawed("no_terminal_check")
def without_a_pause(code: Program) -> None:
    code.poll(code.finished(), 30, pause=0)


@PROGRAMS.flawed("no_terminal_check", missed="five rounds are no loop")
def job_and_events_are_read_again(code: Program) -> None:
    job = code.finished()
    for _ in range(5):
        code.look(job)
        code.about(job, "/events", "GET")
        code.rest(5)


@PROGRAMS.flawed("no_terminal_check")
def the_sdk_waits_for_another_word(code: Program) -> None:
    with code.sdk() as client:
        file = code.fake.add_file(ROWS)["id"]
        job = client.fine_tuning.jobs.create(training_file=file, model="gpt-4o-mini")
        code.fake.advance_to("succeeded")
        for _ in range(8):
            if str(client.fine_tuning.jobs.retrieve(job.id).status) == "completed":
                break
            code.fake.sleep(10)


def pause(code: Program, job: Any) -> None:
    """Pause a job from outside the code under test."""
    code.fake.advance_to("running", job["id"])
    code.fake.pause_job(job["id"])


# unknown_status_crashed: a poller stopped for good at a status such as paused, while the job was not over


@PROGRAMS.flawed("unknown_status_crashed")
def at_paused(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    pause(code, job)
    code.look(job)


@PROGRAMS.flawed("unknown_status_crashed")
def and_the_job_goes_on_without_it(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    pause(code, job)
    code.look(job)
    code.fake.resume_job(job["id"])
    code.fake.advance(60)


@PROGRAMS.flawed("unknown_status_crashed")
def and_another_is_created(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    pause(code, job)
    code.look(job)
    other = code.create(suffix="other")
    code.fake.advance_to("succeeded", other["id"])
    code.look(other)


@PROGRAMS.flawed("unknown_status_crashed", missed="the program knows the status: it has resumed the job")
def at_the_second_pause(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    pause(code, job)
    code.look(job)
    code.about(job, "/resume")
    code.poll(job, 2)
    pause(code, job)
    code.look(job)


@PROGRAMS.flawed("unknown_status_crashed", missed="one look is no loop")
def at_the_first_poll(code: Program) -> None:
    job = code.create()
    pause(code, job)
    code.look(job)


@PROGRAMS.flawed("unknown_status_crashed")
def in_the_list_of_jobs(code: Program) -> None:
    job = code.create()
    for _ in range(3):
        code.get("/fine_tuning/jobs")
        code.rest(5)
    pause(code, job)
    code.get("/fine_tuning/jobs")


@PROGRAMS.flawed("unknown_status_crashed")
def and_cleans_up_its_file(code: Program) -> None:
    job = code.create(training_file=code.upload())
    code.poll(job, 2)
    pause(code, job)
    code.look(job)
    code.send("DELETE", f"/files/{job['training_file']}")


@PROGRAMS.flawed("unknown_status_crashed")
def of_two_jobs(code: Program) -> None:
    jobs = [code.create(suffix="one"), code.create(suffix="two")]
    for _ in range(3):
        for job in jobs:
            code.look(job)
        code.rest(5)
    pause(code, jobs[0])
    code.look(jobs[0])


@PROGRAMS.flawed("unknown_status_crashed", missed="whoever asks on has not crashed")
def and_looks_at_the_events(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    pause(code, job)
    code.look(job)
    code.about(job, "/events", "GET")


@PROGRAMS.flawed("unknown_status_crashed")
def the_sdk_stops(code: Program) -> None:
    with code.sdk() as client:
        file = code.fake.add_file(ROWS)["id"]
        job = client.fine_tuning.jobs.create(training_file=file, model="gpt-4o-mini")
        for _ in range(3):
            client.fine_tuning.jobs.retrieve(job.id)
            code.fake.sleep(10)
        code.fake.advance_to("running")
        code.fake.pause_job(job.id)
        client.fine_tuning.jobs.retrieve(job.id)


# create_retried_blindly: a create was sent again after a failure that may have created the job


@PROGRAMS.flawed("create_retried_blindly")
def the_connection_closes(code: Program) -> None:
    code.fake.disconnect(on="create_job", applied=True)
    file = code.fake.add_file(ROWS)["id"]
    with pytest.raises(httpx.TransportError):
        code.create(training_file=file)
    code.create(training_file=file)


@PROGRAMS.flawed("create_retried_blindly")
def a_server_error(code: Program) -> None:
    code.fake.fail(500, on="create_job")
    file = code.fake.add_file(ROWS)["id"]
    code.create(training_file=file)
    code.create(training_file=file)


@PROGRAMS.flawed("create_retried_blindly")
def a_bad_gateway_and_a_pause(code: Program) -> None:
    code.fake.fail(502, on="create_job")
    file = code.fake.add_file(ROWS)["id"]
    code.create(training_file=file)
    code.rest(60)
    code.create(training_file=file)


@PROGRAMS.flawed("create_retried_blindly")
def a_gateway_timeout_each_time(code: Program) -> None:
    code.fake.fail(504, on="create_job", times=3, applied=True)
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(4):
        code.create(training_file=file)
        code.rest(10)


@PROGRAMS.flawed("create_retried_blindly")
def an_answer_that_ends_early(code: Program) -> None:
    code.fake.truncate(on="create_job", applied=True)
    file = code.fake.add_file(ROWS)["id"]
    with pytest.raises((httpx.TransportError, ValueError)):
        code.create(training_file=file)
    code.create(training_file=file)


@PROGRAMS.flawed("create_retried_blindly")
def an_answer_that_is_no_json(code: Program) -> None:
    code.fake.malformed(on="create_job", applied=True)
    file = code.fake.add_file(ROWS)["id"]
    with pytest.raises(json.JSONDecodeError):
        code.create(training_file=file)
    code.create(training_file=file)


@PROGRAMS.flawed("create_retried_blindly")
def the_sdk_repeats_it_by_itself(code: Program) -> None:
    code.fake.fail(500, on="create_job", retry_after=0.001)
    file = code.fake.add_file(ROWS)["id"]
    with code.sdk(max_retries=1) as client:
        client.fine_tuning.jobs.create(training_file=file, model="gpt-4o-mini")


@PROGRAMS.flawed("create_retried_blindly")
def the_file_is_uploaded_anew(code: Program) -> None:
    code.fake.fail(500, on="create_job")
    code.create(training_file=code.upload())
    code.create(training_file=code.upload())


@PROGRAMS.flawed("create_retried_blindly")
def the_attempt_is_in_the_metadata(code: Program) -> None:
    code.fake.fail(500, on="create_job")
    file = code.fake.add_file(ROWS)["id"]
    for attempt in "12":
        code.create(training_file=file, metadata={"attempt": attempt})


@PROGRAMS.flawed("create_retried_blindly")
def after_a_look_at_the_file(code: Program) -> None:
    code.fake.fail(503, on="create_job")
    file = code.fake.add_file(ROWS)["id"]
    code.create(training_file=file)
    code.get(f"/files/{file}")
    code.create(training_file=file)


# hot_loop_on_429: after a 429 the same request came again too soon


@PROGRAMS.flawed("hot_loop_on_429")
def a_job_is_retrieved_again(code: Program) -> None:
    job = code.create()
    code.fake.rate_limit(on="retrieve_job", retry_after=1)
    code.look(job)
    code.look(job)


@PROGRAMS.flawed("hot_loop_on_429")
def a_job_is_created_again(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    code.fake.rate_limit(on="create_job", retry_after=20)
    code.create(training_file=file)
    code.create(training_file=file)


@PROGRAMS.flawed("hot_loop_on_429")
def a_file_is_uploaded_again(code: Program) -> None:
    code.fake.rate_limit(on="upload_file", retry_after=20)
    for _ in range(2):
        form = {"files": {"file": ("a.jsonl", ROWS.encode())}, "data": {"purpose": "fine-tune"}}
        code.send("POST", "/files", **form)


@PROGRAMS.flawed("hot_loop_on_429")
def a_list_is_read_again(code: Program) -> None:
    code.fake.rate_limit(on="list_jobs", times=5, retry_after=2)
    for _ in range(6):
        code.get("/fine_tuning/jobs", limit=5)


@PROGRAMS.flawed("hot_loop_on_429")
def a_model_is_asked_again(code: Program) -> None:
    code.fake.rate_limit(on="create_chat_completion", retry_after=6)
    code.chat(model="gpt-4o-mini")
    code.chat(model="gpt-4o-mini")


@PROGRAMS.flawed("hot_loop_on_429")
def without_retry_after(code: Program) -> None:
    job = code.create()
    code.fake.rate_limit(on="retrieve_job", retry_after=None, times=5)
    code.poll(job, 6, pause=0)


@PROGRAMS.flawed("hot_loop_on_429")
def after_half_of_retry_after(code: Program) -> None:
    job = code.create()
    code.fake.rate_limit(on="retrieve_job", retry_after=20)
    code.look(job)
    code.rest(10)
    code.look(job)


@PROGRAMS.flawed("hot_loop_on_429")
def retry_after_is_a_date(code: Program) -> None:
    code.fake.rate_limit(on="list_files", retry_after="Wed, 21 Oct 2099 07:28:00 GMT")
    code.get("/files")
    code.get("/files")


@PROGRAMS.flawed("hot_loop_on_429", missed="a request after another one may be a new wish")
def another_request_in_between(code: Program) -> None:
    job = code.create()
    code.fake.rate_limit(on="retrieve_job", retry_after=30)
    code.look(job)
    code.get("/models")
    code.look(job)


@PROGRAMS.flawed("hot_loop_on_429")
def the_quota_is_used_up(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    code.fake.fail(429, code="insufficient_quota", on="create_job", times=3)
    for _ in range(3):
        code.create(training_file=file)


@pytest.mark.parametrize(("code", "program", "missed"), PROGRAMS.with_flaw)
def test_a_program_with_the_flaw_is_found(
    code: str, program: Run, missed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each flaw is found, except where the program states why it cannot be."""
    assert (code in run(program, monkeypatch)) is not bool(missed)
