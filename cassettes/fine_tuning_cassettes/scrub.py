"""Remove what a user's own rules name, beside the secrets and training data that are known without them.

A rule is a regular expression, whose matches are replaced, or a function that takes a text and the name of the member,
field, parameter or header that holds it, and returns the text to write. Rules see texts as they are meant, not as JSON
and URLs spell them. They hold for matching, too: requests that differ in what the rules remove are equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from fine_tuning_formats.lazy_dataclass import dataclass

from .errors import CassetteError
from .messages import Headers, RecordedRequest, RecordedResponse, fix_content_length, parse_json
from .redaction import SCRUBBED
from .training_data import change_body, is_digest

ScrubFunction: TypeAlias = Callable[[str, str], str]
ScrubRule: TypeAlias = str | re.Pattern[str] | ScrubFunction


_URL = re.compile(r"https?://[^\s\"'<>\\]+")


@dataclass(frozen=True, slots=True)
class Scrub:
    """The rules of one cassette."""

    rules: tuple[re.Pattern[str] | ScrubFunction, ...] = ()

    @classmethod
    def parse(cls, rules: Iterable[ScrubRule]) -> Scrub:
        """Return the rules, their patterns compiled.

        Raises:
            ValueError: something in *rules* is not a rule.
        """
        if isinstance(rules, str) or not isinstance(rules, Iterable):
            raise ValueError(f"scrub must be several patterns or functions, got {rules!r}; write scrub=[{rules!r}]")
        return cls(tuple(map(_parse_rule, rules)))

    def change_text(self, text: str, name: str = "") -> str:
        """Return the *text* of the member *name* as the rules want it written."""
        if is_digest(text):
            return text
        if text.lstrip()[:1] in ("{", "[") and isinstance(parse_json(text), dict | list):
            return self._change_body(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        if name == "location":
            text = self._change_uri(text)
        text = _URL.sub(lambda match: self._change_uri(match[0]), text)
        for rule in self.rules:
            text = rule.sub(SCRUBBED, text) if isinstance(rule, re.Pattern) else _call(rule, text, name)
        return text

    def change_request(self, request: RecordedRequest) -> RecordedRequest:
        """Return a request as the rules want it written."""
        if not self.rules:
            return request
        parts = []
        for part in request.form or ():
            content = part.content
            if content is not None and part.is_file:
                content = self._change_body(content)
            elif content is not None:
                content = _encode(self.change_text(_decode(content), part.name))
            filename = None if part.filename is None else self.change_text(part.filename, "filename")
            parts.append(replace(part, name=self.change_text(part.name), filename=filename, content=content))
        return replace(
            request,
            uri=self._change_uri(request.uri),
            headers=self._change_headers(request.headers),
            body=self._change_body(request.body),
            form=None if request.form is None else tuple(parts),
        )

    def change_response(self, response: RecordedResponse) -> RecordedResponse:
        """Return a response as the rules want it written."""
        if not self.rules:
            return response
        headers, body = self._change_headers(response.headers), self._change_body(response.body)
        return fix_content_length(replace(response, headers=headers, body=body))

    def _change_headers(self, headers: Headers) -> Headers:
        return tuple((name, self.change_text(value, name)) for name, value in headers)

    def _change_body(self, body: bytes) -> bytes:
        return change_body(body, self.change_text, are_names_changed=True)

    def _change_uri(self, uri: str) -> str:
        try:
            url = urlsplit(uri)
            host = url.hostname or ""
        except ValueError:  # a text that only begins as one
            return uri
        place = url.netloc.replace(host, self.change_text(host, "host")) if host else url.netloc
        segments = [(segment, unquote(segment)) for segment in url.path.split("/")]
        changed = [(segment, text, self.change_text(text)) for segment, text in segments]
        path = "/".join(segment if text == new else quote(new, safe=":@,+~") for segment, text, new in changed)
        pairs = parse_qsl(url.query, keep_blank_values=True)
        new_pairs = [(self.change_text(name), self.change_text(value, name)) for name, value in pairs]
        query = url.query if new_pairs == pairs else urlencode(new_pairs, safe="[]:,/")
        if (place, path, query) == (url.netloc, url.path, url.query):
            return uri
        return urlunsplit((url.scheme, place, path, query, url.fragment))


def _parse_rule(rule: ScrubRule) -> re.Pattern[str] | ScrubFunction:
    pattern: Any = rule
    if isinstance(rule, str):
        try:
            pattern = re.compile(rule)
        except re.error as error:
            raise ValueError(f"scrub must have regular expressions, got {rule!r}: {error}") from None
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        if pattern.search("") is not None:
            raise ValueError(f"scrub must have patterns that do not match the empty text, got {pattern.pattern!r}")
        return pattern
    if isinstance(rule, re.Pattern | str) or not callable(rule) or not isinstance(rule, Hashable):
        raise ValueError(f"scrub must have patterns of text and functions, got {rule!r}")
    return rule


def _call(function: ScrubFunction, text: str, name: str) -> str:
    called = getattr(function, "__qualname__", repr(function))
    try:
        result = function(text, name)
    except Exception as error:  # a client would take it for a broken connection
        raise CassetteError(f"scrub: {called} raised {type(error).__name__}: {error}") from error
    if not isinstance(result, str):
        raise CassetteError(f"scrub: {called} must return a string, got {result!r}")
    return result


def _decode(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
