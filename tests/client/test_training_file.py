"""The offline check of a training file: its sources, its problems, and the text of its report."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_client import (
    AsyncFineTuning,
    ConfigurationError,
    FineTuning,
    FineTuningClient,
    TrainingFileReport,
    check_training_file,
)
from fine_tuning_formats.training_file import MAX_FILE_BYTES, MAX_LINE_BYTES
from strategies import ROW, ROWS

ASK = {"role": "user", "content": "Is it cold?"}
YES = {"role": "assistant", "content": "Yes."}
PAIR = {"input": {"messages": [ASK]}, "preferred_output": [YES], "non_preferred_output": [YES]}
CONTENT = ROWS.encode()


def lines(*rows: Any) -> bytes:
    """A file with these rows."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def places(report: TrainingFileReport) -> list[tuple[int | None, str | None]]:
    """The line and path of each problem."""
    return [(problem.line, problem.path) for problem in report.problems]


def test_it_needs_no_key_and_no_provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file is checked without a key or provider, and by async clients without await."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("OPENAI", "AZURE", "FINE_TUNING", "FAKE"))]:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError):
        FineTuning.list_jobs()

    reports = {owner.check_training_file(CONTENT) for owner in (FineTuning, AsyncFineTuning, FineTuningClient())}
    assert reports == {check_training_file(CONTENT)}


def test_every_source_gives_the_same_report(tmp_path: Path) -> None:
    """A path, bytes, an open file and a pipe give the same report, and are named as an upload names them."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes(CONTENT)
    reader, writer = os.pipe()
    os.write(writer, CONTENT)
    os.close(writer)

    with path.open("rb") as file, open(reader, "rb") as pipe:
        sources: list[Any] = [str(path), path, file, CONTENT, io.BytesIO(CONTENT), pipe]
        reports = [check_training_file(source) for source in sources]

    assert [report.filename for report in reports] == ["mine.jsonl"] * 3 + ["training.jsonl"] * 3
    assert {(report.ok, report.bytes, report.examples, report.tokens) for report in reports} == {
        (True, len(CONTENT), 10, reports[0].tokens)
    }


def test_an_open_file_is_put_back() -> None:
    """An open file is read from its beginning, and its position is restored, even if reading fails."""
    file = io.BytesIO(CONTENT)
    file.seek(7)
    assert check_training_file(file).examples == 10
    assert file.tell() == 7

    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            raise OSError("disk gone")

    broken = Broken(CONTENT)
    broken.seek(7)
    with pytest.raises(OSError, match="disk gone"):
        check_training_file(broken)
    assert broken.tell() == 7


@pytest.mark.parametrize(
    ("file", "given", "error"),
    [
        ("nowhere.jsonl", {}, FileNotFoundError),
        (io.StringIO("{}"), {}, TypeError),
        (5, {}, TypeError),
        (CONTENT, {"method": "sft"}, ValueError),
        (CONTENT, {"n_epochs": 0}, ValueError),
        (CONTENT, {"n_epochs": 51}, ValueError),
        (CONTENT, {"n_epochs": "3"}, ValueError),
    ],
)
def test_wrong_arguments_are_errors(file: Any, given: dict[str, Any], error: type[Exception]) -> None:
    """An invalid file, method or number of epochs raises an error."""
    with pytest.raises(error):
        check_training_file(file, **given)


def test_all_problems_are_reported() -> None:
    """Every problem of every line is reported, those of the upload first; blank lines count as lines."""
    broken = {"messages": [{"content": "x"}, {"role": "user"}, {**YES, "weight": 2}], "extra": 1}
    content = lines(ROW, broken) + b"\n[]\n" + lines(ROW, {"messages": [ASK]}) + b'{"a": NaN}'

    report = check_training_file(content)

    assert [problem.stage for problem in report.problems] == ["upload"] * 2 + ["job"] * 6
    upload, row, last = [(4, None), (7, None)], ["extra", *(f"messages[{n}]" for n in range(3))], (None, None)
    assert places(report) == [*upload, *((2, path) for path in row), (6, "messages"), last]
    assert not report.ok
    assert report.examples == 6


def test_paths_lead_into_the_row() -> None:
    """The path of a problem in a preference row points to the invalid member."""
    row = {"input": {"messages": [5], "x": 1}, "preferred_output": [ASK], "non_preferred_completion": [{}]}
    report = check_training_file(lines(*[PAIR] * 9, row), method="dpo")

    paths = ["input.x", "input.messages[0]", "preferred_output[0]"]
    assert places(report) == [(10, path) for path in [*paths, *["non_preferred_completion[0]"] * 2]]


def test_a_foreign_file_has_one_problem() -> None:
    """Rows in another method's format are reported once, for the first row."""
    report = check_training_file(b"\n" + lines(*[ROW] * 200), method="dpo")

    assert (report.format, places(report)) == ("chat", [(2, None)])


