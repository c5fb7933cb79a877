"""Correct programs in the areas of the findings."""
# ruff: noqa: D103 - the name of a program says what it does

from __future__ import annotations

import pytest

from programs import OTHER_ROWS, Program, Programs, Run, run
from strategies import ROWS

PROGRAMS = Programs()

# leaked_file


@PROGRAMS.sound
def a_refused_file_is_deleted(code: Program) -> None:
    file = code.upload()
    code.create(training_file=file, model="gpt-9")
    code.send("DELETE", f"/files/{file}")


@PROGRAMS.sound
def a_create_is_mended_and_uses_the_file(code: Program) -> None:
    file = code.upload()
    code.create(training_file=file, hyperparameters={"n_epochs": -1})
    code.create(training_file=file)


@PROGRAMS.sound
def a_deletion_is_tried_again(code: Program) -> None:
    file = code.upload()
    code.fake.fail(503, on="delete_file")
    for _ in range(2):
        code.send("DELETE", f"/files/{file}")


@PROGRAMS.sound
def files_are_uploaded_for_jobs_to_come(code: Program) -> None:
    code.create(training_file=code.upload("one.jsonl"), validation_file=code.upload("two.jsonl", OTHER_ROWS))
    code.upload("three.jsonl")


@PROGRAMS.sound
def the_same_file_is_uploaded_for_each_of_two_jobs(code: Program) -> None:
    files = [code.upload(), code.upload()]
    for file in files:
        code.create(training_file=file)


@PROGRAMS.sound
def a_file_is_kept_until_there_is_room(code: Program) -> None:
    code.fake.rate_limit(on="create_job", retry_after=3600)
    code.create(training_file=code.upload())


@PROGRAMS.sound
def the_answer_to_the_create_is_lost_and_the_file_is_used(code: Program) -> None:
    code.fake.fail(502, on="create_job", applied=True)
    code.create(training_file=code.upload())
    code.get("/fine_tuning/jobs")


# leaked_job


@PROGRAMS.sound
def a_job_is_cancelled_after_the_deadline(code: Program) -> None:
    job = code.create()
    code.poll(job, 6)
    code.about(job, "/cancel")


@PROGRAMS.sound
def a_job_is_left_to_somebody_else(code: Program) -> None:
    code.look(code.create())


@PROGRAMS.sound
def jobs_are_listed_before_each_create(code: Program) -> None:
    for seed in range(8):
        code.get("/fine_tuning/jobs")
        code.create(seed=seed)


@PROGRAMS.sound
def the_events_are_walked_once(code: Program) -> None:
    job = code.create(training_file=code.fake.add_file(ROWS * 5)["id"])
    code.fake.advance_to(step=60)
    path, page = f"/fine_tuning/jobs/{job['id']}/events", code.about(job, "/events?limit=10", "GET")
    while page["has_more"]:
        page = code.get(path, limit=10, after=page["data"][-1]["id"])


# read_model_before_success and ignored_job_error


@PROGRAMS.sound
def the_model_is_asked_after_success(code: Program) -> None:
    code.chat(model=code.finished()["fine_tuned_model"])


@PROGRAMS.sound
def another_model_is_asked_meanwhile(code: Program) -> None:
    code.look(code.create())
    code.chat(model="gpt-4o-mini")


@PROGRAMS.sound
def the_file_is_mended_after_the_failure(code: Program) -> None:
    code.finished("failed", training_file=code.upload())
    code.create(training_file=code.upload("train.jsonl", OTHER_ROWS))


@PROGRAMS.sound
def another_model_is_trained_after_the_failure(code: Program) -> None:
    job = code.finished("failed")
    code.create(training_file=job["training_file"], model="gpt-4.1-mini")


@PROGRAMS.sound
def other_hyperparameters_are_taken_after_the_failure(code: Program) -> None:
    job = code.finished("failed")
    code.create(training_file=job["training_file"], hyperparameters={"n_epochs": 2})


@PROGRAMS.sound
def the_same_is_tried_after_an_error_of_the_service(code: Program) -> None:
    code.fake.plan_next(error="server_error")
    job = code.create()
    code.fake.advance_to("failed")
    code.about(job, "/events", "GET")
    code.create(training_file=job["training_file"])


@PROGRAMS.sound
def events_before_the_failure_show_none(code: Program) -> None:
    code.fake.plan_next(error="invalid_training_file")
    job = code.create()
    code.about(job, "/events", "GET")
    code.create(training_file=job["training_file"])
    code.fake.advance_to("failed", job["id"])


# ignored_has_more and cursor_by_time


def add_jobs(code: Program, count: int) -> None:
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(count):
        code.fake.add_job(file)


@PROGRAMS.sound
def pages_are_walked_by_their_limit(code: Program) -> None:
    add_jobs(code, 5)
    page = code.get("/fine_tuning/jobs", limit=2)
    while page["has_more"]:
        page = code.get("/fine_tuning/jobs", limit=2, after=page["data"][-1]["id"])


@PROGRAMS.sound
def the_sdk_walks_by_a_limit(code: Program) -> None:
    add_jobs(code, 5)
    with code.sdk() as client:
        assert len(list(client.fine_tuning.jobs.list(limit=2))) == 5


@PROGRAMS.sound
def the_newest_job_is_wanted(code: Program) -> None:
    add_jobs(code, 3)
    code.get("/fine_tuning/jobs", limit=1)


