"""The input of a rule and its findings, and the registry of all rules."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import printable

from ..account.recorded_calls import Call, numbered
from .observed_calls import group_calls

log = logging.getLogger("fine_tuning_fakeserver")

CALLS_AT_MOST = 3
"""Of more calls than these a finding shows the first and the last."""

FINDINGS_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """A flaw of the code under test that had no consequence here.

    Args:
        code: the rule that found it, a key of `CODES`.
        message: what was done, to what.
        calls: the calls that show it, in order.
        hint: what would have been right.
    """

    code: str
    message: str
    calls: tuple[Call, ...] = field(hash=False)
    hint: str

    @property
    def requests(self) -> tuple[int, ...]:
        """The numbers of its calls."""
        return tuple(call.number for call in self.calls)

    def __str__(self) -> str:
        """Code, request numbers and message; the hint, and the calls, on lines of their own."""
        head = f"{self.code} ({numbered(self.requests)}): {printable(self.message)}"
        calls = self.calls if len(self.calls) <= CALLS_AT_MOST else (self.calls[0], self.calls[-1])
        return "\n    ".join([head, printable(self.hint), *map(str, calls)])


def render_findings(findings: Sequence[Finding]) -> list[str]:
    """Return the first of *findings* as text, and a line that counts the rest by code."""
    rest = Counter(finding.code for finding in findings[FINDINGS_AT_MOST:])
    more = ", ".join(f"{count} {code}" for code, count in rest.items())
    return [*map(str, findings[:FINDINGS_AT_MOST]), *([f"and more: {more}"] if rest else [])]


@dataclass(frozen=True, slots=True)
class FinalState:
    """The account when findings are looked for.

    Args:
        over: the jobs that have ended, each with when, in virtual Unix seconds.
        errors: the codes of the errors that jobs have failed by, by the job's id.
        paused: ids of paused jobs.
        files: ids of the uploaded files that exist.
        used_files: ids of files that a job was created with.
        has_webhooks: whether a webhook announces the end of jobs.
    """

    over: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    used_files: frozenset[str] = frozenset()
    has_webhooks: bool = False

    @classmethod
    def of(cls, outcome: Mapping[str, Any]) -> FinalState:
        """Return the account as findings see it, of its `steering.account_outcome`."""
        return cls(
            over=outcome["over"],
            errors=outcome["errors"],
            paused=frozenset(outcome["paused"]),
            files=frozenset(outcome["files"]) - frozenset(outcome["deleted"]),
            used_files=frozenset(outcome["used_files"]),
            has_webhooks=outcome["has_webhooks"],
        )


Rule: TypeAlias = Callable[[Sequence[Call], FinalState], Iterable[Finding]]
"""Looks at the calls of one client, in order, and at the account's final state."""

RULES: dict[str, Rule] = {}
"""Every rule by its code, which is the function's name."""

CODES: dict[str, str] = {}
"""Every code that a finding can have, and what it means in one line."""


def rule(summary: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of its name; *summary* says in one line what it finds."""

    def register(function: Rule) -> Rule:
        RULES[function.__name__] = function
        CODES[function.__name__] = summary
        return function

    return register


def find(calls: Sequence[Call], final_state: FinalState) -> list[Finding]:
    """Return the findings of all rules, by their first request.

    A rule sees the calls of one client (by its User-Agent) at a time: other clients' calls neither excuse nor accuse.
    """
    findings: list[Finding] = []
    for own_calls in group_calls(calls, lambda call: call.user_agent).values():
        for code, function in RULES.items():
            try:
                findings += list(function(own_calls, final_state))
            except Exception as error:  # a bug of a rule must not fail the test that is looked at
                log.error("fake-fine-tuning has a bug, please report it: its rule %s broke", code, exc_info=error)
    return sorted(findings, key=lambda finding: finding.requests)
