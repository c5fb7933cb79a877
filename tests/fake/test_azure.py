"""Azure's dialects in detail: what its recordings and guides show of jobs, their numbers and its refusals."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.domain.dialects.azure import AZURE_2025, AZURE_2026
from fine_tuning_fakeserver.domain.ids import TICKS_A_SECOND, TICKS_AT_UNIX_EPOCH
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from strategies import BORN, FORM, KEY, ROWS, form

JOBS = "/openai/v1/fine_tuning/jobs"
PAIR = {
    "input": {"messages": [{"role": "user", "content": "a"}]},
    "preferred_output": [{"role": "assistant", "content": "b"}],
    "non_preferred_output": [{"role": "assistant", "content": "c"}],
}
PAIRS = (json.dumps(PAIR) + "\n") * 10
PROMPTS = (json.dumps({"messages": [{"role": "user", "content": "a"}], "answer": "b"}) + "\n") * 12
JUDGE = {
    "type": "score_model",
    "name": "judge",
    "model": "o3-mini",
    "range": [0.0, 10.0],
    "input": [{"role": "user", "type": "message", "content": "Rate {{sample.output_text}}"}],
}


class Azure:
    """Raw requests to a fake that speaks as Azure does."""

    def __init__(self, **settings: Any) -> None:
        self.fake = FakeFineTuning(**{"dialect": "azure-2025", "start": BORN, "pace": "manual", **settings})

    def send(self, method: str, path: str, body: Any = b"", *headers: tuple[bytes, bytes]) -> InProcessResponse:
        """Send one request; *body* is bytes, or a value to send as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return call_app(self.fake.asgi_app, method, path.encode(), [KEY, *headers], raw)

    def json(self, method: str, path: str, body: Any = b"") -> Any:
        """The JSON response to a request."""
        return json.loads(self.send(method, path, body).body)

    def upload(self, rows: str | bytes = ROWS) -> str:
        """Upload a file; return its id."""
        content = rows if isinstance(rows, bytes) else rows.encode()
        return str(json.loads(self.send("POST", "/openai/v1/files", form(content), FORM).body)["id"])

    def job(self, rows: str = ROWS, **fields: Any) -> Any:
        """Create a job; return the response."""
        return self.json("POST", JOBS, {"model": "gpt-4.1", "training_file": self.upload(rows), **fields})

    def events(self, job: Any) -> Any:
        """The job's events, oldest first."""
        return self.json("GET", f"{JOBS}/{job['id']}/events?limit=1000")["data"][::-1]


def test_numbers_of_a_preference_job() -> None:
    """A preference job has beta and l2_multiplier from its creation on, in Azure's order, and no top-level numbers."""
    job = Azure().job(PAIRS, model="gpt-4o-mini", method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1}}})
    numbers = job["method"]["dpo"]["hyperparameters"]

    assert list(numbers.items()) == [
        ("beta", 0.1),
        ("l2_multiplier", 0),
        ("n_epochs", 1),
        ("batch_size", -1),
        ("learning_rate_multiplier", 1),
    ]
    assert "hyperparameters" not in job


def test_numbers_beside_their_place() -> None:
    """beta and l2_multiplier may stand beside a preference job's hyperparameters, and prompt_loss_weight at the top."""
    dpo = {"beta": 0.3, "l2_multiplier": 0.2}
    job = Azure().job(PAIRS, prompt_loss_weight=0.1, method={"type": "dpo", "dpo": dpo})

    assert job["method"]["dpo"]["hyperparameters"].items() >= dpo.items()
    assert "prompt_loss_weight" not in job


@pytest.mark.parametrize("value", [-1, "x", True, None])
def test_a_wrong_l2_multiplier(value: Any) -> None:
    """An l2_multiplier that is no number from 0 is refused."""
    numbers = {"type": "dpo", "dpo": {"hyperparameters": {"l2_multiplier": value}}}

    assert Azure().job(PAIRS, method=numbers)["error"]["code"] == "invalidPayload"


