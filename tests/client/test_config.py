"""Where settings come from, and which are refused before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_client import (
    ConfigurationError,
    FineTuningClient,
    ProviderProfile,
    UnsupportedOperationError,
    configure,
)
from fine_tuning_client.config import (
    PROFILES,
    ResolvedConfig,
    check_key,
    check_url,
    default_provider,
    find_profile,
    read_file,
    resolve_config,
)
from fine_tuning_client.effects import Request
from fine_tuning_client.transport import to_http_arguments

VARIABLES = {name for profile in PROFILES.values() for name in profile.environment.values()}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory without any configuration."""
    for name in {*VARIABLES, "FINE_TUNING_PROVIDER"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    configure()


def endpoint(name: str, **arguments: Any) -> ResolvedConfig:
    """Resolve the configuration for a provider's requests."""
    return resolve_config(find_profile(name), arguments)


def test_first_hit_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument wins over `configure()`, which wins over environment, file and profile, in this order."""
    key = {"api_key": "sk-1"}
    assert endpoint("openai", **key).base_url == "https://api.openai.com/v1"
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    (folder / "sub" / "fine_tuning.toml").write_text('[providers.openai]\nurl = "https://file/v1"')
    assert endpoint("openai", **key).base_url == "https://file/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://env/v1/")
    assert endpoint("openai", **key).base_url == "https://env/v1"
    configure(providers={"openai": {"url": "https://configured/v1"}})
    assert endpoint("openai", **key).base_url == "https://configured/v1"
    assert endpoint("openai", base_url="https://argument/v1", **key).base_url == "https://argument/v1"


def test_default_provider_by_the_same_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default provider comes from `configure()`, else the environment, else a file, else is OpenAI."""
    assert default_provider() == "openai"
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    text = '[project]\nname = "x"\n[tool.fine_tuning]\ndefault_for_fine_tuning = "azure"'
    (folder / "sub" / "pyproject.toml").write_text(text)
    assert default_provider() == "azure"
    monkeypatch.setenv("FINE_TUNING_PROVIDER", "fake")
    assert default_provider() == "fake"
    configure(default_for_fine_tuning="openai_compatible")
    assert default_provider() == "openai_compatible"


def test_empty_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty environment variable counts as unset."""
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    monkeypatch.setenv("FINE_TUNING_PROVIDER", "")
    assert endpoint("openai", api_key="sk-1").base_url == "https://api.openai.com/v1"
    assert default_provider() == "openai"


def test_openai_reads_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's key, organization and project are read from the variables that OpenAI's own client uses."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, name.lower())
    found = endpoint("openai")
    assert found.key == "openai_api_key"
    assert found.headers == {"OpenAI-Organization": "openai_org_id", "OpenAI-Project": "openai_project_id"}


@pytest.mark.parametrize(
    "address", ["https://r.openai.azure.com", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1"]
)
def test_azure_address_is_completed(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Azure's base URL ends in its v1 path, whether the address names only the resource or the full path."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", address)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
    assert endpoint("azure").base_url == "https://r.openai.azure.com/openai/v1"


@pytest.mark.parametrize(
    ("arguments", "environment", "header"),
    [
        ({"api_key": "key"}, {"AZURE_OPENAI_AD_TOKEN": "token"}, {"api-key": "key"}),
        ({}, {"AZURE_OPENAI_AD_TOKEN": "token"}, {"Authorization": "Bearer token"}),
        ({"api_key": lambda: "fetched"}, {}, {"Authorization": "Bearer fetched"}),
    ],
)
def test_azure_signs_in(
    monkeypatch: pytest.MonkeyPatch, arguments: Any, environment: dict[str, str], header: dict[str, str]
) -> None:
    """Azure is sent an API key in its own header, and a token as a bearer token."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = endpoint("azure", base_url="https://r", **arguments)
    sent = to_http_arguments(Request("GET", "/x", "list"), found, check_key(found.key))["headers"]
    assert header.items() <= sent.items()
    assert len({"api-key", "Authorization"} & set(sent)) == 1


@pytest.mark.parametrize(("version", "query"), [("preview", "?api-version=preview"), ("2024-10-21", ""), ("", "")])
def test_azure_version(monkeypatch: pytest.MonkeyPatch, version: str, query: str) -> None:
    """Azure's API version goes into the query unless it is a date, which the v1 path does not accept."""
    monkeypatch.setenv("OPENAI_API_VERSION", version)
    found = endpoint("azure", base_url="https://r", api_key="key")
    assert to_http_arguments(Request("GET", "/x", "list"), found, "key")["url"] == f"https://r/openai/v1/x{query}"


def test_azure_create_names_a_training_type() -> None:
    """Azure's create_job has a trainingType by default; other providers' has none."""
    found = endpoint("azure", base_url="https://r", api_key="key")
    create = Request("POST", "/fine_tuning/jobs", "create", json={"model": "m"})
    assert to_http_arguments(create, found, "key")["content"] == b'{"trainingType": "Standard", "model": "m"}'
    given = Request("POST", "/fine_tuning/jobs", "create", json={"trainingType": 1})
    assert to_http_arguments(given, found, "key")["content"] == b'{"trainingType": 1}'
    assert to_http_arguments(create, endpoint("openai", api_key="k"), "k")["content"] == b'{"model": "m"}'


def test_the_fake_needs_nothing() -> None:
    """The fake has a default address and needs no API key."""
    assert endpoint("fake").base_url == "http://127.0.0.1:4355/v1"
    assert endpoint("fake").key


def test_a_provider_of_ones_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider defined in a file has the address, key variable and capabilities that the file names."""
    text = '[providers.local]\ndriver = "openai_compatible"\nurl = "http://h/v1"\nkey_env = "LOCAL_KEY"\n'
    (folder / "fine_tuning.toml").write_text(text + 'capabilities = ["create", "retrieve"]')
    with pytest.raises(ConfigurationError, match="set LOCAL_KEY"):
        endpoint("local")
    monkeypatch.setenv("LOCAL_KEY", "sk-local")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    found = endpoint("local")
    assert (found.provider, found.key) == ("local", "sk-local")
    assert found.capabilities == {"create", "retrieve"}


def test_a_compatible_provider_is_not_sent_openai_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key in OPENAI_API_KEY is not sent to an openai_compatible provider."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    found = endpoint("openai_compatible", base_url="http://h/v1")
    assert found.key is None
    assert "Authorization" not in to_http_arguments(Request("GET", "/x", "list"), found, None)["headers"]


def test_a_missing_capability_is_refused() -> None:
    """An operation that the provider lacks is refused with both names and the list of supported operations."""
    with pytest.raises(UnsupportedOperationError, match="'p' does not support 'pause', only create, list"):
        ResolvedConfig("p", "http://h", capabilities=frozenset({"list", "create"})).require_capability(
            Request("POST", "/", "pause")
        )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("nobody", {}, "unknown provider or driver 'nobody'; expected one of: azure, fake, openai,"),
        ("openai", {}, "no key for provider 'openai': pass api_key or set OPENAI_API_KEY"),
        ("azure", {"api_key": "k"}, "no address for provider 'azure': pass base_url or set AZURE_OPENAI_ENDPOINT"),
        ("openai_compatible", {}, "no address for provider 'openai_compatible': pass base_url"),
    ],
)
def test_what_is_missing_is_named(name: str, arguments: dict[str, Any], message: str) -> None:
    """The error for a missing setting names it and says where to set it."""
    with pytest.raises(ConfigurationError, match=message):
        endpoint(name, **arguments)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "unknown = 1",
        "providers = 1",
        "[providers]\nopenai = 1",
        "[providers.openai]\nurls = 'x'",
        "[providers.openai]\napi_key = 'sk-1'",
        "[providers.openai]\ncapabilities = ['creates']",
        "[providers.openai]\ndriver = ['x']",
    ],
)
def test_a_bad_file_is_refused(folder: Path, text: str) -> None:
    """A file that is unreadable or has an unknown setting is a ConfigurationError that does not show the key."""
    (folder / "fine_tuning.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        find_profile("openai")
    assert "sk-1" not in str(caught.value)


def test_configure_refuses_what_it_does_not_know() -> None:
    """A misspelt setting is refused, not ignored."""
    with pytest.raises(ConfigurationError, match=r"configure\(\): unknown settings \['ulr'\]"):
        configure(providers={"openai": {"ulr": "x"}})
    configure(providers={"openai": {"api_key": "sk-1"}})
    assert endpoint("openai").key == "sk-1"


@pytest.mark.parametrize("key", ["sk-é-secret", "sk-a\nsecret", "sk-a secret", " ", 7])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: Any) -> None:
    """A key that is not valid in a header is refused, and the message does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        check_key(lambda: key)
    assert "secret" not in str(caught.value)


def test_a_key_may_end_in_a_newline() -> None:
    """A trailing newline is stripped from a key."""
    assert check_key("sk-1\n") == "sk-1"


@pytest.mark.parametrize(
    "url",
    [
        "hidden/v1",
        "ftp://hidden",
        "http://h:99999",
        "http://u:hidden@h/v1",
        "http://h?x=hidden",
        "http://[::1",
        "http://☃.hidden",
        "http://ex..hidden",
        "http://xn--hidden/v1",
        "http://" + "hidden" * 11 + ".com",
        "//hidden",
    ],
)
def test_an_address_that_cannot_be_right_is_refused_unseen(url: str) -> None:
    """An invalid address, or one that contains a password, is refused, and the message does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        check_url(url)
    assert "hidden" not in str(caught.value)


def test_a_profile_may_be_given_instead_of_a_name() -> None:
    """A ProviderProfile can be passed in place of a provider name."""
    profile = ProviderProfile("mine", "http://h/v1", needs_key=False)
    assert resolve_config(profile, {}).base_url == "http://h/v1"


def test_keys_are_in_no_repr() -> None:
    """The repr of a profile and of a resolved configuration does not show the key."""
    profile = ProviderProfile("mine", "http://h/v1", api_key="sk-secret")
    assert "sk-secret" not in repr((profile, resolve_config(profile, {})))


def test_an_address_may_be_of_any_kind_that_can_be_looked_up() -> None:
    """Internationalized names, names that end in a dot, and IPv4 and IPv6 addresses are accepted as hosts."""
    for host in ("bücher.example", "example.com.", "localhost:1", "127.0.0.1:1", "[::1]:1", "my_host"):
        assert check_url(f"http://{host}/v1/") == f"http://{host}/v1"


@pytest.mark.parametrize(
    ("setting", "value", "wrong"),
    [
        ("key_env", 5, "a string, got int"),
        ("api_version", 1, "a string, got int"),
        ("organization", 5, "a string, got int"),
        ("project", ["p"], "a string, got list of str"),
        ("url", True, "a string, got bool"),
        ("driver", ["openai"], "a string, got list of str"),
        ("capabilities", 5, "a list of strings, got int"),
        ("capabilities", "create", "a list of strings, got str"),
        ("capabilities", [["create"]], "a list of strings, got list of list"),
    ],
)
def test_a_setting_of_a_wrong_type_is_named(folder: Path, setting: str, value: Any, wrong: str) -> None:
    """A setting of a wrong type, in code or in a file, is refused with its name and the type it must have."""
    with pytest.raises(ConfigurationError, match=f"'openai': {setting} must be {wrong}"):
        configure(providers={"openai": {setting: value}})
    (folder / "fine_tuning.toml").write_text(f"[providers.openai]\n{setting} = {json.dumps(value)}")
    with pytest.raises(ConfigurationError, match=f"'openai': {setting} must be {wrong}"):
        find_profile("openai")


def test_other_settings_of_a_wrong_type_are_named() -> None:
    """A default provider, key or argument of a wrong type is refused by name."""
    with pytest.raises(ConfigurationError, match="default_for_fine_tuning must be a string, got int"):
        configure(default_for_fine_tuning=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="api_key must be a string or a function, got int"):
        configure(providers={"openai": {"api_key": 5}})
    with pytest.raises(ConfigurationError, match="organization must be a string, got int"):
        endpoint("openai", api_key="sk-1", organization=5)
    configure(providers={"openai": {"api_key": lambda: "sk-1", "organization": None, "capabilities": {"list"}}})
    assert endpoint("openai").capabilities == {"list"}


def test_an_unknown_name_is_told_from_a_bad_driver() -> None:
    """An unknown provider is refused with a list of the known ones, and a bad driver with the known drivers."""
    providers = {"near": {"driver": "openai"}, "odd": {"driver": "opnai"}, "bare": {"url": "http://h/v1"}}
    configure(providers=providers)
    with pytest.raises(ConfigurationError, match="'nobody'; expected one of: azure, bare, fake, near, odd, openai"):
        find_profile("nobody")
    with pytest.raises(ConfigurationError, match="unknown driver 'opnai' of provider 'odd'; expected one of: azure"):
        find_profile("odd")
    with pytest.raises(ConfigurationError, match="provider 'bare' must have a driver, one of: az"):
        find_profile("bare")


SECRETS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")


@pytest.mark.parametrize("driver", ["openai", "azure"])
@pytest.mark.parametrize("name", ["", "mine"])
def test_a_file_sends_nobodys_key_to_its_address(
    folder: Path, monkeypatch: pytest.MonkeyPatch, driver: str, name: str
) -> None:
    """No key is sent to an address from a file unless it is passed, or its variable is named beside the address."""
    for secret in SECRETS:
        monkeypatch.setenv(secret, "sk-secret")
    text = f'[providers.{name or driver}]\ndriver = "{driver}"\nurl = "https://elsewhere/v1"\n'
    (folder / "fine_tuning.toml").write_text(text)
    with pytest.raises(ConfigurationError, match="pass api_key, or name its variable by key_env beside the url"):
        endpoint(name or driver)
    assert endpoint(name or driver, api_key="sk-1").key == "sk-1"
    configure(providers={name or driver: {"api_key": "sk-2"}})
    assert endpoint(name or driver).key == "sk-2"


def test_a_key_named_beside_an_address_is_sent_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address from a file is sent the key in the variable named beside it, even OpenAI's, but no token."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "token")
    text = '[providers.{0}]\nurl = "https://elsewhere/v1"\nkey_env = "{1}"\n'
    openai, azure = text.format("openai", "OPENAI_API_KEY"), text.format("azure", "AZURE_OPENAI_API_KEY")
    (folder / "fine_tuning.toml").write_text(openai + azure)
    assert endpoint("openai").key == "sk-openai"
    with pytest.raises(ConfigurationError, match="pass api_key or set AZURE_OPENAI_API_KEY"):
        endpoint("azure")


def test_an_address_of_ones_own_gets_the_usual_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address from an argument, `configure()` or the environment is sent the key in the driver's own variable."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    (folder / "fine_tuning.toml").write_text('[providers.openai]\nurl = "https://elsewhere/v1"\n')
    assert endpoint("openai", base_url="https://mine/v1").key == "sk-openai"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://mine/v1")
    assert endpoint("openai").key == "sk-openai"
    monkeypatch.delenv("OPENAI_BASE_URL")
    configure(providers={"openai": {"url": "https://mine/v1"}})
    assert endpoint("openai").key == "sk-openai"


def test_a_folder_that_is_gone_has_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings can be resolved in a working directory that has been deleted."""
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert endpoint("openai", api_key="sk-1").key == "sk-1"
    monkeypatch.chdir(tmp_path)


def test_somebody_elses_pyproject_need_not_be_sound(folder: Path) -> None:
    """A pyproject.toml that cannot be parsed is an error only if it mentions `tool.fine_tuning`."""
    (folder / "pyproject.toml").write_text("[project\nname = ")
    assert endpoint("openai", api_key="sk-1").key == "sk-1"
    read_file.cache_clear()
    (folder / "pyproject.toml").write_text("[tool.fine_tuning\n")
    with pytest.raises(ConfigurationError, match=r"cannot read pyproject\.toml"):
        endpoint("openai", api_key="sk-1")


@pytest.mark.parametrize("variable", ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID"])
def test_names_of_accounts_are_sent_as_they_are_meant(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trailing newline is stripped from an account variable, and text that is not valid in a header is refused."""
    monkeypatch.setenv(variable, "org-1\n")
    assert list(endpoint("openai", api_key="sk-1").headers.values()) == ["org-1"]
    monkeypatch.setenv(variable, "é")
    with pytest.raises(ConfigurationError, match=r"header 'OpenAI-\w+' must be printable ASCII text"):
        endpoint("openai", api_key="sk-1")


@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ({"Authorization": "Bearer sk-secret\n"}, "the value of header 'Authorization' must be printable ASCII text"),
        ({"X-Team": "é"}, "'X-Team'"),
        ({"X-Team": 1}, "'X-Team'"),
        ({1: "1"}, "invalid header name 1"),
        ({"X Team": "a"}, "invalid header name 'X Team'"),
        (5, "headers must be a mapping of names to values, got int"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused_at_once(headers: Any, wrong: str) -> None:
    """An invalid header is refused before anything is sent, and the message does not show its value."""
    with pytest.raises(ConfigurationError, match=wrong) as caught:
        FineTuningClient("fake", default_headers=headers)
    assert "sk-secret" not in str(caught.value)


def test_a_name_of_a_provider_is_a_text() -> None:
    """`configure()` refuses a provider name that is a number, and keeps no trace of it."""
    bad: Any = {5: {"driver": "openai"}}
    with pytest.raises(ConfigurationError, match="providers must be tables"):
        configure(providers=bad)
    with pytest.raises(ConfigurationError, match="unknown provider or driver 'nobody'"):
        find_profile("nobody")
