"""Dialects: how the API is spoken by provider and year."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError, cli
from fine_tuning_fakeserver.domain.dialects import DIALECTS, dialect_named
from fine_tuning_fakeserver.domain.dialects.dialect import RECORDED, Dialect, ObjectStyle, to_dialect
from fine_tuning_fakeserver.domain.job_spec import JobSpec
from fine_tuning_fakeserver.domain.timeline import Intervention, Timeline, build_segments
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from strategies import BORN, FORM, KEY, ROWS, disturbed_specs, form, part_form

SPEC, OF_2024, OF_2023, AZURE = "openai-spec", "openai-2024-10", "openai-2023-11", "azure-2025"
OTHERS = (SPEC, OF_2024, OF_2023, AZURE)
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
JOBS = "/v1/fine_tuning/jobs"


class Spoken:
    """Raw requests to a fake with a dialect, without checks against the OpenAPI document."""

    def __init__(self, dialect: str, **settings: Any) -> None:
        self.fake = FakeFineTuning(**{"dialect": dialect, "start": BORN, "pace": "manual", **settings})

    def send(self, method: str, path: str, body: Any = b"", headers: Any = (KEY,)) -> InProcessResponse:
        """Send one request; *body* is bytes, or a value to send as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return call_app(self.fake.asgi_app, method, path.encode(), list(headers), raw)

    def json(self, method: str, path: str, body: Any = b"") -> Any:
        """The JSON response to a request."""
        return json.loads(self.send(method, path, body).body)

    def upload(self, filename: str = "train.jsonl") -> Any:
        """Upload a file; return the response."""
        return json.loads(self.send("POST", "/v1/files", form(ROWS.encode(), filename), (KEY, FORM)).body)

    def job(self, **fields: Any) -> Any:
        """Create a job; return the response."""
        body = {"model": "gpt-4o-mini", "training_file": self.upload()["id"], **fields}
        return self.json("POST", JOBS, body)

    def trained(self, **fields: Any) -> Any:
        """A job that has succeeded."""
        job = self.job(**fields)
        self.fake.advance_to("succeeded")
        return self.json("GET", f"{JOBS}/{job['id']}")


def headers(reply: InProcessResponse) -> dict[str, str]:
    """The headers of a response."""
    return {name.decode(): value.decode() for name, value in reply.headers}


@each_dialect
def test_a_dialect_is_a_setting(dialect: str) -> None:
    """Any dialect can be chosen at construction, at a reset and through the control API."""
    assert FakeFineTuning(dialect=dialect).settings.dialect == dialect
    fake = FakeFineTuning()
    fake.reset(dialect=dialect)
    assert fake.settings.dialect == dialect
    assert call_app(fake.asgi_app, "POST", b"/_fake/reset", [], b"{}").status == 200
    assert fake.settings.dialect == "openai-2025-09"
    call_app(fake.asgi_app, "POST", b"/_fake/reset", [], json.dumps({"dialect": dialect}).encode())
    assert fake.settings.dialect == dialect


@pytest.mark.parametrize("name", ["openai-2026", "", None, 7])
def test_unknown_dialects_are_refused(name: Any) -> None:
    """An unknown dialect is refused with the names of the known ones."""
    with pytest.raises(FakeUsageError, match=re.escape(f"dialect must be one of {', '.join(DIALECTS)}, got {name!r}")):
        FakeFineTuning(dialect=name)