def test_a_reinforcement_job() -> None:
    """A reinforcement job has Azure's numbers, a threshold, whole bounds, no response format, a later estimate."""
    azure = Azure()
    method = {"type": "reinforcement", "reinforcement": {"grader": JUDGE}}
    job = azure.job(PROMPTS, model="o4-mini", method=method)
    part = job["method"]["reinforcement"]

    assert list(part) == ["hyperparameters", "grader"]
    assert list(part["hyperparameters"]) == [
        *("eval_interval", "eval_samples", "compute_multiplier", "reasoning_effort"),
        *("n_epochs", "batch_size", "learning_rate_multiplier"),
    ]
    assert (part["hyperparameters"]["compute_multiplier"], part["hyperparameters"]["n_epochs"]) == (1, -1)
    assert list(part["grader"]) == ["type", "name", "input", "pass_threshold", "range", "model"]
    assert (part["grader"]["pass_threshold"], part["grader"]["range"]) == (0, [0, 10])
    assert part["grader"]["input"] == [{"role": "user", "content": "Rate {{sample.output_text}}"}]
    assert job["estimated_finish"] == BORN + 2760


def test_numbers_of_reinforcement_at_the_top() -> None:
    """Hyperparameters at the top of a reinforcement job's request are its own."""
    method = {"type": "reinforcement", "reinforcement": {"grader": JUDGE}}
    numbers = {"n_epochs": 2, "compute_multiplier": 1.5}
    job = Azure().job(PROMPTS, model="o4-mini", method=method, hyperparameters=numbers)

    assert job["method"]["reinforcement"]["hyperparameters"].items() >= numbers.items()


def test_metrics_of_reinforcement() -> None:
    """Events and checkpoints of a reinforcement job have rewards."""
    azure = Azure()
    method = {"type": "reinforcement", "reinforcement": {"grader": JUDGE, "hyperparameters": {"n_epochs": 3}}}
    job = azure.job(PROMPTS, model="o4-mini", method=method)
    azure.fake.advance_to("succeeded")
    steps = [event["data"] for event in azure.events(job) if event["type"] == "metrics"]
    points = azure.json("GET", f"{JOBS}/{job['id']}/checkpoints")["data"]

    assert all("train_mean_reward" in each for each in (*steps, *(point["metrics"] for point in points)))
    assert not [each for each in steps if "total_steps" in each]


@pytest.mark.parametrize(
    ("model", "multiplier"),
    [("gpt-4.1", 2), ("gpt-4.1-mini", 2), ("gpt-4o-mini", 1), ("Ministral-3B", 1), ("gpt-35-turbo-0125", 1)],
)
def test_models_of_azure(model: str, multiplier: int) -> None:
    """Azure's models can be trained under its names, with its learning rate multipliers."""
    assert Azure().job(model=model)["hyperparameters"]["learning_rate_multiplier"] == multiplier


def test_models_that_azure_calls_otherwise() -> None:
    """OpenAI's spelling of GPT-3.5 is none of Azure's."""
    assert "error" in Azure().job(model="gpt-3.5-turbo-0125")


def test_numbers_and_results_come_with_training() -> None:
    """A job that runs shows -1 and no result file until its first step, and both from then on, however it ends."""
    azure = Azure()
    job = azure.job()
    path = f"{JOBS}/{job['id']}"
    azure.fake.advance_to("running")
    running = azure.json("GET", path)
    azure.fake.advance_to(step=1)
    training = azure.json("GET", path)
    cancelled = azure.json("POST", f"{path}/cancel")

    assert (running["status"], running["hyperparameters"]["n_epochs"], "result_files" in running) == (
        "running",
        -1,
        False,
    )
    assert (training["hyperparameters"]["n_epochs"], len(training["result_files"])) == (10, 1)
    assert cancelled["result_files"] == training["result_files"]
    told = {event["message"] for event in azure.events(job)}
    assert {"Training started.", f"Created results file: {training['result_files'][0]}"} <= told


