"""Dialects of services that train open-weight models: Bedrock's and Nebius's differences from OpenAI."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import BORN, FORM, KEY, ROWS, form

BEDROCK, NEBIUS = "bedrock-2026", "nebius-2026-05"
JOBS = "/v1/fine_tuning/jobs"
LAMBDA = {"type": "lambda", "lambda": {"function": "arn:aws:lambda:us-west-2:123456789012:function:reward"}}
PROMPTS = "".join(json.dumps({"messages": [{"role": "user", "content": f"Say {n}."}]}) + "\n" for n in range(12))


class Service:
    """Raw requests to a fake with a dialect."""

    def __init__(self, dialect: str) -> None:
        self.fake = FakeFineTuning(dialect=dialect, start=BORN, pace="manual")

    def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON response to a request, which must have *status*."""
        raw = b"" if body is None else json.dumps(body).encode()
        reply = call_app(self.fake.asgi_app, method, path.encode(), [KEY], raw)
        assert reply.status == status, reply.body
        return json.loads(reply.body)

    def create(self, status: int = 200, rows: str = ROWS, **fields: Any) -> Any:
        """Create a job on an open-weight model."""
        upload = call_app(self.fake.asgi_app, "POST", b"/v1/files", [KEY, FORM], form(rows.encode(), "t.jsonl"))
        body = {"model": "an/open-weight-7b", "training_file": json.loads(upload.body)["id"], **fields}
        return self.ask("POST", JOBS, body, status)

    def done(self, job: Any) -> Any:
        """The job once it is over."""
        self.fake.advance("48h")
        return self.ask("GET", f"{JOBS}/{job['id']}")


@pytest.mark.parametrize("dialect", [BEDROCK, NEBIUS])
def test_any_model_can_be_trained(dialect: str) -> None:
    """Any name is taken as a base model, and its fine-tuned model answers at once."""
    service = Service(dialect)
    done = service.done(service.create())

    assert done["status"] == "succeeded"
    said = {"model": done["fine_tuned_model"], "messages": [{"role": "user", "content": "Hi"}]}
    assert service.ask("POST", "/v1/chat/completions", said)["choices"]


def test_a_lambda_grades_in_bedrock() -> None:
    """A job of Bedrock is graded by a Lambda function, which is shown as it was sent; elsewhere it is refused."""
    method = {"type": "reinforcement", "reinforcement": {"grader": LAMBDA}}
    service = Service(BEDROCK)
    job = service.create(rows=PROMPTS, method=method)

    assert job["method"]["reinforcement"]["grader"] == LAMBDA
    assert service.done(job)["status"] == "succeeded"
    Service(NEBIUS).create(422, rows=PROMPTS, method=method)
    wrong = {"type": "reinforcement", "reinforcement": {"grader": {"type": "lambda", "lambda": {}}}}
    refused = service.create(400, rows=PROMPTS, method=wrong)["error"]
    assert refused["param"] == "method.reinforcement.grader.lambda.function"


def test_bedrock_has_no_suffix() -> None:
    """A suffix is refused by Bedrock as an unknown field is."""
    assert Service(BEDROCK).create(400, suffix="mine")["error"]["param"] == "suffix"
    assert Service(NEBIUS).create(suffix="mine")["suffix"] == "mine"


def test_a_job_of_nebius() -> None:
    """A job of Nebius has its own hyperparameters, steps, no organization, and seed 0 unless one is sent."""
    service = Service(NEBIUS)
    job = service.create(hyperparameters={"lora": True, "lora_r": 16, "n_epochs": 2}, from_checkpoint={"repo": "a/b"})

    assert list(job["hyperparameters"]) == [
        *("batch_size", "learning_rate", "n_epochs", "warmup_ratio", "weight_decay", "packing", "max_grad_norm"),
        *("context_length", "lora", "lora_r", "lora_alpha", "lora_dropout"),
    ]
    numbers = job["hyperparameters"]
    assert [numbers[name] for name in ("lora", "lora_r", "lora_alpha", "n_epochs", "batch_size")] == [True, 16, 8, 2, 8]
    assert (job["organization_id"], job["seed"], job["trained_steps"], job["error"]) == ("", 0, 0, None)
    assert "from_checkpoint" not in job
    done = service.done(job)
    assert done["trained_steps"] == done["total_steps"] > 0
    assert service.create(seed=7)["seed"] == 7

    points = service.ask("GET", f"{JOBS}/{done['id']}/checkpoints")["data"]
    assert [point["result_files"] for point in points] == [done["result_files"]] * len(points)


def test_hyperparameters_of_nebius_may_be_those_of_the_method() -> None:
    """Hyperparameters inside the method count, and are shown there as well."""
    method = {"type": "supervised", "supervised": {"hyperparameters": {"learning_rate": 0.001, "n_epochs": 1}}}
    job = Service(NEBIUS).create(method=method)

    shown = job["method"]["supervised"]["hyperparameters"]
    assert shown == job["hyperparameters"]
    assert (shown["learning_rate"], shown["n_epochs"]) == (0.001, 1)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"hyperparameters": {"learning_rate_multiplier": 2}}, ["body", "hyperparameters", "learning_rate_multiplier"]),
        ({"hyperparameters": {"lora": "yes"}}, ["body", "hyperparameters", "lora"]),
        ({"from_checkpoint": "a/b"}, ["body", "from_checkpoint"]),
        ({"n_epochs": 3}, ["body", "n_epochs"]),
        (
            {"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]},
            ["body", "integrations", 0, "wandb", "api_key"],
        ),
    ],
)
def test_refusals_of_nebius(fields: dict[str, Any], place: list[Any]) -> None:
    """A field that does not fit is refused by Nebius with 422 and its place."""
    refused = Service(NEBIUS).create(422, **fields)

    assert list(refused) == ["detail"]
    assert refused["detail"][0]["loc"] == place
    assert set(refused["detail"][0]) == {"loc", "msg", "type"}


def test_the_key_of_wandb_is_not_shown() -> None:
    """Nebius takes a key for wandb and shows the integration without it."""
    wandb = {"project": "p", "api_key": "w-secret"}
    job = Service(NEBIUS).create(integrations=[{"type": "wandb", "wandb": wandb}])

    assert job["integrations"][0]["wandb"]["project"] == "p"
    assert "w-secret" not in json.dumps(job)


@pytest.mark.parametrize("dialect", [BEDROCK, NEBIUS])
def test_the_sdk_runs_through(dialect: str) -> None:
    """OpenAI's Python SDK uploads, trains, lists and asks with either dialect."""
    with FakeFineTuning(dialect=dialect).serving() as url:
        client = openai.OpenAI(base_url=url, api_key="key")
        file = client.files.create(file=("t.jsonl", ROWS.encode()), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model="an/open-weight-7b", training_file=file.id)
        while job.status not in ("succeeded", "failed"):
            job = client.fine_tuning.jobs.retrieve(job.id)
        assert job.fine_tuned_model
        assert [each.id for each in client.fine_tuning.jobs.list()] == [job.id]


@pytest.mark.parametrize("dialect", [BEDROCK, NEBIUS])
def test_each_difference_has_its_evidence(dialect: str) -> None:
    """Each difference says that it is a vendor's text, or inferred."""
    evidence = DIALECTS[dialect].evidence

    assert evidence
    assert {each.kind for each in evidence.values()} <= {"vendor", "inferred"}
