"""The sessions bundled with this package: cassettes recorded from the fake, not from OpenAI."""

from __future__ import annotations

from pathlib import Path

from .atomic_files import read_text
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
