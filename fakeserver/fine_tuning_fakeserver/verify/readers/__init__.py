"""Recordings of several formats, read into exchanges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import yaml

from ..recording import NotARecordingError, RecordedExchange, Recording, RecordingError
from . import har, proxy, vcr
from .decoding import json_of, yaml_of

FORMATS = "test-proxy JSON (Entries), a VCR cassette (interactions, http_interactions) or a HAR file (log.entries)"
SUFFIXES = (".json", ".yaml", ".yml", ".har")

READERS: dict[str, Callable[[Any, str], Iterator[RecordedExchange]]] = {
    "test-proxy": proxy.exchanges,
    "vcr": vcr.exchanges,
    "har": har.exchanges,
}

_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError)


def files_in(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """The files at *paths*, folders gone through, and whether each was named itself.

    Raises:
        RecordingError: there is nothing at a path, or no file of a known kind in a folder.
    """
    for path in paths:
        if path.is_file():
            yield path, True
            continue
        if not path.is_dir():
            raise RecordingError(f"{path}: there is no such file or folder")
        found = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not found:
            raise RecordingError(f"{path}: the folder has no recording: files that end in {', '.join(SUFFIXES)}")
        yield from ((each, False) for each in found)


def read_recordings(path: Path) -> Recording:
    """The recording in a file; its format is told by what is in it.

    Raises:
        NoRecordingError: it is sound, and no recording.
        RecordingError: it cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read as text: {error}") from None
    document = _document(path, text)
    kind = _format_of(document)
    if kind is None:
        raise NotARecordingError(f"{path}: no recording that is known here: wanted is {FORMATS}")
    try:
        exchanges = tuple(READERS[kind](document, text))
        for exchange in exchanges:
            _check(exchange)
        return Recording(path, kind, exchanges)
    except _MALFORMED as error:
        raise RecordingError(f"{path}: broken {kind} recording: {type(error).__name__}: {error}") from None


def _check(exchange: RecordedExchange) -> None:
    """Refuse what could never have been sent."""
    if not (exchange.method.isascii() and exchange.method.isalpha()):
        raise ValueError(f"{exchange.method!r} is no method")
    if not exchange.target.isprintable():
        raise ValueError(f"{exchange.url!r} is no address")


def _document(path: Path, text: str) -> Any:
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    try:
        return yaml_of(text) if is_yaml else json_of(text)
    except (JSONDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())
        raise RecordingError(f"{path}: no {'YAML' if is_yaml else 'JSON'}: {said}; wanted is {FORMATS}") from None


def _format_of(document: Any) -> str | None:
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("Entries"), list):
        return "test-proxy"
    if any(isinstance(document.get(name), list) for name in vcr.NAMES):
        return "vcr"
    log = document.get("log")
    return "har" if isinstance(log, dict) and isinstance(log.get("entries"), list) else None
