"""Content that stands for content nobody recorded: as many bytes, and sound as training data where there is room."""

from __future__ import annotations

import os
import tempfile
import weakref
from dataclasses import dataclass

from fine_tuning_formats.row_rules import CHAT, COMPLETION, PREFERENCE, REINFORCEMENT

from ..account.blobs import IN_MEMORY_AT_MOST, Blob
from ..domain.training_files import Dataset

TOKENS = 500
_ROWS = {
    CHAT: b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n',
    PREFERENCE: b'{"input":{"messages":[{"role":"user","content":"a"}]},"preferred_output":'
    b'[{"role":"assistant","content":"b"}],"non_preferred_output":[{"role":"assistant","content":"c"}]}\n',
    REINFORCEMENT: b'{"messages":[{"role":"user","content":"a"}]}\n',
    COMPLETION: b'{"prompt":"a","completion":"b"}\n',
}
_BLANK = b" " * 65_535 + b"\n"


@dataclass(frozen=True, slots=True)
class DatasetShape:
    """What is known of a training file: how many examples, and in which format; the default is the least."""

    examples: int = 10
    format: str = CHAT


def rows(size: int, data: DatasetShape) -> bytes:
    """Exactly *size* bytes of JSONL with as many examples as there is room for, padded with blank lines."""
    row = _ROWS[data.format]
    text = row * min(data.examples, size // len(row)) or b"{}\n"
    text = text[:size] if size >= 2 else b"\n" * size
    missing = size - len(text)
    return text + (_BLANK * (missing // len(_BLANK) + 1))[:missing]


def content(size: int, data: DatasetShape) -> Blob:
    """*size* bytes for a file that was there before; large ones are a hole on disk, which takes no room."""
    if size <= IN_MEMORY_AT_MOST:
        return Blob.of(rows(size, data))
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        descriptor = os.dup(file.fileno())
    hole = Blob(b"", descriptor, size)
    weakref.finalize(hole, os.close, descriptor)
    return hole


def dataset(purpose: str, data: DatasetShape) -> Dataset | None:
    """What such a file holds, as far as a job asks."""
    judged = CHAT if data.format == REINFORCEMENT else data.format  # by its first row, which has messages
    return Dataset(data.examples, TOKENS, judged) if purpose == "fine-tune" else None
