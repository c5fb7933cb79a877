"""Training data in each format for each method, and the messages of jobs about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.job_spec import Dataset, count_tokens, read_dataset
from fine_tuning_formats.row_rules import CHAT, COMPLETION, PREFERENCE, REINFORCEMENT, UNKNOWN
from fine_tuning_formats.token_estimate import ESTIMATE
from strategies import BORN, GRADER, ROW, Http

Row = dict[str, Any]
ASK = {"role": "user", "content": "Is it cold?"}
YES, NO = {"role": "assistant", "content": "Yes, very."}, {"role": "assistant", "content": "No."}
PAIR: Row = {"input": {"messages": [ASK]}, "preferred_output": [YES], "non_preferred_output": [NO]}
GRADED: Row = {"messages": [ASK], "answer": "yes"}
PROMPT: Row = {"prompt": "Is it cold?", "completion": "Yes."}
SOUND = {CHAT: ROW, PREFERENCE: PAIR, REINFORCEMENT: GRADED, COMPLETION: PROMPT}

# method, model, the format its rows must have
METHODS = [
    ("supervised", "gpt-4o-mini", CHAT),
    ("supervised", "babbage-002", COMPLETION),
    ("supervised", "davinci-002", COMPLETION),
    ("dpo", "gpt-4.1-nano", PREFERENCE),
    ("reinforcement", "o4-mini", REINFORCEMENT),
]
MODELS = {reads: (method, model) for method, model, reads in METHODS}


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(pace="manual", start=BORN))


def lines(*rows: Row) -> str:
    """A file with these rows."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_rows(*rows: Row) -> Dataset:
    """The result of reading a file with these rows."""
    return read_dataset(lines(*rows).encode().splitlines())


def tokens_of(*rows: Row) -> int:
    """How many tokens *rows* have as a file."""
    return count_tokens([lines(*rows).encode()], ESTIMATE)


def method_body(name: str) -> Row:
    """The smallest valid `method` of this name."""
    return {"type": name, **({name: {"grader": GRADER}} if name == "reinforcement" else {})}


def outcome(http: Http, reads: str, training: str, validation: str | None = None) -> Any:
    """A finished job that was trained on these files, with the method and model for rows in format *reads*."""
    method, model = MODELS[reads]
    given = {} if validation is None else {"validation_file": http.file(validation)}
    file = http.file(training)
    job = http.job(model=model, training_file=file, method=method_body(method), **given)
    http.fake.advance("10d")
    return http.json("GET", f"/fine_tuning/jobs/{job['id']}")


def without(row: Row, key: str) -> Row:
    """Return *row* without one key."""
    return {name: value for name, value in row.items() if name != key}


@pytest.mark.parametrize(("method", "model", "reads"), METHODS)
def test_sound_files_are_trained_on(http: Http, method: str, model: str, reads: str) -> None:
    """A job succeeds on ten rows in the format of its method and model, and on one validation row."""
    rows = [SOUND[reads]] * 10
    files = {"training_file": http.file(lines(*rows)), "validation_file": http.file(lines(SOUND[reads]))}
    job = http.job(model=model, method=method_body(method), **files)
    http.fake.advance("10d")
    done = http.json("GET", f"/fine_tuning/jobs/{job['id']}")

    assert (done["status"], done["error"]) == ("succeeded", {})
    assert done["trained_tokens"] == tokens_of(*rows) * 10 > 0


@pytest.mark.parametrize("role", ["training", "validation"])
@pytest.mark.parametrize(
    ("reads", "row", "text"),
    [
        (PREFERENCE, ROW, "fine-tune-chat format, but the specified fine-tuning job is not using 'supervised' as the "),
        (PREFERENCE, GRADED, "fine-tune-chat format, but the specified fine-tuning job is not using 'supervised' as "),
        (CHAT, PAIR, "fine-tune-preference format, but the specified fine-tuning job is not using 'dpo' as the "),
        (COMPLETION, PAIR, "fine-tune-preference format, but the specified fine-tuning job is not using 'dpo' as the "),
        (REINFORCEMENT, PAIR, "fine-tune-preference format, but the specified fine-tuning job is not using 'dpo' as "),
    ],
)
def test_a_file_of_another_method_is_named_by_its_format(
    http: Http, reads: str, row: Row, text: str, role: str
) -> None:
    """A file in another method's format fails the job with the printed message, including its final space.

    The format is checked before the number of rows: these files have seven.
    """
    files = [lines(*[SOUND[reads]] * 10), lines(*[row] * 7)]
    failed = outcome(http, reads, *(files if role == "validation" else files[1:]))
    error = failed["error"]

    start = f"The job failed due to an invalid {role} file. Invalid file format. Input file {failed[role + '_file']} is"
    assert error["message"].startswith(f"{start} in the {text}")
    assert error["message"].endswith(f"as the training method (provided method={MODELS[reads][0]}). ")
    assert (error["code"], error["param"]) == (f"invalid_{role}_file", f"{role}_file")


