"""The graders' routes: responses and refusals."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.service import Service
from fine_tuning_fakeserver.usage_errors import FakeUsageError
from strategies import BORN, Http, everything

RUN, VALIDATE = "/fine_tuning/alpha/graders/run", "/fine_tuning/alpha/graders/validate"
Json = dict[str, Any]

CHECK: Json = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "operation": "eq",
}
PROMPT = [
    {"role": "system", "content": "Judge."},
    {"role": "user", "content": [{"type": "input_text", "text": "{{item.answer}}"}, "{{sample.output_text}}"]},
    {"role": "user", "content": {"type": "input_image", "image_url": "{{no.template}}"}},
]
SCORE: Json = {"type": "score_model", "name": "judge", "model": "gpt-4o-2024-08-06", "input": PROMPT}
LABEL: Json = {**SCORE, "type": "label_model", "name": "label", "labels": ["yes", "no"], "passing_labels": ["yes"]}


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(start=BORN, pace="manual"))


def run(http: Http, grader: Any, text: str = "Rome", answer: Any = "Rome") -> Json:
    """The response to a grader run that must be answered."""
    body = {"grader": grader, "item": {"answer": answer}, "model_sample": text}
    found: Json = http.json("POST", RUN, body)
    return found


def multi(formula: str, **graders: Json) -> Json:
    """A multi grader."""
    return {"type": "multi", "name": "all", "graders": graders, "calculate_output": formula}


def flags(answer: Json) -> list[str]:
    """The error flags that are true in a response."""
    return [name for name, value in answer["metadata"]["errors"].items() if value is True]


# members and order of a published output of the live service
ERRORS = [
    "formula_parse_error",
    "sample_parse_error",
    "sample_parse_error_details",
    "truncated_observation_error",
    "unresponsive_reward_error",
    "invalid_variable_error",
    "invalid_variable_error_details",
    "other_error",
    "python_grader_server_error",
    "python_grader_server_error_type",
    "python_grader_runtime_error",
    "python_grader_runtime_error_details",
    "model_grader_server_error",
    "model_grader_refusal_error",
    "model_grader_refusal_error_details",
    "model_grader_parse_error",
    "model_grader_parse_error_details",
    "model_grader_exceeded_max_tokens_error",
    "model_grader_server_error_details",
    "endpoint_grader_internal_error",
    "endpoint_grader_internal_error_details",
    "endpoint_grader_server_error",
    "endpoint_grader_server_error_details",
    "endpoint_grader_safety_check_error",
]
NULL = {name: None if name.endswith(("_details", "_type")) else False for name in ERRORS}


def test_the_whole_answer(http: Http) -> None:
    """A run's response has the published members in order, indented by two spaces, without a final newline."""
    body = {"grader": CHECK, "item": {"answer": "Rome"}, "model_sample": "Rome"}
    reply = http.send("POST", RUN, body)
    found = json.loads(reply.body)

    metadata = {
        "name": "same",
        "type": "string_check",
        "errors": NULL,
        "execution_time": found["metadata"]["execution_time"],
        "scores": {},
        "token_usage": None,
        "sampled_model_name": None,
    }
    wanted = {"reward": 1.0, "metadata": metadata, "sub_rewards": {}, "model_grader_token_usage_per_model": {}}
    assert reply.body.decode() == json.dumps(wanted, indent=2)
    assert 0 < metadata["execution_time"] < 60  # seconds


def test_the_same_request_gives_the_same_bytes(http: Http) -> None:
    """Two accounts with the same seed give the same bytes, and another seed gives others."""
    grader = multi("a + b", a=SCORE, b=CHECK)
    others = [Http(FakeFineTuning(seed=seed)) for seed in (0, 1)]
    same, other = (
        each.send("POST", RUN, {"grader": grader, "item": {"answer": 1}, "model_sample": ""}) for each in others
    )

    assert http.send("POST", RUN, {"grader": grader, "item": {"answer": 1}, "model_sample": ""}).body == same.body
    assert same.body != other.body


COMPARISONS = [
    ("eq", "Rome", "Rome", 1.0),
    ("eq", "Rome", "rome", 0.0),
    ("eq", "Rome ", "Rome", 0.0),
    ("ne", "Rome", "Rome", 0.0),
    ("ne", "Rome", "rome", 1.0),
    ("like", "in Rome, Italy", "Rome", 1.0),
    ("like", "in Rome, Italy", "rome", 0.0),
    ("like", "Rome", "in Rome", 0.0),
    ("like", "anything", "", 1.0),
    ("ilike", "in Rome, Italy", "ROME", 1.0),
    ("ilike", "STRASSE", "straße", 1.0),
    ("ilike", "Rome", "Paris", 0.0),
]


