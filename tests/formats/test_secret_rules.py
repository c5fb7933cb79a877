"""What counts as a secret."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_formats.secret_rules import (
    REDACTED,
    is_secret,
    is_secret_header,
    known_spellings,
    redact_query,
    redact_text,
    secrets_in,
    spellings,
)

RANDOM = "abcDEF0123456789"


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "x-apikey",
        "OPENAI_API_KEY_2",
        "accesstoken",
        "auth_token",
        "client_secret",
        "passwords",
        "sig",
    ],
)
def test_names_of_secrets(name: str) -> None:
    """Any value under such a name is a secret, even a plain word."""
    assert is_secret(name, "word")


@pytest.mark.parametrize("name", ["key", "token", "HF-Pat", "session"])
def test_names_that_secrets_share(name: str) -> None:
    """Under such a name a random text is a secret, and a word is not."""
    assert is_secret(name, RANDOM)
    assert not is_secret(name, "word")


@pytest.mark.parametrize("name", ["monkey", "author", "max_tokens", "key_id", "signed", "", "42"])
def test_names_of_other_things(name: str) -> None:
    """A name that only resembles a secret's is not one."""
    assert not is_secret(name, RANDOM)


@pytest.mark.parametrize("name", ["Idempotency-Key", "x-ratelimit-limit-tokens", "openai-organization", "user-agent"])
def test_headers_that_are_shown(name: str) -> None:
    """Headers without secrets are not redacted."""
    assert not is_secret_header(name)


FORMS = {
    f"sk-proj-{RANDOM}": REDACTED,
    f"Bearer {RANDOM}": f"Bearer {REDACTED}",
    "eyJhbGciOiJI.eyJzdWIi.c2ln": REDACTED,
    f"hf_{RANDOM}x": REDACTED,
    f"whsec_{RANDOM}=": REDACTED,
    "http://me:word@proxy.example": f"http://{REDACTED}@proxy.example",
    "sk-learn": "sk-learn",
    "a Bearer token": "a Bearer token",
    "risk-averse-and-careful-2024": "risk-averse-and-careful-2024",
}


@pytest.mark.parametrize("text", FORMS)
def test_forms_of_secrets(text: str) -> None:
    """A text in the form of a key or token is redacted anywhere, and other text is not."""
    assert redact_text(f"(see {text} there)") == f"(see {FORMS[text]} there)"
    assert redact_query(f"x={text}") == f"x={FORMS[text]}"


@pytest.mark.parametrize("escape", ["\\n", "\\t", "\\u00e9", "%20", "%0A"])
@pytest.mark.parametrize(
    "text", [f"sk-proj-{RANDOM}", f"Bearer {RANDOM}", f"hf_{RANDOM}x", "eyJhbGciOiJI.eyJzdWIi.c2ln"]
)
def test_forms_of_secrets_after_an_escape(escape: str, text: str) -> None:
    """A key at the start of a line is hidden, also where JSON or a URL spells the end of the line before."""
    assert redact_text(f"a line{escape}{text}") == f"a line{escape}{FORMS[text]}"


@pytest.mark.parametrize("space", ["%20", "+"])
def test_a_bearer_token_in_a_url(space: str) -> None:
    """A token is hidden behind its scheme, however a URL spells the space between."""
    assert redact_text(f"/files?x=Bearer{space}{RANDOM}&limit=2") == f"/files?x=Bearer {REDACTED}&limit=2"


def test_a_secret_however_deep() -> None:
    """A secret is found beyond the recursion limit, and in JSON within strings."""
    deep: Any = {"note": '{"api_key": "inner"}', "api_key": ["outer"]}
    for _ in range(100_000):
        deep = [deep]

    assert sorted(secrets_in(deep)) == ["inner", "outer"]


@given(st.text(min_size=4) | st.text(alphabet="\ud800a\"\\'", min_size=4))
def test_every_spelling_of_a_secret_is_hidden(secret: str) -> None:
    """A known secret is redacted in all its spellings, whatever characters it has."""
    for spelling in spellings(secret):
        assert redact_text(f"<{spelling}>", known_spellings([secret])) == f"<{REDACTED}>"


@given(st.text() | st.from_regex(r'("(api_key|token)": ?"[a-zA-Z0-9\\]*"|sk-|[?&]key=|Bearer | )*'))
def test_to_redact_twice_changes_nothing(text: str) -> None:
    """Redacting a redacted text does not change it."""
    once = redact_text(text)

    assert redact_text(once) == once
