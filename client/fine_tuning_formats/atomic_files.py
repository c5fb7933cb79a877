"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def temporary_path(path: Path) -> Path:
    """Return a path beside *path* that nobody else uses."""
    return path.with_name(f".{uuid4().hex}.tmp")


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file by *content* in one step: no reader sees half of it, and an error leaves the old file.

    Raises:
        OSError: it cannot be written.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
