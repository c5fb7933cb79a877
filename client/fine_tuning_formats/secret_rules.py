"""What a secret is, and texts without secrets: one rule for client, request log, reports, commands and cassettes.

Three rules, each for what the others miss:

- **By name.** What goes under the name of a secret (a header, a member of JSON, a field of a form, a parameter of a
  URL) is a secret.
- **By form.** What looks like a key or a token is one wherever it stands.
- **By value.** What was found by its name is a secret wherever else it turns up, in every spelling.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

REDACTED = "[redacted]"
"""What stands for a secret where nothing has to look like one."""

SHORT = 8
"""A secret of fewer characters is no longer looked for in base64 and hexadecimal digits, which hold it by chance."""

MAX_DEPTH = 8
"""How deep JSON within strings of JSON is searched."""

# Names of secrets, by their last words.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_PAIRS = {
    "key": frozenset({"api", "account", "private", "access", "secret", "subscription"}),
    "token": frozenset(
        {"access", "refresh", "auth", "id", "session", "bearer", "security", "hf", "github", "gitlab", "wandb"}
    ),
}
"""Last words that are those of a secret after one of these words."""
_SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "secret", "credential", "authorization", "signature", "sig", "clientsecret"}
) | {before + last for last, words in _SECRET_PAIRS.items() for before in words}
_AMBIGUOUS_WORDS = frozenset({"key", "token", "code", "auth", "pat", "session", "cookie", "bearer"})
"""Last words that secrets share with much else: the value is a secret if it looks random."""
_RANDOM_VALUE = re.compile(r"(?=\S*\d|(?=\S*[a-z])\S*[A-Z])\S{16,}")
_HEADER_WORDS = _SECRET_WORDS | (_AMBIGUOUS_WORDS - {"code"}) | {"authentication"}
_PUBLIC_HEADERS = frozenset({"idempotency-key", "x-idempotency-key"})
"""Headers that are not secrets although their names contain such a word: they mark a retry of the same request."""

# Where a name stands before a value, in a text that may not be valid JSON, or was cut within the value.
MEMBER = re.compile(r'("([\w .\[\]-]{1,64})"\s*:\s*)"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)')
PARAMETER = re.compile(r"(?<![^?&])([\w.\[\]%-]{1,64})=([^&\s\"'\\]+)")

# A secret has a digit, or letters of both cases: names that people give, such as "my-org-support", do not match.
RANDOM = r"(?:(?=[\w-]*\d)|(?=[\w-]*[a-z])(?=[\w-]*[A-Z]))"
_TOKEN = r"(?:(?=[^\s\"',;\\=]*\d)|(?=[^\s\"',;\\=]*[a-z])(?=[^\s\"',;\\=]*[A-Z]))[^\s\"',;\\=]{6,}=*"
_URL_TOKEN = _TOKEN.replace("=]", "=&]")  # in a query the next parameter ends it

# Each form begins at the start of a word, or at something rare: otherwise a long word would be searched anew from every
# letter on. In JSON and URLs the character before a word may be spelt as an escape, which ends with letters of its own.
ESCAPE_BEFORE = r"(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})"
START = rf"(?:(?<![\w-])|{ESCAPE_BEFORE})"
API_KEY = re.compile(rf"{START}(?:sk|sess|rk|pk)-{RANDOM}[A-Za-z0-9_-]{{16,}}")
JSON_WEB_TOKEN = re.compile(rf"{START}eyJ[\w-]{{8,}}\.[\w-]{{4,}}\.[\w-]*")
BEARER_TOKEN = re.compile(rf"(?:(?<!\w)|{ESCAPE_BEFORE})(?i:bearer)(?:\s+{_TOKEN}|(?:\+|%20){_URL_TOKEN})")
VENDOR_TOKEN = re.compile(
    START + r"(?:hf_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{30,}|whsec_[A-Za-z0-9+/=]{16,})"
)
USER_INFO = re.compile(r"(?<=//)[^/\s:@\"]+:[^/\s@\"]+@")

_VENDORS = ("hf_", "AKIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "AIza", "whsec_")
IN_MATCHES = {
    API_KEY: ("sk-", "sess-", "rk-", "pk-"),
    JSON_WEB_TOKEN: ("eyJ",),
    BEARER_TOKEN: ("earer", "EARER"),
    VENDOR_TOKEN: _VENDORS,
    USER_INFO: ("@",),
}
"""By form, texts of which a match has one: to look for those first is faster by far."""
_STAND_INS = {BEARER_TOKEN: f"Bearer {REDACTED}", USER_INFO: f"{REDACTED}@"}
_FORMS = tuple((parts, form, _STAND_INS.get(form, REDACTED)) for form, parts in IN_MATCHES.items())


def is_secret(name: str, value: str = "") -> bool:
    """Return whether *value* is a secret by its name, however spelled: ``hf_token``, ``X-Api-Key``, ``apiKey``."""
    told = _by_name(name)
    return _RANDOM_VALUE.fullmatch(value) is not None if told is None else told


@lru_cache(maxsize=1024)
def _by_name(name: str) -> bool | None:
    """Return whether a value is a secret by its name; None if the value has to tell."""
    words = _words(name)
    while words and words[-1].isdigit():
        words.pop()
    *others, last = words or [""]
    singular = last.removesuffix("s")
    if singular in _SECRET_WORDS or (others and others[-1] in _SECRET_PAIRS.get(singular, ())):
        return True
    return None if last in _AMBIGUOUS_WORDS else False


@lru_cache(maxsize=1024)
def is_secret_header(name: str) -> bool:
    """Return whether a header carries a secret."""
    return name.lower() not in _PUBLIC_HEADERS and not _HEADER_WORDS.isdisjoint(_words(name))


def secrets_in(value: Any) -> Iterator[str]:
    """Yield the strings in a JSON value that are secrets by name, however deep, also in JSON within strings."""
    left: list[tuple[Any, bool, int]] = [(value, False, MAX_DEPTH)]
    while left:  # JSON may be nested deeper than Python recurses
        item, is_named, depth = left.pop()
        if isinstance(item, str):
            if is_named:
                yield item
            if depth and item.lstrip()[:1] in ("{", "["):
                left.append((_parse_json(item), False, depth - 1))
        elif isinstance(item, dict):
            left += (
                (member, is_named or is_secret(str(name), member if isinstance(member, str) else ""), depth)
                for name, member in item.items()
            )
        elif isinstance(item, list):
            left += ((member, is_named, depth) for member in item)


def spellings(text: str) -> set[str]:
    """Return *text* as it may be written: plain, in a URL, in JSON, in JSON within JSON, in base64 and hexadecimal."""
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    escaped |= {json.dumps(spelling)[1:-1] for spelling in escaped}
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which only JSON and Python can spell
        return {text, *escaped}
    quoted = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    quoted |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), spelling) for spelling in quoted}
    encoded = {base64.b64encode(raw).decode().rstrip("=")}
    for offset, start in enumerate((0, 2, 3)):
        # within something longer, neighbours change the first and the last characters: leave those off
        characters = base64.b64encode(b"\0" * offset + raw).decode()
        end = len(characters.rstrip("=")) - 1 if characters.endswith("=") else len(characters)
        encoded.add(characters[start:end])
    long_enough = {spelling for spelling in (*encoded, raw.hex(), raw.hex().upper()) if len(spelling) >= SHORT}
    return {text, *quoted, *escaped, *long_enough}


def replace_named(text: str, stand_in: str = REDACTED) -> str:
    """Return *text* with the secrets replaced that stand behind their names, in JSON or in a URL."""
    if '"' in text:
        text = MEMBER.sub(lambda match: f'{match[1]}"{stand_in}"' if is_secret(match[2], match[3]) else match[0], text)
    if "=" not in text:
        return text
    return PARAMETER.sub(
        lambda match: f"{match[1]}={stand_in}" if is_secret(unquote(match[1]), match[2]) else match[0], text
    )


def known_spellings(secrets: Iterable[str]) -> list[str]:
    """Return all spellings of *secrets*, the longest first, as one may be part of another."""
    return sorted(
        {spelling for secret in secrets for spelling in spellings(secret)}, key=lambda each: (-len(each), each)
    )


def redact_text(text: str, known: Iterable[str] = ()) -> str:
    """Return *text* without secrets, by all three rules; by value those whose spellings are *known*."""
    return replace_named(redact_known(text, known))


def redact_known(text: str, known: Iterable[str] = ()) -> str:
    """Return *text* without *known* spellings of secrets, and without what looks like a key or a token."""
    for spelling in known:
        text = text.replace(spelling, REDACTED)
    for parts, form, stand_in in _FORMS:
        for part in parts:
            if part in text:
                text = form.sub(stand_in, text)
                break
    return text


def redact_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return *headers* without secrets."""
    return [_redact_header(name, value) for name, value in headers]


@lru_cache(maxsize=1024)  # the requests of a client repeat theirs
def _redact_header(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if is_secret_header(name.decode("latin-1")):
        return name, REDACTED.encode()
    return name, redact_text(value.decode("latin-1")).encode("latin-1")


def redact_query(query: str) -> str:
    """Return a query string without secrets."""
    if "=" not in query:
        return redact_known(query)
    pairs = [pair.partition("=") for pair in query.split("&")]
    for place, (name, sign, value) in enumerate(pairs):
        plain = unquote_plus(value)
        is_spelt_otherwise = plain != value and redact_text(plain) != plain
        if value and (is_secret(unquote_plus(name), plain) or is_spelt_otherwise):
            pairs[place] = (name, sign, REDACTED)
    return redact_known("&".join(["".join(pair) for pair in pairs]))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _parse_json(text: str) -> Any:
    """Parse JSON; return None if *text* is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
