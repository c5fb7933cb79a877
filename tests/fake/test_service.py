"""The account behind the routes: records, paging, paces, and how files, jobs and models depend on each other."""

from __future__ import annotations

import base64
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from session_machine import Session
from strategies import BORN, ROWS, Http, example_count


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(pace="manual", start=BORN))


TestReplay = Session.TestCase
TestReplay.settings = settings(
    max_examples=example_count(10),
    stateful_step_count=12,
    deadline=None,
)


@given(st.lists(st.integers(1, 30), min_size=1), st.sampled_from(["/events", "/jobs"]))
def test_paging_with_any_limits_yields_each_item_once(limits: list[int], kind: str) -> None:
    """Pages of any limits contain each event and each job once, newest first."""
    http = Http(FakeFineTuning(pace="manual", start=BORN))
    file = http.file()
    for _ in range(25 if kind == "/jobs" else 1):
        job = http.job(training_file=file)
    http.fake.advance("1h")
    base = f"/fine_tuning/jobs/{job['id']}/events" if kind == "/events" else "/fine_tuning/jobs"
    whole = [item["id"] for item in http.json("GET", f"{base}?limit=1000")["data"]]

    assert walk(http, base, limits) == whole
    assert len(set(whole)) == len(whole) > 20


def walk(http: Http, base: str, limits: list[int]) -> list[str]:
    """The ids of all pages, with these limits repeatedly."""
    seen: list[str] = []
    more, turn = True, 0
    while more:
        after = f"&after={seen[-1]}" if seen else ""
        page = http.json("GET", f"{base}?limit={limits[turn % len(limits)]}{after}")
        seen += [item["id"] for item in page["data"]]
        more, turn = page["has_more"], turn + 1
    return seen


def test_polls_pace_moves_time_to_the_next_milestone_only(http: Http) -> None:
    """At the pace "polls" each retrieve shows the next status, and reading lists moves no time."""
    http.fake.pace = "polls"
    job = http.job()
    path = f"/fine_tuning/jobs/{job['id']}"
    seen = [job["status"]]
    for _ in range(4):
        http.json("GET", "/fine_tuning/jobs")
        http.json("GET", path + "/checkpoints")
        seen.append(http.json("GET", path)["status"])

    assert seen == ["validating_files", "queued", "running", "succeeded", "succeeded"]


def test_polls_pace_ends_a_loop_that_only_reads_events(http: Http) -> None:
    """At the pace "polls" a loop that reads only events sees each status and the last event."""
    http.fake.pace = "polls"
    path = f"/fine_tuning/jobs/{http.job()['id']}/events"
    newest: list[str] = []
    while "The job has successfully completed" not in newest and len(newest) < 20:
        newest.append(http.json("GET", path)["data"][0]["message"])

    assert newest == [
        http.json("GET", path + "?limit=200")["data"][-2]["message"],
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        "The job has successfully completed",
    ]


def test_instant_pace_finishes_a_job_at_the_next_request(http: Http) -> None:
    """At the pace "instant" a job is finished at the first request after its creation."""
    http.fake.pace = "instant"
    job = http.job()

    assert job["status"] == "validating_files"
    assert http.json("GET", "/fine_tuning/jobs")["data"][0]["status"] == "succeeded"


def test_a_numeric_pace_lets_time_pass_by_itself() -> None:
    """At a numeric pace a job finishes without calls to the clock."""
    http = Http(FakeFineTuning(pace=1e8))
    path = f"/fine_tuning/jobs/{http.job()['id']}"
    for _ in range(10_000):
        if http.json("GET", path)["status"] == "succeeded":
            return
    pytest.fail("virtual time stood still")


def test_advance_works_at_every_pace() -> None:
    """`advance` moves time at every pace."""
    for pace in ("polls", "manual", "instant", 1):
        fake = FakeFineTuning(pace=pace)
        before = fake.now
        assert fake.advance("90s") >= before + 90


