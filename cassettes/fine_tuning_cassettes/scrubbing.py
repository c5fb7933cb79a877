"""Secrets out of requests and answers: by the name they go under, by their form, and wherever else they turn up.

Headers are kept by a list of those that are known to be harmless; of all others not even the name is. What was sent as
a secret (keys, cookies, the names of an organisation and a project) is taken out of everything that is written, in
every spelling; so is what looks like one. A secret of fewer than `SHORT` characters, or that is a word, is only taken
out of its own place: as a text it may turn up anywhere.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

from .exchanges import Answer, Asked, Headers, Part, header, is_file, parsed
from .forms import FORM
from .named import SCRUBBED, is_secret, names_secret, secrets_in, secrets_in_text, without_named
from .places import without_base
from .shapes import ENDS, KEY, MASKED, ORGANIZATION, PATTERNS, PROJECT, REQUEST, USER

SHORT = 8
BOUNDARY = "multipart/form-data; boundary=cassette"

KEPT_OF_REQUESTS = frozenset({"content-type", "openai-beta"})
KEPT_OF_ANSWERS = frozenset(
    {
        "content-type",
        "content-length",
        "content-disposition",
        "location",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "www-authenticate",
        "x-should-retry",
    }
)
STAND_INS = {"x-request-id": REQUEST, "apim-request-id": REQUEST}
"""Headers of answers that clients look at, with what they say in cassettes."""
STANDING = frozenset({KEY, ORGANIZATION, PROJECT, USER, REQUEST, MASKED, SCRUBBED})
"""What stands for something else is no secret."""

_IDENTITIES = {"openai-organization": ORGANIZATION, "openai-project": PROJECT}
_ORGANIZATION_MEMBER = re.compile(
    r'("(?:organization_id"\s*:\s*|entity"\s*:\s*|owned_by"\s*:\s*(?!"(?:openai[\w-]*|system|personal)")))'
    r'"((?:[^"\\]|\\.)++)"'
)


@dataclass(frozen=True)
class Secrets:
    """Texts that may not be written, each with what stands for it."""

    texts: Mapping[str, str]

    @classmethod
    def sent(cls, asked: Iterable[Asked], answers: Iterable[Answer] = ()) -> Secrets:
        """What requests and answers have for secrets, in the places where secrets are."""
        found: dict[str, str] = {}
        for each in asked:
            found.update(_of_request(each))
        for answer in answers:
            found.update(_of_headers(answer.headers))
            found.update((text, SCRUBBED) for text in secrets_in(parsed(answer.body)))
        kept = {text: stand_in for text, stand_in in found.items() if len(text) >= SHORT and not _is_word(text)}
        return cls({text: stand_in for text, stand_in in kept.items() if text not in (*STANDING, stand_in)})

    def out_of(self, text: str) -> str:
        """*text* without secrets."""
        for spelling, stand_in in self._spellings:
            text = text.replace(spelling, stand_in)
        text = _ORGANIZATION_MEMBER.sub(rf'\1"{ORGANIZATION}"', without_named(text))
        text = ENDS.sub(self._masked, text)
        for pattern, stand_in in PATTERNS:
            text = pattern.sub(stand_in, text)
        return text

    def out_of_bytes(self, body: bytes) -> bytes:
        """*body* without secrets; what is no UTF-8 stays as it is."""
        return self.out_of(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def left_in(self, text: str) -> list[str]:
        """The secrets that *text* still has, in any spelling."""
        return [each for each, stand_in in self.texts.items() if each not in stand_in and _has(text, each)]

    def _masked(self, found: re.Match[str]) -> str:
        """`MASKED` for a key of which the ends are shown; two asterisks, and dots, stand between other words, too."""
        start, between, end = found.groups()
        keys = [each for each in self.texts if " " not in each] if len(start + end) > 5 else []
        is_known = any(each.startswith(start) and each.endswith(end) for each in keys)
        is_key = between.startswith("***") or (start.startswith(("sk-", "sess-")) and len(end) > 1)
        return MASKED if is_known or is_key else found[0]

    @cached_property
    def _spellings(self) -> list[tuple[str, str]]:
        """The longest first: one may be part of another."""
        found = {spelling: stand_in for text, stand_in in self.texts.items() for spelling in _spelt(text)}
        return sorted(found.items(), key=lambda each: (-len(each[0]), each[0]))


def _is_word(text: str) -> bool:
    """Whether a secret is a word, such as "personal" or "training", which may be meant as one elsewhere."""
    return text.isalpha() and len(text) < 2 * SHORT and text[1:].islower()


def _has(text: str, secret: str) -> bool:
    return any(each in text for each in _spelt(secret))


def _spelt(text: str) -> set[str]:
    """*text* as it may be written: plain, in a URL, in JSON, in JSON within JSON, and in base64."""
    quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    twice = {json.dumps(each)[1:-1] for each in escaped}
    lower = {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in quoted}
    raw = text.encode("utf-8", "surrogateescape")
    return {text, *quoted, *lower, *escaped, *twice, *_wrapped(raw), raw.hex(), raw.hex().upper()}


def _wrapped(raw: bytes) -> set[str]:
    """How *raw* looks in base64, alone or within something longer: what its neighbours change is left off."""
    found = {base64.b64encode(raw).decode().rstrip("=")}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode()
        cut = text.rstrip("=")[:-1] if text.endswith("=") else text
        found.add(cut[(0, 2, 3)[before] :])
    return {each for each in found if len(each) >= SHORT}


def is_secret_header(name: str) -> bool:
    """Whether what is sent under this name, in lower case, is a secret or the name of an account."""
    return name in _IDENTITIES or names_secret(name)


def scrubbed_request(asked: Asked, secrets: Secrets, keep: Iterable[str] = ()) -> Asked:
    """A request without secrets, and without headers that do not matter."""
    form = None if asked.form is None else tuple(_part(part, secrets) for part in asked.form)
    headers = _headers(asked.headers, {*KEPT_OF_REQUESTS, *keep}, secrets)
    if form is not None:
        headers = tuple(
            (name, BOUNDARY if name == "content-type" and value.lower().startswith(FORM) else value)
            for name, value in headers
        )
    return Asked(asked.method, _uri(asked.uri, secrets), headers, secrets.out_of_bytes(asked.body), form)


def scrubbed_answer(answer: Answer, secrets: Secrets, keep: Iterable[str] = ()) -> Answer:
    """An answer without secrets, and without headers that do not matter; its length is put right."""
    headers = _headers(answer.headers, {*KEPT_OF_ANSWERS, *keep}, secrets)
    return measured(replace(answer, headers=headers, body=secrets.out_of_bytes(answer.body)))


def measured(answer: Answer) -> Answer:
    """An answer that says how long it is, if it says so at all."""
    length = str(len(answer.body))
    headers = tuple((name, length if name == "content-length" else value) for name, value in answer.headers)
    return replace(answer, headers=headers)


def _part(part: Part, secrets: Secrets) -> Part:
    name = secrets.out_of(part.name)
    filename = None if part.filename is None else secrets.out_of(_base_name(part.filename))
    content = None if part.content is None else secrets.out_of_bytes(part.content)
    if content and not is_file(part) and is_secret(part.name, content.decode("utf-8", "replace")):
        content = SCRUBBED.encode()
    return replace(part, name=name, filename=filename, content=content)


def _base_name(filename: str) -> str:
    """The name of a file without the folders that it was in."""
    return filename.replace("\\", "/").rpartition("/")[2]


def _headers(headers: Headers, kept: set[str], secrets: Secrets) -> Headers:
    """The headers that matter; those of one name together, where the first of them was."""
    first = {name: place for place, (name, _) in reversed(list(enumerate(headers)))}
    found = [
        (name, STAND_INS.get(name) or secrets.out_of(value))
        for name, value in headers
        if name in kept or name in STAND_INS
    ]
    return tuple(sorted(found, key=lambda each: first[each[0]]))


def _uri(uri: str, secrets: Secrets) -> str:
    """An address without credentials; that of this machine without its port, which is another each time."""
    split = urlsplit(uri)
    host = split.hostname or ""
    place = "localhost" if _is_here(host) else host + (f":{split.port}" if split.port else "")
    pairs = parse_qsl(split.query, keep_blank_values=True)
    query = urlencode([(name, SCRUBBED if is_secret(name, value) else value) for name, value in pairs], safe="[]:,/")
    return secrets.out_of(urlunsplit((split.scheme, place, without_base(split.path), query, "")))


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _of_request(asked: Asked) -> Iterator[tuple[str, str]]:
    split = urlsplit(asked.uri)
    yield from _of_headers(asked.headers)
    for name, value in parse_qsl(split.query):
        if is_secret(name, value):
            yield value, SCRUBBED
    if split.password:
        yield split.password, SCRUBBED
    text = asked.body.decode("utf-8", "replace")
    yield from ((each, SCRUBBED) for each in (*secrets_in_text(text), *secrets_in(parsed(asked.body))))
    yield from ((found[2], ORGANIZATION) for found in _ORGANIZATION_MEMBER.finditer(text))
    for part in asked.form or ():
        if part.filename and part.filename != _base_name(part.filename):
            yield part.filename, _base_name(part.filename)
    fields = [(part.name, part.content) for part in asked.form or () if part.content and not is_file(part)]
    pairs = [(name, content.decode("utf-8", "replace")) for name, content in fields]
    if "urlencoded" in header(asked.headers, "content-type"):
        pairs += parse_qsl(text)
    yield from ((value, SCRUBBED) for name, value in pairs if is_secret(name, value))


def _of_headers(headers: Headers) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name in _IDENTITIES:
            yield value, _IDENTITIES[name]
        elif name in STAND_INS:
            yield value, STAND_INS[name]
        elif is_secret_header(name):
            yield from ((each, KEY if each.startswith("sk-") else SCRUBBED) for each in _values(name, value))


def _values(name: str, value: str) -> Iterator[str]:
    """The secret in a header: without the scheme before it, and of cookies each."""
    if "cookie" in name:
        pairs = [each.partition("=")[2].strip() for each in value.split(";")]
        yield from pairs[:1] if name == "set-cookie" else pairs
    else:
        scheme, _, said = value.strip().rpartition(" ")
        yield value.strip()
        yield said
        if scheme.lower() == "basic":
            with suppress(ValueError):
                yield base64.b64decode(said).decode("utf-8", "replace").partition(":")[2]