def test_a_wrong_dialect_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`serve` and `verify` refuse an unknown dialect and list the known ones."""
    for command in (["serve", "--dialect", "klingon"], ["verify", "--dialect", "klingon", "x.json"]):
        assert cli.main(command) == 2
        assert "azure-2025" in capsys.readouterr().err


def test_the_default_dialect_is_not_looked_up() -> None:
    """Under the default dialect a response is returned as the same object."""
    answer = {"object": "fine_tuning.job", "error": {}}

    assert to_dialect(RECORDED, answer) is answer
    assert dialect_named("openai-2025-09") is RECORDED
    assert not RECORDED.objects


def test_what_belongs_to_the_client_is_left_alone() -> None:
    """Metadata that looks like an object of the API is returned unchanged."""
    metadata = {"object": "file", "status": "queued", "deleted": "no"}

    assert Spoken(SPEC).job(metadata=metadata)["metadata"] == metadata


def test_shapes_are_applied_member_by_member() -> None:
    """An object style orders, renames, omits and replaces members, and applies to nested objects."""
    shape = ObjectStyle(
        members=("b", "a", "none", "gone"),
        sources={"b": "old"},
        values={"a": {"x": "y"}},
        empty_values={"none": 1},
        omitted_if_null=frozenset({"gone"}),
    )
    dialect = Dialect("test", objects={"thing": shape})
    thing = {"object": "thing", "a": "x", "old": 2, "none": None, "gone": None, "else": 3}

    assert list(to_dialect(dialect, thing).items()) == [("b", 2), ("a", "y"), ("none", 1)]
    assert to_dialect(dialect, {"object": "list", "data": [thing]})["data"] == [to_dialect(dialect, thing)]


@each_dialect
def test_what_python_is_told_is_what_is_answered(dialect: str) -> None:
    """Jobs and files in Python equal those in the responses."""
    spoken = Spoken(dialect)
    file = spoken.fake.add_file(ROWS)
    job = spoken.fake.add_job(file["id"])

    assert spoken.json("GET", f"/v1/files/{file['id']}") == file
    assert spoken.json("GET", f"{JOBS}/{job['id']}") == job == spoken.fake.jobs[0]


@each_dialect
def test_same_seed_same_bytes(dialect: str) -> None:
    """Two accounts with the same dialect, seed and start respond with the same bytes."""
    first, second = Spoken(dialect, seed=7), Spoken(dialect, seed=7)
    for spoken in (first, second):
        spoken.trained()

    for path in (JOBS, f"{JOBS}/{first.fake.jobs[0]['id']}/events?limit=100", "/v1/files", "/v1/models"):
        assert first.send("GET", path).body == second.send("GET", path).body


def test_errors_are_as_documented() -> None:
    """Under openai-spec a job's error is null or has code, message and param, and file errors have no `detail`."""
    spoken = Spoken(SPEC)
    job = spoken.job()
    spoken.fake.plan_job(job["id"], fail_at=3)
    spoken.fake.advance_to("failed")

    assert job["error"] is None
    assert set(spoken.fake.jobs[0]["error"]) == {"code", "message", "param"}
    assert list(spoken.json("GET", "/v1/files/none")) == ["error"]
    assert list(Spoken("openai-2025-09").json("GET", "/v1/files/none")) == ["error", "detail"]


def test_paused_stays_paused() -> None:
    """Under openai-spec a paused job has the status paused."""
    spoken = Spoken(SPEC)
    job = spoken.job()
    spoken.fake.advance_to("running")

    assert spoken.json("POST", f"{JOBS}/{job['id']}/pause")["status"] == "paused"


def test_members_of_2024() -> None:
    """Under 2024-10 jobs, files and models have that year's members, ids and line ends."""
    spoken = Spoken(OF_2024)
    job = spoken.trained()
    file = spoken.upload()

    assert list(job)[-4:] == ["user_provided_suffix", "seed", "estimated_finish", "integrations"]
    assert job["error"] == {}
    assert "expires_at" not in file
    assert len(file["id"]) == len(job["result_files"][0]) == len("file-") + 24
    assert spoken.send("GET", "/v1/models/gpt-4o-mini").body.endswith(b"}\n")
    assert not spoken.send("GET", JOBS).body.endswith(b"\n")
    assert spoken.upload("local.path")["filename"] == "local.path"


