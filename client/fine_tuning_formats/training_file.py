"""Training files as the service checks them: line by line at upload, and as a whole when a job validates its files."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import field
from typing import NamedTuple, NoReturn

from fine_tuning_formats.job_rules import COMPLETION_MODELS
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.row_rules import (
    CHAT,
    COMPLETION,
    FORMATS,
    OPENAI_DATA,
    PREFERENCE,
    REINFORCEMENT,
    UNKNOWN,
    DataRules,
    Row,
    count_row_tokens,
    detect_format,
    has_images,
    has_tools,
    row_faults,
)
from fine_tuning_formats.token_estimate import ESTIMATE, TokenCounter

NO_IMAGES = "The model does not support fine-tuning with images."  # inferred
MAX_FILE_BYTES = 512 * 1024 * 1024  # spec
MAX_LINE_BYTES = 8 * 1024 * 1024  # inferred: the service's own limit is unknown
MIN_EXAMPLES = {"training": 10, "validation": 1}  # printed output of 2024-12 for training; inferred for validation
MAX_FAULTS_KEPT = 100  # of each format

# How the file of each method is called, and the format by which its rows are checked.
METHOD_FORMATS = {
    "supervised": (CHAT, CHAT),
    "dpo": (PREFERENCE, PREFERENCE),
    "reinforcement": (CHAT, REINFORCEMENT),
}
_METHOD_OF_FORMAT = {CHAT: "supervised", PREFERENCE: "dpo"}  # as the service names it for a file of another method


class NotJsonlError(Exception):
    """The service takes no file with such a line; the message is the service's."""


class RowFault(NamedTuple):
    """Something wrong with a row: the service's text, from "Example N" on, and where it is."""

    text: str
    line: int | None = None
    path: str | None = None


class JobProblem(NamedTuple):
    """A reason for a job to fail while it validates its files: ``error.code``, the service's message, and the place."""

    code: str
    message: str
    line: int | None = None
    path: str | None = None


def expected_format(method: str, base: str) -> str:
    """Return the format that rows must have for a *method* of training on a *base* model."""
    return COMPLETION if method == "supervised" and base in COMPLETION_MODELS else METHOD_FORMATS[method][1]


