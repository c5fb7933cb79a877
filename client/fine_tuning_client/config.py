"""Where settings come from: argument, `configure()`, environment, file, profile; first hit wins.

The environment names the default provider in ``FINE_TUNING_PROVIDER``, and all else as the provider's
own client does. The file is ``fine_tuning.toml`` in the working directory, or ``[tool.fine_tuning]`` in
its ``pyproject.toml``; it is read once. To an address that it gives no key of the environment is sent but that of
the variable which it names beside the address, by ``key_env``; a key that is passed goes to the address there is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fine_tuning_client.arguments import is_async
from fine_tuning_client.config_file import EMPTY, ENTRY, Config, checked, read
from fine_tuning_client.errors import ConfigurationError
from fine_tuning_client.providers import CAPABILITIES, PROFILES, Endpoint, Key, ProviderProfile

DEFAULT_PROVIDER = "openai"
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
SETTINGS = ("api_key", "token", "base_url", "organization", "project", "api_version")

_configured: list[Config] = [EMPTY]  # one item; settings of a process live somewhere


def configure(
    *,
    default_for_fine_tuning: str | None = None,
    providers: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Set what environment and file would set, for this process; called again, it starts anew.

    Args:
        default_for_fine_tuning: The provider that `FineTuning` uses.
        providers: As in the file, by name: ``driver``, ``url``, ``key_env``, ``organization``,
            ``project``, ``api_version``, ``capabilities``; and, other than in a file, ``api_key``.

    Raises:
        ConfigurationError: A setting is unknown, or of a wrong type.
    """
    given = {"default_for_fine_tuning": default_for_fine_tuning, "providers": providers or {}}
    _configured[0] = checked("configure()", given, ENTRY | {"api_key"})


def default_provider() -> str:
    """Name the provider to use when nobody says which."""
    name = (
        _configured[0].get("default_for_fine_tuning")
        or os.environ.get("FINE_TUNING_PROVIDER")
        or _file().get("default_for_fine_tuning")
        or DEFAULT_PROVIDER
    )
    return str(name)


def profile_of(name: str) -> ProviderProfile:
    """Find a provider: one that is configured, or a known driver, which needs no configuration.

    Raises:
        ConfigurationError: There is none of that name.
    """
    entry = {**_entry(_file(), name), **_entry(_configured[0], name)}
    profile = PROFILES.get(str(entry.get("driver") or name))
    if profile is None:
        raise _unknown(name, entry)
    if key_env := entry.get("key_env"):
        profile = replace(profile, environment={**profile.environment, "api_key": key_env}, needs_key=True)
    return replace(profile, name=name, capabilities=_capabilities(entry, profile))


def _unknown(name: str, entry: Config) -> ConfigurationError:
    drivers = ", ".join(sorted(PROFILES))
    if driver := entry.get("driver"):
        return ConfigurationError(f"provider {name!r} has the unknown driver {driver!r}, expected one of {drivers}")
    if entry:
        return ConfigurationError(f"provider {name!r} is configured without a driver, which is one of {drivers}")
    known = sorted({*PROFILES, *_file().get("providers", EMPTY), *_configured[0].get("providers", EMPTY)})
    return ConfigurationError(f"unknown provider or driver {name!r}, expected one of {', '.join(known)}")


def endpoint_of(profile: ProviderProfile, arguments: Mapping[str, Any]) -> Endpoint:
    """Settle where requests go.

    Raises:
        ConfigurationError: There is no address, no key, or one that cannot be right.
    """
    profile = _without_file_secrets(profile, arguments)
    found = {setting: _find(profile, setting, arguments) for setting in SETTINGS}
    for setting in ("organization", "project", "api_version"):
        if not isinstance(found[setting], str | None):
            raise ConfigurationError(f"{setting} must be text, not {type(found[setting]).__name__}")
        found[setting] = (found[setting] or "").strip()
    key, header = _auth_headers(profile, found)
    headers = {"OpenAI-Organization": found["organization"], "OpenAI-Project": found["project"]}
    return Endpoint(
        profile.name,
        _base_url(profile, found["base_url"]),
        key,
        header,
        profile.capabilities,
        profile.create_defaults,
        check_headers({name: value for name, value in headers.items() if value}),
        _version(found["api_version"]),
    )


def reject_empty(**given: object) -> None:
    """Refuse arguments of nothing: a variable of nothing is no news, but an argument is meant.

    Raises:
        ConfigurationError: One is empty.
    """
    for what, value in given.items():
        if isinstance(value, str) and not value.strip():
            raise ConfigurationError(f"{what} is given, and empty: leave it out, or name one")