def test_deleting_the_training_file_fails_a_job_that_needs_it(http: Http) -> None:
    """Deleting the file of a job in validation fails the job with the recorded error and no finished_at."""
    file = http.file()
    job = http.job(training_file=file)
    http.json("DELETE", f"/files/{file}")
    http.fake.advance("1h")
    failed = http.json("GET", f"/fine_tuning/jobs/{job['id']}")

    assert failed["status"] == "failed"
    assert failed["finished_at"] is None
    assert list(failed["error"].items()) == [
        ("code", "deleted_training_file"),
        ("param", "training_file"),
        ("message", "The job failed because the training file was deleted"),
    ]


def test_deleting_the_training_file_does_not_hurt_a_running_job(http: Http) -> None:
    """Deleting the file of a running job does not affect it."""
    file = http.file()
    job = http.job(training_file=file)
    http.fake.advance_to("running")
    http.json("DELETE", f"/files/{file}")
    http.fake.advance_to("succeeded")

    assert http.json("GET", f"/fine_tuning/jobs/{job['id']}")["status"] == "succeeded"


def test_deleting_the_training_file_does_not_hurt_a_resumed_job(http: Http) -> None:
    """Deleting the file of a paused or resumed job does not affect it."""
    file = http.file()
    path = f"/fine_tuning/jobs/{http.job(training_file=file)['id']}"
    http.fake.advance_to("running")
    http.json("POST", f"{path}/pause")
    assert http.json("POST", f"{path}/resume")["status"] == "queued"
    http.json("DELETE", f"/files/{file}")

    assert http.json("GET", path)["status"] == "queued"


def test_jobs_are_found_by_all_their_metadata(http: Http) -> None:
    """The metadata filter returns the jobs with all pairs, and `metadata=null` those whose metadata is null."""
    file = http.file()
    both = http.job(training_file=file, metadata={"a": "1", "b": "2"})["id"]
    one = http.job(training_file=file, metadata={"a": "1"})["id"]
    none = http.job(training_file=file)["id"]
    empty = http.job(training_file=file, metadata={})["id"]

    def found(query: str) -> list[str]:
        return [job["id"] for job in http.json("GET", f"/fine_tuning/jobs?{query}")["data"]]

    assert found("metadata%5Ba%5D=1") == [one, both]
    assert found("metadata[a]=1&metadata[b]=2") == [both]
    assert found("metadata[a]=2") == []
    assert found("metadata=null") == [none]
    assert found("metadata[b]=") == []
    assert http.json("GET", f"/fine_tuning/jobs/{empty}")["metadata"] == {}
    blank = http.job(training_file=file, metadata={"b": ""})["id"]
    assert found("metadata[b]=") == [blank]