FAULTS: list[tuple[str, Row, str]] = [
    (CHAT, PROMPT, " is missing key 'messages'."),
    (CHAT, {**ROW, "weight": 1}, ' contains an extra "weight".'),
    (CHAT, GRADED, ' contains an extra "answer".'),
    (CHAT, {"messages": [ASK]}, " must have at least one message from the assistant"),
    (CHAT, {"messages": [ASK, {"content": "x"}]}, ", message 2 Discriminator 'role' is missing in value"),
    (COMPLETION, ROW, " is missing key 'prompt'."),
    (COMPLETION, without(PROMPT, "completion"), " is missing key 'completion'."),
    (COMPLETION, {**PROMPT, "prompt": ["x"]}, " prompt must be a string"),
    (COMPLETION, {**PROMPT, "weight": 1}, ' contains an extra "weight".'),
    (PREFERENCE, PROMPT, " is missing key 'input'."),
    (PREFERENCE, {"x": 1}, " is missing key 'input'."),
    (PREFERENCE, without(PAIR, "preferred_output"), " is missing key 'preferred_output'."),
    (PREFERENCE, without(PAIR, "non_preferred_output"), " is missing key 'non_preferred_output'."),
    (PREFERENCE, {**PAIR, "weight": 1}, ' contains an extra "weight".'),
    (PREFERENCE, {**PAIR, "input": "Is it cold?"}, " input must be an object with messages"),
    (PREFERENCE, {**PAIR, "input": {"messages": []}}, " input messages must be a non-empty list"),
    (PREFERENCE, {**PAIR, "input": {"messages": [ASK], "x": 1}}, ' input contains an extra "x".'),
    (PREFERENCE, {**PAIR, "input": {"messages": [5]}}, ", input message 1 value is not a valid dict"),
    (PREFERENCE, {**PAIR, "preferred_output": YES}, " preferred_output must be a list of one message"),
    (PREFERENCE, {**PAIR, "preferred_output": [YES, YES]}, " preferred_output must be a list of one message"),
    (PREFERENCE, {**PAIR, "preferred_output": [ASK]}, " preferred_output must be a message from the assistant"),
    (PREFERENCE, {**PAIR, "non_preferred_output": [{}]}, ", non_preferred_output message 1 Discriminator 'role' is"),
    (REINFORCEMENT, PROMPT, " is missing key 'messages'."),
    (REINFORCEMENT, {"messages": []}, " messages must be a non-empty list"),
    (REINFORCEMENT, {"messages": [{"role": "me"}]}, ", message 1 No match for discriminator 'role' and value 'me'"),
]


