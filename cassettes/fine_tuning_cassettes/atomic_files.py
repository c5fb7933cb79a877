"""Read and write cassette files: always whole, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from .errors import CassetteFileError


def read_text(path: Path) -> str | None:
    """Read a file as UTF-8 with LF line ends; return None if it does not exist.

    Raises:
        CassetteFileError: it cannot be read, or is not UTF-8.
    """
    try:
        # git and editors may have changed line ends and added a byte-order mark
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise CassetteFileError(f"{path}: must be UTF-8 text: {error}; record it anew") from None
    except OSError as error:
        raise CassetteFileError(f"{path}: cannot be read: {error.strerror or error}") from None


def check_writable(path: Path) -> None:
    """Raise unless a cassette can be written at *path*; leave nothing behind.

    Raises:
        CassetteFileError: its folder, or the closest one that exists, takes no file.
    """
    if path.is_dir():
        raise CassetteFileError(f"{path}: must be a file, got a folder; use {path / 'cassette.yaml'}")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    probe = _temporary_path(folder / path.name)
    try:
        probe.open("x").close()
        probe.unlink()
    except OSError as error:
        raise CassetteFileError(
            f"{path}: cannot be recorded: nothing can be written to {folder}: {error.strerror or error}"
        ) from None


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by *text* in one step: no reader sees half of it, and an error leaves the old file.

    Raises:
        CassetteFileError: it cannot be written.
    """
    temporary = _temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise CassetteFileError(
            f"{path}: cannot be written: {error.strerror or error}; the file is unchanged"
        ) from None


def _temporary_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex[:12]}.tmp")
