"""Secrets by the names they go under: one rule for headers, queries, forms and JSON, and for JSON within JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from .exchanges import parsed, unescaped

SCRUBBED = "scrubbed"
DEPTH = 8
"""How deep JSON is looked into, JSON within JSON included."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SURE = frozenset(
    {"password", "passwd", "passphrase", "secret", "credential", "authorization", "apikey", "signature", "sig"}
)
"""Last words of names of secrets."""
_PAIRS = {
    "key": frozenset({"api", "account", "private", "access", "secret", "subscription"}),
    "token": frozenset(
        {"access", "refresh", "auth", "id", "session", "bearer", "security", "hf", "github", "gitlab", "wandb"}
    ),
}
"""The same, with the word before."""
_MAYBE = frozenset({"key", "token", "code", "auth", "pat", "session", "cookie", "bearer"})
"""Last words of names of secrets, and of much else: what is under them is a secret if it looks like one."""
_LIKE_ONE = re.compile(r"(?=\S*\d|(?=\S*[a-z])\S*[A-Z])\S{16,}")
_IN_HEADERS = _SURE | (_MAYBE - {"code"})

_NAME = r"[\w .\[\]-]{1,64}"
_MEMBER = re.compile(rf'("({_NAME})"\s*:\s*)"((?:[^"\\]|\\.)*+)"')
_PARAMETER = re.compile(r"(?<=[?&])([\w.\[\]%-]{1,64})=([^&\s\"'\\]+)")


def is_secret(name: str, value: str = "") -> bool:
    """Whether *value* is a secret, going by its name in any spelling: ``hf_token``, ``X-Api-Key``, ``apiKey``."""
    words = _words(name)
    return _is_sure(words) or (bool(words) and words[-1] in _MAYBE and _LIKE_ONE.fullmatch(value) is not None)


def names_secret(header: str) -> bool:
    """Whether a header's name has the word for a secret anywhere."""
    return not _IN_HEADERS.isdisjoint(_words(header))


def secrets_in(value: Any, depth: int = DEPTH) -> Iterator[str]:
    """The texts in a JSON value that are secrets."""
    if depth == 0:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _texts(member, depth) if _is_sure(_words(name)) else secrets_in(member, depth - 1)
            if isinstance(member, str) and is_secret(name, member):
                yield member
    elif isinstance(value, list):
        for each in value:
            yield from secrets_in(each, depth - 1)
    elif isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        yield from secrets_in(parsed(value), depth - 1)


def secrets_in_text(text: str) -> Iterator[str]:
    """The texts that are secrets in what looks like JSON, and may be none."""
    for found in _MEMBER.finditer(text):
        if is_secret(found[2], found[3]):
            yield unescaped(found[3])


def without_named(text: str) -> str:
    """*text* without secrets in members of JSON and in queries of addresses."""
    text = _MEMBER.sub(lambda found: f'{found[1]}"{SCRUBBED}"' if is_secret(found[2], found[3]) else found[0], text)
    return _PARAMETER.sub(
        lambda found: f"{found[1]}={SCRUBBED}" if is_secret(unquote(found[1]), found[2]) else found[0], text
    )


def _is_sure(words: list[str]) -> bool:
    if not words:
        return False
    last = words[-1] if words[-1] in _SURE else words[-1].removesuffix("s")
    return last in _SURE or (len(words) > 1 and words[-2] in _PAIRS.get(last, ()))


def _words(name: str) -> list[str]:
    return [each.lower() for each in _WORD.findall(name)]


def _texts(value: Any, depth: int) -> Iterator[str]:
    """All texts under the name of a secret."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each, depth - 1)
