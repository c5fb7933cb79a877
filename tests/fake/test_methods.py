"""The three training methods: their parameters, and their figures in jobs, events and checkpoints."""

from __future__ import annotations

import base64
import csv
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.domain.base_models import BASE_MODELS
from fine_tuning_fakeserver.domain.job_spec import Dataset, JobFile, JobSpec, build_job_spec
from fine_tuning_fakeserver.domain.metrics import (
    COMPARED_AT_MOST,
    ROWS_OF_LONG_JOBS,
    best_validations,
    kept_steps,
    result_csv,
    step_event,
)
from fine_tuning_fakeserver.domain.plan import Plan
from fine_tuning_fakeserver.domain.reinforcement_metrics import is_validated, valid_reward
from fine_tuning_fakeserver.domain.training_methods import GraderRef, Hyperparameters, TrainingRequest
from fine_tuning_formats.row_rules import CHAT
from strategies import BORN, GRADER, ROWS, Http, everything, job_specs

Json = dict[str, Any]
ASK = {"role": "user", "content": "Is it cold?"}
PAIR = {
    "input": {"messages": [ASK]},
    "preferred_output": [{"role": "assistant", "content": "Yes."}],
    "non_preferred_output": [{"role": "assistant", "content": "No."}],
}
PAIRS = (json.dumps(PAIR) + "\n") * 10
PROMPTS = '{"prompt": "Is it cold?", "completion": "Yes."}\n' * 10
FILES = {"supervised": ROWS, "dpo": PAIRS, "reinforcement": ROWS}
MODELS = {"supervised": "gpt-4o-mini", "dpo": "gpt-4.1-mini", "reinforcement": "o4-mini"}

MODEL_ITEM = {
    "role": "user",
    "content": [{"type": "input_text", "text": "{{item.answer}}"}, "plain"],
    "type": "message",
}
IMAGE = {"type": "input_image", "image_url": "{{item.image}}", "file_id": None, "detail": "auto"}
SCORED = {"type": "score_model", "name": "judge", "model": "gpt-4o-2024-08-06", "input": [MODEL_ITEM]}
SAMPLED = {"seed": 1, "top_p": 0.5, "temperature": 1, "max_completions_tokens": 9, "reasoning_effort": "low"}
SIMILAR = {"type": "text_similarity", "name": "like", "input": "a", "reference": "b", "evaluation_metric": "rouge_l"}
PYTHON = {"type": "python", "name": "run", "source": "def grade(sample, item): return 1.0", "image_tag": "x"}
LABELLED = {
    "type": "label_model",
    "name": "label",
    "model": "gpt-4o",
    "input": [ASK],
    "labels": ["a"],
    "passing_labels": ["a"],
}
MULTI = {"type": "multi", "name": "all", "graders": {"a": GRADER, "b": SCORED}, "calculate_output": "0.5 * a + 0.5 * b"}


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(pace="manual", start=BORN))


def part(kind: str, **numbers: Any) -> Json:
    """A valid ``method`` with these hyperparameters."""
    grader = {"grader": GRADER} if kind == "reinforcement" else {}
    return {"type": kind, kind: {**grader, "hyperparameters": numbers}}


def graded(grader: Any, **more: Any) -> Json:
    """A reinforcement method with this grader."""
    return {"type": "reinforcement", "reinforcement": {"grader": grader, **more}}


def create(http: Http, kind: str, method: Json | None = None, **fields: Any) -> Any:
    """Create a job of this method on ten valid rows, with a validation file."""
    content = FILES[kind]
    files = {"training_file": http.file(content), "validation_file": http.file(content)}
    return http.job(**{"model": MODELS[kind], "method": method or part(kind), **files, **fields})


def finished(http: Http, job: Json) -> Any:
    """The finished job."""
    http.fake.advance("10d")
    return http.json("GET", f"/fine_tuning/jobs/{job['id']}")


