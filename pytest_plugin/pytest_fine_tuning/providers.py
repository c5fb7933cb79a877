"""Hosts of the real service and of others with the same API, which no test of the fake may reach."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase, translate

from fine_tuning_fakeserver import FakeUsageError
from fine_tuning_fakeserver.web.dialect_adapter import DIALECT_PATH

PROVIDERS = {
    "OpenAI, and its regions (platform.openai.com, data residency)": ("api.openai.com", "*.api.openai.com"),
    "Azure OpenAI and Foundry (learn.microsoft.com, REST reference: endpoint)": (
        "*.openai.azure.com",
        "*.openai.azure.us",
        "*.services.ai.azure.com",
        "*.cognitiveservices.azure.com",
    ),
    "Amazon Bedrock (user guide, fine-tuning-openai-apis)": ("bedrock-mantle.*.api.aws",),
    "Nebius Token Factory (docs.tokenfactory.nebius.com)": ("api.tokenfactory.nebius.com",),
    "Crusoe (docs.crusoecloud.com, serverless-fine-tuning)": ("api.intelligence.crusoecloud.com",),
    "Portkey (portkey.ai, its two gateways)": ("api.portkey.ai", "aigw.portkey.ai"),
}
"""Host patterns by provider, with the source; a star matches any characters. Not included: providers of the same paths
for another kind of job (Telnyx), and self-hosted gateways (LiteLLM)."""

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
        host = host.lower().rstrip(".")
        return bool(self._guarded.fullmatch(host)) and not self._allowed.fullmatch(host)


def _compile_patterns(option: str, patterns: Iterable[str]) -> re.Pattern[str]:
    patterns = list(patterns)
    for pattern in patterns:
        if not isinstance(pattern, str) or not _NAME.fullmatch(pattern.lower()):
            raise FakeUsageError(
                f"{option} must be host names without scheme, port and path, as in 'api.example.com' or "
                f"'*.example.com', got {pattern!r}"
            )
    return re.compile("|".join(translate(pattern.lower()) for pattern in patterns) or r"(?!)")


def to_v1_target(target: bytes) -> bytes:
    """Return the request target with Azure's root replaced by ``/v1``; other targets unchanged."""
    path, mark, query = target.decode("ascii").partition("?")
    match = DIALECT_PATH.fullmatch(path)
    under_v1 = f"/v1{match['rest']}" if match else path
    return f"{under_v1}{mark}{query}".encode("ascii")
