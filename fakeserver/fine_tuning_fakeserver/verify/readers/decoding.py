"""Text as a document, bodies as bytes."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the C loader where there is one: twenty times as fast
    """The safe loader, with the one tag more that Ruby's VCR writes."""


def _binary(loader: Any, node: Any) -> bytes:
    return base64.b64decode(loader.construct_scalar(node))


_Loader.add_constructor("!binary", _binary)


def yaml_of(text: str) -> Any:
    """*text* as a YAML document.

    Raises:
        yaml.YAMLError: it is none, or it has a tag that could be anything.
    """
    return yaml.load(text, _Loader)  # a safe loader


def json_of(text: str) -> Any:
    """*text* as a JSON document. Raises as `json.loads` does."""
    return json.loads(text)


def bytes_of(value: Any) -> bytes:
    """A recorded body, which is text or bytes; None is no body."""
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8", "surrogatepass")


def unpacked(body: bytes, headers: dict[str, str]) -> bytes:
    """*body* without its compression; as it is where the recorder had unpacked it already, or nobody can here."""
    coding = headers.get("content-encoding", "").lower()
    try:
        if coding == "gzip":
            return gzip.decompress(body)
        return zlib.decompress(body) if coding == "deflate" else body
    except (OSError, EOFError, zlib.error):
        return body
