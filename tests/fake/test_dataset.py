"""Training files: faults of each kind of row in the service's words, and token counts."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.job_spec import count_tokens, read_dataset
from fine_tuning_formats.token_estimate import ESTIMATE, count_text_tokens
from strategies import BORN, ROW, Http

USER = {"role": "user", "content": "Hello?"}
ANSWER = {"role": "assistant", "content": "Go away."}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def validated_job(*rows: Any, **fields: Any) -> Any:
    """A job on these rows after validation."""
    http = Http(FakeFineTuning(start=BORN, pace="instant"))
    file = http.file("".join(json.dumps(row) + "\n" for row in rows))
    job = http.job(training_file=file, **fields)
    return http.json("GET", f"/fine_tuning/jobs/{job['id']}")


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    """An example of a chat file."""
    return {"messages": list(messages), **more}


ROLES = "'system', 'user', 'assistant', 'tool', 'function', 'developer'"
PARTS = "content: str or a list of content parts expected"
FAULTS: list[tuple[Any, str]] = [
    ({"prompt": "p"}, " is missing key 'messages'."),
    (chat(USER, ANSWER, weight=1), ' contains an extra "weight".'),
    *((chat(USER, ANSWER, functions=[{}] * n), " functions must be a list of 1 to 128") for n in (0, 129)),
    ({"messages": []}, " messages must be a non-empty list"),
    ({"messages": "text"}, " messages must be a non-empty list"),
    ({"messages": None}, " messages must be a non-empty list"),
    (chat("text"), ", message 1 value is not a valid dict"),
    (chat(USER, None), ", message 2 value is not a valid dict"),
    (chat(USER, {"content": "x"}), ", message 2 Discriminator 'role' is missing in value"),
    (
        chat({"role": "bot", "content": "x"}),
        f", message 1 No match for discriminator 'role' and value 'bot' (allowed values: {ROLES})",
    ),
    (
        chat({"role": [], "content": "x"}),
        f", message 1 No match for discriminator 'role' and value '[]' (allowed values: {ROLES})",
    ),
    (chat({"role": "user"}, ANSWER), ", message 1 content: field required"),
    (chat(USER, {"role": "assistant", "content": None}), ", message 2 content: field required"),
    (chat(USER, {"role": "assistant", "tool_calls": []}), ", message 2 content: field required"),
    (chat({"role": "user", "tool_calls": [CALL]}, ANSWER), ", message 1 content: field required"),
    (chat({"role": "user", "content": 5}, ANSWER), f", message 1 {PARTS}"),
    (chat({"role": "user", "content": []}, ANSWER), f", message 1 {PARTS}"),
    (chat({"role": "user", "content": ["x"]}, ANSWER), f", message 1 {PARTS}"),
    (chat({"role": "user", "content": [{"type": "smell"}]}, ANSWER), f", message 1 {PARTS}"),
    (chat({**USER, "weight": 1}, ANSWER), ', message 1 contains an extra "weight"'),
    (chat(USER, {**ANSWER, "weight": 2}), ", message 2 weight: 0 or 1 expected"),
    (chat(USER, {**ANSWER, "weight": True}), ", message 2 weight: 0 or 1 expected"),
    (chat(USER, {**ANSWER, "weight": "1"}), ", message 2 weight: 0 or 1 expected"),
    (chat(USER, {"role": "system", "content": "x"}), " must have at least one message from the assistant"),
    *(
        (chat(USER, {**ANSWER, "content": content}), f" message contains an invalid token: {token}.")
        for token in ("<|fim_suffix|>", "<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|endofprompt|>")
        for content in (f"a{token}<|fim_suffix|>", [{"type": "text", "text": token}])
    ),
    (chat({**USER, "content": "<|fim_suffix|>"}, ANSWER), " message contains an invalid token: <|fim_suffix|>."),
]

SOUND: list[Any] = [
    chat(USER, ANSWER),
    chat(ANSWER),
    chat({"role": "system", "content": ""}, {"role": "developer", "content": "x"}, ANSWER),
    chat({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]}, ANSWER),
    chat(USER, {**ANSWER, "weight": 0}, {**ANSWER, "weight": 1}),
    chat({**USER, "content": "<|"}, {**ANSWER, "content": "<|fim|> <| fim_suffix |> <fim_suffix>"}),
    chat(USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": "5"}),
    chat(USER, {"role": "assistant", "function_call": CALL["function"]}, {"role": "function", "content": "5"}),
    chat(USER, ANSWER, tools=[], parallel_tool_calls=False),
    chat(USER, ANSWER, functions=None),
    *(chat(USER, ANSWER, functions=[{}] * n) for n in (1, 128)),
]


@pytest.mark.parametrize(("row", "fault"), FAULTS, ids=lambda value: str(value)[:50])
def test_a_row_that_is_faulty(row: Any, fault: str) -> None:
    """A faulty row fails the job's validation with the row's number and fault."""
    job = validated_job(ROW, ROW, row, *[ROW] * 9, {"prompt": "a later fault is not told"})

    start = "The job failed due to a file format error in the training file. Invalid file format. "
    message = f"{start}Example 3{fault}"
    assert job["status"] == "failed"
    assert job["error"] == {"code": "invalid_file_format", "param": "training_file", "message": message}


@pytest.mark.parametrize("row", SOUND, ids=lambda value: str(value)[:70])
def test_a_row_that_is_sound(row: Any) -> None:
    """A job on valid rows succeeds."""
    assert validated_job(row, *[ROW] * 9)["status"] == "succeeded"


@pytest.mark.parametrize(("count", "status"), [(1, "failed"), (9, "failed"), (10, "succeeded")])
def test_how_many_examples_are_enough(count: int, status: str) -> None:
    """A job with fewer than ten examples fails with their number."""
    job = validated_job(*[ROW] * count)

    assert job["status"] == status
    message = f"Training file has {count} example(s), but must have at least 10 examples"
    error = {"code": "invalid_n_examples", "param": "training_file", "message": message}
    assert job["error"] == (error if status == "failed" else {})


def test_a_file_of_no_format() -> None:
    """A job on rows of an unknown format fails in the service's words."""
    job = validated_job(*[{"text": "x"}] * 10)

    text = "Unexpected file format, expected either prompt/completion pairs or chat messages."
    message = f"The job failed due to an invalid training file. {text}"
    assert job["error"] == {"code": "invalid_training_file", "param": "training_file", "message": message}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "completion": "c"},
        {"input": {"messages": [USER]}, "preferred_output": [ANSWER], "non_preferred_output": [ANSWER]},
    ],
    ids=lambda row: next(iter(row)),
)
def test_a_file_of_another_format(row: Any) -> None:
    """A job on rows of another method's format fails with the file's parameter and format."""
    job = validated_job(*[row] * 10)

    assert (job["status"], job["error"]["param"]) == ("failed", "training_file")
    assert "Invalid file format. " in job["error"]["message"]


