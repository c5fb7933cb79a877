"""Which recorded exchanges the fake can be asked about."""

from __future__ import annotations

import re

from ..web.operation import Operation
from ..web.operations import OPERATIONS, PATH_PATTERNS
from .recording import RecordedExchange

_SLASHES = re.compile("/{2,}")
_PATTERNS = tuple((PATH_PATTERNS[each.name], each) for each in OPERATIONS)

FAULTS = frozenset({403, 408, 409, 429, 502, 503, 504})
"""Answers that no state of an account brings about: limits, permissions and broken connections."""

LEFT_OUT = "x-fine-tuning-cassette"
"""A header of answers in our own cassettes that have digests in place of training data."""


def operation_of(exchange: RecordedExchange) -> Operation | None:
    """The route that an exchange asked; None where the fake has none."""
    path = _path(exchange)
    matching = (each for pattern, each in _PATTERNS if pattern.fullmatch(path) and each.method == exchange.method)
    return next(matching, None)


def unsupported_reason(exchange: RecordedExchange) -> str:
    """Why an exchange cannot be asked again; empty where it can."""
    path = _path(exchange)
    if exchange.method == "OPTIONS" or not any(pattern.fullmatch(path) for pattern, _ in _PATTERNS):
        return f"{exchange.method} {exchange.path} is no route of the fake"
    if exchange.status in FAULTS or exchange.status == 500:
        return f"an answer with {exchange.status} comes of no state that could be put in"
    if LEFT_OUT in exchange.headers:
        return "the cassette has digests in place of the file's content"
    return ""


def _path(exchange: RecordedExchange) -> str:
    """The path as the fake routes it: several slashes are one, and one at the end is none (recordings of 2023)."""
    return _SLASHES.sub("/", exchange.path).rstrip("/")