def check_key(key: Key) -> str | None:
    """Take a key, fetching it if need be, that fits into a header.

    Raises:
        ConfigurationError: It does not. The message does not show it.
    """
    if is_async(key):
        raise ConfigurationError("api_key must be text or a plain function: an async one is never awaited")
    text = key() if callable(key) else key
    if text is None:
        return None
    bare = text.strip() if isinstance(text, str) else ""  # variables often end in a newline
    if not bare or not _is_sendable(bare) or " " in bare:
        raise ConfigurationError("the API key is no printable ASCII text")
    return bare


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Take headers that can be sent.

    Raises:
        ConfigurationError: One cannot. The message does not show its value.
    """
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers must be a mapping of names to values, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r:.60} is no name of a header")
        if not isinstance(value, str) or not _is_sendable(value):
            raise ConfigurationError(f"the value of header {name!r} is no printable ASCII text")
    return dict(headers)


def _is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def check_url(url: str) -> str:
    """Take an address that requests can go to.

    Raises:
        ConfigurationError: It is none. The message does not show it, as it may hold a password.
    """
    url = str(url).strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and _is_host(parts.hostname or "", url) and parts.port != 0
    except ValueError:
        usable = False
    odd = " " in url or not url.isprintable()
    if not usable or odd or parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("the base URL must look like https://host/v1, without password or query")
    return url.rstrip("/")


def _is_host(host: str, url: str) -> bool:
    """Tell whether *host* can be looked up; for ASCII the resolver has the say, and else httpx, which encodes it."""
    if not host.isascii() or "xn--" in host:
        import httpx  # slow to import, and such a host seldom

        try:
            return bool(httpx.URL(url).host)
        except httpx.InvalidURL:
            return False
    return bool(host.encode("idna"))  # an empty or overlong label is a UnicodeError, which is a ValueError


def _find(profile: ProviderProfile, setting: str, arguments: Mapping[str, Any]) -> Any:
    return (
        _from_code_or_env(profile, setting, arguments)
        or _entry(_file(), profile.name).get(_in_file(setting))
        or getattr(profile, setting, None)
    )


def _from_code_or_env(profile: ProviderProfile, setting: str, arguments: Mapping[str, Any]) -> Any:
    """Find what whoever runs this process says of a setting, be it in code or in the environment."""
    return (
        arguments.get(setting)
        or _entry(_configured[0], profile.name).get(_in_file(setting))
        or os.environ.get(profile.environment.get(setting, ""))
    )


def _in_file(setting: str) -> str:
    return "url" if setting == "base_url" else setting


def _without_file_secrets(profile: ProviderProfile, arguments: Mapping[str, Any]) -> ProviderProfile:
    """Forget the driver's own variables of secrets where a file says whom they would be sent to."""
    if not _entry(_file(), profile.name).get("url") or _from_code_or_env(profile, "base_url", arguments):
        return profile
    entries = _entry(_file(), profile.name), _entry(_configured[0], profile.name)
    named = {entry.get("key_env") for entry in entries}
    kept = {
        setting: variable
        for setting, variable in profile.environment.items()
        if setting not in {"api_key", "token"} or (setting == "api_key" and variable in named)
    }
    return replace(profile, environment=kept)


def _auth_headers(profile: ProviderProfile, found: Mapping[str, Any]) -> tuple[Key, str]:
    key = found["api_key"]
    if not key and found["token"]:
        return found["token"], "Authorization"
    if not key and profile.needs_key:
        variable = profile.environment.get("api_key")
        hint = f" or set {variable}" if variable else ""
        if not hint and _entry(_file(), profile.name).get("url"):
            hint = ", or name its variable by key_env beside the url: a file's address is sent no other key"
        raise ConfigurationError(f"no key for provider {profile.name!r}: pass api_key{hint}")
    # On Azure a key that must be fetched anew is an Entra token, which is a bearer token.
    return key or None, "Authorization" if callable(key) else profile.key_header


def _base_url(profile: ProviderProfile, url: str | None) -> str:
    if not url:
        hint = profile.environment.get("base_url")
        raise ConfigurationError(
            f"no address for provider {profile.name!r}: pass base_url" + (f" or set {hint}" if hint else "")
        )
    address = check_url(url)
    return address if address.endswith(profile.url_suffix) else address + profile.url_suffix


def _version(version: str) -> dict[str, str]:
    # A dated version names the older surface, at another path; the one used here knows v1 and preview.
    return {"api-version": version} if version and not version[0].isdigit() else {}


def _capabilities(entry: Config, profile: ProviderProfile) -> frozenset[str]:
    capabilities = frozenset(entry.get("capabilities", profile.capabilities))
    if unknown := capabilities - CAPABILITIES:
        raise ConfigurationError(f"unknown capabilities {sorted(unknown)} of provider {profile.name!r}")
    return capabilities


def _entry(config: Config, name: str) -> Config:
    entry: Config = config.get("providers", EMPTY).get(name, EMPTY)
    return entry


def _file() -> Config:
    try:
        return read(Path.cwd())
    except FileNotFoundError:  # the directory has been deleted, and with it the file
        return EMPTY
