"""Remove secrets from requests and responses.

Three rules, each for what the others miss:

- **By name.** What goes under the name of a secret (a header, a member of JSON, a field of a form, a parameter of a
  URL) is replaced there. Of headers only those known to be harmless are kept at all.
- **By form.** What looks like a key, a token, or the name of an account is replaced wherever it stands.
- **By value.** What was sent or received as a secret (`SecretMap.collect`) is replaced wherever it turns up, in every
  spelling, and is searched for once more before a cassette is written. A secret of fewer than `SHORT` characters, or
  that is a word, is replaced by name only: as a text it may turn up anywhere.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit, urlunsplit

from fine_tuning_formats.bodies import MEDIA_TYPE
from fine_tuning_formats.text import is_loopback

from .messages import (
    FIELDS_TYPE,
    Headers,
    RecordedRequest,
    RecordedResponse,
    fix_content_length,
    header_value,
    parse_json,
    unescape_json,
)
from .resources import shorten_base

# What stands for secrets.
SCRUBBED, KEY, ORGANIZATION, PROJECT = "scrubbed", "sk-scrubbed", "org-scrubbed", "proj_scrubbed"
USER, REQUEST = "user-scrubbed", "req_scrubbed"
MASKED = "sk-****bbed"
"""How errors quote `KEY`: the service shows the ends of a wrong key."""
BOUNDARY = f"{MEDIA_TYPE}; boundary=cassette"
STAND_INS = frozenset({SCRUBBED, KEY, ORGANIZATION, PROJECT, USER, REQUEST, MASKED})

SHORT = 8
MAX_DEPTH = 8
"""How deep JSON is searched, JSON within strings of JSON included."""

KEPT_REQUEST_HEADERS = frozenset({"content-type", "openai-beta"})
KEPT_RESPONSE_HEADERS = frozenset(
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
_REQUEST_ID_HEADERS = {"x-request-id": REQUEST, "apim-request-id": REQUEST}
"""Headers that clients read, so they are kept, with something that stands for their value."""
_ACCOUNT_HEADERS = {"openai-organization": ORGANIZATION, "openai-project": PROJECT}

# Names of secrets, by their last words.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "secret", "credential", "authorization", "apikey", "signature", "sig"}
)
_SECRET_PAIRS = {
    "key": frozenset({"api", "account", "private", "access", "secret", "subscription"}),
    "token": frozenset(
        {"access", "refresh", "auth", "id", "session", "bearer", "security", "hf", "github", "gitlab", "wandb"}
    ),
}
"""Last words that are those of a secret after one of these words."""
_AMBIGUOUS_WORDS = frozenset({"key", "token", "code", "auth", "pat", "session", "cookie", "bearer"})
"""Last words that secrets share with much else: the value is a secret if it looks random."""
_RANDOM_VALUE = re.compile(r"(?=\S*\d|(?=\S*[a-z])\S*[A-Z])\S{16,}")
_HEADER_WORDS = _SECRET_WORDS | (_AMBIGUOUS_WORDS - {"code"})

# Where a name stands before a value, in a text that may not be valid JSON.
_MEMBER = re.compile(r'("([\w .\[\]-]{1,64})"\s*:\s*)"((?:[^"\\]|\\.)*+)"')
_PARAMETER = re.compile(r"(?<=[?&])([\w.\[\]%-]{1,64})=([^&\s\"'\\]+)")
_ORGANIZATION_MEMBER = re.compile(
    r'("(?:organization_id"\s*:\s*|entity"\s*:\s*|owned_by"\s*:\s*(?!"(?:openai[\w-]*|system|personal)")))'
    r'"((?:[^"\\]|\\.)++)"'
)

_KEY_ENDS = re.compile(r"(?<![\w-])([\w-]++)(\*{2,}|\.{3}|…|\\u2026)([\w-]*)")
"""A key of which an error shows the ends."""

# A secret has a digit, or letters of both cases: names that people give, such as "my-org-support", do not match.
_RANDOM = r"(?:(?=[\w-]*\d)|(?=[\w-]*[a-z])(?=[\w-]*[A-Z]))"
_TOKEN = r"(?:(?=[^\s\"',;\\=]*\d)|(?=[^\s\"',;\\=]*[a-z])(?=[^\s\"',;\\=]*[A-Z]))[^\s\"',;\\=]{6,}=*"

# Each pattern begins at the start of a word, or at something rare: otherwise a long word would be searched anew from
# every letter on. Each replacement does not match, or is replaced by itself.
PATTERNS = (
    (re.compile(rf"(?<![\w-])(?:sk|sess|rk|pk)-{_RANDOM}[A-Za-z0-9_-]{{16,}}"), KEY),
    (re.compile(rf"(?<![\w-])org-{_RANDOM}[A-Za-z0-9-]{{10,}}"), ORGANIZATION),
    (re.compile(rf"(?<![\w-])proj[_-]{_RANDOM}[A-Za-z0-9]{{7,}}"), PROJECT),
    (re.compile(r"(?<![\w-])user-[A-Za-z0-9]{16,}"), USER),
    (re.compile(r"(?<![\w-])req_[A-Za-z0-9]{16,}"), REQUEST),
    (re.compile(r"\bft:([^:\s\"/]+):(?!personal:|:)[^:\s\"/]+:"), rf"ft:\1:{ORGANIZATION}:"),
    (re.compile(r"\bft%3A([^:\s\"/%]+)%3A(?!personal%3A|%3A)[^:\s\"/%]+%3A", re.I), rf"ft%3A\1%3A{ORGANIZATION}%3A"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"), SCRUBBED),
    (re.compile(rf"(?<!\w)(?i:bearer)\s+{_TOKEN}"), f"Bearer {SCRUBBED}"),
    (
        re.compile(
            r"(?<![\w-])(?:hf_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
            r"|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{30,}|whsec_[A-Za-z0-9+/=]{16,})"
        ),
        SCRUBBED,
    ),
    (re.compile(r"(?<=//)[^/\s:@\"]+:[^/\s@\"]+@"), ""),
    (
        re.compile(r"(?<=//)[\w-]+(?=\.(?:(?:openai|cognitiveservices|services\.ai)\.azure|blob\.core\.windows)\.)"),
        SCRUBBED,
    ),
)


@dataclass(frozen=True)
class SecretMap:
    """Texts that must not be written, each with what stands for it."""

    texts: Mapping[str, str]

    @classmethod
    def collect(cls, requests: Iterable[RecordedRequest], responses: Iterable[RecordedResponse] = ()) -> SecretMap:
        """Collect what requests and responses hold where secrets are sent."""
        stand_ins: dict[str, str] = {}
        for request in requests:
            stand_ins.update(_secrets_in_request(request))
        for response in responses:
            stand_ins.update(_secrets_in_headers(response.headers))
            stand_ins.update((text, SCRUBBED) for text in secrets_in(parse_json(response.body)))
        texts: dict[str, str] = {}
        for text, stand_in in stand_ins.items():
            # an account may be called "personal", which other texts mean as a word
            is_word = text.isalpha() and len(text) < 2 * SHORT and text[1:].islower()
            if len(text) >= SHORT and not is_word and text not in (*STAND_INS, stand_in):
                texts[text] = stand_in
        return cls(texts)

    def redact(self, text: str) -> str:
        """Return *text* without secrets, by all three rules."""
        for spelling, stand_in in self._spellings:
            text = text.replace(spelling, stand_in)
        text = _MEMBER.sub(lambda match: f'{match[1]}"{SCRUBBED}"' if is_secret(match[2], match[3]) else match[0], text)
        text = _PARAMETER.sub(
            lambda match: f"{match[1]}={SCRUBBED}" if is_secret(unquote(match[1]), match[2]) else match[0], text
        )
        text = _ORGANIZATION_MEMBER.sub(rf'\1"{ORGANIZATION}"', text)
        text = _KEY_ENDS.sub(self._mask, text)
        for pattern, stand_in in PATTERNS:
            text = pattern.sub(stand_in, text)
        return text

    def redact_bytes(self, body: bytes) -> bytes:
        """Return *body* without secrets; bytes that are not UTF-8 stay as they are."""
        return self.redact(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def leaks_in(self, text: str) -> list[str]:
        """Return the secrets that *text* still holds, in any spelling."""
        return [
            secret
            for secret, stand_in in self.texts.items()
            if secret not in stand_in and any(spelling in text for spelling in _spell(secret))
        ]

    def _mask(self, match: re.Match[str]) -> str:
        """Return `MASKED` for the ends of a key; asterisks and dots also stand between other words."""
        start, between, end = match.groups()
        keys = [text for text in self.texts if " " not in text] if len(start + end) > 5 else []
        is_known = any(key.startswith(start) and key.endswith(end) for key in keys)
        is_key = between.startswith("***") or (start.startswith(("sk-", "sess-")) and len(end) > 1)
        return MASKED if is_known or is_key else match[0]

    @cached_property
    def _spellings(self) -> list[tuple[str, str]]:
        """Every spelling with its replacement; the longest first, as one may be part of another."""
        spellings = {spelling: stand_in for text, stand_in in self.texts.items() for spelling in _spell(text)}
        return sorted(spellings.items(), key=lambda pair: (-len(pair[0]), pair[0]))


def is_secret(name: str, value: str = "") -> bool:
    """Return whether *value* is a secret by its name, however spelled: ``hf_token``, ``X-Api-Key``, ``apiKey``."""
    *others, last = _words(name) or [""]
    singular = last.removesuffix("s")
    if singular in _SECRET_WORDS or (others and others[-1] in _SECRET_PAIRS.get(singular, ())):
        return True
    return last in _AMBIGUOUS_WORDS and _RANDOM_VALUE.fullmatch(value) is not None


def is_secret_header(name: str) -> bool:
    """Return whether a header, named in lower case, carries a secret or the name of an account."""
    return name in _ACCOUNT_HEADERS or not _HEADER_WORDS.isdisjoint(_words(name))


def secrets_in(value: Any, depth: int = MAX_DEPTH, is_named: bool = False) -> Iterator[str]:
    """Yield the strings in a JSON value that are secrets by name: all of them where *value* itself *is_named* so."""
    if isinstance(value, str):
        if is_named:
            yield value
        if depth and value.lstrip()[:1] in ("{", "["):
            yield from secrets_in(parse_json(value), depth - 1)
    elif depth and isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else (("", item) for item in value):
            is_item_named = is_named or is_secret(name, item if isinstance(item, str) else "")
            yield from secrets_in(item, depth - 1, is_item_named)


def redact_request(request: RecordedRequest, secrets: SecretMap, keep: Iterable[str] = ()) -> RecordedRequest:
    """Return a request without secrets, and without headers that do not matter."""
    headers = _redact_headers(request.headers, {*KEPT_REQUEST_HEADERS, *keep}, secrets)
    uri, body = redact_uri(request.uri, secrets), secrets.redact_bytes(request.body)
    if request.form is None:
        return RecordedRequest(request.method, uri, headers, body)
    headers = tuple(
        (name, BOUNDARY if name == "content-type" and value.lower().startswith(MEDIA_TYPE) else value)
        for name, value in headers
    )
    parts = []
    for part in request.form:
        content = None if part.content is None else secrets.redact_bytes(part.content)
        if content and not part.is_file and is_secret(part.name, content.decode("utf-8", "replace")):
            content = SCRUBBED.encode()
        filename = None if part.filename is None else secrets.redact(_base_name(part.filename))
        parts.append(replace(part, name=secrets.redact(part.name), filename=filename, content=content))
    return RecordedRequest(request.method, uri, headers, body, tuple(parts))


def redact_response(response: RecordedResponse, secrets: SecretMap, keep: Iterable[str] = ()) -> RecordedResponse:
    """Return a response without secrets, and without headers that do not matter."""
    headers = _redact_headers(response.headers, {*KEPT_RESPONSE_HEADERS, *keep}, secrets)
    return fix_content_length(replace(response, headers=headers, body=secrets.redact_bytes(response.body)))


def redact_uri(uri: str, secrets: SecretMap) -> str:
    """Return a URI without secrets and credentials; that of this machine without its port, which is never the same."""
    url = urlsplit(uri)
    host = url.hostname or ""
    place = "localhost" if is_loopback(host) else host + (f":{url.port}" if url.port else "")
    pairs = parse_qsl(url.query, keep_blank_values=True)
    query = urlencode([(name, SCRUBBED if is_secret(name, value) else value) for name, value in pairs], safe="[]:,/")
    return secrets.redact(urlunsplit((url.scheme, place, shorten_base(url.path), query, "")))


def _redact_headers(headers: Headers, kept: set[str], secrets: SecretMap) -> Headers:
    """Return the headers that matter; those of one name together, where the first of them was."""
    first = {name: place for place, (name, _) in reversed(list(enumerate(headers)))}
    redacted = [
        (name, _REQUEST_ID_HEADERS.get(name) or secrets.redact(value))
        for name, value in headers
        if name in kept or name in _REQUEST_ID_HEADERS
    ]
    return tuple(sorted(redacted, key=lambda header: first[header[0]]))


def _secrets_in_request(request: RecordedRequest) -> Iterator[tuple[str, str]]:
    """Yield what a request holds where secrets are sent, each with what stands for it."""
    url, text = urlsplit(request.uri), request.body.decode("utf-8", "replace")
    yield from _secrets_in_headers(request.headers)
    if url.password:
        yield url.password, SCRUBBED
    yield from ((secret, SCRUBBED) for secret in secrets_in(parse_json(request.body)))
    # what looks like JSON may not be valid
    members = [(match[2], match[3], unescape_json(match[3])) for match in _MEMBER.finditer(text)]
    yield from ((secret, SCRUBBED) for name, value, secret in members if is_secret(name, value))
    yield from ((match[2], ORGANIZATION) for match in _ORGANIZATION_MEMBER.finditer(text))
    pairs = parse_qsl(url.query)
    if FIELDS_TYPE in header_value(request.headers, "content-type"):
        pairs += parse_qsl(text)
    for part in request.form or ():
        if part.filename and part.filename != _base_name(part.filename):
            yield part.filename, _base_name(part.filename)
        if part.content and not part.is_file:
            pairs.append((part.name, part.content.decode("utf-8", "replace")))
    yield from ((value, SCRUBBED) for name, value in pairs if is_secret(name, value))


def _secrets_in_headers(headers: Headers) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if stand_in := _ACCOUNT_HEADERS.get(name) or _REQUEST_ID_HEADERS.get(name):
            yield value, stand_in
            continue
        if not is_secret_header(name):
            continue
        if "cookie" in name:
            cookies = [cookie.partition("=")[2].strip() for cookie in value.split(";")]
            secrets = cookies[:1] if name == "set-cookie" else cookies
        else:
            scheme, _, credentials = value.strip().rpartition(" ")
            secrets = [value.strip(), credentials]
            if scheme.lower() == "basic":
                with suppress(ValueError):
                    secrets.append(base64.b64decode(credentials).decode("utf-8", "replace").partition(":")[2])
        yield from ((secret, KEY if secret.startswith("sk-") else SCRUBBED) for secret in secrets)


def _spell(text: str) -> set[str]:
    """Return *text* as it may be written: plain, in a URL, in JSON, in JSON within JSON, in base64 and hexadecimal."""
    quoted = {quote(text, safe=""), quote(text), quote_plus(text)}
    quoted |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), spelling) for spelling in quoted}
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    escaped |= {json.dumps(spelling)[1:-1] for spelling in escaped}
    raw = text.encode("utf-8", "surrogateescape")
    encoded = {base64.b64encode(raw).decode().rstrip("=")}
    for offset, start in enumerate((0, 2, 3)):
        # within something longer, neighbours change the first and the last characters: leave those off
        characters = base64.b64encode(b"\0" * offset + raw).decode()
        end = len(characters.rstrip("=")) - 1 if characters.endswith("=") else len(characters)
        encoded.add(characters[start:end])
    long_enough = {spelling for spelling in encoded if len(spelling) >= SHORT}
    return {text, *quoted, *escaped, *long_enough, raw.hex(), raw.hex().upper()}


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _base_name(filename: str) -> str:
    """Return the name of a file without its folders, of any system."""
    return filename.replace("\\", "/").rpartition("/")[2]