@pytest.mark.parametrize(("operation", "text", "answer", "reward"), COMPARISONS)
def test_string_check(http: Http, operation: str, text: str, answer: str, reward: float) -> None:
    """eq and ne compare exactly, like searches for the reference, and ilike ignores case."""
    assert run(http, {**CHECK, "operation": operation}, text, answer)["reward"] == reward


def test_text_similarity(http: Http) -> None:
    """A text_similarity grader compares the filled-in texts."""
    grader = {**CHECK, "type": "text_similarity", "evaluation_metric": "rouge_l"}
    del grader["operation"]

    assert run(http, grader, "the cat", "the dog")["reward"] == 0.5


FAULTS = [
    ({**CHECK, "reference": "{{item.question}}"}, "invalid_variable_error", "There is no variable 'item.question'."),
    ({**CHECK, "reference": "{{sample.output_json.a}}"}, "sample_parse_error", "The model sample is not valid JSON."),
    ({**SCORE, "input": [{"role": "user", "content": "{{x}}"}]}, "invalid_variable_error", "'x' is no variable"),
]


@pytest.mark.parametrize(("grader", "flag", "details"), FAULTS, ids=["variable", "json", "prompt"])
def test_faults_are_flags(http: Http, grader: Json, flag: str, details: str) -> None:
    """A failure while grading is a 200 with reward 0, an error flag and its details."""
    answer = run(http, grader)

    assert (answer["reward"], flags(answer)) == (0, [flag])
    assert answer["metadata"]["errors"][f"{flag}_details"].startswith(details)


MULTIS = [
    (multi("0.25 * a + 0.5 * b ^ 2", a=CHECK, b={**CHECK, "operation": "ne"}), 0.25, {"a": 1.0, "b": 0.0}, []),
    ({**multi("same * 3"), "graders": [CHECK]}, 3.0, {"same": 1.0}, []),
    ({**multi("type"), "graders": {"type": CHECK}}, 1.0, {"type": 1.0}, []),
    (multi("a +", a=CHECK), 0, {"a": 1.0}, ["formula_parse_error"]),
    (multi("a + c", a=CHECK), 0, {"a": 1.0}, ["invalid_variable_error"]),
    (multi("1 / (a - 1)", a=CHECK), 0, {"a": 1.0}, ["other_error"]),
    (
        multi("max(a, b)", a=CHECK, b={**CHECK, "input": "{{item.no}}"}),
        0,
        {"a": 1.0, "b": 0.0},
        ["invalid_variable_error"],
    ),
    (multi("5"), 5.0, {}, []),
]


@pytest.mark.parametrize(("grader", "reward", "rewards", "expected"), MULTIS, ids=lambda value: str(value)[-40:])
def test_multi(http: Http, grader: Json, reward: float, rewards: Json, expected: list[str]) -> None:
    """A multi grader has its formula's value, or 0 with flags if a part or the formula fails."""
    answer = run(http, grader)

    assert (answer["reward"], answer["sub_rewards"], flags(answer)) == (reward, rewards, expected)
    assert (answer["metadata"]["name"], answer["metadata"]["type"]) == ("all", "multi")


def test_models_give_the_scores_of_the_script(http: Http) -> None:
    """Model graders use the prepared scores in order, then derived ones."""
    http.fake.grader_scores([0.25, None, 1])

    answers = [run(http, SCORE) for _ in range(4)]

    assert [answer["reward"] for answer in answers[:3]] == [0.25, 0, 1.0]
    assert [flags(answer) for answer in answers] == [[], ["model_grader_parse_error"], [], []]
    assert 0 <= answers[3]["reward"] <= 1
    assert answers[3] == run(http, SCORE)
    assert answers[3]["reward"] not in (run(http, SCORE, "Paris")["reward"], run(http, SCORE, answer="x")["reward"])
    assert {answer["metadata"]["sampled_model_name"] for answer in answers} == {"gpt-4o-2024-08-06"}