def test_members_of_2023() -> None:
    """Under 2023-11 jobs, file lists and result files have that year's members and form."""
    spoken = Spoken(OF_2023)
    job = spoken.trained()

    assert (len(job), job["error"], list(job)[-1]) == (14, None, "error")
    assert list(spoken.json("GET", "/v1/files")) == ["object", "has_more", "data"]
    assert list(spoken.json("DELETE", f"/v1/files/{job['training_file']}")) == ["object", "id", "deleted"]
    content = spoken.send("GET", f"/v1/files/{job['result_files'][0]}/content").body
    assert content.startswith(b"step,train_loss,train_accuracy")


@pytest.mark.parametrize(("dialect", "shape"), [(OF_2023, "[0-9a-f]{32}"), (OF_2024, "req_[0-9a-f]{32}")])
def test_headers_by_date(dialect: str, shape: str) -> None:
    """Request ids have a prefix since 2024, and neither year has project or upstream time headers."""
    found = headers(Spoken(dialect).send("GET", JOBS))

    assert re.fullmatch(shape, found["x-request-id"])
    assert not {"openai-project", "x-envoy-upstream-service-time"} & found.keys()
    assert ("x-content-type-options" in found) == (dialect == OF_2024)


def test_a_file_of_2023_is_processed_after_some_seconds() -> None:
    """Under 2023-11 a new file is "uploaded", and "processed" three seconds later."""
    spoken = Spoken(OF_2023)
    file = spoken.upload()
    spoken.fake.advance(2)
    early = spoken.json("GET", f"/v1/files/{file['id']}")["status"]
    spoken.fake.advance(1)

    assert [file["status"], early] == ["uploaded", "uploaded"]
    assert spoken.json("GET", f"/v1/files/{file['id']}")["status"] == "processed"


def test_validation_losses_of_2023() -> None:
    """Under 2023-11 a step's event lacks its validation loss, one has that of all the data, or the file differs."""
    spoken = Spoken(OF_2023)
    spoken.trained(model="gpt-3.5-turbo", validation_file=spoken.upload()["id"])
    job = spoken.fake.jobs[0]
    events = spoken.json("GET", f"{JOBS}/{job['id']}/events?limit=100")["data"]
    measured = {event["data"]["step"]: event["data"] for event in events if event["type"] == "metrics"}
    assert [*measured] == [91, 81, 71, 61, 51, 41, 31, 21, 11, 1]
    assert all("valid_loss" in data and "full_valid_loss" not in data for data in measured.values())
    _, *rows = spoken.send("GET", f"/v1/files/{job['result_files'][0]}/content").body.decode().split()
    assert [int(row.split(",")[0]) for row in rows if row.split(",")[3]] == [*reversed(measured)]


def test_models_and_lists_of_2023_10() -> None:
    """Under 2023-10 a model lacks its permission, a list of files has more than two members, or a job more numbers."""
    spoken = Spoken("openai-2023-10")
    job = spoken.trained(model="gpt-3.5-turbo")
    assert (list(job["hyperparameters"]), job["error"]) == (["n_epochs"], None)
    assert list(spoken.json("GET", "/v1/files")) == ["object", "data"]
    own = spoken.json("GET", f"/v1/models/{job['fine_tuned_model']}")
    for model in (*spoken.json("GET", "/v1/models")["data"], own):
        assert list(model) == ["id", "object", "created", "owned_by", "permission", "root", "parent"]
        assert (model["root"], model["parent"], len(model["permission"])) == (model["id"], None, 1)
        assert re.fullmatch(r"modelperm-[0-9A-Za-z]{24}", model["permission"][0]["id"])


def test_models_of_2023() -> None:
    """Under 2023-11 gpt-3.5-turbo is its June snapshot, which 2024-10 does not offer."""
    spoken = Spoken(OF_2023)
    named = [spoken.trained(model=name) for name in ("gpt-3.5-turbo", "gpt-3.5-turbo-0613")]
    ids = {model["id"] for model in spoken.json("GET", "/v1/models")["data"]}
    seeded = spoken.fake.add_job(named[0]["training_file"], model="gpt-3.5-turbo")

    assert {job["model"] for job in (*named, seeded)} == {"gpt-3.5-turbo-0613"}
    assert named[0]["fine_tuned_model"].startswith("ft:gpt-3.5-turbo-0613:personal::")
    assert named[0]["hyperparameters"]["learning_rate_multiplier"] == 2
    assert "gpt-3.5-turbo-0613" in ids
    assert Spoken(OF_2024).job(model="gpt-3.5-turbo")["model"] == "gpt-3.5-turbo-0125"
    assert Spoken(OF_2024).job(model="gpt-3.5-turbo-0613")["error"]["code"] == "model_not_available"


