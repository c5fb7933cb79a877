"""Findings about files, jobs, models and pages, each against ten programs with the flaw."""
# ruff: noqa: D103 - the name of a program says what it does

from __future__ import annotations

import json

import httpx
import openai
import pytest

from programs import OTHER_ROWS, Program, Programs, Run, run
from strategies import ROWS

PROGRAMS = Programs()


# leaked_file: a file was uploaded, no job used it, and it was left


@PROGRAMS.flawed("leaked_file")
def another_upload_takes_its_place(code: Program) -> None:
    code.upload()
    code.create(training_file=code.upload())


@PROGRAMS.flawed("leaked_file")
def the_create_is_refused_and_the_program_ends(code: Program) -> None:
    code.create(training_file=code.upload(), hyperparameters={"n_epochs": -1})


@PROGRAMS.flawed("leaked_file")
def the_create_fails_and_is_not_tried_again(code: Program) -> None:
    code.fake.fail(503, on="create_job", times=None)
    code.create(training_file=code.upload())


@PROGRAMS.flawed("leaked_file")
def each_attempt_uploads_anew(code: Program) -> None:
    code.fake.rate_limit(on="create_job", times=2, retry_after=1)
    for _ in range(3):
        code.create(training_file=code.upload())
        code.rest(10)


@PROGRAMS.flawed("leaked_file")
def uploaded_in_parts(code: Program) -> None:
    data = ROWS.encode()
    form = {"filename": "train.jsonl", "purpose": "fine-tune", "bytes": len(data), "mime_type": "application/jsonl"}
    upload = code.post("/uploads", **form)
    part = code.send("POST", f"/uploads/{upload['id']}/parts", files={"data": ("part", data)})
    code.post(f"/uploads/{upload['id']}/complete", part_ids=[part["id"]])
    code.create(training_file=code.upload())


@PROGRAMS.flawed("leaked_file", missed="the log has no id of a file whose answer was lost")
def the_answer_to_the_upload_is_lost(code: Program) -> None:
    code.fake.disconnect(on="upload_file", applied=True)
    with pytest.raises(httpx.TransportError):
        code.upload()
    code.create(training_file=code.upload())


@PROGRAMS.flawed("leaked_file")
def the_validation_file_is_dropped(code: Program) -> None:
    training, validation = code.upload(), code.upload("valid.jsonl", OTHER_ROWS)
    code.create(training_file=training, validation_file=validation, hyperparameters={"n_epochs": 0})
    code.create(training_file=training)


@PROGRAMS.flawed("leaked_file", missed="the file that is left may be for a job to come")
def the_wrong_one_is_deleted(code: Program) -> None:
    _old, new = code.upload(), code.upload("new.jsonl", OTHER_ROWS)
    job = code.create(training_file=new)
    code.poll(job)
    code.fake.advance_to("succeeded", job["id"])
    code.look(job)
    code.send("DELETE", f"/files/{new}")


@PROGRAMS.flawed("leaked_file")
def its_deletion_failed(code: Program) -> None:
    old = code.upload()
    code.fake.fail(503, on="delete_file")
    code.send("DELETE", f"/files/{old}")
    code.create(training_file=code.upload("new.jsonl", OTHER_ROWS))


@PROGRAMS.flawed("leaked_file")
def the_sdk_raises_between_upload_and_create(code: Program) -> None:
    with code.sdk(max_retries=0) as client:
        for model in ("no-such-model", "gpt-4o-mini"):
            file = client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
            try:
                client.fine_tuning.jobs.create(training_file=file.id, model=model)
            except openai.APIStatusError:
                continue


# leaked_job: a job was waited for, given up, and left running


@PROGRAMS.flawed("leaked_job")
def a_deadline_passes(code: Program) -> None:
    code.poll(code.create(), 6)


@PROGRAMS.flawed("leaked_job")
def another_is_created_instead(code: Program) -> None:
    code.fake.plan_next(starting=90_000)
    code.poll(code.create())
    job = code.create(suffix="second")
    code.poll(job)
    code.fake.advance_to("succeeded", job["id"])
    code.look(job)


