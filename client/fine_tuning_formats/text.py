"""Text for a person."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return *text* on one line, with everything that a terminal would obey escaped as Python does."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
