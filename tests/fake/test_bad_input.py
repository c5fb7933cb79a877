"""Invalid bodies of job creation: each rule broken once, refused in the service's words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, Http, everything

WANDB = {"type": "wandb", "wandb": {"project": "p"}}
JOBS = "/fine_tuning/jobs"


def pairs(count: int) -> dict[str, str]:
    """Metadata with *count* pairs."""
    return {f"k{number}": "v" for number in range(count)}


def numbers(**given: Any) -> dict[str, Any]:
    """Hyperparameters at the top level of the body."""
    return {"hyperparameters": given}


def supervised(**given: Any) -> dict[str, Any]:
    """Hyperparameters inside the method."""
    return {"method": {"type": "supervised", "supervised": {"hyperparameters": given}}}


def wandb(**given: Any) -> dict[str, Any]:
    """A wandb integration."""
    return {"integrations": [{"type": "wandb", "wandb": given}]}


WHOLE, TEXT, EXTRA = (
    "input should be a valid integer",
    "input should be a valid string",
    "extra inputs are not permitted",
)
NUMBER, OBJECT, LIST = (
    "input should be a valid number",
    "input should be a valid dictionary",
    "input should be a valid list",
)

# (what is changed in a sound body, the param that is named, the value as it is shown, the complaint)
REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    (numbers(n_epochs=0), "hyperparameters.n_epochs", "0", "input should be greater than or equal to 1"),
    (numbers(n_epochs=51), "hyperparameters.n_epochs", "51", "input should be less than or equal to 50"),
    (numbers(n_epochs="x"), "hyperparameters.n_epochs", "x", WHOLE),
    (numbers(n_epochs="3"), "hyperparameters.n_epochs", "3", WHOLE),
    (numbers(n_epochs=1.5), "hyperparameters.n_epochs", "1.5", WHOLE),
    (numbers(n_epochs=True), "hyperparameters.n_epochs", "True", WHOLE),
    (numbers(n_epochs=None), "hyperparameters.n_epochs", "None", WHOLE),
    (numbers(n_epochs={}), "hyperparameters.n_epochs", "{}", WHOLE),
    (numbers(batch_size=0), "hyperparameters.batch_size", "0", "input should be greater than or equal to 1"),
    (numbers(batch_size=257), "hyperparameters.batch_size", "257", "input should be less than or equal to 256"),
    (numbers(batch_size=False), "hyperparameters.batch_size", "False", WHOLE),
    (numbers(batch_size=[1]), "hyperparameters.batch_size", "[1]", WHOLE),
    (
        numbers(learning_rate_multiplier=0),
        "hyperparameters.learning_rate_multiplier",
        "0",
        "input should be greater than 0",
    ),
    (
        numbers(learning_rate_multiplier=-1),
        "hyperparameters.learning_rate_multiplier",
        "-1",
        "input should be greater than 0",
    ),
    (numbers(learning_rate_multiplier="2"), "hyperparameters.learning_rate_multiplier", "2", NUMBER),
    (numbers(learning_rate_multiplier=None), "hyperparameters.learning_rate_multiplier", "None", NUMBER),
    (numbers(epochs=3), "hyperparameters.epochs", "3", EXTRA),
    ({"hyperparameters": "auto"}, "hyperparameters", "auto", OBJECT),
    ({"suffix": ""}, "suffix", "", "string should have at least 1 character"),
    ({"suffix": "s" * 65}, "suffix", "s" * 65, "string should have at most 64 characters"),
    ({"suffix": 5}, "suffix", "5", TEXT),
    ({"seed": -1}, "seed", "-1", "input should be greater than or equal to 0"),
    ({"seed": 2**31}, "seed", "2147483648", "input should be less than or equal to 2147483647"),
    ({"seed": "5"}, "seed", "5", WHOLE),
    ({"seed": 1.0}, "seed", "1.0", WHOLE),
    ({"seed": True}, "seed", "True", WHOLE),
    (
        {"metadata": pairs(17)},
        "metadata",
        str(pairs(17)),
        "dictionary should have at most 16 items after validation, not more",
    ),
    ({"metadata": {"k" * 65: "v"}}, f"metadata.{'k' * 65}", "k" * 65, "string should have at most 64 characters"),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", "v" * 200, "string should have at most 512 characters"),
    ({"metadata": {"k": 5}}, "metadata.k", "5", TEXT),
    ({"metadata": {"k": None}}, "metadata.k", "None", TEXT),
    ({"metadata": []}, "metadata", "[]", OBJECT),
    (
        {"integrations": [WANDB] * 6},
        "integrations",
        str([WANDB] * 6)[:200],
        "list should have at most 5 items after validation, not 6",
    ),
    ({"integrations": [{**WANDB, "type": "mlflow"}]}, "integrations.0.type", "mlflow", "input should be 'wandb'"),
    ({"integrations": [5]}, "integrations.0", "5", OBJECT),
    ({"integrations": {}}, "integrations", "{}", LIST),
    ({"integrations": [WANDB, {**WANDB, "more": 1}]}, "integrations.1.more", "1", EXTRA),
    (wandb(project="p", more=1), "integrations.0.wandb.more", "1", EXTRA),
    (wandb(project=5), "integrations.0.wandb.project", "5", TEXT),
    (wandb(project="p", name=5), "integrations.0.wandb.name", "5", TEXT),
    (wandb(project="p", entity=[]), "integrations.0.wandb.entity", "[]", TEXT),
    (wandb(project="p", tags="a"), "integrations.0.wandb.tags", "a", LIST),
    (wandb(project="p", tags=["a", 5]), "integrations.0.wandb.tags.1", "5", TEXT),
    ({"model": 5}, "model", "5", TEXT),
    ({"model": None}, "model", "None", TEXT),
    ({"training_file": 5}, "training_file", "5", TEXT),
    ({"training_file": ["file-x"]}, "training_file", "['file-x']", TEXT),
    ({"validation_file": 5}, "validation_file", "5", TEXT),
    ({"method": "supervised"}, "method", "supervised", OBJECT),
    ({"method": {"type": "sft"}}, "method.type", "sft", "input should be 'supervised', 'dpo' or 'reinforcement'"),
    ({"method": {"type": "supervised", "more": 1}}, "method.more", "1", EXTRA),
    ({"method": {"type": "supervised", "supervised": 5}}, "method.supervised", "5", OBJECT),
    ({"method": {"type": "supervised", "supervised": {"more": 1}}}, "method.supervised.more", "1", EXTRA),
    (supervised(more=1), "method.supervised.hyperparameters.more", "1", EXTRA),
    (
        supervised(n_epochs=51),
        "method.supervised.hyperparameters.n_epochs",
        "51",
        "input should be less than or equal to 50",
    ),
    ({"n_epochs": 3}, "n_epochs", "3", EXTRA),
    ({"more": {"a": [None]}}, "more", "{'a': [None]}", EXTRA),
]

MISSING: list[tuple[dict[str, Any], str]] = [
    ({"training_file": "file-x"}, "model"),
    ({"model": "gpt-4o-mini"}, "training_file"),
    ({}, "model"),
    ({"model": "gpt-4o-mini", "training_file": "file-x", "method": {}}, "method.type"),
    ({"model": "m", "training_file": "f", "integrations": [{"type": "wandb"}]}, "integrations.0.wandb"),
    ({"model": "m", "training_file": "f", "integrations": [{"wandb": {"project": "p"}}]}, "integrations.0.type"),
    ({"model": "m", "training_file": "f", **wandb()}, "integrations.0.wandb.project"),
]

ACCEPTED: list[dict[str, Any]] = [
    *(numbers(n_epochs=value) for value in (1, 50, "auto")),
    *(numbers(batch_size=value) for value in (1, 256, "auto")),
    *(numbers(learning_rate_multiplier=value) for value in (1e-9, 3, 0.5, "auto")),
    {"suffix": "s"},
    {"suffix": "s" * 64},
    {"seed": 0},
    {"seed": 2**31 - 1},
    {"metadata": pairs(16)},
    {"metadata": {"k" * 64: "v" * 512, "": ""}},
    {"integrations": [WANDB] * 5},
    wandb(project="p", name=None, entity="e", tags=["a", "b"]),
    supervised(n_epochs=1, batch_size=256, learning_rate_multiplier=1e-9),
    {"method": {"type": "supervised"}},
    {"method": {"type": "supervised", "supervised": {}}},
    *(
        {name: None}
        for name in ("suffix", "seed", "metadata", "integrations", "validation_file", "hyperparameters", "method")
    ),
]


@pytest.fixture
def fake() -> FakeFineTuning:
    """A fake at a fixed time."""
    return FakeFineTuning(start=BORN)


@pytest.fixture
def http(fake: FakeFineTuning) -> Http:
    """Raw requests to the fake."""
    return Http(fake)


def refused(http: Http, body: Any, status: int = 400) -> Any:
    """Create a job that must be refused and change nothing; return the error."""
    before = everything(http.fake)
    reply = http.send("POST", JOBS, body)
    assert reply.status == status, reply.body
    assert everything(http.fake) == before
    return json.loads(reply.body)


@pytest.mark.parametrize(("change", "param", "shown", "complaint"), REFUSED, ids=lambda value: str(value)[:30])
def test_a_field_that_breaks_its_rule(
    http: Http, change: dict[str, Any], param: str, shown: str, complaint: str
) -> None:
    """An invalid field is refused with its name, value and rule, and nothing is stored."""
    body = {"model": "gpt-4o-mini", "training_file": http.file(), **change}

    error = refused(http, body)["error"]

    message = f"invalid {param}: {shown[:200]}, {complaint}"
    assert error == {"message": message, "type": "invalid_request_error", "param": param, "code": None}


@pytest.mark.parametrize(("body", "param"), MISSING, ids=lambda value: str(value)[:40])
def test_a_field_that_is_missing(http: Http, body: dict[str, Any], param: str) -> None:
    """A required field that is missing is refused with 400, by name."""
    error = refused(http, body)["error"]

    message = f"invalid {param}, field required"
    assert error == {"message": message, "type": "invalid_request_error", "param": param, "code": None}


@pytest.mark.parametrize("change", ACCEPTED, ids=lambda value: str(value)[:40])
def test_a_field_at_its_limit(http: Http, change: dict[str, Any]) -> None:
    """A value at the limit of its rule is accepted."""
    job = http.job(**change)

    assert job["status"] == "validating_files"


@pytest.mark.parametrize("name", ["training_file", "validation_file"])
@pytest.mark.parametrize("identifier", ["file-none", "", "file-\x00", "файл", "x" * 10_000])
def test_a_file_that_is_not_there(http: Http, name: str, identifier: str) -> None:
    """A job on an unknown file is refused in the service's words, whatever the id."""
    error = refused(http, {"model": "gpt-4o-mini", "training_file": http.file(), name: identifier})["error"]

    message = f"invalid {name}: {identifier}"
    assert error == {"message": message, "type": "invalid_request_error", "param": name, "code": None}


