"""What a rule looks at besides calls, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

NUMBERS_AT_MOST = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the code under test did wrong, although it got away with it.

    Args:
        code: which rule found it, a key of `CODES`.
        message: what was done, to what.
        requests: the numbers of the requests that show it, in order.
        hint: what would have been right.
    """

    code: str
    message: str
    requests: tuple[int, ...]
    hint: str

    def __str__(self) -> str:
        """Code, request numbers and message, and the hint on a line of its own."""
        return f"{self.code} ({_numbers(self.requests)}): {self.message}\n    {self.hint}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the account knows at the end.

    Args:
        over: ids of jobs that have ended.
        files: ids of uploaded files that there are.
        used_files: ids of files that a job was created with.
        has_webhooks: whether anybody is told when a job is over.
    """

    over: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    used_files: frozenset[str] = frozenset()
    has_webhooks: bool = False


def _numbers(requests: tuple[int, ...]) -> str:
    if len(requests) == 1:
        return f"request {requests[0]}"
    if len(requests) > NUMBERS_AT_MOST:
        return f"{len(requests)} requests, {requests[0]} to {requests[-1]}"
    return f"requests {', '.join(map(str, requests))}"
