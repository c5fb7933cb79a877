"""Remove secrets from requests and responses.

The three rules of `fine_tuning_formats.secret_rules`, and stricter ones, since a cassette is committed:

- **By name.** Of headers only those known to be harmless are kept at all.
- **By form.** What looks like the name of an account is replaced as well.
- **By value.** What was sent or received as a secret (`SecretMap.collect`) is searched for once more before a cassette
  is written. A secret of fewer than `SHORT` characters, or that is a word, is replaced by name only: as a text it may
  turn up anywhere.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fine_tuning_formats import secret_rules
from fine_tuning_formats.bodies import MEDIA_TYPE
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.secret_rules import (
    API_KEY,
    BEARER_TOKEN,
    ESCAPE_BEFORE,
    IN_MATCHES,
    JSON_WEB_TOKEN,
    MEMBER,
    RANDOM,
    SHORT,
    START,
    USER_INFO,
    VENDOR_TOKEN,
    is_secret,
    replace_named,
    secrets_in,
    spellings,
)
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

_ORGANIZATION_MEMBER = re.compile(
    r'("(?:organization_id"\s*:\s*|entity"\s*:\s*|owned_by"\s*:\s*(?!"(?:openai[\w-]*|system|personal)")))'
    r'"((?:[^"\\]|\\.)++)"'
)

_KEY_ENDS = re.compile(rf"(?:(?<![\w\\-])|(?<=\\\\)|{ESCAPE_BEFORE})" + r"([\w-]++)(\*{2,}|\.{3}|…|\\u2026)([\w-]*)")
"""A key of which an error shows the ends. The letter of an escape, as of a line feed in JSON, is no part of it."""

_ORGANIZATION = re.compile(rf"{START}org-{RANDOM}[A-Za-z0-9-]{{10,}}")
_PROJECT = re.compile(rf"{START}proj[_-]{RANDOM}[A-Za-z0-9]{{7,}}")
_USER = re.compile(START + r"user-[A-Za-z0-9]{16,}")
_REQUEST = re.compile(START + r"req_[A-Za-z0-9]{16,}")
_IN_MATCHES = {**IN_MATCHES, _ORGANIZATION: ("org-",), _PROJECT: ("proj",), _USER: ("user-",), _REQUEST: ("req_",)}
"""By pattern, texts of which a match has one; other patterns are always tried."""

# Each replacement does not match, or is replaced by itself.
_PATTERNS = (
    (API_KEY, KEY),
    (_ORGANIZATION, ORGANIZATION),
    (_PROJECT, PROJECT),
    (_USER, USER),
    (_REQUEST, REQUEST),
    (re.compile(r"\bft:([^:\s\"/]+):(?!personal:|:)[^:\s\"/]+:"), rf"ft:\1:{ORGANIZATION}:"),
    (re.compile(r"\bft%3A([^:\s\"/%]+)%3A(?!personal%3A|%3A)[^:\s\"/%]+%3A", re.I), rf"ft%3A\1%3A{ORGANIZATION}%3A"),
    (JSON_WEB_TOKEN, SCRUBBED),
    (BEARER_TOKEN, f"Bearer {SCRUBBED}"),
    (VENDOR_TOKEN, SCRUBBED),
    (USER_INFO, ""),
    (
        re.compile(r"(?<=//)[\w-]+(?=\.(?:(?:openai|cognitiveservices|services\.ai)\.azure|blob\.core\.windows)\.)"),
        SCRUBBED,
    ),
)


REMEMBERED_CHARACTERS = 10_000
"""Longer texts are redacted anew each time: few are met twice."""
RUN_PART = 8
_RUN = re.compile(rf"[A-Za-z0-9]{{{RUN_PART},}}+")
"""A run of letters and digits. Most secrets have one, which is within a run of any text that contains the secret."""


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
        if (redacted := self._redacted.get(text)) is not None:  # a job that is polled gives many that are equal
            return redacted
        redacted = self._redact(text)
        if len(text) <= REMEMBERED_CHARACTERS:
            self._redacted[text] = redacted
        return redacted

    def _redact(self, text: str) -> str:
        for spelling, stand_in in self._spellings.candidates_in(text):
            text = text.replace(spelling, stand_in)
        text = replace_named(text, SCRUBBED)
        text = _ORGANIZATION_MEMBER.sub(rf'\1"{ORGANIZATION}"', text)
        text = _KEY_ENDS.sub(self._mask, text)
        for pattern, stand_in in _PATTERNS:
            if any(part in text for part in _IN_MATCHES.get(pattern, ("",))):
                text = pattern.sub(stand_in, text)
        return text

    def redact_bytes(self, body: bytes) -> bytes:
        """Return *body* without secrets; bytes that are not UTF-8 stay as they are."""
        return self.redact(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def leaks_in(self, text: str) -> list[str]:
        """Return the secrets that *text* still holds, in any spelling."""
        found = {spelling for spelling, _ in self._spellings.candidates_in(text) if spelling in text}
        return [
            secret
            for secret, stand_in in self.texts.items()
            if secret not in stand_in and not found.isdisjoint(spellings(secret))
        ]

    def _mask(self, match: re.Match[str]) -> str:
        """Return `MASKED` for the ends of a key; asterisks and dots also stand between other words."""
        start, between, end = match.groups()
        keys = [text for text in self.texts if " " not in text] if len(start + end) > 5 else []
        is_known = any(key.startswith(start) and key.endswith(end) for key in keys)
        is_key = between.startswith("***") or (start.startswith(("sk-", "sess-")) and len(end) > 1)
        return MASKED if is_known or is_key else match[0]

    @cached_property
    def _redacted(self) -> dict[str, str]:
        return {}

    @cached_property
    def _spellings(self) -> _SpellingIndex:
        return _SpellingIndex({each: stand_in for text, stand_in in self.texts.items() for each in spellings(text)})


class _SpellingIndex:
    """Spellings of secrets, indexed by a part of each: every request id is one, too many to try them in turn."""

    def __init__(self, stand_ins: Mapping[str, str]) -> None:
        # the longest first, as one may be part of another
        self._pairs = sorted(stand_ins.items(), key=lambda pair: (-len(pair[0]), pair[0]))
        self._unindexed: list[int] = []
        """The places of those without a run."""
        self._by_part: defaultdict[str, list[int]] = defaultdict(list)
        """The places of others, by the start of their first run."""
        for place, (spelling, _) in enumerate(self._pairs):
            run = _RUN.search(spelling)
            (self._by_part[run[0][:RUN_PART]] if run else self._unindexed).append(place)

    def candidates_in(self, text: str) -> list[tuple[str, str]]:
        """Return the spellings that *text* may hold, each with its replacement, in the order to replace them."""
        runs = set(_RUN.findall(text)) if self._by_part else set()
        parts = {run[start : start + RUN_PART] for run in runs for start in range(len(run) - RUN_PART + 1)}
        places = [*self._unindexed, *(place for part in parts & self._by_part.keys() for place in self._by_part[part])]
        return [self._pairs[place] for place in sorted(places)]


def is_private_header(name: str) -> bool:
    """Return whether a header, named in lower case, carries a secret or the name of an account."""
    return name in _ACCOUNT_HEADERS or secret_rules.is_secret_header(name)


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
    # each value before it is encoded: it may be a URL with a query of its own
    shown = [(name, SCRUBBED if is_secret(name, value) else secrets.redact(value)) for name, value in pairs]
    query = urlencode(shown, safe="[]:,/")
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
    members = [(match[2], match[3], unescape_json(match[3])) for match in MEMBER.finditer(text)]
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
        if not is_private_header(name):
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


def _base_name(filename: str) -> str:
    """Return the name of a file without its folders, of any system."""
    return filename.replace("\\", "/").rpartition("/")[2]