def test_a_score_outside_the_range(http: Http) -> None:
    """A prepared score outside the grader's range is a parse error, and a derived one is inside it."""
    wide = {**SCORE, "range": [-5, 10]}
    http.fake.grader_scores([7, 7])

    assert flags(run(http, SCORE)) == ["model_grader_parse_error"]
    assert run(http, wide)["reward"] == 7
    assert all(-5 <= run(http, wide, str(n))["reward"] <= 10 for n in range(20))
    assert min(run(http, wide, str(n))["reward"] for n in range(20)) < 0


def test_labels(http: Http) -> None:
    """A label passes from a prepared score of 0.5, and without one depends on the seed."""
    grader = multi("label", label=LABEL)
    http.fake.grader_scores([1, 0.5, 0, None])

    assert [run(http, grader)["reward"] for _ in range(4)] == [1, 1, 0, 0]
    assert {run(http, grader, str(n))["reward"] for n in range(20)} == {0, 1}


def test_a_prompt_that_fails_asks_no_model(http: Http) -> None:
    """A model grader whose prompt cannot be filled in uses up no prepared score."""
    http.fake.grader_scores([0.125])
    run(http, {**SCORE, "input": [{"role": "user", "content": "{{item.none}}"}]})

    assert run(http, SCORE)["reward"] == 0.125


def test_the_script_over_http(http: Http) -> None:
    """PUT /_fake/graders replaces the prepared scores and returns them."""
    http.fake.grader_scores([0.75, 0.75])

    assert http.json("PUT", "/_fake/graders", {"scores": [0.5, None]}) == {"scores": [0.5, None]}
    assert [run(http, SCORE)["reward"] for _ in range(2)] == [0.5, 0]


@pytest.mark.parametrize("scores", [["1"], [True], [float("nan")], [float("inf")], [1, [2]]], ids=str)
def test_a_script_of_no_numbers(http: Http, scores: Any) -> None:
    """A score that is not a finite number or None is refused, and changes nothing."""
    before = everything(http.fake)

    with pytest.raises(FakeUsageError, match="score must be a finite number, or None"):
        http.fake.grader_scores(scores)
    assert everything(http.fake) == before


def test_the_script_is_replayed(http: Http) -> None:
    """An account replayed from its records has the same prepared scores left."""
    http.fake.grader_scores([0.25, 0.5])
    run(http, SCORE)
    again = Service(http.fake.settings)
    again.replay(http.fake._world.service.journal)

    assert list(again.account.grader_scores) == list(http.fake._world.service.account.grader_scores) == [0.5]


TYPES = "'string_check', 'text_similarity', 'python', 'score_model', and"
REFUSALS: list[tuple[str, str, str, Any]] = [
    ("grader", "missing_required_parameter", "Missing required parameter: 'grader'.", None),
    ("grader", "invalid_type", "Invalid type for 'grader': expected an object, but got an integer instead.", 5),
    (
        "grader.type",
        "invalid_value",
        f"Invalid value: 'x'. Supported values are: {TYPES} 'multi'.",
        {"type": "x"},
    ),
    ("grader.type", "invalid_value", "Invalid value: 'label_model'. Supported values are: ", LABEL),
    ("grader.type", "missing_required_parameter", "Missing required parameter: 'grader.type'.", {"name": "x"}),
    (
        "reference",
        "missing_required_parameter",
        "Missing required parameter: 'reference'.",
        {name: CHECK[name] for name in CHECK if name != "reference"},
    ),
    (
        "operation",
        "invalid_value",
        "Invalid value: 'neq'. Supported values are: 'eq', 'ne', 'like', and 'ilike'.",
        {**CHECK, "operation": "neq"},
    ),
    ("more", "unknown_parameter", "Unknown parameter: 'more'.", {**CHECK, "more": 1}),
    (
        "graders.a.type",
        "invalid_value",
        f"Invalid value: 'multi'. Supported values are: {TYPES} 'label_model'.",
        multi("a", a=multi("b", b=CHECK)),
    ),
    (  # printed
        "graders.input",
        "invalid_type",
        "Invalid type for 'graders.input': expected an object, but got a string instead.",
        {**multi("same"), "graders": {"input": "{{sample.output_json.x}}", **CHECK}},
    ),
    (
        "range",
        "array_below_min_length",
        "Invalid 'range': array too short. Expected an array with minimum length 2, but got an array with length 1 ",
        {**SCORE, "range": [1]},
    ),
    (
        "range[0]",
        "invalid_type",
        "Invalid type for 'range[0]': expected a decimal, but got a string instead.",
        {**SCORE, "range": ["low", 1]},
    ),
]