@pytest.mark.parametrize(("reads", "row", "text"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_row_that_breaks_its_format(reads: str, row: Row, text: str) -> None:
    """The first row that breaks a format is reported by its number, not counting blank lines."""
    data = read_dataset([b"", *lines(*[SOUND[reads]] * 3, row, {}).encode().splitlines()])

    assert data.faults[reads].startswith(f"Example 4{text}")


@pytest.mark.parametrize("role", ["training", "validation"])
@pytest.mark.parametrize(("reads", "row", "text"), [FAULTS[1], FAULTS[9], FAULTS[11], FAULTS[-3]])
def test_a_broken_row_fails_the_job(http: Http, reads: str, row: Row, text: str, role: str) -> None:
    """A broken row fails the job with the printed message, and in a validation file with one fixed code."""
    files = [lines(*[SOUND[reads]] * 10), lines(row)]
    error = outcome(http, reads, *(files if role == "validation" else files[1:]))["error"]

    start = f"The job failed due to a file format error in the {role} file. Invalid file format. Example 1{text}"
    code = "invalid_file_format" if role == "training" else "invalid_validation_file"
    assert error == {"code": code, "param": f"{role}_file", "message": start}


def test_a_file_that_is_nothing_known(http: Http) -> None:
    """Rows of an unknown format fail a supervised job with the printed message."""
    error = outcome(http, CHAT, lines(*[{"text": "x"}] * 10))["error"]

    text = "Unexpected file format, expected either prompt/completion pairs or chat messages."
    assert error["message"] == f"The job failed due to an invalid training file. {text}"
    assert error["code"] == "invalid_training_file"


@pytest.mark.parametrize("reads", SOUND)
def test_ten_rows_are_needed(http: Http, reads: str) -> None:
    """Nine rows are too few to train on, in each format."""
    error = outcome(http, reads, lines(*[SOUND[reads]] * 9))["error"]

    text = "Training file has 9 example(s), but must have at least 10 examples"
    assert error == {"code": "invalid_n_examples", "param": "training_file", "message": text}


def test_a_bad_training_file_comes_before_a_bad_validation_file(http: Http) -> None:
    """If both files are bad, the training file is named."""
    error = outcome(http, CHAT, lines(*[PROMPT] * 10), lines(PROMPT))["error"]

    assert error["param"] == "training_file"


def test_a_chat_file_can_be_rewarded(http: Http) -> None:
    """A chat file can train a supervised and a reinforcement job; extra keys are allowed only in the latter."""
    file = http.file(lines(*[ROW] * 10))
    jobs = [
        http.job(model=model, training_file=file, method=method_body(method))["id"]
        for method, model in (MODELS[CHAT], MODELS[REINFORCEMENT])
    ]
    http.fake.advance("10d")

    assert [http.json("GET", f"/fine_tuning/jobs/{job}")["status"] for job in jobs] == ["succeeded"] * 2
    assert read_rows(ROW).faults.keys() == {PREFERENCE, COMPLETION}
    assert read_rows(GRADED).faults.keys() == {CHAT, PREFERENCE, COMPLETION}


@pytest.mark.parametrize(
    ("row", "kind"),
    [(ROW, CHAT), (GRADED, CHAT), (PAIR, PREFERENCE), (PROMPT, COMPLETION), ({}, UNKNOWN), ({"prompt": "x"}, UNKNOWN)],
)
def test_the_first_row_tells_the_format(row: Row, kind: str) -> None:
    """The format of a file is that of its first row."""
    assert read_rows(row, {"messages": []}, PROMPT).format == kind


def test_answers_may_be_called_completions() -> None:
    """Preference rows may name their answers in the schema's or in the vendor's way."""
    named = {"input": PAIR["input"], "preferred_completion": [YES], "non_preferred_completion": [NO]}

    assert read_rows(named) == read_rows(PAIR)
    assert PREFERENCE not in read_rows(named).faults


def test_tokens_count_all_that_is_learnt_from() -> None:
    """The token estimate includes conversation, both answers, prompt and completion."""
    longer = {**PAIR, "preferred_output": [{**YES, "content": "Yes, very cold indeed."}]}

    assert tokens_of(longer) == tokens_of(PAIR) + 2
    assert tokens_of({**PROMPT, "completion": ""}) < tokens_of(PROMPT)
    assert tokens_of(GRADED) == tokens_of({"messages": [ASK]})
    assert tokens_of({}) == 0


keys = st.sampled_from(sorted({*PAIR, *GRADED, *PROMPT, *ASK}))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.sampled_from([ASK, YES]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(keys, values), min_size=1, max_size=4))
def test_any_rows_are_judged(rows: list[Row]) -> None:
    """Any JSON objects as rows get a verdict for each format, and an estimate of at least 0."""
    data = read_rows(*rows)

    assert data.examples == len(rows)
    assert data.tokens is not None
    assert data.tokens >= 0
    assert all(text.startswith("Example ") for text in data.faults.values())
    assert {PREFERENCE, COMPLETION} & data.faults.keys()
