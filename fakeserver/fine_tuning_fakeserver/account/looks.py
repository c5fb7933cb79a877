"""Looks: requests that show how far a job or a file is, as loops send them that wait for it to be over."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias, TypeVar

from ..clock import Pace
from ..usage_errors import FakeUsageError

REQUESTS_AT_MOST = 1000
"""So many different requests are remembered, the newest."""

Request: TypeAlias = tuple[str, tuple[Any, ...]]
"""The name of an operation, and what tells the request from others for it."""

SHOWN_BY: dict[str, Callable[..., object]] = {}
"""By operation, what computes what a list shows: a function of an account, a time, and the request's query."""

Shown = TypeVar("Shown", bound=Callable[..., object])


def shows(operation: str) -> Callable[[Shown], Shown]:
    """Let the decorated function compute what *operation* shows, so that records can do without it."""

    def register(function: Shown) -> Shown:
        SHOWN_BY[operation] = function
        return function

    return register


IN_VAIN = "times in vain"
"""What the message about a loop that never ends contains."""

_REMEDIES = {
    "manual": 'let time pass (fake.advance, fake.sleep in the place of the loop\'s sleep) or use the pace "polls"',
    "polls": "retrieve the job, or send the same list request again, which moves time",
    "instant": "send a request that changes it",
}
"""What ends a loop, by pace."""


class Looks:
    """The looks at one account: what each request showed last, and how many were in vain.

    A look is in vain if time stood still and nothing changed since the look before.
    """

    def __init__(self) -> None:
        self._shown: dict[Request, object] = {}
        self._moment: Hashable = None
        self._in_vain: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By the id of an unfinished job: how often each operation showed it since the account has changed."""

    def is_repeated(self, request: Request, shown: object) -> bool:
        """Return whether *request* was answered before, with the same to be seen."""
        return request in self._shown and self._shown[request] == shown

    def remember(self, request: Request, shown: object) -> None:
        """Keep what *request* shows now."""
        self._shown.pop(request, None)
        self._shown[request] = shown
        if len(self._shown) > REQUESTS_AT_MOST:
            del self._shown[next(iter(self._shown))]

    @property
    def in_vain(self) -> dict[str, dict[str, int]]:
        """By the id of an unfinished job: how often each operation showed it since the account has changed."""
        return {job_id: dict(looks) for job_id, looks in self._in_vain.items()}

    def restore_in_vain(self, moment: Hashable, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Go on from these counts, while it is the same *moment*."""
        self._moment = moment
        self._in_vain.update({job_id: Counter(looks) for job_id, looks in counts.items()})

    def excuse(self) -> None:
        """Forget the looks in vain: their client has slept."""
        self._in_vain.clear()

    def count(self, operation: str, unfinished: Mapping[str, str], moment: Hashable, patience: int, pace: Pace) -> None:
        """Count a look.

        Args:
            operation: the operation's name.
            unfinished: the unfinished jobs that it shows: id and status.
            moment: what differs once time has moved or anything has changed.
            patience: this look in vain at a job, and later ones, are refused.
            pace: the account's.

        Raises:
            FakeUsageError: one of the jobs was looked at in vain too often.
        """
        if moment != self._moment:
            self._moment = moment
            self._in_vain.clear()
        for job_id, status in unfinished.items():
            looks = self._in_vain[job_id]
            looks[operation] += 1
            if looks.total() >= patience:
                raise _endless_loop(job_id, status, looks, patience, pace)


def _endless_loop(job_id: str, status: str, looks: Counter[str], patience: int, pace: Pace) -> FakeUsageError:
    requests = ", ".join(f"{operation} {times} times" for operation, times in looks.items())
    looked = f"job {job_id} was looked at {looks.total()} {IN_VAIN} ({requests}): it is {status}"
    remedy = _REMEDIES.get(str(pace), "")
    if status == "paused":
        remedy = f"resume the job (fake.resume_job), or {remedy}" if pace == "manual" else "resume it (fake.resume_job)"
    if looks.total() > patience:  # the loop goes on
        return FakeUsageError(f"{looked}; {remedy}")
    return FakeUsageError(
        f"{looked}, the pace is {pace!r}, and nothing moved time or changed, so that a loop which waits for it never "
        f"ends; {remedy}; patience=None allows any number of looks"
    )
