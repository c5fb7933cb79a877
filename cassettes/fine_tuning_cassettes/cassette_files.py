"""Cassette files: those bundled with this package, and reading and writing them whole, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from .errors import CassetteFileError
from .yaml_format import load_metadata

FOLDER = Path(__file__).with_name("sessions")


def session(name: str) -> Path:
    """Return the path of a session, for `use_cassette`.

    Raises:
        CassetteFileError: there is no such session.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise CassetteFileError(f"unknown session {name!r}; expected one of: {', '.join(sessions())}")
    return path


def sessions() -> dict[str, str]:
    """Return the name of every session, with one line about it."""
    return {path.stem: load_metadata(read_text(path) or "", str(path)).about for path in sorted(FOLDER.glob("*.yaml"))}


def training_file() -> Path:
    """Return the file that sessions upload as ``train.jsonl``: ten examples. Any other file would not match."""
    return FOLDER / "train.jsonl"


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