@PROGRAMS.flawed("leaked_job")
def waited_for_by_its_events(code: Program) -> None:
    job = code.create()
    for _ in range(6):
        code.about(job, "/events", "GET")
        code.rest(5)


@PROGRAMS.flawed("leaked_job")
def waited_for_by_the_list_of_jobs(code: Program) -> None:
    code.create()
    for _ in range(6):
        code.get("/fine_tuning/jobs")
        code.rest(5)


@PROGRAMS.flawed("leaked_job")
def an_outage_ends_the_wait(code: Program) -> None:
    job = code.create()
    code.poll(job)
    code.fake.fail(503, on="retrieve_job", times=3)
    code.poll(job, 3)


@PROGRAMS.flawed("leaked_job")
def its_cancel_failed(code: Program) -> None:
    job = code.create()
    code.poll(job)
    code.fake.fail(500, on="cancel_job")
    code.about(job, "/cancel")


@PROGRAMS.flawed("leaked_job")
def another_is_cancelled(code: Program) -> None:
    waited, other = code.create(suffix="one"), code.create(suffix="two")
    code.poll(waited)
    code.about(other, "/cancel")


@PROGRAMS.flawed("leaked_job")
def resumed_and_given_up(code: Program) -> None:
    job = code.create()
    code.fake.advance_to("running")
    code.about(job, "/pause")
    code.about(job, "/resume")
    code.poll(job)


@PROGRAMS.flawed("leaked_job", missed="four looks are no waiting")
def one_of_two_is_cancelled(code: Program) -> None:
    jobs = [code.create(suffix="one"), code.create(suffix="two")]
    for _ in range(4):
        for job in jobs:
            code.look(job)
        code.rest(5)
    code.about(jobs[0], "/cancel")


@PROGRAMS.flawed("leaked_job")
def the_sdk_waits_until_a_deadline(code: Program) -> None:
    with code.sdk() as client:
        file = code.fake.add_file(ROWS)["id"]
        job = client.fine_tuning.jobs.create(training_file=file, model="gpt-4o-mini")
        deadline = code.fake.now + 60
        while code.fake.now < deadline and job.status != "succeeded":
            code.fake.sleep(10)
            job = client.fine_tuning.jobs.retrieve(job.id)


# read_model_before_success: a request named no model because the job that makes it was not over


@PROGRAMS.flawed("read_model_before_success")
def chat_with_null(code: Program) -> None:
    code.chat(model=code.create()["fine_tuned_model"])


@PROGRAMS.flawed("read_model_before_success")
def chat_with_null_after_a_few_polls(code: Program) -> None:
    code.chat(model=code.poll(code.create())["fine_tuned_model"])


@PROGRAMS.flawed("read_model_before_success")
def retrieve_the_model_none(code: Program) -> None:
    job = code.create()
    code.get(f"/models/{job['fine_tuned_model']}")


@PROGRAMS.flawed("read_model_before_success")
def chat_with_none_in_a_string(code: Program) -> None:
    job = code.create()
    code.chat(model=f"{job['fine_tuned_model']}")


@PROGRAMS.flawed("read_model_before_success")
def chat_with_the_empty_string(code: Program) -> None:
    code.chat(model=code.create()["fine_tuned_model"] or "")


@PROGRAMS.flawed("read_model_before_success")
def complete_with_null(code: Program) -> None:
    code.post("/completions", model=code.create()["fine_tuned_model"], prompt="Hi")


@PROGRAMS.flawed("read_model_before_success")
def retrieve_the_model_undefined(code: Program) -> None:
    code.create()
    code.get("/models/undefined")


@PROGRAMS.flawed("read_model_before_success")
def chat_without_the_member(code: Program) -> None:
    code.create()
    code.chat()


@PROGRAMS.flawed("read_model_before_success")
def train_on_with_null(code: Program) -> None:
    job = code.create()
    code.post("/fine_tuning/jobs", training_file=job["training_file"], model=job["fine_tuned_model"])


@PROGRAMS.flawed("read_model_before_success")
def delete_the_model_null(code: Program) -> None:
    job = code.create()
    code.send("DELETE", f"/models/{json.dumps(job['fine_tuned_model'])}")