@pytest.mark.parametrize(
    ("fields", "message", "param"),
    [
        ({"n_epochs": 3}, "invalid n_epochs, extra fields not permitted", "n_epochs"),
        ({"suffix": "x" * 19}, f"invalid suffix: {'x' * 19}, ensure this value has at most 18 characters", "suffix"),
        ({"suffix": "x" * 65}, f"invalid suffix: {'x' * 65}, ensure this value has at most 18 characters", "suffix"),
    ],
)
def test_refusals_of_2023(fields: dict[str, Any], message: str, param: str) -> None:
    """Under 2023 an unknown member is refused without its value, and a suffix has at most 18 characters."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}

    assert Spoken(OF_2023).job(**fields)["error"] == error
    assert Spoken(OF_2023).job(suffix="x" * 18)["object"] == "fine_tuning.job"
    assert Spoken(OF_2024).job(**fields).get("error") != error


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"suffix": 5}'])
def test_odd_bodies_in_2023(body: bytes) -> None:
    """Under 2023 an invalid job request is refused."""
    assert Spoken(OF_2023).send("POST", JOBS, body).status == 400


def test_examples_were_counted_at_creation_in_2023() -> None:
    """Under 2023 a file with too few examples is refused when a job is created, and later during validation."""
    rows = "".join(ROWS.splitlines(keepends=True)[:9])
    answers = {}
    for dialect in (OF_2023, OF_2024):
        spoken = Spoken(dialect)
        file = json.loads(spoken.send("POST", "/v1/files", form(rows.encode()), (KEY, FORM)).body)["id"]
        answers[dialect] = spoken.send("POST", JOBS, {"model": "gpt-3.5-turbo", "training_file": file})

    assert (answers[OF_2023].status, answers[OF_2024].status) == (400, 200)
    message = json.loads(answers[OF_2023].body)["error"]["message"]
    assert re.fullmatch(r"file-\w{24} has 9 example\(s\), but must have at least 10 examples", message)


def test_unknown_paths_in_2023() -> None:
    """Under 2023 the error for an unknown path has that year's text, and since 2024 the code unknown_url."""
    error = Spoken(OF_2023).json("GET", "/v1/nope")["error"]

    assert (error["message"], error["code"]) == ("Invalid URL (GET /v1/nope)", None)
    assert Spoken(OF_2024).json("GET", "/v1/nope")["error"]["code"] == "unknown_url"


@pytest.mark.parametrize(("epochs", "steps"), [(1, [1]), (3, [1, 11, 21]), (2, [1, 11])])
def test_steps_told_in_2023(epochs: int, steps: list[int]) -> None:
    """Under 2023-11 there are events for steps 1, 11, 21 and so on, across pages."""
    spoken = Spoken(OF_2023)
    file = spoken.upload()["id"]
    job = spoken.trained(training_file=file, hyperparameters={"n_epochs": epochs, "batch_size": 1})
    events, after = [], ""
    while True:
        page = spoken.json("GET", f"{JOBS}/{job['id']}/events?limit=2{after}")
        events += page["data"]
        if not page["has_more"]:
            break
        after = f"&after={page['data'][-1]['id']}"

    told = [event["data"]["step"] for event in reversed(events) if event["type"] == "metrics"]
    assert told == steps
    assert len({event["id"] for event in events}) == len(events)


