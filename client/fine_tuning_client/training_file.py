"""Check a training file offline, as the service does when it is uploaded and when a job validates its files."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import BinaryIO, Literal, NoReturn

from fine_tuning_client import training_file_rows as rows
from fine_tuning_client.arguments import file_part, in_bytes, named
from fine_tuning_client.training_file_report import Stage, TrainingFileProblem, TrainingFileReport

# spec: 512 MB a file. That a line may have 8 MiB is inferred: there is a limit, but it is not known.
FILE_BYTES_AT_MOST, LINE_BYTES_AT_MOST = 512 * 1024 * 1024, 8 * 1024 * 1024
EXAMPLES_AT_LEAST = 10  # printed output of 2024-12
EPOCHS_AT_MOST, PROBLEMS_AT_MOST = 50, 100  # spec; and this package's own

# What each method calls a file that is its own, and how the rows of one are then read.
METHODS = {
    "supervised": (rows.CHAT, rows.CHAT),
    "dpo": (rows.PREFERENCE, rows.PREFERENCE),
    "reinforcement": (rows.CHAT, rows.REINFORCEMENT),
}
MADE_FOR = {rows.CHAT: "supervised", rows.PREFERENCE: "dpo"}
LEARN_FROM_PAIRS = ("babbage-002", "davinci-002")
# printed outputs for gpt-3.5-turbo, gpt-4o-mini and gpt-4.1-nano, inferred for the rest
MULTIPLIERS = {"gpt-3.5-turbo": 2, "gpt-4o-mini": 1.8, "gpt-4o": 2, "": 1}


def check_training_file(
    file: bytes | str | PathLike[str] | BinaryIO,
    *,
    method: Literal["supervised", "dpo", "reinforcement"] = "supervised",
    model: str | None = None,
    n_epochs: int | Literal["auto"] | None = None,
) -> TrainingFileReport:
    """Check a training file as the service would, before it is uploaded and paid for; nothing is sent.

    It needs no key and no provider. Like any reading it blocks, on async clients too: there, call it through
    `asyncio.to_thread` when the file is large (some seconds for 50 MB).

    Args:
        file: A path (str or PathLike), the content (bytes), or a file open for reading bytes, which is read from
            its beginning and then put back to where it was, if it can be.
        method: The method that the job will train by.
        model: The model that the job will start from; without it a supervised job may read either of its formats.
        n_epochs: As the job will be told; ``"auto"`` or None where the service is to choose.

    Returns:
        All that is wrong with it, and estimates of what training with it would be.

    Raises:
        OSError: The file cannot be read.
        ValueError: There is no such method, or no such number of epochs, or *model* is no name.
        TypeError: The file is no such thing, or open for reading text.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if n_epochs not in (None, "auto", *range(1, EPOCHS_AT_MOST + 1)):
        raise ValueError(f'n_epochs must be "auto" or 1 to {EPOCHS_AT_MOST}, not {n_epochs!r}')
    if model is not None:
        named("model", model)
    check = _Validator(file_part(file, None).filename, method, _base(model))
    with _opened(file) as source:
        check.read(source)
    return check.report(None if n_epochs in (None, "auto") else int(n_epochs))


