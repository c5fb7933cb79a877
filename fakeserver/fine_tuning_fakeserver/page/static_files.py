"""The files that the page is made of, read once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fine_tuning_formats.lazy_dataclass import dataclass

MEDIA_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
}
"""By the end of the name; other files, such as licences, are no part of the page."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file with its media type, and the tag of its content."""

    content: bytes
    media_type: bytes
    etag: bytes


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return the files by their paths below the page's."""
    return dict(_files_in(files(__package__).joinpath("static"), ""))


def _files_in(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found: list[tuple[str, StaticFile]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files_in(entry, f"{prefix}{entry.name}/")
        elif media_type := MEDIA_TYPES.get("." + entry.name.rpartition(".")[2]):
            content = entry.read_bytes()
            etag = b'"%s"' % hashlib.sha256(content).hexdigest()[:16].encode()
            found.append((prefix + entry.name, StaticFile(content, media_type, etag)))
    return found
