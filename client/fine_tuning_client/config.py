"""Settings: argument, `configure()`, environment, file, profile; the first that has a value wins.

The environment names the default provider in ``FINE_TUNING_PROVIDER``, and everything else as the provider's own client
does. The file is ``fine_tuning.toml`` in the working directory, or ``[tool.fine_tuning]`` in its ``pyproject.toml``; it
is read once. An address from the file is sent a key of the environment only if the file names its variable beside the
address, by ``key_env``; a key that is passed goes to whatever address there is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from fine_tuning_client.arguments import is_async
from fine_tuning_client.effects import Request
from fine_tuning_client.errors import ConfigurationError, UnsupportedOperationError
from fine_tuning_formats.lazy_dataclass import dataclass

CAPABILITIES = frozenset(
    {
        *("create", "list", "retrieve", "cancel", "pause", "resume", "events", "checkpoints", "files", "models"),
        "metadata",  # jobs keep theirs, and are listed by it
    }
)

Key = str | Callable[[], str] | None


@dataclass(frozen=True, slots=True)
class ProviderProfile:
    """A kind of provider; ``environment`` names the variable of each setting that a user may make there."""

    name: str
    base_url: str | None = None
    capabilities: frozenset[str] = CAPABILITIES
    api_key: str | None = field(default=None, repr=False)
    needs_key: bool = True
    key_header: str = "Authorization"
    url_suffix: str = ""  # appended to an address that names only the resource
    create_defaults: Mapping[str, Any] = field(default_factory=dict)
    training_data: str = "openai"  # whose rules training files are checked by
    environment: Mapping[str, str] = field(default_factory=dict)


PROFILES = {
    profile.name: profile
    for profile in (
        ProviderProfile(
            "openai",
            "https://api.openai.com/v1",
            environment={
                "api_key": "OPENAI_API_KEY",
                "base_url": "OPENAI_BASE_URL",
                "organization": "OPENAI_ORG_ID",
                "project": "OPENAI_PROJECT_ID",
            },
        ),
        ProviderProfile(
            "azure",
            capabilities=CAPABILITIES - {"metadata"},  # recording: its jobs answer null for metadata
            key_header="api-key",
            url_suffix="/openai/v1",
            # Without it Azure complains, misleadingly, that the model cannot be fine-tuned.
            create_defaults={"trainingType": "Standard"},
            training_data="azure",
            environment={
                "api_key": "AZURE_OPENAI_API_KEY",
                "token": "AZURE_OPENAI_AD_TOKEN",
                "base_url": "AZURE_OPENAI_ENDPOINT",
                "api_version": "OPENAI_API_VERSION",
            },
        ),
        # Reads no variable by itself: an address from a file must not be sent somebody else's key.
        ProviderProfile("openai_compatible", capabilities=CAPABILITIES - {"metadata"}, needs_key=False),
        ProviderProfile("fake", "http://127.0.0.1:4355/v1", api_key="fake-key"),
    )
}


DEFAULT_PROVIDER = "openai"
FILES = (("fine_tuning.toml", ()), ("pyproject.toml", ("tool", "fine_tuning")))
TOP_KEYS = frozenset({"default_for_fine_tuning", "providers"})
ENTRY_KEYS = frozenset({"driver", "url", "key_env", "organization", "project", "api_version", "capabilities"})
SETTINGS = ("api_key", "token", "base_url", "organization", "project", "api_version")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token

Settings = Mapping[str, Any]
EMPTY: Settings = MappingProxyType({})

_configured: list[Settings] = [EMPTY]  # one item, another object after each configure()


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """Everything that is settled about a provider: where requests go, and what goes with each.

    ``inputs`` is what it was resolved from, besides the arguments: what `configure()` set, the working directory and
    the variables of the environment.
    """

    provider: str
    base_url: str
    key: Key = field(default=None, repr=False)
    key_header: str = "Authorization"
    capabilities: frozenset[str] = CAPABILITIES
    create_defaults: Settings = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: tuple[Settings, str | None, dict[str, str | None]] | None = field(default=None, repr=False, compare=False)

    def is_current(self) -> bool:
        """Return whether resolving it again would give the same."""
        if self.inputs is None:
            return False
        configured, directory, environment = self.inputs
        if configured is not _configured[0] or directory != _working_directory():
            return False
        return _variables(environment) == environment

    def require_capability(self, request: Request) -> None:
        """Raise UnsupportedOperationError if the provider does not offer *request*."""
        if request.capability not in self.capabilities:
            offered = ", ".join(sorted(self.capabilities)) or "nothing"
            raise UnsupportedOperationError(
                f"provider {self.provider!r} does not support {request.capability!r}, only {offered}"
            )


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
    settings = {"default_for_fine_tuning": default_for_fine_tuning, "providers": providers or {}}
    _configured[0] = _check_settings("configure()", settings, ENTRY_KEYS | {"api_key"})


def default_provider() -> str:
    """Return the name of the provider to use when none is named."""
    name = (
        _configured[0].get("default_for_fine_tuning")
        or os.environ.get("FINE_TUNING_PROVIDER")
        or _file_settings().get("default_for_fine_tuning")
        or DEFAULT_PROVIDER
    )
    return str(name)


def find_profile(name: str) -> ProviderProfile:
    """Return the profile of a configured provider, or of a driver, which needs no configuration.

    Raises:
        ConfigurationError: No provider has that name.
    """
    entry = {**_entry(_file_settings(), name), **_entry(_configured[0], name)}
    driver = entry.get("driver") or name
    profile = PROFILES.get(driver)
    if profile is None:
        drivers = ", ".join(sorted(PROFILES))
        if entry.get("driver"):
            raise ConfigurationError(f"unknown driver {driver!r} of provider {name!r}; expected one of: {drivers}")
        if entry:
            raise ConfigurationError(f"provider {name!r} must have a driver, one of: {drivers}")
        known = {*PROFILES, *_file_settings().get("providers", EMPTY), *_configured[0].get("providers", EMPTY)}
        raise ConfigurationError(f"unknown provider or driver {name!r}; expected one of: {', '.join(sorted(known))}")

    capabilities = entry.get("capabilities")
    capabilities = profile.capabilities if capabilities is None else frozenset(capabilities)
    if unknown := capabilities - CAPABILITIES:
        raise ConfigurationError(f"unknown capabilities {sorted(unknown)} of provider {name!r}")
    if key_env := entry.get("key_env"):
        profile = replace(profile, environment={**profile.environment, "api_key": key_env}, needs_key=True)
    return replace(profile, name=name, capabilities=capabilities)


def resolve_config(
    provider: ProviderProfile | None,
    arguments: Settings,
    default_headers: Mapping[str, str] = EMPTY,
    default_query: Mapping[str, str] = EMPTY,
) -> ResolvedConfig:
    """Look up every setting of a provider, or of the default one.

    Raises:
        ConfigurationError: The address or the key is missing or invalid.
    """
    profile = provider or find_profile(default_provider())
    values = _find_settings(profile, arguments)
    names = {"OpenAI-Organization": values["organization"], "OpenAI-Project": values["project"]}
    version = values["api_version"]
    # A dated version names the older surface, at another path; the one used here knows v1 and preview.
    query = {"api-version": version} if version and not version[0].isdigit() else {}
    if not values["base_url"]:
        variable = profile.environment.get("base_url")
        hint = f" or set {variable}" if variable else ""
        raise ConfigurationError(f"no address for provider {profile.name!r}: pass base_url{hint}")
    url = check_url(values["base_url"])
    # those that decide nothing need not be looked at for each request
    variables = [name for setting, name in profile.environment.items() if not arguments.get(setting)]
    if provider is None:
        variables.append("FINE_TUNING_PROVIDER")
    return ResolvedConfig(
        profile.name,
        url if url.endswith(profile.url_suffix) else url + profile.url_suffix,
        values["api_key"] or None,
        values["key_header"],
        profile.capabilities,
        profile.create_defaults,
        merge_headers(check_headers({name: value for name, value in names.items() if value}), default_headers),
        {**query, **default_query},
        (_configured[0], _working_directory(), _variables(variables)),
    )


def _find_settings(profile: ProviderProfile, arguments: Settings) -> dict[str, Any]:
    """Return the first value of each setting, and the header that the key is sent in."""
    in_code, in_file = _entry(_configured[0], profile.name), _entry(_file_settings(), profile.name)
    environment = {setting: os.environ.get(name) for setting, name in profile.environment.items()}
    has_own_url = arguments.get("base_url") or in_code.get("url") or environment.get("base_url")
    if in_file.get("url") and not has_own_url:  # to its address goes only the key that is named beside it
        environment.pop("token", None)
        if profile.environment.get("api_key") not in (in_file.get("key_env"), in_code.get("key_env")):
            environment.pop("api_key", None)

    values: dict[str, Any] = {"key_header": profile.key_header}
    for setting in SETTINGS:
        name = "url" if setting == "base_url" else setting
        layers = (arguments.get(setting), in_code.get(name), environment.get(setting), in_file.get(name))
        values[setting] = next(filter(None, layers), None) or getattr(profile, setting, None)
    for setting in ("organization", "project", "api_version"):
        _check_type("", setting, values[setting])
        values[setting] = (values[setting] or "").strip()

    if not values["api_key"] and values["token"]:
        values |= {"api_key": values["token"], "key_header": "Authorization"}
    elif not values["api_key"] and profile.needs_key:
        hint = f" or set {profile.environment['api_key']}" if "api_key" in environment else ""
        if not hint and in_file.get("url"):
            hint = ", or name its variable by key_env beside the url: a file's address is sent no other key"
        raise ConfigurationError(f"no key for provider {profile.name!r}: pass api_key{hint}")
    elif callable(values["api_key"]):  # on Azure a key that must be fetched anew is an Entra token, a bearer token
        values["key_header"] = "Authorization"
    return values


def merge_headers(*layers: Mapping[str, str]) -> dict[str, str]:
    """Unite headers, whose names have no case; the last of each name is sent."""
    merged = {name.lower(): (name, value) for layer in layers for name, value in layer.items()}
    return dict(merged.values())


@cache
def read_file(directory: str) -> Settings:
    """Read the settings file of *directory*, if there is one.

    Raises:
        ConfigurationError: It cannot be read, or a setting is unknown or of a wrong type.
    """
    for filename, tables in FILES:
        try:
            text = (Path(directory) / filename).read_text("utf-8")
            if not all(name in text for name in tables):
                continue  # somebody else's file, which need not even be valid
            import tomllib  # most directories have no such file

            settings: Any = tomllib.loads(text)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"cannot read {filename}: {error}") from error
        for name in tables:
            settings = settings.get(name) if isinstance(settings, dict) else None
        if settings is not None:
            return _check_settings(filename, settings, ENTRY_KEYS)
    return EMPTY


def _check_settings(source: str, settings: Any, entry_keys: frozenset[str]) -> Settings:
    """Return valid settings; errors name the setting and its type, and show no value."""
    entries = settings.get("providers", {}) if isinstance(settings, Mapping) else None
    if not isinstance(entries, Mapping) or not all(
        isinstance(name, str) and isinstance(entry, Mapping) for name, entry in entries.items()
    ):
        raise ConfigurationError(f"{source}: providers must be tables, as in [providers.openai]")
    unknown = set(settings) - TOP_KEYS | {key for entry in entries.values() for key in entry} - entry_keys
    if "api_key" in unknown:
        raise ConfigurationError(f'{source}: no keys in a file, name a variable: key_env = "OPENAI_API_KEY"')
    if unknown:
        raise ConfigurationError(f"{source}: unknown settings {sorted(unknown)}")
    _check_type(f"{source}: ", "default_for_fine_tuning", settings.get("default_for_fine_tuning"))
    for name, entry in entries.items():
        for setting, value in entry.items():
            _check_type(f"{source}: provider {name!r}: ", setting, value)
    return MappingProxyType(dict(settings))


def _check_type(place: str, setting: str, value: Any) -> None:
    """Check that a setting is of its type; None is not set."""
    is_list = isinstance(value, list | tuple | set | frozenset)
    expected, is_valid = "a string", isinstance(value, str | None)
    if setting == "capabilities":
        expected = "a list of strings"
        is_valid = value is None or (is_list and all(isinstance(each, str) for each in value))
    elif setting == "api_key":
        expected, is_valid = "a string or a function", is_valid or callable(value)
    if not is_valid:
        items = f" of {', '.join(sorted({type(each).__name__ for each in value}))}" if is_list else ""
        raise ConfigurationError(f"{place}{setting} must be {expected}, got {type(value).__name__}{items}")


def _entry(settings: Settings, name: str) -> Settings:
    entry: Settings = settings.get("providers", EMPTY).get(name, EMPTY)
    return entry


def _file_settings() -> Settings:
    directory = _working_directory()
    return EMPTY if directory is None else read_file(directory)


def _variables(names: Iterable[str]) -> dict[str, str | None]:
    environ = os.environ
    return {name: environ.get(name) for name in names}


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it has been deleted, and the file with it
        return None


def reject_empty(**arguments: object) -> None:
    """Raise ConfigurationError for an empty argument; an empty variable of the environment counts as unset."""
    for name, value in arguments.items():
        if isinstance(value, str) and not value.strip():
            raise ConfigurationError(f"{name} is empty; pass a value or omit the argument")


def check_key(key: Key) -> str | None:
    """Return a key that fits into a header, fetched if it is a function.

    Raises:
        ConfigurationError: It does not fit. The message does not show it.
    """
    if callable(key) and is_async(key):
        raise ConfigurationError("api_key must be a string or a plain function: an async one is never awaited")
    text = key() if callable(key) else key
    if text is None:
        return None
    bare = text.strip() if isinstance(text, str) else ""  # variables often end in a newline
    if not bare or not _is_sendable(bare) or " " in bare:
        raise ConfigurationError("the API key must be printable ASCII text without spaces")
    return bare


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers that can be sent.

    Raises:
        ConfigurationError: One cannot. The message does not show its value.
    """
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers must be a mapping of names to values, got {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"invalid header name {name!r:.60}")
        if not isinstance(value, str) or not _is_sendable(value):
            raise ConfigurationError(f"the value of header {name!r} must be printable ASCII text")
    return dict(headers)


def _is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def check_url(url: str) -> str:
    """Return an address that requests can go to, without its last slash.

    Raises:
        ConfigurationError: It is not one. The message does not show it, as it may hold a password.
    """
    return _check_url(str(url).strip())


@lru_cache(maxsize=32)
def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"http", "https"} and _is_host(parts.hostname or "", url) and parts.port != 0
    except ValueError:
        is_valid = False
    is_odd = " " in url or not url.isprintable()
    if not is_valid or is_odd or parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError("the base URL must look like https://host/v1, without password or query")
    return url.rstrip("/")


def _is_host(host: str, url: str) -> bool:
    """Return whether *host* can be looked up: ASCII by the resolver's rules, other letters by httpx, which encodes."""
    if not host.isascii() or "xn--" in host:
        import httpx  # slow to import, and such a host is rare

        try:
            return bool(httpx.URL(url).host)
        except httpx.InvalidURL:
            return False
    return bool(host.encode("idna"))  # an empty or overlong label is a UnicodeError, which is a ValueError
