"""What a rule looks at besides calls, and what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..account.recorded_calls import Call, numbered, printable

CALLS_AT_MOST = 3
"""Of more calls than these a finding shows the first and the last."""

FINDINGS_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the code under test did wrong, although it got away with it.

    Args:
        code: which rule found it, a key of `CODES`.
        message: what was done, to what.
        calls: those that show it, in order.
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
        few = len(self.calls) <= CALLS_AT_MOST
        shown = self.calls if few else (self.calls[0], self.calls[-1])
        return "\n    ".join([head, printable(self.hint), *map(str, shown)])


def render_finding(findings: Sequence[Finding]) -> list[str]:
    """The first of *findings*, and how many more there are of which code."""
    rest = Counter(finding.code for finding in findings[FINDINGS_AT_MOST:])
    more = ", ".join(f"{count} {code}" for code, count in rest.items())
    return [*map(str, findings[:FINDINGS_AT_MOST]), *([f"and more: {more}"] if rest else [])]


@dataclass(frozen=True, slots=True)
class FinalState:
    """What the account knows at the end.

    Args:
        over: the jobs that have ended, each with when, in virtual Unix seconds.
        paused: ids of jobs that are held.
        files: ids of uploaded files that there are.
        used_files: ids of files that a job was created with.
        has_webhooks: whether anybody is told when a job is over.
    """

    over: Mapping[str, float] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    used_files: frozenset[str] = frozenset()
    has_webhooks: bool = False
