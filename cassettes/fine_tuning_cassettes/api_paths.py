"""Where in the API a request goes: which paths are the API's, and what they are about."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

COLLECTIONS = (
    "fine_tuning/jobs",
    "fine_tuning/checkpoints",
    "fine_tuning/alpha/graders",
    "files",
    "uploads",
    "models",
    "chat/completions",
    "completions",
)
"""What cassettes record. Everything else passes them by, and goes where it was sent."""

CHANGE_NOTHING = ("fine_tuning/alpha/graders", "chat/completions", "completions")
"""Collections to which a POST asks for something and changes nothing."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_BASE = re.compile(r"(/.*?)?/((?:openai/)?v\d+\w*|openai)")
"""What comes before: ``/v1``, ``/openai``, ``/openai/v1``, ``/gateway/v1`` … but not ``/api`` of some other service."""

_DEPLOYMENT = re.compile(r"^deployments/[^/]+/")
"""Azure's choice of a model, where others have it in the body: it is no part of the base, it means something."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What a path is about: one thing of a collection, or with no id the collection itself."""

    collection: str
    id: str = ""


def is_for_api(url: str, hosts: Collection[str] = ()) -> bool:
    """Whether a request to *url* is for the API.

    Args:
        url: an address with any base path.
        hosts: the only hosts the API is at; there any base path will do. None given: all hosts, and a base path that
            ends in a version or in Azure's ``/openai``.
    """
    split = urlsplit(url)
    if hosts:
        return split.hostname in hosts and api_path(url) is not None
    return _after(split.path, versioned=True) is not None


def without_base(path: str) -> str:
    """*path* with no more of its base than the last part, which says the version: what is before may be anything."""
    segments = [segment for segment in path.split("/") if segment]
    start = _start(segments, versioned=True) or _start(segments, versioned=False)
    if not start:
        return path
    base = _BASE.fullmatch("".join(f"/{segment}" for segment in segments[:start]))
    return "/".join(["", *([base[2]] if base else []), *segments[start:]])


def api_path(url: str) -> str | None:
    """The path from the API's base on, whatever that is, spelt in one way; None where there is none."""
    path = urlsplit(url).path
    return _after(path, versioned=True) or _after(path, versioned=False)


def _after(path: str, versioned: bool) -> str | None:
    segments = [segment for segment in path.split("/") if segment]
    start = _start(segments, versioned)
    if start is None:
        return None
    return "/".join(quote(unquote(segment), safe=":@,+~") for segment in segments[start:])


def _start(segments: list[str], versioned: bool) -> int | None:
    """Which of the segments of a path is the first after the API's base."""
    for start in range(len(segments)):
        base = "".join(f"/{segment}" for segment in segments[:start])
        if _collection("/".join(segments[start:])) and (not versioned or _BASE.fullmatch(base)):
            return start
    return None


def resource_of(path: str) -> Resource:
    """What *path* is about, as `api_path` spells it."""
    path = _DEPLOYMENT.sub("", path)
    collection = _collection(path) or path
    return Resource(collection, unquote(path[len(collection) :].strip("/").split("/")[0]))


def changes(method: str, path: str) -> bool:
    """Whether a request is there to change something."""
    return method not in SAFE_METHODS and _collection(path) not in CHANGE_NOTHING


def is_content(path: str) -> bool:
    """Whether *path* is that of a file's content."""
    return path.startswith("files/") and path.endswith("/content")


def _collection(path: str) -> str | None:
    path = _DEPLOYMENT.sub("", path)
    return next((each for each in COLLECTIONS if path == each or path.startswith(each + "/")), None)