# ignored_job_error: a job failed, and its model was used, or the same job was created again unchanged


@PROGRAMS.flawed("ignored_job_error")
def chat_with_null_after_the_failure(code: Program) -> None:
    code.chat(model=code.finished("failed")["fine_tuned_model"])


@PROGRAMS.flawed("ignored_job_error")
def retrieve_the_model_none_after_the_failure(code: Program) -> None:
    job = code.finished("failed")
    code.get(f"/models/{job['fine_tuned_model']}")


@PROGRAMS.flawed("ignored_job_error")
def the_same_body_again(code: Program) -> None:
    job = code.finished("failed")
    code.create(training_file=job["training_file"])


@PROGRAMS.flawed("ignored_job_error")
def defaults_spelt_out(code: Program) -> None:
    job = code.finished("failed")
    code.create(training_file=job["training_file"], hyperparameters={"n_epochs": "auto"}, suffix=None)


@PROGRAMS.flawed("ignored_job_error")
def the_same_rows_uploaded_anew(code: Program) -> None:
    code.finished("failed", training_file=code.upload())
    code.create(training_file=code.upload())


@PROGRAMS.flawed("ignored_job_error")
def the_alias_of_the_model(code: Program) -> None:
    job = code.finished("failed", model="gpt-4o-mini-2024-07-18")
    code.create(training_file=job["training_file"], model="gpt-4o-mini")


@PROGRAMS.flawed("ignored_job_error")
def counted_in_metadata(code: Program) -> None:
    job = code.finished("failed", metadata={"attempt": "1"})
    code.create(training_file=job["training_file"], metadata={"attempt": "2"})


@PROGRAMS.flawed("ignored_job_error")
def the_failure_is_seen_in_events(code: Program) -> None:
    code.fake.plan_next(error="invalid_training_file")
    job = code.create()
    code.fake.advance_to("failed")
    code.about(job, "/events", "GET")
    code.create(training_file=job["training_file"])


@PROGRAMS.flawed("ignored_job_error")
def the_failure_is_seen_in_the_list(code: Program) -> None:
    code.fake.plan_next(error="invalid_training_file")
    job = code.create()
    code.fake.advance_to("failed")
    code.get("/fine_tuning/jobs")
    code.chat(model=job["fine_tuned_model"])


@PROGRAMS.flawed("ignored_job_error")
def complete_with_none_in_a_string(code: Program) -> None:
    job = code.finished("failed")
    code.post("/completions", model=str(job["fine_tuned_model"]), prompt="Hi")


# ignored_has_more: a list said has_more, and its further pages were never requested