def test_a_job_of_azure() -> None:
    """Under Azure null members are left out, -1 stands for undecided numbers, and pending for not started."""
    job = Spoken(AZURE).job()

    assert list(job) == [
        *("hyperparameters", "additionalParameters", "seed", "status", "model", "training_file", "estimated_finish"),
        *("id", "created_at", "object"),
    ]
    assert job["hyperparameters"] == {"n_epochs": -1, "batch_size": -1, "learning_rate_multiplier": 1}
    assert job["additionalParameters"] == {"completionOverride": "True"}
    assert (job["status"], job["estimated_finish"]) == ("pending", BORN + 900)


def test_ids_of_azure() -> None:
    """Under Azure ids are 32 hex digits, and a model's name contains its job's."""
    spoken = Spoken(AZURE)
    job = spoken.trained(suffix="mine")
    path = f"{JOBS}/{job['id']}"
    event = spoken.json("GET", f"{path}/events")["data"][0]
    points = spoken.json("GET", f"{path}/checkpoints")["data"]
    base = f"gpt-4o-mini-2024-07-18.ft-{job['id'].removeprefix('ftjob-')}-mine"

    for prefix, identifier in (("ftjob-", job["id"]), ("ftevent-", event["id"]), ("ftchkpt-", points[0]["id"])):
        assert re.fullmatch(f"{prefix}[0-9a-f]{{32}}", identifier)
    assert re.fullmatch("file-[0-9a-f]{32}", job["result_files"][0])
    named = [point["fine_tuned_model_checkpoint"] for point in points]
    assert [job["fine_tuned_model"], *named] == [base, base, f"{base}:ckpt-step-90", f"{base}:ckpt-step-80"]


def test_a_tuned_model_of_azure_is_tuned_again() -> None:
    """Under Azure a fine-tuned model can be trained again, and the new name contains its base model."""
    spoken = Spoken(AZURE)
    first = spoken.trained()
    again = spoken.trained(model=first["fine_tuned_model"])

    assert again["fine_tuned_model"].startswith("gpt-4o-mini-2024-07-18.ft-")
    assert again["fine_tuned_model"] != first["fine_tuned_model"]


def test_events_of_azure() -> None:
    """Under Azure events have its texts and order, data only for metrics, and the first and every tenth step."""
    spoken = Spoken(AZURE)
    job = spoken.trained(validation_file=spoken.upload()["id"])
    page = spoken.json("GET", f"{JOBS}/{job['id']}/events?limit=100")
    steps = [event for event in page["data"] if event["type"] == "metrics"]
    said = [event["message"] for event in reversed(page["data"]) if event["type"] == "message"]

    assert list(page) == ["has_more", "data", "object"]
    assert [event["data"]["step"] for event in reversed(steps)] == [1, *range(10, 101, 10)]
    assert steps[0]["message"] == f"Step 100: training loss={steps[0]['data']['train_loss']}"
    assert "total_steps" not in steps[0]["data"]
    assert all("data" not in event for event in page["data"] if event["type"] == "message")
    assert said == [
        "Job enqueued. Waiting for jobs ahead to complete.",
        "Preprocessing running for file training file.",
        "Preprocessing completed for file training file.",
        "Preprocessing completed for file validation file.",
        "Job started.",
        "Data Import started.",
        "Finetuning started.",
        "Job queued, waiting for GPUs.",
        "Training started.",
        f"Created results file: {job['result_files'][0]}",
        "Job succeeded.",
        "Model Evaluation Passed.",
        f"Completed results file: {job['result_files'][0]}",
        "Training tokens billed: 1000",
    ]
    assert page["data"][0]["created_at"] == job["finished_at"]