def test_blank_lines_are_passed_over() -> None:
    """Blank lines and a missing last line end have no effect."""
    line = json.dumps(ROW).encode()

    plain = read_dataset([line] * 10)

    assert read_dataset([b"", line, b"  \r", *[line] * 8, b"\t", line + b"\r"]) == plain
    assert (plain.examples, plain.format) == (10, "chat")


def test_an_empty_file_has_no_examples() -> None:
    """A file of blank lines has no examples and no tokens."""
    found = read_dataset([b"", b" "])

    assert (found.examples, found.tokens) == (0, 0)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(texts, min_size=1, max_size=5), st.integers(1, 4))
def test_tokens_add_up(contents: list[str], copies: int) -> None:
    """The tokens of a file are the sum over its examples, and more text never has fewer tokens."""
    lines = [json.dumps(chat({"role": "assistant", "content": text})).encode() for text in contents]

    once = count_tokens(lines, ESTIMATE)

    assert count_tokens(lines * copies, ESTIMATE) == once * copies
    assert once == sum(count_tokens([line], ESTIMATE) for line in lines)
    assert all(count_text_tokens(f"{text} {text}") >= count_text_tokens(text) for text in contents)


@given(texts)
def test_tokens_are_within_reason(text: str) -> None:
    """A text has at most as many tokens as bytes, and a blank one has none."""
    assert 0 <= count_text_tokens(text) <= len(text.encode())
    assert count_text_tokens(text) or not any(character.isalnum() for character in text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_counted_as_any_text_is(text: str) -> None:
    """The fast count for ASCII equals the general one."""
    assert count_text_tokens(f"{text} é") == count_text_tokens(text) + 1


SARCASTIC = Path(__file__).parents[3] / "shared" / "data" / "sarcastic.jsonl"


@pytest.mark.skipif(not SARCASTIC.is_file(), reason="the recorded training file is not beside the repository")
def test_a_file_whose_real_numbers_are_known() -> None:
    """A job on the recorded file has the real job's steps and checkpoints, and its tokens within a tenth."""
    http = Http(FakeFineTuning(start=BORN, pace="instant"))
    created = http.job(training_file=http.file(SARCASTIC.read_bytes()), model="gpt-3.5-turbo")

    job = http.json("GET", f"/fine_tuning/jobs/{created['id']}")

    assert job["hyperparameters"] == {"n_epochs": 10, "batch_size": 1, "learning_rate_multiplier": 2}
    points = http.json("GET", f"/fine_tuning/jobs/{job['id']}/checkpoints")["data"]
    assert [point["step_number"] for point in points] == [100, 90, 80]
    csv = base64.b64decode(http.send("GET", f"/files/{job['result_files'][0]}/content").body)
    assert csv.count(b"\n") == 1 + 100
    assert job["trained_tokens"] == 10 * count_tokens(SARCASTIC.read_bytes().splitlines(), ESTIMATE)
    assert abs(job["trained_tokens"] - 5070) <= 507


@pytest.mark.parametrize(
    ("examples", "model", "expected"),
    [
        (10, "gpt-4o-mini", (10, 1, 1.8)),
        (11, "gpt-4o-mini", (9, 1, 1.8)),
        (33, "gpt-4o-mini", (3, 1, 1.8)),
        (80, "gpt-4o-mini", (3, 1, 1.8)),
        (100, "gpt-3.5-turbo", (3, 1, 2)),
        (100, "gpt-4.1-nano", (3, 1, 1)),
        (1000, "gpt-4o-mini", (3, 2, 1.8)),
        (10_000, "gpt-4o-mini", (2, 20, 1.8)),
    ],
)
def test_what_auto_becomes(examples: int, model: str, expected: tuple[int, int, float]) -> None:
    """Hyperparameters of "auto" follow the printed jobs: more epochs for few examples, fewer for many."""
    numbers = validated_job(*[ROW] * examples, model=model)["hyperparameters"]

    assert tuple(numbers.values()) == expected
    assert isinstance(numbers["learning_rate_multiplier"], type(expected[2]))