@PROGRAMS.sound
def all_fit_on_the_page(code: Program) -> None:
    add_jobs(code, 10)
    code.get("/fine_tuning/jobs", limit=10)


@PROGRAMS.sound
def the_job_that_was_sought_is_on_the_page(code: Program) -> None:
    add_jobs(code, 11)
    code.look(code.get("/fine_tuning/jobs", limit=10)["data"][4])


@PROGRAMS.sound
def the_newest_events_are_shown(code: Program) -> None:
    job = code.finished()
    code.about(job, "/events?limit=10", "GET")


@PROGRAMS.sound
def new_events_are_followed_by_the_greatest_limit(code: Program) -> None:
    code.fake.plan_next(seconds_per_step=1)
    job = code.create(training_file=code.fake.add_file(ROWS * 20)["id"])
    for _ in range(12):
        code.about(job, "/events?limit=100", "GET")
        code.rest(30)
        code.fake.advance(30)
    code.about(job, "/cancel")


# polled_without_pause, no_terminal_check and unknown_status_crashed


@PROGRAMS.sound
def polls_rest_until_the_end(code: Program) -> None:
    job = code.create()
    code.poll(job, 30)
    code.fake.advance_to("succeeded")
    code.look(job)


@PROGRAMS.sound
def the_fakes_sleep_is_a_pause(code: Program) -> None:
    job = code.create()
    while code.look(job)["status"] != "succeeded":
        code.fake.sleep(30)


@PROGRAMS.sound
def many_jobs_are_looked_at_once_each(code: Program) -> None:
    for job in [code.create(seed=seed) for seed in range(30)]:
        code.look(job)


@PROGRAMS.sound
def events_and_checkpoints_are_read_at_the_end(code: Program) -> None:
    job = code.finished()
    for verb in ("/events", "/checkpoints", "/events", "/checkpoints", ""):
        code.about(job, verb, "GET")
        code.rest(5)


@PROGRAMS.sound
def jobs_are_listed_while_others_go_on(code: Program) -> None:
    done = code.finished()
    other = code.create(suffix="other")
    for _ in range(8):
        code.get("/fine_tuning/jobs")
        code.rest(5)
    code.about(other, "/cancel")
    assert done["status"] == "succeeded"


@PROGRAMS.sound
def jobs_of_others_are_watched(code: Program) -> None:
    add_jobs(code, 3)
    for _ in range(8):
        code.get("/fine_tuning/jobs")
        code.rest(5)


@PROGRAMS.sound
def a_paused_job_is_waited_for(code: Program) -> None:
    job = code.create()
    code.poll(job, 2)
    code.fake.advance_to("running")
    code.fake.pause_job(job["id"])
    code.poll(job, 2)
    code.fake.resume_job(job["id"])
    code.fake.advance_to("succeeded")
    code.look(job)


@PROGRAMS.sound
def a_paused_job_is_cancelled_and_its_file_deleted(code: Program) -> None:
    job = code.create(training_file=code.upload())
    code.poll(job, 2)
    code.fake.advance_to("running")
    code.fake.pause_job(job["id"])
    code.look(job)
    code.about(job, "/cancel")
    code.send("DELETE", f"/files/{job['training_file']}")


@PROGRAMS.sound
def a_paused_job_in_a_list_is_looked_at_again(code: Program) -> None:
    job = code.create()
    for _ in range(3):
        code.get("/fine_tuning/jobs")
        code.rest(5)
    code.fake.advance_to("running")
    code.fake.pause_job(job["id"])
    for _ in range(2):
        code.get("/fine_tuning/jobs")


# create_retried_blindly and hot_loop_on_429


@PROGRAMS.sound
def jobs_are_listed_before_the_create_is_repeated(code: Program) -> None:
    code.fake.fail(500, on="create_job")
    file = code.fake.add_file(ROWS)["id"]
    code.create(training_file=file, metadata={"attempt": "1"})
    code.get("/fine_tuning/jobs")
    code.create(training_file=file, metadata={"attempt": "2"})


@PROGRAMS.sound
def another_run_follows_one_that_failed(code: Program) -> None:
    code.fake.fail(500, on="create_job")
    file = code.fake.add_file(ROWS)["id"]
    for run_name in ("a", "b"):
        code.create(training_file=file, metadata={"run": run_name})


@PROGRAMS.sound
def retry_after_is_kept(code: Program) -> None:
    code.fake.rate_limit(on="list_files", retry_after=20)
    code.get("/files")
    code.rest(20)
    code.get("/files")


@PROGRAMS.sound
def a_date_that_has_passed_asks_for_no_wait(code: Program) -> None:
    code.fake.rate_limit(on="list_files", retry_after="Wed, 21 Oct 2015 07:28:00 GMT")
    code.get("/files")
    code.get("/files")


@PROGRAMS.sound
def a_date_is_kept(code: Program) -> None:
    code.fake.rate_limit(on="list_files", retry_after="Wed, 21 Oct 2099 07:28:00 GMT")
    code.get("/files")
    code.rest(75 * 365 * 86_400)
    code.get("/files")


@pytest.mark.parametrize("program", PROGRAMS.without)
def test_a_sound_program_has_no_findings(program: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A correct program has no findings."""
    assert run(program, monkeypatch) == set()