def training_records(http: Http, job: Json) -> tuple[list[Json], list[Json], list[dict[str, str]]]:
    """A finished job's step events by step, its checkpoints, and the rows of its result file."""
    path = f"/fine_tuning/jobs/{job['id']}"
    events = http.json("GET", f"{path}/events?limit=1000")["data"]
    checkpoints = http.json("GET", f"{path}/checkpoints")["data"]
    content = http.send("GET", f"/files/{finished(http, job)['result_files'][0]}/content").body
    rows = list(csv.DictReader(base64.b64decode(content).decode().splitlines()))
    return [event for event in reversed(events) if event["type"] == "metrics"], checkpoints, rows


def test_supervised_is_shown_twice_and_sorted_at_creation_only(http: Http) -> None:
    """A supervised job has its hyperparameters twice, sorted in `method` only in the creation's response."""
    job = create(http, "supervised", part("supervised", learning_rate_multiplier=3))
    done = finished(http, job)

    names = ["n_epochs", "batch_size", "learning_rate_multiplier"]
    assert [list(each["hyperparameters"]) for each in (job, done)] == [names, names]
    shown = [each["method"]["supervised"]["hyperparameters"] for each in (job, done)]
    assert [list(each) for each in shown] == [sorted(names), names]
    assert shown[1] == done["hyperparameters"] == {"n_epochs": 10, "batch_size": 1, "learning_rate_multiplier": 3.0}


def test_dpo_is_shown_in_the_method_only(http: Http) -> None:
    """A dpo job has null hyperparameters, and in its method those that were sent, then the chosen ones."""
    job = create(http, "dpo", part("dpo", beta=0.2))
    done = finished(http, job)

    members = ["beta", "batch_size", "learning_rate_multiplier", "n_epochs"]
    assert [each["hyperparameters"] for each in (job, done)] == [None, None]
    assert list(job["method"]["dpo"]["hyperparameters"].items()) == list(
        zip(members, [0.2, *["auto"] * 3], strict=True)
    )
    assert list(done["method"]["dpo"]["hyperparameters"].items()) == list(zip(members, [0.2, 1, 1.0, 10], strict=True))
    assert job["method"].keys() == {"type", "dpo"}


def test_reinforcement_is_shown_with_its_grader(http: Http) -> None:
    """A reinforcement job has hyperparameters, grader and response format in the order of the spec's example."""
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    job = create(http, "reinforcement", graded(GRADER, response_format=form))
    done = finished(http, job)

    asked = job["method"]["reinforcement"]
    assert list(asked) == ["hyperparameters", "grader", "response_format"]
    assert (asked["grader"], asked["response_format"]) == (GRADER, form)
    assert list(asked["hyperparameters"].items()) == [
        *((name, "auto") for name in ("batch_size", "learning_rate_multiplier", "n_epochs")),
        *((name, "auto") for name in ("eval_interval", "eval_samples", "compute_multiplier")),
        ("reasoning_effort", "default"),
    ]
    assert list(done["method"]["reinforcement"]["hyperparameters"].values()) == [1, 1.0, 10, 10, 1, 1.0, "default"]
    assert "hyperparameters" not in job.keys() | done.keys()
    assert re.fullmatch("eval_[0-9a-f]{32}", job["eval_id"])
    assert job["eval_id"] == done["eval_id"]


def test_auto_stays_until_the_files_are_read(http: Http) -> None:
    """A dpo job has "auto" until its files are validated, and keeps it if they are invalid."""
    job = create(http, "dpo", training_file=http.file(ROWS))
    failed = finished(http, job)

    assert failed["status"] == "failed"
    assert failed["method"]["dpo"]["hyperparameters"]["n_epochs"] == "auto"


@pytest.mark.parametrize("kind", ["supervised", "dpo", "reinforcement"])
def test_method_wins_over_the_deprecated_top_level(http: Http, kind: str) -> None:
    """Hyperparameters inside the method win over those at the top level."""
    job = create(http, kind, part(kind, n_epochs=2), hyperparameters={"n_epochs": 5})

    assert job["method"][kind]["hyperparameters"]["n_epochs"] == 2


