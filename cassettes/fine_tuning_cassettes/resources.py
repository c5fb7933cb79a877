"""The paths of the API: which URLs belong to it, and which resource a path addresses."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote, unquote, urlsplit

from fine_tuning_formats.api_paths import API_PATHS
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import is_loopback

GRADERS = "fine_tuning/alpha/graders"

COLLECTIONS = tuple(
    dict.fromkeys(
        GRADERS if operation.path.startswith(f"/{GRADERS}/") else operation.path.partition("/{")[0].strip("/")
        for operation in API_PATHS
    )
)
"""What cassettes record. Every other request is sent as if there were no cassette."""

STATELESS = (GRADERS, "chat/completions", "completions")
"""Collections where a POST changes nothing."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_VERSIONED_BASE = re.compile(r"(/.*?)?/((?:openai/)?v\d+\w*|openai)")
"""A base path of the API: ``/v1``, ``/openai``, ``/openai/v1``, ``/gateway/v1``; not ``/api`` of another service."""

_DEPLOYMENT = re.compile(r"^deployments/[^/]+/")
"""Azure names the model here where others name it in the body, so it is not part of the base path."""


@dataclass(frozen=True, slots=True)
class Resource:
    """The target of a path: one item of a collection, or the collection itself if the id is empty."""

    collection: str
    id: str = ""


def is_api_url(url: str, hosts: Collection[str] = ()) -> bool:
    """Return whether *url* belongs to the API.

    Args:
        url: a URL with any base path.
        hosts: the only hosts of the API, where any base path will do. Empty: every host, with a base path that ends in
            a version or in Azure's ``/openai``.
    """
    address = urlsplit(url)
    if hosts:
        return address.hostname in hosts and api_path(url) is not None
    return _split_base(address.path, versioned=True) is not None


def provider_of(url: str) -> str:
    """Return "openai" or "azure", whichever *url* leads to; empty for others: a gateway, a server on this machine."""
    address = urlsplit(url)
    host = address.hostname or ""
    if host.endswith(".openai.com"):
        return "openai"
    return "azure" if "/openai/" in address.path and not is_loopback(host) else ""


def api_path(url: str) -> str | None:
    """Return the path below the API's base path, percent-encoded in one way; None if *url* is not the API's."""
    split = _split_any_base(urlsplit(url).path)
    return split and "/".join(quote(unquote(segment), safe=":@,+~") for segment in split[1].split("/"))


def shorten_base(path: str) -> str:
    """Reduce the base of *path* to the part that names the version: anything before it may be private."""
    base, rest = _split_any_base(path) or ("", "")
    if not base:
        return path
    version = _VERSIONED_BASE.fullmatch(base)
    return f"/{version[2]}/{rest}" if version else f"/{rest}"


def parse_resource(path: str) -> Resource:
    """Return what *path*, as `api_path` returns it, addresses."""
    path = _DEPLOYMENT.sub("", path)
    collection = _collection(path) or path
    return Resource(collection, unquote(path[len(collection) :].strip("/").split("/")[0]))


def is_write(method: str, path: str) -> bool:
    """Return whether a request is meant to change something."""
    return method not in SAFE_METHODS and _collection(path) not in STATELESS


def is_file_content(path: str) -> bool:
    """Return whether *path* is that of a file's content."""
    return path.startswith("files/") and path.endswith("/content")


def _split_any_base(path: str) -> tuple[str, str] | None:
    return _split_base(path, versioned=True) or _split_base(path, versioned=False)


def _split_base(path: str, versioned: bool) -> tuple[str, str] | None:
    """Split *path* into the API's base path and the rest; None if nothing in it is the API's."""
    segments = [segment for segment in path.split("/") if segment]
    for start in range(len(segments)):
        base, rest = "".join(f"/{segment}" for segment in segments[:start]), "/".join(segments[start:])
        if _collection(rest) and (not versioned or _VERSIONED_BASE.fullmatch(base)):
            return base, rest
    return None


def _collection(path: str) -> str | None:
    path = f"{_DEPLOYMENT.sub('', path)}/"
    return next((collection for collection in COLLECTIONS if path.startswith(f"{collection}/")), None)
