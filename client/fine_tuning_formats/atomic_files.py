"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4


def temporary_path(path: Path) -> Path:
    """Return a path beside *path* that nobody else uses."""
    return path.with_name(f".{uuid4().hex}.tmp")


@contextmanager
def replacing(path: Path) -> Generator[IO[bytes], None, None]:
    """Yield a file to write, which replaces that of *path* in one step at the end of the context.

    No reader sees half of it, and an error leaves the old file.

    Raises:
        OSError: it cannot be written.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file by *content* in one step; see `replacing`.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as file:
        file.write(content)