@given(disturbed_specs(), st.integers(2, 12), st.floats(0, 5000))
def test_an_event_of_every_so_many_steps(
    life: tuple[JobSpec, tuple[Intervention, ...]], every: int, seconds: float
) -> None:
    """With an event only for every k-th step, and perhaps the first, a job's other events are unchanged at any time."""
    script, acts = life
    segments, now = build_segments(script, BORN, acts), BORN + seconds
    whole = Timeline(segments)
    moments = [whole.event(k) for k in range(whole.event_count(now))]

    for first in (0, 1):
        sparse = Timeline(segments, step_interval=every, also_first_step=bool(first))
        kept = [each for each in moments if each.kind != "step" or each.step % every == 0 or each.step == first]
        assert [sparse.event(k) for k in range(sparse.event_count(now))] == kept


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_of_azure(limit: int) -> None:
    """Under Azure pages of any limit contain all events in order, and an unknown cursor is refused."""
    spoken = Spoken(AZURE)
    path = f"{JOBS}/{spoken.trained()['id']}/events"
    whole = spoken.json("GET", f"{path}?limit=1000")["data"]
    page = spoken.json("GET", f"{path}?limit={limit}")
    found = page["data"]
    while page["has_more"]:
        page = spoken.json("GET", f"{path}?limit={limit}&after={found[-1]['id']}")
        found += page["data"]

    assert found == whole
    assert all(newer["created_at"] >= older["created_at"] for newer, older in pairwise(whole))
    refused = spoken.send("GET", f"{path}?after=ftevent-{'0' * 32}")
    assert refused.status == 400
    assert b"Given after argument was not found in items." in refused.body


def test_checkpoints_of_azure() -> None:
    """Under Azure a list of checkpoints has no first and last id, and its metrics include full validation."""
    spoken = Spoken(AZURE)
    job = spoken.trained(validation_file=spoken.upload()["id"])
    page = spoken.json("GET", f"{JOBS}/{job['id']}/checkpoints")

    assert list(page) == ["has_more", "data", "object"]
    assert {"full_valid_loss", "full_valid_mean_token_accuracy"} <= page["data"][0]["metrics"].keys()
    assert not {"type", "total_steps"} & page["data"][0]["metrics"].keys()


def test_pause_and_resume_of_azure() -> None:
    """Under Azure a pause returns pausing, a resume returns resuming, and a cancelled job has finished_at."""
    spoken = Spoken(AZURE)
    path = f"{JOBS}/{spoken.job()['id']}"
    spoken.fake.advance_to("running")
    statuses = [spoken.json("POST", f"{path}/pause")["status"], spoken.json("GET", path)["status"]]
    statuses.append(spoken.json("POST", f"{path}/resume")["status"])
    spoken.fake.advance_to("running")
    cancelled = spoken.json("POST", f"{path}/cancel")

    assert statuses == ["pausing", "paused", "resuming"]
    assert (cancelled["status"], cancelled["finished_at"]) == ("cancelled", int(spoken.fake.now))


def test_files_of_azure() -> None:
    """Under Azure a new file is pending for five seconds; at the pace "polls" until the second retrieve."""
    manual, polls = Spoken(AZURE), Spoken(AZURE, pace="polls")
    looks = [manual.upload()["status"]]
    for seconds in (4, 1):
        manual.fake.advance(seconds)
        looks.append(manual.json("GET", "/v1/files")["data"][0]["status"])
    identifier = polls.upload()["id"]

    assert looks == ["pending", "pending", "processed"]
    seen = [polls.json("GET", f"/v1/files/{identifier}")["status"] for _ in range(3)]
    assert seen == ["pending", "processed", "processed"]


@pytest.mark.parametrize(
    "path",
    [
        "/openai/fine_tuning/jobs?api-version=2025-04-01-preview",
        "/openai/v1/fine_tuning/jobs",
        "/openai/v1/fine_tuning/jobs?api-version=preview",
        "/api/projects/mine/openai/fine_tuning/jobs?api-version=2025-11-15-preview",
        JOBS,
    ],
)
@pytest.mark.parametrize("header", ["api-key", "authorization"])
def test_ways_in_to_azure(path: str, header: str) -> None:
    """Under Azure dated, v1 and project paths work, with a key in either header."""
    spoken = Spoken(AZURE, api_keys=["secret"])
    key = b"secret" if header == "api-key" else b"Bearer secret"
    reply = spoken.send("GET", path, headers=[(header.encode(), key)])

    assert (reply.status, json.loads(reply.body)["data"]) == (200, [])
    assert headers(reply)["content-type"] == "application/json; charset=utf-8"
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", headers(reply)["apim-request-id"])
    assert not [name for name in headers(reply) if name.startswith("openai-")]


