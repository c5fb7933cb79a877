"""Tokens: counted exactly by the models' vocabularies, or estimated; what tools cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from fine_tuning_client import check_training_file
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_formats import exact_tokens
from fine_tuning_formats.row_rules import count_row_tokens, row_faults
from strategies import Http

TOOL = {
    "type": "function",
    "function": {
        "name": "fly_to",
        "description": "Fly to a place.",
        "parameters": {
            "type": "object",
            "required": ["height"],
            "properties": {
                "height": {"type": "integer", "description": "metres above the ground"},
                "mode": {"type": "string", "enum": ["fast", "slow"]},
            },
        },
    },
}
CHAT = [{"role": "user", "content": "Is it late?"}, {"role": "assistant", "content": "It is."}]
ROW = {"messages": CHAT}
LETTERS = 6 + 5  # words and signs, by the encoding below


class _Words:
    """An encoding whose tokens are characters other than spaces."""

    @staticmethod
    def encode_ordinary(text: str) -> list[str]:
        return [char for char in text if char != " "]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A library of exact tokens is installed, whose tokens are characters."""
    library = ModuleType("bpe_openai")
    library.get_encoding = lambda name: _Words  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bpe_openai", library)
    monkeypatch.setattr(exact_tokens, "find_spec", lambda name: name == "bpe_openai")
    exact_tokens.exact_counter.cache_clear()
    yield
    exact_tokens.exact_counter.cache_clear()


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No library of exact tokens is installed."""
    monkeypatch.setattr(exact_tokens, "find_spec", lambda name: None)
    exact_tokens.exact_counter.cache_clear()
    yield
    exact_tokens.exact_counter.cache_clear()


def content(*rows: dict[str, Any]) -> bytes:
    """The lines of a training file."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_tools_are_tokens() -> None:
    """The definitions of a row's tools count as tokens, each more of them, in chats and in preferences."""
    counts = [count_row_tokens("chat", {**ROW, "tools": [TOOL] * number}) for number in range(3)]
    assert counts[0] == count_row_tokens("chat", ROW)
    assert counts[0] < counts[1] < counts[2]

    answers = {"preferred_output": CHAT[1:], "non_preferred_output": CHAT[1:]}
    with_tools = {"input": {"messages": CHAT[:1], "tools": [TOOL]}, **answers}
    without = {"input": {"messages": CHAT[:1]}, **answers}
    assert count_row_tokens("preference", with_tools) > count_row_tokens("preference", without)


@pytest.mark.parametrize("tools", [3, [3], [{}], [{"function": 3}], [{"function": {"name": 3, "parameters": []}}]])
def test_odd_tools_are_counted_too(tools: Any) -> None:
    """Tools of any form are counted without an error."""
    assert count_row_tokens("chat", {**ROW, "tools": tools}) >= count_row_tokens("chat", ROW)


@pytest.mark.usefixtures("counting")
def test_exact_tokens_are_the_vocabularys() -> None:
    """A job's tokens are those of the vocabulary, 4 a message, 1 a row, and stay when the library is gone."""
    http = Http(FakeFineTuning(pace="manual", tokens="exact"))
    job = http.job(training_file=http.file(content(*[ROW] * 10)), model="gpt-3.5-turbo")
    exact_tokens.exact_counter.cache_clear()
    http.fake.advance("24h")

    a_row = 1 + 2 * 4 + len("Isitlate?") + len("Itis.")
    done = http.json("GET", f"/fine_tuning/jobs/{job['id']}")
    assert done["trained_tokens"] == 10 * a_row * done["hyperparameters"]["n_epochs"]


@pytest.mark.usefixtures("lacking")
def test_exact_without_the_library_is_an_error() -> None:
    """Exact tokens without a library that counts are an error that names the extra, for fake and check."""
    with pytest.raises(FakeUsageError, match=r"fake-fine-tuning\[tokens\]"):
        FakeFineTuning(tokens="exact")
    with pytest.raises(ModuleNotFoundError, match=r"fake-fine-tuning\[tokens\]"):
        check_training_file(content(ROW), tokens="exact")
    with pytest.raises(FakeUsageError, match="tokens must be one of estimate, exact, got 'guess'"):
        FakeFineTuning(tokens="guess")
    with pytest.raises(ValueError, match="tokens must be one of estimate, exact, none, got 'guess'"):
        check_training_file(content(ROW), tokens="guess")  # type: ignore[arg-type]


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize(
    ("row", "model", "count"),
    [
        (ROW, "gpt-3.5-turbo-0125", "exact"),
        ({**ROW, "tools": [TOOL]}, "gpt-3.5-turbo-0125", "estimate"),
        (ROW, "gpt-4.1-nano", "unproven"),
        (ROW, None, "unproven"),
    ],
)
def test_a_report_says_how_tokens_were_counted(row: dict[str, Any], model: str | None, count: str) -> None:
    """A report says whether its tokens are exact, by a rule that was not seen for the model, or an estimate."""
    report = check_training_file(content(*[row] * 10), model=model, tokens="exact")

    assert report.token_count == count
    words = {"exact": "exactly 230 tokens", "unproven": "230 tokens by the vocabulary", "estimate": "about "}
    assert words[count] in str(report)
    assert check_training_file(content(row)).token_count == "estimate"


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ({"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "x"}]}, "content: str expected"),
        ({"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}, "images: only"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}] * 11}, "at most 10 images"),
    ],
)
def test_rules_for_parts(message: dict[str, Any], fault: str) -> None:
    """A tool answers with a string, images are the user's, and a row has ten of them at most."""
    faults = list(row_faults("chat", {"messages": [*CHAT, message]}))

    assert len(faults) == 1
    assert fault in faults[0][1]


@pytest.mark.parametrize(("model", "status"), [("gpt-3.5-turbo-0125", "failed"), ("gpt-4o-2024-08-06", "succeeded")])
def test_only_some_models_see(model: str, status: str) -> None:
    """A job on rows with images fails for a model that sees nothing."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    row = {"messages": [{"role": "user", "content": [image]}, CHAT[1]]}
    http = Http(FakeFineTuning(pace="manual"))
    job = http.job(training_file=http.file(content(*[row] * 10)), model=model)
    http.fake.advance("24h")

    assert http.json("GET", f"/fine_tuning/jobs/{job['id']}")["status"] == status
