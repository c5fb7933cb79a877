"""Files and jobs seeded into an account, in any status and with given ids."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.control.steering import STATUSES
from strategies import BORN, ROWS, Http, everything

JOBS = "/fine_tuning/jobs"
NEWEST_EVENT = {
    "validating_files": "Validating training file: ",
    "queued": "Files validated, moving job to queued state",
    "running": "Fine-tuning job started",
    "paused": "Fine-tuning job paused",
    "succeeded": "The job has successfully completed",
    "failed": "The job failed due to an invalid training file. ",
    "cancelled": "Validating training file: ",
}


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(start=BORN, pace="manual"))


def seed(http: Http, **fields: Any) -> Any:
    """Seed a job, on a new file or on the given one."""
    if "training_file" not in fields:
        fields["training_file"] = http.file()
    return http.json("POST", "/_fake/jobs", fields)


def refused(http: Http, path: str, body: Any) -> str:
    """Seed something that must be refused and change nothing; return the fake's own error."""
    before = everything(http.fake)
    message: str = http.json("POST", path, body, status=400)["fake_error"]
    assert everything(http.fake) == before
    return message


@pytest.mark.parametrize("status", STATUSES)
def test_a_job_in_every_state(http: Http, status: str) -> None:
    """A seeded job has its status on every route, with exactly the members of that status."""
    job = seed(http, id="ftjob-seeded", status=status, validation_file="file-v", metadata={"k": "v"})

    succeeded = status == "succeeded"
    assert (job["id"], job["status"], job["metadata"]) == ("ftjob-seeded", status, {"k": "v"})
    assert http.json("GET", f"{JOBS}/ftjob-seeded") == job
    assert http.json("GET", JOBS)["data"] == [job]
    assert (job["error"] != {}) == (status == "failed")
    results = [file["id"] for file in http.json("GET", "/files?purpose=fine-tune-results")["data"]]
    assert results == job["result_files"]
    for name in ("finished_at", "fine_tuned_model", "trained_tokens", "result_files"):
        assert bool(job[name]) == succeeded, name
    models = [model["id"] for model in http.json("GET", "/models")["data"]]
    assert (job["fine_tuned_model"] in models) == succeeded
    points = http.json("GET", f"{JOBS}/ftjob-seeded/checkpoints")["data"]
    assert [point["fine_tuned_model_checkpoint"] for point in points[:1]] == [job["fine_tuned_model"]] * succeeded
    newest = http.json("GET", f"{JOBS}/ftjob-seeded/events")["data"][0]
    assert newest["message"].startswith(NEWEST_EVENT[status])
    assert newest["created_at"] <= http.fake.now
    assert http.fake.state()["counts"]["by_status"] == {status: 1}


@pytest.mark.parametrize("status", STATUSES)
def test_a_seeded_job_goes_on(http: Http, status: str) -> None:
    """A seeded unfinished job continues to its end, and a finished one stays."""
    seed(http, id="ftjob-seeded", status=status)

    if status == "paused":
        http.json("POST", f"{JOBS}/ftjob-seeded/resume")
    http.fake.advance("1h")

    over = status if status in ("failed", "cancelled") else "succeeded"
    assert http.json("GET", f"{JOBS}/ftjob-seeded")["status"] == over


@given(
    st.sampled_from(STATUSES),
    st.floats(1e9, 2e9),
    st.tuples(*[st.floats(0.01, 1000) for _ in range(5)]),
    st.none() | st.just("validation") | st.integers(1, 100),
)
def test_a_seed_is_in_its_state_whatever_the_plan(
    status: str, start: float, lengths: tuple[float, ...], fail_at: str | int | None
) -> None:
    """A job can be seeded in any status, whatever its plan and the account's start."""
    http = Http(FakeFineTuning(start=start, pace="manual"))
    names = ("validating", "queued", "starting", "seconds_per_step", "finishing")
    plan: dict[str, Any] = dict(zip(names, lengths, strict=True))
    if status == "failed" and fail_at:
        plan["fail_at"] = fail_at

    job = seed(http, status=status, plan=plan)

    assert job["status"] == status
    assert job["created_at"] <= http.fake.now


