"""The shared rules for training files: token estimates and "auto" hyperparameters."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fine_tuning_formats.job_rules import (
    auto_batch_size,
    auto_epochs,
    auto_learning_rate_multiplier,
    base_model,
)
from fine_tuning_formats.row_rules import FORMATS, count_row_tokens, row_faults
from fine_tuning_formats.token_estimate import count_text_tokens
from fine_tuning_formats.training_file import TrainingFileScan, parse_json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["assistant", "user", "<|endoftext|>", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "weight", "input", "preferred_output"]), inner
        )
    ),
    max_leaves=12,
)
rows = st.dictionaries(st.sampled_from(["messages", "input", "preferred_output", "prompt", "functions", "x"]), values)


@given(rows, st.sampled_from(FORMATS))
def test_the_first_fault_is_the_first_of_all(row: dict[str, object], name: str) -> None:
    """A scan that stops at the first fault finds the first fault of a full scan."""
    first, full = TrainingFileScan(parse_json, [name]), TrainingFileScan(parse_json, [name], is_first_only=False)
    for scan in (first, full):
        scan.add_line(json.dumps(row).encode())

    assert first.faults.get(name, []) == full.faults.get(name, [])[:1]
    assert full.fault_counts.get(name, 0) == len(list(row_faults(name, row)))


@given(texts)
@example("it's we'll I'LL 'sample don't 's_ __ 1234567 a1b x² --…—")
@example("internationalisation ınternationalısatıon naïve 東京タワー ’s ſ 'ſ ١٢٣٤ ___é")
def test_a_row_has_the_tokens_of_its_texts(text: str) -> None:
    """The tokens of a pair are those of its prompt and its completion."""
    row = {"prompt": text, "completion": text.upper()}
    assert count_row_tokens("completion", row) == count_text_tokens(text) + count_text_tokens(text.upper())


@pytest.mark.parametrize(
    ("examples", "epochs", "batch"),
    [
        *((1, 25, 1), (3, 25, 1), (5, 20, 1), (10, 10, 1), (33, 3, 1), (34, 3, 1), (948, 3, 1), (8333, 3, 16)),
        *((8334, 2, 16), (12_501, 1, 25), (200_000, 1, 256)),
    ],
)
def test_what_auto_becomes(examples: int, epochs: int, batch: int) -> None:
    """The epochs for "auto" fall with the number of examples, and the batch size grows up to a limit."""
    assert (auto_epochs(examples), auto_batch_size(examples)) == (epochs, batch)


@pytest.mark.parametrize("name", ["{}", "ft:{}:org:suffix:abc", "ft:{}:org::abc:ckpt-step-80", "{}.ft-0a1b"])
@pytest.mark.parametrize(
    ("model", "expected"),
    [("gpt-3.5-turbo-0125", "2"), ("gpt-4o-mini-2024-07-18", "1.8"), ("gpt-4o-2024-08-06", "2"), ("o4-mini", "1")],
)
def test_the_learning_rate_multiplier_is_that_of_the_base_model(name: str, model: str, expected: str) -> None:
    """The multiplier is that of the base model, even for a fine-tuned one, and a whole one is an integer."""
    assert base_model(name.format(model)) == model
    assert repr(auto_learning_rate_multiplier(base_model(name.format(model)))) == expected
