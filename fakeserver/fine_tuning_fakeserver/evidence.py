"""The evidence for an answer of the fake: where each thing was seen, or that it never was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

from fine_tuning_formats.lazy_dataclass import dataclass

Kind: TypeAlias = Literal["recorded", "printed", "spec", "sdk", "vendor", "inferred"]

KINDS: dict[Kind, str] = {
    "recorded": "an exchange with the service, kept whole",
    "printed": "an output of the service that somebody published",
    "spec": "the service's OpenAPI document",
    "sdk": "code and types of the official SDKs, and clients' own live tests",
    "vendor": "guides, help pages, reference: the service's, or of one like it",
    "inferred": "no source: inferred from similar answers",
}
"""The strongest first."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why something is as it is: the kind of source, which one, and its year or month if known."""

    kind: Kind
    source: str
    date: str = ""


def recorded(source: str, date: str) -> Evidence:
    """Return evidence from the recording of this name."""
    return Evidence("recorded", source, date)


def printed(source: str, date: str) -> Evidence:
    """Return evidence from an output that was published; *source* says of what."""
    return Evidence("printed", source, date)


def spec(source: str) -> Evidence:
    """Return evidence from a schema or an example of the service's OpenAPI document."""
    return Evidence("spec", source)


def sdk(source: str, date: str = "") -> Evidence:
    """Return evidence from what a client relies on."""
    return Evidence("sdk", source, date)


def vendor(source: str, date: str = "") -> Evidence:
    """Return evidence from a vendor's text."""
    return Evidence("vendor", source, date)


def inferred(source: str) -> Evidence:
    """Return the lack of evidence; *source* says what it is inferred from."""
    return Evidence("inferred", source)


F = TypeVar("F", bound=Callable[..., object])


def backed(evidence: Evidence) -> Callable[[F], F]:
    """Mark a function that makes an answer with its evidence, for `evidence_of`."""

    def mark(function: F) -> F:
        vars(function)["evidence"] = evidence
        return function

    return mark


def evidence_of(function: Callable[..., Any]) -> Evidence | None:
    """Return the evidence for the answer that *function* makes; None if it is not marked."""
    evidence = vars(function).get("evidence")
    return evidence if isinstance(evidence, Evidence) else None