def test_one_active_job_too_many_is_refused(http: Http) -> None:
    """A job over the limit gets the recorded 429, and is accepted after another has finished."""
    http.fake.reset(max_active_jobs=1)
    file = http.file()
    http.job(training_file=file, model="gpt-3.5-turbo")
    body = {"training_file": file, "model": "gpt-3.5-turbo"}
    refused = http.json("POST", "/fine_tuning/jobs", body, status=429)

    assert refused["error"] == {
        "message": "This fine-tune request has been rate-limited. Your organization has reached the maximum of 1 "
        "active requests (0 running, 1 pending) for the model 'gpt-3.5-turbo-0125'.",
        "type": "invalid_request_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    http.fake.advance_to("succeeded")
    http.json("POST", "/fine_tuning/jobs", body)


def test_a_fine_tuned_model_can_be_tuned_on(http: Http) -> None:
    """A fine-tuned model can be trained again, and the new model's name has the same base."""
    file = http.file()
    first = http.job(training_file=file)["id"]
    http.fake.advance_to("succeeded")
    model = http.json("GET", f"/fine_tuning/jobs/{first}")["fine_tuned_model"]
    second = http.job(training_file=file, model=model)
    http.fake.advance_to("succeeded")
    done = http.json("GET", f"/fine_tuning/jobs/{second['id']}")

    assert second["model"] == model
    assert done["fine_tuned_model"].startswith("ft:gpt-4o-mini-2024-07-18:personal::")
    assert done["fine_tuned_model"] != model


def test_a_deleted_model_is_gone_everywhere_but_in_its_job(http: Http) -> None:
    """A deleted model cannot be listed, retrieved or trained, and its job still names it."""
    job = http.job()
    http.fake.advance_to("succeeded")
    path = f"/fine_tuning/jobs/{job['id']}"
    model = http.json("GET", path)["fine_tuned_model"]
    http.json("DELETE", f"/models/{model}")

    http.json("GET", f"/models/{model}", status=404)
    http.json("DELETE", f"/models/{model}", status=404)
    assert model not in [each["id"] for each in http.json("GET", "/models")["data"]]
    assert http.json("GET", path)["fine_tuned_model"] == model
    body = {"training_file": job["training_file"], "model": model}
    assert http.json("POST", "/fine_tuning/jobs", body, status=400)["error"]["code"] == "model_not_available"


def test_magic_metadata_chooses_how_a_job_goes(http: Http) -> None:
    """Control keys in metadata fail a job, and are returned as sent."""
    metadata = {"fake_fail_at": "7", "fake_error": "server_error", "mine": "kept"}
    job = http.job(metadata=metadata)
    http.fake.advance_to("failed")
    failed = http.json("GET", f"/fine_tuning/jobs/{job['id']}")

    assert failed["metadata"] == metadata
    assert failed["error"]["code"] == "server_error"
    newest = http.json("GET", f"/fine_tuning/jobs/{job['id']}/events")["data"]
    assert [event["message"].split(":")[0] for event in newest[:2]] == [failed["error"]["message"], "Step 7/100"]


def test_unknown_magic_metadata_is_an_error_of_the_fake_not_of_the_api(http: Http) -> None:
    """An unknown control key in metadata is the fake's own error with the known keys."""
    body = {"training_file": http.file(), "model": "gpt-4o-mini", "metadata": {"fake_outcom": "failed"}}
    refused = http.json("POST", "/fine_tuning/jobs", body, status=400)

    assert set(refused) == {"fake_error", "message"}
    assert "fake_outcom" in refused["fake_error"]
    assert "fake_outcome" in refused["fake_error"]


def test_resuming_queues_a_job_and_then_it_goes_on(http: Http) -> None:
    """A paused job stands still, and after a resume is queued, runs, and has each step once."""
    job = http.job()
    path = f"/fine_tuning/jobs/{job['id']}"
    http.fake.advance_to(step=40)
    assert http.json("POST", path + "/pause")["status"] == "paused"
    http.fake.advance("5h")
    assert http.json("GET", path)["status"] == "paused"
    assert http.json("POST", path + "/resume")["status"] == "queued"
    http.fake.advance_to("running")
    assert http.json("GET", path)["status"] == "running"
    http.fake.advance_to("succeeded")
    events = http.json("GET", path + "/events?limit=1000")["data"]
    steps = [event["data"]["step"] for event in reversed(events) if event["type"] == "metrics"]

    assert steps == list(range(1, 101))


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        ("validating_files", "pause"),
        ("queued", "pause"),
        ("running", "resume"),
        ("paused", "pause"),
        ("succeeded", "cancel"),
        ("failed", "resume"),
        ("cancelled", "cancel"),
    ],
)
def test_a_verb_in_the_wrong_state_is_refused_and_changes_nothing(http: Http, state: str, verb: str) -> None:
    """An intervention that the status does not allow is refused with 400 and changes nothing."""
    job = http.fake.add_job(http.file(), status=state)
    path = f"/fine_tuning/jobs/{job['id']}"
    before = http.json("GET", path)
    refused = http.json("POST", f"{path}/{verb}", status=400)["error"]

    late = "Job has already completed and cannot be cancelled."
    wrong = f'Cannot {verb} a job {job["id"]} that already has status "{state}".'
    assert refused["message"] == (late if verb == "cancel" else wrong)
    assert (refused["type"], refused["param"], refused["code"]) == ("invalid_request_error", None, None)
    assert http.json("GET", path) == before


