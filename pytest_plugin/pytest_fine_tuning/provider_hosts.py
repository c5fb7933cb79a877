"""The hosts of providers of the fine-tuning API, and which of them a test guards."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase, translate
from functools import cache
from urllib.parse import unquote

from fine_tuning_fakeserver import FakeUsageError

PROVIDERS = {
    "OpenAI, its regions, FedRAMP, mTLS and private links (developers.openai.com: data-residency, private-link)": (
        "api.openai.com",
        "*.api.openai.com",
    ),
    "Azure as the openai package's docstring of azure_endpoint spells it": ("*.azure.openai.com",),
    "Azure OpenAI and Foundry (learn.microsoft.com, REST reference: endpoint)": (
        "*.openai.azure.com",
        "*.services.ai.azure.com",
        "*.cognitiveservices.azure.com",
    ),
    "Azure by region (learn.microsoft.com, cognitive-services-custom-subdomains: regional endpoints)": (
        "api.cognitive.microsoft.com",
        "*.api.cognitive.microsoft.com",
    ),
    "Azure US Government (learn.microsoft.com, foundry-azure-government; speech-service/sovereign-clouds)": (
        "*.openai.azure.us",
        "*.services.ai.azure.us",
        "*.cognitiveservices.azure.us",
        "*.api.cognitive.microsoft.us",
    ),
    "Azure in China (docs.azure.cn, ai-services/translator/sovereign-clouds; suffix lists of public clients)": (
        "*.openai.azure.cn",
        "*.services.ai.azure.cn",
        "*.cognitiveservices.azure.cn",
        "api.cognitive.azure.cn",
        "*.api.cognitive.azure.cn",
    ),
    "Amazon Bedrock (user guide: fine-tuning-openai-apis, endpoints; partitions: openai package, providers/bedrock)": (
        "bedrock-mantle.*.api.*",
        "bedrock-mantle-fips.*.api.*",
        "*.bedrock-mantle.*.vpce.amazonaws.com",
    ),
    "Nebius Token Factory, its regions, and its name until 2025 (docs.tokenfactory.nebius.com)": (
        "api.tokenfactory.nebius.com",
        "api.tokenfactory.*.nebius.com",
        "api.studio.nebius.com",
        "api.studio.nebius.ai",
    ),
    "Crusoe (docs.crusoecloud.com, serverless-fine-tuning)": ("api.intelligence.crusoecloud.com",),
    "Portkey (portkey.ai, its two gateways)": ("api.portkey.ai", "aigw.portkey.ai"),
    "Helicone, which passes on what it gets (docs.helicone.ai, integration methods)": (
        "oai.helicone.ai",
        "nebius.helicone.ai",
    ),
    "Cloudflare AI Gateway, the same (developers.cloudflare.com/ai-gateway, providers)": ("gateway.ai.cloudflare.com",),
}
"""Host patterns by provider, with the source; a star matches any characters. Not included: providers of the same paths
for another kind of job (Telnyx), Bedrock's hosts without fine-tuning (bedrock-runtime), and self-hosted gateways
(LiteLLM, Azure API Management)."""

_NAME = re.compile(r"[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?")


class ProviderHosts:
    """The guarded hosts.

    Args:
        guarded: patterns in addition to `PROVIDERS`.
        allowed: patterns of hosts that are not guarded, whatever else matches them.

    Raises:
        FakeUsageError: a pattern is not a host name.
    """

    def __init__(self, guarded: Collection[str] = (), allowed: Collection[str] = ()) -> None:
        known = [pattern for patterns in PROVIDERS.values() for pattern in patterns]
        patterns = [*known, *guarded]
        self._guarded = _compile_patterns("guarded_hosts", patterns)
        self._allowed = _compile_patterns("allowed_hosts", allowed)
        self.unproxied = [
            pattern.removeprefix("*")
            for pattern in map(str.lower, patterns)
            if "*" not in pattern[1:]
            and not any(fnmatchcase(pattern, other) or fnmatchcase(other, pattern) for other in map(str.lower, allowed))
        ]
        """The guarded hosts that ``NO_PROXY`` can express: whole names and suffixes."""

    def __contains__(self, host: str) -> bool:
        name = resolved_name(host)
        return bool(self._guarded.fullmatch(name)) and not self._allowed.fullmatch(name)


def resolved_name(host: str) -> str:
    """Return the name that is looked up for *host*: in lower case and ASCII (IDNA), without escapes and final dots."""
    if "%" in host:
        host = unquote(host)
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")  # as Python's sockets do
        except UnicodeError:
            pass  # it cannot be looked up either
    return host.lower().rstrip(".")


_translate = cache(translate)  # the known hosts are the same in every test


def _compile_patterns(option: str, patterns: Iterable[str]) -> re.Pattern[str]:
    patterns = list(patterns)
    for pattern in patterns:
        if not isinstance(pattern, str) or not _NAME.fullmatch(pattern.lower()):
            raise FakeUsageError(
                f"{option} must be host names without scheme, port and path, as in 'api.example.com' or "
                f"'*.example.com', got {pattern!r}"
            )
    return re.compile("|".join(_translate(pattern.lower()) for pattern in patterns) or r"(?!)")
