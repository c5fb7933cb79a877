"""The offline check of a training file says what the fake says: when it is uploaded, and when a job reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fine_tuning_client import check_training_file
from fine_tuning_fakeserver.domain.base_models import BASE_MODELS
from fine_tuning_fakeserver.domain.training_methods import TrainingRequest, resolve_hyperparameters
from strategies import ROW, ROWS
from training_verdicts import CALL, METHODS, NAME, ODD_LINES, agree

ASK: Any = {"role": "user", "content": "Is it cold?"}
YES: Any = {"role": "assistant", "content": "Yes."}
RATED: Any = {"input": {"messages": [ASK]}, "preferred_output": [YES], "non_preferred_output": [YES]}
# Members of a message, messages, answers and inputs, sound and unsound.
CONTENTS: list[Any] = [5, [], ["x"], [{"type": "smell"}], [{"type": "refusal"}], [{"type": "image_url"}, YES], {}]
WEIGHTS: list[Any] = [0, 1, 1.0, True, False, 2, "1", None, []]
INVALID: list[Any] = [
    "<|fim_suffix|>",
    "a <|endoftext|> <|fim_prefix|>",
    "<|fim|>",
    [{"type": "text", "text": "<|fim_middle|>"}],
]
CALLS: list[Any] = [{}, {"tool_calls": []}, {"tool_calls": [CALL]}, {"function_call": CALL["function"]}]
MESSAGES: list[Any] = [
    *(5, None, {}, {"content": "x"}, {"role": "bot"}, {"role": []}, {"role": 1.5, "content": "x"}),
    *({"role": "developer", "content": ""}, {"role": "user"}, {"role": "user", "content": None, "tool_calls": [CALL]}),
    *({**ASK, "content": content} for content in CONTENTS),
    *({**message, "content": content} for message in (ASK, YES) for content in INVALID),
    {"role": "assistant", "tool_calls": [{"id": "<|fim_suffix|>"}]},
    *({**message, "weight": weight} for message in (ASK, YES) for weight in WEIGHTS),
    *({"role": "assistant", "content": None, **calls} for calls in CALLS),
]
FUNCTIONS: list[Any] = [[], [{}], [{}] * 128, [{}] * 129, None, {}]
LISTS: list[Any] = [[], {}, None, "x", [ASK], [YES], [YES, YES], YES]
INPUTS: list[Any] = [[], None, {}, {"messages": []}, {"messages": [ASK], "functions": 1}]
PAIRS: list[Any] = [
    *({"prompt": prompt, "completion": completion} for prompt in ("", 5) for completion in ("x", None)),
    *({"prompt": ""}, {"completion": ""}, {"prompt": 1}, {"prompt": "", "completion": "", "x": 1}),
]
ANYTHING: list[Any] = [{}, {"x": 1}, {"messages": [YES], "x": 1}, {"prompt": "", "x": 1}, {"preferred_output": [YES]}]
TABLE: list[tuple[int, Any]] = [
    *((way, {"messages": [ASK, message, YES]}) for way in (0, 3) for message in MESSAGES),
    *((way, {"messages": messages}) for way in (0, 3) for messages in LISTS),
    *((way, {"messages": [ASK, YES], "functions": functions}) for way in (0, 3) for functions in FUNCTIONS),
    *((1, row) for row in PAIRS),
    *((2, {**RATED, "input": {"messages": [ASK, message]}}) for message in MESSAGES),
    *((2, {**RATED, "preferred_output": [message]}) for message in MESSAGES),
    *((2, {**RATED, "non_preferred_output": answers}) for answers in LISTS),
    *((2, {**RATED, "input": asked}) for asked in INPUTS),
    *((2, {key: value for key, value in RATED.items() if key != name}) for name in RATED),
    *((2, {**RATED, more: 1}) for more in ("x", "preferred_completion")),
    (2, {**RATED, "preferred_completion": [{**YES, "content": "<|fim_suffix|>"}]}),
    *((way, row) for way in range(4) for row in ANYTHING),
]


@pytest.mark.parametrize(("way", "row"), TABLE, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_row_is_judged_as_by_the_fake(way: int, row: Any, place: str) -> None:
    """A row of the table is a problem exactly when it is one to the fake, in the same words, wherever it stands."""
    sound = [{"messages": [ASK, YES]}, {"prompt": "", "completion": "x"}, RATED, {"messages": [ASK]}][way]
    rows = [*[sound] * 10, row] if place == "last" else [row, *[sound] * 10]
    agree(b"".join(json.dumps(each).encode() + b"\n" for each in rows), METHODS[way])


@pytest.mark.parametrize("line", ODD_LINES, ids=repr)
def test_a_line_is_judged_as_by_the_fake(line: bytes) -> None:
    """An odd line is a problem exactly when it is one to the fake, in the same words."""
    agree(ROWS.encode() + line + b"\n" + ROWS.encode(), METHODS[0])


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t", ROWS.encode()[:-1], ROWS.encode() * 30])
@pytest.mark.parametrize("way", METHODS, ids=str)
@pytest.mark.parametrize("filename", [NAME, "TRAIN.JSONL", "upload", "train.json", "a.jsonl.gz"])
def test_a_file_is_judged_as_by_the_fake(content: bytes, way: tuple[Any, str], filename: str) -> None:
    """A file with no rows, or another name, or another method's rows, is as good or bad as to the fake."""
    agree(content, way, filename)


@pytest.mark.parametrize("examples", [1, 3, 5, 10, 11, 33, 34, 249, 250, 751, 8333, 8334, 12_501])
def test_what_auto_becomes(examples: int) -> None:
    """Epochs and batch size are those that the fake chooses, for few and for many examples."""
    expected = resolve_hyperparameters(TrainingRequest("gpt-4o-mini"), examples)
    report = check_training_file(b"{}\n" * examples)
    assert (report.n_epochs, report.batch_size) == (expected.n_epochs, expected.batch_size)


@pytest.mark.parametrize("model", [model.id for model in BASE_MODELS])
@pytest.mark.parametrize("name", ["{}", "ft:{}:org:suffix:abc", "ft:{}:org::abc:ckpt-step-80", "{}.ft-0a1b"])
def test_the_learning_rate_multiplier_is_the_models(name: str, model: str) -> None:
    """The multiplier is the one that the fake chooses for the model, fine-tuned ones included."""
    expected = resolve_hyperparameters(TrainingRequest(name.format(model)), 10).learning_rate_multiplier
    found = check_training_file(json.dumps(ROW).encode(), model=name.format(model)).learning_rate_multiplier
    assert repr(found) == repr(expected)