def test_a_file_of_another_purpose(http: Http) -> None:
    """A job on a file with another purpose is refused like one on an unknown file."""
    other = json.loads(http.upload(purpose="batch").body)["id"]

    assert refused(http, {"model": "gpt-4o-mini", "training_file": other})["error"]["param"] == "training_file"


@pytest.mark.parametrize("model", ["", "gpt-9", "o4-mini", "ft:gpt-4o-mini-2024-07-18:personal::abcdefgh"])
def test_a_model_that_cannot_be_trained(http: Http, model: str) -> None:
    """A model that is unknown or cannot be trained is refused with model_not_available."""
    error = refused(http, {"model": model, "training_file": http.file()})["error"]

    message = f"Model {model} is not available for fine-tuning or does not exist."
    code = "model_not_available"
    assert error == {"message": message, "type": "invalid_request_error", "param": None, "code": code}


def test_the_file_is_judged_before_the_model(http: Http) -> None:
    """If file and model are both invalid, the file is refused."""
    assert refused(http, {"model": "gpt-9", "training_file": "file-none"})["error"]["param"] == "training_file"


WEEK = {"anchor": "created_at", "seconds": 604_800}


@pytest.mark.parametrize(
    ("change", "param", "complaint"),
    [
        ({"expires_after": json.dumps(WEEK)}, "expires_after", OBJECT),
        ({"expires_after": [WEEK]}, "expires_after", OBJECT),
        ({"expires_after": {"expires_after": WEEK}}, "expires_after.anchor", "field required"),
        ({"expires_after": {**WEEK, "more": 1}}, "expires_after.more", EXTRA),
        ({"expires_after": {**WEEK, "seconds": {"value": 3600}}}, "expires_after.seconds", WHOLE),
        ({"expires_after": {**WEEK, "anchor": ["created_at"]}}, "expires_after.anchor", "input should be 'created_at'"),
        ({"expires_after[seconds]": 3600}, "expires_after[seconds]", EXTRA),
        ({"expires_after": WEEK, "expires_after[anchor]": {}}, "expires_after[anchor]", EXTRA),
    ],
    ids=str,
)
def test_an_expiry_of_another_form(http: Http, change: dict[str, Any], param: str, complaint: str) -> None:
    """An expiry of an upload that is not an object of exactly two members is refused."""
    body = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 1, "mime_type": "application/jsonl", **change}
    error = http.json("POST", "/uploads", body, status=400)["error"]

    assert error["message"].startswith(f"invalid {param}")
    assert (error["message"].endswith(complaint), error["param"]) == (True, param)