def test_the_model_decides_between_chats_and_pairs() -> None:
    """Prompt-completion rows pass only for the oldest models, their fine-tuned ones, or no model."""
    content = lines(*[{"prompt": "p", "completion": "c"}] * 10)
    models = ["babbage-002", "davinci-002", "ft:babbage-002:org::abc", "davinci-002.ft-0a1b", None]

    assert [check_training_file(content, model=model).ok for model in models] == [True] * 5
    assert not check_training_file(content, model="gpt-4o-mini").ok
    assert not check_training_file(CONTENT, model="babbage-002").ok
    assert check_training_file(content).format == "completion"


def test_many_problems_are_counted() -> None:
    """The first hundred problems are kept, those of the upload first, and the others counted."""
    report = check_training_file(lines(*[{"messages": []}] * 5000, *[[]] * 30))

    assert [problem.stage for problem in report.problems] == ["upload"] * 30 + ["job"] * 70
    assert report.more_problems == 4930
    assert "5,030 problems" in str(report)
    assert "… and 4,930 more" in str(report)


def test_a_line_may_be_too_long() -> None:
    """A line over the size limit is a problem of the upload, and later lines are still checked."""
    long = json.dumps(ROW).encode().ljust(MAX_LINE_BYTES)
    content = long + b"\n" + long + b" \n" + long * 2 + b"\n" + CONTENT + b"5"
    report = check_training_file(content)

    assert places(report) == [(2, None), (3, None), (14, None)]
    assert (report.bytes, report.examples) == (len(content), 14)


def test_a_file_may_be_too_large() -> None:
    """A file over the size limit is one problem of the upload."""

    class Huge(io.BytesIO):
        left = MAX_FILE_BYTES // MAX_LINE_BYTES + 1
        line = b"\n".rjust(MAX_LINE_BYTES)

        def read(self, size: int | None = -1, /) -> bytes:
            self.left -= 1
            return self.line if self.left >= 0 else b""

    report = check_training_file(Huge())

    assert report.bytes > MAX_FILE_BYTES
    assert (report.problems[0].stage, report.problems[0].line) == ("upload", None)
    said = f"Maximum content size limit ({MAX_FILE_BYTES}) exceeded ({MAX_FILE_BYTES + 1} bytes read)"
    assert report.problems[0].message == said


def test_a_row_may_be_nested_too_deeply() -> None:
    """A deeply nested row is a problem of the upload, not a RecursionError."""
    report = check_training_file(CONTENT + b'{"messages": ' + b"[" * 1_000_000)

    assert (report.problems[0].stage, report.problems[0].line) == ("upload", 11)
    assert report.problems[0].message == "Line 11 is nested too deeply."


def test_a_report_is_a_text_for_a_person(tmp_path: Path) -> None:
    """The text of a report lists the problems with their consequences and lines, and the training that would follow."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes(lines(*[ROW] * 7, {"messages": [ASK, {"content": "x"}]}) + b"oops\n")

    assert str(check_training_file(path, model="gpt-4o-mini")).splitlines() == [
        "mine.jsonl: 4 problems",
        "  the upload is refused:",
        "    line 9: Expected file to have JSONL format, where every line is a (valid) JSON dictionary. "
        'Line 9 is not a dictionary (HINT: line starts with: "oop...").',
        "  a job on it fails:",
        "    line 8: Example 8, message 2 Discriminator 'role' is missing in value",
        "    line 8: Example 8 must have at least one message from the assistant",
        "    Training file has 9 example(s), but must have at least 10 examples",
        "  9 examples (chat), about 128 tokens, the longest about 16",
        "  supervised training: 11 epochs, batch size 1, learning rate multiplier 1.8; about 1,408 trained tokens",
    ]


def test_a_sound_file_has_a_short_report() -> None:
    """The text of a report without problems says so in one line, and omits unknown figures."""
    assert str(check_training_file(CONTENT, n_epochs=1)).splitlines() == [
        "training.jsonl: no problems",
        "  10 examples (chat), about 160 tokens, the longest about 16",
        "  supervised training: 1 epoch, batch size 1; about 160 trained tokens",
    ]


def test_a_report_cannot_steer_a_terminal() -> None:
    """The text of a report has no control characters, and shortens long content."""
    report = check_training_file(lines(*[ROW] * 10, {**ROW, "\x1b[2J" + "x" * 999: 1}) + b"\x1b[2Joops")

    shown = str(report)
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) < 300
    assert "\x1b[2" in report.problems[0].message


def test_what_gives_no_lines_is_no_file() -> None:
    """An object with `read` but no `readline` is a TypeError, and one with both is read."""

    class Source:
        def __init__(self) -> None:
            self.file = io.BytesIO(CONTENT)

        def read(self, size: int = -1) -> bytes:
            return self.file.read(size)

    class Lines(Source):
        def readline(self, size: int = -1) -> bytes:
            return self.file.readline(size)

    source: Any = Source()
    with pytest.raises(TypeError, match="open for reading lines of bytes"):
        check_training_file(source)
    lines: Any = Lines()
    assert check_training_file(lines) == check_training_file(CONTENT)
