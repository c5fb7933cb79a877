"""Files of cassettes: read whole, and written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from .errors import CassetteFileError


def text_of(path: Path) -> str | None:
    """The text of a file, lines ended as they were written, whatever git made of that; None where there is none.

    Raises:
        CassetteFileError: it cannot be read as text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise CassetteFileError(f"{path}: no UTF-8 text: {error}. Record it anew") from None
    except OSError as error:
        raise CassetteFileError(f"{path}: cannot be read: {error.strerror or error}") from None


def check_writable(path: Path) -> None:
    """Make sure that a cassette can be written, and leave nothing behind.

    Raises:
        CassetteFileError: it cannot: its folder, or that to make it in, takes no file.
    """
    if path.is_dir():
        raise CassetteFileError(f"{path}: it is a folder: a cassette is a file, such as {path / 'cassette.yaml'}")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    probe = _beside(folder / path.name)
    try:
        probe.open("x").close()
        probe.unlink()
    except OSError as error:
        raise CassetteFileError(
            f"{path}: cannot be recorded: nothing can be written to {folder}: {error.strerror or error}"
        ) from None


def write(path: Path, text: str) -> None:
    """Put *text* in the place of a file at once: nobody sees half of it, and after an error the old file is there.

    Raises:
        CassetteFileError: it cannot be written.
    """
    scratch = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise CassetteFileError(
            f"{path}: cannot be written: {error.strerror or error}; what was there is unchanged"
        ) from None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex[:12]}.tmp")