@pytest.mark.parametrize(
    "path",
    ["/openai/fine_tuning/jobs", "/openai/v2/fine_tuning/jobs", "/openai/v1/none", "/v1/none", "/api/projects/x"],
)
def test_what_is_no_path_of_azure(path: str) -> None:
    """Under Azure a dated path without a version, or an unknown path, gets 404 and Azure's text."""
    reply = Spoken(AZURE).send("GET", path)

    assert reply.status == 404
    assert json.loads(reply.body) == {"error": {"code": "404", "message": "Resource not found"}}


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if not name.startswith("azure")])
def test_paths_of_azure_are_azures(dialect: str) -> None:
    """Other dialects accept neither Azure's paths nor its key header."""
    spoken = Spoken(dialect)

    assert spoken.send("GET", "/openai/v1/fine_tuning/jobs").status == 404
    assert spoken.send("GET", JOBS, headers=[(b"api-key", b"any")]).status == 401


def test_creation_in_azure() -> None:
    """Under Azure a creation gets 201 and a Location below the path it was sent to."""
    spoken = Spoken(AZURE)
    body = {"model": "gpt-4o-mini", "training_file": spoken.upload()["id"], "trainingType": "developerTier"}
    query = "?api-version=2025-04-01-preview"
    reply = spoken.send("POST", f"/openai/fine_tuning/jobs{query}", body, [KEY, (b"host", b"mine.example.com")])
    job = json.loads(reply.body)

    assert reply.status == 201
    assert headers(reply)["location"] == f"http://mine.example.com/openai/fine_tuning/jobs/{job['id']}{query}"
    assert job["trainingType"] == "developerTier"
    assert spoken.send("POST", JOBS, [1, 2]).status == 400


def test_a_method_that_was_sent_to_azure_is_shown() -> None:
    """Under Azure a job has `method` only if it was sent, with whole numbers as integers."""
    spoken = Spoken(AZURE)
    method = {"type": "supervised", "supervised": {"hyperparameters": {"learning_rate_multiplier": 2.0}}}
    numbers = {"n_epochs": -1, "batch_size": -1, "learning_rate_multiplier": 2}
    shown = spoken.job(method=method)["method"]

    assert shown["supervised"]["hyperparameters"] == numbers
    assert type(shown["supervised"]["hyperparameters"]["learning_rate_multiplier"]) is int
    assert "method" not in spoken.job()


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if not name.startswith("azure")])
def test_a_training_type_is_azures(dialect: str) -> None:
    """Other dialects refuse trainingType as an unknown field."""
    assert "trainingType" in json.dumps(Spoken(dialect).job(trainingType="Standard"))


@pytest.mark.parametrize("dialect", OTHERS)
def test_lengths_are_right(dialect: str) -> None:
    """In every dialect Content-Length is the body's length."""
    spoken = Spoken(dialect)
    job = spoken.trained()
    paths = (JOBS, f"{JOBS}/{job['id']}", "/v1/files", "/v1/models", "/v1/models/none", "/v1/files/none", "/v1/none")

    for path in paths:
        reply = spoken.send("GET", path)
        assert headers(reply)["content-length"] == str(len(reply.body))


@pytest.mark.parametrize("dialect", OTHERS)
def test_uploads_in_parts(dialect: str) -> None:
    """In every dialect the file inside a completed upload equals the file retrieved alone."""
    spoken = Spoken(dialect)
    said = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": len(ROWS), "mime_type": "text/jsonl"}
    upload = spoken.json("POST", "/v1/uploads", said)
    part = part_form(ROWS.encode())
    made = json.loads(spoken.send("POST", f"/v1/uploads/{upload['id']}/parts", part, (KEY, FORM)).body)
    done = spoken.json("POST", f"/v1/uploads/{upload['id']}/complete", {"part_ids": [made["id"]]})

    assert done["file"] == spoken.json("GET", f"/v1/files/{done['file']['id']}")
