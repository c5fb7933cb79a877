"""The settings as somebody wrote them, in a file or for `configure()`: read, and checked for what they are."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fine_tuning_client.errors import ConfigurationError

FILES = (("fine_tuning.toml", ()), ("pyproject.toml", ("tool", "fine_tuning")))
TOP = frozenset({"default_for_fine_tuning", "providers"})
ENTRY = frozenset({"driver", "url", "key_env", "organization", "project", "api_version", "capabilities"})

Config = Mapping[str, Any]
EMPTY: Config = MappingProxyType({})


@cache
def read(folder: Path) -> Config:
    """Read the file of *folder*, if there is one.

    Raises:
        ConfigurationError: It cannot be read, or a setting is unknown or of a wrong type.
    """
    for filename, keys in FILES:
        found = _table(folder / filename, keys)
        if found is not None:
            return checked(filename, found, ENTRY)
    return EMPTY


def _table(path: Path, keys: tuple[str, ...]) -> Any:
    try:
        text = path.read_text("utf-8")
        if not all(key in text for key in keys):  # somebody else's file, which need not even be sound
            return None
        table: Any = tomllib.loads(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path.name}: {error}") from error
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def checked(where: str, config: Any, entry_keys: frozenset[str]) -> Config:
    """Take settings that are known, each of its type; what None is set to is not set.

    Raises:
        ConfigurationError: One is not. The message names it and the type, and shows no value.
    """
    entries = config.get("providers", {}) if isinstance(config, Mapping) else None
    if not isinstance(entries, Mapping) or not all(map(_is_entry, entries.items())):
        raise ConfigurationError(f"{where}: providers must be tables, as in [providers.openai]")
    unknown = set(config) - TOP | {key for entry in entries.values() for key in entry} - entry_keys
    if "api_key" in unknown:
        raise ConfigurationError(f'{where}: no keys in a file, name a variable: key_env = "OPENAI_API_KEY"')
    if unknown:
        raise ConfigurationError(f"{where}: unknown settings {sorted(unknown)}")
    _check_type(where, "default_for_fine_tuning", config.get("default_for_fine_tuning"))
    for name, entry in entries.items():
        for setting, value in entry.items():
            _check_type(f"{where}: provider {name!r}", setting, value)
    return MappingProxyType(dict(config))


def _is_entry(pair: tuple[Any, Any]) -> bool:
    return isinstance(pair[0], str) and isinstance(pair[1], Mapping)


def _check_type(where: str, setting: str, value: Any) -> None:
    wanted, fits = "text", isinstance(value, str | None)
    if setting == "capabilities" and value is not None:
        wanted, fits = "a list of texts", isinstance(value, list | tuple | set | frozenset)
        fits = fits and all(isinstance(each, str) for each in value)
    elif setting == "api_key":
        wanted, fits = "text or a function", fits or callable(value)
    if not fits:
        shown = f"list of {', '.join(sorted({type(each).__name__ for each in value}))}" if _is_list(value) else ""
        raise ConfigurationError(f"{where}: {setting} must be {wanted}, not {shown or type(value).__name__}")


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset)