def test_ids_of_steps_are_their_time() -> None:
    """The id of a training step's event is its time in ticks, twice, and a cursor."""
    azure = Azure()
    job = azure.job()
    azure.fake.advance_to("succeeded")
    events = azure.events(job)
    for event in (each for each in events if each["type"] == "metrics"):
        half = event["id"][-15:]
        assert event["id"] == f"ftevent-00{half}{half}"
        assert (int(half, 16) - TICKS_AT_UNIX_EPOCH) // TICKS_A_SECOND == event["created_at"]
    assert len({event["id"] for event in events}) == len(events)
    page = azure.json("GET", f"{JOBS}/{job['id']}/events?limit=1000&after={events[14]['id']}")
    assert page["data"][::-1] == events[:14]


def test_a_pause_makes_a_checkpoint() -> None:
    """The step at which a job was paused has a checkpoint besides the last three epochs."""
    azure = Azure()
    job = azure.job()
    azure.fake.advance_to(step=7)
    for verb in ("pause", "resume"):
        azure.send("POST", f"{JOBS}/{job['id']}/{verb}")
    azure.fake.advance_to("succeeded")
    points = azure.json("GET", f"{JOBS}/{job['id']}/checkpoints")["data"]

    assert [point["step_number"] for point in points] == [100, 90, 80, 7]


@pytest.mark.parametrize(("verb", "participle"), [("cancel", "canceled"), ("pause", "paused"), ("resume", "resumed")])
def test_refusals_for_the_state(verb: str, participle: str) -> None:
    """What a job's state does not allow is refused with 409, a code and a message."""
    azure = Azure()
    job = azure.job()
    azure.fake.advance_to("succeeded")
    reply = azure.send("POST", f"{JOBS}/{job['id']}/{verb}")
    message = f"This item cannot be {participle} at this moment. please try again."

    assert reply.status == 409
    assert json.loads(reply.body) == {"error": {"code": "unexpectedEntityState", "message": message}}


def test_refusals_have_code_and_message() -> None:
    """Every refusal of Azure's has a code and a message, and nothing else."""
    azure = Azure()
    replies = [
        azure.send("GET", f"{JOBS}/none"),
        azure.send("GET", "/openai/v1/files/none"),
        azure.send("POST", JOBS, {"model": "x"}),
        azure.send("POST", "/openai/v1/files", form(ROWS.encode(), purpose="x"), FORM),
    ]

    assert [(reply.status, list(json.loads(reply.body)["error"])) for reply in replies] == [
        (status, ["code", "message"]) for status in (404, 404, 400, 400)
    ]
    assert [json.loads(reply.body)["error"]["code"] for reply in replies] == [
        *["notFound"] * 2,
        *["invalidPayload"] * 2,
    ]


@pytest.mark.parametrize(
    ("loss", "spelt"), [("3.814697265625e-06", "3.814697265625E-06"), ("0.5", "0.5"), ("1.0", "1")]
)
def test_losses_are_spelt_as_dotnet_does(loss: str, spelt: str) -> None:
    """Small losses have a capital E and two digits in messages, whole ones no fraction."""
    azure = Azure(plan={"curve": f"step,train_loss,valid_loss\n1,{loss},{loss}\n100,{loss},{loss}\n"})
    job = azure.job()
    azure.fake.advance_to("succeeded")

    assert [event["message"] for event in azure.events(job)][-5] == f"Step 100: training loss={spelt}"


def test_a_chat_by_deployment() -> None:
    """A chat's path may name the deployment; the model is the one that the body names."""
    azure = Azure()
    chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    reply = azure.send("POST", "/openai/deployments/mine/chat/completions?api-version=2024-10-21", chat)

    assert (reply.status, json.loads(reply.body)["object"]) == (200, "chat.completion")


def test_the_dialects_of_azure() -> None:
    """Nothing that was recorded moved from 2025 to 2026, and every difference of either has its source."""
    assert AZURE_2026.objects == AZURE_2025.objects
    assert AZURE_2025.evidence
    assert AZURE_2026.evidence


def test_a_byte_order_mark() -> None:
    """Training data may begin with a byte order mark for Azure, in one piece and in parts, and not for OpenAI."""
    rows = b"\xef\xbb\xbf" + ROWS.encode()
    azure = Azure()
    job = azure.json("POST", JOBS, {"model": "gpt-4.1", "training_file": azure.upload(rows)})
    azure.fake.advance_to("succeeded")

    assert azure.json("GET", f"{JOBS}/{job['id']}")["status"] == "succeeded"
    refused = Azure(dialect="openai-2025-09").send("POST", "/v1/files", form(rows), FORM)
    assert refused.status == 400