@contextmanager
def _opened(file: bytes | str | PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(file, str | PathLike):
        with open(file, "rb") as opened:
            yield opened
    elif isinstance(file, bytes):
        yield io.BytesIO(file)
    elif not hasattr(file, "readline"):
        raise TypeError(f"file must be a path, bytes, or a file open for reading lines of bytes, not {file!r:.80}")
    elif hasattr(file, "seekable") and file.seekable():
        position = file.tell()
        try:
            file.seek(0)
            yield file
        finally:
            file.seek(position)
    else:
        yield file


class _RefusedLineError(Exception):
    """The service takes no file with such a line; the message is the service's."""


@dataclass(slots=True)
class _Validator:
    """One pass over a file: what has been found so far."""

    filename: str
    method: str
    base: str | None
    format: str | None = None
    is_foreign: bool = False
    size: int = 0
    examples: int = 0
    tokens: int = 0
    longest: int = 0
    found: dict[Stage, list[TrainingFileProblem]] = field(default_factory=lambda: {"upload": [], "job": []})
    count: int = 0

    def read(self, source: BinaryIO) -> None:
        number = 0
        while line := source.readline(LINE_BYTES_AT_MOST + 1):
            number += 1
            self.size += len(in_bytes(line))
            if line.strip():
                self.examples += 1
                self._read_row(line.removesuffix(b"\n"), number)
            while not line.endswith(b"\n") and (line := source.readline(LINE_BYTES_AT_MOST + 1)):
                self.size += len(line)  # the rest of a line that is too long

    def _read_row(self, line: bytes, number: int) -> None:
        try:
            self._judge(_row(line, number), number)
        except _RefusedLineError as error:
            self._add("upload", str(error), None, number)
        except RecursionError:
            self._add("upload", f"Line {number} is nested too deeply.", None, number)

    def _judge(self, row: rows.Row, number: int) -> None:
        if self.format is None:
            self._judge_format(rows.format_of(row), number)
        if not self.is_foreign:
            for path, text in rows.faults(self._reads, row):
                self._fail("invalid_file_format", f"Example {self.examples}{text}", number, path)
        tokens = rows.tokens_of(self.format or rows.UNKNOWN, row)
        self.tokens += tokens
        self.longest = max(self.longest, tokens)

    def _judge_format(self, found: str, number: int | None = None) -> None:
        """Rows of a foreign format are not judged one by one: all of them would be wrong."""
        self.format = found
        text = ""
        if found in MADE_FOR and found != METHODS[self.method][0]:  # printed output of 2024-12, trailing space too
            text = (
                f"Invalid file format. Input file {self.filename} is in the fine-tune-{found} format, but the specified"
                f" fine-tuning job is not using '{MADE_FOR[found]}' as the training method "
                f"(provided method={self.method}). "
            )
        elif found == rows.UNKNOWN and self.method == "supervised":  # printed outputs of 2023 and 2024
            text = "Unexpected file format, expected either prompt/completion pairs or chat messages."
        if text:
            self.is_foreign = True
            self._fail("invalid_training_file", text, number)

    @property
    def _reads(self) -> str:
        pairs = self.format == rows.COMPLETION if self.base is None else self.base in LEARN_FROM_PAIRS
        return rows.COMPLETION if pairs and self.method == "supervised" else METHODS[self.method][1]

    def _fail(self, code: str, text: str, number: int | None = None, path: str | None = None) -> None:
        self._add("job", _MESSAGES[code].format(text), code, number, path)

    def _add(self, stage: Stage, message: str, code: str | None, line: int | None, path: str | None = None) -> None:
        self.count += 1
        if len(self.found[stage]) < PROBLEMS_AT_MOST:
            self.found[stage].append(TrainingFileProblem(stage, message, code, line, path))

    def report(self, n_epochs: int | None) -> TrainingFileReport:
        whole = [TrainingFileProblem("upload", text) for text in self._of_the_whole()]
        if self.format is None and not whole and not self.found["upload"]:
            self._judge_format(rows.UNKNOWN)
        if self.examples < EXAMPLES_AT_LEAST and self.size:
            self._fail("invalid_n_examples", str(self.examples))
        problems = (*whole, *self.found["upload"], *self.found["job"])[:PROBLEMS_AT_MOST]
        is_rewarded = self.method == "reinforcement" and self.format == rows.CHAT
        return TrainingFileReport(
            filename=self.filename,
            bytes=self.size,
            method=self.method,
            format=rows.REINFORCEMENT if is_rewarded else self.format or rows.UNKNOWN,
            examples=self.examples,
            tokens=self.tokens,
            longest_example=self.longest,
            n_epochs=n_epochs or _epochs(self.examples),
            batch_size=min(max(round(self.examples * 0.002), 1), 256),
            learning_rate_multiplier=_multiplier(self.base),
            problems=problems,
            more_problems=len(whole) + self.count - len(problems),
        )

    def _of_the_whole(self) -> Iterator[str]:
        if self.size > FILE_BYTES_AT_MOST:
            yield f"Maximum content size limit ({FILE_BYTES_AT_MOST}) exceeded."
        if not self.size:
            yield "File is empty."  # inferred
        if "." in self.filename and not self.filename.lower().endswith(".jsonl"):
            yield "Invalid file format for Fine-Tuning API. Must be .jsonl"  # printed


_MESSAGES = {  # printed outputs of 2023 to 2025
    "invalid_training_file": "The job failed due to an invalid training file. {}",
    "invalid_file_format": "The job failed due to a file format error in the training file. Invalid file format. {}",
    "invalid_n_examples": f"Training file has {{}} example(s), but must have at least {EXAMPLES_AT_LEAST} examples",
}


def _row(line: bytes, number: int) -> rows.Row:
    if len(line) > LINE_BYTES_AT_MOST:
        raise _RefusedLineError(f"Line {number} is longer than {LINE_BYTES_AT_MOST} bytes.")  # inferred
    try:
        text = line.decode()
        row = None if "\\u" in text and any(_LONE.findall(text)) else _JSON.decode(text)
    except ValueError:
        row = None
    if isinstance(row, dict):
        return row
    start = line[:3].decode(errors="replace")
    raise _RefusedLineError(  # printed, to the hint of three characters
        "Expected file to have JSONL format, where every line is a (valid) JSON dictionary. "
        f'Line {number} is not a dictionary (HINT: line starts with: "{start}...").'
    )


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_no_json)
# Half of a surrogate pair is no character, and none that UTF-8 can write; whole pairs are passed over.
_LONE = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|(\\ud[89a-f]..)", re.IGNORECASE)


def _base(model: str | None) -> str | None:
    """The base model under a fine-tuned one: ``ft:BASE:org:suffix:token`` or, Azure's, ``BASE.ft-HEX``."""
    if model is None:
        return None
    return model.split(":")[1] if model.startswith("ft:") and model.count(":") > 1 else model.partition(".ft-")[0]


def _epochs(examples: int) -> int:
    """The number that "auto" becomes; it fits every printed job (10 examples: 10 epochs; 80 and 100: 3)."""
    if 0 < examples * 3 < 100:
        return min(25, 100 // examples)
    return max(1, 25_000 // examples) if examples * 3 > 25_000 else 3


def _multiplier(base: str | None) -> float | None:
    return None if base is None else next(value for name, value in MULTIPLIERS.items() if base.startswith(name))
