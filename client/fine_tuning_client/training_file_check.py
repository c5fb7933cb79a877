"""Check a training file offline, as the service does when it is uploaded and when a job validates its files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import BinaryIO, Literal, TypeAlias

from fine_tuning_client.arguments import make_file_part, require_bytes, require_name
from fine_tuning_client.config import default_provider, find_profile
from fine_tuning_formats.exact_tokens import CL100K, exact_counter, vocabulary_of
from fine_tuning_formats.job_rules import (
    auto_batch_size,
    auto_epochs,
    auto_learning_rate_multiplier,
    base_model,
    sees_images,
)
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.row_rules import CHAT, COMPLETION, DATA_RULES, REINFORCEMENT
from fine_tuning_formats.token_estimate import ESTIMATE
from fine_tuning_formats.training_file import (
    MAX_FILE_BYTES,
    MAX_LINE_BYTES,
    METHOD_FORMATS,
    TrainingFileScan,
    expected_format,
    job_problems,
    parse_json,
)

TOKENS = ("estimate", "exact", "none")
MAX_EPOCHS = 50  # spec
MAX_PROBLEMS = 100  # that a report lists
BLOCK_BYTES = 256 * 1024  # that are checked at a time

Stage: TypeAlias = Literal["upload", "job"]
TokenCount: TypeAlias = Literal["exact", "unproven", "estimate", "none"]
_COUNTED: dict[TokenCount, str] = {
    "exact": "exactly {} tokens",
    "unproven": "{} tokens by the vocabulary",
    "estimate": "about {} tokens",
    "none": "tokens not counted",
}

_HEADINGS: dict[Stage, str] = {"upload": "the upload is refused:", "job": "a job on it fails:"}
_LINE = 200  # characters of a message that are shown to a person


@dataclass(frozen=True, slots=True)
class TrainingFileProblem:
    """One thing wrong with a training file.

    Attributes:
        stage: Who finds it: ``"upload"`` (status 400, or 413 for the size) or ``"job"`` (it fails while validating).
        message: The service's text; the service stops at the first problem.
        code: The ``error.code`` of the failed job; None at upload.
        line: In which line, counted from 1; None for what is wrong with the file as a whole.
        path: Where in the row of that line, for instance ``messages[1]``; None if it is not a single place.
    """

    stage: Stage
    message: str
    code: str | None = None
    line: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        text = self.message.rpartition("Invalid file format. ")[2]
        line = "".join(char if char.isprintable() else "�" for char in text[: _LINE + 1]).strip()
        line = line if len(line) <= _LINE else line[:_LINE] + "…"
        return f"line {self.line}: {line}" if self.line else line


@dataclass(frozen=True, slots=True)
class TrainingFileReport:
    """The result of checking a training file: its contents, its problems, and the training it would give.

    `str()` of it is a text for a person.

    Attributes:
        filename: The name under which it would be uploaded.
        bytes: Its size.
        method: The method of training it was checked for.
        format: ``chat``, ``completion``, ``preference``, ``reinforcement`` or ``unknown``, judged by the first row.
        examples: Its lines, blank ones left out.
        tokens: As *token_count* says. An estimate is made without the service's tokenizer: 3.2 % too low for the one
            file whose count is known (ten short English chats, recorded in 2023-10); further off for code and for
            other languages.
        token_count: ``"exact"``; ``"unproven"``: counted with the model's vocabulary by the rule of gpt-3.5-turbo;
            ``"estimate"``, as it is for every file with tools; ``"none"``: not counted, and so 0.
        longest_example: The tokens of the longest example; the service cuts what its model cannot take in.
        n_epochs: As passed, or what the service chooses by printed jobs (three; more for few examples, fewer for many).
        batch_size: What "auto" becomes by vendor text: 0.2 % of the examples, 1 to 256.
        learning_rate_multiplier: What "auto" becomes by printed jobs, in part inferred; None without a model.
        problems: The first hundred, those of the upload before those of the job.
        more_problems: How many further ones there are.
    """

    filename: str
    bytes: int
    method: str
    format: str
    examples: int
    tokens: int
    longest_example: int
    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float | None
    problems: tuple[TrainingFileProblem, ...] = ()
    more_problems: int = 0
    token_count: TokenCount = "estimate"

    @property
    def ok(self) -> bool:
        """Whether the service would take it, and a job would train with it."""
        return not self.problems

    @property
    def trained_tokens(self) -> int:
        """The tokens that a job would be billed for, as uncertain as `tokens`."""
        return self.tokens * self.n_epochs

    def __str__(self) -> str:
        count = len(self.problems) + self.more_problems
        verdict = "no problems" if self.ok else f"{count:,} problem{'s' * (count > 1)}"
        lines = [f"{self.filename}: {verdict}"]
        for stage, heading in _HEADINGS.items():
            if problems := [f"    {problem}" for problem in self.problems if problem.stage == stage]:
                lines += [f"  {heading}", *problems]
        if self.more_problems:
            lines.append(f"    … and {self.more_problems:,} more")

        about = "about " if self.token_count == "estimate" else ""
        rate = self.learning_rate_multiplier
        numbers = [f"{self.n_epochs} epoch{'s' * (self.n_epochs > 1)}", f"batch size {self.batch_size}"]
        numbers += [] if rate is None else [f"learning rate multiplier {rate}"]
        is_counted = self.token_count != "none"
        longest = f", the longest {about}{self.longest_example:,}" if is_counted else ""
        trained = f"; {about}{self.trained_tokens:,} trained tokens" if is_counted else ""
        lines += [
            f"  {self.examples:,} examples ({self.format}), {_COUNTED[self.token_count].format(f'{self.tokens:,}')}"
            f"{longest}",
            f"  {self.method} training: {', '.join(numbers)}{trained}",
        ]
        return "\n".join(lines)


def check_training_file(
    file: bytes | str | PathLike[str] | BinaryIO,
    *,
    method: Literal["supervised", "dpo", "reinforcement"] = "supervised",
    model: str | None = None,
    n_epochs: int | Literal["auto"] | None = None,
    provider: str | None = None,
    tokens: Literal["estimate", "exact", "none"] = "estimate",
) -> TrainingFileReport:
    """Check a training file as the service would, before it is uploaded and paid for; nothing is sent.

    It needs no key and no provider. Like any reading it blocks, on async clients too: there, call it through
    `asyncio.to_thread` when the file is large (a second or two for 50 MB).

    Args:
        file: A path (str or PathLike), the content (bytes), or a file open for reading bytes, which is read from
            its beginning and then put back to where it was, if it can be.
        method: The method that the job will train by.
        model: The model that the job will start from; without it a supervised job may read either of its formats.
        n_epochs: The number of epochs the job will ask for; ``"auto"`` or None lets the service choose.
        provider: The provider that will train on it, None for the default one: Azure accepts a byte order mark, and
            answers of several messages in preference rows. The rules of any other are OpenAI's.
        tokens: How to count: ``"exact"`` needs the extra ``[tokens]``; ``"none"`` does not, in a fifth of the time.

    Returns:
        All problems of the file, and estimates of what training with it would be.

    Raises:
        OSError: The file cannot be read.
        ValueError: *method*, *n_epochs*, *model* or *tokens* is not one.
        ConfigurationError: No provider has that name.
        ModuleNotFoundError: *tokens* is ``"exact"``, and nothing that counts is installed.
        TypeError: *file* has another type, or is open for reading text.
    """
    if method not in METHOD_FORMATS:
        raise ValueError(f"method must be one of {', '.join(METHOD_FORMATS)}, got {method!r}")
    if n_epochs not in (None, "auto", *range(1, MAX_EPOCHS + 1)):
        raise ValueError(f'n_epochs must be "auto" or 1 to {MAX_EPOCHS}, got {n_epochs!r}')
    if tokens not in TOKENS:
        raise ValueError(f"tokens must be one of {', '.join(TOKENS)}, got {tokens!r}")
    base = None if model is None else base_model(require_name("model", model))
    vocabulary = vocabulary_of(base or "")
    counter = {"estimate": ESTIMATE, "none": None}[tokens] if tokens != "exact" else exact_counter(vocabulary)
    filename = make_file_part(file, None).filename
    formats: tuple[str, ...] = (METHOD_FORMATS[method][1],)
    if method == "supervised":
        formats = (CHAT, COMPLETION) if base is None else (expected_format(method, base),)

    rules = DATA_RULES[find_profile(provider or default_provider()).training_data]
    scan = TrainingFileScan(parse_json, formats, is_first_only=False, rules=rules, counter=counter)
    with _open_from_start(file) as source:
        size, bad_lines, bad_line_count = _scan_lines(source, scan)
    refusals = [*_file_problems(filename, size), *bad_lines]
    failures, more_failures = (
        _job_problems(scan, method, base, filename, is_refused=bool(refusals)) if size else ([], 0)
    )
    problems = (*refusals, *failures)[:MAX_PROBLEMS]
    count = len(refusals) - len(bad_lines) + bad_line_count + len(failures) + more_failures

    is_rewarded = method == "reinforcement" and scan.format == CHAT
    return TrainingFileReport(
        filename=filename,
        bytes=size,
        method=method,
        format=REINFORCEMENT if is_rewarded else scan.format,
        examples=scan.examples,
        tokens=scan.tokens,
        longest_example=scan.longest,
        n_epochs=auto_epochs(scan.examples) if n_epochs in (None, "auto") else int(n_epochs),
        batch_size=auto_batch_size(scan.examples),
        learning_rate_multiplier=None if base is None else auto_learning_rate_multiplier(base),
        problems=problems,
        more_problems=count - len(problems),
        token_count=_token_count(scan, tokens, vocabulary),
    )


def _token_count(scan: TrainingFileScan, tokens: str, vocabulary: str) -> TokenCount:
    if tokens == "none":
        return "none"
    if tokens == "estimate" or scan.has_tools:
        return "estimate"
    return "exact" if vocabulary == CL100K and scan.format == CHAT else "unproven"


@contextmanager
def _open_from_start(file: bytes | str | PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(file, str | PathLike):
        with open(file, "rb") as opened:
            yield opened
    elif isinstance(file, bytes):
        yield io.BytesIO(file)
    elif not hasattr(file, "readline"):
        raise TypeError(f"file must be a path, bytes, or a file open for reading lines of bytes, got {file!r:.80}")
    elif hasattr(file, "seekable") and file.seekable():
        position = file.tell()
        try:
            file.seek(0)
            yield file
        finally:
            file.seek(position)
    else:
        yield file


def _scan_lines(source: BinaryIO, scan: TrainingFileScan) -> tuple[int, list[TrainingFileProblem], int]:
    """Scan a file; return its size, the first lines that the service refuses, and how many there are."""
    size = count = 0
    refused: list[TrainingFileProblem] = []
    while block := require_bytes(source.read(BLOCK_BYTES)):
        block += source.readline(MAX_LINE_BYTES + 1)  # the rest of the last line
        size += len(block)
        for refusal in scan.add_lines(block.removesuffix(b"\n")):
            count += 1
            if len(refused) < MAX_PROBLEMS:
                refused.append(TrainingFileProblem("upload", refusal, None, scan.lines))
        while not block.endswith(b"\n") and (block := source.readline(MAX_LINE_BYTES + 1)):
            size += len(block)  # the rest of a line that is too long
    return size, refused, count


def _file_problems(filename: str, size: int) -> Iterator[TrainingFileProblem]:
    """Yield what is wrong with the file as a whole at upload."""
    if size > MAX_FILE_BYTES:
        told = f"Maximum content size limit ({MAX_FILE_BYTES}) exceeded ({MAX_FILE_BYTES + 1} bytes read)"
        yield TrainingFileProblem("upload", told)
    if not size:
        yield TrainingFileProblem("upload", "File is empty.")  # inferred
    if "." in filename and not filename.lower().endswith(".jsonl"):  # printed
        yield TrainingFileProblem("upload", "Invalid file format for Fine-Tuning API. Must be .jsonl")


def _job_problems(
    scan: TrainingFileScan, method: str, base: str | None, filename: str, *, is_refused: bool
) -> tuple[list[TrainingFileProblem], int]:
    """Return what fails a job on the file, and how many further faults its rows have."""
    expected = scan.format if scan.format in scan.formats else next(iter(scan.formats))
    faults = scan.faults.get(expected, [])
    has_no_rows = scan.first_line is None and is_refused  # its format is not known then
    problems = [
        TrainingFileProblem("job", problem.message, problem.code, problem.line, problem.path)
        for problem in job_problems(
            method=method,
            format=METHOD_FORMATS[method][0] if has_no_rows else scan.format,
            faults=faults,
            examples=scan.examples,
            file_name=filename,
            first_line=scan.first_line,
            is_blind=scan.has_images and base is not None and not sees_images(base),
        )
    ]
    is_other_format = bool(problems) and problems[0].code == "invalid_training_file"
    return problems, 0 if is_other_format else scan.fault_counts.get(expected, 0) - len(faults)