def test_the_top_level_is_for_supervised_jobs_only(http: Http) -> None:
    """Top-level hyperparameters apply to supervised jobs only."""
    seen = {
        kind: create(http, kind, method, hyperparameters={"n_epochs": 5})["method"][kind]["hyperparameters"]["n_epochs"]
        for kind, method in (("supervised", {"type": "supervised"}), ("dpo", {"type": "dpo"}))
    }

    assert seen == {"supervised": 5, "dpo": "auto"}


R, D = "method.reinforcement", "method.dpo"
RH, DH, G = f"{R}.hyperparameters", f"{D}.hyperparameters", f"{R}.grader"
WHOLE, TEXT, EXTRA = "a valid integer", "a valid string", "extra inputs are not permitted"
TAGS = "'string_check', 'text_similarity', 'python', 'score_model', 'multi'"

# (the method, the param that is named, the value as it is shown, the end of the complaint)
REFUSED: list[tuple[Json, str, str, str]] = [
    (part("dpo", beta=0), f"{DH}.beta", "0", "greater than 0"),
    (part("dpo", beta=2.1), f"{DH}.beta", "2.1", "less than or equal to 2"),
    (part("dpo", beta="much"), f"{DH}.beta", "much", "a valid number"),
    (part("dpo", n_epochs=51), f"{DH}.n_epochs", "51", "less than or equal to 50"),
    (part("dpo", compute_multiplier=1), f"{DH}.compute_multiplier", "1", EXTRA),
    (part("supervised", beta=1), "method.supervised.hyperparameters.beta", "1", EXTRA),
    (part("reinforcement", beta=1), f"{RH}.beta", "1", EXTRA),
    (part("reinforcement", reasoning_effort="auto"), f"{RH}.reasoning_effort", "auto", "'medium' or 'high'"),
    (part("reinforcement", compute_multiplier=1e-5), f"{RH}.compute_multiplier", "1e-05", "greater than 0.00001"),
    (part("reinforcement", compute_multiplier=11), f"{RH}.compute_multiplier", "11", "less than or equal to 10"),
    (part("reinforcement", eval_interval=0), f"{RH}.eval_interval", "0", "greater than or equal to 1"),
    (part("reinforcement", eval_samples=1.5), f"{RH}.eval_samples", "1.5", WHOLE),
    ({"type": "dpo", "dpo": 5}, D, "5", "a valid dictionary"),
    ({"type": "supervised", "dpo": {"hyperparameters": {"beta": 0}}}, f"{DH}.beta", "0", "greater than 0"),
    ({"type": "supervised", "more": {}}, "method.more", "{}", EXTRA),
    (graded(GRADER, more=1), f"{R}.more", "1", EXTRA),
    (graded(5), G, "5", "a valid dictionary"),
    (graded({}), G, "{}", "unable to extract tag using discriminator 'type'"),
    (graded({"type": "label_model"}), G, "{'type': 'label_model'}", TAGS),
    (graded({**GRADER, "operation": "is"}), f"{G}.operation", "is", "'eq', 'ne', 'like' or 'ilike'"),
    (graded({**GRADER, "name": 5}), f"{G}.name", "5", TEXT),
    (graded({**GRADER, "more": 1}), f"{G}.more", "1", EXTRA),
    (graded({**SIMILAR, "evaluation_metric": "bert"}), f"{G}.evaluation_metric", "bert", "'rouge_5' or 'rouge_l'"),
    (graded({**PYTHON, "source": 5}), f"{G}.source", "5", TEXT),
    (graded({**SCORED, "input": "x"}), f"{G}.input", "x", "a valid list"),
    (graded({**SCORED, "input": [5]}), f"{G}.input.0", "5", "a valid dictionary"),
    (graded({**SCORED, "input": [{**ASK, "role": "me"}]}), f"{G}.input.0.role", "me", "'system' or 'developer'"),
    (graded({**SCORED, "input": [{**ASK, "content": [5]}]}), f"{G}.input.0.content.0", "5", "a valid dictionary"),
    (graded({**SCORED, "range": [0]}), f"{G}.range", "[0]", "at least 2 items after validation, not 1"),
    (graded({**SCORED, "sampling_params": {"top_p": "x"}}), f"{G}.sampling_params.top_p", "x", "a valid number"),
    (graded({**MULTI, "graders": 5}), f"{G}.graders", "5", "a valid dictionary"),
    (graded({**MULTI, "graders": GRADER}), f"{G}.graders.type", "string_check", "a valid dictionary"),
    (graded({**MULTI, "graders": {"a": MULTI}}), f"{G}.graders.a", str(MULTI), "'score_model', 'label_model'"),
    (graded({**MULTI, "graders": [{**GRADER, "name": 5}]}), f"{G}.graders.0.name", "5", TEXT),
    (graded({**MULTI, "graders": {"a": {**GRADER, "x": 5}}}), f"{G}.graders.a.x", "5", EXTRA),
    (graded(GRADER, response_format="json"), f"{R}.response_format", "json", "a valid dictionary"),
]
MISSING: list[tuple[Json, str]] = [
    ({"type": "reinforcement"}, R),
    ({"type": "reinforcement", "reinforcement": None}, R),
    ({"type": "reinforcement", "reinforcement": {}}, G),
    (graded({"type": "string_check"}), f"{G}.name"),
    (graded({**MULTI, "graders": {"a": {"type": "python", "name": "a"}}}), f"{G}.graders.a.source"),
]
GRADERS: list[Json] = [
    *(GRADER, SIMILAR, PYTHON, SCORED, MULTI),
    {**SCORED, "range": [-1, 1.5], "sampling_params": SAMPLED},
    {**MULTI, "graders": {"a": GRADER, "label": LABELLED}},
    {**MULTI, "graders": [GRADER, SIMILAR]},
    {**MULTI, "graders": {"type": GRADER}, "calculate_output": "type"},
    *({**SCORED, "input": [{**ASK, "content": content}]} for content in (IMAGE, [IMAGE, "What is this?"])),
    {name: value for name, value in MULTI.items() if name != "name"},
]
ACCEPTED: list[Json] = [
    *({"type": kind, "dpo": None} for kind in ("supervised", "dpo")),
    *(part("dpo", beta=value) for value in (1e-9, 2, "auto")),
    *(part("reinforcement", compute_multiplier=value) for value in (1.1e-5, 10, "auto")),
    *(part("reinforcement", reasoning_effort=value) for value in ("default", "low", "medium", "high")),
    part("reinforcement", eval_interval=1, eval_samples=10**6, n_epochs=50, batch_size=256),
]