@pytest.mark.parametrize(
    ("roles", "status"),
    [(["assistant", "tool", "assistant"], "succeeded"), (["tool"], "failed"), (["assistant", "user"], "failed")],
)
def test_answers_of_several_messages(roles: list[str], status: str) -> None:
    """An answer to prefer may be several messages for Azure, of the assistant and its tools only."""
    row = {**PAIR, "preferred_output": [{"role": role, "content": "b"} for role in roles]}
    azure = Azure()
    azure.job((json.dumps(row) + "\n") * 10, method={"type": "dpo"})
    azure.fake.advance("48h")

    assert azure.json("GET", JOBS)["data"][0]["status"] == status


def test_a_job_is_deleted() -> None:
    """A job that is over can be deleted, and is gone; its model stays, and one under way is not deleted."""
    azure = Azure()
    job = azure.job(suffix="mine")
    path = f"{JOBS}/{job['id']}"
    refused = azure.send("DELETE", path)
    azure.fake.advance_to("succeeded")
    model = azure.json("GET", path)["fine_tuned_model"]
    deleted = azure.send("DELETE", path)

    assert (refused.status, deleted.status, deleted.body) == (409, 204, b"")
    assert [azure.send(verb, path).status for verb in ("GET", "DELETE")] == [404, 404]
    assert azure.json("GET", JOBS)["data"] == azure.fake.jobs == []
    assert azure.fake.state()["counts"]["by_status"] == {}
    assert azure.json("GET", f"/openai/v1/models/{model}")["id"] == model


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://store.example/a.jsonl?sig=1", "error"),
        ("data:,nothing%20that%20is%20JSON", "error"),
        ("data:application/jsonl;base64,!", "error"),
        ("data:,", "error"),
        (f"data:application/jsonl;base64,{base64.b64encode(ROWS.encode()).decode()}", "processed"),
    ],
)
def test_a_file_is_imported(url: str, status: str) -> None:
    """A file is imported from a data URL, and turns to an error from any other, which is not fetched."""
    azure = Azure()
    body = {"purpose": "fine-tune", "filename": "a.jsonl", "content_url": url}
    reply = azure.send("POST", "/openai/files/import?api-version=2024-10-21", body)
    file = json.loads(reply.body)
    azure.fake.advance(5)
    job = azure.send("POST", JOBS, {"model": "gpt-4.1", "training_file": file["id"]})

    assert (reply.status, file["status"]) == (201, "pending")
    assert azure.json("GET", f"/openai/v1/files/{file['id']}")["status"] == status
    assert job.status == (201 if status == "processed" else 400)


@pytest.mark.parametrize("change", [{"purpose": "x"}, {"filename": ""}, {"content_url": 7}, {"more": 1}])
def test_a_wrong_import(change: dict[str, Any]) -> None:
    """An import with an unknown purpose or member, or without a name or URL, is refused."""
    body = {"purpose": "fine-tune", "filename": "a.jsonl", "content_url": "https://store.example/a", **change}

    assert Azure().send("POST", "/openai/v1/files/import", body).status == 400


def test_a_checkpoint_is_copied() -> None:
    """A checkpoint is copied, by id or model, with the header of the preview, and the copy is listed."""
    azure = Azure()
    job = azure.job()
    azure.fake.advance_to("succeeded")
    point = azure.json("GET", f"{JOBS}/{job['id']}/checkpoints")["data"][1]
    path, preview = f"{JOBS}/{job['id']}/checkpoints", (b"aoai-copy-ft-checkpoints", b"preview")
    body = {"destinationResourceId": "/subscriptions/x", "region": "westus"}
    made = azure.send("POST", f"{path}/{point['id']}/copy", body, preview)

    assert json.loads(made.body) == {
        "checkpointedModelName": point["fine_tuned_model_checkpoint"],
        "fineTuningJobId": job["id"],
        "copiedAccountDetails": [{**body, "status": "Completed"}],
    }
    assert azure.send("GET", f"{path}/{point['id']}/copy", b"", preview).body == made.body
    assert azure.send("POST", f"{path}/{point['id']}/copy", body).status == 400
    assert azure.send("POST", f"{path}/{point['id']}/copy", {"region": "x"}, preview).status == 400
    assert azure.send("GET", f"{path}/none/copy", b"", preview).status == 404


