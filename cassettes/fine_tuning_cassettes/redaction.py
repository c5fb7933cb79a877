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
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode, urlsplit, urlunsplit

from .api_paths import without_base
from .forms import FORM
from .messages import FormPart, Headers, Request, Response, header, is_file, parsed, unescaped

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


KEY, ORGANIZATION, PROJECT, USER = "sk-scrubbed", "org-scrubbed", "proj_scrubbed", "user-scrubbed"
REQUEST = "req_scrubbed"
MASKED = "sk-****bbed"
"""How errors quote `KEY`: the service shows the ends of a wrong key."""

ENDS = re.compile(r"(?<![\w-])([\w-]++)(\*{2,}|\.{3}|…|\\u2026)([\w-]*)")
"""A key of which an error shows the ends."""

_RANDOM = r"(?:(?=[\w-]*\d)|(?=[\w-]*[a-z])(?=[\w-]*[A-Z]))"
_TOKEN = r"(?:(?=[^\s\"',;\\=]*\d)|(?=[^\s\"',;\\=]*[a-z])(?=[^\s\"',;\\=]*[A-Z]))[^\s\"',;\\=]{6,}=*"
"""A secret has a digit, or letters of both cases: what people call things, as "my-org-support", is none."""

# What secrets look like. Each is replaced by something that does not, or by itself. Each begins at the beginning of a
# word, or at what is rare: else a long word would be looked at from every letter on.
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
class SecretMap:
    """Texts that may not be written, each with what stands for it."""

    texts: Mapping[str, str]

    @classmethod
    def sent(cls, asked: Iterable[Request], answers: Iterable[Response] = ()) -> SecretMap:
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


def scrubbed_request(asked: Request, secrets: SecretMap, keep: Iterable[str] = ()) -> Request:
    """A request without secrets, and without headers that do not matter."""
    form = None if asked.form is None else tuple(_part(part, secrets) for part in asked.form)
    headers = _headers(asked.headers, {*KEPT_OF_REQUESTS, *keep}, secrets)
    if form is not None:
        headers = tuple(
            (name, BOUNDARY if name == "content-type" and value.lower().startswith(FORM) else value)
            for name, value in headers
        )
    return Request(asked.method, _uri(asked.uri, secrets), headers, secrets.out_of_bytes(asked.body), form)


def scrubbed_answer(answer: Response, secrets: SecretMap, keep: Iterable[str] = ()) -> Response:
    """An answer without secrets, and without headers that do not matter; its length is put right."""
    headers = _headers(answer.headers, {*KEPT_OF_ANSWERS, *keep}, secrets)
    return measured(replace(answer, headers=headers, body=secrets.out_of_bytes(answer.body)))


def measured(answer: Response) -> Response:
    """An answer that says how long it is, if it says so at all."""
    length = str(len(answer.body))
    headers = tuple((name, length if name == "content-length" else value) for name, value in answer.headers)
    return replace(answer, headers=headers)


def _part(part: FormPart, secrets: SecretMap) -> FormPart:
    name = secrets.out_of(part.name)
    filename = None if part.filename is None else secrets.out_of(_base_name(part.filename))
    content = None if part.content is None else secrets.out_of_bytes(part.content)
    if content and not is_file(part) and is_secret(part.name, content.decode("utf-8", "replace")):
        content = SCRUBBED.encode()
    return replace(part, name=name, filename=filename, content=content)


def _base_name(filename: str) -> str:
    """The name of a file without the folders that it was in."""
    return filename.replace("\\", "/").rpartition("/")[2]


def _headers(headers: Headers, kept: set[str], secrets: SecretMap) -> Headers:
    """The headers that matter; those of one name together, where the first of them was."""
    first = {name: place for place, (name, _) in reversed(list(enumerate(headers)))}
    found = [
        (name, STAND_INS.get(name) or secrets.out_of(value))
        for name, value in headers
        if name in kept or name in STAND_INS
    ]
    return tuple(sorted(found, key=lambda each: first[each[0]]))


def _uri(uri: str, secrets: SecretMap) -> str:
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


def _of_request(asked: Request) -> Iterator[tuple[str, str]]:
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
