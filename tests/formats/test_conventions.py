"""Conventions that several packages share: durations, loopback addresses, metadata, printable text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_formats.job_rules import check_metadata
from fine_tuning_formats.text import duration_seconds, is_loopback, printable


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        *((90, 90), (1.5, 1.5), ("90", 90), (" 90s ", 90), ("1.5 h", 5400), ("250ms", 0.25), ("5min", 300)),
        *(("2d", 172_800), ("1w", 604_800), (timedelta(minutes=2), 120)),
    ],
)
def test_durations_are_seconds(duration: Any, expected: float) -> None:
    """A number is in seconds, a text is parsed by its unit, and a timedelta is accepted."""
    assert duration_seconds(duration) == expected


@pytest.mark.parametrize("duration", ["", "soon", "-5s", "5 fortnights", "1e3", "s", True, None, b"5s"])
def test_what_is_no_duration_is_refused(duration: Any) -> None:
    """An invalid duration is refused with its value."""
    with pytest.raises(ValueError, match="got "):
        duration_seconds(duration)


def test_a_unit_may_be_required() -> None:
    """With default_unit=None a text without a unit is refused."""
    assert duration_seconds("90d", default_unit=None) == 90 * 86_400
    with pytest.raises(ValueError, match="with a unit"):
        duration_seconds("90", default_unit=None)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True)),
        *(("0.0.0.0", False), ("10.0.0.1", False), ("localhost.example", False), ("", False), (None, False)),
    ],
)
def test_loopback_is_this_machine(host: str | None, expected: bool) -> None:
    """Only ``localhost`` and loopback addresses are loopback."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({str(n): "" for n in range(17)}, "at most 16 pairs, got 17"),
        ({"k" * 65: ""}, "keys of metadata must be strings of at most 64"),
        ({"k": "v" * 513}, "values of metadata must be strings of at most 512"),
        ({"k": 5}, "values of metadata must be strings"),
    ],
)
def test_metadata_has_limits(metadata: dict[str, Any], message: str) -> None:
    """Metadata of more than 16 pairs, or with a key over 64 or a value over 512 characters, is refused."""
    check_metadata({str(n): "v" * 512 for n in range(15)} | {"k" * 64: ""})
    with pytest.raises(ValueError, match=message):
        check_metadata(metadata)


@given(st.text())
def test_printable_text_moves_no_cursor(text: str) -> None:
    """Printable text is one line, and unchanged if it is made printable again."""
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    "char", ["\x1b", "\n", "\x85", "\u2028", "\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad", "\u3164", "\U000e0141"]
)
def test_what_cannot_be_seen_is_escaped(char: str) -> None:
    """Control characters, line breaks, direction marks and zero-width characters are escaped."""
    escape = char.encode("unicode_escape").decode()

    assert printable(f"a{char}b") == f"a{escape}b"


@pytest.mark.parametrize("text", ["Zürich", "日本語", "e\u0301", "❤\ufe0f", "a\\b"])
def test_what_can_be_seen_is_left_alone(text: str) -> None:
    """Letters of any script, accents and emoji are not escaped."""
    assert printable(text) == text