@pytest.mark.parametrize("path", [RUN, VALIDATE])
@pytest.mark.parametrize(("param", "code", "message", "grader"), REFUSALS, ids=lambda value: str(value)[:50])
def test_what_is_no_grader(http: Http, path: str, param: str, code: str, message: str, grader: Any) -> None:
    """A body with an invalid grader is refused with 400, and what is wrong within it is named from there."""
    body = {} if grader is None else {"grader": grader}
    sample = {"model_sample": "x"} if path == RUN else {}
    error = http.json("POST", path, {**body, **sample}, status=400)["error"]

    assert error["message"].startswith(message)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


@pytest.mark.parametrize(
    ("body", "param"), [({}, "model_sample"), ({"model_sample": 5}, "model_sample"), ({"item": 5}, "item")]
)
def test_the_rest_of_the_body(http: Http, body: Json, param: str) -> None:
    """An error outside the grader is refused under its own name."""
    assert http.json("POST", RUN, {"grader": CHECK, **body}, status=400)["error"]["param"] == param


PYTHON: Json = {"type": "python", "source": "def grade(sample, item): return 1"}
COMPLETED = [
    (CHECK, {}),
    (PYTHON, {"name": "grader-"}),
    (SCORE, {"range": [0, 1]}),
    ({**SCORE, "range": [2, 3], "sampling_params": {"seed": 1}}, {}),
    (multi("a", a=CHECK), {}),
    ({name: value for name, value in multi("a", a=CHECK).items() if name != "name"}, {"name": "grader-"}),
]


@pytest.mark.parametrize(("grader", "added"), COMPLETED, ids=lambda value: str(value)[:40])
def test_validate(http: Http, grader: Json, added: Json) -> None:
    """A valid grader is returned as sent, followed by its defaults."""
    answer = http.json("POST", VALIDATE, {"grader": grader})

    assert list(answer) == ["grader"]
    assert list(answer["grader"]) == [*grader, *added]
    for name, value in {**grader, **added}.items():
        shown = answer["grader"][name]
        assert shown == value or (value == "grader-" and len(shown) == len("grader-") + 12 and shown.startswith(value))


UNSOUND = [
    (multi("a +", a=CHECK), "calculate_output is no formula"),
    (multi("b", a=CHECK), "The formula uses 'b', which no grader is called."),
    ({**CHECK, "input": "{{output_text}}"}, "'output_text' is no variable of item or sample."),
    (multi("a", a={**SCORE, "input": [{"role": "user", "content": "{{x.y}}"}]}), "'x.y' is no variable"),
    ({**PYTHON, "source": "def score(): pass"}, "source has no function 'grade'"),
    ({**SCORE, "range": [1, 0]}, "range is empty"),
    (multi("a", a={**LABEL, "passing_labels": ["maybe"]}), "passing label 'maybe' is not one of the labels"),
]


@pytest.mark.parametrize(("grader", "words"), UNSOUND, ids=lambda value: str(value)[-40:])
def test_validate_refuses_what_can_never_work(http: Http, grader: Json, words: str) -> None:
    """Validate refuses a grader that no sample could make work, in any of its parts."""
    error = http.json("POST", VALIDATE, {"grader": grader}, status=400)["error"]

    assert error["message"].startswith(f"invalid grader: {words}")
    assert error["param"] == "grader"


def test_a_formula_that_may_have_a_value(http: Http) -> None:
    """Validate accepts a formula that fails only for some rewards."""
    http.json("POST", VALIDATE, {"grader": multi("1 / (a - 1)", a=CHECK)})


def test_the_sdk_reads_both_answers(http: Http) -> None:
    """The official SDK runs and validates a grader, and parses both responses."""
    client = openai.OpenAI(
        api_key="any", base_url="http://fake/v1", http_client=httpx2.Client(transport=http.fake.transport(httpx2))
    )
    grader: Any = CHECK
    ran = client.fine_tuning.alpha.graders.run(grader=grader, item={"answer": "x"}, model_sample="x")
    validated = client.fine_tuning.alpha.graders.validate(grader=grader)

    assert (ran.reward, ran.metadata.errors.other_error, ran.metadata.token_usage) == (1.0, False, None)
    assert validated.grader is not None
    assert validated.grader.name == "same"