def test_result_file_is_listed_with_its_plain_size(http: Http) -> None:
    """A result file is retrieved and listed, with the plain CSV's size in `bytes`."""
    job = http.job()
    http.fake.advance_to("succeeded")
    done = http.json("GET", f"/fine_tuning/jobs/{job['id']}")
    (identifier,) = done["result_files"]
    listed = http.json("GET", "/files?purpose=fine-tune-results")["data"]
    plain = base64.b64decode(http.send("GET", f"/files/{identifier}/content").body)

    assert [file["id"] for file in listed] == [identifier]
    assert listed == [http.json("GET", f"/files/{identifier}")]
    assert listed[0]["bytes"] == len(plain)
    assert listed[0]["created_at"] == done["finished_at"] + 3
    assert plain.startswith(b"step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,")


def test_advance_to_what_never_comes_says_where_the_job_goes(http: Http) -> None:
    """Advancing to a status that a job never reaches is a usage error that shows the job's path."""
    http.job(metadata={"fake_outcome": "failed"})

    with pytest.raises(FakeUsageError, match="validating_files → failed"):
        http.fake.advance_to("succeeded")


def test_bad_plans_are_refused_with_what_would_be_right() -> None:
    """An invalid plan is a usage error with field and value, and changes nothing."""
    fake = FakeFineTuning()
    bad: list[tuple[dict[str, Any], str]] = [
        ({"outcome": "won"}, "'won'"),
        ({"fail_at": 0}, "fail_at must be .*got 0"),
        ({"fail_at": True}, "fail_at must be .*got True"),
        ({"queued": -1}, "queued must be from 0 to 10000000000 seconds, got -1"),
        ({"queued": "soon"}, "'soon'"),
        ({"curve": "wavy"}, "'wavy'"),
        ({"error": "oops"}, "'oops'"),
        ({"outcome": "succeeded", "error": "server_error"}, "neither"),
        ({"speed": 3}, "'speed'"),
    ]
    for fields, words in bad:
        with pytest.raises(FakeUsageError, match=words):
            fake.plan = fields  # type: ignore[assignment]  # some are misspelt
    assert fake.plan.outcome == "succeeded"


def test_rows_are_ten_sound_examples() -> None:
    """The shared rows are ten valid examples."""
    assert ROWS.count("\n") == 10


IDLE = {
    *("account/armed_faults.py", "account/script_queue.py", "account/webhook_queue.py", "web/dialect_adapter.py"),
    *("web/fault_responses.py", "web/script_items.py", "web/script_player.py", "web/webhook_sender.py"),
}
"""The modules that a request needs only with a fault, a script, a webhook, or another dialect."""


def called_modules(http: Http, *requests: tuple[str, str, Any]) -> set[str]:
    """The modules of the fake whose functions are called during these requests."""
    names: set[str] = set()
    sys.setprofile(lambda frame, event, value: names.add(frame.f_code.co_filename))
    try:
        for method, path, body in requests:
            http.send(method, path, body)
    finally:
        sys.setprofile(None)
    return {name.rpartition("/fine_tuning_fakeserver/")[2] for name in names if "/fine_tuning_fakeserver/" in name}


def test_a_plain_request_enters_nothing_that_it_does_not_need() -> None:
    """A plain request calls no function of faults, scripts, webhooks and dialects."""
    http = Http(FakeFineTuning(pace="manual", start=BORN), is_described=False)
    body = {"model": "gpt-4o-mini", "training_file": http.file()}
    job = http.job(**body)
    requests = (("POST", "/fine_tuning/jobs", body), ("GET", f"/fine_tuning/jobs/{job['id']}", None))
    assert called_modules(http, *requests) & IDLE == set()
    assert len(called_modules(http, requests[0])) <= 24
    http.fake.add_webhook()
    http.fake.delay(1)
    http.fake({"retrieve_job": ["running", "failed"]})
    assert called_modules(http, *requests, *requests) >= IDLE - {"web/dialect_adapter.py"}