def test_a_job_of_another_world(http: Http) -> None:
    """A seeded job has the given ids, names, numbers and times."""
    point = {
        "id": "ftckpt_given",
        "created_at": 1_600_000_300,
        "step_number": 20,
        "fine_tuned_model_checkpoint": "ft:gpt-4o-mini-2024-07-18:org::8KvwgJkp",
        "metrics": {"step": 20, "train_loss": 0.25, "train_mean_token_accuracy": 0.5, "type": "supervised"},
    }
    fields: dict[str, Any] = {
        "model": "gpt-4o-mini-2024-07-18",
        "created_at": 1_600_000_000,
        "finished_at": 1_600_000_400,
        "fine_tuned_model": "ft:gpt-4o-mini-2024-07-18:org::8KvwgJkp",
        "result_files": ["file-given"],
        "trained_tokens": 4321,
        "seed": 7,
        "metadata": {"k": "v"},
        "hyperparameters": {"n_epochs": 2, "batch_size": 1, "learning_rate_multiplier": 0.5},
    }

    job = seed(http, id="ftjob-given", suffix="s", checkpoints=[point], event_ids=["ftevent-a", None], **fields)

    assert {name: job[name] for name in fields} == fields
    assert job["user_provided_suffix"] == "s"
    [shown] = http.json("GET", f"{JOBS}/ftjob-given/checkpoints")["data"]
    assert shown == {**point, "object": "fine_tuning.job.checkpoint", "fine_tuning_job_id": "ftjob-given"}
    events = http.json("GET", f"{JOBS}/ftjob-given/events?limit=100")["data"]
    assert (events[-1]["id"], events[-1]["created_at"]) == ("ftevent-a", 1_600_000_000)
    assert http.json("GET", f"{JOBS}/ftjob-given/events?after={events[-2]['id']}")["data"] == events[-1:]
    assert http.json("GET", f"{JOBS}/ftjob-given/events?after=ftevent-a")["data"] == []
    assert http.json("GET", "/files/file-given")["created_at"] == 1_600_000_403
    assert http.json("GET", f"/models/{fields['fine_tuned_model']}")["owned_by"] == "personal"


@pytest.mark.parametrize("status", STATUSES)
def test_a_job_that_began_long_ago(http: Http, status: str) -> None:
    """A seeded job can have an earlier created_at, as far as its status allows."""
    ago = {"validating_files": 10, "queued": 48, "running": 100, "paused": 100}.get(status, 100_000)

    assert seed(http, status=status, created_at=int(BORN) - ago)["created_at"] == int(BORN) - ago


def test_an_error_of_ones_own(http: Http) -> None:
    """A seeded failed job has the given error, whole or by code."""
    error = {"code": "odd", "param": None, "message": "Something odd."}

    assert seed(http, status="failed", error=error)["error"] == error
    assert seed(http, status="failed", error="exceeded_quota")["error"]["code"] == "exceeded_quota"


def test_jobs_are_listed_by_when_they_began(http: Http) -> None:
    """Seeded jobs are listed by their created_at."""
    for name, ago in [("b", 2000), ("c", 3000), ("a", 1000)]:
        seed(http, id=name, created_at=int(BORN) - ago)

    assert [job["id"] for job in http.json("GET", JOBS)["data"]] == ["a", "b", "c"]


