"""The library of sessions: cassettes that come with this package, recorded from the fake and not from OpenAI."""

from __future__ import annotations

from pathlib import Path

from .errors import CassetteFileError
from .files import text_of
from .yaml_format import header_in

FOLDER = Path(__file__).with_name("sessions")


def session(name: str) -> Path:
    """The path of a session, for `use_cassette`.

    Raises:
        CassetteFileError: there is no such session.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise CassetteFileError(f"there is no session {name!r}: there are {', '.join(sessions())}")
    return path


def sessions() -> dict[str, str]:
    """The names of all sessions, each with a line on what happens in it."""
    found = sorted(FOLDER.glob("*.yaml"))
    return {path.stem: header_in(text_of(path) or "", str(path)).about for path in found}


def training_file() -> Path:
    """The file that is uploaded in sessions, as ``train.jsonl``: ten examples. Another one would not match."""
    return FOLDER / "train.jsonl"