def test_what_only_azure_has() -> None:
    """Other dialects do not have Azure's own operations, nor accept its members."""
    other = Azure(dialect="openai-2025-09")
    statuses = [
        other.send("DELETE", "/v1/fine_tuning/jobs/x").status,
        other.send("POST", "/v1/files/import", {}).status,
        other.send("POST", "/v1/fine_tuning/jobs/x/checkpoints/y/copy", {}).status,
    ]

    assert statuses == [405, 405, 404]
    assert json.loads(other.send("GET", "/v1/files/import").body)["error"]["message"] == "No such File object: import"


def test_an_account_with_azures_records_is_saved(tmp_path: Path) -> None:
    """Deleted jobs, copies and imports are in a saved account."""
    azure = Azure()
    job = azure.job()
    azure.fake.advance_to("succeeded")
    azure.send("DELETE", f"{JOBS}/{job['id']}")
    body = {"purpose": "fine-tune", "filename": "a.jsonl", "content_url": "https://store.example/a"}
    azure.send("POST", "/openai/v1/files/import", body)
    path = tmp_path / "account.zip"
    azure.fake.save(path)

    assert FakeFineTuning.load(path).jobs == []
    assert FakeFineTuning.load(path).files[0]["status"] == "pending"


def test_own_operations_are_known_by_name() -> None:
    """Faults hit an operation that only Azure has, and assertions count it, by its name."""
    azure = Azure()
    azure.fake.fail(503, on="delete_job", times=1)
    job = azure.fake.add_job(azure.upload(), status="succeeded")
    statuses = [azure.send("DELETE", f"{JOBS}/{job['id']}").status for _ in range(2)]

    assert statuses == [503, 204]
    azure.fake.assert_called("delete_job", job_id=job["id"], times=2)
    with pytest.raises(FakeUsageError, match="did you mean 'import_file'"):
        azure.fake.assert_not_called("import_files")


def test_a_server_of_azure_accounts_is_controlled() -> None:
    """The control API of a server lists and makes accounts when these speak as Azure does, too."""
    accounts = FakeAccounts(dialect="azure-2025")

    made = call_app(accounts.asgi_app, "PUT", b"/_fake/accounts/ci", [], b"{}")
    listed = call_app(accounts.asgi_app, "GET", b"/_fake/accounts", [], b"")
    assert (made.status, listed.status) == (200, 200)
    assert b'"ci"' in listed.body


@pytest.mark.parametrize(
    ("numbers", "shown", "share"),
    [({}, {"n_epochs": -1, "batch_size": -1}, -1), ({"n_epochs": 2}, {"n_epochs": 2, "batch_size": -1}, 2)],
)
def test_numbers_of_an_open_source_model_stay_unknown(
    numbers: dict[str, int], shown: dict[str, int], share: int
) -> None:
    """A job on Ministral-3B shows -1 for automatic numbers to its end, and its trained tokens are that many epochs."""
    azure = Azure()
    job, other = (azure.job(model=model, hyperparameters=numbers) for model in ("Ministral-3B", "gpt-4.1"))
    azure.fake.advance("48h")
    done, usual = (azure.json("GET", f"{JOBS}/{each['id']}") for each in (job, other))

    assert done["hyperparameters"] == {**shown, "learning_rate_multiplier": 1}
    assert done["trained_tokens"] == share * usual["trained_tokens"] // usual["hyperparameters"]["n_epochs"]
    assert done["result_files"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trainingType", []),
        ("trainingType", "Basement"),
        ("trainingType", -1),
        ("prompt_loss_weight", "x"),
        ("prompt_loss_weight", True),
        ("output_expires_after", 3600),
        ("output_expires_after", {"anchor": "created_at", "seconds": 5}),
        ("output_expires_after", {"anchor": "created_at", "seconds": "3600"}),
    ],
)
def test_wrong_values_of_own_fields(field: str, value: Any) -> None:
    """A field that only Azure has is refused by name where its value makes no sense, and taken where it does."""
    azure = Azure()
    expiry = {"anchor": "created_at", "seconds": 3600}
    right: dict[str, Any] = {"trainingType": 1, "prompt_loss_weight": 0.1, "output_expires_after": expiry}
    none: dict[str, Any] = dict.fromkeys(right)

    assert azure.job(**{field: value})["error"]["message"].startswith(f"invalid {field}: ")
    assert azure.job(**right)["status"] == azure.job(**none)["status"] == "pending"