def test_a_file_under_a_given_name(http: Http) -> None:
    """A seeded file has the given id, name, purpose and time, and can be downloaded and trained on."""
    given = {"id": "file-seeded", "filename": "mine.jsonl", "purpose": "fine-tune", "created_at": 5}

    file = http.json("POST", "/_fake/files", {**given, "content": ROWS})

    assert {name: file[name] for name in given} == given
    assert http.json("GET", "/files/file-seeded") == file
    assert http.send("GET", "/files/file-seeded/content").body == ROWS.encode()
    assert http.job(training_file="file-seeded")["training_file"] == "file-seeded"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "content is required"),
        ({"content": ROWS, "size": 5}, "unknown seed field 'size'; expected one of: id, filename, "),
        ({"content": 5}, "content must be a valid string, got 5"),
        (
            {"content": ROWS, "created_at": "noon"},
            "unable to parse string as an integer, got 'noon'",
        ),
        ({"content": "no json"}, "the service would refuse this file: Expected file to have JSONL format"),
        ({"content": ""}, "the service would refuse this file: File is empty."),
        ({"content": ROWS, "purpose": "x"}, "the service would refuse this file: 'x' is not one of "),
        ({"content": ROWS, "filename": "a.csv"}, "Must be .jsonl"),
    ],
)
def test_files_that_cannot_be_seeded(http: Http, body: Any, words: str) -> None:
    """An invalid file or an unknown field is refused by name."""
    assert words in refused(http, "/_fake/files", body)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mood": "good"}, "unknown seed field 'mood' (did you mean 'model'?); expected one of: id, model, "),
        ({"status": "happy"}, "status must be one of validating_files, queued, running, paused, "),
        ({"status": 5}, "status must be a valid string, got 5"),
        (
            {"training_file": "file-none"},
            "training_file must be a fine-tune file of the account, got 'file-none'",
        ),
        ({"suffix": "s" * 65}, "suffix must have at most 64 characters, got 'sss"),
        ({"hyperparameters": {"n_epochs": "many"}}, "hyperparameters.n_epochs must "),
        ({"hyperparameters": {"n_epochs": 10**18}}, "hyperparameters.n_epochs must be less than or equal to 1000000, "),
        ({"hyperparameters": {"learning_rate_multiplier": "x"}}, "hyperparameters.learning_rate_multiplier must "),
        (
            {"hyperparameters": {"epochs": 1}},
            "unknown seed field of hyperparameters 'epochs' (did you mean 'n_epochs'",
        ),
        ({"metadata": {"k": 5}}, "metadata.k must be a valid string, got 5"),
        ({"checkpoints": [{"id": "x"}]}, "checkpoints.0.created_at is required"),
        ({"plan": {"outcome": "maybe"}}, "outcome must be one of succeeded, failed, got 'maybe'"),
        ({"plan": {"mood": 1}}, "unknown plan field 'mood'; expected one of: outcome, fail_at, "),
        ({"status": "failed", "error": {"message": "no code"}}, "a code, or an object with code, message and param"),
        ({"status": "failed", "error": {"code": []}}, "error.code must be a string, got []"),
        ({"created_at": int(BORN)}, "is not yet succeeded; say 1699999615 or earlier, or leave it out"),
        ({"created_at": 100, "finished_at": 50}, "finished_at must be after created_at 100, got 50"),
        ({"status": "running", "plan": {"fail_at": "validation"}}, "never is running: validating_files → failed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_jobs_that_cannot_be_seeded(http: Http, change: dict[str, Any], words: str) -> None:
    """A seed that is inconsistent with its status is refused with the valid values."""
    assert words in refused(http, "/_fake/jobs", {"training_file": http.file(), **change})


def test_a_seed_nested_deeper_than_python_can_print(http: Http) -> None:
    """A deeply nested invalid value is refused like any other."""
    body = b'{"training_file": "file-x", "metadata": %s}' % (b"[" * 1000 + b"]" * 1000)

    assert "'metadata' must be nested less deeply, got [[[[" in refused(http, "/_fake/jobs", body)


def test_ids_are_taken_once(http: Http) -> None:
    """An id that is already in use is refused."""
    file = http.file()
    seed(http, id="ftjob-x", training_file=file)

    assert f"there is a file '{file}' already" in refused(http, "/_fake/files", {"id": file, "content": ROWS})
    result = http.json("GET", f"{JOBS}/ftjob-x")["result_files"][0]
    assert f"there is a file '{result}' already" in refused(http, "/_fake/files", {"id": result, "content": ROWS})
    for taken in (file, result):
        body = {"training_file": file, "result_files": [taken]}
        assert f"there is a file '{taken}' already" in refused(http, "/_fake/jobs", body)
    assert "there is a job 'ftjob-x' already" in refused(http, "/_fake/jobs", {"id": "ftjob-x", "training_file": file})
    assert "already" in refused(http, "/_fake/next", {"kind": "file", "id": file})
    assert "already" in refused(http, "/_fake/next", {"kind": "job", "id": "ftjob-x"})
    http.json("POST", "/_fake/next", {"kind": "file", "id": "file-next"})
    assert "already" in refused(http, "/_fake/next", {"kind": "file", "id": "file-next"})
    assert "kind must be one of file, job, " in refused(http, "/_fake/next", {"kind": "model", "id": "x"})


def test_the_next_ones_are_named(http: Http) -> None:
    """Reserved ids and seeds are used by the next uploads and jobs in order, then derived ones."""
    for body in [{"kind": "file", "id": "file-1"}, {"kind": "file", "id": "file-2"}]:
        assert http.json("POST", "/_fake/next", body) == {**body, "seed": None}
    http.json("POST", "/_fake/next", {"kind": "job", "id": "ftjob-1", "seed": 5})

    assert [http.file(), http.file()] == ["file-1", "file-2"]
    job = http.job(training_file="file-1")
    assert (job["id"], job["seed"]) == ("ftjob-1", 5)
    assert len(http.file()) == len("file-") + 22
    assert len(http.job(training_file="file-1")["id"]) == len("ftjob-") + 24


def test_the_same_by_hand_and_over_the_wire() -> None:
    """Seeding by the Python object and by the control API gives the same account."""
    by_object, http = FakeFineTuning(start=BORN), Http(FakeFineTuning(start=BORN))

    file = by_object.add_file(ROWS, id="file-x")
    job = by_object.add_job("file-x", status="running")

    assert http.json("POST", "/_fake/files", {"content": ROWS, "id": "file-x"}) == file
    assert seed(http, training_file="file-x", status="running") == job
    assert repr(everything(by_object)[2]) == repr(everything(http.fake)[2])
    with pytest.raises(FakeUsageError, match="unknown seed field 'mood'"):
        by_object.add_file(ROWS, mood="good")  # type: ignore[call-arg]
    with pytest.raises(FakeUsageError, match="content must be UTF-8 text: "):
        by_object.add_file(b"\xff\xfe")
