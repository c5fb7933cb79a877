"""Dialects of the API, as data. A new one is a `Dialect`, in a module of its own, and an entry here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from ..checks import one_of
from .dialect import RECORDED, Dialect

_PLACES = {
    RECORDED.name: ("dialect", "RECORDED"),
    "openai-spec": ("openai", "OPENAI_SPEC"),
    "openai-2024-10": ("openai", "OPENAI_2024"),
    "openai-2023-11": ("openai", "OPENAI_2023"),
    "openai-2023-10": ("openai", "OPENAI_2023_10"),
    "azure-2025": ("azure", "AZURE_2025"),
    "azure-2026-02": ("azure", "AZURE_2026"),
    "bedrock-2026": ("open_weight", "BEDROCK_2026"),
    "nebius-2026-05": ("open_weight", "NEBIUS_2026"),
}
"""By name, the module that has the dialect, and its name there."""


class DialectsByName(Mapping[str, Dialect]):
    """All dialects by name; a module is imported when one of its dialects is asked for."""

    def __getitem__(self, name: str) -> Dialect:
        module, constant = _PLACES[name]
        dialect: Any = getattr(import_module(f".{module}", __name__), constant)
        return dialect  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


DIALECTS = DialectsByName()
check_dialect = one_of(DIALECTS)


def dialect_named(name: str) -> Dialect:
    """Return the dialect of this name.

    Raises:
        FakeUsageError: no dialect has this name.
    """
    return RECORDED if name == RECORDED.name else DIALECTS[check_dialect(name, "dialect")]
