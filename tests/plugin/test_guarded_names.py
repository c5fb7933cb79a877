"""Names under the guard: which hosts it guards, however they are spelt."""

from __future__ import annotations

import pytest

from pytest_fine_tuning.provider_hosts import PROVIDERS, ProviderHosts

HOST = "api.openai.com"
GUARDED = ProviderHosts(guarded=["*.example.org"], allowed=["except.example.org"])


@pytest.mark.parametrize(
    "host",
    [
        "gov.api.openai.com",
        "mtls-eu.api.openai.com",
        "southcentralus.privatelink.api.openai.com",
        "mine.azure.openai.com",
        "westeurope.api.cognitive.microsoft.com",
        "api.cognitive.microsoft.com",
        "mine.privatelink.openai.azure.com",
        "usgovvirginia.api.cognitive.microsoft.us",
        "mine.services.ai.azure.us",
        "mine.cognitiveservices.azure.us",
        "mine.openai.azure.cn",
        "mine.services.ai.azure.cn",
        "mine.cognitiveservices.azure.cn",
        "chinaeast2.api.cognitive.azure.cn",
        "bedrock-mantle.us-gov-west-1.api.aws",
        "bedrock-mantle-fips.us-east-1.api.aws",
        "bedrock-mantle.cn-north-1.api.amazonwebservices.com.cn",
        "vpce-1-2.bedrock-mantle.us-east-1.vpce.amazonaws.com",
        "api.tokenfactory.us-central1.nebius.com",
        "api.studio.nebius.com",
        "oai.helicone.ai",
        "gateway.ai.cloudflare.com",
    ],
)
def test_a_region_or_sovereign_cloud_of_a_provider_is_guarded(host: str) -> None:
    """Hosts by region, for governments, in China, behind private links and of gateways are guarded like the others."""
    assert host in GUARDED


@pytest.mark.parametrize(
    "host",
    [
        "mine.blob.core.windows.net",
        "login.microsoftonline.com",
        "api.bing.microsoft.com",
        "westeurope.stt.speech.microsoft.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "mantle.us-east-1.api.aws",
        "nebius.com",
        "xapi.cognitive.microsoft.com",
        "except.example.org",
    ],
)
def test_a_neighbour_of_a_provider_is_not_guarded(host: str) -> None:
    """Hosts without a fine-tuning API in the same domains are left alone."""
    assert host not in GUARDED


def test_every_provider_has_patterns_with_a_source() -> None:
    """Each row of the table names its source in parentheses or as a package's docstring, and has patterns."""
    assert all("(" in source or "docstring" in source for source in PROVIDERS)
    assert all(PROVIDERS.values())


SPELLINGS = (
    "API.OpenAI.com",
    "api.openai.com.",
    "api。openai。com",
    "api．openai｡com",
    "ａｐｉ.openai.com",
    "api.open\u00adai.com",
    "api\u2024openai.com",
)


@pytest.mark.parametrize("host", [*SPELLINGS, "api%2Eopenai.com", "api%E3%80%82openai.com"])
def test_a_host_is_guarded_however_it_is_spelt(host: str) -> None:
    """Upper case, a final dot, other dots, wide letters, invisible characters and escapes name the same host."""
    assert host in ProviderHosts()
    assert host not in ProviderHosts(allowed=[HOST])


@pytest.mark.parametrize("host", ["ü.example.org", "xn--tda.example.org"])
def test_an_international_name_is_compared_in_ascii(host: str) -> None:
    """A pattern covers a name with other letters in both of its forms; one too long for any name is no error."""
    assert host in GUARDED
    assert f"{'ü' * 70}.com" not in GUARDED
