"""Where the real service is, and those that offer the same API: no test of the fake should ever ask them."""

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
"""Hosts by who runs them, and where that is said; a star is any number of characters. Who offers the same paths for
another kind of job (Telnyx), and gateways that everybody runs for himself (LiteLLM), are not among them."""

_NAME = re.compile(r"[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?")


class ProviderHosts:
    """A choice of hosts.

    Args:
        guarded: patterns, besides `PROVIDERS`.
        allowed: patterns; what they match is none of ours, whatever else does.

    Raises:
        FakeUsageError: a pattern could match no host.
    """

    def __init__(self, guarded: Collection[str] = (), allowed: Collection[str] = ()) -> None:
        known = [pattern for patterns in PROVIDERS.values() for pattern in patterns]
        patterns = [*known, *guarded]
        self._guarded = _any_of("guarded_hosts", patterns)
        self._allowed = _any_of("allowed_hosts", allowed)
        self.unproxied = [
            pattern.removeprefix("*")
            for pattern in map(str.lower, patterns)
            if "*" not in pattern[1:] and not any(_meet(pattern, each.lower()) for each in allowed)
        ]
        """The hosts as ``NO_PROXY`` can have them, which are whole names and ends of names; none that is allowed."""

    def __contains__(self, host: str) -> bool:
        host = host.lower().rstrip(".")
        return bool(self._guarded.fullmatch(host)) and not self._allowed.fullmatch(host)


def _meet(pattern: str, other: str) -> bool:
    """Whether some host matches both."""
    return fnmatchcase(pattern, other) or fnmatchcase(other, pattern)


def _any_of(option: str, patterns: Iterable[str]) -> re.Pattern[str]:
    given = list(patterns)
    for pattern in given:
        if not isinstance(pattern, str) or not _NAME.fullmatch(pattern.lower()):
            raise FakeUsageError(
                f"{option} has {pattern!r}: the name of a host is wanted, without scheme, port and path, "
                "as in 'api.example.com' or '*.example.com'"
            )
    return re.compile("|".join(translate(pattern.lower()) for pattern in given) or r"(?!)")


def placed(target: bytes) -> bytes:
    """*target*, a path with its query, under ``/v1``, where it is under one of Azure's roots; else as it is."""
    path, mark, query = target.decode("ascii").partition("?")
    match = DIALECT_PATH.fullmatch(path)
    under_v1 = f"/v1{match['rest']}" if match else path
    return f"{under_v1}{mark}{query}".encode("ascii")