GRADERS: list[dict[str, Any]] = [
    {"type": "endpoint", "url": "https://x/y", "headers": {"a": ["b"]}, "pass_threshold": 0.5},
    {"type": "python", "name": "p", "source": "def grade(sample, item): return 1", "pass_threshold": 0.5},
    {**JUDGE, "pass_threshold": 7},
]


@pytest.mark.parametrize("grader", GRADERS, ids=lambda grader: str(grader["type"]))
def test_graders_of_azure(grader: dict[str, Any]) -> None:
    """A grader of any type has a threshold, and one may be an endpoint; a job learns by it, and shows it as sent."""
    azure = Azure()
    method = {"type": "reinforcement", "reinforcement": {"grader": grader}}
    job = azure.job(PROMPTS, model="o4-mini", validation_file=azure.upload(PROMPTS), method=method)
    shown = job["method"]["reinforcement"]["grader"]
    azure.fake.advance("48h")

    assert {name: shown[name] for name in grader if name != "input"} == {
        name: value for name, value in grader.items() if name != "input"
    }
    assert azure.json("GET", f"{JOBS}/{job['id']}")["status"] == "succeeded"


@pytest.mark.parametrize(
    "changes", [{"pass_threshold": "x"}, {"pass_threshold": None}, {"url": ""}, {"url": 3}, {"headers": "deep"}]
)
def test_wrong_graders_of_azure(changes: dict[str, Any]) -> None:
    """A threshold that is no number, an endpoint without a URL and one nested too deeply are refused."""
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    changes = {name: deep if value == "deep" else value for name, value in changes.items()}
    method = {"type": "reinforcement", "reinforcement": {"grader": {**GRADERS[0], **changes}}}

    assert Azure().job(PROMPTS, model="o4-mini", method=method)["error"]["code"] == "invalidPayload"


def test_numbers_of_any_size() -> None:
    """A multiplier and a range too large for an integer are shown as they were sent."""
    azure, huge = Azure(), 1e300
    dpo = {"type": "dpo", "dpo": {"l2_multiplier": huge, "hyperparameters": {"learning_rate_multiplier": huge}}}
    judge = {"type": "reinforcement", "reinforcement": {"grader": {**JUDGE, "range": [0.0, huge]}}}

    assert azure.job(PAIRS, model="gpt-4.1-mini", method=dpo)["method"]["dpo"]["hyperparameters"] == {
        "beta": 0.1,
        "l2_multiplier": huge,
        "n_epochs": -1,
        "batch_size": -1,
        "learning_rate_multiplier": huge,
    }
    assert azure.job(PROMPTS, model="o4-mini", method=judge)["method"]["reinforcement"]["grader"]["range"] == [0, huge]


def test_assertions_and_findings_pass_over_azures_own_routes() -> None:
    """Calls of Azure's own routes are not in the log, or an assertion or a finding takes them for others."""
    azure = Azure()
    job = azure.job()
    azure.fake.advance_to("succeeded")
    azure.send("DELETE", f"{JOBS}/{job['id']}")
    azure.send("POST", "/openai/v1/files/import", {"purpose": "x"})

    assert [entry.operation for entry in azure.fake.requests][-2:] == ["delete_job", "import_file"]
    assert [call.operation for call in azure.fake.calls][-2:] == ["delete_job", "import_file"]
    azure.fake.assert_called("create_job", times=1)
    assert azure.fake.findings == []
