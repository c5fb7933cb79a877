"""Dialects of the API, as data. A new one is a `Dialect`, in a module of its own, and an entry here."""

from __future__ import annotations

from collections.abc import Mapping

from ..checks import one_of
from .azure import AZURE_2025, AZURE_2026
from .dialect import RECORDED, Dialect
from .openai import OPENAI_2023, OPENAI_2024, OPENAI_SPEC

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect for dialect in (RECORDED, OPENAI_SPEC, OPENAI_2024, OPENAI_2023, AZURE_2025, AZURE_2026)
}
check_dialect = one_of(DIALECTS)


def dialect_named(name: str) -> Dialect:
    """Return the dialect of this name.

    Raises:
        FakeUsageError: no dialect has this name.
    """
    return DIALECTS[check_dialect(name, "dialect")]
