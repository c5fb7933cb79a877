"""The providers of the fine-tuning API, as data: address, authentication, and operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
