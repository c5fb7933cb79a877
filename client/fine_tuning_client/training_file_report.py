"""What a check of a training file has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["upload", "job"]

_HEADINGS: dict[Stage, str] = {"upload": "the upload is refused:", "job": "a job on it fails:"}
_LINE = 200  # characters of a message that are shown to a person


@dataclass(frozen=True, slots=True)
class TrainingFileProblem:
    """One thing wrong with a training file.

    Attributes:
        stage: Who finds it: ``"upload"`` (status 400, or 413 for the size) or ``"job"`` (it fails while validating).
        message: What the service says of it; it stops at the first problem.
        code: The ``error.code`` of the failed job; None at upload.
        line: In which line, counted from 1; None for what is wrong with the file as a whole.
        path: Where in the row of that line, for instance ``messages[1]``; None where it is no one place.
    """

    stage: Stage
    message: str
    code: str | None = None
    line: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        text = self.message.rpartition("Invalid file format. ")[2]
        shown = "".join(each if each.isprintable() else "�" for each in text[: _LINE + 1]).strip()
        shown = shown if len(shown) <= _LINE else shown[:_LINE] + "…"
        return f"line {self.line}: {shown}" if self.line else shown


@dataclass(frozen=True, slots=True)
class TrainingFileReport:
    """What a training file holds, what is wrong with it, and what training with it would be; from a check.

    `str()` of it is a text for a person.

    Attributes:
        filename: The name under which it would be uploaded.
        bytes: Its size.
        method: The method of training it was checked for.
        format: ``chat``, ``completion``, ``preference``, ``reinforcement`` or ``unknown``, judged by the first row.
        examples: Its lines, blank ones left out.
        tokens: An estimate, made without the service's tokenizer: 3.2 % too low for the one file whose count is known
            (ten short English chats, recorded in 2023-10); further off for code and for other languages.
        longest_example: The estimated tokens of the longest example; the service cuts what its model cannot take in.
        n_epochs: As given, or what the service chooses by printed jobs (three; more for few examples, fewer for many).
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
        return "\n".join([f"{self.filename}: {verdict}", *self._listed(), *self._numbers()])

    def _listed(self) -> list[str]:
        lines: list[str] = []
        for stage, heading in _HEADINGS.items():
            if found := [f"    {problem}" for problem in self.problems if problem.stage == stage]:
                lines += [f"  {heading}", *found]
        return [*lines, *([f"    … and {self.more_problems:,} more"] if self.more_problems else [])]

    def _numbers(self) -> list[str]:
        rate = self.learning_rate_multiplier
        numbers = [f"{self.n_epochs} epoch{'s' * (self.n_epochs > 1)}", f"batch size {self.batch_size}"]
        numbers += [] if rate is None else [f"learning rate multiplier {rate}"]
        return [
            f"  {self.examples:,} examples ({self.format}), about {self.tokens:,} tokens, "
            f"the longest about {self.longest_example:,}",
            f"  {self.method} training: {', '.join(numbers)}; about {self.trained_tokens:,} trained tokens",
        ]