@PROGRAMS.flawed("ignored_has_more")
def jobs_by_default(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(21):
        code.fake.add_job(file)
    code.get("/fine_tuning/jobs")


@PROGRAMS.flawed("ignored_has_more")
def jobs_with_a_limit(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(11):
        code.fake.add_job(file)
    code.get("/fine_tuning/jobs", limit=10)


@PROGRAMS.flawed("ignored_has_more")
def events_with_the_greatest_limit(code: Program) -> None:
    job = code.fake.add_job(code.fake.add_file(ROWS * 20)["id"])
    code.get(f"/fine_tuning/jobs/{job['id']}/events", limit=100)


@PROGRAMS.flawed("ignored_has_more", missed="the newest events are often all that is wanted")
def events_by_default(code: Program) -> None:
    job = code.fake.add_job(code.fake.add_file(ROWS * 2)["id"])
    code.get(f"/fine_tuning/jobs/{job['id']}/events")


@PROGRAMS.flawed("ignored_has_more")
def checkpoints_with_a_limit(code: Program) -> None:
    job = code.fake.add_job(code.fake.add_file(ROWS)["id"])
    code.get(f"/fine_tuning/jobs/{job['id']}/checkpoints", limit=2)


@PROGRAMS.flawed("ignored_has_more")
def files_with_a_limit(code: Program) -> None:
    for _ in range(25):
        code.fake.add_file(ROWS)
    code.get("/files", limit=20, purpose="fine-tune")


@PROGRAMS.flawed("ignored_has_more", missed="who walks has found what was sought")
def stops_after_two_pages_of_three(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(25):
        code.fake.add_job(file)
    first = code.get("/fine_tuning/jobs", limit=10)
    code.get("/fine_tuning/jobs", limit=10, after=first["data"][-1]["id"])


@PROGRAMS.flawed("ignored_has_more")
def asks_for_pages_by_number(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(25):
        code.fake.add_job(file)
    for page in (1, 2, 3):
        code.get("/fine_tuning/jobs", page=page)


@PROGRAMS.flawed("ignored_has_more")
def jobs_with_a_filter(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(12):
        code.fake.add_job(file, metadata={"team": "a"})
    code.get("/fine_tuning/jobs", limit=10, **{"metadata[team]": "a"})


@PROGRAMS.flawed("ignored_has_more")
def the_sdk_reads_data_only(code: Program) -> None:
    file = code.fake.add_file(ROWS)["id"]
    for _ in range(60):
        code.fake.add_job(file)
    with code.sdk() as client:
        assert len(client.fine_tuning.jobs.list(limit=50).data) == 50


# cursor_by_time: a page was requested after a time, or after the id of another kind of object


@PROGRAMS.flawed("cursor_by_time")
def events_after_created_at(code: Program) -> None:
    job = code.create()
    page = code.about(job, "/events", "GET")
    code.get(f"/fine_tuning/jobs/{job['id']}/events", after=page["data"][-1]["created_at"])


@PROGRAMS.flawed("cursor_by_time")
def events_after_a_date(code: Program) -> None:
    job = code.create()
    code.get(f"/fine_tuning/jobs/{job['id']}/events", after="2026-11-25T00:00:00Z")


@PROGRAMS.flawed("cursor_by_time")
def events_after_their_job(code: Program) -> None:
    job = code.create()
    code.get(f"/fine_tuning/jobs/{job['id']}/events", after=job["id"])


@PROGRAMS.flawed("cursor_by_time")
def jobs_after_a_file(code: Program) -> None:
    job = code.create()
    code.get("/fine_tuning/jobs", after=job["training_file"])


@PROGRAMS.flawed("cursor_by_time")
def files_after_a_job(code: Program) -> None:
    code.get("/files", after=code.create()["id"])


@PROGRAMS.flawed("cursor_by_time")
def checkpoints_after_an_event(code: Program) -> None:
    job = code.create()
    event = code.about(job, "/events", "GET")["data"][0]
    code.get(f"/fine_tuning/jobs/{job['id']}/checkpoints", after=event["id"])


@PROGRAMS.flawed("cursor_by_time")
def checkpoints_after_their_model(code: Program) -> None:
    job = code.fake.add_job(code.fake.add_file(ROWS)["id"])
    point = code.about(job, "/checkpoints", "GET")["data"][0]
    code.get(f"/fine_tuning/jobs/{job['id']}/checkpoints", after=point["fine_tuned_model_checkpoint"])


@PROGRAMS.flawed("cursor_by_time")
def events_after_a_fraction_of_a_second(code: Program) -> None:
    job = code.create()
    code.get(f"/fine_tuning/jobs/{job['id']}/events", after=code.fake.now - 0.5)


@PROGRAMS.flawed("cursor_by_time")
def jobs_after_milliseconds(code: Program) -> None:
    code.create()
    code.get("/fine_tuning/jobs", after=str(int(code.fake.now * 1000)))


@PROGRAMS.flawed("cursor_by_time")
def jobs_after_a_day(code: Program) -> None:
    with code.sdk(max_retries=0) as client:
        try:
            client.fine_tuning.jobs.list(after="2026-11-25")
        except openai.APIStatusError:
            pass


@pytest.mark.parametrize(("code", "program", "missed"), PROGRAMS.with_flaw)
def test_a_program_with_the_flaw_is_found(
    code: str, program: Run, missed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each flaw is found, except where the program states why it cannot be."""
    assert (code in run(program, monkeypatch)) is not bool(missed)
