"""Training files as jobs read them; the rules themselves are in `fine_tuning_formats`, shared with the client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from fine_tuning_formats.row_rules import UNKNOWN
from fine_tuning_formats.training_file import TrainingFileScan


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training file as far as a job needs to know it.

    `format` is judged by the first row. `faults` has, for each format that the file is not sound in, what is wrong
    with the first row that breaks it: "Example N…" in the service's words. So the file is read once, at upload,
    whichever method reads it later: rows of messages are a chat file to one and prompts to another.
    """

    examples: int = 0
    tokens: int = 0
    format: str = UNKNOWN
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job: its id, and what it holds."""

    id: str
    data: Dataset


def read(lines: Iterable[bytes]) -> Dataset:
    """Read a training file line by line; blank lines are passed over.

    Raises:
        NotJsonlError: A line is not a JSON object, or is too long.
    """
    scan = TrainingFileScan(orjson.loads)
    for number, line in enumerate(lines, start=1):
        scan.add_line(line, number)
    faults = {name: kept[0].text for name, kept in scan.faults.items()}
    return Dataset(scan.examples, scan.tokens, scan.format, faults)