@dataclass(slots=True)
class TrainingFileScan:
    """One pass over the lines of a training file.

    Attributes:
        parse_json: Parses a line; raises ValueError for what is not JSON.
        formats: The formats to check rows by, which may depend on a method that is not known yet. Where all faults are
            wanted, only the file's own is left of them once the first row is known.
        rules: What the provider accepts.
        is_first_only: Whether the first fault of each format is enough, as it is for the service.
        counter: What counts tokens; None: they are not counted.
        lines: How many lines there were so far.
        examples: Those of them that are not blank.
        tokens: Their estimated tokens.
        longest: The estimated tokens of the longest of them.
        format: The format of the first row.
        first_line: The number of its line.
        faults: What is wrong with the rows, by format; the first `MAX_FAULTS_KEPT` of each.
        fault_counts: How many faults there are, by format.
        has_tools: Whether a row defines tools.
        has_images: Whether a row has an image.
    """

    parse_json: Callable[[bytes], object]
    formats: Collection[str] = FORMATS
    is_first_only: bool = True
    rules: DataRules = OPENAI_DATA
    counter: TokenCounter | None = ESTIMATE
    lines: int = 0
    examples: int = 0
    tokens: int = 0
    longest: int = 0
    format: str = UNKNOWN
    first_line: int | None = None
    faults: dict[str, list[RowFault]] = field(default_factory=dict)
    fault_counts: dict[str, int] = field(default_factory=dict)
    has_tools: bool = False
    has_images: bool = False

    def add_lines(self, block: bytes) -> Iterator[str]:
        """Check the next lines, with line feeds between them; yield why lines are refused, in `add_line`'s words."""
        text = None
        if self._takes_plain_rows() and len(block) <= MAX_LINE_BYTES:
            from fine_tuning_formats.plain_rows import find_plain_rows, plain_text  # on demand: most files are short

            text = plain_text(block)
        at = 0
        while at <= len(block):
            rows, after = (0, at) if text is None else find_plain_rows(text, at)
            if rows:
                self.lines += rows
                self.examples += rows
                self._count_plain_rows(block[at:after])
                at = after
                continue
            feed = block.find(b"\n", at)
            end = len(block) if feed < 0 else feed
            try:
                self.add_line(block[at:end])
            except NotJsonlError as error:
                yield str(error)
            at = end + 1

    def add_line(self, line: bytes) -> None:
        """Check the next line, without its line feed; blank ones are skipped.

        Raises:
            NotJsonlError: The line is not a JSON object, is too long, or is nested too deeply.
        """
        self.lines += 1
        number = self.lines
        if number == 1 and self.rules.byte_order_mark:
            line = line.removeprefix(BOM_UTF8)
        if not line.strip():
            return
        self.examples += 1
        try:
            row = self._parse_row(line, number)
            if self.first_line is None:
                self.first_line, self.format = number, detect_format(row)
                if self.format in self.formats and not self.is_first_only:
                    self.formats = (self.format,)  # all faults are wanted, and a file has one format
            self._check_row(row, number)
            self._count_tokens(row)
            self.has_tools = (
                self.has_tools or has_tools(row) or (isinstance(prompt := row.get("input"), dict) and has_tools(prompt))
            )
            self.has_images = self.has_images or has_images(row)
        except RecursionError:
            raise NotJsonlError(f"Line {number} is nested too deeply.") from None  # inferred

    def _count_tokens(self, row: Row) -> None:
        if self.counter:
            tokens = count_row_tokens(self.format, row, self.counter)
            self.tokens += tokens
            self.longest = max(self.longest, tokens)

    def _takes_plain_rows(self) -> bool:
        """Return whether a plain chat says nothing new but its tokens: it is sound, or only the first fault counts."""
        return self.format == CHAT and all(
            name in (CHAT, REINFORCEMENT) or (self.is_first_only and self.faults.get(name)) for name in self.formats
        )

    def _count_plain_rows(self, block: bytes) -> None:
        for line in block.splitlines() if self.counter else ():
            self._count_tokens(self._parse_row(line, self.lines))

    def _parse_row(self, line: bytes, number: int) -> Row:
        if len(line) > MAX_LINE_BYTES:
            raise NotJsonlError(f"Line {number} is longer than {MAX_LINE_BYTES} bytes.")  # inferred
        try:
            row = self.parse_json(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            return row
        start = line[:3].decode(errors="replace")
        raise NotJsonlError(  # printed, to the hint of three characters
            "Expected file to have JSONL format, where every line is a (valid) JSON dictionary. "
            f'Line {number} is not a dictionary (HINT: line starts with: "{start}...").'
        )

    def _check_row(self, row: Row, number: int) -> None:
        is_sound_chat = False
        for name in self.formats:
            if (self.faults.get(name) and self.is_first_only) or (is_sound_chat and name == REINFORCEMENT):
                continue  # a sound chat is a sound prompt
            is_sound = True
            for path, text in row_faults(name, row, self.rules):
                is_sound = False
                kept = self.faults.setdefault(name, [])
                self.fault_counts[name] = self.fault_counts.get(name, 0) + 1
                if len(kept) < MAX_FAULTS_KEPT:
                    kept.append(RowFault(f"Example {self.examples}{text}", number, path))
                if self.is_first_only:
                    break
            is_sound_chat = is_sound_chat or (is_sound and name == CHAT)


def job_problems(
    *,
    method: str,
    format: str,
    faults: Iterable[RowFault],
    examples: int,
    file_name: str,
    role: str = "training",
    first_line: int | None = None,
    is_blind: bool = False,
) -> Iterator[JobProblem]:
    """Yield what fails a job on a file, in the service's words; the service itself reports only the first.

    A file in another method's format comes before all else: a real dpo job on a chat file of 7 rows was refused for its
    format (printed output of 2024-12). Its rows are not judged one by one.

    Args:
        method: The job's method of training.
        format: The file's format, by its first row.
        faults: What is wrong with its rows by the format that the job expects.
        examples: How many rows it has.
        file_name: How the message calls it: the service by the file's id.
        role: What it is for, ``training`` or ``validation``.
        first_line: The line of its first row.
        is_blind: Whether it has images and the model takes none (vendor text; the refusal is inferred).
    """

    def code(of_training: str) -> str:
        return of_training if role == "training" else "invalid_validation_file"  # one for all: inferred

    if text := _wrong_format(method, format, file_name):
        message = f"The job failed due to an invalid {role} file. {text}"
        yield JobProblem(code("invalid_training_file"), message, first_line)
    else:
        start = f"The job failed due to a file format error in the {role} file. Invalid file format. "
        for fault in faults:  # printed outputs of 2025
            yield JobProblem(code("invalid_file_format"), start + fault.text, fault.line, fault.path)
        if is_blind:
            yield JobProblem(code("invalid_training_file"), NO_IMAGES, first_line)
    if examples < (least := MIN_EXAMPLES[role]):  # printed output of 2024-12
        message = f"{role.capitalize()} file has {examples} example(s), but must have at least {least} examples"
        yield JobProblem(code("invalid_n_examples"), message)


def _wrong_format(method: str, format: str, file_name: str) -> str | None:
    """Return the service's message about a file in another format than the method's; None if it fits."""
    owner = _METHOD_OF_FORMAT.get(format)
    if owner and format != METHOD_FORMATS[method][0]:  # printed output of 2024-12, trailing space too
        return (
            f"Invalid file format. Input file {file_name} is in the fine-tune-{format} format, but the specified "
            f"fine-tuning job is not using '{owner}' as the training method (provided method={method}). "
        )
    if format == UNKNOWN and method == "supervised":  # printed outputs of 2023 and 2024
        return "Unexpected file format, expected either prompt/completion pairs or chat messages."
    return None


def parse_json(line: bytes) -> object:
    """Parse a line as strictly as the service does: UTF-8, no NaN, no half of a surrogate pair.

    Raises:
        ValueError: It is not JSON.
    """
    text = line.decode()
    if "\\u" in text and any(_LONE_SURROGATE.findall(text)):
        raise ValueError("half of a surrogate pair is not a character")
    return _DECODER.decode(text)


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)
_LONE_SURROGATE = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|(\\ud[89a-f]..)", re.IGNORECASE)  # whole pairs are skipped
