"""The offline check of a training file agrees with the fake about valid and invalid files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ROWS, example_count
from training_verdicts import CALL, METHODS, NAME, ODD_LINES, agree

pytestmark = pytest.mark.slow

JUNK = (
    *("null", "true", "0", "1", "2", "1.0", "0.5", '""', '"x"', '"assistant"', '"user"', '"tool"'),
    *(
        '"<|fim_suffix|>"',
        '[{"type": "text", "text": "a <|endoftext|>"}]',
        '[{"role": "assistant", "content": "<|fim_suffix|>"}]',
    ),
    *("[]", '["x"]', "{}", '{"type": "text"}', '{"role": "user", "content": ""}', '[{"role": "assistant"}]'),
)
junk = st.sampled_from(JUNK).map(json.loads)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
contents = texts | st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), min_size=1, max_size=2)
asks = st.builds(
    lambda role, content: {"role": role, "content": content}, st.sampled_from(["system", "user", "tool"]), contents
)
answers = st.builds(lambda content: {"role": "assistant", "content": content}, contents) | st.builds(
    lambda content, more: {"role": "assistant", "content": content, **more},
    contents,
    st.sampled_from([{"weight": 0}, {"weight": 1}, {"tool_calls": [CALL]}, {"function_call": CALL["function"]}]),
)
talks = st.lists(asks, min_size=1, max_size=2)
chats = st.builds(lambda talk, answer: {"messages": [*talk, answer]}, talks, answers)
preferences = st.builds(
    lambda talk, good, bad, names: {"input": {"messages": talk}, names[0]: [good], names[1]: [bad]},
    *(talks, answers, answers),
    st.sampled_from(
        [("preferred_output", "non_preferred_output"), ("preferred_completion", "non_preferred_completion")]
    ),
)
rewarded = st.builds(lambda talk, text: {"messages": talk, "answer": text}, talks, texts)
pairs = st.builds(lambda prompt, completion: {"prompt": prompt, "completion": completion}, texts, texts)
FORMATS: list[st.SearchStrategy[Any]] = [chats, preferences, rewarded, pairs]


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a value, as its container and key."""
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    inner = [spot for key in keys if isinstance(value[key], dict | list) for spot in spots(value[key])]
    return [(value, key) for key in keys] + inner


@st.composite
def spoiled(draw: st.DrawFn, row: Any) -> Any:
    """A row with something in it replaced, removed or added."""
    row = json.loads(json.dumps(row))
    for _ in range(draw(st.integers(1, 3))):
        if not (found := spots(row)):
            break
        holder, key = draw(st.sampled_from(found))
        act = draw(st.sampled_from(["replace", "drop", "add"]))
        if act == "drop":
            del holder[key]
        elif act == "replace" or isinstance(holder, list):
            holder[key] = draw(junk)
        else:
            holder[draw(st.sampled_from(["weight", "x", "tools", "role", "messages", "input"]))] = draw(junk)
    return row


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, tuple[Any, str]]:
    """A mostly valid training file, and training options that mostly fit it."""
    way = draw(st.sampled_from(METHODS))
    row = draw(st.sampled_from([FORMATS[METHODS.index(way)]] * 3 + FORMATS))
    rows = draw(st.lists(row, min_size=10, max_size=11) | st.lists(row, max_size=11))
    as_ascii = draw(st.booleans())
    lines = [json.dumps(each, ensure_ascii=as_ascii).encode() for each in rows]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        odd = st.sampled_from(ODD_LINES) | row.flatmap(_spoiled_line) | row.flatmap(_spoiled_line) | st.binary()
        lines.insert(draw(st.integers(0, len(lines))), draw(odd))
    ends = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n"]))
    return ends.join(lines) + draw(st.sampled_from([b"", b"\n"])), way


def _spoiled_line(row: Any) -> st.SearchStrategy[bytes]:
    return spoiled(row).map(lambda each: json.dumps(each).encode())


names = st.sampled_from([NAME] * 12 + ["TRAIN.JSONL", "upload", "train.json", "a.jsonl.gz"])
epochs = st.sampled_from(["auto", 1, 3, 50])


@settings(max_examples=example_count(60))
@given(cases(), names, epochs)
def test_the_check_foretells_what_the_fake_says(
    case: tuple[bytes, tuple[Any, str]], filename: str, n_epochs: Any
) -> None:
    """A file passes the check exactly if the fake accepts it and trains with it; the first problem is the same."""
    content, way = case
    agree(content, way, filename, n_epochs)


@pytest.mark.parametrize("line", ODD_LINES, ids=repr)
def test_an_odd_line_is_judged_as_by_the_fake(line: bytes) -> None:
    """The client's and the fake's JSON parsers accept and refuse the same lines with the same message."""
    agree(ROWS.encode() + line + b"\n" + ROWS.encode(), METHODS[0])


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t", ROWS.encode()[:-1], ROWS.encode() * 30])
@pytest.mark.parametrize("way", METHODS, ids=str)
@pytest.mark.parametrize("filename", [NAME, "TRAIN.JSONL", "upload", "train.json", "a.jsonl.gz"])
def test_a_file_is_judged_as_by_the_fake(content: bytes, way: tuple[Any, str], filename: str) -> None:
    """The check agrees with the fake about files without rows, other names and other methods' rows."""
    agree(content, way, filename)