@pytest.mark.parametrize(("method", "param", "shown", "complaint"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_method_that_breaks_its_rules(http: Http, method: Json, param: str, shown: str, complaint: str) -> None:
    """An invalid method is refused with 400 and the field's name, and nothing is stored."""
    body = {"model": MODELS[method["type"]], "training_file": http.file(), "method": method}
    before = everything(http.fake)
    error = http.json("POST", "/fine_tuning/jobs", body, status=400)["error"]

    assert error["message"].startswith(f"invalid {param}: {shown[:200]}, ")
    assert error["message"].endswith(complaint)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, None)
    assert everything(http.fake) == before


@pytest.mark.parametrize(("method", "param"), MISSING)
def test_a_method_that_lacks_a_part(http: Http, method: Json, param: str) -> None:
    """A missing part of a method is refused with 400 by name."""
    body = {"model": "o4-mini", "training_file": http.file(), "method": method}
    error = http.json("POST", "/fine_tuning/jobs", body, status=400)["error"]

    assert (error["message"], error["param"]) == (f"invalid {param}, field required", param)


@pytest.mark.parametrize("depth", [250, 900])
def test_a_response_format_that_could_not_be_shown(http: Http, depth: int) -> None:
    """A response format that is nested too deeply is refused."""
    deep: Json = {}
    for _ in range(depth):
        deep = {"a": deep}
    body = {"model": "o4-mini", "training_file": http.file(), "method": graded(GRADER, response_format=deep)}
    error = http.json("POST", "/fine_tuning/jobs", body, status=400)["error"]

    assert error["message"].endswith("input is nested too deeply")
    assert http.fake.jobs == []


@pytest.mark.parametrize("method", ACCEPTED, ids=lambda value: str(value)[:60])
def test_a_method_at_its_limits(http: Http, method: Json) -> None:
    """A value at its limit, or null for another method's part, is accepted."""
    assert create(http, method["type"], method)["method"]["type"] == method["type"]


@pytest.mark.parametrize("kind", ["supervised", "dpo", "reinforcement"])
def test_a_method_beside_the_parts_of_others(http: Http, kind: str) -> None:
    """Parts of other methods are accepted and ignored."""
    own = part(kind, n_epochs=2)
    others = {name: part(name, n_epochs=3)[name] for name in FILES if name != kind}
    first, second = (create(http, kind, method) for method in (own, {**others, **own}))

    changing = ("id", "created_at", "eval_id", "training_file", "validation_file", "seed")
    assert {**first, **dict.fromkeys(changing)} == {**second, **dict.fromkeys(changing)}
    assert second["method"][kind]["hyperparameters"]["n_epochs"] == 2


@pytest.mark.parametrize("grader", GRADERS, ids=lambda value: str(value)[:60])
def test_a_grader_is_shown_as_it_was_sent(http: Http, grader: Json) -> None:
    """Each kind of grader is accepted and returned unchanged."""
    assert create(http, "reinforcement", graded(grader))["method"]["reinforcement"]["grader"] == grader


@pytest.mark.parametrize("kind", ["supervised", "dpo", "reinforcement"])
def test_each_model_learns_by_its_own_methods(http: Http, kind: str) -> None:
    """A model accepts only its own training methods, and is otherwise not available."""
    file = http.file(FILES[kind])
    for model in BASE_MODELS:
        body = {"model": model.id, "training_file": file, "method": part(kind)}
        reply = http.send("POST", "/fine_tuning/jobs", body)
        assert reply.status == (200 if kind in model.methods else 400)
        if reply.status == 400:
            assert json.loads(reply.body)["error"]["code"] == "model_not_available"


def test_a_tuned_model_learns_as_its_base_does(http: Http) -> None:
    """A fine-tuned model accepts only the training methods of its base model."""
    model = finished(http, create(http, "supervised"))["fine_tuned_model"]
    body = {"model": model, "training_file": http.file(), "method": part("reinforcement")}

    assert create(http, "dpo", model=model)["model"] == model
    assert http.json("POST", "/fine_tuning/jobs", body, status=400)["error"]["code"] == "model_not_available"


@pytest.mark.parametrize("kind", ["supervised", "dpo", "reinforcement"])
def test_every_number_is_told_alike(http: Http, kind: str) -> None:
    """Events, checkpoints and the result file have the same figures, and a checkpoint ends with the method."""
    job = create(http, kind)
    finished(http, job)
    events, checkpoints, rows = training_records(http, job)
    data = {event["data"]["step"]: event["data"] for event in events}

    assert list(data) == [int(row["step"]) for row in rows] == list(range(1, 101))
    first, *others = rows[0].keys()
    named = {"train_accuracy": "train_mean_token_accuracy"}
    named |= {"train_reward_mean": "train_mean_reward", "valid_reward_mean": "full_valid_mean_reward"}
    assert first == "step"
    for row in rows:
        told_then = data[int(row["step"])]
        for name in others:
            value = told_then.get(named.get(name, name))
            assert row[name] == ("" if value is None else repr(round(value, 5)))
    for point in checkpoints:
        *names, last = point["metrics"]
        then = data[point["step_number"]]
        assert (last, point["metrics"]["type"]) == ("type", kind)
        assert [point["metrics"][name] for name in names] == [then[named.get(name, name)] for name in names]


def test_dpo_begins_undecided(http: Http) -> None:
    """A dpo job's loss begins near ln 2 and falls, and a CSV curve is used unchanged."""
    http.fake.plan = Plan(curve="healthy")
    events, _, _ = training_records(http, finished(http, create(http, "dpo")))
    losses = [event["data"]["train_loss"] for event in events]
    http.fake.plan = Plan(curve="0.5\n0.25")
    given_events, _, _ = training_records(http, finished(http, create(http, "dpo")))

    assert losses[0] == pytest.approx(math.log(2), rel=0.13)
    assert losses[-1] < losses[0] / 3
    assert events[9]["message"].startswith("Step 10/100: training loss=")
    assert {event["data"]["train_loss"] for event in given_events} == {0.5, 0.25}


def test_reinforcement_tells_rewards(http: Http) -> None:
    """A reinforcement step's message has the printed text, with validation every `eval_interval` steps."""
    job = create(http, "reinforcement", graded(MULTI, hyperparameters={"eval_interval": 30}))
    events, _, _ = training_records(http, finished(http, job))
    plain = r"Step \d+/100 , train mean reward=[01]\.\d\d"
    full = rf"{plain}, full validation mean reward=[01]\.\d\d, full validation mean parse error=0\.00"

    for step, event in enumerate(events, start=1):
        validated = step in (30, 60, 90, 100)
        assert re.fullmatch(full if validated else plain, event["message"])
        assert ("full_valid_mean_reward" in event["data"]) == validated
        assert [grader["name"] for grader in event["data"]["scores"]["graders"]] == ["same", "judge"]
        assert [grader["name"] for grader in event["data"]["usage"]["graders"]] == ["judge"]
        assert event["data"]["model_graders_token_usage"].keys() == {"gpt-4o-2024-08-06"}
    assert all(0 <= event["data"]["train_mean_reward"] <= 1 for event in events)


def test_reinforcement_data_have_the_printed_members(http: Http) -> None:
    """The data of a validated step has the members of the printed event, in its order."""
    job = create(http, "reinforcement", graded(SCORED))
    events, _, _ = training_records(http, finished(http, job))
    data = events[-1]["data"]

    assert list(data) == [
        *("step", "usage", "errors", "scores", "timing", "total_steps", "train_mean_reward", "reasoning_tokens_mean"),
        *("completion_tokens_mean", "full_valid_mean_reward", "mean_unresponsive_rewards"),
        *("model_graders_token_usage", "full_valid_mean_parse_error", "valid_reasoning_tokens_mean"),
    ]
    assert list(data["timing"]["step"]) == ["eval", "sampling", "training", "full_iteration"]
    assert list(data["errors"]["graders"][0])[:4] == [
        "name",
        "type",
        "train_other_error_mean",
        "valid_other_error_mean",
    ]
    assert list(data["usage"]["graders"][0])[:3] == ["name", "type", "model"]
    assert len(data["errors"]["graders"][0]) == 14
    assert data["scores"]["train_reward_mean"] == data["train_mean_reward"]


@pytest.mark.parametrize("curve", ["healthy", "overfit", "diverge", "nan"])
def test_reinforcement_keeps_the_best_checkpoints(http: Http, curve: str) -> None:
    """The three validations with the best reward have checkpoints, and the job's own model always exists."""
    http.fake.plan = Plan(curve=curve)
    job = finished(http, create(http, "reinforcement", graded(GRADER, hyperparameters={"eval_interval": 7})))
    events, checkpoints, _ = training_records(http, job)
    models = {model["id"] for model in http.json("GET", "/models")["data"]}
    rewards = {event["data"]["step"]: event["data"].get("full_valid_mean_reward", -1) or 0 for event in events}
    kept = [point["step_number"] for point in checkpoints]

    assert kept == sorted(kept, reverse=True)
    assert len(kept) == 3
    assert sorted(rewards[step] for step in kept) == sorted(rewards.values())[-3:]
    assert {job["fine_tuned_model"], *(point["fine_tuned_model_checkpoint"] for point in checkpoints)} <= models
    http.json("DELETE", f"/models/{job['fine_tuned_model']}")


def test_reinforcement_without_validation_keeps_the_last_epochs(http: Http) -> None:
    """Without a validation file a reinforcement job keeps the checkpoints of its last epochs."""
    job = create(http, "reinforcement", validation_file=None)
    _, checkpoints, rows = training_records(http, finished(http, job))

    assert [point["step_number"] for point in checkpoints] == [100, 90, 80]
    assert list(checkpoints[0]["metrics"]) == ["step", "train_reward_mean", "type"]
    assert {row["full_valid_mean_reward"] for row in rows} == {""}


@given(job_specs())
def test_kept_steps_rise_and_are_the_best(spec: JobSpec) -> None:
    """Up to three steps are kept in rising order, and no better validation is left out."""
    kept = kept_steps(spec)
    assert sorted(set(kept)) == list(kept)
    assert 1 <= len(kept) <= 3
    if spec.method == "reinforcement" and spec.has_validation:
        rewards = {step: valid_reward(spec, step) for step in range(1, spec.steps + 1) if is_validated(spec, step)}
        worst = min(rewards.pop(step) for step in kept)
        assert worst != worst or all(not reward > worst for reward in rewards.values())


@given(job_specs(may_fail=False))
def test_numbers_are_functions_of_the_script(spec: JobSpec) -> None:
    """A step's event is the same each time and can be written as JSON."""
    once, again = step_event(spec, spec.steps), step_event(spec, spec.steps)

    assert json.dumps(once) == json.dumps(again)
    assert once[0].startswith(f"Step {spec.steps}/{spec.steps}")


def test_a_long_job_is_compared_and_written_in_strides() -> None:
    """A job of millions of steps is evaluated at a bounded number of them."""
    big = JobFile("file-x", Dataset(100_000, 500, CHAT))
    numbers = Hyperparameters(n_epochs=50, batch_size=1, eval_interval=1)
    order = TrainingRequest("o4-mini-2025-04-16", "reinforcement", numbers, (GraderRef("same", "string_check"),))
    spec = build_job_spec(Plan(curve="overfit"), order, 1, big, JobFile("file-y", Dataset(1000, 5, CHAT)))
    stride = spec.steps // COMPARED_AT_MOST

    assert all(step % stride == 0 for step in best_validations(spec))
    assert sum(1 for _ in zip(result_csv(spec), range(10), strict=False)) == 10
    assert spec.steps // ROWS_OF_LONG_JOBS == 1000


@pytest.mark.parametrize("kind", ["dpo", "reinforcement"])
@pytest.mark.parametrize(
    "status", ["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]
)
def test_any_method_can_be_seeded_in_any_state(http: Http, kind: str, status: str) -> None:
    """A job of any method can be seeded in any status."""
    file = http.file(FILES[kind])
    asked = create(http, kind)["method"]
    job = http.fake.add_job(file, status=status, method=asked, validation_file=file)
    bare = http.fake.add_job(file, status=status, method=asked)

    assert (job["status"], job.get("hyperparameters"), job["method"]["type"]) == (status, None, kind)
    assert (
        job["model"] == bare["model"] == {"dpo": "gpt-4.1-mini-2025-04-14", "reinforcement": "o4-mini-2025-04-16"}[kind]
    )
    assert http.json("GET", f"/fine_tuning/jobs/{job['id']}") == job
    assert bool(http.json("GET", f"/fine_tuning/jobs/{job['id']}/checkpoints")["data"]) == (status == "succeeded")


def test_a_seed_may_be_a_job_object(http: Http) -> None:
    """A finished job's method can be seeded again and is returned unchanged."""
    done = finished(http, create(http, "reinforcement", graded(MULTI)))
    fields = {name: done[name] for name in ("model", "method", "seed", "validation_file")}
    job = http.fake.add_job(done["training_file"], **fields)

    assert job["method"] == done["method"]


def test_a_bad_seed_of_a_method_is_refused(http: Http) -> None:
    """An invalid method of a seed is refused with the field's name."""
    with pytest.raises(FakeUsageError, match=r"method\.reinforcement is required"):
        http.fake.add_job(http.file(), method={"type": "reinforcement"})


@pytest.mark.parametrize("kind", ["dpo", "reinforcement"])
def test_records_of_any_method_replay(http: Http, kind: str) -> None:
    """An account replayed from its records has the same events of dpo and reinforcement jobs."""
    job = create(http, kind)
    finished(http, job)
    twin = FakeFineTuning(pace="manual", start=BORN)
    twin._world.service.replay(http.fake._world.service.journal)
    path = f"/fine_tuning/jobs/{job['id']}/events?limit=1000"

    assert Http(twin).send("GET", path).body == http.send("GET", path).body
